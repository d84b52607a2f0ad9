"""A terminal in one page: pays with the card in a reader of this machine, at a server over TLS.

    pip install onetap
    python terminal.py https://bank.example:8443 ca.pem till.token journal 79927398713 4.20
"""

import sys
from pathlib import Path

import onetap


def show(outcome: onetap.Outcome) -> None:
    receipt = outcome.receipt
    if receipt:
        what = f"{receipt.minor} {receipt.currency} (minor units) to {receipt.payee_name}"
        print(f"executed: {what}, transaction {outcome.id}")
    else:
        print(f"not executed ({outcome.result}): transaction {outcome.id}")


def resolve_all(till: onetap.Till) -> None:
    """What an earlier run left open comes first: never pay again what is not known."""
    for attempt in till.attempts():
        show(till.resolve(attempt.id))
        till.forget(attempt.id)


def ask_the_holder(payment: onetap.Payment) -> None:
    """Asks until something was typed that can be a password."""
    while True:
        print("Read the card's display, confirm there, and type the joint password:", flush=True)
        try:
            payment.type_in(sys.stdin.readline())
            return
        except onetap.ArgumentError as error:
            print(f"{error.cause}; what to do: {error.cure}", file=sys.stderr)


def pay(till: onetap.Till, transaction: onetap.Transaction) -> bool:
    with till.pay(transaction) as payment:
        for event in payment:
            if event.step == "tap":
                print("Put the card on the reader.")
            elif event.what == "tap-again":
                print(f"Tap again: {event.cause}; {event.cure}.")
            elif event.step == "holder":
                ask_the_holder(payment)
            elif event.outcome:
                show(event.outcome)
                return event.outcome.executed
    return False


def main() -> int:
    server, ca, token, journal, account, amount, *reader = sys.argv[1:]
    coffee = onetap.Transaction(
        payee_account=account, payee_name="Coffee Shop", amount=amount, currency="EUR", reference="Order 17"
    )
    try:
        with onetap.Till(
            terminal="POS00001",
            server=server,
            ca=Path(ca).read_text(),
            token=Path(token).read_text(),
            journal=journal,
            reader=reader[0] if reader else None,
        ) as till:
            resolve_all(till)
            return 0 if pay(till, coffee) else 1
    except onetap.OneTapError as error:
        print(f"{error.cause}; what to do: {error.cure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

"""What is given to the library, and what it gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from . import _onetap


@dataclass(frozen=True)
class Transaction:
    """What is to be paid.

    Attributes:
        payee_account: IBAN, or digits ending in their Luhn check digit.
        payee_name: whom the card names to its holder.
        amount: in major units, such as ``12.34``; never a float.
        currency: ISO 4217, such as ``EUR``.
        reference: the payee's reference.
        details: more for the holder to read.
        top_up: puts money on the card's own stored value instead of paying.
    """

    payee_account: str
    payee_name: str
    amount: str
    currency: str
    reference: str
    details: str = ""
    top_up: bool = False

    def checked(self) -> Transaction:
        """Checks every field, and gives the transaction as it will be signed.

        Raises:
            TransactionError: names every wrong field.
        """
        return Transaction(**_onetap.check(self))

    @staticmethod
    def from_json(text: str | bytes) -> Transaction:
        """Reads a transaction in JSON (docs/spec/transaction.schema.json).

        Raises:
            TransactionError: it is none.
        """
        return Transaction(**_onetap.json(text.encode() if isinstance(text, str) else text))

    @staticmethod
    def from_scan(content: str | bytes, amount: str | None = None, tip: str | None = None) -> Transaction:
        """Reads what a scanner gives: the content of an EPC or EMVCo code, or a picture of one in PNG or JPEG.

        Args:
            content: text or bytes.
            amount: what the payer says where the code leaves it to him.
            tip: likewise.

        Raises:
            AmountMissingError: the payer has to be asked for the amount.
            TransactionError: it is no code that can be paid.
        """
        content = content.encode() if isinstance(content, str) else content
        return Transaction(**_onetap.scan(content, amount, tip))

    @staticmethod
    def from_url(url: str, ca: str | None = None) -> Transaction:
        """Fetches a transaction in JSON, within ten seconds.

        Args:
            url: https, or http to this machine.
            ca: trusted for the host's certificate, in PEM; by default those that the system trusts.

        Raises:
            TransactionError: nothing could be fetched, or it is none.
        """
        return Transaction(**_onetap.fetch(url, ca))


@dataclass(frozen=True)
class Receipt:
    """What was executed.

    Attributes:
        minor: amount in minor units of the currency.
        currency: ISO 4217.
        payee_account: the payee's account.
        payee_name: the payee's name.
        reference: the payee's reference.
        executed_at: moment of execution by the server's clock, as ``2026-07-01T12:00:00Z``.
        accepted_for: the other system that has yet to book it; empty if it is booked.
        top_up: money was put on the card's own stored value.
    """

    minor: int
    currency: str
    payee_account: str
    payee_name: str
    reference: str
    executed_at: str
    accepted_for: str
    top_up: bool


@dataclass(frozen=True)
class Outcome:
    """How a payment ended.

    Attributes:
        result: ``executed``, ``refused``, ``insufficient-funds``, ``limit-exceeded``, or ``cancelled`` (not executed, and
            never will be).
        id: the transaction's id at the server.
        receipt: what was executed.
    """

    result: str
    id: str
    receipt: Receipt | None

    @property
    def executed(self) -> bool:
        """Whether money moved."""
        return self.result == "executed"

    @staticmethod
    def _of(raw: dict[str, Any]) -> Outcome:
        receipt = raw["receipt"]
        return Outcome(raw["result"], raw["id"], receipt and Receipt(**receipt))


@dataclass(frozen=True)
class Attempt:
    """A payment that was sent, and that the app is not done with.

    Attributes:
        id: by which it is resolved and forgotten.
        begun: when it was begun, by the terminal's clock.
        transaction: what was to be paid; none if it cannot be read any more.
        outcome: how it ended; none if that is not known.
    """

    id: str
    begun: str
    transaction: Transaction | None
    outcome: Outcome | None

    @staticmethod
    def _of(raw: dict[str, Any]) -> Attempt:
        transaction, outcome = raw["transaction"], raw["outcome"]
        return Attempt(
            raw["id"], raw["begun"], transaction and Transaction(**transaction), outcome and Outcome._of(outcome)
        )


@dataclass(frozen=True)
class Event:
    """What happened in a payment. What does not belong to an event is empty.

    Attributes:
        what: ``nothing`` (in the time that was given), ``began`` (a step), ``card-found``, ``tap-again``, ``signed``,
            ``retrying`` or ``ended``.
        step: the one that began: ``check``, ``tap``, ``removal``, ``holder`` or ``sending``; else ``none``.
        left: seconds left, of the step that began, to tap again, or to repeat.
        reader: that a card was found in.
        cause: why to tap again, or why to repeat.
        cure: what to do about it.
        id: that the signed transaction has, or will have, at the server.
        transaction: what the card signed, and shows to its holder.
        outcome: how it ended.
    """

    what: str
    step: str
    left: float
    reader: str
    cause: str
    cure: str
    id: str
    transaction: Transaction | None
    outcome: Outcome | None

    @staticmethod
    def _of(raw: dict[str, Any]) -> Event:
        if raw["transaction"]:
            raw["transaction"] = Transaction(**raw["transaction"])
        if raw["outcome"]:
            raw["outcome"] = Outcome._of(raw["outcome"])
        return Event(**raw)


@dataclass(frozen=True)
class Seen:
    """What happened at a reader.

    Attributes:
        change: ``nothing`` (in the time that was given), ``service-up``, ``service-down``, ``reader-added``,
            ``reader-removed``, ``card-inserted`` or ``card-removed``.
        reader: its name.
        atr: the answer to reset of a card that came.
    """

    change: str
    reader: str
    atr: bytes


@dataclass(frozen=True)
class Limits:
    """How long each step of a payment may take, in seconds.

    Attributes:
        check: for the server to say that a payment can be made.
        tap: for a card to come and to sign.
        removal: for the card to be taken away.
        holder: for the holder to read, confirm and type.
        sending: for the server to decide.
    """

    check: float = 5
    tap: float = 60
    removal: float = 30
    holder: float = 300
    sending: float = 60

    def _seconds(self) -> list[float]:
        return list(asdict(self).values())


class CardPort(Protocol):
    """A reader of the app's own, such as one behind a network. Its functions are called on threads of the library, one at a
    time, and should return within a second. What they raise ends the payment with ``CallbackError``; ``CardLeft`` lets the
    holder tap again.
    """

    def present(self, wait: float) -> bool:
        """Waits at most so many seconds for a card; true while one is there."""

    def connect(self) -> bytes:
        """Begins a contact; gives the answer to reset, or ``b""`` where there is none: then commands are short."""

    def transmit(self, command: bytes) -> bytes:
        """Sends one command APDU, gets one response APDU."""

    def disconnect(self, power_off: bool) -> None:
        """Ends the contact; with ``power_off`` the card has to lose its power."""

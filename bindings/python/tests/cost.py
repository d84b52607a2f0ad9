"""What calls cost in Python: nanoseconds for each, by name. Nothing is paid: the payment waits for a server that is silent."""

import socket
import time
from collections.abc import Callable

import onetap

CALLS = 20_000


def measure(name: str, call: Callable[[], object]) -> None:
    """The best of five rounds."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter_ns()
        for _ in range(CALLS):
            call()
        best = min(best, time.perf_counter_ns() - start)
    print(name, round(best / CALLS))


coffee = onetap.Transaction("DE89370400440532013000", "Coffee Shop", "12.34", "EUR", "Order 17")
with socket.create_server(("127.0.0.1", 0)) as silent:
    server = f"http://127.0.0.1:{silent.getsockname()[1]}"
    measure("check", coffee.checked)
    with onetap.Till(terminal="POS00001", server=server, token="token") as till, till.pay(coffee) as payment:
        payment.next(5)
        measure("type_in", lambda: payment.type_in("12345678"))
        measure("next", lambda: payment._ask(0))

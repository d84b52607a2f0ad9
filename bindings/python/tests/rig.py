"""What the tests share: the bank that the test of the languages opened, and its card behind a socket."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import onetap


class SocketPort:
    """A card behind a socket, in the words of vpcd: a length of two bytes, and so many bytes. It goes when a contact has
    ended, and comes back at once."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.gone = False
        self.contact: socket.socket | None = None

    def present(self, wait: float) -> bool:
        gone, self.gone = self.gone, False
        return not gone

    def connect(self) -> bytes:
        self.contact = socket.create_connection(("127.0.0.1", self.port))
        return self.transmit(b"\x04")

    def transmit(self, command: bytes) -> bytes:
        assert self.contact
        try:
            self.contact.sendall(len(command).to_bytes(2, "big") + command)
            return self._read(int.from_bytes(self._read(2), "big"))
        except OSError as error:
            raise onetap.CardLeft from error

    def disconnect(self, power_off: bool) -> None:
        assert self.contact
        self.contact.close()
        self.gone = True

    def _read(self, count: int) -> bytes:
        assert self.contact
        got = b""
        while len(got) < count:
            part = self.contact.recv(count - len(got))
            if not part:
                raise onetap.CardLeft
            got += part
        return got


class Rig:
    """Server, authority, token, account and the card's port, as arguments."""

    def __init__(self, arguments: list[str]) -> None:
        self.server, ca, token, self.account, port = arguments
        self.ca, self.token, self.port = Path(ca).read_text(), Path(token).read_text(), int(port)

    def till(self, **more: Any) -> onetap.Till:
        good: dict[str, Any] = dict(terminal="POS00001", server=self.server, ca=self.ca, token=self.token)
        good["port"] = SocketPort(self.port)
        return onetap.Till(**(good | more))

    def coffee(self, **more: Any) -> onetap.Transaction:
        good: dict[str, Any] = dict(payee_name="Coffee Shop", amount="0.01", currency="EUR", reference="Order 17")
        good["payee_account"] = self.account
        return onetap.Transaction(**(good | more))

    @staticmethod
    def reads_the_display() -> str:
        """What the display shows, which only the test of the languages sees."""
        print("type", flush=True)
        return sys.stdin.readline()

    def follow(self, payment: onetap.Payment, stop: bool = False) -> onetap.Outcome:
        """Follows a payment to its end; with ``stop``, cancels it while it is sent."""
        for event in payment:
            if event.step == "holder":
                assert payment.type_in(self.reads_the_display())
            elif stop and event.step == "sending":
                payment.cancel()
        assert event.outcome
        return event.outcome

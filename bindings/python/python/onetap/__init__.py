"""A terminal of OneTap: pays with a smart card at a server, and tells what happens.

>>> with onetap.Till(terminal="POS00001", server=url, ca=ca, token=token, journal="journal") as till:
...     with till.pay(transaction) as payment:
...         for event in payment:
...             if event.step == "holder":
...                 payment.type_in(input("the joint password: "))
...     print(event.outcome)

``docs/languages.md`` is the way in, ``bindings/python/examples/terminal.py`` a terminal in one page. What is waited for by
``for`` can be waited for by ``async for``. Everything may be called from any thread; one payment or watch is followed by one
thread or task at a time. Objects close themselves at the end of ``with``; calls after that raise ``ClosedError``, calls in a
process that was forked off ``ForkedError``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from . import _onetap, errors
from .errors import *  # noqa: F403
from .errors import CallbackError, CardLeft, OneTapError
from .values import Attempt, CardPort, Event, Limits, Outcome, Receipt, Seen, Transaction

__all__ = [
    "Attempt",
    "CardLeft",
    "CardPort",
    "Event",
    "Limits",
    "OneTapError",
    "Outcome",
    "Payment",
    "Receipt",
    "Seen",
    "Till",
    "Transaction",
    "Watch",
    "export_trace",
    "import_trace",
    "open_handles",
    "readers",
    "show_trace",
    *(error.__name__ for error in errors.KINDS.values()),
]

# The version of the interface that the package and its library speak.
VERSION: int = _onetap.VERSION

# So long the library is waited for at a time: between two waits Python looks for Ctrl-C.
_SLICE = 0.25

_Item = TypeVar("_Item")
_Self = TypeVar("_Self", bound="_Open")


def _close_quietly(handle: int) -> None:
    with contextlib.suppress(OneTapError):
        _onetap.close(handle)


class _Open:
    """Something that is open until it is closed, or no longer used."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._finalizer = weakref.finalize(self, _close_quietly, handle)

    def close(self) -> None:
        """Closes it. Once more does no harm."""
        if self._finalizer.detach():
            _onetap.close(self._handle)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self: _Self) -> _Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


class _Followed(_Open, Generic[_Item]):
    """Something that tells what happens, by ``for`` or by ``async for``."""

    _told: _Told[_Item] | None = None

    def _ask(self, timeout: float) -> _Item:
        raise NotImplementedError

    @staticmethod
    def _is_nothing(item: Any) -> bool:
        raise NotImplementedError

    @staticmethod
    def _is_last(item: Any) -> bool:
        return False

    def next(self, timeout: float | None = None) -> _Item:
        """Waits for what happens next, so many seconds, or for ever. If nothing does, it says ``nothing``."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE if until is None else min(_SLICE, max(0.0, until - time.monotonic()))
            item = self._ask(left)
            if not self._is_nothing(item) or (until is not None and time.monotonic() >= until):
                return item

    def __iter__(self) -> Iterator[_Item]:
        while True:
            item = self.next()
            yield item
            if self._is_last(item):
                return

    def __aiter__(self) -> _Told[_Item]:
        if self._told is None:
            self._told = _Told(self)
        return self._told


class _Told(Generic[_Item]):
    """What happens, as a task waits for it. A thread follows and hands over, so that a task that is cancelled while it waits
    loses nothing."""

    def __init__(self, followed: _Followed[_Item]) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue = asyncio.Queue[Any]()
        self._followed = followed
        self._over = False
        threading.Thread(target=self._follow, name="onetap", daemon=True).start()

    def _follow(self) -> None:
        item: Any = None
        while not isinstance(item, BaseException) and not self._followed._is_last(item):
            try:
                item = self._followed._ask(_SLICE)
            except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
                item = error
            try:
                self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
            except RuntimeError:
                # The loop was closed: nobody waits any more.
                return

    def __aiter__(self) -> _Told[_Item]:
        return self

    async def __anext__(self) -> _Item:
        item: Any = None
        while not self._over:
            item = await self._queue.get()
            self._over = isinstance(item, BaseException) or self._followed._is_last(item)
            if isinstance(item, BaseException):
                raise item
            if not self._followed._is_nothing(item):
                return cast(_Item, item)
        raise StopAsyncIteration


class Watch(_Followed[Seen]):
    """Tells of readers and cards that come and go; first of those that are there already."""

    def __init__(self) -> None:
        super().__init__(_onetap.watch())

    def _ask(self, timeout: float) -> Seen:
        return Seen(**_onetap.watch_next(self._handle, timeout))

    @staticmethod
    def _is_nothing(item: Any) -> bool:
        return bool(item.change == "nothing")


class Payment(_Followed[Event]):
    """One payment, which runs by itself. Its events come by ``for`` or ``async for`` and end with ``ended``; if it comes to no
    decision, an exception says why. Only ``UnknownOutcomeError`` leaves open whether money moved.

    Leaving its ``with`` before its end cancels it.
    """

    def __init__(self, handle: int, port: _Port | None) -> None:
        super().__init__(handle)
        self._port = port

    def _ask(self, timeout: float) -> Event:
        try:
            return Event._of(_onetap.next(self._handle, timeout))
        except CallbackError as error:
            raise error from (self._port.raised if self._port else None)

    @staticmethod
    def _is_nothing(item: Any) -> bool:
        return bool(item.what == "nothing")

    @staticmethod
    def _is_last(item: Any) -> bool:
        return item is not None and bool(item.what == "ended")

    def type_in(self, typed: str) -> bool:
        """Hands over what the holder typed on the terminal's keyboard. True if it was taken; false if the payment does not
        wait for it. Nothing but what a person typed belongs here: it says that the holder has seen what is paid.

        Raises:
            ArgumentError: it cannot be a joint password; ask the holder again.
        """
        return _onetap.type_in(self._handle, typed)

    def cancel(self) -> None:
        """Ends the payment at whatever step it is, from any thread, within a tenth of a second. Once the request is on its
        way, it ends with ``UnknownOutcomeError``."""
        _onetap.cancel(self._handle)


class _Port:
    """A reader of the app's, and what it raised last."""

    def __init__(self, port: CardPort) -> None:
        self._port = port
        self.raised: BaseException | None = None

    def _call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return work(*arguments)
        except CardLeft:
            raise
        except BaseException as error:
            self.raised = error
            raise

    def present(self, wait: float) -> bool:
        return bool(self._call(self._port.present, wait))

    def connect(self) -> bytes:
        return self._bytes(self._call(self._port.connect), "connect")

    def transmit(self, command: bytes) -> bytes:
        return self._bytes(self._call(self._port.transmit, command), "transmit")

    def disconnect(self, power_off: bool) -> None:
        self._call(self._port.disconnect, power_off)

    def _bytes(self, got: Any, name: str) -> bytes:
        if not isinstance(got, (bytes, bytearray)):
            self.raised = TypeError(f"{name}() gave {type(got).__name__}, not bytes")
            raise self.raised
        return bytes(got)


class Till(_Open):
    """A terminal with its server and journal. It connects with the first payment.

    Args:
        terminal: its id, which the bank's operator gave.
        server: such as ``https://bank.example:8443``.
        ca: the authority that vouches for the server, in PEM; by default those that the system trusts.
        token: what the server's operator made for this terminal.
        certificate: in the token's place, in PEM.
        key: its private key, in PEM.
        journal: the folder that attempts are kept in. Without it they are kept in memory, and are lost with the process.
        reader: takes cards in this reader of the system only.
        port: takes cards on this reader of the app's own.
        limits: how long each step may take.
        trace: plays this trace in the place of a card and a reader. What it does not have ends the payment with
            ``TraceError``, whose cause shows the difference.
        strict: whether the trace takes each command once, in its own order and just as it was. If not, it takes them in any
            order and as often as wanted, with whatever a terminal makes anew for each transaction.
        record: records what passes between terminal and cards as a trace, into this file, which must not be there yet.
            Secrets are left out. A disk that is full ends the recording, and no payment.

    Raises:
        ArgumentError: one of them is wrong.
        JournalError: the journal cannot be opened.
        TraceError: the trace cannot be read, or the file not be written.
    """

    def __init__(
        self,
        *,
        terminal: str,
        server: str,
        ca: str | None = None,
        token: str | None = None,
        certificate: str | None = None,
        key: str | None = None,
        journal: str | os.PathLike[str] | None = None,
        reader: str | None = None,
        port: CardPort | None = None,
        limits: Limits = Limits(),
        trace: str | None = None,
        strict: bool = False,
        record: str | os.PathLike[str] | None = None,
    ) -> None:
        self._port = None if port is None else _Port(port)
        handle = _onetap.till(
            terminal=terminal,
            server=server,
            ca=ca,
            token=token,
            certificate=certificate,
            key=key,
            journal=None if journal is None else os.fspath(journal),
            reader=reader,
            port=self._port,
            limits=limits._seconds(),
            trace=trace,
            strict=strict,
            record=None if record is None else os.fspath(record),
        )
        super().__init__(handle)

    def pay(self, transaction: Transaction, key: str | None = None) -> Payment:
        """Starts a payment. ``key`` makes repetitions one payment: an app that keeps books gives its own, never used before.

        Raises:
            TransactionError: a field is wrong.
            BusyError: the till is in another payment.
        """
        return Payment(_onetap.pay(self._handle, transaction, key), self._port)

    def attempts(self) -> list[Attempt]:
        """Those whose end is not known, and those whose end the app was not told or not done with. Ask when the program starts,
        and by a button."""
        return [Attempt._of(raw) for raw in _onetap.attempts(self._handle)]

    def resolve(self, id: str, timeout: float = 30) -> Outcome:
        """Learns the final state of an attempt, or makes it: executed, or cancelled for good. Asking again is always safe.

        Raises:
            NotYetError: the server cannot say for sure before a moment that the error names.
            ServerError: it does not answer.
        """
        return Outcome._of(_onetap.resolve(self._handle, id, timeout))

    def forget(self, id: str) -> None:
        """The app is done with an attempt, such as by having it in its own books: the journal forgets it. Closing a payment
        whose decision was told does the same."""
        _onetap.forget(self._handle, id)


def readers(timeout: float = 5) -> list[str]:
    """Names of the connected readers; none is no error.

    Raises:
        ServiceError: there is no PC/SC service.
    """
    return _onetap.readers(timeout)


def show_trace(text: str) -> str:
    """A trace in words, a line for each event.

    Raises:
        TraceError: it is none.
    """
    return _onetap.trace_show(text)


def export_trace(format: str, text: str) -> bytes:
    """A trace as another program reads it.

    Args:
        format: ``apdu4j``, ``scriptor``, ``satl`` or ``pcap``.
        text: the trace.

    Raises:
        TraceError: it is none.
    """
    return _onetap.trace_export(format, text)


def import_trace(format: str, log: bytes, description: str) -> str:
    """A trace made of another program's log. Secrets are left out.

    Args:
        format: one of those of ``onetap trace import``, such as ``apdu4j``.
        log: what the program wrote.
        description: what the trace shows.

    Raises:
        TraceError: it cannot be read.
    """
    return _onetap.trace_import(format, log, description)


def open_handles() -> int:
    """How many tills, payments and watches are open in this process, to find out who forgets to close them."""
    return _onetap.count()

"""One exception for each kind of error. Each says what happened and what to do: ``error.cause``, ``error.cure``."""

from __future__ import annotations


class OneTapError(Exception):
    """What every call of this package raises, except for wrong types and ``CardLeft``.

    Attributes:
        kind: of which kind, in a word that stays as it is, such as ``not-ready``.
        cause: what happened.
        cure: what to do next.
        transaction: the id of the transaction that it is about, for ``UnknownOutcomeError``; else empty.
    """

    kind: str = ""

    def __init__(self, cause: str, cure: str, transaction: str = "", kind: str | None = None) -> None:
        super().__init__(f"{cause}; {cure}")
        self.cause = cause
        self.cure = cure
        self.transaction = transaction
        self.kind = kind or type(self).kind

    def __reduce__(self) -> tuple[type, tuple[str, str, str, str]]:
        return type(self), (self.cause, self.cure, self.transaction, self.kind)


class ArgumentError(OneTapError):
    """A value that the caller gave is wrong."""

    kind = "argument"


class ClosedError(OneTapError):
    """It was closed."""

    kind = "closed"


class BusyError(OneTapError):
    """Another thread, or another payment, has it at the moment."""

    kind = "busy"


class ForkedError(OneTapError):
    """The library was used before this process was forked off. Start processes by ``spawn``."""

    kind = "forked"


class CallbackError(OneTapError):
    """A function of the app's own reader raised an exception, which is the ``__cause__`` of this one."""

    kind = "callback"


class InternalError(OneTapError):
    """A mistake in the library."""

    kind = "internal"


class SystemLimitError(OneTapError):
    """The system gives no thread or memory."""

    kind = "system"


class ServiceError(OneTapError):
    """The PC/SC service does not run, does not answer, or refuses this program."""

    kind = "service"


class ReaderError(OneTapError):
    """There is no reader, not that reader, or none that works."""

    kind = "reader"


class CardError(OneTapError):
    """The card is not there, refuses, or is none of ours."""

    kind = "card"


class TimeUpError(OneTapError):
    """The time was up."""

    kind = "timeout"


class CancelledError(OneTapError):
    """It was cancelled."""

    kind = "cancelled"


class TransactionError(OneTapError):
    """The transaction, or what it was to be read from, is wrong."""

    kind = "transaction"


class AmountMissingError(TransactionError):
    """The code leaves the amount to the payer."""

    kind = "amount-missing"


class TraceError(OneTapError):
    """The trace or log cannot be read or written, or a till did what the trace that it plays does not have."""

    kind = "trace"


class JournalError(OneTapError):
    """The journal cannot be written or read."""

    kind = "journal"


class ServerError(OneTapError):
    """The server cannot be reached, is not trusted, or does not answer as it should. Nothing was executed."""

    kind = "server"


class NotReadyError(OneTapError):
    """The server does not take payments of this terminal, or not by this clock."""

    kind = "not-ready"


class UnknownOutcomeError(OneTapError):
    """Whether the transaction was executed is not known: it has to be resolved."""

    kind = "unknown"


class NotYetError(OneTapError):
    """The final state is not certain yet: resolve it later."""

    kind = "not-yet"


class CardLeft(Exception):
    """A reader of the app's own raises this when the card has left: it may be tapped again."""


KINDS: dict[str, type[OneTapError]] = {
    error.kind: error for error in [*OneTapError.__subclasses__(), AmountMissingError]
}


def of_kind(kind: str, cause: str, cure: str, transaction: str) -> OneTapError:
    """The exception for an error of the library; one of a newer kind is a plain ``OneTapError``."""
    return KINDS.get(kind, OneTapError)(cause, cure, transaction, kind)

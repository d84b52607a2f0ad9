package onetap;

/** What every call of this package throws when it fails: of which kind, what happened, and what to do about it. */
public final class OneTapException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** What a program can tell errors apart by. Kinds may be added. */
    public enum Kind {
        /** A value that the caller gave is wrong. */
        ARGUMENT(1),
        /** It was closed. */
        CLOSED(2),
        /** Another thread, or another payment, has it at the moment. */
        BUSY(3),
        /** The library was used before this process was forked off. */
        FORKED(4),
        /** A function of the app's own reader threw; what it threw is the {@link #getCause cause}. */
        CALLBACK(5),
        /** A mistake in the library. */
        INTERNAL(6),
        /** The system gives no thread or memory. */
        SYSTEM(7),
        /** The PC/SC service does not run, does not answer, or refuses this program. */
        SERVICE(10),
        /** There is no reader, not that reader, or none that works. */
        READER(11),
        /** The card is not there, refuses, or is none of ours. */
        CARD(12),
        /** The time was up. */
        TIMEOUT(13),
        /** It was cancelled. */
        CANCELLED(14),
        /** The transaction, or what it was to be read from, is wrong. */
        TRANSACTION(20),
        /** The code leaves the amount to the payer. */
        AMOUNT_MISSING(21),
        /** The trace or log cannot be read or written, or a till did what the trace that it plays does not have. */
        TRACE(22),
        /** The journal cannot be written or read. */
        JOURNAL(30),
        /** The server cannot be reached, is not trusted, or does not answer as it should. Nothing was executed. */
        SERVER(31),
        /** The server does not take payments of this terminal, or not by this clock. */
        NOT_READY(32),
        /** Whether the transaction was executed is not known: it has to be resolved. */
        UNKNOWN(33),
        /** The final state is not certain yet: resolve it later. */
        NOT_YET(34),
        /** One that this package does not know yet. */
        OTHER(-1);

        private final int number;

        Kind(int number) {
            this.number = number;
        }

        static Kind of(int number) {
            for (Kind kind : values()) {
                if (kind.number == number) {
                    return kind;
                }
            }
            return OTHER;
        }
    }

    private final Kind kind;
    private final String what;
    private final String cure;
    private final String transaction;

    private OneTapException(Kind kind, String what, String cure, String transaction) {
        super(what + "; " + cure);
        this.kind = kind;
        this.what = what;
        this.cure = cure;
        this.transaction = transaction;
    }

    /** Throws what the last call of this thread left, if it failed. */
    static void check(int status) {
        if (status != 0) {
            throw of(status);
        }
    }

    static OneTapException of(int status) {
        return new OneTapException(
                Kind.of(status), Native.C.onetap_cause(), Native.C.onetap_cure(), Native.C.onetap_cause_id());
    }

    /** Of which kind. */
    public Kind kind() {
        return kind;
    }

    /** What happened. */
    public String what() {
        return what;
    }

    /** What to do next. */
    public String cure() {
        return cure;
    }

    /** The id of the transaction that it is about, for {@link Kind#UNKNOWN}; else empty. */
    public String transaction() {
        return transaction;
    }
}

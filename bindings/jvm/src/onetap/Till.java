package onetap;

import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** A terminal with its server and journal. It connects with the first payment. Threads may share it. */
public final class Till implements AutoCloseable {
    private final long handle;
    private final Port port;

    /** What a till is made of. */
    public static final class Config {
        private final Native.Config config = new Native.Config();
        private CardPort card;

        /** The terminal's id, which the bank's operator gave, and the server, such as {@code https://bank.example:8443}. */
        public Config(String terminal, String server) {
            config.terminal = Objects.requireNonNull(terminal);
            config.server = Objects.requireNonNull(server);
        }

        /** The authority that vouches for the server, in PEM; by default those that the system trusts. */
        public Config ca(String pem) {
            config.ca = pem;
            return this;
        }

        /** The token that the server's operator made for this terminal. */
        public Config token(String token) {
            config.token = token;
            return this;
        }

        /** A certificate in the token's place, and its private key, in PEM. */
        public Config certificate(String certificate, String key) {
            config.certificate = certificate;
            config.key = key;
            return this;
        }

        /** The folder that attempts are kept in. Without it they are kept in memory, and are lost with the process. */
        public Config journal(Path folder) {
            config.journal = folder.toString();
            return this;
        }

        /** Takes cards in this reader of the system only. */
        public Config reader(String name) {
            config.reader = name;
            return this;
        }

        /** Takes cards on this reader of the app's own. */
        public Config port(CardPort card) {
            this.card = Objects.requireNonNull(card);
            return this;
        }

        /**
         * Plays this trace in the place of a card and a reader. What it does not have ends the payment with {@link
         * OneTapException.Kind#TRACE}; what happened shows the difference.
         *
         * @param strict whether it takes each command once, in its own order and just as it was; if not, it takes them in any
         *     order and as often as wanted, with whatever a terminal makes anew for each transaction
         */
        public Config trace(String trace, boolean strict) {
            config.trace = Objects.requireNonNull(trace);
            config.strict = (byte) (strict ? 1 : 0);
            return this;
        }

        /**
         * Records what passes between terminal and cards as a trace, into this file, which must not be there yet. Secrets are
         * left out. A disk that is full ends the recording, and no payment.
         */
        public Config record(Path file) {
            config.record = file.toString();
            return this;
        }

        /** For the server to say that a payment can be made (5 seconds). */
        public Config checkWithin(Duration time) {
            config.check = OneTap.millis(time);
            return this;
        }

        /** For a card to come and to sign (60 seconds). */
        public Config tapWithin(Duration time) {
            config.tap = OneTap.millis(time);
            return this;
        }

        /** For the card to be taken away (30 seconds). */
        public Config removalWithin(Duration time) {
            config.removal = OneTap.millis(time);
            return this;
        }

        /** For the holder to read, confirm and type (5 minutes). */
        public Config holderWithin(Duration time) {
            config.holder = OneTap.millis(time);
            return this;
        }

        /** For the server to decide (60 seconds). */
        public Config sendingWithin(Duration time) {
            config.sending = OneTap.millis(time);
            return this;
        }

        /** Opens it. */
        public Till open() {
            return new Till(this);
        }
    }

    private Till(Config from) {
        LongByReference till = new LongByReference();
        port = from.card == null ? null : new Port(from.card);
        from.config.size = new Native.Size(from.config.size());
        from.config.port = port == null ? null : port.port.getPointer();
        OneTapException.check(Native.C.onetap_till(from.config, till));
        handle = till.getValue();
    }

    /** Starts a payment under a key that is drawn. */
    public Payment pay(Transaction transaction) {
        return pay(transaction, null);
    }

    /**
     * Starts a payment.
     *
     * @param key makes repetitions one payment: an app that keeps books gives its own, never used before
     */
    public Payment pay(Transaction transaction, String key) {
        LongByReference payment = new LongByReference();
        OneTapException.check(Native.C.onetap_pay(handle, transaction.txn(), key, payment));
        return new Payment(payment.getValue(), port);
    }

    /**
     * Those whose end is not known, and those whose end the app was not told or not done with. Ask when the program starts, and
     * by a button.
     */
    public List<Attempt> attempts() {
        PointerByReference first = new PointerByReference();
        Native.SizeByReference count = new Native.SizeByReference();
        OneTapException.check(Native.C.onetap_attempts(handle, first, count));
        List<Attempt> attempts = new ArrayList<>();
        for (int i = 0; i < count.value(); i++) {
            attempts.add(Attempt.of(first.getValue().share((long) i * 4 * com.sun.jna.Native.POINTER_SIZE)));
        }
        return attempts;
    }

    /** Learns the final state of an attempt, or makes it: executed, or cancelled for good. Asking again is always safe. */
    public Outcome resolve(String id, Duration timeout) {
        PointerByReference outcome = new PointerByReference();
        OneTapException.check(Native.C.onetap_resolve(handle, id, OneTap.millis(timeout), outcome));
        return Outcome.of(outcome.getValue());
    }

    /**
     * The app is done with an attempt, such as by having it in its own books: the journal forgets it. Closing a payment whose
     * decision was told does the same.
     */
    public void forget(String id) {
        OneTapException.check(Native.C.onetap_forget(handle, id));
    }

    /** Once more does no harm. */
    @Override
    public void close() {
        close(handle);
    }

    static void close(long handle) {
        int status = Native.C.onetap_close(handle);
        if (status != 0 && OneTapException.Kind.of(status) != OneTapException.Kind.CLOSED) {
            throw OneTapException.of(status);
        }
    }
}

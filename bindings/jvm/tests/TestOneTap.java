import android.nfc.Tag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import onetap.Attempt;
import onetap.CardPort;
import onetap.Event;
import onetap.OneTap;
import onetap.OneTapException;
import onetap.OneTapException.Kind;
import onetap.Outcome;
import onetap.Payment;
import onetap.Till;
import onetap.Transaction;
import onetap.Watch;
import onetap.android.IsoDepPort;

/** The package, as an app uses it. TestOneTap SERVER CA TOKEN ACCOUNT PORT FOLDER PCSCD */
public final class TestOneTap {
    private static final Duration LONG = Duration.ofSeconds(60);
    private static final Duration SHORT = Duration.ofMillis(50);
    private static Rig rig;
    private static Path folder;
    private static boolean pcscd;

    public static void main(String[] arguments) throws Exception {
        rig = new Rig(arguments);
        folder = Path.of(arguments[5]);
        pcscd = arguments[6].equals("1");
        aPhoneIsATerminal();
        whatIsLostIsResolved();
        eachKindOfErrorThatEndsAPayment();
        aReaderThatThrows();
        sourcesAndTraces();
        aTraceIsACard();
        wrongValues();
        threadsAndClosedHandles();
        watches();
        same(0, OneTap.openHandles());
        System.out.println("all passed");
        System.exit(0);
    }

    /** A reader whose card does what it is told to. */
    private static class Odd implements CardPort {
        @Override
        public boolean present(Duration wait) throws Exception {
            return true;
        }

        @Override
        public byte[] connect() throws Exception {
            return new byte[0];
        }

        @Override
        public byte[] transmit(byte[] command) throws Exception {
            return new byte[] {0x6A, (byte) 0x82};
        }

        @Override
        public void disconnect(boolean powerOff) {}
    }

    private static final CardPort EMPTY = new Odd() {
        @Override
        public boolean present(Duration wait) {
            return false;
        }
    };

    /** The card comes to a phone's antenna, leaves once it has given everything, and pays. */
    private static void aPhoneIsATerminal() throws Exception {
        IsoDepPort phone = new IsoDepPort();
        try (Till till = rig.till(phone)) {
            Payment payment = till.pay(rig.coffee(), "order-17");
            phone.onTagDiscovered(new Tag(rig.port));
            Outcome outcome = Rig.follow(payment, false);
            same(Outcome.Result.EXECUTED, outcome.result());
            same(1L, outcome.receipt().minor());
            same("Coffee Shop", outcome.receipt().payeeName());
            same(outcome, payment.next(LONG).outcome());
            same(List.of(outcome), till.attempts().stream().map(Attempt::outcome).toList());
            payment.close();
            same(List.of(), till.attempts());
        }
    }

    private static void whatIsLostIsResolved() throws Exception {
        String lost = null;
        try (Till till = kept()) {
            // The server may have been quicker than the cancellation.
            while (lost == null) {
                try (Payment payment = till.pay(rig.coffee())) {
                    Rig.follow(payment, true);
                } catch (OneTapException error) {
                    same(Kind.UNKNOWN, error.kind());
                    lost = error.transaction();
                }
            }
        }
        try (Till till = kept()) {
            Attempt attempt = till.attempts().get(0);
            same(lost, attempt.id());
            same(null, attempt.outcome());
            same(rig.coffee().checked(), attempt.transaction());
            String id = lost;
            fails(Kind.ARGUMENT, () -> forget(till, id));
            // A file that was damaged, of a payment of which the server has never heard.
            String other = id.substring(0, id.length() - 1) + (id.endsWith("0") ? "1" : "0");
            try (Stream<Path> files = Files.list(folder.resolve("journal"))) {
                String name = files.filter(file -> file.toString().contains(id)).findFirst().orElseThrow().toString();
                Files.writeString(Path.of(name.replace(id, other)), "");
            }
            fails(Kind.NOT_YET, () -> till.resolve(other, LONG));
            Outcome.Result result = till.resolve(id, LONG).result();
            same(true, result == Outcome.Result.EXECUTED || result == Outcome.Result.CANCELLED);
            till.forget(id);
            same(List.of(other), till.attempts().stream().map(Attempt::id).toList());
        }
    }

    private static Till kept() {
        CardPort card = new Rig.SocketPort(rig.port);
        return rig.config("POS00001", rig.server).journal(folder.resolve("journal")).port(card).open();
    }

    private static Void forget(Till till, String id) {
        till.forget(id);
        return null;
    }

    private static Outcome ends(Till.Config config) throws IOException {
        try (Till till = config.open(); Payment payment = till.pay(rig.coffee())) {
            return Rig.follow(payment, false);
        }
    }

    private static void eachKindOfErrorThatEndsAPayment() throws Exception {
        fails(Kind.CARD, () -> ends(rig.config("POS00001", rig.server).port(new Odd())));
        fails(Kind.TIMEOUT, () -> ends(rig.config("POS00001", rig.server).port(EMPTY).tapWithin(SHORT)));
        fails(Kind.NOT_READY, () -> ends(rig.config("POS00002", rig.server).port(EMPTY)));
        fails(Kind.SERVER, () -> ends(rig.config("POS00001", "https://127.0.0.1:1").port(EMPTY)));
        fails(Kind.SERVER, () -> ends(rig.config("POS00001", rig.server).ca(null).port(EMPTY)));
        fails(Kind.JOURNAL, () -> ends(rig.config("POS00001", rig.server).journal(Path.of("/proc/journal"))));
        // A service that is not there is given a second to start.
        Duration soon = Duration.ofSeconds(2);
        Kind reader = pcscd ? Kind.READER : Kind.SERVICE;
        fails(reader, () -> ends(rig.config("POS00001", rig.server).reader("none").tapWithin(soon)));
        try (Till till = rig.till(EMPTY); Payment payment = till.pay(rig.coffee())) {
            payment.cancel();
            fails(Kind.CANCELLED, () -> Rig.follow(payment, false));
        }
    }

    /** Exceptions of the app do not go through C, and are the cause of ours. */
    private static void aReaderThatThrows() throws Exception {
        for (Throwable thrown : new Throwable[] {new IOException("no field"), new StackOverflowError(), null}) {
            CardPort port = new Odd() {
                @Override
                public byte[] transmit(byte[] command) throws Exception {
                    if (thrown instanceof Error error) {
                        throw error;
                    } else if (thrown instanceof Exception exception) {
                        throw exception;
                    }
                    return null;
                }
            };
            OneTapException error = fails(Kind.CALLBACK, () -> ends(rig.config("POS00001", rig.server).port(port)));
            same(true, thrown == null ? error.getCause() instanceof NullPointerException : error.getCause() == thrown);
        }
    }

    private static void sourcesAndTraces() throws Exception {
        String code = "BCD\n002\n1\nSCT\n\nShop\nDE89370400440532013000\n\n\n\nOrder 17\n";
        same("7.00", Transaction.fromScan(code.getBytes(), "7", null).amount());
        fails(Kind.AMOUNT_MISSING, () -> Transaction.fromScan(code.getBytes(), null, null));
        fails(Kind.TRANSACTION, () -> Transaction.fromScan("WIFI:".getBytes(), null, null));
        fails(Kind.TRANSACTION, () -> Transaction.fromJson("[]".getBytes()));
        fails(Kind.TRANSACTION, () -> Transaction.fromUrl("http://192.0.2.1/", null));
        String trace = OneTap.importTrace("apdu4j", "00EE0000\n6E00\n".getBytes(), "Kärtchen");
        same(true, OneTap.showTrace(trace).startsWith("Kärtchen\n"));
        fails(Kind.TRACE, () -> OneTap.showTrace("{}"));
        fails(Kind.TRACE, () -> OneTap.importTrace("apdu4j", "no log\n".getBytes(), ""));
    }

    /** A payment is recorded, and its trace pays in the place of card and reader. */
    private static void aTraceIsACard() throws Exception {
        Path file = folder.resolve("recorded.jsonl");
        Files.createDirectories(folder);
        CardPort card = new Rig.SocketPort(rig.port);
        ends(rig.config("POS00001", rig.server).port(card).record(file));
        fails(Kind.TRACE, () -> rig.config("POS00001", rig.server).port(card).record(file).open());
        String trace = Files.readString(file);
        // What it signed was another payment: the server must not take it for this one.
        same(Outcome.Result.REFUSED, pays(rig.coffee(), trace, false).result());
        Transaction tea = new Transaction(rig.account, "Coffee Shop", "0.02", "EUR", "Order 17");
        String shown = fails(Kind.TRACE, () -> pays(tea, trace, false)).what();
        same(true, shown.contains("expected  PUT TXN with amount") && shown.contains("got       PUT TXN with amount"));
        same(true, fails(Kind.TRACE, () -> pays(rig.coffee(), trace, true)).what().contains("unpredictable-number"));
        fails(Kind.ARGUMENT, () -> rig.config("POS00001", rig.server).port(card).trace(trace, false).open());
        fails(Kind.TRACE, () -> pays(rig.coffee(), "{}", false));
        byte[] capture = OneTap.exportTrace("pcap", trace);
        same((byte) 0xD4, capture[0]);
        fails(Kind.ARGUMENT, () -> OneTap.exportTrace("word", trace));
    }

    /** Nobody can read the display of such a card. */
    private static Outcome pays(Transaction transaction, String trace, boolean strict) {
        Outcome outcome = null;
        try (Till till = rig.config("POS00001", rig.server).trace(trace, strict).open();
                Payment payment = till.pay(transaction)) {
            for (Event event : payment) {
                if (event.step() == Event.Step.HOLDER) {
                    payment.typeIn("12345678");
                }
                outcome = event.outcome();
            }
        }
        return outcome;
    }

    private static void wrongValues() throws Exception {
        fails(Kind.ARGUMENT, () -> OneTap.importTrace("word", new byte[0], ""));
        fails(Kind.ARGUMENT, () -> OneTap.showTrace(null));
        fails(Kind.ARGUMENT, () -> rig.config("far too long for one", rig.server).port(EMPTY).open());
        fails(Kind.ARGUMENT, () -> rig.config("POS00001", "http://192.0.2.1").port(EMPTY).open());
        fails(Kind.ARGUMENT, () -> rig.config("POS00001", rig.server).token(null).port(EMPTY).open());
        fails(Kind.ARGUMENT, () -> rig.config("POS00001", rig.server).port(EMPTY).reader("both").open());
        for (Callable<?> wrong : List.<Callable<?>>of(
                () -> new Transaction(null, "", "", "", ""), () -> new Till.Config(null, ""),
                () -> rig.config("POS00001", rig.server).port(null))) {
            try {
                wrong.call();
                throw new AssertionError("null was taken");
            } catch (NullPointerException expected) {
                // As everywhere in Java.
            }
        }
    }

    private static void threadsAndClosedHandles() throws Exception {
        Till till = rig.till(EMPTY);
        Payment payment = till.pay(rig.coffee());
        fails(Kind.BUSY, () -> till.pay(rig.coffee()));
        AtomicReference<Throwable> ended = new AtomicReference<>();
        Thread follower = new Thread(() -> {
            try {
                Rig.follow(payment, false);
            } catch (Throwable error) {
                ended.set(error);
            }
        });
        follower.start();
        fails(Kind.BUSY, () -> {
            while (true) {
                payment.next(Duration.ZERO);
            }
        });
        fails(Kind.ARGUMENT, () -> payment.typeIn("12"));
        same(false, payment.typeIn("12345678"));
        payment.close();
        payment.close();
        follower.join();
        Kind kind = ((OneTapException) ended.get()).kind();
        same(true, kind == Kind.CLOSED || kind == Kind.CANCELLED);
        till.close();
        till.close();
        fails(Kind.CLOSED, till::attempts);
        fails(Kind.CLOSED, () -> till.pay(rig.coffee()));
        fails(Kind.CLOSED, () -> payment.next(LONG));
    }

    private static void watches() throws Exception {
        Watch watch = new Watch();
        same(pcscd ? Watch.Change.SERVICE_UP : Watch.Change.SERVICE_DOWN, watch.next(LONG).change());
        if (pcscd) {
            same("Virtual PCD 00 00", watch.next(LONG).reader());
            same(true, OneTap.readers(LONG).contains("Virtual PCD 00 00"));
        } else {
            fails(Kind.SERVICE, () -> OneTap.readers(LONG));
        }
        watch.close();
        fails(Kind.CLOSED, () -> watch.next(LONG));
    }

    private static OneTapException fails(Kind kind, Callable<?> call) throws Exception {
        try {
            call.call();
        } catch (OneTapException error) {
            same(kind, error.kind());
            same(false, error.what().isEmpty() || error.cure().isEmpty());
            return error;
        }
        throw new AssertionError("no " + kind);
    }

    private static void same(Object wanted, Object got) {
        if (wanted == null ? got != null : !wanted.equals(got)) {
            throw new AssertionError(got + ", not " + wanted);
        }
    }
}

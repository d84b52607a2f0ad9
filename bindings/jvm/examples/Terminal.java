import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import onetap.Attempt;
import onetap.Event;
import onetap.OneTapException;
import onetap.Outcome;
import onetap.Payment;
import onetap.Till;
import onetap.Transaction;

/**
 * A terminal in one page: pays with the card in a reader of this machine, at a server over TLS.
 *
 * <pre>
 * java -cp onetap.jar:jna.jar Terminal.java https://bank.example:8443 ca.pem till.token journal 79927398713 4.20
 * </pre>
 */
public final class Terminal {
    private static final BufferedReader KEYBOARD = new BufferedReader(new InputStreamReader(System.in));

    public static void main(String[] arguments) throws IOException {
        Till.Config config = new Till.Config("POS00001", arguments[0])
                .ca(Files.readString(Path.of(arguments[1])))
                .token(Files.readString(Path.of(arguments[2])))
                .journal(Path.of(arguments[3]));
        if (arguments.length > 6) {
            config.reader(arguments[6]);
        }
        Transaction coffee = new Transaction(arguments[4], "Coffee Shop", arguments[5], "EUR", "Order 17");
        boolean executed = false;
        try (Till till = config.open()) {
            resolveAll(till);
            executed = pay(till, coffee);
        } catch (OneTapException error) {
            System.err.println(error.what() + "; what to do: " + error.cure());
        }
        System.exit(executed ? 0 : 1);
    }

    /** What an earlier run left open comes first: never pay again what is not known. */
    private static void resolveAll(Till till) {
        for (Attempt attempt : till.attempts()) {
            show(till.resolve(attempt.id(), Duration.ofSeconds(30)));
            till.forget(attempt.id());
        }
    }

    private static boolean pay(Till till, Transaction transaction) throws IOException {
        try (Payment payment = till.pay(transaction)) {
            for (Event event : payment) {
                if (event.step() == Event.Step.TAP) {
                    System.out.println("Put the card on the reader.");
                } else if (event.what() == Event.What.TAP_AGAIN) {
                    System.out.println("Tap again: " + event.cause() + "; " + event.cure() + ".");
                } else if (event.step() == Event.Step.HOLDER) {
                    askTheHolder(payment);
                } else if (event.outcome() != null) {
                    show(event.outcome());
                    return event.outcome().result() == Outcome.Result.EXECUTED;
                }
            }
        }
        return false;
    }

    /** Asks until something was typed that can be a password. */
    private static void askTheHolder(Payment payment) throws IOException {
        while (true) {
            System.out.println("Read the card's display, confirm there, and type the joint password:");
            try {
                payment.typeIn(KEYBOARD.readLine());
                return;
            } catch (OneTapException error) {
                System.err.println(error.what() + "; what to do: " + error.cure());
            }
        }
    }

    private static void show(Outcome outcome) {
        Outcome.Receipt receipt = outcome.receipt();
        if (receipt == null) {
            System.out.println("not executed (" + outcome.result() + "): transaction " + outcome.id());
        } else {
            System.out.println("executed: " + receipt.minor() + " " + receipt.currency() + " (minor units) to "
                    + receipt.payeeName() + ", transaction " + outcome.id());
        }
    }
}

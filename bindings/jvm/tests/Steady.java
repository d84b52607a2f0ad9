import java.util.Arrays;
import onetap.OneTap;
import onetap.Outcome;
import onetap.Payment;
import onetap.Till;

/** Pays again and again; the test looks at this process from outside. Steady SERVER CA TOKEN ACCOUNT PORT COUNT */
public final class Steady {
    public static void main(String[] arguments) throws Exception {
        Rig rig = new Rig(Arrays.copyOf(arguments, 5));
        try (Till till = rig.till(new Rig.SocketPort(rig.port))) {
            for (int paid = 1; paid <= Integer.parseInt(arguments[5]); paid++) {
                try (Payment payment = till.pay(rig.coffee())) {
                    if (Rig.follow(payment, false).result() != Outcome.Result.EXECUTED) {
                        throw new AssertionError("not executed");
                    }
                }
                System.out.println("paid " + paid + " handles " + OneTap.openHandles());
                Rig.IN.readLine();
            }
        }
        System.exit(OneTap.openHandles());
    }
}

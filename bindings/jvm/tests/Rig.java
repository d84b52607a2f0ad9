import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import onetap.CardPort;
import onetap.Event;
import onetap.Outcome;
import onetap.Payment;
import onetap.Till;
import onetap.Transaction;

/** What the tests share: the bank that the test of the languages opened. Server, authority, token, account, card's port. */
final class Rig {
    static final BufferedReader IN = new BufferedReader(new InputStreamReader(System.in));

    final String server;
    final String account;
    final int port;
    private final String ca;
    private final String token;

    Rig(String[] arguments) throws IOException {
        server = arguments[0];
        ca = Files.readString(Path.of(arguments[1]));
        token = Files.readString(Path.of(arguments[2]));
        account = arguments[3];
        port = Integer.parseInt(arguments[4]);
    }

    /** A good configuration, for this server and terminal. */
    Till.Config config(String terminal, String server) {
        return new Till.Config(terminal, server).ca(ca).token(token);
    }

    Till till(CardPort card) {
        return config("POS00001", server).port(card).open();
    }

    Transaction coffee() {
        return new Transaction(account, "Coffee Shop", "0.01", "EUR", "Order 17");
    }

    /** Follows a payment to its end; with {@code stop}, cancels it while it is sent. */
    static Outcome follow(Payment payment, boolean stop) throws IOException {
        Outcome outcome = null;
        for (Event event : payment) {
            if (event.step() == Event.Step.HOLDER) {
                System.out.println("type");
                if (!payment.typeIn(IN.readLine())) {
                    throw new AssertionError("not taken");
                }
            } else if (stop && event.step() == Event.Step.SENDING) {
                payment.cancel();
            }
            outcome = event.outcome();
        }
        return outcome;
    }

    /** A card behind a socket, in the words of vpcd. It goes when a contact has ended, and comes back at once. */
    static final class SocketPort implements CardPort {
        private final int port;
        private Socket contact;
        private boolean gone;

        SocketPort(int port) {
            this.port = port;
        }

        @Override
        public boolean present(Duration wait) {
            boolean there = !gone;
            gone = false;
            return there;
        }

        @Override
        public byte[] connect() throws IOException {
            contact = new Socket(InetAddress.getLoopbackAddress(), port);
            contact.setTcpNoDelay(true);
            return transmit(new byte[] {4});
        }

        @Override
        public byte[] transmit(byte[] command) throws IOException {
            try {
                byte[] frame = new byte[command.length + 2];
                frame[0] = (byte) (command.length >> 8);
                frame[1] = (byte) command.length;
                System.arraycopy(command, 0, frame, 2, command.length);
                contact.getOutputStream().write(frame);
                DataInputStream in = new DataInputStream(contact.getInputStream());
                byte[] answer = new byte[in.readUnsignedShort()];
                in.readFully(answer);
                return answer;
            } catch (IOException lost) {
                throw new CardLeftException(lost);
            }
        }

        @Override
        public void disconnect(boolean powerOff) throws IOException {
            contact.close();
            gone = true;
        }
    }
}

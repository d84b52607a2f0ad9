package onetap;

import com.sun.jna.CallbackThreadInitializer;
import com.sun.jna.Pointer;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;

/** A reader of the app's, as the library calls it. It is kept until the library needs it no more. */
final class Port {
    private static final Set<Port> KEPT = ConcurrentHashMap.newKeySet();
    private static final int ATR_ROOM = 33;
    private static final int RESPONSE_ROOM = 65_538;

    final Native.Port port = new Native.Port();
    private volatile Throwable thrown;

    Port(CardPort card) {
        port.size = new Native.Size(port.size());
        port.present = (context, wait) -> ask(() -> card.present(Duration.ofMillis(wait)) ? 1 : 0);
        port.connect = (context, atr) -> ask(() -> give(card.connect(), atr, ATR_ROOM));
        port.transmit = (context, command, length, response) ->
                ask(() -> give(card.transmit(command.getByteArray(0, length.intValue())), response, RESPONSE_ROOM));
        port.disconnect = (context, powerOff) -> ask(() -> {
            card.disconnect(powerOff != 0);
            return 0;
        });
        port.release = context -> KEPT.remove(this);
        // The thread stays known to Java while the library uses it, and does not keep Java from ending.
        CallbackThreadInitializer stays = new CallbackThreadInitializer(true, false, "onetap");
        com.sun.jna.Callback[] all = {port.present, port.connect, port.transmit, port.disconnect, port.release};
        for (com.sun.jna.Callback callback : all) {
            com.sun.jna.Native.setCallbackThreadInitializer(callback, stays);
        }
        port.write();
        KEPT.add(this);
    }

    /** What the app's code threw last. */
    Throwable thrown() {
        return thrown;
    }

    /** No exception goes through C. */
    private int ask(Callable<Integer> work) {
        try {
            return work.call();
        } catch (CardPort.CardLeftException left) {
            return Native.CARD_LEFT;
        } catch (Throwable failure) {
            thrown = failure;
            return Native.FAILED;
        }
    }

    private static int give(byte[] bytes, Pointer to, int room) {
        if (bytes.length > room) {
            throw new IllegalArgumentException(bytes.length + " bytes are more than " + room);
        }
        to.write(0, bytes, 0, bytes.length);
        return bytes.length;
    }
}

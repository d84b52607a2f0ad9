package onetap;

import com.sun.jna.ptr.ByteByReference;
import com.sun.jna.ptr.PointerByReference;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;

/**
 * One payment, which runs by itself. Its events end with {@link Event.What#ENDED}; if it comes to no decision, an exception
 * says why. Only {@link OneTapException.Kind#UNKNOWN} leaves open whether money moved. Closing it before its end cancels it.
 */
public final class Payment implements AutoCloseable, Iterable<Event> {
    private final long handle;
    private final Port port;

    Payment(long handle, Port port) {
        this.handle = handle;
        this.port = port;
    }

    /** Waits for what happens next, so long; {@link Event.What#NOTHING} if nothing does. One thread at a time. */
    public Event next(Duration timeout) {
        return next(OneTap.millis(timeout));
    }

    private Event next(int millis) {
        PointerByReference event = new PointerByReference();
        int status = Native.C.onetap_next(handle, millis, event);
        if (status != 0) {
            OneTapException failure = OneTapException.of(status);
            if (failure.kind() == OneTapException.Kind.CALLBACK && port != null) {
                failure.initCause(port.thrown());
            }
            throw failure;
        }
        return Event.of(event.getValue());
    }

    /** The events up to the end. */
    @Override
    public Iterator<Event> iterator() {
        return new Iterator<>() {
            private boolean ended;

            @Override
            public boolean hasNext() {
                return !ended;
            }

            @Override
            public Event next() {
                if (ended) {
                    throw new NoSuchElementException();
                }
                Event event = Payment.this.next(Native.FOREVER);
                ended = event.what() == Event.What.ENDED;
                return event;
            }
        };
    }

    /**
     * Hands over what the holder typed on the terminal's keyboard. Nothing but what a person typed belongs here: it says that
     * the holder has seen what is paid.
     *
     * @return true if it was taken; false if the payment does not wait for it
     * @throws OneTapException {@link OneTapException.Kind#ARGUMENT} if it cannot be a joint password: ask the holder again
     */
    public boolean typeIn(String typed) {
        ByteByReference taken = new ByteByReference();
        OneTapException.check(Native.C.onetap_type_in(handle, typed, taken));
        return taken.getValue() != 0;
    }

    /**
     * Ends the payment at whatever step it is, from any thread, within a tenth of a second. Once the request is on its way, it
     * ends with {@link OneTapException.Kind#UNKNOWN}.
     */
    public void cancel() {
        OneTapException.check(Native.C.onetap_cancel(handle));
    }

    /** Once more does no harm. */
    @Override
    public void close() {
        Till.close(handle);
    }
}

package onetap;

import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.time.Duration;

/** Tells of readers and cards that come and go; first of those that are there already. */
public final class Watch implements AutoCloseable {
    private final long handle;

    /** What happened. */
    public enum Change {
        /** Nothing in the time that was given, or something that this package does not know yet. */
        NOTHING,
        /** The PC/SC service answers, or answers again. */
        SERVICE_UP,
        /** The PC/SC service is gone, and all readers with it. */
        SERVICE_DOWN,
        /** A reader was plugged in, or was there from the start. */
        READER_ADDED,
        /** A reader was unplugged. */
        READER_REMOVED,
        /** A card came. */
        CARD_INSERTED,
        /** A card left. */
        CARD_REMOVED
    }

    /**
     * What happened at a reader.
     *
     * @param reader its name; empty where there is none
     * @param atr the answer to reset of a card that came
     */
    public record Seen(Change change, String reader, byte[] atr) {}

    /** Starts watching. */
    public Watch() {
        LongByReference watch = new LongByReference();
        OneTapException.check(Native.C.onetap_watch(watch));
        handle = watch.getValue();
    }

    /** Waits for what happens next, so long. One thread at a time. */
    public Seen next(Duration timeout) {
        PointerByReference to = new PointerByReference();
        OneTapException.check(Native.C.onetap_watch_next(handle, OneTap.millis(timeout), to));
        Native.Noticed seen = new Native.Noticed(to.getValue());
        int length = seen.length.intValue();
        byte[] atr = length == 0 ? new byte[0] : seen.atr.getByteArray(0, length);
        return new Seen(OneTap.nth(Change.values(), seen.change), seen.reader, atr);
    }

    /** Once more does no harm. */
    @Override
    public void close() {
        Till.close(handle);
    }
}

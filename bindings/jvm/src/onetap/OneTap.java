package onetap;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;

/** What needs nothing that is open. */
public final class OneTap {
    private OneTap() {}

    /** Names of the connected readers; none is no error. */
    public static List<String> readers(Duration timeout) {
        PointerByReference names = new PointerByReference();
        Native.SizeByReference count = new Native.SizeByReference();
        OneTapException.check(Native.C.onetap_readers(millis(timeout), names, count));
        int found = count.value();
        return found == 0
                ? List.of()
                : List.of(names.getValue().getStringArray(0, found, StandardCharsets.UTF_8.name()));
    }

    /** A trace in words, a line for each event. */
    public static String showTrace(String trace) {
        PointerByReference shown = new PointerByReference();
        OneTapException.check(Native.C.onetap_trace_show(trace, shown));
        return text(shown.getValue());
    }

    /**
     * A trace as another program reads it.
     *
     * @param format {@code apdu4j}, {@code scriptor}, {@code satl} or {@code pcap}
     */
    public static byte[] exportTrace(String format, String trace) {
        PointerByReference written = new PointerByReference();
        Native.SizeByReference length = new Native.SizeByReference();
        OneTapException.check(Native.C.onetap_trace_export(format, trace, written, length));
        return written.getValue().getByteArray(0, length.value());
    }

    /**
     * A trace made of another program's log. Secrets are left out.
     *
     * @param format one of those of {@code onetap trace import}, such as {@code apdu4j}
     */
    public static String importTrace(String format, byte[] log, String description) {
        PointerByReference trace = new PointerByReference();
        OneTapException.check(
                Native.C.onetap_trace_import(format, log, new Native.Size(log.length), description, trace));
        return text(trace.getValue());
    }

    /** How many tills, payments and watches are open, to find out who forgets to close them. */
    public static int openHandles() {
        Native.SizeByReference count = new Native.SizeByReference();
        OneTapException.check(Native.C.onetap_count(count));
        return count.value();
    }

    static String text(Pointer at) {
        return at.getString(0, StandardCharsets.UTF_8.name());
    }

    /** As the library takes it; what is too long for it is for ever. */
    static int millis(Duration time) {
        if (time.isNegative()) {
            throw new IllegalArgumentException("a time below zero: " + time);
        }
        return time.compareTo(Duration.ofDays(49)) >= 0 ? Native.FOREVER : (int) time.toMillis();
    }

    /** The value of that number; the first, if it is a newer one. */
    static <T> T nth(T[] values, int number) {
        return values[number >= 0 && number < values.length ? number : 0];
    }
}

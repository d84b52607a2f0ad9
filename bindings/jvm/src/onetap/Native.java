package onetap;

import com.sun.jna.Callback;
import com.sun.jna.IntegerType;
import com.sun.jna.Library;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import com.sun.jna.ptr.ByteByReference;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** The library for C, as bindings/c/include/onetap.h has it. */
interface Native extends Library {
    Native C = load();

    private static Native load() {
        Map<String, ?> utf8 = Map.of(Library.OPTION_STRING_ENCODING, StandardCharsets.UTF_8.name());
        Native library = com.sun.jna.Native.load("onetap", Native.class, utf8);
        int version = library.onetap_version();
        if (version != VERSION) {
            throw new UnsatisfiedLinkError("libonetap has version " + version + ", and this needs " + VERSION);
        }
        return library;
    }

    int VERSION = 1;
    int FOREVER = -1;
    int CARD_LEFT = -1;
    int FAILED = -2;

    /** {@code size_t}. */
    final class Size extends IntegerType {
        private static final long serialVersionUID = 1;

        public Size() {
            this(0);
        }

        Size(long value) {
            super(com.sun.jna.Native.SIZE_T_SIZE, value, true);
        }
    }

    /** A place for a {@code size_t}. */
    final class SizeByReference extends com.sun.jna.ptr.ByReference {
        public SizeByReference() {
            super(com.sun.jna.Native.SIZE_T_SIZE);
        }

        int value() {
            Pointer at = getPointer();
            return com.sun.jna.Native.SIZE_T_SIZE == Long.BYTES ? Math.toIntExact(at.getLong(0)) : at.getInt(0);
        }
    }

    interface Present extends Callback {
        int call(Pointer context, int waitMillis);
    }

    interface Connect extends Callback {
        int call(Pointer context, Pointer atr);
    }

    interface Transmit extends Callback {
        int call(Pointer context, Pointer command, Size length, Pointer response);
    }

    interface Disconnect extends Callback {
        int call(Pointer context, byte powerOff);
    }

    interface Release extends Callback {
        void call(Pointer context);
    }

    @Structure.FieldOrder({"size", "context", "present", "connect", "transmit", "disconnect", "release"})
    class Port extends Structure {
        public Size size;
        public Pointer context;
        public Present present;
        public Connect connect;
        public Transmit transmit;
        public Disconnect disconnect;
        public Release release;
    }

    @Structure.FieldOrder({
        "size", "terminal", "server", "ca", "token", "certificate", "key", "journal", "reader", "port",
        "check", "tap", "removal", "holder", "sending", "trace", "strict", "record"
    })
    class Config extends Structure {
        public Size size;
        public String terminal;
        public String server;
        public String ca;
        public String token;
        public String certificate;
        public String key;
        public String journal;
        public String reader;
        public Pointer port;
        public int check;
        public int tap;
        public int removal;
        public int holder;
        public int sending;
        public String trace;
        public byte strict;
        public String record;
    }

    @Structure.FieldOrder({"topUp", "payeeAccount", "payeeName", "amount", "currency", "reference", "details"})
    class Txn extends Structure {
        public byte topUp;
        public String payeeAccount;
        public String payeeName;
        public String amount;
        public String currency;
        public String reference;
        public String details;

        public Txn() {}

        Txn(Pointer at) {
            super(at);
            read();
        }
    }

    @Structure.FieldOrder({
        "topUp", "minor", "currency", "payeeAccount", "payeeName", "reference", "executedAt", "acceptedFor"
    })
    class Slip extends Structure {
        public byte topUp;
        public long minor;
        public String currency;
        public String payeeAccount;
        public String payeeName;
        public String reference;
        public String executedAt;
        public String acceptedFor;

        Slip(Pointer at) {
            super(at);
            read();
        }
    }

    @Structure.FieldOrder({"result", "id", "receipt"})
    class End extends Structure {
        public int result;
        public String id;
        public Pointer receipt;

        End(Pointer at) {
            super(at);
            read();
        }
    }

    @Structure.FieldOrder({"what", "step", "left", "reader", "cause", "cure", "id", "transaction", "outcome"})
    class Told extends Structure {
        public int what;
        public int step;
        public int left;
        public String reader;
        public String cause;
        public String cure;
        public String id;
        public Pointer transaction;
        public Pointer outcome;

        Told(Pointer at) {
            super(at);
            read();
        }
    }

    @Structure.FieldOrder({"id", "begun", "transaction", "outcome"})
    class Kept extends Structure {
        public String id;
        public String begun;
        public Pointer transaction;
        public Pointer outcome;

        Kept(Pointer at) {
            super(at);
            read();
        }
    }

    @Structure.FieldOrder({"change", "reader", "atr", "length"})
    class Noticed extends Structure {
        public int change;
        public String reader;
        public Pointer atr;
        public Size length;

        Noticed(Pointer at) {
            super(at);
            read();
        }
    }

    int onetap_version();

    String onetap_cause();

    String onetap_cure();

    String onetap_cause_id();

    int onetap_count(SizeByReference count);

    int onetap_close(long handle);

    int onetap_readers(int timeoutMillis, PointerByReference names, SizeByReference count);

    int onetap_watch(LongByReference watch);

    int onetap_watch_next(long watch, int timeoutMillis, PointerByReference seen);

    int onetap_till(Config config, LongByReference till);

    int onetap_attempts(long till, PointerByReference attempts, SizeByReference count);

    int onetap_resolve(long till, String id, int timeoutMillis, PointerByReference outcome);

    int onetap_forget(long till, String id);

    int onetap_check(Txn transaction, PointerByReference checked);

    int onetap_json(byte[] json, Size length, PointerByReference transaction);

    int onetap_scan(byte[] content, Size length, String amount, String tip, PointerByReference transaction);

    int onetap_fetch(String url, String ca, PointerByReference transaction);

    int onetap_pay(long till, Txn transaction, String key, LongByReference payment);

    int onetap_next(long payment, int timeoutMillis, PointerByReference event);

    int onetap_type_in(long payment, String typed, ByteByReference taken);

    int onetap_cancel(long payment);

    int onetap_trace_show(String trace, PointerByReference shown);

    int onetap_trace_export(String format, String trace, PointerByReference written, SizeByReference length);

    int onetap_trace_import(String format, byte[] log, Size length, String description, PointerByReference trace);
}

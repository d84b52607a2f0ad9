package android.nfc;

/** As much of Android's class as the example needs. */
public final class NfcAdapter {
    private NfcAdapter() {}

    /** As Android's. */
    public interface ReaderCallback {
        /** As Android's. */
        void onTagDiscovered(Tag tag);
    }
}

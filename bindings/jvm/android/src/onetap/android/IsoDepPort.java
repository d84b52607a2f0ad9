package onetap.android;

import android.nfc.NfcAdapter;
import android.nfc.Tag;
import android.nfc.TagLostException;
import android.nfc.tech.IsoDep;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import onetap.CardPort;

/**
 * The NFC of a phone as the reader of a terminal. The app gives it to {@code NfcAdapter.enableReaderMode}, and to the till:
 *
 * <pre>
 * IsoDepPort port = new IsoDepPort();
 * adapter.enableReaderMode(activity, port, NfcAdapter.FLAG_READER_NFC_A | NfcAdapter.FLAG_READER_NFC_B
 *         | NfcAdapter.FLAG_READER_SKIP_NDEF_CHECK, null);
 * Till till = new Till.Config("POS00001", server).ca(ca).token(token).journal(folder).port(port).open();
 * </pre>
 */
public final class IsoDepPort implements CardPort, NfcAdapter.ReaderCallback {
    /** A card may take so long for one command, as it signs. */
    private static final int ANSWER_MILLIS = 5_000;

    private final LinkedBlockingQueue<Tag> found = new LinkedBlockingQueue<>();
    private IsoDep card;

    /** Android has found a tag. */
    @Override
    public void onTagDiscovered(Tag tag) {
        found.add(tag);
    }

    @Override
    public boolean present(Duration wait) throws InterruptedException {
        if (card != null && !card.isConnected()) {
            card = null;
        }
        if (card == null) {
            Tag tag = found.poll(wait.toMillis(), TimeUnit.MILLISECONDS);
            card = tag == null ? null : IsoDep.get(tag);
            return card != null;
        }
        return true;
    }

    /** There is no answer to reset; without one, commands stay short, which every phone and card can do. */
    @Override
    public byte[] connect() throws IOException {
        try {
            card.connect();
            card.setTimeout(ANSWER_MILLIS);
            return new byte[0];
        } catch (IOException lost) {
            throw new CardLeftException(lost);
        }
    }

    @Override
    public byte[] transmit(byte[] command) throws IOException {
        try {
            return card.transceive(command);
        } catch (TagLostException lost) {
            throw new CardLeftException(lost);
        }
    }

    /** The field stays on until the card leaves; closing takes it away. */
    @Override
    public void disconnect(boolean powerOff) throws IOException {
        if (powerOff) {
            card.close();
        }
    }
}

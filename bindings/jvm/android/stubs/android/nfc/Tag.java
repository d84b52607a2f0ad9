package android.nfc;

/** As much of Android's class as the example needs; here a tag is a card behind a socket. */
public final class Tag {
    /** Where the card is. */
    public final int port;

    /** For that card. */
    public Tag(int port) {
        this.port = port;
    }
}

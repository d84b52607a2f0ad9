package android.nfc;

import java.io.IOException;

/** As Android's. */
public class TagLostException extends IOException {
    private static final long serialVersionUID = 1;
}

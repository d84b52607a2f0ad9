package onetap;

import java.io.IOException;
import java.time.Duration;

/**
 * A reader of the app's own, such as a phone's NFC. Its functions are called on threads of the library, one at a time, and
 * should return within a second. What they throw ends the payment with {@link OneTapException.Kind#CALLBACK}; {@link
 * CardLeftException} lets the holder tap again.
 */
public interface CardPort {
    /** The card has left; it may be tapped again. */
    final class CardLeftException extends IOException {
        private static final long serialVersionUID = 1;

        /** With the reader's own error, or null. */
        public CardLeftException(Throwable cause) {
            super("the card has left", cause);
        }
    }

    /** Waits at most so long for a card; true while one is there. */
    boolean present(Duration wait) throws Exception;

    /** Begins a contact; gives the answer to reset, or nothing where there is none: then commands are short. */
    byte[] connect() throws Exception;

    /** Sends one command APDU, gets one response APDU. */
    byte[] transmit(byte[] command) throws Exception;

    /** Ends the contact; with {@code powerOff} the card has to lose its power. */
    void disconnect(boolean powerOff) throws Exception;
}

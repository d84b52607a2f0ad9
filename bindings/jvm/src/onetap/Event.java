package onetap;

import com.sun.jna.Pointer;
import java.time.Duration;

/**
 * What happened in a payment. What does not belong to an event is empty or null.
 *
 * @param what what happened
 * @param step the step that began
 * @param left time left: of the step that began, to tap again, or to repeat
 * @param reader the reader that a card was found in
 * @param cause why to tap again, or why to repeat
 * @param cure what to do about it
 * @param id the id that the signed transaction has, or will have, at the server
 * @param transaction what the card signed, and shows to its holder
 * @param outcome how it ended
 */
public record Event(
        What what,
        Step step,
        Duration left,
        String reader,
        String cause,
        String cure,
        String id,
        Transaction transaction,
        Outcome outcome) {

    /** What an event tells. */
    public enum What {
        /** Nothing happened in the time that was given, or something that this package does not know yet. */
        NOTHING,
        /** A step began. */
        BEGAN,
        /** A card lies in a reader, and is asked to sign. */
        CARD_FOUND,
        /** The card left or failed, and has to be tapped again. */
        TAP_AGAIN,
        /** The card has signed; nothing was sent yet. */
        SIGNED,
        /** The request will be repeated. */
        RETRYING,
        /** The server has decided; nothing follows. */
        ENDED
    }

    /** What a payment is doing. */
    public enum Step {
        /** No step. */
        NONE,
        /** Asks the server whether a payment can be made. */
        CHECK,
        /** Waits for a card, which signs. */
        TAP,
        /** Waits for the card to leave: only then its display shows what it signed. */
        REMOVAL,
        /** Waits for what the holder types. */
        HOLDER,
        /** Waits for the server's decision. */
        SENDING
    }

    static Event of(Pointer at) {
        Native.Told told = new Native.Told(at);
        return new Event(OneTap.nth(What.values(), told.what), OneTap.nth(Step.values(), told.step),
                Duration.ofMillis(Integer.toUnsignedLong(told.left)), told.reader, told.cause, told.cure, told.id,
                Transaction.of(told.transaction), Outcome.of(told.outcome));
    }
}

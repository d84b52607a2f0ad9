package onetap;

import com.sun.jna.Pointer;

/**
 * A payment that was sent, and that the app is not done with.
 *
 * @param id by which it is resolved and forgotten
 * @param begun when it was begun, by the terminal's clock
 * @param transaction what was to be paid; null if it cannot be read any more
 * @param outcome how it ended; null if that is not known
 */
public record Attempt(String id, String begun, Transaction transaction, Outcome outcome) {
    static Attempt of(Pointer at) {
        Native.Kept kept = new Native.Kept(at);
        return new Attempt(kept.id, kept.begun, Transaction.of(kept.transaction), Outcome.of(kept.outcome));
    }
}

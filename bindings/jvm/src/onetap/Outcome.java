package onetap;

import com.sun.jna.Pointer;

/**
 * How a payment ended.
 *
 * @param result in a word
 * @param id the transaction's id at the server
 * @param receipt what was executed; null if nothing was
 */
public record Outcome(Result result, String id, Receipt receipt) {
    /** What became of a transaction. */
    public enum Result {
        /** One that this package does not know yet. */
        OTHER,
        /** Executed, once. */
        EXECUTED,
        /** Not executed. Which of signature, password, counter, payee, date or lock was wrong is not told. */
        REFUSED,
        /** Not executed: the balance is too small. */
        INSUFFICIENT_FUNDS,
        /** Not executed: the amount is over a limit. */
        LIMIT_EXCEEDED,
        /** Not executed, and never will be. Only resolving gives this. */
        CANCELLED
    }

    /**
     * What was executed.
     *
     * @param minor amount in minor units of the currency
     * @param executedAt moment of execution by the server's clock, as {@code 2026-07-01T12:00:00Z}
     * @param acceptedFor the other system that has yet to book it; empty if it is booked
     */
    public record Receipt(
            boolean topUp,
            long minor,
            String currency,
            String payeeAccount,
            String payeeName,
            String reference,
            String executedAt,
            String acceptedFor) {}

    static Outcome of(Pointer at) {
        if (at == null) {
            return null;
        }
        Native.End end = new Native.End(at);
        Receipt receipt = null;
        if (end.receipt != null) {
            Native.Slip slip = new Native.Slip(end.receipt);
            receipt = new Receipt(slip.topUp != 0, slip.minor, slip.currency, slip.payeeAccount, slip.payeeName,
                    slip.reference, slip.executedAt, slip.acceptedFor);
        }
        return new Outcome(OneTap.nth(Result.values(), end.result), end.id, receipt);
    }
}

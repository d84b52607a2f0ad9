package onetap;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;
import java.util.Objects;

/**
 * What is to be paid.
 *
 * @param payeeAccount IBAN, or digits ending in their Luhn check digit
 * @param payeeName whom the card names to its holder
 * @param amount in major units, such as {@code 12.34}
 * @param currency ISO 4217, such as {@code EUR}
 * @param reference the payee's reference
 * @param details more for the holder to read; may be empty
 * @param topUp puts money on the card's own stored value instead of paying
 */
public record Transaction(
        String payeeAccount,
        String payeeName,
        String amount,
        String currency,
        String reference,
        String details,
        boolean topUp) {

    /** Without null. */
    public Transaction {
        for (String field : new String[] {payeeAccount, payeeName, amount, currency, reference, details}) {
            Objects.requireNonNull(field);
        }
    }

    /** A payment without details. */
    public Transaction(String payeeAccount, String payeeName, String amount, String currency, String reference) {
        this(payeeAccount, payeeName, amount, currency, reference, "", false);
    }

    static Transaction of(Pointer at) {
        if (at == null) {
            return null;
        }
        Native.Txn txn = new Native.Txn(at);
        return new Transaction(txn.payeeAccount, txn.payeeName, txn.amount, txn.currency, txn.reference, txn.details,
                txn.topUp != 0);
    }

    Native.Txn txn() {
        Native.Txn txn = new Native.Txn();
        txn.topUp = (byte) (topUp ? 1 : 0);
        txn.payeeAccount = payeeAccount;
        txn.payeeName = payeeName;
        txn.amount = amount;
        txn.currency = currency;
        txn.reference = reference;
        txn.details = details;
        return txn;
    }

    /** Checks every field, and gives the transaction as it will be signed. */
    public Transaction checked() {
        PointerByReference to = new PointerByReference();
        OneTapException.check(Native.C.onetap_check(txn(), to));
        return of(to.getValue());
    }

    /** Reads a transaction in JSON (docs/spec/transaction.schema.json). */
    public static Transaction fromJson(byte[] json) {
        PointerByReference to = new PointerByReference();
        OneTapException.check(Native.C.onetap_json(json, new Native.Size(json.length), to));
        return of(to.getValue());
    }

    /**
     * Reads what a scanner gives: the content of an EPC or EMVCo code, or a picture of one in PNG or JPEG.
     *
     * @param amount what the payer says where the code leaves it to him ({@link OneTapException.Kind#AMOUNT_MISSING}), or null
     * @param tip likewise
     */
    public static Transaction fromScan(byte[] content, String amount, String tip) {
        PointerByReference to = new PointerByReference();
        OneTapException.check(Native.C.onetap_scan(content, new Native.Size(content.length), amount, tip, to));
        return of(to.getValue());
    }

    /**
     * Fetches a transaction in JSON, within ten seconds.
     *
     * @param ca trusted for the host's certificate, in PEM; null for those that the system trusts
     */
    public static Transaction fromUrl(String url, String ca) {
        PointerByReference to = new PointerByReference();
        OneTapException.check(Native.C.onetap_fetch(url, ca, to));
        return of(to.getValue());
    }
}

//! Every data object of the command set: tag, name, format and where the tag comes from.
//!
//! Tags are EMV's where EMV has one (EMV Book 3, Annex A), ISO/IEC 7816's where that has one; the
//! rest are private-class tags DF20 and up.

use crate::tlv::Tag;

/// One row of the table of data objects.
#[derive(Debug, Clone, Copy)]
pub struct DataObject {
    /// The tag.
    pub tag: Tag,
    /// Name, in the field's terms.
    pub name: &'static str,
    /// Format: n = BCD digits, an = letters and digits, b = bytes, utf8 = text; with length.
    pub format: &'static str,
    /// Where the tag is from.
    pub source: &'static str,
}

/// Transaction message T (template).
pub const TRANSACTION: Tag = Tag(0xE1);
/// Signature message (template): header, then signature.
pub const SIGNATURE_MESSAGE: Tag = Tag(0xE2);
/// File control information (template).
pub const FCI: Tag = Tag(0x6F);
/// Application identifier.
pub const AID_NAME: Tag = Tag(0x84);
/// FCI proprietary template.
pub const FCI_PROPRIETARY: Tag = Tag(0xA5);
/// Application version number.
pub const VERSION: Tag = Tag(0x9F08);
/// Transaction type.
pub const TRANSACTION_TYPE: Tag = Tag(0x9C);
/// Payer alias.
pub const PAYER_ALIAS: Tag = Tag(0x9F24);
/// Payee account.
pub const PAYEE_ACCOUNT: Tag = Tag(0x5F53);
/// Payee name.
pub const PAYEE_NAME: Tag = Tag(0x9F4E);
/// Amount.
pub const AMOUNT: Tag = Tag(0x9F02);
/// Currency.
pub const CURRENCY: Tag = Tag(0x5F2A);
/// Date.
pub const DATE: Tag = Tag(0x9A);
/// Time.
pub const TIME: Tag = Tag(0x9F21);
/// Terminal identification.
pub const TERMINAL_ID: Tag = Tag(0x9F1C);
/// Unpredictable number.
pub const UNPREDICTABLE_NUMBER: Tag = Tag(0x9F37);
/// Reference.
pub const REFERENCE: Tag = Tag(0xDF20);
/// Details.
pub const DETAILS: Tag = Tag(0xDF21);
/// Header H.
pub const HEADER: Tag = Tag(0xDF22);
/// Digital signature.
pub const SIGNATURE: Tag = Tag(0x5F3D);
/// Encrypted joint password E.
pub const ENCRYPTED_PASSWORD: Tag = Tag(0xDF23);
/// Digest of the encrypted joint password, D(E).
pub const ENCRYPTED_PASSWORD_DIGEST: Tag = Tag(0xDF24);
/// Keyed digest of the joint password, D(pw).
pub const PASSWORD_DIGEST: Tag = Tag(0xDF25);
/// Card status.
pub const CARD_STATUS: Tag = Tag(0xDF26);

const EMV: &str = "EMV Book 3, Annex A";
const ISO: &str = "ISO/IEC 7816-4";
const OWN: &str = "this specification";

const fn row(tag: Tag, name: &'static str, format: &'static str, source: &'static str) -> DataObject {
    DataObject { tag, name, format, source }
}

/// All data objects.
pub const DATA_OBJECTS: &[DataObject] = &[
    row(FCI, "FCI template", "84, A5", ISO),
    row(AID_NAME, "application identifier (AID)", "b 8", ISO),
    row(FCI_PROPRIETARY, "FCI proprietary template", "9F08", ISO),
    row(VERSION, "application version number", "b 2", EMV),
    row(TRANSACTION, "transaction message T (template)", "up to 640 bytes", OWN),
    row(TRANSACTION_TYPE, "transaction type", "n 2: 00 payment, 28 top-up", EMV),
    row(PAYER_ALIAS, "payer alias (payment account reference)", "an 16", EMV),
    row(PAYEE_ACCOUNT, "payee account", "an 8 … 34: an IBAN, or digits with a Luhn check digit", EMV),
    row(PAYEE_NAME, "payee name (merchant name)", "utf8, 1 … 70 columns", EMV),
    row(AMOUNT, "amount, authorised, in minor units", "n 12, not zero", EMV),
    row(CURRENCY, "transaction currency code (ISO 4217)", "n 3", EMV),
    row(DATE, "transaction date, UTC", "n 6: YYMMDD", EMV),
    row(TIME, "transaction time, UTC", "n 6: hhmmss", EMV),
    row(TERMINAL_ID, "terminal identification", "an 8", EMV),
    row(UNPREDICTABLE_NUMBER, "unpredictable number of the terminal", "b 4", EMV),
    row(REFERENCE, "reference", "utf8, 1 … 35 columns", OWN),
    row(DETAILS, "details (optional)", "utf8, 1 … 140 columns", OWN),
    row(SIGNATURE_MESSAGE, "signature message (template)", "DF22, 5F3D", OWN),
    row(HEADER, "header H", "b 39", OWN),
    row(SIGNATURE, "digital signature", "b 256, 384 or 512; 64 with ecdsa", "ISO/IEC 7816-6"),
    row(ENCRYPTED_PASSWORD, "encrypted joint password E", "b, by encryption method", OWN),
    row(ENCRYPTED_PASSWORD_DIGEST, "digest of E, D(E)", "b, by digest method", OWN),
    row(PASSWORD_DIGEST, "keyed digest of the joint password, D(pw)", "b, by digest method", OWN),
    row(CARD_STATUS, "card status: state, unconfirmed transactions, flags", "b 3", OWN),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_distinct() {
        for (i, row) in DATA_OBJECTS.iter().enumerate() {
            assert!(DATA_OBJECTS[..i].iter().all(|other| other.tag != row.tag), "{}", row.tag);
        }
    }
}

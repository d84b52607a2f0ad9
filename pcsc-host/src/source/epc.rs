//! The EPC QR code: a SEPA credit transfer as a code on goods or a bill (European Payments Council,
//! EPC069-12, "Quick Response Code: Guidelines to Enable Data Capture for the Initiation of a SEPA
//! Credit Transfer"). Strict: only UTF-8, only with an amount, nothing cut or guessed.

use onetap_apdu_spec::txn::TransactionType;

use super::{Draft, Fields, SourceError, TransactionSource};

/// Longest payload that the guidelines allow.
const MAX_PAYLOAD: usize = 331;
/// The reference of a SEPA transfer that has none.
const NO_REFERENCE: &str = "NOTPROVIDED";
/// Elements of the code, one a line.
const MAX_LINES: usize = 12;

/// The text of a scanned EPC QR code.
#[derive(Debug, Clone, Copy)]
pub struct EpcQr<'a>(pub &'a str);

/// Why a scanned text is no usable EPC QR code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EpcError {
    /// Longer than the guidelines allow.
    #[error("{0} bytes; at most {MAX_PAYLOAD} are allowed")]
    TooLong(usize),
    /// The first line is not BCD.
    #[error("it does not begin with BCD")]
    ServiceTag,
    /// A version other than 001 and 002.
    #[error("its version is neither 001 nor 002")]
    Version,
    /// A character set other than UTF-8.
    #[error("its character set is not UTF-8")]
    CharacterSet,
    /// Not a SEPA credit transfer.
    #[error("it is not a SEPA credit transfer (SCT)")]
    Identification,
    /// No or a malformed BIC.
    #[error("its BIC is missing or malformed")]
    Bic,
    /// The account is not written as an IBAN without spaces.
    #[error("its account is not an IBAN")]
    Iban,
    /// No amount, or not in the form EUR12.34.
    #[error("its amount is missing or not in the form EUR12.34")]
    Amount,
    /// The purpose is not 1-4 capital letters or digits.
    #[error("its purpose code is malformed")]
    Purpose,
    /// Both a structured and an unstructured remittance information.
    #[error("it holds both a reference and a text for the payee; only one is allowed")]
    TwoRemittances,
    /// The note to the payer is longer than 70 characters.
    #[error("its note to the payer is too long")]
    Note,
    /// More lines than elements.
    #[error("it has lines too many")]
    Lines,
}

impl TransactionSource for EpcQr<'_> {
    fn draft(&self) -> Result<Draft, SourceError> {
        self.fields()?.draft()
    }
}

impl EpcQr<'_> {
    /// The fields of the code: the structured reference becomes the reference, the unstructured
    /// remittance information the details.
    ///
    /// # Errors
    /// [`EpcError`].
    pub fn fields(&self) -> Result<Fields, EpcError> {
        let lines = self.lines()?;
        let [_, version, _, _, bic, name, iban, amount, purpose, structured, text, note] = lines;
        check_head(&lines)?;
        check_bic(bic, version)?;
        if !iban.starts_with(|c: char| c.is_ascii_uppercase()) || iban.contains(' ') {
            return Err(EpcError::Iban);
        }
        let amount = amount.strip_prefix("EUR").filter(|a| !a.is_empty()).ok_or(EpcError::Amount)?;
        if !(purpose.len() <= 4 && purpose.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())) {
            return Err(EpcError::Purpose);
        }
        if !structured.is_empty() && !text.is_empty() {
            return Err(EpcError::TwoRemittances);
        }
        if note.chars().count() > 70 {
            return Err(EpcError::Note);
        }
        let reference = if structured.is_empty() { NO_REFERENCE } else { structured };
        Ok(Fields {
            kind: TransactionType::Payment,
            payee_account: iban.to_owned(),
            payee_name: name.to_owned(),
            amount: amount.to_owned(),
            currency: "EUR".to_owned(),
            reference: reference.to_owned(),
            details: (!text.is_empty()).then(|| text.to_owned()),
        })
    }

    /// The elements; those left out at the end are empty. Lines end in LF or CR LF.
    fn lines(&self) -> Result<[&str; MAX_LINES], EpcError> {
        if self.0.len() > MAX_PAYLOAD {
            return Err(EpcError::TooLong(self.0.len()));
        }
        let mut out = [""; MAX_LINES];
        for (i, line) in self.0.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            match out.get_mut(i) {
                Some(element) => *element = line,
                None if line.is_empty() && i == MAX_LINES => {}
                None => return Err(EpcError::Lines),
            }
        }
        Ok(out)
    }
}

fn check_head(lines: &[&str; MAX_LINES]) -> Result<(), EpcError> {
    let [service_tag, version, character_set, identification, ..] = *lines;
    match () {
        () if service_tag != "BCD" => Err(EpcError::ServiceTag),
        () if !matches!(version, "001" | "002") => Err(EpcError::Version),
        () if character_set != "1" => Err(EpcError::CharacterSet),
        () if identification != "SCT" => Err(EpcError::Identification),
        () => Ok(()),
    }
}

/// ISO 9362: 8 or 11 capital letters and digits. Version 002 may leave it out.
fn check_bic(bic: &str, version: &str) -> Result<(), EpcError> {
    let well_formed =
        matches!(bic.len(), 8 | 11) && bic.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let left_out = bic.is_empty() && version == "002";
    if well_formed || left_out { Ok(()) } else { Err(EpcError::Bic) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::Field;

    /// The example of EPC069-12, annex, in version 002 and with an amount of our own.
    const GOOD: &str =
        "BCD\n002\n1\nSCT\nBPOTBEB1\nRed Cross\nBE72000000001616\nEUR1.05\nCHAR\n\nUrgency fund\nSample note";

    fn with(line: usize, text: &str) -> String {
        let mut lines: Vec<_> = GOOD.split('\n').collect();
        lines[line - 1] = text;
        lines.join("\n")
    }

    #[test]
    fn p_02_a_scanned_code_becomes_a_draft() {
        let draft = EpcQr(GOOD).draft().unwrap();
        assert_eq!(draft.payee_account.as_str(), "BE72000000001616");
        assert_eq!(draft.payee_name.as_str(), "Red Cross");
        assert_eq!(draft.amount.to_string(), "1.05 EUR");
        assert_eq!(draft.reference.as_str(), "NOTPROVIDED");
        assert_eq!(draft.details.unwrap().as_str(), "Urgency fund");
    }

    #[test]
    fn what_may_be_left_out_may() {
        let short =
            "BCD\r\n002\r\n1\r\nSCT\r\n\r\nRed Cross\r\nBE72000000001616\r\nEUR1\r\n\r\nRF18539007547034\r\n";
        let draft = EpcQr(short).draft().unwrap();
        assert_eq!((draft.reference.as_str(), draft.details), ("RF18539007547034", None));
    }

    #[test]
    fn each_wrong_element_is_named() {
        for (line, text, error) in [
            (1, "ABC", EpcError::ServiceTag),
            (1, " BCD", EpcError::ServiceTag),
            (2, "003", EpcError::Version),
            (3, "2", EpcError::CharacterSet),
            (4, "INST", EpcError::Identification),
            (5, "bpotbeb1", EpcError::Bic),
            (7, "79927398713", EpcError::Iban),
            (7, "BE72 0000 0000 1616", EpcError::Iban),
            (8, "", EpcError::Amount),
            (8, "1.05", EpcError::Amount),
            (8, "USD1.05", EpcError::Amount),
            (9, "CHARI", EpcError::Purpose),
            (10, "RF18539007547034", EpcError::TwoRemittances),
            (12, &"n".repeat(71), EpcError::Note),
            (12, "note\nmore", EpcError::Lines),
        ] {
            assert_eq!(EpcQr(&with(line, text)).fields().unwrap_err(), error, "line {line}: {text}");
        }
        assert_eq!(EpcQr(&with(2, "001").replace("BPOTBEB1", "")).fields(), Err(EpcError::Bic));
        assert_eq!(EpcQr(&"B".repeat(332)).fields(), Err(EpcError::TooLong(332)));
    }

    #[test]
    fn nothing_is_cut_or_guessed() {
        for (line, text, field) in [
            (6, "A name with a Cyrillic \u{43E} in C\u{43E}ffee", Field::PayeeName),
            (7, "BE72000000001617", Field::PayeeAccount),
            (8, "EUR1.051", Field::Amount),
            (8, "EUR0.00", Field::Amount),
            (8, "EUR1,05", Field::Amount),
            (11, "Urgency\u{202E}fund", Field::Details),
        ] {
            match EpcQr(&with(line, text)).draft() {
                Err(SourceError::Fields(errors)) => assert_eq!(errors.0[0].0, field, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in "[A-Z0-9\\n\\r .€]{0,400}") {
            let _ = EpcQr(&text).draft();
            let _ = EpcQr(&format!("BCD\n002\n1\nSCT\n{text}")).draft();
        }

        #[test]
        fn amounts_arrive_exactly(cents in 1..99_999_999_999u64) {
            let code = with(8, &format!("EUR{}.{:02}", cents / 100, cents % 100));
            prop_assert_eq!(EpcQr(&code).draft().unwrap().amount.minor(), cents);
        }
    }
}

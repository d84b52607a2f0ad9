//! The EPC QR code: a SEPA credit transfer as a code on goods or a bill (European Payments Council, EPC069-12,
//! "Quick Response Code: Guidelines to Enable Data Capture for the Initiation of a SEPA Credit Transfer").
//! Nothing is cut or guessed.

use onetap_apdu_spec::foreign::unframed;
use onetap_apdu_spec::txn::TransactionType;

use super::Fields;
use super::charset::CharacterSet;

/// Largest content that the guidelines allow, in bytes.
const MAX_CONTENT: usize = 331;
/// Most digits of an amount before its decimal point.
const MAX_EUROS: usize = 9;
/// The reference of a SEPA transfer that has none.
pub(super) const NO_REFERENCE: &str = "NOTPROVIDED";
/// Elements of the code, one a line.
const MAX_LINES: usize = 12;

/// Which line of an EPC QR code is wrong, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EpcError {
    /// Longer than the guidelines allow.
    #[error("it has {0} bytes; at most {MAX_CONTENT} are allowed")]
    TooLong(usize),
    /// The first line begins with BCD, but is not BCD.
    #[error("line 1, the service tag, is not BCD")]
    ServiceTag,
    /// A version other than 001 and 002.
    #[error("line 2, the version, is neither 001 nor 002")]
    Version,
    /// A character set other than 1 to 8.
    #[error("line 3, the character set, is not 1 to 8")]
    CharacterSet,
    /// The bytes are not of the character set that the code names.
    #[error("its bytes are not of the character set that its line 3 names")]
    OtherSet,
    /// Not a SEPA credit transfer.
    #[error("line 4, the identification, is not SCT")]
    Identification,
    /// No or a malformed BIC.
    #[error("line 5, the BIC, is missing or malformed")]
    Bic,
    /// The account is not written as an IBAN without spaces.
    #[error("line 7, the account, is not an IBAN")]
    Iban,
    /// An amount that is not in the form EUR12.34.
    #[error("line 8, the amount, is not in the form EUR12.34")]
    Amount,
    /// The purpose is not 1-4 capital letters or digits.
    #[error("line 9, the purpose code, is malformed")]
    Purpose,
    /// A creditor reference (ISO 11649) with wrong check digits or of a wrong form.
    #[error("line 10, the creditor reference (RF…), has wrong check digits or a wrong form (ISO 11649)")]
    Reference,
    /// Both a structured and an unstructured remittance information.
    #[error("lines 10 and 11 hold both a reference and a text for the payee; only one is allowed")]
    TwoRemittances,
    /// The note to the payer is longer than 70 characters.
    #[error("line 12, the note to the payer, is longer than 70 characters")]
    Note,
    /// More lines than elements.
    #[error("it has more than {MAX_LINES} lines")]
    Lines,
}

/// The text of a code's bytes, without blank lines at its end.
pub(super) fn text(content: &[u8]) -> Result<String, EpcError> {
    let third = content.split(|byte| *byte == b'\n').nth(2).unwrap_or_default();
    let set =
        CharacterSet::from_digit(third.strip_suffix(b"\r").unwrap_or(third)).ok_or(EpcError::CharacterSet)?;
    let text = set.decode(content).ok_or(EpcError::OtherSet)?;
    let text = unframed(&text);
    match set.size_of(text) {
        ..=MAX_CONTENT => Ok(text.to_owned()),
        size => Err(EpcError::TooLong(size)),
    }
}

/// The fields of the code: the structured reference becomes the reference, the unstructured remittance information
/// the details. An amount that is left out is empty.
pub(super) fn fields(text: &str) -> Result<Fields, EpcError> {
    let lines = lines(text)?;
    let [_, version, _, _, bic, name, iban, amount, purpose, structured, text, note] = lines;
    check_head(&lines)?;
    check_bic(bic, version)?;
    if !iban.starts_with(|c: char| c.is_ascii_uppercase()) || iban.contains(' ') {
        return Err(EpcError::Iban);
    }
    let amount = euros(amount)?;
    if !(purpose.len() <= 4 && purpose.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())) {
        return Err(EpcError::Purpose);
    }
    if structured.starts_with("RF") && !is_creditor_reference(structured) {
        return Err(EpcError::Reference);
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

/// The elements; those left out at the end are empty.
fn lines(text: &str) -> Result<[&str; MAX_LINES], EpcError> {
    let mut out = [""; MAX_LINES];
    for (i, line) in text.lines().enumerate() {
        *out.get_mut(i).ok_or(EpcError::Lines)? = line;
    }
    Ok(out)
}

fn check_head(lines: &[&str; MAX_LINES]) -> Result<(), EpcError> {
    let [service_tag, version, _, identification, ..] = *lines;
    match () {
        () if service_tag != "BCD" => Err(EpcError::ServiceTag),
        () if !matches!(version, "001" | "002") => Err(EpcError::Version),
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

/// The amount without its currency; empty if the code leaves it to the payer.
fn euros(line: &str) -> Result<&str, EpcError> {
    if line.is_empty() {
        return Ok(line);
    }
    let amount = line.strip_prefix("EUR").ok_or(EpcError::Amount)?;
    let (major, cents) = amount.split_once('.').unwrap_or((amount, "0"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let fits = (1..=MAX_EUROS).contains(&major.len()) && (1..=2).contains(&cents.len());
    if fits && digits(major) && digits(cents) { Ok(amount) } else { Err(EpcError::Amount) }
}

/// ISO 11649: `RF`, two check digits (ISO/IEC 7064 MOD 97-10, so 02 to 98), 1 to 21 letters and digits. Spaces
/// between groups are for readers.
fn is_creditor_reference(text: &str) -> bool {
    let electronic: String = text.chars().filter(|c| *c != ' ').collect();
    let Some((check, content)) = electronic.strip_prefix("RF").and_then(|rest| rest.split_at_checked(2))
    else {
        return false;
    };
    let fits = (1..=21).contains(&content.len()) && content.bytes().all(|b| b.is_ascii_alphanumeric());
    let value = |rest: u32, c: char| {
        let digit = c.to_digit(36).unwrap_or(0);
        (rest * if digit < 10 { 10 } else { 100 } + digit) % 97
    };
    fits && check == format!("{:02}", 98 - format!("{content}RF00").chars().fold(0, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::code::{CodeError, read};
    use crate::source::{Draft, Field, Scanned};

    /// The example of EPC069-12, annex, in version 002 and with an amount of our own.
    const GOOD: &str =
        "BCD\n002\n1\nSCT\nBPOTBEB1\nRed Cross\nBE72000000001616\nEUR1.05\nCHAR\n\nUrgency fund\nSample note";

    fn with(line: usize, text: &str) -> String {
        let mut lines: Vec<_> = GOOD.split('\n').collect();
        lines[line - 1] = text;
        lines.join("\n")
    }

    fn complete(content: &[u8]) -> Draft {
        read(content).unwrap().fill(None, None).unwrap()
    }

    #[test]
    fn p_02_a_scanned_code_becomes_a_draft() {
        let draft = complete(GOOD.as_bytes());
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
        let draft = complete(short.as_bytes());
        assert_eq!((draft.reference.as_str(), draft.details), ("RF18539007547034", None));
    }

    #[test]
    fn a_code_without_an_amount_leaves_it_to_the_payer() {
        let Scanned::Open(open) = read(with(8, "").as_bytes()).unwrap() else { panic!("it is complete") };
        assert_eq!((open.payee_name().as_str(), open.currency().code()), ("Red Cross", "EUR"));
        assert_eq!(open.amount(), None);
        assert_eq!(open.fill(Some("25"), None).unwrap().amount.to_string(), "25.00 EUR");
    }

    #[test]
    fn a_mark_before_the_text_and_blank_lines_behind_it_do_no_harm() {
        for framed in [
            format!("\u{FEFF}{GOOD}"),
            format!("{GOOD}\n\n\n\n"),
            format!("{}\r\n \r\n", GOOD.replace('\n', "\r\n")),
        ] {
            assert_eq!(read(framed.as_bytes()), read(GOOD.as_bytes()));
        }
    }

    /// The bytes are from Python's codecs.
    #[test]
    fn names_are_read_in_the_set_that_the_code_names() {
        let latin2 =
            [&b"BCD\n002\n3\nSCT\n\n"[..], b"\xa3\xf3d\xbc \xc8esk\xfd", b"\nBE72000000001616\nEUR1"]
                .concat();
        assert_eq!(complete(&latin2).payee_name.as_str(), "Łódź Český");
        let decoded = with(3, "3").replace("Red Cross", "Łódź Český");
        assert_eq!(complete(decoded.as_bytes()).payee_name.as_str(), "Łódź Český");
        let mislabelled = with(3, "1").into_bytes().into_iter().map(|b| if b == b'R' { 0xE9 } else { b });
        let mislabelled: Vec<u8> = mislabelled.collect();
        assert_eq!(read(&mislabelled), Err(EpcError::OtherSet.into()));
    }

    #[test]
    fn each_wrong_element_is_named() {
        for (line, text, error) in [
            (1, "BCD ", EpcError::ServiceTag),
            (2, "003", EpcError::Version),
            (3, "9", EpcError::CharacterSet),
            (4, "INST", EpcError::Identification),
            (5, "bpotbeb1", EpcError::Bic),
            (7, "79927398713", EpcError::Iban),
            (7, "BE72 0000 0000 1616", EpcError::Iban),
            (8, "1.05", EpcError::Amount),
            (8, "USD1.05", EpcError::Amount),
            (8, "EUR", EpcError::Amount),
            (8, "EUR1,05", EpcError::Amount),
            (8, "EUR1.", EpcError::Amount),
            (8, "EUR1.051", EpcError::Amount),
            (8, "EUR1000000000", EpcError::Amount),
            (9, "CHARI", EpcError::Purpose),
            (10, "RF18539007547034", EpcError::TwoRemittances),
            (12, &"n".repeat(71), EpcError::Note),
            (12, "note\nmore", EpcError::Lines),
        ] {
            assert_eq!(read(with(line, text).as_bytes()), Err(error.into()), "line {line}: {text}");
        }
        assert_eq!(read(with(2, "001").replace("BPOTBEB1", "").as_bytes()), Err(EpcError::Bic.into()));
        let long = with(12, &"n".repeat(MAX_CONTENT));
        assert!(matches!(read(long.as_bytes()), Err(CodeError::Epc(EpcError::TooLong(_)))));
    }

    /// The first is ISO 11649's own example; the others' check digits are from a Python one-liner.
    #[test]
    fn check_digits_of_a_creditor_reference_are_checked() {
        let reference = |text: &str| read(with(10, text).replace("Urgency fund", "").as_bytes()).map(drop);
        for good in
            ["RF18539007547034", "RF18 5390 0754 7034", "RF332348236", "RF801G72UUR", "+++090/9337/55493+++"]
        {
            assert_eq!(reference(good), Ok(()), "{good}");
        }
        for bad in ["RF99539007547034", "RF18539007547035", "RF18", "RF", "RF00", "RF18-39007547034", "RFÄ1"]
        {
            assert_eq!(reference(bad), Err(EpcError::Reference.into()), "{bad}");
        }
        let error = crate::source::SourceError::from(reference("RF99539007547034").unwrap_err());
        assert!(error.to_string().contains("line 10, the creditor reference"), "{error}");
        assert!(error.advice().starts_with("who made the code must mend it"), "{}", error.advice());
    }

    #[test]
    fn nothing_is_cut_or_guessed() {
        for (line, text, field) in [
            (6, "A name of seventy-one columns, which is one more than a payee may have!", Field::PayeeName),
            (6, "A name with a Cyrillic \u{43E} in C\u{43E}ffee", Field::PayeeName),
            (6, "", Field::PayeeName),
            (7, "BE72000000001617", Field::PayeeAccount),
            (8, "EUR0.00", Field::Amount),
            (11, "Urgency\u{202E}fund", Field::Details),
        ] {
            match read(with(line, text).as_bytes()) {
                Err(CodeError::Fields(errors)) => assert_eq!(errors.0[0].0, field, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in "[A-Z0-9\\n\\r .€]{0,400}") {
            let _ = read(format!("BCD\n002\n1\nSCT\n{text}").as_bytes());
        }

        #[test]
        fn amounts_arrive_exactly(cents in 1..99_999_999_999u64) {
            let code = with(8, &format!("EUR{}.{:02}", cents / 100, cents % 100));
            prop_assert_eq!(complete(code.as_bytes()).amount.minor(), cents);
        }
    }
}

//! The EMVCo merchant-presented QR code ("EMV QR Code Specification for Payment Systems, Merchant-Presented Mode",
//! version 1.1): data objects of two digits id, two digits length in characters, and value; templates hold data
//! objects in turn. Nothing is guessed: where two values could be the account, none is taken.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::{Currency, parse_minor};
use onetap_apdu_spec::txn::TransactionType;

use super::epc::NO_REFERENCE;
use super::{Fields, Tip};

/// How such a code begins: the payload format indicator (00) of version 01.
pub(super) const START: &[u8] = b"000201";
/// The merchant accounts that are templates, one for a scheme.
const SCHEMES: RangeInclusive<u8> = 26..=51;
/// The checksum's id and length, which it covers.
const CRC_HEAD: &str = "6304";
/// Most characters of an amount.
const MAX_AMOUNT: usize = 13;
/// A value that the payer is to type in.
const PROMPT: &str = "***";

/// What is wrong with an EMVCo code, or what it asks that this terminal cannot give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmvError {
    /// The bytes are not UTF-8.
    #[error("it is not in UTF-8")]
    NotUtf8,
    /// The code does not end with a checksum, or an object reaches beyond its end.
    #[error("it is cut off or malformed")]
    Cut,
    /// The checksum over everything before it is another.
    #[error("its checksum (63) should be {expected:04X}")]
    Crc {
        /// CRC-16/CCITT-FALSE of the code.
        expected: u16,
    },
    /// An object stands twice.
    #[error("data object {0:02} stands twice")]
    Twice(u8),
    /// An object is missing.
    #[error("data object {0:02} is missing")]
    Missing(u8),
    /// An object is not in its format.
    #[error("data object {0:02} is malformed")]
    Malformed(u8),
    /// No scheme's template holds an account number.
    #[error("its merchant accounts (26 to 51) hold no IBAN and no account number with right check digits")]
    NoAccount,
    /// Several values could be the account.
    #[error("its merchant accounts (26 to 51) hold several account numbers")]
    SeveralAccounts,
    /// The payer would have to type in a number that the payee wants to have.
    #[error("it asks the payer for a bill number or reference (62)")]
    Asks,
}

impl EmvError {
    /// Whether the code is right, but not made for this terminal.
    pub(super) fn is_beyond_us(self) -> bool {
        matches!(self, Self::NoAccount | Self::SeveralAccounts | Self::Asks)
    }
}

/// Data objects by id.
type Objects<'a> = BTreeMap<u8, &'a str>;

/// The fields of the code, and what is paid on top. An amount that is left out is empty.
pub(super) fn fields(text: &str) -> Result<(Fields, Tip), EmvError> {
    let objects = objects(checked(text)?)?;
    let required = |id: u8| objects.get(&id).copied().ok_or(EmvError::Missing(id));
    check_head(&objects)?;
    let currency = currency(required(53)?)?;
    let amount = objects.get(&54).copied().unwrap_or_default();
    if amount.len() > MAX_AMOUNT || (objects.contains_key(&54) && parse_minor(amount, currency).is_err()) {
        return Err(EmvError::Malformed(54));
    }
    let more = objects.get(&62).map(|template| self::objects(template)).transpose()?.unwrap_or_default();
    let reference = [5, 1].iter().find_map(|id| more.get(id).copied()).unwrap_or(NO_REFERENCE);
    if reference == PROMPT {
        return Err(EmvError::Asks);
    }
    let fields = Fields {
        kind: TransactionType::Payment,
        payee_account: account(&objects)?,
        payee_name: required(59)?.to_owned(),
        amount: amount.to_owned(),
        currency: currency.code().to_owned(),
        reference: reference.to_owned(),
        details: more.get(&8).filter(|purpose| **purpose != PROMPT).map(|&purpose| purpose.to_owned()),
    };
    Ok((fields, tip(&objects, currency)?))
}

/// The code without its checksum, which is right.
fn checked(text: &str) -> Result<&str, EmvError> {
    let (covered, stated) =
        text.len().checked_sub(4).and_then(|at| text.split_at_checked(at)).ok_or(EmvError::Cut)?;
    let content = covered.strip_suffix(CRC_HEAD).ok_or(EmvError::Cut)?;
    let expected = crc_16(covered.as_bytes());
    if stated.eq_ignore_ascii_case(&format!("{expected:04X}")) {
        Ok(content)
    } else {
        Err(EmvError::Crc { expected })
    }
}

/// CRC-16/CCITT-FALSE: polynomial 1021, start FFFF, nothing reflected (ISO/IEC 13239 without its final complement).
fn crc_16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 { shifted } else { shifted ^ 0x1021 }
        })
    })
}

/// Takes a code or a template apart. Lengths count characters.
fn objects(mut text: &str) -> Result<Objects<'_>, EmvError> {
    let mut out = BTreeMap::new();
    while !text.is_empty() {
        let (id, rest) = two_digits(text)?;
        let (length, rest) = two_digits(rest)?;
        let end = rest.char_indices().map(|(at, _)| at).chain([rest.len()]).nth(length.into());
        let (value, after) = rest.split_at(end.ok_or(EmvError::Cut)?);
        if out.insert(id, value).is_some() {
            return Err(EmvError::Twice(id));
        }
        text = after;
    }
    Ok(out)
}

fn two_digits(text: &str) -> Result<(u8, &str), EmvError> {
    let (digits, rest) = text.split_at_checked(2).ok_or(EmvError::Cut)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(EmvError::Cut);
    }
    Ok((digits.parse().map_err(|_| EmvError::Cut)?, rest))
}

/// What must be there, and what says that the code is of this kind.
fn check_head(objects: &Objects<'_>) -> Result<(), EmvError> {
    for id in [52, 53, 58, 59, 60] {
        if !objects.contains_key(&id) {
            return Err(EmvError::Missing(id));
        }
    }
    let has_form = |id: u8, form: &dyn Fn(&str) -> bool| objects.get(&id).is_none_or(|value| form(value));
    let category = |value: &str| value.len() == 4 && value.bytes().all(|b| b.is_ascii_digit());
    let country = |value: &str| value.len() == 2 && value.bytes().all(|b| b.is_ascii_uppercase());
    match () {
        () if !has_form(1, &|value| matches!(value, "11" | "12")) => Err(EmvError::Malformed(1)),
        () if !has_form(52, &category) => Err(EmvError::Malformed(52)),
        () if !has_form(58, &country) => Err(EmvError::Malformed(58)),
        () => Ok(()),
    }
}

/// Three digits of ISO 4217.
fn currency(digits: &str) -> Result<Currency, EmvError> {
    let three = digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
    let code = digits.parse().ok().filter(|_| three);
    code.and_then(|code| Currency::from_numeric(code).ok()).ok_or(EmvError::Malformed(53))
}

/// The one account among the values of the schemes' templates: the only IBAN, or else the only value that is
/// digits in the length of an account number, with a right check digit.
fn account(objects: &Objects<'_>) -> Result<String, EmvError> {
    let mut values = Vec::new();
    for (_, template) in objects.range(SCHEMES) {
        // The scheme's own name stands at 00.
        values
            .extend(self::objects(template)?.into_iter().filter(|(id, _)| *id != 0).map(|(_, value)| value));
    }
    values.sort_unstable();
    values.dedup();
    let is_iban = |value: &&str| {
        value.starts_with(|c: char| c.is_ascii_uppercase()) && value.parse::<AccountNumber>().is_ok()
    };
    let is_number =
        |value: &&str| (8..=19).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    let ibans: Vec<_> = values.iter().copied().filter(is_iban).collect();
    let numbers = values.iter().copied().filter(is_number).collect();
    let candidates = if ibans.is_empty() { numbers } else { ibans };
    match candidates.as_slice() {
        [account] if account.parse::<AccountNumber>().is_ok() => Ok((*account).to_owned()),
        [] | [_] => Err(EmvError::NoAccount),
        _ => Err(EmvError::SeveralAccounts),
    }
}

/// What is paid on top: 55 says of which kind it is, 56 and 57 how much.
fn tip(objects: &Objects<'_>, currency: Currency) -> Result<Tip, EmvError> {
    let [kind, fixed, percentage] = [55, 56, 57].map(|id| objects.get(&id).copied());
    match (kind, fixed, percentage) {
        (None, None, None) => Ok(Tip::None),
        (Some("01"), None, None) => Ok(Tip::Asked),
        (Some("02"), Some(fee), None) if fee.len() <= MAX_AMOUNT => {
            parse_minor(fee, currency).map(Tip::Fixed).map_err(|_| EmvError::Malformed(56))
        }
        (Some("03"), None, Some(fee)) => hundredths(fee).map(Tip::Percent).ok_or(EmvError::Malformed(57)),
        (Some("02"), None, None) => Err(EmvError::Missing(56)),
        (Some("03"), None, None) => Err(EmvError::Missing(57)),
        _ => Err(EmvError::Malformed(55)),
    }
}

/// A percentage from 00.01 to 99.99 in hundredths of a per cent, with at most two decimals.
fn hundredths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').map_or((text, "0"), |(whole, fraction)| (whole, fraction));
    let fits = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !fits(whole) || !fits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<2}").parse().ok().filter(|hundredths| *hundredths > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::code::{CodeError, read};
    use crate::source::{Scanned, SourceError};

    /// The example of the specification, annex A. It has no account, but is a code.
    const ANNEX_A: &str = "00020101021229300012D156000000000510A93FO3230Q31280012D15600000001030812345678520441115802CN\
        5914BEST TRANSPORT6007BEIJING64200002ZH0104最佳运输0202北京540523.7253031565502016233030412340603***0708\
        A60086670902ME91320016A0112233449988770708123456786304A13A";

    fn object(id: u8, value: &str) -> String {
        format!("{id:02}{:02}{value}", value.chars().count())
    }

    /// A code of these objects, behind those that say that it is one.
    fn of(objects: &[(u8, &str)]) -> String {
        let objects: String = objects.iter().map(|(id, value)| object(*id, value)).collect();
        let covered = format!("000201{objects}6304");
        // Its own test checks the checksum against the specification's example.
        format!("{covered}{:04X}", crc_16(covered.as_bytes()))
    }

    const IBAN: (u8, &str) = (26, "0010org.scheme0122DE89370400440532013000");
    const HEAD: [(u8, &str); 4] = [(52, "5812"), (58, "DE"), (59, "Coffee Shop"), (60, "Berlin")];

    fn with(more: &[(u8, &str)]) -> String {
        of(&[&HEAD[..], more].concat())
    }

    fn paid(code: &str) -> Result<String, CodeError> {
        Ok(read(code.as_bytes())?.fill(None, None).unwrap().amount.to_string())
    }

    #[test]
    fn the_specification_s_example_is_read_object_by_object() {
        let objects = objects(checked(ANNEX_A).unwrap()).unwrap();
        assert_eq!(objects[&59], "BEST TRANSPORT");
        assert_eq!(objects[&64], "0002ZH0104最佳运输0202北京");
        assert_eq!((objects[&53], objects[&54], objects[&55]), ("156", "23.72", "01"));
        assert_eq!(read(ANNEX_A.as_bytes()), Err(EmvError::NoAccount.into()), "12345678 is no account here");
    }

    #[test]
    fn p_02_a_static_code_leaves_the_amount_to_the_payer() {
        let code = with(&[(1, "11"), IBAN, (53, "978")]);
        let Scanned::Open(open) = read(code.as_bytes()).unwrap() else { panic!("it is complete") };
        assert_eq!((open.payee_account().as_str(), open.amount()), ("DE89370400440532013000", None));
        let draft = open.fill(Some("3.50"), None).unwrap();
        assert_eq!((draft.payee_name.as_str(), draft.amount.to_string()), ("Coffee Shop", "3.50 EUR".into()));
        assert_eq!((draft.reference.as_str(), draft.details), ("NOTPROVIDED", None));
    }

    #[test]
    fn p_02_a_dynamic_code_is_complete() {
        let more = "0106B-1001".to_owned() + "0507REF1234" + "0806Coffee";
        let code = with(&[(1, "12"), IBAN, (53, "978"), (54, "12.3"), (62, &more)]);
        let draft = read(code.as_bytes()).unwrap().fill(None, None).unwrap();
        assert_eq!(draft.amount.to_string(), "12.30 EUR");
        assert_eq!((draft.reference.as_str(), draft.details.unwrap().as_str()), ("REF1234", "Coffee"));
        assert_eq!(read(format!("\u{FEFF}{code}\r\n\n").as_bytes()), read(code.as_bytes()));
    }

    #[test]
    fn amounts_are_exact_in_each_currency() {
        let amount = |numeric, text| paid(&with(&[IBAN, (53, numeric), (54, text)]));
        assert_eq!(amount("392", "1250"), Ok("1250 JPY".into()));
        assert_eq!(amount("414", "0.005"), Ok("0.005 KWD".into()));
        assert_eq!(amount("978", "1234567890.12"), Ok("1234567890.12 EUR".into()));
        for (numeric, bad) in
            [("392", "1.5"), ("978", "1,5"), ("978", ""), ("978", "12345678901.00"), ("978", "-1")]
        {
            assert_eq!(amount(numeric, bad), Err(EmvError::Malformed(54).into()), "{bad}");
        }
        for bad in ["", "97", "0978", "000", "EUR", "999"] {
            assert_eq!(amount(bad, "1"), Err(EmvError::Malformed(53).into()), "{bad}");
        }
        assert!(matches!(amount("978", "0.00"), Err(CodeError::Fields(_))));
    }

    #[test]
    fn tips_and_fees_are_added() {
        let sum = |tip: &[(u8, &str)]| paid(&with(&[&[IBAN, (53, "978"), (54, "10.00")], tip].concat()));
        assert_eq!(sum(&[(55, "01")]), Ok("10.00 EUR".into()));
        assert_eq!(sum(&[(55, "02"), (56, "0.5")]), Ok("10.50 EUR".into()));
        assert_eq!(sum(&[(55, "03"), (57, "3.25")]), Ok("10.33 EUR".into()));
        assert_eq!(sum(&[(55, "03"), (57, "10")]), Ok("11.00 EUR".into()));
        for (tip, error) in [
            (&[(55, "04")][..], EmvError::Malformed(55)),
            (&[(55, "01"), (56, "1")], EmvError::Malformed(55)),
            (&[(56, "1")], EmvError::Malformed(55)),
            (&[(55, "02")], EmvError::Missing(56)),
            (&[(55, "03")], EmvError::Missing(57)),
            (&[(55, "02"), (56, "1.234")], EmvError::Malformed(56)),
            (&[(55, "03"), (57, "0.00")], EmvError::Malformed(57)),
            (&[(55, "03"), (57, "100")], EmvError::Malformed(57)),
            (&[(55, "03"), (57, "1.")], EmvError::Malformed(57)),
        ] {
            assert_eq!(sum(tip), Err(error.into()), "{tip:?}");
        }
        let asked = with(&[IBAN, (53, "978"), (54, "10.00"), (55, "01")]);
        let tipped = read(asked.as_bytes()).unwrap().fill(None, Some("1.50")).unwrap();
        assert_eq!(tipped.amount.to_string(), "11.50 EUR");
    }

    #[test]
    fn the_account_is_the_only_one_or_none() {
        let account = |schemes: &[(u8, &str)]| {
            let code = with(&[&[(53, "978"), (54, "1")], schemes].concat());
            Ok::<_, CodeError>(read(code.as_bytes())?.fill(None, None).unwrap().payee_account.to_string())
        };
        let digits = (30, "0010org.scheme021179927398713");
        assert_eq!(account(&[digits]), Ok("79927398713".into()));
        assert_eq!(account(&[digits, IBAN]), Ok("DE89370400440532013000".into()), "an IBAN is unmistakable");
        assert_eq!(account(&[IBAN, (51, IBAN.1)]), Ok("DE89370400440532013000".into()), "the same twice");
        let other = (27, "0010org.scheme0116BE72000000001616");
        assert_eq!(account(&[IBAN, other]), Err(EmvError::SeveralAccounts.into()));
        let merchant = (31, "0010org.scheme010812345678");
        assert_eq!(account(&[digits, merchant]), Err(EmvError::SeveralAccounts.into()));
        assert_eq!(
            account(&[(2, "79927398713")]),
            Err(EmvError::NoAccount.into()),
            "a card scheme's own number"
        );
        assert_eq!(account(&[(26, "001179927398713")]), Err(EmvError::NoAccount.into()), "the scheme's name");
        assert_eq!(account(&[(30, "0010org.scheme021179927398710")]), Err(EmvError::NoAccount.into()));
        assert_eq!(
            account(&[(30, "0010org.scheme0122DE89370400440532013001")]),
            Err(EmvError::NoAccount.into())
        );
        let error = SourceError::from(account(&[merchant, digits]).unwrap_err());
        assert_eq!(error.advice(), "type the transaction in; the code is not to blame");
    }

    #[test]
    fn what_is_missing_twice_or_malformed_is_named() {
        let all = [&HEAD[..], &[IBAN, (53, "978"), (54, "1")]].concat();
        for id in [52, 53, 58, 59, 60] {
            let less: Vec<_> = all.iter().copied().filter(|(other, _)| *other != id).collect();
            assert_eq!(paid(&of(&less)), Err(EmvError::Missing(id).into()));
        }
        for (id, value) in [(1, "13"), (52, "12"), (58, "de")] {
            let mut bad: Vec<_> = all.iter().copied().filter(|(other, _)| *other != id).collect();
            bad.push((id, value));
            assert_eq!(paid(&of(&bad)), Err(EmvError::Malformed(id).into()));
        }
        let twice = [&all[..], &[(54, "2")]].concat();
        assert_eq!(paid(&of(&twice)), Err(EmvError::Twice(54).into()));
        for asking in ["0103***", "0503***"] {
            assert_eq!(
                paid(&with(&[IBAN, (53, "978"), (54, "1"), (62, asking)])),
                Err(EmvError::Asks.into())
            );
        }
        let beyond = [&all[..], &[(65, "new"), (80, "0003own")]].concat();
        assert_eq!(paid(&of(&beyond)), Ok("1.00 EUR".into()), "what is for others is passed over");
    }

    #[test]
    fn a_misread_code_does_not_pay() {
        let good = with(&[IBAN, (53, "978"), (54, "12.34")]);
        assert!(paid(&good).is_ok());
        assert!(paid(&good.to_lowercase()).is_err());
        for at in 6..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'7' { b'1' } else { b'7' };
            assert!(read(&bytes).is_err(), "{at}");
        }
        for end in 6..good.len() {
            assert!(read(&good.as_bytes()[..end]).is_err(), "{end}");
        }
    }
}

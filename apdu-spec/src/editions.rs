//! What ages: the registries behind accounts and currencies, by the edition that docs/spec/editions.md
//! names. Terminal and server check it; a card, which lives ten years, does not.

use crate::account::AccountNumber;
use crate::money::CurrencyCode;

/// Edition of the IBAN structures.
pub const IBAN_REGISTRY: &str = "IBAN Registry, release 101";
/// Edition of the currencies.
pub const ISO_4217: &str = "ISO 4217, list one of 1 January 2026";

/// Why an account or a currency is not of the edition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditionError {
    /// No country of the registry begins an IBAN like this.
    #[error("no country's IBANs begin like this ({IBAN_REGISTRY}); compare it with the payee's")]
    Country,
    /// Length or characters are not those of the country's IBANs.
    #[error("not built like an IBAN of its country ({IBAN_REGISTRY}); compare it with the payee's")]
    Structure,
    /// Withdrawn, never assigned, or without a minor unit.
    #[error("not a currency in force ({ISO_4217}); ask the payee for the amount in another one")]
    Currency,
}

/// Checks that an IBAN is built like its country's; domestic numbers have no registry.
///
/// # Errors
/// [`EditionError::Country`], [`EditionError::Structure`].
pub fn check_account(account: &AccountNumber) -> Result<(), EditionError> {
    if !account.is_iban() {
        return Ok(());
    }
    let (head, bban) = account.as_str().split_at(4);
    let country = head.split_at(2).0;
    let row = IBANS.binary_search_by_key(&country, |(code, _)| code).map_err(|_| EditionError::Country)?;
    if is_built(bban, IBANS[row].1) { Ok(()) } else { Err(EditionError::Structure) }
}

/// Checks that a currency is in force and has a minor unit.
///
/// # Errors
/// [`EditionError::Currency`].
pub fn check_currency(code: CurrencyCode) -> Result<(), EditionError> {
    if code.known().is_some() && !WITHDRAWN.contains(&code.numeric()) {
        Ok(())
    } else {
        Err(EditionError::Currency)
    }
}

/// True if `bban` is as `structure` says: so many (`8!`) digits (`n`), capitals (`a`) or either (`c`).
fn is_built(bban: &str, structure: &str) -> bool {
    let (mut rest, mut structure) = (bban.as_bytes(), structure);
    while let Some((count, tail)) = structure.split_once('!') {
        let (class, following) = tail.split_at(1);
        let Some((part, others)) = count.parse().ok().and_then(|count| rest.split_at_checked(count)) else {
            return false;
        };
        let fits = |b: &u8| match class {
            "n" => b.is_ascii_digit(),
            "a" => b.is_ascii_uppercase(),
            _ => true,
        };
        if !part.iter().all(fits) {
            return false;
        }
        (rest, structure) = (others, following);
    }
    rest.is_empty()
}

/// Currencies that are known and no longer in the list: HRK, SLL, CUC, ZWL, BGN.
const WITHDRAWN: [u16; 5] = [191, 694, 931, 932, 975];

/// Country, and what follows the check digits, in the notation of the registry, neighbours of one class
/// added up.
const IBANS: [(&str, &str); 89] = [
    ("AD", "8!n12!c"),
    ("AE", "19!n"),
    ("AL", "8!n16!c"),
    ("AT", "16!n"),
    ("AZ", "4!a20!c"),
    ("BA", "16!n"),
    ("BE", "12!n"),
    ("BG", "4!a6!n8!c"),
    ("BH", "4!a14!c"),
    ("BI", "23!n"),
    ("BR", "23!n1!a1!c"),
    ("BY", "4!c4!n16!c"),
    ("CH", "5!n12!c"),
    ("CR", "18!n"),
    ("CY", "8!n16!c"),
    ("CZ", "20!n"),
    ("DE", "18!n"),
    ("DJ", "23!n"),
    ("DK", "14!n"),
    ("DO", "4!c20!n"),
    ("EE", "16!n"),
    ("EG", "25!n"),
    ("ES", "20!n"),
    ("FI", "14!n"),
    ("FK", "2!a12!n"),
    ("FO", "14!n"),
    ("FR", "10!n11!c2!n"),
    ("GB", "4!a14!n"),
    ("GE", "2!a16!n"),
    ("GI", "4!a15!c"),
    ("GL", "14!n"),
    ("GR", "7!n16!c"),
    ("GT", "24!c"),
    ("HN", "4!a20!n"),
    ("HR", "17!n"),
    ("HU", "24!n"),
    ("IE", "4!a14!n"),
    ("IL", "19!n"),
    ("IQ", "4!a15!n"),
    ("IS", "22!n"),
    ("IT", "1!a10!n12!c"),
    ("JO", "4!a4!n18!c"),
    ("KW", "4!a22!c"),
    ("KZ", "3!n13!c"),
    ("LB", "4!n20!c"),
    ("LC", "4!a24!c"),
    ("LI", "5!n12!c"),
    ("LT", "16!n"),
    ("LU", "3!n13!c"),
    ("LV", "4!a13!c"),
    ("LY", "21!n"),
    ("MC", "10!n11!c2!n"),
    ("MD", "20!c"),
    ("ME", "18!n"),
    ("MK", "3!n10!c2!n"),
    ("MN", "16!n"),
    ("MR", "23!n"),
    ("MT", "4!a5!n18!c"),
    ("MU", "4!a19!n3!a"),
    ("NI", "4!a20!n"),
    ("NL", "4!a10!n"),
    ("NO", "11!n"),
    ("OM", "3!n16!c"),
    ("PK", "4!a16!c"),
    ("PL", "24!n"),
    ("PS", "4!a21!c"),
    ("PT", "21!n"),
    ("QA", "4!a21!c"),
    ("RO", "4!a16!c"),
    ("RS", "18!n"),
    ("RU", "14!n15!c"),
    ("SA", "2!n18!c"),
    ("SC", "4!a20!n3!a"),
    ("SD", "14!n"),
    ("SE", "20!n"),
    ("SI", "15!n"),
    ("SK", "20!n"),
    ("SM", "1!a10!n12!c"),
    ("SO", "19!n"),
    ("ST", "21!n"),
    ("SV", "4!a20!n"),
    ("TL", "19!n"),
    ("TN", "20!n"),
    ("TR", "6!n16!c"),
    ("UA", "6!n19!c"),
    ("VA", "18!n"),
    ("VG", "4!a16!n"),
    ("XK", "16!n"),
    ("YE", "4!a4!n18!c"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn account(text: &str) -> Result<(), EditionError> {
        check_account(&text.parse().unwrap())
    }

    #[test]
    fn countries_are_in_order_so_that_each_is_found() {
        assert!(IBANS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn an_iban_must_be_built_like_its_countrys() {
        assert_eq!(account("PK36SCBL0000001123456702"), Ok(()));
        assert_eq!(account("QQ33370400440532013000"), Err(EditionError::Country));
        assert_eq!(account("DE5137040044053201300"), Err(EditionError::Structure), "17 digits of 18");
        assert_eq!(account("DE813704004405320130000"), Err(EditionError::Structure), "19 digits");
        assert_eq!(account("79927398713"), Ok(()), "a domestic number");
    }

    #[test]
    fn a_currency_must_be_in_force() {
        let numeric = |code| check_currency(CurrencyCode::new(code).unwrap());
        for code in ["HRK", "SLL", "CUC", "ZWL", "BGN"] {
            let withdrawn: Currency = code.parse().unwrap();
            assert_eq!(check_currency(withdrawn.into()), Err(EditionError::Currency), "{code}");
        }
        assert_eq!([1, 959, 999].map(numeric), [Err(EditionError::Currency); 3]);
        assert_eq!([978, 392, 532, 925, 924].map(numeric), [Ok(()); 5]);
    }
}

//! What test cards are personalised with, and the transactions that they are given.

use std::fmt::Debug;

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::crypto::{Key256, RsaBits, RsaPrivate, SigningKeyType};
use onetap_apdu_spec::header::{Binding, CardId, ServerId};
use onetap_apdu_spec::money::{Amount, Currency};
use onetap_apdu_spec::objects;
use onetap_apdu_spec::password::PasswordPolicy;
use onetap_apdu_spec::personal::{ConfirmationPolicy, Personalisation};
use onetap_apdu_spec::rng::{OsRng, Rng as _};
use onetap_apdu_spec::suite::{EncryptionMethod, Suite};
use onetap_apdu_spec::tlv::{self, Tag, Template};
use onetap_apdu_spec::txn::{Transaction, TransactionType};
use time::macros::datetime;

/// The account's currency, by its code.
pub const CURRENCY: &str = "EUR";
/// Up to here the key alone confirms, in cents (t1).
pub const KEY_UP_TO: u64 = 2_500;
/// Up to here the PIN does (t2).
pub const PIN_UP_TO: u64 = 50_000;
/// Most payments that go by the key alone.
pub const KEY_ONLY_COUNT: u16 = 5;
/// Most cents that payments by the key alone sum up to.
pub const KEY_ONLY_SUM: u64 = 10_000;
/// The holder's PIN.
pub const PIN: &str = "2468";

/// The account's currency.
#[must_use]
pub fn currency() -> Currency {
    fixed(CURRENCY.parse())
}

/// When what confirms (P-22).
#[must_use]
pub fn confirmation() -> ConfirmationPolicy {
    ConfirmationPolicy {
        currency: currency().into(),
        key_up_to: KEY_UP_TO,
        pin_up_to: PIN_UP_TO,
        key_only_count: KEY_ONLY_COUNT,
        key_only_sum: KEY_ONLY_SUM,
    }
}

/// What an operator orders for a card of this suite, whose E the key opens.
#[must_use]
pub fn order(suite: Suite, server_key: &dyn RsaPrivate) -> Personalisation {
    let rsa = suite.encryption() == EncryptionMethod::RsaOaep;
    let binding = Binding {
        server: ServerId(*b"CONFSERV"),
        card: CardId(random()),
        suite,
        signing_key: 1,
        server_key: u16::from(rsa),
        issuer_key: 1,
    };
    Personalisation {
        binding,
        key_type: SigningKeyType::of(suite.signature(), RsaBits::B2048),
        card_key: Key256::new(random()),
        server_public_key: if rsa { server_key.public_spki() } else { Vec::new() },
        password: PasswordPolicy::default(),
        confirmation: confirmation(),
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.fill(&mut bytes);
    bytes
}

/// A payment of 12.34 EUR, which the key alone confirms.
#[must_use]
pub fn transaction() -> Transaction {
    payment(1_234, CURRENCY)
}

/// A payment of so many minor units. The payer alias is to be filled in.
#[must_use]
pub fn payment(minor: u64, currency: &str) -> Transaction {
    let currency: Currency = fixed(currency.parse());
    Transaction {
        kind: TransactionType::Payment,
        payer: Alias::from_bits([0; 10]),
        payee_account: fixed("DE89370400440532013000".parse()),
        payee_name: fixed(onetap_apdu_spec::txn::PayeeName::new("Coffee Shop")),
        amount: fixed(Amount::new(minor, currency)),
        at: datetime!(2026-07-01 12:00:00),
        terminal: fixed("TERM0001".parse()),
        unpredictable_number: [1, 2, 3, 4],
        reference: fixed(onetap_apdu_spec::txn::Reference::new("Order 17")),
        details: None,
    }
}

/// A transaction whose texts fill their fields: many pages, some glyphs two columns wide.
#[must_use]
pub fn wordy() -> Transaction {
    Transaction {
        payee_name: fixed(onetap_apdu_spec::txn::PayeeName::new(
            "Žluťoučký kůň & syn – Șoimii, Ταβέρνα „Чайка“, 咖啡店, čp. 17/3 a 19/5",
        )),
        reference: fixed(onetap_apdu_spec::txn::Reference::new("Invoice 2026-07-0001, customer 4711")),
        details: Some(fixed(onetap_apdu_spec::txn::Details::new("beans 1.50 €, ".repeat(9).trim_end()))),
        ..transaction()
    }
}

/// T.
#[must_use]
pub fn encode(transaction: &Transaction) -> Vec<u8> {
    fixed(transaction.encode()).bytes().to_vec()
}

/// A transaction message object by object, to be bent.
#[derive(Debug, Clone)]
pub struct Raw(pub Vec<(Tag, Vec<u8>)>);

impl Raw {
    /// The objects of a right one.
    #[must_use]
    pub fn of(transaction: &Transaction) -> Self {
        let template = fixed(Template::parse(&encode(transaction), objects::TRANSACTION));
        Self(template.objects().to_vec())
    }

    /// With another value of this object.
    #[must_use]
    pub fn with(mut self, tag: Tag, value: &[u8]) -> Self {
        for (_, old) in self.0.iter_mut().filter(|(other, _)| *other == tag) {
            *old = value.to_vec();
        }
        self
    }

    /// The value of this object.
    #[must_use]
    pub fn value(&self, tag: Tag) -> &[u8] {
        self.0.iter().find(|(other, _)| *other == tag).map_or(&[], |(_, value)| value)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        tlv::object(objects::TRANSACTION, &self.inner())
    }

    /// The bytes between the template's length and its end.
    #[must_use]
    pub fn inner(&self) -> Vec<u8> {
        let mut inner = Vec::new();
        for (tag, value) in &self.0 {
            tlv::write(*tag, value, &mut inner);
        }
        inner
    }
}

/// Takes what the constants of this module make.
#[allow(clippy::expect_used, reason = "constants; the test below makes every one of them")]
fn fixed<T, E: Debug>(made: Result<T, E>) -> T {
    made.expect("a right constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_can_be_made() {
        let policy = confirmation();
        assert!(transaction().amount.minor() <= policy.key_up_to);
        assert_eq!(Raw::of(&transaction()).bytes(), encode(&transaction()));
        assert!(encode(&wordy()).len() > encode(&transaction()).len());
        assert_eq!(payment(1, "JPY").amount.to_string(), "1 JPY");
    }
}

//! Who takes part: four accounts and a purse, four cards with two keys each, two terminals. Made once, shared by all seeds: by a
//! real verifier, so that another one made by the same chance knows the same cards.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::{Crypto as _, RsaPrivate};
use onetap_apdu_spec::envelope::Envelope;
use onetap_apdu_spec::header::{Binding, CardId, Header, KeyId};
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::money::{Amount, Currency};
use onetap_apdu_spec::password::{Password, PasswordPolicy};
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::service::{AuthorisationRequest, Cancellation, PasswordObject};
use onetap_apdu_spec::signed::{SignatureMessage, SignedParts};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::{PayeeName, Reference, TerminalId, Transaction, TransactionType};
use onetap_server_verifier::rules::verify::{
    Enrolled, Evidence, Judged, Parsed, authenticate, authenticate_unopened,
};
use onetap_server_verifier::{
    AccountKind, AccountOptions, Act, CardOptions, Clock, Environment, InitOptions, Policy, Timestamp,
    Verifier,
};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::crypto::StandIn;
use crate::dice::Dice;

/// When every simulation begins.
pub const START: i64 = 1_790_000_000;
/// Of all accounts together.
pub const HOLDERS: [(&str, i64); 5] =
    [("Ada", 500), ("Bob", 300), ("Shop", 0), ("Employer", 100_000), ("Purse", 0)];
pub const SHOP: usize = 2;
pub const EMPLOYER: usize = 3;
/// A stored value: only a top-up may pay it, and nobody tops up here.
pub const PURSE: usize = 4;

/// What an account is for.
pub fn kind(account: usize) -> AccountKind {
    if account == PURSE { AccountKind::StoredValue } else { AccountKind::Current }
}

/// Suite and account of each card.
const CARDS: [(&str, usize); 4] = [
    ("b2+sha256+aes-cbc-cmac", 0),
    ("a2+sha256-cmac+pkcs1", 0),
    ("a3+sha256+aes-cbc-cmac", 1),
    ("a4+sha256-cmac+aes-cbc-cmac", EMPLOYER),
];

/// The cast.
pub static CAST: LazyLock<Cast> = LazyLock::new(Cast::new);

pub struct Cast {
    pub numbers: Vec<AccountNumber>,
    pub cards: Vec<Plastic>,
    pub terminals: Vec<TerminalId>,
}

/// A card: what it holds, and what the server has enrolled of it.
pub struct Plastic {
    pub id: CardId,
    /// Which account: an index of [`HOLDERS`].
    pub account: usize,
    pub suite: Suite,
    keys: CardKeys,
    /// By version, from 1.
    versions: Vec<(Binding, Box<dyn RsaPrivate>, Enrolled)>,
}

/// What is to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deal {
    pub card: usize,
    pub key: KeyId,
    pub counter: u32,
    pub payee: usize,
    pub amount: u64,
    /// Seconds since 1970.
    pub dated: i64,
    /// The terminal that T names.
    pub terminal: usize,
    pub flaw: Option<Flaw>,
}

/// What can be wrong with a transaction that a card has signed, besides terminal and date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The payee's name is not that of the account.
    PayeeName,
    /// Nobody has that account.
    NoSuchPayee,
    /// The payee is a stored value.
    StoredValue,
    /// The payer is another card's alias.
    OtherPayer,
}

/// A clock that is set by hand.
#[derive(Debug, Clone)]
pub struct SetClock(pub Arc<AtomicI64>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// A real verifier with the cast's accounts, terminals and active cards, the same one each time, and what it has
/// ordered.
pub fn bank(policy: Policy, clock: &SetClock) -> (Verifier, Vec<Personalisation>) {
    let env = Environment::new(&StandIn, Arc::new(clock.clone()), Box::new(Dice::new(0)));
    let options = InitOptions { policy, ..InitOptions::new("Example Bank") };
    let verifier = Verifier::in_memory(options, env).unwrap();
    for (i, (holder, balance)) in HOLDERS.iter().enumerate() {
        let options = AccountOptions {
            holder: PayeeName::new(holder).unwrap(),
            currency: eur(),
            kind: kind(i),
            opening_balance: u64::try_from(*balance).unwrap(),
            number: Some(number(i)),
        };
        verifier.desk(Act::of_program("test", "set-up")).open_account(&options).unwrap();
    }
    let order = |(suite, account): &(&str, usize)| {
        let order = verifier
            .desk(Act::of_program("test", "set-up"))
            .order_card(&number(*account), &card_options(suite))
            .unwrap()
            .personalisation;
        activate(&verifier, &order);
        order
    };
    let orders = CARDS.iter().map(order).collect();
    (verifier, orders)
}

/// Orders and activates the next key of a card, if the card is good.
pub fn rotate(verifier: &Verifier, card: usize) {
    let order = verifier
        .desk(Act::of_program("test", "set-up"))
        .rotate_card_key(CAST.cards[card].id, &card_options(CARDS[card].0));
    if let Ok(order) = order {
        activate(verifier, &order.personalisation);
    }
}

fn activate(verifier: &Verifier, order: &Personalisation) {
    verifier
        .desk(Act::of_program("test", "set-up"))
        .activate_card(&EnrolmentStatement::make(order.binding, &*signing_key(&order.binding)).unwrap())
        .unwrap();
}

fn card_options(suite: &str) -> CardOptions {
    CardOptions { suite: suite.parse().unwrap(), ..CardOptions::new(eur()) }
}

/// The key that a card makes: of the stand-in's keys the name is all.
fn signing_key(binding: &Binding) -> Box<dyn RsaPrivate> {
    StandIn.rsa_private(&[&binding.card.0[..], &binding.signing_key.to_be_bytes()].concat()).unwrap()
}

fn number(i: usize) -> AccountNumber {
    AccountNumber::from_payload(&(100_000_000_000 + i).to_string()).unwrap()
}

impl Cast {
    fn new() -> Self {
        let clock = SetClock(Arc::new(AtomicI64::new(START)));
        let (_, orders) = bank(Policy::default(), &clock);
        Self {
            numbers: (0..=HOLDERS.len()).map(number).collect(),
            cards: orders
                .iter()
                .zip(CARDS)
                .map(|(order, (_, account))| Plastic::new(order, account))
                .collect(),
            terminals: vec!["TERM0001".parse().unwrap(), "TERM0002".parse().unwrap()],
        }
    }

    /// Has a card sign `deal`.
    pub fn sign(&self, deal: &Deal, dice: &mut Dice) -> AuthorisationRequest {
        let card = &self.cards[deal.card];
        let (binding, key, _) = &card.versions[usize::from(deal.key) - 1];
        let header = Header { binding: *binding, counter: deal.counter };
        let transaction = self.transaction(deal).encode().unwrap();
        let password = PasswordPolicy::default().draw(dice);
        let t = transaction.bytes();
        let e = card.envelope(header, t, &password, dice);
        let parts = SignedParts::compose(&StandIn, &card.keys, &header, t, &password, e);
        let signature = key.sign(card.suite.signature(), &parts.signed_bytes()).unwrap();
        AuthorisationRequest {
            transaction: t.to_vec(),
            signature_message: SignatureMessage { header, signature }.encode(),
            verification_password: password,
            password_object: parts.owed().map(|(kind, bytes)| PasswordObject { kind, bytes }),
        }
    }

    fn transaction(&self, deal: &Deal) -> Transaction {
        let card = &self.cards[deal.card];
        let (payee, name) = match deal.flaw {
            Some(Flaw::NoSuchPayee) => (HOLDERS.len(), "Nobody"),
            Some(Flaw::StoredValue) => (PURSE, HOLDERS[PURSE].0),
            Some(Flaw::PayeeName) => (deal.payee, "Somebody"),
            _ => (deal.payee, HOLDERS[deal.payee].0),
        };
        let own = if deal.flaw == Some(Flaw::OtherPayer) { deal.counter + 1 } else { deal.counter };
        let dated = OffsetDateTime::from_unix_timestamp(deal.dated).unwrap();
        Transaction {
            kind: TransactionType::Payment,
            payer: card.keys.alias(&StandIn, own),
            payee_account: self.numbers[payee].clone(),
            payee_name: PayeeName::new(name).unwrap(),
            amount: Amount::new(deal.amount, eur()).unwrap(),
            at: PrimitiveDateTime::new(dated.date(), dated.time()),
            terminal: self.terminals[deal.terminal].clone(),
            unpredictable_number: [1, 2, 3, 4],
            reference: Reference::new("order 7").unwrap(),
            details: None,
        }
    }

    /// The real cryptography of a request, on the stand-in's primitives; none if no card has signed it.
    pub fn judge(&self, card: usize, key: KeyId, request: &AuthorisationRequest) -> Option<Judged> {
        let enrolled = &self.cards[card].versions[usize::from(key) - 1].2;
        let parsed = Parsed::new(request).unwrap();
        let authentic = authenticate(&StandIn, enrolled, None, parsed).ok()?;
        Some(authentic.judge(&request.verification_password))
    }

    /// The same of a cancellation.
    pub fn prove(&self, card: usize, key: KeyId, cancellation: &Cancellation) -> Option<Evidence> {
        let enrolled = &self.cards[card].versions[usize::from(key) - 1].2;
        authenticate_unopened(&StandIn, enrolled, Parsed::cancellation(cancellation).unwrap()).ok()
    }

    /// Which card this is.
    pub fn card(&self, id: CardId) -> usize {
        self.cards.iter().position(|card| card.id == id).unwrap()
    }
}

impl Plastic {
    fn new(order: &Personalisation, account: usize) -> Self {
        let Binding { card: id, suite, .. } = order.binding;
        let versions = [1, 2].map(|signing_key| {
            let binding = Binding { signing_key, ..order.binding };
            let key = self::signing_key(&binding);
            let enrolled = Enrolled::new(&StandIn, binding, &key.public_spki(), order.card_key.clone());
            (binding, key, enrolled.unwrap())
        });
        let keys = CardKeys::new(&StandIn, order.card_key.clone());
        Self { id, account, suite, versions: versions.into(), keys }
    }

    fn envelope(&self, header: Header, t: &[u8], password: &Password, dice: &mut Dice) -> Vec<u8> {
        if !self.suite.profile().encrypts() {
            return Vec::new();
        }
        Envelope::new(&StandIn, &self.keys, &header, t).seal(password, None, dice).unwrap()
    }
}

pub fn eur() -> Currency {
    "EUR".parse().unwrap()
}

/// The moment so many milliseconds after the start, on a clock that is ahead by `ahead` seconds.
pub fn moment(milliseconds: i64, ahead: i64) -> Timestamp {
    Timestamp(START + milliseconds / 1000 + ahead)
}

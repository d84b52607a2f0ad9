//! A card on the bench: memory that can be looked at and made to fail, a clock that is moved by
//! hand, randomness from a seed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use onetap_apdu_spec::apdu::{CommandApdu, Form, ResponseApdu};
use onetap_apdu_spec::command::{AID, CardState, Name};
use onetap_apdu_spec::crypto::{
    Crypto, Key256, RsaBits, RsaPrivate, SigningKeyType, VerifyingKey, default_provider,
};
use onetap_apdu_spec::header::{Binding, CardId, ServerId};
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::password::{Password, PasswordPolicy};
use onetap_apdu_spec::personal::{ConfirmationPolicy, EnrolmentStatement, Personalisation};
use onetap_apdu_spec::rng::Rng;
use onetap_apdu_spec::suite::{EncryptionMethod, Suite};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::{Tag, object};
use onetap_apdu_spec::txn::{Transaction, TransactionMessage, TransactionType};
use onetap_applet::card::{Millis, VirtualClock};
use onetap_applet::nvm::{Image, MemoryImage, NvmError};
use onetap_applet::{Card, CardError, DEAD_TIME_MS, DEBOUNCE_MS, Environment, Key};

pub(crate) const CARD_KEY: &[u8] = include_bytes!("../data/card-key.pk8");
pub(crate) const P256_KEY: &[u8] = include_bytes!("../data/card-key-p256.pk8");
pub(crate) const SERVER_KEY: &[u8] = include_bytes!("../data/server-key.pk8");
pub(crate) const PIN: &str = "2468";
pub(crate) const START: Millis = Millis(1_000_000);

pub(crate) static SERVER: LazyLock<Box<dyn RsaPrivate>> =
    LazyLock::new(|| crypto().rsa_private(SERVER_KEY).unwrap());

pub(crate) fn crypto() -> &'static dyn Crypto {
    default_provider()
}

/// SplitMix64: good enough to replay a run, for tests only.
pub(crate) struct Seeded(pub(crate) u64);

impl Rng for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (z >> 56) as u8;
        }
    }
}

/// Memory that counts its commits and, when told so, takes no more of them: a disk that is full.
#[derive(Clone, Default)]
pub(crate) struct TestNvm {
    pub(crate) memory: MemoryImage,
    pub(crate) commits: Arc<AtomicUsize>,
    fail_from: Arc<AtomicUsize>,
}

impl TestNvm {
    /// The next `ok` commits succeed, all later ones fail.
    pub(crate) fn fail_after(&self, ok: usize) {
        let done = self.commits.load(Ordering::SeqCst);
        self.fail_from.store(done + ok + 1, Ordering::SeqCst);
    }

    pub(crate) fn heal(&self) {
        self.fail_from.store(0, Ordering::SeqCst);
    }

    pub(crate) fn count(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    pub(crate) fn image(&self) -> Vec<u8> {
        self.memory.bytes().to_vec()
    }

    fn is_full(&self) -> bool {
        let fail_from = self.fail_from.load(Ordering::SeqCst);
        fail_from != 0 && self.count() + 1 >= fail_from
    }
}

impl Image for TestNvm {
    fn size(&self) -> usize {
        self.memory.size()
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), NvmError> {
        self.memory.read(offset, into)
    }

    /// What fills holes with zeros always fits.
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), NvmError> {
        if self.is_full() && offset < JOURNAL_END && bytes.iter().any(|byte| *byte != 0) {
            return Err(NvmError::Failed);
        }
        self.memory.write(offset, bytes)
    }

    /// Each commit has one sync; so has taking one back.
    fn sync(&mut self) -> Result<(), NvmError> {
        if !self.is_full() {
            self.commits.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Where the pages begin: header and two slots of the journal are before.
const JOURNAL_END: usize = 4096 + 2 * 8192;

pub(crate) fn order(suite: Suite) -> Personalisation {
    let rsa = suite.encryption() == EncryptionMethod::RsaOaep;
    Personalisation {
        binding: Binding {
            server: ServerId(*b"testbank"),
            card: CardId(*b"card0001"),
            suite,
            signing_key: 1,
            server_key: u16::from(rsa),
            issuer_key: 1,
        },
        key_type: SigningKeyType::of(suite.signature(), RsaBits::B2048),
        card_key: Key256::new([7; 32]),
        server_public_key: if rsa { SERVER.public_spki() } else { Vec::new() },
        password: PasswordPolicy::default(),
        confirmation: ConfirmationPolicy {
            currency: "EUR".parse().unwrap(),
            key_up_to: 5_000,
            pin_up_to: 100_000,
            key_only_count: 3,
            key_only_sum: 10_000,
        },
    }
}

/// The key of test cards, PKCS#8.
pub(crate) fn signing_key(key: SigningKeyType) -> &'static [u8] {
    match key {
        SigningKeyType::Rsa(_) => CARD_KEY,
        SigningKeyType::P256 => P256_KEY,
    }
}

pub(crate) struct Rig {
    pub(crate) card: Card,
    pub(crate) nvm: TestNvm,
    pub(crate) clock: VirtualClock,
    pub(crate) statement: EnrolmentStatement,
    pub(crate) order: Personalisation,
    pub(crate) keys: CardKeys,
}

/// What the terminal holds after one contact.
#[derive(Debug, Clone)]
pub(crate) struct Tapped {
    pub(crate) transaction: Vec<u8>,
    pub(crate) signature_message: Vec<u8>,
    pub(crate) owed: Option<Vec<u8>>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(order(Suite::default()))
    }

    pub(crate) fn suite(suite: Suite) -> Self {
        Self::with(order(suite))
    }

    pub(crate) fn with(order: Personalisation) -> Self {
        let (nvm, clock) = (TestNvm::default(), VirtualClock::at(START));
        let (card, statement) = Card::personalise_with_key(
            order.clone(),
            PIN.parse().unwrap(),
            signing_key(order.key_type),
            Box::new(nvm.clone()),
            environment(&clock),
        )
        .unwrap();
        let keys = CardKeys::new(crypto(), order.card_key.clone());
        Self { card, nvm, clock, statement, order, keys }
    }

    /// Around a card that was personalised with [`order`] and opened elsewhere.
    pub(crate) fn around(card: Card, clock: &VirtualClock) -> Self {
        let blueprint = Self::new();
        Self { card, clock: clock.clone(), ..blueprint }
    }

    /// The process dies and the card is opened again.
    pub(crate) fn restart(&mut self) {
        self.card = self.reopen().unwrap();
    }

    pub(crate) fn reopen(&self) -> Result<Card, CardError> {
        Card::open(Box::new(self.nvm.clone()), environment(&self.clock))
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.clock.advance(millis);
        self.card.tick();
    }

    pub(crate) fn enter(&mut self) {
        self.card.enter_field();
        self.card.power_on();
    }

    pub(crate) fn send(&mut self, name: Name, tag: Option<Tag>, data: &[u8]) -> ResponseApdu {
        let bytes = name.spec().apdu(tag, data).encode(Form::Extended).unwrap();
        ResponseApdu::parse(&self.card.transmit(&bytes)).unwrap()
    }

    pub(crate) fn sw(&mut self, name: Name, data: &[u8]) -> StatusWord {
        let tag = (name == Name::GetData).then_some(objects::CARD_STATUS);
        self.send(name, tag, data).sw
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> ResponseApdu {
        ResponseApdu::parse(&self.card.transmit(bytes)).unwrap()
    }

    pub(crate) fn select(&mut self) {
        assert_eq!(self.send(Name::Select, None, &AID).sw, StatusWord::OK);
    }

    pub(crate) fn alias(&mut self) -> String {
        let response = self.send(Name::GetData, Some(objects::PAYER_ALIAS), &[]);
        assert_eq!(response.sw, StatusWord::OK);
        let text = String::from_utf8(response.data[3..].to_vec()).unwrap();
        assert_eq!(response.data, object(objects::PAYER_ALIAS, text.as_bytes()));
        text
    }

    /// A transaction that the card accepts next.
    pub(crate) fn transaction(&mut self, amount: &str) -> TransactionMessage {
        let alias = self.alias();
        transaction(&alias, amount).encode().unwrap()
    }

    /// Into the field, up to Loaded.
    pub(crate) fn load(&mut self, amount: &str) -> TransactionMessage {
        self.enter();
        self.select();
        let message = self.transaction(amount);
        assert_eq!(self.send(Name::PutTxn, None, message.bytes()).sw, StatusWord::OK);
        message
    }

    /// Into the field, up to Delivered, still in the field.
    pub(crate) fn deliver(&mut self, amount: &str) -> Tapped {
        let message = self.load(amount);
        let signature = self.send(Name::GetSignature, None, &[]);
        assert_eq!(signature.sw, StatusWord::OK);
        let owed = self.order.binding.suite.owed().map(|_| {
            let owed = self.send(Name::GetEncPassword, None, &[]);
            assert_eq!(owed.sw, StatusWord::OK);
            owed.data
        });
        assert_eq!(self.card.state(), CardState::Delivered);
        Tapped { transaction: message.bytes().to_vec(), signature_message: signature.data, owed }
    }

    /// One whole contact, then the display is awake.
    pub(crate) fn tap(&mut self, amount: &str) -> Tapped {
        let tapped = self.deliver(amount);
        self.leave();
        assert_eq!(self.card.state(), CardState::Showing);
        tapped
    }

    pub(crate) fn leave(&mut self) {
        self.card.leave_field();
        self.pass(DEBOUNCE_MS);
    }

    /// Turns all pages and waits out the dead time.
    pub(crate) fn read(&mut self) {
        for _ in 1..self.card.screen().pages() {
            self.card.press(Key::Next).unwrap();
        }
        self.pass(DEAD_TIME_MS);
    }

    pub(crate) fn type_pin(&mut self, pin: &str) {
        for digit in pin.bytes() {
            self.card.press(Key::Digit(digit - b'0')).unwrap();
        }
    }

    /// The joint password on the display.
    pub(crate) fn password(&mut self) -> Password {
        assert_eq!(self.card.state(), CardState::Revealed);
        self.card.screen().lines()[1].replace(' ', "").parse().unwrap()
    }

    /// Confirms a small amount and reads the password.
    pub(crate) fn confirm(&mut self) -> Password {
        self.read();
        self.card.press(Key::Confirm).unwrap();
        self.password()
    }

    pub(crate) fn public(&self) -> Box<dyn VerifyingKey> {
        let algorithm = self.order.binding.suite.signature();
        crypto().verifying_key(algorithm, &self.statement.public_key).unwrap()
    }
}

pub(crate) fn environment(clock: &VirtualClock) -> Environment {
    Environment {
        crypto: crypto(),
        rng: Box::new(Seeded(42)),
        clock: Box::new(clock.clone()),
        ..Environment::default()
    }
}

pub(crate) fn transaction(alias: &str, amount: &str) -> Transaction {
    let (value, currency) = amount.split_once(' ').unwrap_or((amount, "EUR"));
    Transaction {
        kind: TransactionType::Payment,
        payer: alias.parse().unwrap(),
        payee_account: "DE89370400440532013000".parse().unwrap(),
        payee_name: onetap_apdu_spec::text::DisplayText::new("Coffee Shop 咖啡店 on the Corner").unwrap(),
        amount: Amount::parse(value, currency.parse().unwrap()).unwrap(),
        at: time::macros::datetime!(2026-01-02 03:04:05),
        terminal: "TERM0001".parse().unwrap(),
        unpredictable_number: [1, 2, 3, 4],
        reference: onetap_apdu_spec::text::DisplayText::new("Order 4711").unwrap(),
        details: Some(onetap_apdu_spec::text::DisplayText::new("Two flat whites and a croissant").unwrap()),
    }
}

/// Command bytes as they are.
pub(crate) fn short(cla: u8, ins: u8, p1: u8, p2: u8, data: &[u8], ne: Option<u32>) -> Vec<u8> {
    CommandApdu { cla, ins, p1, p2, data, ne }.encode(Form::Short).unwrap()
}

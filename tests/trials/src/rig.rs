//! One card at hand: APDUs go in, keys are pressed, time passes, and what it signs is written down. For what
//! looks at many thousands of lives of a card: its RSA is a stand-in, and what it draws is replayed by a seed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::apdu::{Form, ResponseApdu};
use onetap_apdu_spec::command::{AID, CardState, Name};
use onetap_apdu_spec::crypto::{
    Block, Crypto, CryptoError, Digest, Key256, RsaBits, RsaPrivate, RsaPublic, SigningKeyType,
    default_provider,
};
use onetap_apdu_spec::header::{Binding, CardId, ServerId};
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::password::PasswordPolicy;
use onetap_apdu_spec::personal::Personalisation;
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::suite::{EncryptionMethod, Suite};
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::Tag;
use onetap_apdu_spec::txn::Transaction;
use onetap_applet::card::{CardTime as _, Millis, PreparedKey, VirtualClock};
use onetap_applet::nvm::{IMAGE_LEN, Image, MemoryImage, PAGE_LEN};
use onetap_applet::{
    Card, CardError, DEAD_TIME_MS, DEBOUNCE_MS, Environment, Key, KeyRefused, PIN_MAX, PIN_MIN,
};
use zeroize::Zeroizing;

use crate::fuzz::stand_in::StandIn;
use onetap_apdu_spec::rng::SeededRng;
use onetap_conformance::target::samples;

/// What the clock says when a card is made.
pub const START: Millis = Millis(1_000_000);
/// Pages of a card here: room for an RSA-2048 key and a pending transaction, and quick to read through.
const PAGES: usize = 28;
/// As long as an RSA-2048 key in PKCS#8, so that the memory is used as on a real card.
const KEY_LEN: usize = 1218;
/// C is looked for among so many after the last one known.
const ALIASES: u32 = 100;

/// What a card did that it should not do.
#[derive(Debug, thiserror::Error)]
pub enum Surprise {
    /// A command that should work was refused.
    #[error("{command} was answered with {sw}")]
    Refused {
        /// Which one.
        command: &'static str,
        /// The answer.
        sw: StatusWord,
    },
    /// The card is not where it should be.
    #[error("the card is {found:?} where it should be {wanted:?}")]
    State {
        /// Where it is.
        found: CardState,
        /// Where it should be.
        wanted: CardState,
    },
    /// C was used twice.
    #[error("a second signature for C = {0}")]
    SecondSignature(u32),
    /// C did not grow.
    #[error("C = {0} came after a higher one")]
    CounterBack(u32),
    /// The payer alias belongs to no C that the card can have reached.
    #[error("the payer alias belongs to none of the next {ALIASES} C")]
    Alias,
    /// A key that should work was refused.
    #[error("a key was refused: {0}")]
    Key(#[from] KeyRefused),
    /// The card does not open.
    #[error("the card does not open: {0}")]
    Card(#[from] CardError),
    /// The card said nothing at all.
    #[error("an answer without a status word")]
    NoStatus,
    /// A constant of the harness itself is wrong.
    #[error("the harness lacks {0}")]
    Harness(&'static str),
    /// The display lacks something.
    #[error("the display does not show {0}")]
    Display(&'static str),
}

/// The provider of cryptography: the stand-in, which writes down what no one else may know.
#[derive(Debug, Default)]
pub struct Spy(Mutex<Secrets>);

/// What a card computed with.
#[derive(Debug, Default)]
pub struct Secrets {
    /// What was sealed: the joint passwords.
    pub passwords: Vec<Zeroizing<Vec<u8>>>,
    /// What was compared with the PIN.
    pub pins: Vec<Zeroizing<Vec<u8>>>,
}

impl Spy {
    /// One that lasts as long as the process, as the card wants it.
    #[must_use]
    pub fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    /// The secrets since the last call.
    pub fn take(&self) -> Secrets {
        std::mem::take(&mut *self.lock())
    }

    /// Forgets the PINs.
    pub fn forget_pins(&self) {
        self.lock().pins.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Secrets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Longest joint password: nothing else that is encrypted is as short.
const LONGEST_PASSWORD: usize = 16;

impl Crypto for Spy {
    fn name(&self) -> &'static str {
        "stand-in, watched"
    }

    fn sha256(&self, parts: &[&[u8]]) -> Digest {
        StandIn.sha256(parts)
    }

    fn cmac(&self, key: &Key256, parts: &[&[u8]]) -> Block {
        // Only a PIN is authenticated like this: behind a salt.
        if let [_, pin] = parts
            && (PIN_MIN..=PIN_MAX).contains(&pin.len())
            && pin.iter().all(u8::is_ascii_digit)
        {
            self.lock().pins.push(Zeroizing::new(pin.to_vec()));
        }
        StandIn.cmac(key, parts)
    }

    fn cbc_encrypt(&self, key: &Key256, iv: &Block, plaintext: &[u8]) -> Vec<u8> {
        if plaintext.len() <= LONGEST_PASSWORD {
            self.lock().passwords.push(Zeroizing::new(plaintext.to_vec()));
        }
        StandIn.cbc_encrypt(key, iv, plaintext)
    }

    fn cbc_decrypt(&self, key: &Key256, iv: &Block, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        StandIn.cbc_decrypt(key, iv, data)
    }

    fn generate_rsa(&self, bits: RsaBits) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        StandIn.generate_rsa(bits)
    }

    fn rsa_private(&self, pkcs8: &[u8]) -> Result<Box<dyn RsaPrivate>, CryptoError> {
        StandIn.rsa_private(pkcs8)
    }

    fn rsa_public(&self, spki: &[u8]) -> Result<Box<dyn RsaPublic>, CryptoError> {
        StandIn.rsa_public(spki)
    }
}

const CARD_KEY: [u8; 32] = [7; 32];

/// The order that cards here are personalised with.
#[must_use]
pub fn order(suite: Suite) -> Personalisation {
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
        card_key: Key256::new(CARD_KEY),
        server_public_key: if rsa { vec![2] } else { Vec::new() },
        password: PasswordPolicy::default(),
        confirmation: samples::confirmation(),
    }
}

/// Fresh memory for a card.
#[must_use]
pub fn fresh() -> MemoryImage {
    MemoryImage::new(IMAGE_LEN - 64 * 1024 + PAGES * PAGE_LEN)
}

/// What a card gets from the world.
#[must_use]
pub fn environment(crypto: &'static dyn Crypto, clock: &VirtualClock, seed: u64) -> Environment {
    Environment {
        crypto,
        rng: Box::new(SeededRng::new(seed)),
        clock: Box::new(clock.clone()),
        keys: Box::new(PreparedKey(Zeroizing::new(vec![1; KEY_LEN]))),
        ..Environment::default()
    }
}

/// The payer alias for this C.
#[must_use]
pub fn alias(counter: u32) -> Alias {
    static KEYS: LazyLock<CardKeys> =
        LazyLock::new(|| CardKeys::new(default_provider(), Key256::new(CARD_KEY)));
    KEYS.alias(default_provider(), counter)
}

/// What a card signed, by C.
#[derive(Clone, Default)]
pub struct Signatures(BTreeMap<u32, Vec<u8>>);

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} signatures to C {}", self.0.len(), self.last())
    }
}

impl Signatures {
    /// Takes down the data of a response, if it is a signature message.
    ///
    /// # Errors
    /// [`Surprise::SecondSignature`], [`Surprise::CounterBack`].
    pub fn add(&mut self, data: &[u8]) -> Result<(), Surprise> {
        let Ok(message) = SignatureMessage::parse(data) else { return Ok(()) };
        let counter = message.header.counter;
        if self.0.last_key_value().is_some_and(|(last, _)| *last > counter) {
            return Err(Surprise::CounterBack(counter));
        }
        let first = self.0.entry(counter).or_insert_with(|| data.to_vec());
        if *first == data { Ok(()) } else { Err(Surprise::SecondSignature(counter)) }
    }

    /// Takes down what was signed later.
    ///
    /// # Errors
    /// As [`Signatures::add`].
    pub fn extend(&mut self, later: &Self) -> Result<(), Surprise> {
        later.0.values().try_for_each(|data| self.add(data))
    }

    /// The highest C; 0 if nothing was signed.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.0.last_key_value().map_or(0, |(counter, _)| *counter)
    }
}

/// A card and all that is around it.
pub struct Rig {
    /// The card.
    pub card: Card,
    /// Its clock.
    pub clock: VirtualClock,
    /// What it signed.
    pub signed: Signatures,
}

impl Rig {
    /// Personalises a card.
    ///
    /// # Errors
    /// [`Surprise::Card`].
    pub fn new(suite: Suite, image: impl Image + 'static, crypto: &'static Spy) -> Result<Self, Surprise> {
        let clock = VirtualClock::at(START);
        let pin = samples::PIN.parse().map_err(|_| Surprise::Harness("a PIN"))?;
        let (card, _) =
            Card::personalise(order(suite), pin, Box::new(image), environment(crypto, &clock, 1))?;
        Ok(Self { card, clock, signed: Signatures::default() })
    }

    /// Opens a card; `seed` decides what it draws.
    ///
    /// # Errors
    /// [`Surprise::Card`].
    pub fn open(
        image: impl Image + 'static,
        crypto: &'static Spy,
        now: Millis,
        seed: u64,
    ) -> Result<Self, Surprise> {
        let clock = VirtualClock::at(now);
        let card = Card::open(Box::new(image), environment(crypto, &clock, seed))?;
        Ok(Self { card, clock, signed: Signatures::default() })
    }

    /// What its clock says; the start, where the battery is out.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now().unwrap_or(START)
    }

    /// Lets time pass.
    pub fn pass(&mut self, millis: u64) {
        self.clock.advance(millis);
        self.card.tick();
    }

    /// One command of the table, extended.
    ///
    /// # Errors
    /// Those of [`Signatures::add`].
    pub fn send(&mut self, name: Name, tag: Option<Tag>, data: &[u8]) -> Result<ResponseApdu, Surprise> {
        let bytes = name.spec().apdu(tag, data).encode(Form::Extended).unwrap_or_default();
        self.raw(&bytes)
    }

    /// Any bytes as a command.
    ///
    /// # Errors
    /// Those of [`Signatures::add`].
    pub fn raw(&mut self, bytes: &[u8]) -> Result<ResponseApdu, Surprise> {
        let response = ResponseApdu::parse(&self.card.transmit(bytes));
        let response = response.map_err(|_| Surprise::NoStatus)?;
        self.signed.add(&response.data)?;
        Ok(response)
    }

    /// A command that must be accepted; its data.
    fn must(&mut self, name: Name, tag: Option<Tag>, data: &[u8]) -> Result<Vec<u8>, Surprise> {
        let response = self.send(name, tag, data)?;
        match response.sw {
            StatusWord::OK => Ok(response.data),
            sw => Err(Surprise::Refused { command: name.spec().title, sw }),
        }
    }

    fn must_be(&self, wanted: CardState) -> Result<(), Surprise> {
        let found = self.card.state();
        if found == wanted { Ok(()) } else { Err(Surprise::State { found, wanted }) }
    }

    /// Into the field, with power, selected.
    ///
    /// # Errors
    /// [`Surprise`].
    pub fn contact(&mut self) -> Result<(), Surprise> {
        self.card.enter_field();
        self.card.power_on();
        self.must(Name::Select, None, &AID).map(drop)
    }

    /// Out of the field, until the display wakes.
    pub fn leave(&mut self) {
        self.card.leave_field();
        self.pass(DEBOUNCE_MS);
    }

    /// C of the last signature, as the payer alias tells.
    ///
    /// # Errors
    /// [`Surprise`].
    pub fn counter(&mut self) -> Result<u32, Surprise> {
        let told = self.alias()?;
        let first = self.signed.last();
        (first..first + ALIASES).find(|counter| alias(counter + 1) == told).ok_or(Surprise::Alias)
    }

    fn alias(&mut self) -> Result<Alias, Surprise> {
        let data = self.must(Name::GetData, Some(objects::PAYER_ALIAS), &[])?;
        let text = data.get(3..).and_then(|text| std::str::from_utf8(text).ok());
        text.and_then(|text| text.parse().ok()).ok_or(Surprise::Alias)
    }

    /// Hands over a transaction of so many cents that the card should take; its answer.
    ///
    /// # Errors
    /// [`Surprise`].
    pub fn put(&mut self, cents: u64) -> Result<StatusWord, Surprise> {
        let payer = self.alias()?;
        let transaction = Transaction { payer, ..samples::payment(cents, samples::CURRENCY) };
        Ok(self.send(Name::PutTxn, None, &samples::encode(&transaction))?.sw)
    }

    /// As [`Rig::put`]; it must be taken.
    ///
    /// # Errors
    /// [`Surprise`].
    pub fn load(&mut self, cents: u64) -> Result<(), Surprise> {
        match self.put(cents)? {
            StatusWord::OK => Ok(()),
            sw => Err(Surprise::Refused { command: Name::PutTxn.spec().title, sw }),
        }
    }

    /// A contact up to the signature.
    ///
    /// # Errors
    /// [`Surprise`].
    pub fn sign(&mut self, cents: u64) -> Result<(), Surprise> {
        self.contact()?;
        self.load(cents)?;
        self.must(Name::GetSignature, None, &[]).map(drop)
    }

    /// A contact up to Delivered, still in the field.
    ///
    /// # Errors
    /// [`Surprise`].
    pub fn deliver(&mut self, cents: u64) -> Result<(), Surprise> {
        self.sign(cents)?;
        if self.card.state() == CardState::Signed {
            self.must(Name::GetEncPassword, None, &[])?;
        }
        self.must_be(CardState::Delivered)
    }

    /// What one contact gives: the signature message, and what is owed beside it.
    ///
    /// # Errors
    /// [`Surprise`].
    pub fn answers(&mut self, cents: u64) -> Result<(Vec<u8>, Option<Vec<u8>>), Surprise> {
        self.deliver(cents)?;
        let signature = self.must(Name::GetSignature, None, &[])?;
        let owed = self.send(Name::GetEncPassword, None, &[])?;
        Ok((signature, (owed.sw == StatusWord::OK).then_some(owed.data)))
    }

    /// A whole contact, then the display is awake.
    ///
    /// # Errors
    /// [`Surprise`].
    pub fn tap(&mut self, cents: u64) -> Result<(), Surprise> {
        self.deliver(cents)?;
        self.leave();
        self.must_be(CardState::Showing)
    }

    /// Turns all pages and waits out the dead time. Gives the text of each page.
    ///
    /// # Errors
    /// [`Surprise`].
    pub fn read(&mut self) -> Result<Vec<String>, Surprise> {
        let pages = self.card.screen().pages();
        let mut text = vec![self.page()];
        for _ in 1..pages {
            self.card.press(Key::Next)?;
            text.push(self.page());
        }
        self.pass(DEAD_TIME_MS);
        Ok(text)
    }

    /// The lines of the display.
    pub fn page(&mut self) -> String {
        self.card.screen().lines().join("\n")
    }

    /// Types digits.
    ///
    /// # Errors
    /// [`Surprise::Key`].
    pub fn type_pin(&mut self, pin: &str) -> Result<(), Surprise> {
        for digit in pin.bytes() {
            self.card.press(Key::Digit(digit.wrapping_sub(b'0')))?;
        }
        Ok(())
    }

    /// Confirms what is shown with all that it takes, after [`Rig::read`]; gives what the display shows then.
    ///
    /// # Errors
    /// [`Surprise`].
    pub fn confirm(&mut self) -> Result<String, Surprise> {
        if self.page().contains("PIN: ") {
            self.type_pin(samples::PIN)?;
            self.card.press(Key::Confirm)?;
            self.pass(DEAD_TIME_MS);
        }
        if self.card.state() == CardState::Showing {
            self.card.press(Key::Confirm)?;
        }
        self.must_be(CardState::Revealed)?;
        Ok(self.page())
    }

    /// One payment from tap to joint password and back to a dark display.
    ///
    /// # Errors
    /// [`Surprise`].
    pub fn pay(&mut self, cents: u64) -> Result<(), Surprise> {
        self.tap(cents)?;
        self.read()?;
        self.confirm()?;
        self.card.press(Key::Cancel)?;
        self.must_be(CardState::Idle)
    }
}

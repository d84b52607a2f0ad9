//! Our card in the same process, made anew as often as wanted.

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onetap_apdu_spec::crypto::{Crypto, CryptoError, RsaBits, RsaPrivate, SigningKeyType, default_provider};
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::suite::Suite;
use onetap_applet::card::{Millis, PreparedKey, Product, VirtualClock};
use onetap_applet::nvm::MemoryImage;
use onetap_applet::runtime::Limits;
use onetap_applet::{Card, CardError, Environment, Key as CardKey, NotAPin, SharedCard};
use onetap_pcsc_host::ReaderError;
use onetap_pcsc_host::trace::{Key, Screen, Stage, StageError};
use zeroize::Zeroizing;

use super::{Capability, CardUnderTest, Claims, Known, Spent, Start, samples};

/// A card with a runtime of ours, on a virtual clock: the signing card, or an author's own kind.
pub struct InProcess {
    made: Made,
    kind: Product,
    limits: Limits,
    crypto: &'static dyn Crypto,
    pin_at: usize,
    claims: Claims,
    spent: Spent,
}

/// Why our own card cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CannotMake {
    /// The card.
    #[error(transparent)]
    Card(#[from] CardError),
    /// A key.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The PIN.
    #[error(transparent)]
    Pin(#[from] NotAPin),
}

impl From<CannotMake> for StageError {
    fn from(why: CannotMake) -> Self {
        Self::Other(why.to_string())
    }
}

/// One personalised card and what its issuer knows.
struct Made {
    card: SharedCard,
    clock: VirtualClock,
    statement: EnrolmentStatement,
    known: Arc<Known>,
}

/// Keys for all cards of this process: making one of RSA takes longer than a whole case. PKCS #8.
pub struct SampleKeys {
    rsa: Zeroizing<Vec<u8>>,
    p256: Zeroizing<Vec<u8>>,
    /// What the server opens E with.
    pub server: Zeroizing<Vec<u8>>,
}

static KEYS: LazyLock<Result<SampleKeys, CryptoError>> = LazyLock::new(SampleKeys::make);

impl SampleKeys {
    /// The keys, made when they are first wanted.
    ///
    /// # Errors
    /// [`CryptoError`].
    pub fn made() -> Result<&'static Self, CryptoError> {
        KEYS.as_ref().map_err(|why| *why)
    }

    fn make() -> Result<Self, CryptoError> {
        let crypto = default_provider();
        let rsa = || crypto.generate_rsa(RsaBits::B2048);
        Ok(Self { rsa: rsa()?, p256: crypto.generate_p256()?, server: rsa()? })
    }

    /// What the cards sign with.
    #[must_use]
    pub fn signing(&self, key: SigningKeyType) -> &[u8] {
        match key {
            SigningKeyType::Rsa(_) => &self.rsa,
            SigningKeyType::P256 => &self.p256,
        }
    }
}

impl InProcess {
    /// A card of the default suite.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn new() -> Result<Self, CannotMake> {
        Self::with(Suite::default())
    }

    /// A card of this suite.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn with(suite: Suite) -> Result<Self, CannotMake> {
        Self::computing(suite, default_provider())
    }

    /// A card of this suite that computes with another provider, such as a faulty one.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn computing(suite: Suite, crypto: &'static dyn Crypto) -> Result<Self, CannotMake> {
        Self::made(suite, Product::signing_card(), Limits::NONE, crypto)
    }

    /// A card of an author's own kind, which is issued over its APDUs.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn of_kind(kind: Product) -> Result<Self, CannotMake> {
        Self::limited(kind, Limits::NONE)
    }

    /// The same with a chip of these limits; it claims extended length only if they have it.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn limited(kind: Product, limits: Limits) -> Result<Self, CannotMake> {
        Self::made(Suite::default(), kind, limits, default_provider())
    }

    fn made(
        suite: Suite,
        kind: Product,
        limits: Limits,
        crypto: &'static dyn Crypto,
    ) -> Result<Self, CannotMake> {
        let server_key: Arc<dyn RsaPrivate> =
            Arc::from(default_provider().rsa_private(&SampleKeys::made()?.server)?);
        let order = samples::order(suite, &*server_key);
        let made = Made::new(&order, Some(server_key), &kind, limits, crypto)?;
        Ok(Self::of(made, kind, limits, crypto))
    }

    /// A card that an operator ordered, whose private key stays with the operator.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn ordered(order: &Personalisation) -> Result<Self, CannotMake> {
        let (kind, crypto) = (Product::signing_card(), default_provider());
        let limits = Limits::NONE;
        Ok(Self::of(Made::new(order, None, &kind, limits, crypto)?, kind, limits, crypto))
    }

    fn of(made: Made, kind: Product, limits: Limits, crypto: &'static dyn Crypto) -> Self {
        let claims = Claims { extended_length: limits.extended, ..Claims::of_our_card() };
        Self { made, kind, limits, crypto, pin_at: 0, claims, spent: Spent::nothing() }
    }

    /// The card itself, for other front doors.
    #[must_use]
    pub fn card(&self) -> SharedCard {
        Arc::clone(&self.made.card)
    }

    /// What is known of the card, to keep beside it.
    #[must_use]
    pub fn known_of(&self) -> Arc<Known> {
        Arc::clone(&self.made.known)
    }

    /// The card's enrolment statement.
    #[must_use]
    pub fn statement(&self) -> &EnrolmentStatement {
        &self.made.statement
    }

    fn lock(&self) -> MutexGuard<'_, Card> {
        self.made.card.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    fn new(
        order: &Personalisation,
        server_key: Option<Arc<dyn RsaPrivate>>,
        kind: &Product,
        limits: Limits,
        crypto: &'static dyn Crypto,
    ) -> Result<Self, CannotMake> {
        let clock = VirtualClock::at(Millis(0));
        let env = Environment {
            crypto,
            rng: Box::new(OsRng),
            clock: Box::new(clock.clone()),
            keys: Box::new(PreparedKey(Zeroizing::new(SampleKeys::made()?.signing(order.key_type).to_vec()))),
            limits,
        };
        let image = Box::new(MemoryImage::default());
        let (card, statement) = kind.issue(order, &samples::PIN.parse()?, None, image, env)?;
        let card_key = order.card_key.clone();
        let known =
            Known::new(default_provider(), order.binding, &statement.public_key, card_key, server_key)?;
        Ok(Self { card: Arc::new(Mutex::new(card)), clock, statement, known: Arc::new(known) })
    }
}

impl Stage for InProcess {
    fn field_in(&mut self) -> Result<Vec<u8>, StageError> {
        let mut card = self.lock();
        card.enter_field();
        card.power_on();
        Ok(card.atr().to_vec())
    }

    fn field_out(&mut self) -> Result<(), StageError> {
        self.lock().leave_field();
        Ok(())
    }

    fn reset(&mut self) -> Result<Vec<u8>, StageError> {
        let mut card = self.lock();
        card.reset();
        Ok(card.atr().to_vec())
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        Ok(self.lock().transmit(command))
    }

    /// A key that the card refuses does nothing, as on a real card; what it does is seen on the display.
    fn key(&mut self, key: Key) -> Result<(), StageError> {
        let (pressed, pin_at) = card_key(key, self.pin_at);
        self.pin_at = pin_at;
        let _ = self.lock().press(pressed);
        Ok(())
    }

    fn tick(&mut self, time: Duration) -> Result<(), StageError> {
        self.made.clock.advance(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.lock().tick();
        Ok(())
    }

    fn screen(&mut self) -> Result<Screen, StageError> {
        Ok(self.claims.screen(self.lock().screen().lines()))
    }
}

/// The key and how far the holder then is in the PIN.
fn card_key(key: Key, pin_at: usize) -> (CardKey, usize) {
    let digit = |at: usize| samples::PIN.as_bytes().get(at % samples::PIN.len()).map_or(0, |b| b - b'0');
    match key {
        Key::Confirm => (CardKey::Confirm, 0),
        Key::Cancel => (CardKey::Cancel, 0),
        Key::Clear => (CardKey::Clear, 0),
        Key::Next => (CardKey::Next, pin_at),
        Key::Previous => (CardKey::Previous, pin_at),
        Key::Digit => (CardKey::Digit(digit(pin_at)), pin_at + 1),
        Key::WrongDigit => (CardKey::Digit((digit(pin_at) + 1) % 10), pin_at + 1),
    }
}

impl CardUnderTest for InProcess {
    fn name(&self) -> &'static str {
        "in-process"
    }

    fn lacks(&self, _: Capability) -> Option<&'static str> {
        None
    }

    fn claims(&self) -> &Claims {
        &self.claims
    }

    fn fresh(&mut self, wanted: &Start) -> Result<(), StageError> {
        *self = Self::made(wanted.suite, self.kind.clone(), self.limits, self.crypto)?;
        Ok(())
    }

    fn known(&self) -> Option<&Known> {
        Some(&self.made.known)
    }

    fn spent(&mut self) -> &mut Spent {
        &mut self.spent
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").field("binding", &self.made.statement.binding).finish_non_exhaustive()
    }
}

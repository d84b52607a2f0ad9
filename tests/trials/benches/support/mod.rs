//! A card with its image on disk, and all that can be done with it, for both benchmarks.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onetap_apdu_spec::crypto::{CryptoError, Key256, RsaBits, SigningKeyType, default_provider};
use onetap_apdu_spec::header::{Binding, CardId, ServerId};
use onetap_apdu_spec::password::PasswordPolicy;
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_apdu_spec::suite::{EncryptionMethod, Suite};
use onetap_applet::card::{Millis, VirtualClock};
use onetap_applet::nvm::{ImageFile, ImageOptions};
use onetap_applet::{Card, DEBOUNCE_MS, Environment, Key, SharedCard};
use onetap_conformance::holder::Holder;
use onetap_conformance::reader::InProcessReader;
use onetap_conformance::target::samples;
use onetap_conformance::world::World;
use onetap_pcsc_host::{Deadline, Reader as _, Session, Tapped, Transport};
use zeroize::Zeroizing;

pub(crate) type Fallible<T> = Result<T, Box<dyn Error>>;

/// How long a contact may take that is measured.
pub(crate) const LONG: Duration = Duration::from_secs(3_600);
/// How long a reader may take to see that a card came or went.
pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// Where vpcd listens for the card in its second slot.
pub(crate) const SECOND_SLOT: u16 = 35_964;

/// True where `scripts/with-pcscd` gave this process a PC/SC daemon of its own.
pub(crate) fn has_pcscd() -> bool {
    std::env::var_os("ONETAP_PCSCD").is_some()
}

/// The two virtual readers, first slot first.
pub(crate) fn virtual_readers() -> Fallible<[String; 2]> {
    let mut names = onetap_pcsc_host::pcsc::readers(&Deadline::after(WAIT))?;
    names.retain(|name| name.starts_with("Virtual PCD"));
    names.sort();
    Ok(names.try_into().map_err(|names| format!("not two virtual readers: {names:?}"))?)
}

/// One RSA key for all cards, one for the server: making one takes longer than measuring a suite. And one of P-256.
struct Keys {
    rsa: Zeroizing<Vec<u8>>,
    p256: Zeroizing<Vec<u8>>,
    server: Zeroizing<Vec<u8>>,
}

static KEYS: LazyLock<Result<Keys, CryptoError>> = LazyLock::new(|| {
    let generate = || default_provider().generate_rsa(RsaBits::B2048);
    Ok(Keys { rsa: generate()?, p256: default_provider().generate_p256()?, server: generate()? })
});

/// The server's private key, PKCS#8.
pub(crate) fn server_key() -> Fallible<&'static [u8]> {
    Ok(&KEYS.as_ref()?.server)
}

/// The cards' private key of this kind, PKCS#8.
fn signing_key(key: SigningKeyType) -> Fallible<&'static [u8]> {
    let keys = KEYS.as_ref()?;
    Ok(match key {
        SigningKeyType::Rsa(_) => &keys.rsa,
        SigningKeyType::P256 => &keys.p256,
    })
}

/// A card and its holder.
pub(crate) struct Payer {
    pub(crate) card: SharedCard,
    pub(crate) order: Personalisation,
    pub(crate) statement: EnrolmentStatement,
    clock: VirtualClock,
}

impl Payer {
    /// With an image in `folder`.
    pub(crate) fn new(folder: &Path, suite: Suite) -> Fallible<Self> {
        let order = order(suite)?;
        let nvm = ImageFile::create(&folder.join(format!("{suite}.img")), ImageOptions::default())?;
        let clock = VirtualClock::at(Millis(0));
        let env = Environment { clock: Box::new(clock.clone()), ..Environment::default() };
        let (card, statement) = Card::personalise_with_key(
            order.clone(),
            samples::PIN.parse()?,
            signing_key(order.key_type)?,
            Box::new(nvm),
            env,
        )?;
        Ok(Self { card: Arc::new(Mutex::new(card)), order, statement, clock })
    }

    fn lock(&self) -> MutexGuard<'_, Card> {
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Out of the field, whatever was pending cancelled, and back into it, without the reader noticing.
    pub(crate) fn again(&self) -> Fallible<()> {
        let mut card = self.lock();
        card.leave_field();
        self.clock.advance(DEBOUNCE_MS);
        card.press(Key::Cancel)?;
        card.enter_field();
        card.power_on();
        Ok(())
    }

    /// A reader in this process.
    pub(crate) fn reader(&self) -> InProcessReader {
        InProcessReader::new(Arc::clone(&self.card))
    }

    /// What the holder types once the card is out of the field.
    pub(crate) fn confirm(&self) -> Fallible<String> {
        let holder = Holder { card: &self.card, time: &self.clock, pin: samples::PIN };
        Ok(holder.confirm(&mut |_| {})?)
    }

    /// A request to the server with the right password.
    pub(crate) fn request(&self) -> Fallible<AuthorisationRequest> {
        let mut reader = self.reader();
        let mut contact = reader.connect(&Deadline::after(LONG))?;
        let tapped = session(&mut contact)?;
        contact.release(onetap_pcsc_host::Disposition::Leave)?;
        Ok(World::type_in(tapped, &self.confirm()?)?)
    }
}

/// The whole signing transaction, as a terminal makes it: SELECT, GET DATA, PUT TXN, GET SIGNATURE, GET
/// ENC-PASSWORD where one is owed.
pub(crate) fn session(transport: &mut dyn Transport) -> Result<Tapped, onetap_pcsc_host::Error> {
    let mut session = Session::select(transport)?;
    let mut transaction = samples::transaction();
    transaction.payer = session.alias()?;
    session.put_txn(transaction.encode()?)?.get_signature()?.finish()
}

fn order(suite: Suite) -> Fallible<Personalisation> {
    let rsa = suite.encryption() == EncryptionMethod::RsaOaep;
    let server_public_key =
        if rsa { default_provider().rsa_private(server_key()?)?.public_spki() } else { Vec::new() };
    Ok(Personalisation {
        binding: Binding {
            server: ServerId(*b"benchsrv"),
            card: CardId(*b"benchcrd"),
            suite,
            signing_key: 1,
            server_key: u16::from(rsa),
            issuer_key: 1,
        },
        key_type: SigningKeyType::of(suite.signature(), RsaBits::B2048),
        card_key: Key256::new([7; 32]),
        server_public_key,
        password: PasswordPolicy::default(),
        confirmation: samples::confirmation(),
    })
}

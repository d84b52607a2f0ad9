//! What the issuer of a test card knows: enough to judge what the card gives. Written from `docs/spec`
//! as a second reading of it, beside the server's own verification.

use std::sync::Arc;

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::crypto::{Crypto, CryptoError, Key256, RsaPrivate, VerifyingKey};
use onetap_apdu_spec::digest::{Digester, Subject};
use onetap_apdu_spec::envelope::Envelope;
use onetap_apdu_spec::header::{Binding, Header};
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::signed::{SignatureMessage, signed_bytes};
use onetap_apdu_spec::suite::{EncryptionMethod, Owed, Profile, Suite};
use onetap_apdu_spec::tlv::{self, Tag, Template};

/// Everything that a card gave in one contact.
#[derive(Debug, Clone, Default)]
pub struct Tap {
    /// T, as the card accepted it.
    pub transaction: Vec<u8>,
    /// The answer to GET SIGNATURE.
    pub signature_message: Vec<u8>,
    /// The answer to GET ENC-PASSWORD, if the profile owes one and it was fetched.
    pub object: Option<Vec<u8>>,
}

/// The card's public key and the server's keys for it.
#[derive(Debug)]
pub struct Known {
    crypto: &'static dyn Crypto,
    binding: Binding,
    public_key: Box<dyn VerifyingKey>,
    keys: CardKeys,
    server_key: Option<Arc<dyn RsaPrivate>>,
}

impl Known {
    /// From the issuer's order and the card's enrolment statement. Without `server_key` an E under RSA
    /// is not opened: whether it opens, only the server can tell.
    ///
    /// # Errors
    /// [`CryptoError::BadKey`] if `public_key` (SubjectPublicKeyInfo DER) does not parse.
    pub fn new(
        crypto: &'static dyn Crypto,
        binding: Binding,
        public_key: &[u8],
        card_key: Key256,
        server_key: Option<Arc<dyn RsaPrivate>>,
    ) -> Result<Self, CryptoError> {
        let public_key = crypto.verifying_key(binding.suite.signature(), public_key)?;
        Ok(Self { crypto, binding, public_key, keys: CardKeys::new(crypto, card_key), server_key })
    }

    /// What the card was personalised to do.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.binding.suite
    }

    /// The payer alias for this counter value.
    #[must_use]
    pub fn alias(&self, counter: u32) -> Alias {
        self.keys.alias(self.crypto, counter)
    }

    /// The header, if the signature message is well formed and this card's.
    ///
    /// # Errors
    /// Why not.
    pub fn header(&self, tap: &Tap) -> Result<Header, String> {
        let header = message(tap)?.header;
        if header.binding == self.binding { Ok(header) } else { Err("the header of another card".into()) }
    }

    /// Verifies S as far as the terminal's evidence goes: where the profile signs something that did
    /// not travel yet (pw itself, or an object not fetched), only the header is judged.
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn signature_valid(&self, tap: &Tap, password: Option<&Password>) -> Result<(), String> {
        let header = self.header(tap)?;
        let Some(second) = self.second_part(&header, tap, password)? else {
            return Ok(());
        };
        let first = match self.suite().profile() {
            Profile::A1 | Profile::B1 => tap.transaction.clone(),
            _ => self.digester(&header, &header.to_bytes()).digest(Subject::Transaction, &tap.transaction),
        };
        let parts: Vec<&[u8]> = std::iter::once(&first[..]).chain(second.as_deref()).collect();
        let signed = signed_bytes(&header, &parts);
        let signature = message(tap)?.signature;
        let verified = self.public_key.verify(self.suite().signature(), &signed, &signature);
        verified.map_err(|error| error.to_string())
    }

    /// Judges what travels besides S: its tag and form, and that S covers it; E must also open.
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn object_valid(&self, tap: &Tap) -> Result<(), String> {
        self.signature_valid(tap, None)?;
        let header = self.header(tap)?;
        match self.suite().owed() {
            Some(Owed::Encrypted) if self.opens() => self.open(&header, tap).map(drop),
            Some(Owed::Encrypted) => self.object(tap).map(drop),
            Some(Owed::EncryptedDigest | Owed::PasswordDigest) => self.object(tap).map(drop),
            None => Err("this profile owes no object".into()),
        }
    }

    /// The joint password in E; `None` where the suite sends none, or its key is not known.
    ///
    /// # Errors
    /// Why it does not open.
    pub fn password(&self, tap: &Tap) -> Result<Option<Password>, String> {
        let sent = self.suite().owed() == Some(Owed::Encrypted) && self.opens();
        sent.then(|| self.open(&self.header(tap)?, tap)).transpose()
    }

    /// Judges the joint password as the server would: it belongs to this tap and no other does.
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn password_valid(&self, tap: &Tap, password: &Password) -> Result<(), String> {
        self.signature_valid(tap, Some(password))?;
        let header = self.header(tap)?;
        let same = match self.suite().owed() {
            // S covers pw or its digest, and has just been verified with this one.
            None => true,
            Some(Owed::Encrypted) => self.open(&header, tap)?.matches(password),
            Some(Owed::PasswordDigest) => {
                let header_bytes = header.to_bytes();
                let digester = self.digester(&header, &header_bytes);
                digester.digest(Subject::Password, password.expose().as_bytes()) == self.object(tap)?
            }
            Some(Owed::EncryptedDigest) => {
                self.digest_of_envelope(&header, tap, password)? == self.object(tap)?
            }
        };
        if same { Ok(()) } else { Err("another joint password than the one displayed".into()) }
    }

    /// What is signed behind T or its digest: outer `None` if that is not known yet, inner `None`
    /// where the profile signs nothing more.
    fn second_part(
        &self,
        header: &Header,
        tap: &Tap,
        password: Option<&Password>,
    ) -> Result<Option<Option<Vec<u8>>>, String> {
        let header_bytes = header.to_bytes();
        let digester = self.digester(header, &header_bytes);
        let object = tap.object.as_ref().map(|_| self.object(tap)).transpose()?;
        Ok(match self.suite().profile() {
            Profile::B1 | Profile::B2 => Some(None),
            Profile::A1 => password.map(|pw| Some(pw.expose().as_bytes().to_vec())),
            Profile::A2 if self.suite().owed().is_none() => {
                password.map(|pw| Some(digester.digest(Subject::Password, pw.expose().as_bytes())))
            }
            Profile::A2 | Profile::A3 | Profile::A3NoRandom | Profile::A4 => object.map(Some),
        })
    }

    fn digester<'k>(
        &'k self,
        header: &Header,
        bytes: &'k [u8; onetap_apdu_spec::header::HEADER_LEN],
    ) -> Digester<'k> {
        Digester {
            crypto: self.crypto,
            keys: &self.keys,
            method: self.suite().digest(),
            header: bytes,
            counter: header.counter,
        }
    }

    fn open(&self, header: &Header, tap: &Tap) -> Result<Password, String> {
        let key = self.server_key();
        let envelope = Envelope::new(self.crypto, &self.keys, header, &tap.transaction);
        envelope.open(&self.object(tap)?, key).map_err(|error| error.to_string())
    }

    /// Whether E can be opened: with the server's private key, if the suite encrypts to it.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.suite().encryption() != EncryptionMethod::RsaOaep || self.server_key.is_some()
    }

    fn server_key(&self) -> Option<&dyn RsaPrivate> {
        self.server_key.as_deref().filter(|_| self.suite().encryption() == EncryptionMethod::RsaOaep)
    }

    /// A4: E follows from pw and C, so it can be made again.
    fn digest_of_envelope(&self, header: &Header, tap: &Tap, password: &Password) -> Result<Vec<u8>, String> {
        let envelope = Envelope::new(self.crypto, &self.keys, header, &tap.transaction);
        let sealed = envelope.seal(password, None, &mut OsRng).map_err(|error| error.to_string())?;
        Ok(self.digester(header, &header.to_bytes()).digest(Subject::Envelope, &sealed))
    }

    /// The value of the object, which must be exactly the one that the profile owes.
    fn object(&self, tap: &Tap) -> Result<Vec<u8>, String> {
        let tag = owed_tag(self.suite()).ok_or("this profile owes no object")?;
        let bytes = tap.object.as_ref().ok_or("the object was not fetched")?;
        value_of(bytes, tag).ok_or_else(|| format!("expected one data object {tag}"))
    }
}

fn message(tap: &Tap) -> Result<SignatureMessage, String> {
    SignatureMessage::parse(&tap.signature_message).map_err(|error| error.to_string())
}

/// The tag of the object that a suite owes.
#[must_use]
pub fn owed_tag(suite: Suite) -> Option<Tag> {
    suite.owed().map(onetap_pcsc_host::session::owed_tag)
}

/// The value of `bytes` if they are exactly one canonical primitive object of this tag.
#[must_use]
pub fn value_of(bytes: &[u8], tag: Tag) -> Option<Vec<u8>> {
    let template = tlv::object(objects::TRANSACTION, bytes);
    let [value] = Template::parse(&template, objects::TRANSACTION).ok()?.into_exactly([tag])?;
    Some(value)
}

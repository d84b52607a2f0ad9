//! Pure verification: from a request and what the server knows of the card to a proof value. No store,
//! no clock, no side effects.
//!
//! [`authenticate`] shows that the enrolled card made this request ([`Authentic`]);
//! [`Authentic::judge`] shows that its holder confirmed it ([`Verified`]). A cancellation has no password to
//! judge: [`authenticate_unopened`] is all that it takes. Only this module
//! can make a [`Verified`], and nothing moves money without one (P-18).

use onetap_apdu_spec::crypto::{Block, Crypto, CryptoError, Digest, Key256, RsaPrivate, VerifyingKey};
use onetap_apdu_spec::digest::{Digester, Subject};
use onetap_apdu_spec::envelope::{Envelope, OpenError};
use onetap_apdu_spec::header::{Binding, Header};
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::service::{AuthorisationRequest, Cancellation, PasswordObject};
use onetap_apdu_spec::signed::{SignatureMessage, SignatureMessageError, signed_bytes};
use onetap_apdu_spec::suite::{Danger, Owed, Profile, SignatureAlgorithm};
use onetap_apdu_spec::txn::{TransactionError, TransactionMessage};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Longest password object: D(E) by bare CBC of the longest E.
const MAX_PASSWORD_OBJECT: usize = 1024;

/// Why a request is not well formed. Speaks of form only, never of secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// See [`TransactionError`].
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// See [`SignatureMessageError`].
    #[error(transparent)]
    Signature(#[from] SignatureMessageError),
    /// Missing, unexpected, of another kind, or too long.
    #[error("the password object does not fit the profile: it owes {}", owed_name(*.expected))]
    PasswordObject {
        /// What the profile owes (P-17).
        expected: Option<Owed>,
    },
    /// Empty, too long, or with other characters.
    #[error("send one idempotency key of 1 to 64 printable ASCII characters without spaces")]
    IdempotencyKey,
}

fn owed_name(owed: Option<Owed>) -> &'static str {
    match owed {
        Some(Owed::Encrypted) => "one of kind `encrypted`, of at most 1024 bytes",
        Some(Owed::EncryptedDigest) => "one of kind `encrypted-digest`",
        Some(Owed::PasswordDigest) => "one of kind `password-digest`",
        None => "none",
    }
}

/// A request or cancellation, parsed and bounded; nothing in it is believed yet.
#[derive(Debug)]
pub struct Parsed<'a> {
    message: TransactionMessage,
    signature: SignatureMessage,
    object: Option<&'a PasswordObject>,
}

impl<'a> Parsed<'a> {
    /// Parses `request`.
    ///
    /// # Errors
    /// [`Malformed`], the first reason met.
    pub fn new(request: &'a AuthorisationRequest) -> Result<Self, Malformed> {
        let AuthorisationRequest { transaction, signature_message, password_object, .. } = request;
        Self::of_parts(transaction, signature_message, password_object.as_ref())
    }

    /// Parses `cancellation`.
    ///
    /// # Errors
    /// [`Malformed`], the first reason met.
    pub fn cancellation(cancellation: &'a Cancellation) -> Result<Self, Malformed> {
        let Cancellation { transaction, signature_message, password_object } = cancellation;
        Self::of_parts(transaction, signature_message, password_object.as_ref())
    }

    fn of_parts(
        transaction: &[u8],
        signature_message: &[u8],
        object: Option<&'a PasswordObject>,
    ) -> Result<Self, Malformed> {
        let message = TransactionMessage::parse(transaction)?;
        let signature = SignatureMessage::parse(signature_message)?;
        let expected = signature.header.binding.suite.owed();
        let bounded = object.is_none_or(|object| object.bytes.len() <= MAX_PASSWORD_OBJECT);
        if object.map(|object| object.kind) != expected || !bounded {
            return Err(Malformed::PasswordObject { expected });
        }
        Ok(Self { message, signature, object })
    }

    /// H, as claimed.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.signature.header
    }

    /// True if S cannot be checked without the password: the signed bytes hold what was typed (A1, A2 with an unkeyed
    /// digest).
    #[must_use]
    pub fn needs_password(&self) -> bool {
        self.header().binding.suite.danger() == Some(Danger::Guessable)
    }

    fn object_bytes(&self) -> &[u8] {
        self.object.map_or(&[], |object| &object.bytes)
    }
}

/// A card as the server has enrolled it.
#[derive(Debug)]
pub struct Enrolled {
    binding: Binding,
    public_key: Box<dyn VerifyingKey>,
    keys: CardKeys,
}

impl Enrolled {
    /// From the enrolled binding and public key (SubjectPublicKeyInfo DER) and the card key.
    ///
    /// # Errors
    /// [`CryptoError::BadKey`].
    pub fn new(
        crypto: &dyn Crypto,
        binding: Binding,
        public_key: &[u8],
        card_key: Key256,
    ) -> Result<Self, CryptoError> {
        let public_key = crypto.verifying_key(binding.suite.signature(), public_key)?;
        Ok(Self { binding, public_key, keys: CardKeys::new(crypto, card_key) })
    }

    /// Whether its key is of the kind that signs by `algorithm`. With one of another kind nothing verifies, at once.
    #[must_use]
    pub fn signs_by(&self, algorithm: SignatureAlgorithm) -> bool {
        self.public_key.key_type().signs_by(algorithm)
    }
}

/// Why a request is not authentic: all the same to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthentic {
    /// Another suite, key id or server than enrolled.
    #[error("the header is not the enrolled one")]
    OtherBinding,
    /// S does not verify.
    #[error("the signature does not verify")]
    BadSignature,
    /// The tag of E does not hold.
    #[error("the encrypted joint password does not come from this card for this transaction")]
    BadTag,
    /// The token that holds the server's key does not answer: nothing is known about E.
    #[error("the token that holds the server's key does not answer")]
    KeyUnavailable,
}

/// Proof that the enrolled card signed this transaction, with what its password is held against. (Under
/// suites whose password can be guessed off line, S cannot be checked without the password: there the
/// proof is missing until then, one of the reasons why the default policy refuses them.)
#[derive(Debug)]
pub struct Authentic<'a> {
    crypto: &'a dyn Crypto,
    card: &'a Enrolled,
    parsed: Parsed<'a>,
    fingerprint: Digest,
    payer_matches: bool,
    password: Expected,
}

/// What the typed password is held against.
#[derive(Debug)]
enum Expected {
    /// E, opened.
    Opened(Password),
    /// E does not open.
    Undecryptable,
    /// D(pw) or D(E), covered by S.
    Digest,
    /// S itself.
    Signature,
}

/// What the card made, with what is known of it.
#[derive(Debug)]
pub struct Evidence {
    message: TransactionMessage,
    signature: SignatureMessage,
    object: Option<Vec<u8>>,
    fingerprint: Digest,
    payer_matches: bool,
    proven: bool,
}

impl Evidence {
    /// H.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.signature.header
    }

    /// T.
    #[must_use]
    pub fn message(&self) -> &TransactionMessage {
        &self.message
    }

    /// H and S.
    #[must_use]
    pub fn signature(&self) -> &SignatureMessage {
        &self.signature
    }

    /// What the card owed besides S, if anything: with it the signature can be checked again.
    #[must_use]
    pub fn object(&self) -> Option<&[u8]> {
        self.object.as_deref()
    }

    /// Hash of the signed bytes, by which a repetition is known. (Of H and T where the signed bytes
    /// contain the typed password.)
    #[must_use]
    pub fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// Whether T names as payer the alias that this card has for this counter value.
    #[must_use]
    pub fn payer_matches(&self) -> bool {
        self.payer_matches
    }

    /// True if S has verified. For A1 and A2 with an unkeyed digest that takes the right password, so that
    /// without it nothing may rest on the request.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven
    }
}

/// Proof that the enrolled card signed this transaction and that its holder confirmed it. Made by
/// [`Authentic::judge`] only; executing a transaction takes one (P-18).
#[derive(Debug)]
pub struct Verified(Evidence);

impl Verified {
    /// What was proven.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.0
    }
}

/// What holding the typed password against the card's gave.
#[derive(Debug)]
pub enum Judged {
    /// They are the same.
    Right(Verified),
    /// They are not.
    Wrong(Evidence),
    /// The card's cannot be read: an alarm, not a try.
    Undecryptable(Evidence),
}

impl Judged {
    /// What the card made.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        match self {
            Self::Right(verified) => &verified.0,
            Self::Wrong(evidence) | Self::Undecryptable(evidence) => evidence,
        }
    }
}

/// Checks that `card` made `parsed`: the header is the enrolled one, S verifies over what the profile
/// signs, and then opens E with `server_key`, the version that H names. Costs about the same for every card and outcome.
///
/// # Errors
/// [`NotAuthentic`].
pub fn authenticate<'a>(
    crypto: &'a dyn Crypto,
    card: &'a Enrolled,
    server_key: Option<&dyn RsaPrivate>,
    parsed: Parsed<'a>,
) -> Result<Authentic<'a>, NotAuthentic> {
    let mut authentic = signed_by(crypto, card, parsed)?;
    authentic.password = authentic.expected(server_key)?;
    Ok(authentic)
}

/// Checks the same without a password: instead of opening E, only its tag is checked, where it has one. Under a suite
/// whose S takes the password ([`Parsed::needs_password`]), nothing is authentic.
///
/// # Errors
/// [`NotAuthentic`].
pub fn authenticate_unopened<'a>(
    crypto: &'a dyn Crypto,
    card: &'a Enrolled,
    parsed: Parsed<'a>,
) -> Result<Evidence, NotAuthentic> {
    if parsed.needs_password() {
        return Err(NotAuthentic::BadSignature);
    }
    let authentic = signed_by(crypto, card, parsed)?;
    let encrypted = authentic.header().binding.suite.owed() == Some(Owed::Encrypted);
    if encrypted && !authentic.envelope().has_right_tag(authentic.parsed.object_bytes()) {
        return Err(NotAuthentic::BadTag);
    }
    Ok(authentic.into_evidence(true))
}

/// Checks header and, where that takes no password, S.
fn signed_by<'a>(
    crypto: &'a dyn Crypto,
    card: &'a Enrolled,
    parsed: Parsed<'a>,
) -> Result<Authentic<'a>, NotAuthentic> {
    let header = *parsed.header();
    let binding_matches = header.binding == card.binding;
    let needs_password = parsed.needs_password();
    let payer_matches = card.keys.alias(crypto, header.counter) == parsed.message.transaction().payer;
    let mut authentic = Authentic {
        crypto,
        card,
        parsed,
        fingerprint: [0; 32],
        payer_matches,
        password: Expected::Signature,
    };
    if needs_password {
        authentic.fingerprint = crypto.sha256(&[&header.to_bytes(), authentic.parsed.message.bytes()]);
    } else {
        let signed = authentic.signed(None);
        authentic.verify(&signed)?;
        authentic.fingerprint = crypto.sha256(&[&signed]);
    }
    if !binding_matches {
        return Err(NotAuthentic::OtherBinding);
    }
    Ok(authentic)
}

/// Whether S of a stored transaction still verifies, with what the card owed besides it.
pub(crate) fn signature_holds(
    crypto: &dyn Crypto,
    card: &Enrolled,
    message: &[u8],
    signature: &[u8],
    object: &[u8],
) -> bool {
    let (Ok(message), Ok(signature)) =
        (TransactionMessage::parse(message), SignatureMessage::parse(signature))
    else {
        return false;
    };
    let Some(kind) = signature.header.binding.suite.owed() else {
        return true;
    };
    let object = PasswordObject { kind, bytes: object.to_owned() };
    let parsed = Parsed { message, signature, object: Some(&object) };
    let password = Expected::Signature;
    let authentic = Authentic { crypto, card, parsed, fingerprint: [0; 32], payer_matches: false, password };
    authentic.verify(&authentic.signed(None)).is_ok()
}

impl Authentic<'_> {
    /// Holds what was typed against what the card made, in constant time.
    #[must_use]
    pub fn judge(self, typed: &Password) -> Judged {
        let right = match &self.password {
            Expected::Opened(password) => Some(password.matches(typed)),
            Expected::Undecryptable => None,
            Expected::Digest => Some(self.digest_of(typed).is_some_and(|digest| self.object_is(&digest))),
            Expected::Signature => Some(self.verify(&Zeroizing::new(self.signed(Some(typed)))).is_ok()),
        };
        let proven = right == Some(true) || !matches!(self.password, Expected::Signature);
        let evidence = self.into_evidence(proven);
        match right {
            Some(true) => Judged::Right(Verified(evidence)),
            Some(false) => Judged::Wrong(evidence),
            None => Judged::Undecryptable(evidence),
        }
    }

    fn into_evidence(self, proven: bool) -> Evidence {
        Evidence {
            proven,
            object: self.parsed.object.map(|object| object.bytes.clone()),
            message: self.parsed.message,
            signature: self.parsed.signature,
            fingerprint: self.fingerprint,
            payer_matches: self.payer_matches,
        }
    }

    fn header(&self) -> &Header {
        self.parsed.header()
    }

    fn message(&self) -> &TransactionMessage {
        &self.parsed.message
    }

    /// The signed bytes (docs/spec/signing.md). Only A1 and A2 with an unkeyed
    /// digest need what was `typed`.
    fn signed(&self, typed: Option<&Password>) -> Vec<u8> {
        let header = self.header();
        let transaction = self.message().bytes();
        let object = self.parsed.object_bytes();
        let typed = typed.map_or(&[][..], |typed| typed.expose().as_bytes());
        let first = self.digest(Subject::Transaction, transaction);
        match (header.binding.suite.profile(), header.binding.suite.owed()) {
            (Profile::B1 | Profile::B2, _) => signed_bytes(header, &[&first]),
            (_, None) => signed_bytes(header, &[&first, &self.digest(Subject::Password, typed)]),
            (_, Some(_)) => signed_bytes(header, &[&first, object]),
        }
    }

    fn verify(&self, signed: &[u8]) -> Result<(), NotAuthentic> {
        let algorithm = self.header().binding.suite.signature();
        let verified = self.card.public_key.verify(algorithm, signed, &self.parsed.signature.signature);
        verified.map_err(|_| NotAuthentic::BadSignature)
    }

    fn expected(&self, server_key: Option<&dyn RsaPrivate>) -> Result<Expected, NotAuthentic> {
        Ok(match self.header().binding.suite.owed() {
            None => Expected::Signature,
            Some(Owed::PasswordDigest | Owed::EncryptedDigest) => Expected::Digest,
            Some(Owed::Encrypted) => match self.envelope().open(self.parsed.object_bytes(), server_key) {
                Ok(password) => Expected::Opened(password),
                Err(OpenError::Unavailable) => return Err(NotAuthentic::KeyUnavailable),
                Err(_) => Expected::Undecryptable,
            },
        })
    }

    /// D(pw), or D(E) of the E that the card would have made for `typed` (A4: IV and R follow from C).
    fn digest_of(&self, typed: &Password) -> Option<Vec<u8>> {
        if self.header().binding.suite.owed() == Some(Owed::PasswordDigest) {
            return Some(self.digest(Subject::Password, typed.expose().as_bytes()));
        }
        let sealed = self.envelope().seal(typed, None, &mut OsRng).ok()?;
        Some(self.digest(Subject::Envelope, &sealed))
    }

    fn object_is(&self, expected: &[u8]) -> bool {
        expected.ct_eq(self.parsed.object_bytes()).into()
    }

    fn envelope(&self) -> Envelope<'_> {
        Envelope::new(self.crypto, &self.card.keys, self.header(), self.message().bytes())
    }

    fn digest(&self, subject: Subject, bytes: &[u8]) -> Vec<u8> {
        let header = self.header();
        Digester {
            crypto: self.crypto,
            keys: &self.card.keys,
            method: header.binding.suite.digest(),
            header: &header.to_bytes(),
            counter: header.counter,
        }
        .digest(subject, bytes)
    }
}

/// Tells one request body from another, keyed so that a stolen database does not betray what was
/// typed.
#[must_use]
pub(crate) fn body_tag(crypto: &dyn Crypto, key: &Key256, request: &AuthorisationRequest) -> Block {
    let object = request.password_object.as_ref().map_or(&[][..], |object| &object.bytes);
    let parts = [
        &request.transaction,
        &request.signature_message,
        request.verification_password.expose().as_bytes(),
        object,
    ];
    let lengths = parts.map(|part| part.len().to_be_bytes());
    let [a, b, c, d] = parts;
    let [la, lb, lc, ld] = &lengths;
    let hash = crypto.sha256(&[la, a, lb, b, lc, c, ld, d]);
    crypto.cmac(key, &[&hash])
}

//! What a card was personalised to do: signing profile, digest, encryption and signature method.
//!
//! A [`Suite`] is always workable: combinations that cannot work are refused by name when one is
//! made ([`Unworkable`]). Those that can be guessed or forged exist for the patent's letter only; their
//! names start with `danger-` and a server's default policy refuses them ([`Suite::danger`]).

use std::fmt;
use std::str::FromStr;

/// Which parts are signed and which travel (P-07 … P-13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// sign(T, pw) (P-07).
    A1,
    /// sign(D(T), D(pw)) (P-08).
    A2,
    /// sign(D(T), E), E with a random number (P-09, P-10). The default.
    A3,
    /// A3, E without the random number (P-09).
    A3NoRandom,
    /// sign(D(T), D(E)) (P-11).
    A4,
    /// sign(T), E beside it (P-12).
    B1,
    /// sign(D(T)), E beside it (P-13).
    B2,
}

/// How D is computed (P-14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestMethod {
    /// The profile signs T itself.
    None,
    /// SHA-256.
    Sha256,
    /// SHA-256, then AES-256-CMAC.
    Sha256Cmac,
    /// SHA-256, then the whole AES-256-CBC ciphertext under a key for this counter.
    Sha256Cbc,
    /// AES-256-CMAC alone: whoever has the key can find another T with the same digest.
    DangerCmac,
    /// AES-256-CBC ciphertext alone, as the patent has it.
    DangerCbc,
}

/// How E is computed (P-15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncryptionMethod {
    /// The profile has no E.
    None,
    /// RSAES-OAEP with SHA-256 under the server's key.
    RsaOaep,
    /// AES-256-CBC, then AES-256-CMAC.
    AesCbcCmac,
}

/// How S is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, which Java Cards have.
    Pkcs1Sha256,
    /// RSASSA-PSS with SHA-256, MGF1-SHA-256, salt of 32 bytes.
    PssSha256,
    /// ECDSA on the curve P-256 with SHA-256, S as r ‖ s.
    EcdsaP256Sha256,
}

/// What travels to the server besides S (P-17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owed {
    /// E.
    Encrypted,
    /// D(E).
    EncryptedDigest,
    /// D(pw), keyed.
    PasswordDigest,
}

/// Why a combination cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unworkable {
    /// A1 and B1 sign T itself.
    #[error("profile {0} signs the transaction itself: its digest method is none")]
    DigestNotUsed(Profile),
    /// A2, A3, A4 and B2 sign digests.
    #[error("profile {0} needs a digest method")]
    DigestNeeded(Profile),
    /// A1 and A2 have no E.
    #[error("profile {0} has no encrypted joint password: its encryption method is none")]
    EncryptionNotUsed(Profile),
    /// A3, A4, B1 and B2 have an E.
    #[error("profile {0} needs an encryption method")]
    EncryptionNeeded(Profile),
    /// The server of an A4 card has to compute E again, which OAEP's random seed prevents.
    #[error("profile a4 needs a symmetric encryption method: the server must compute E again")]
    A4NeedsSymmetric,
}

/// Why a suite can be guessed or forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Danger {
    /// S and the public key are enough to try passwords off line.
    #[error("the joint password can be guessed off line from the signature")]
    Guessable,
    /// Whoever has the digest key can find another transaction with the same digest.
    #[error(
        "the digest does not hash first: its key's holder can find another transaction for the same signature"
    )]
    Forgeable,
}

/// A workable combination. Its text form, such as `a3+sha256+rsa-oaep+pkcs1`, leaves out what is
/// none and starts with `danger-` where it can be guessed or forged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Suite {
    profile: Profile,
    digest: DigestMethod,
    encryption: EncryptionMethod,
    signature: SignatureAlgorithm,
}

impl Default for Suite {
    /// A3 with random number, SHA-256, RSA-OAEP, PKCS #1 v1.5.
    fn default() -> Self {
        Self {
            profile: Profile::A3,
            digest: DigestMethod::Sha256,
            encryption: EncryptionMethod::RsaOaep,
            signature: SignatureAlgorithm::Pkcs1Sha256,
        }
    }
}

impl Suite {
    /// Combines the four choices.
    ///
    /// # Errors
    /// [`Unworkable`], naming what is wrong.
    pub fn new(
        profile: Profile,
        digest: DigestMethod,
        encryption: EncryptionMethod,
        signature: SignatureAlgorithm,
    ) -> Result<Self, Unworkable> {
        let digest_given = digest != DigestMethod::None;
        let encryption_given = encryption != EncryptionMethod::None;
        match (profile.signs_digests(), digest_given) {
            (true, false) => return Err(Unworkable::DigestNeeded(profile)),
            (false, true) => return Err(Unworkable::DigestNotUsed(profile)),
            _ => {}
        }
        match (profile.encrypts(), encryption_given) {
            (true, false) => return Err(Unworkable::EncryptionNeeded(profile)),
            (false, true) => return Err(Unworkable::EncryptionNotUsed(profile)),
            _ => {}
        }
        if profile == Profile::A4 && encryption == EncryptionMethod::RsaOaep {
            return Err(Unworkable::A4NeedsSymmetric);
        }
        Ok(Self { profile, digest, encryption, signature })
    }

    /// Every workable combination, safe and dangerous.
    pub fn all() -> impl Iterator<Item = Self> {
        let digests = |profile| DigestMethod::ALL.iter().map(move |digest| (profile, digest));
        let pairs = Profile::ALL.iter().flat_map(digests);
        let triples = pairs.flat_map(|(profile, digest)| {
            EncryptionMethod::ALL.iter().map(move |encryption| (profile, digest, encryption))
        });
        triples.flat_map(|(profile, digest, encryption)| {
            SignatureAlgorithm::ALL
                .iter()
                .filter_map(|signature| Self::new(*profile, *digest, *encryption, *signature).ok())
        })
    }

    /// Signing profile.
    #[must_use]
    pub fn profile(self) -> Profile {
        self.profile
    }

    /// Digest method.
    #[must_use]
    pub fn digest(self) -> DigestMethod {
        self.digest
    }

    /// Encryption method.
    #[must_use]
    pub fn encryption(self) -> EncryptionMethod {
        self.encryption
    }

    /// Signature algorithm.
    #[must_use]
    pub fn signature(self) -> SignatureAlgorithm {
        self.signature
    }

    /// What the card owes besides S.
    #[must_use]
    pub fn owed(self) -> Option<Owed> {
        match self.profile {
            Profile::A1 => None,
            Profile::A2 => self.digest.is_keyed().then_some(Owed::PasswordDigest),
            Profile::A4 => Some(Owed::EncryptedDigest),
            Profile::A3 | Profile::A3NoRandom | Profile::B1 | Profile::B2 => Some(Owed::Encrypted),
        }
    }

    /// Why the server's default policy refuses this suite, if it does.
    #[must_use]
    pub fn danger(self) -> Option<Danger> {
        match (self.profile, self.digest) {
            (Profile::A1, _) | (Profile::A2, DigestMethod::Sha256) => Some(Danger::Guessable),
            (_, DigestMethod::DangerCmac | DigestMethod::DangerCbc) => Some(Danger::Forgeable),
            _ => None,
        }
    }

    /// The four bytes that stand in the header: profile, digest, encryption, signature.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 4] {
        [self.profile.code(), self.digest.code(), self.encryption.code(), self.signature.code()]
    }

    /// Reads the four bytes of a header; `None` if one is unknown or the combination cannot work.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
        let [profile, digest, encryption, signature] = bytes;
        let profile = Profile::from_code(profile)?;
        let digest = DigestMethod::from_code(digest)?;
        let encryption = EncryptionMethod::from_code(encryption)?;
        let signature = SignatureAlgorithm::from_code(signature)?;
        Self::new(profile, digest, encryption, signature).ok()
    }
}

impl Profile {
    /// True where E stands beside S instead of under it (P-12, P-13).
    #[must_use]
    pub fn is_b(self) -> bool {
        matches!(self, Self::B1 | Self::B2)
    }

    /// True where E holds a random number (P-10).
    #[must_use]
    pub fn has_random(self) -> bool {
        self.encrypts() && self != Self::A3NoRandom
    }

    /// True where the card makes an E.
    #[must_use]
    pub fn encrypts(self) -> bool {
        !matches!(self, Self::A1 | Self::A2)
    }

    fn signs_digests(self) -> bool {
        !matches!(self, Self::A1 | Self::B1)
    }
}

impl DigestMethod {
    /// True where D needs a key that only card and server have.
    #[must_use]
    pub fn is_keyed(self) -> bool {
        !matches!(self, Self::None | Self::Sha256)
    }
}

/// Ties each variant to its byte in the header and its name; the lists are the specification.
macro_rules! code_and_name {
    ($type:ident { $($variant:ident = $code:literal, $name:literal;)+ }) => {
        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its byte in the header.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code),+ }
            }

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

code_and_name!(Profile {
    A1 = 0xA1, "a1";
    A2 = 0xA2, "a2";
    A3 = 0xA3, "a3";
    A3NoRandom = 0xAF, "a3-no-random";
    A4 = 0xA4, "a4";
    B1 = 0xB1, "b1";
    B2 = 0xB2, "b2";
});

code_and_name!(DigestMethod {
    None = 0x00, "none";
    Sha256 = 0x01, "sha256";
    Sha256Cmac = 0x02, "sha256-cmac";
    Sha256Cbc = 0x03, "sha256-cbc";
    DangerCmac = 0xD2, "cmac";
    DangerCbc = 0xD3, "cbc";
});

code_and_name!(EncryptionMethod {
    None = 0x00, "none";
    RsaOaep = 0x01, "rsa-oaep";
    AesCbcCmac = 0x02, "aes-cbc-cmac";
});

code_and_name!(SignatureAlgorithm {
    Pkcs1Sha256 = 0x01, "pkcs1";
    PssSha256 = 0x02, "pss";
    EcdsaP256Sha256 = 0x03, "ecdsa";
});

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.danger().is_some() {
            f.write_str("danger-")?;
        }
        write!(f, "{}", self.profile)?;
        if self.digest != DigestMethod::None {
            write!(f, "+{}", self.digest)?;
        }
        if self.encryption != EncryptionMethod::None {
            write!(f, "+{}", self.encryption)?;
        }
        write!(f, "+{}", self.signature)
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text does not name a suite.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// A part is unknown, repeated or in the wrong order, or `danger-` is missing or out of place.
    #[error(
        "not a profile: {0:?} (write it like a3+sha256+rsa-oaep+pkcs1; `onetap demo --list-profiles` shows all)"
    )]
    Unknown(String),
    /// The parts are known but cannot work together.
    #[error(transparent)]
    Unworkable(#[from] Unworkable),
}

impl FromStr for Suite {
    type Err = SuiteError;

    /// Reads the text form. A part that is left out is none; the signature defaults to pkcs1.
    fn from_str(text: &str) -> Result<Self, SuiteError> {
        let unknown = || SuiteError::Unknown(text.to_owned());
        let mut parts = text.strip_prefix("danger-").unwrap_or(text).split('+').peekable();
        let profile = parts.next().and_then(Profile::from_name).ok_or_else(unknown)?;
        let digest = take(&mut parts, DigestMethod::from_name).unwrap_or(DigestMethod::None);
        let encryption = take(&mut parts, EncryptionMethod::from_name).unwrap_or(EncryptionMethod::None);
        let signature =
            take(&mut parts, SignatureAlgorithm::from_name).unwrap_or(SignatureAlgorithm::Pkcs1Sha256);
        let suite = Self::new(profile, digest, encryption, signature)?;
        let named_dangerous = text.starts_with("danger-");
        if parts.next().is_some() || named_dangerous != suite.danger().is_some() {
            return Err(unknown());
        }
        Ok(suite)
    }
}

fn take<'a, T>(
    parts: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let value = parts.peek().and_then(|part| read(part))?;
    parts.next();
    Some(value)
}

impl TryFrom<String> for Suite {
    type Error = SuiteError;
    fn try_from(text: String) -> Result<Self, SuiteError> {
        text.parse()
    }
}

impl From<Suite> for String {
    fn from(suite: Suite) -> String {
        suite.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_129_workable_suites_of_which_some_are_dangerous() {
        let all: Vec<_> = Suite::all().collect();
        // Per signature algorithm: A1 1, A2 5, A3 5×2, A3 without random 5×2, A4 5, B1 2, B2 5×2.
        assert_eq!(all.len(), 3 * 43);
        // A1 1, A2 unkeyed 1 and bare 2, A3 2×2, A3 without random 2×2, A4 2, B2 2×2.
        assert_eq!(all.iter().filter(|s| s.danger().is_some()).count(), 3 * 18);
    }

    #[test]
    fn text_and_bytes_name_each_suite_once() {
        for suite in Suite::all() {
            assert_eq!(suite.to_string().parse(), Ok(suite));
            assert_eq!(Suite::from_bytes(suite.to_bytes()), Some(suite));
        }
        assert_eq!("a3+sha256+rsa-oaep".parse(), Ok(Suite::default()));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (text, why) in [
            ("a1+sha256", Unworkable::DigestNotUsed(Profile::A1)),
            ("a2", Unworkable::DigestNeeded(Profile::A2)),
            ("a2+sha256+rsa-oaep", Unworkable::EncryptionNotUsed(Profile::A2)),
            ("a3+sha256", Unworkable::EncryptionNeeded(Profile::A3)),
            ("a4+sha256+rsa-oaep", Unworkable::A4NeedsSymmetric),
            ("b1+sha256+rsa-oaep", Unworkable::DigestNotUsed(Profile::B1)),
        ] {
            assert_eq!(text.parse::<Suite>(), Err(SuiteError::Unworkable(why)));
        }
    }

    #[test]
    fn danger_must_be_named() {
        for text in [
            "a1+pkcs1",
            "danger-a3+sha256+rsa-oaep",
            "a2+sha256",
            "a3+cmac+rsa-oaep",
            "a9",
            "",
            "a3+rsa-oaep+sha256",
        ] {
            assert!(text.parse::<Suite>().is_err(), "{text}");
        }
        assert_eq!("danger-a1".parse::<Suite>().unwrap().danger(), Some(Danger::Guessable));
    }
}

//! What a chip has room and time for.

use onetap_apdu_spec::crypto::RsaBits;

use super::outgoing::Protocol;
use crate::nvm::COMMIT_CAPACITY;

/// Longest command APDU: header, extended Lc, data, extended Le (ISO/IEC 7816-3 §12.1.3).
pub const MAX_APDU: usize = 4 + 3 + 65_535 + 2;
/// Longest command APDU with short length fields.
pub const MAX_SHORT_APDU: usize = 4 + 1 + 255 + 1;

/// What a card's chip has room and time for. By default, as much as this program has; [`Limits::REAL_CARD`] is what an
/// applet will meet. As text, words with commas between them, each of which changes what the words before it said:
///
/// | word | sets |
/// |---|---|
/// | `none` | the default |
/// | `real-card` | [`Limits::REAL_CARD`] |
/// | `t0`, `t1` | [`Limits::protocol`] |
/// | `short`, `extended` | [`Limits::extended`] |
/// | `slow`, `fast` | [`Limits::costs`]: [`Costs::CARD`], [`Costs::NONE`] |
/// | `channels=N`, `apdu=N`, `transient=N`, `commit=N`, `endurance=N` | the field of that name |
///
/// ```
/// use onetap_applet::runtime::{Limits, Protocol};
///
/// let limits: Limits = "real-card,t0,fast,commit=1024".parse()?;
/// assert_eq!((limits.protocol, limits.extended, limits.apdu), (Protocol::T0, false, 261));
/// # Ok::<(), onetap_applet::runtime::NoLimits>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Logical channels, 1 … 20, the basic one included.
    pub channels: u8,
    /// What a reader speaks with the card's contacts.
    pub protocol: Protocol,
    /// Extended length, for T=1 and contactless readers: what is longer has to be chained.
    pub extended: bool,
    /// Bytes of the APDU buffer: a longer command is answered with 6700.
    pub apdu: usize,
    /// Bytes of transient memory for all applets together.
    pub transient: usize,
    /// Bytes of pages that one transaction, or one write without one, may change, at most [`COMMIT_CAPACITY`].
    pub commit: usize,
    /// How often a page can be written, while the card is open; then it is worn, and a write to it fails.
    pub endurance: Option<u32>,
    /// How long work takes.
    pub costs: Costs,
}

impl Limits {
    /// As much as this program has room for, and no time.
    pub const NONE: Self = Self {
        channels: 4,
        protocol: Protocol::T1,
        extended: true,
        apdu: MAX_APDU,
        transient: 8 * 1024,
        commit: COMMIT_CAPACITY,
        endurance: None,
        costs: Costs::NONE,
    };

    /// A card as there are many, on the small side: APDUs of 261 bytes, no extended length, little memory, slow.
    pub const REAL_CARD: Self = Self {
        channels: 4,
        protocol: Protocol::T1,
        extended: false,
        apdu: MAX_SHORT_APDU,
        transient: 2 * 1024,
        commit: 4 * 1024,
        endurance: Some(100_000),
        costs: Costs::CARD,
    };

    /// True if a reader that speaks this protocol may send extended length.
    #[must_use]
    pub fn takes_extended(&self, protocol: Protocol) -> bool {
        self.extended && protocol == Protocol::T1 && self.apdu > MAX_SHORT_APDU
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::NONE
    }
}

/// How long work takes on the card, in microseconds. The card's clock goes on by so much: a virtual one at once, the
/// machine's by waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// 64 bytes of a hash or an HMAC.
    pub hash: u32,
    /// 16 bytes of AES.
    pub aes: u32,
    /// One signature, verification, agreement or key on an elliptic curve.
    pub curve: u32,
    /// One signature or decryption with an RSA key of 2048 bits; longer ones by the cube of their length.
    pub rsa_private: u32,
    /// One verification or encryption with an RSA key of 2048 bits; longer ones by the square.
    pub rsa_public: u32,
    /// An RSA key of 2048 bits; longer ones by the fourth power.
    pub rsa_key: u32,
    /// One page of persistent memory.
    pub page: u32,
}

impl Costs {
    /// No time.
    pub const NONE: Self =
        Self { hash: 0, aes: 0, curve: 0, rsa_private: 0, rsa_public: 0, rsa_key: 0, page: 0 };

    /// The order of magnitude of a contact card with a coprocessor.
    pub const CARD: Self = Self {
        hash: 300,
        aes: 100,
        curve: 80_000,
        rsa_private: 400_000,
        rsa_public: 15_000,
        rsa_key: 10_000_000,
        page: 3_000,
    };

    /// How many microseconds some work takes.
    pub(crate) fn of(&self, work: Work) -> u64 {
        let pieces = |bytes: usize, size: usize| (bytes.div_ceil(size).max(1)) as u64;
        // In 1024ths of a key of 2048 bits.
        let longer = |bytes: usize, power: u32| {
            (0..power).fold(1024, |sum: u64, _| sum.saturating_mul(bytes as u64) / 256)
        };
        let rsa = |cost: u32, bytes, power| u64::from(cost).saturating_mul(longer(bytes, power)) / 1024;
        match work {
            Work::Hash(bytes) => u64::from(self.hash) * pieces(bytes, 64),
            Work::Aes(bytes) => u64::from(self.aes) * pieces(bytes, 16),
            Work::Curve => self.curve.into(),
            Work::RsaPrivate(bytes) => rsa(self.rsa_private, bytes, 3),
            Work::RsaPublic(bytes) => rsa(self.rsa_public, bytes, 2),
            Work::RsaKey(bits) => rsa(self.rsa_key, usize::from(u16::from(bits) / 8), 4),
            Work::Pages(pages) => u64::from(self.page) * pages,
        }
    }
}

/// Something that takes time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// So many bytes of a hash.
    Hash(usize),
    /// So many bytes of AES.
    Aes(usize),
    /// An operation on an elliptic curve.
    Curve,
    /// With a private key of so many bytes.
    RsaPrivate(usize),
    /// With a public key of so many bytes.
    RsaPublic(usize),
    /// A new key.
    RsaKey(RsaBits),
    /// So many pages of memory.
    Pages(u64),
}

/// A word that sets no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` sets no limit: it is none, real-card, t0, t1, short, extended, slow, fast, or one of channels=1…20, apdu=13…65544, \
     transient=, commit=256…7936 and endurance= with a number"
)]
pub struct NoLimits(String);

impl std::str::FromStr for Limits {
    type Err = NoLimits;

    fn from_str(text: &str) -> Result<Self, NoLimits> {
        text.split(',').try_fold(Self::NONE, |limits, word| {
            limits.with(word.trim()).ok_or_else(|| NoLimits(word.to_owned()))
        })
    }
}

impl Limits {
    fn with(self, word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::NONE,
            "real-card" => Self::REAL_CARD,
            "t0" => Self { protocol: Protocol::T0, ..self },
            "t1" => Self { protocol: Protocol::T1, ..self },
            "short" => Self { extended: false, ..self },
            "extended" => Self { extended: true, apdu: MAX_APDU, ..self },
            "slow" => Self { costs: Costs::CARD, ..self },
            "fast" => Self { costs: Costs::NONE, ..self },
            _ => return self.with_number(word),
        })
    }

    fn with_number(self, word: &str) -> Option<Self> {
        let (name, number) = word.split_once('=')?;
        let number: u32 = number.parse().ok()?;
        let size = usize::try_from(number).ok()?;
        Some(match name {
            "channels" if (1..=20).contains(&number) => Self { channels: u8::try_from(number).ok()?, ..self },
            // SELECT with the shortest name has to fit.
            "apdu" if (13..=MAX_APDU).contains(&size) => Self { apdu: size, ..self },
            "transient" => Self { transient: size, ..self },
            "commit" if (256..=COMMIT_CAPACITY).contains(&size) => Self { commit: size, ..self },
            "endurance" => Self { endurance: Some(number), ..self },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_change_what_the_words_before_them_said() {
        let parse = |text: &str| text.parse::<Limits>();
        assert_eq!(parse("none"), Ok(Limits::NONE));
        assert_eq!(parse("real-card"), Ok(Limits::REAL_CARD));
        assert_eq!(parse("t0, real-card"), Ok(Limits::REAL_CARD));
        assert_eq!(parse("real-card,t0"), Ok(Limits { protocol: Protocol::T0, ..Limits::REAL_CARD }));
        let some = "channels=20,apdu=133,transient=100,commit=512,endurance=3,slow,short";
        let (channels, costs) = (20, Costs::CARD);
        let sizes = Limits { apdu: 133, transient: 100, commit: 512, endurance: Some(3), ..Limits::NONE };
        assert_eq!(parse(some), Ok(Limits { channels, costs, extended: false, ..sizes }));
        let takes = |text: &str, protocol| parse(text).unwrap().takes_extended(protocol);
        assert!(takes("real-card,extended", Protocol::T1) && !takes("real-card,extended", Protocol::T0));
        assert!(
            !takes("short", Protocol::T1)
                && !takes("apdu=261", Protocol::T1)
                && takes("apdu=262", Protocol::T1)
        );
        for wrong in ["", "t2", "channels=21", "channels=0", "apdu=12", "apdu=65545", "commit=7937", "commit"]
        {
            assert_eq!(parse(wrong), Err(NoLimits(wrong.to_owned())));
        }
    }

    #[test]
    fn longer_work_takes_longer() {
        let costs = Costs::CARD;
        assert_eq!(
            (costs.of(Work::Hash(0)), costs.of(Work::Hash(64)), costs.of(Work::Hash(65))),
            (300, 300, 600)
        );
        assert_eq!((costs.of(Work::Aes(16)), costs.of(Work::Aes(48))), (100, 300));
        assert_eq!((costs.of(Work::RsaPrivate(256)), costs.of(Work::RsaPrivate(512))), (400_000, 3_200_000));
        assert_eq!((costs.of(Work::RsaPublic(256)), costs.of(Work::RsaPublic(512))), (15_000, 60_000));
        assert_eq!(costs.of(Work::RsaKey(RsaBits::B4096)), 160_000_000);
        assert_eq!(costs.of(Work::Pages(3)), 9_000);
        assert_eq!(Costs::NONE.of(Work::RsaKey(RsaBits::B4096)), 0);
    }
}

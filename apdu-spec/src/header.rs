//! The header H: who signs for whom, how, under which keys, for which counter value. It comes first
//! in everything that is signed, digested or encrypted, at a fixed width of 39 bytes.

use std::fmt;
use std::str::FromStr;

use crate::suite::Suite;

/// Encoded length of H.
pub const HEADER_LEN: usize = 39;
/// H as it stands on the wire.
pub type HeaderBytes = [u8; HEADER_LEN];

const DOMAIN: [u8; 8] = *b"OneTapTx";
const VERSION: u8 = 1;

/// Text that is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier: 16 hexadecimal digits")]
pub struct BadId;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 8]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                let mut id = [0; 8];
                hex::decode_to_slice(text, &mut id).map_err(|_| BadId)?;
                Ok(Self(id))
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

identifier! {
    /// The operator that a transaction is for: its audience. Random, made once per operator.
    ServerId
}
identifier! {
    /// One card at one operator. Random, given at personalisation.
    CardId
}

/// Which version of a key; 0 where no such key is in use.
pub type KeyId = u16;

/// What personalisation fixes and one header differs from the next only by the counter in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Binding {
    /// The operator.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{16}$"))]
    pub server: ServerId,
    /// The card.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{16}$"))]
    pub card: CardId,
    /// What the card does.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub suite: Suite,
    /// Version of the card's signing key.
    pub signing_key: KeyId,
    /// Version of the server's RSA encryption key; 0 if the suite does not use it.
    pub server_key: KeyId,
    /// Version of the issuer master key that the card key is derived from.
    pub issuer_key: KeyId,
}

/// H, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Everything but the counter.
    pub binding: Binding,
    /// C.
    pub counter: u32,
}

/// Bytes that are not a header of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a header of version {VERSION}")]
pub struct BadHeader;

impl Header {
    /// Domain tag, version, server id, suite, card id, key ids, C: 8 + 1 + 8 + 4 + 8 + 3×2 + 4.
    #[must_use]
    pub fn to_bytes(&self) -> HeaderBytes {
        let binding = &self.binding;
        let mut out = [0; HEADER_LEN];
        let fields: [&[u8]; 9] = [
            &DOMAIN,
            &[VERSION],
            &binding.server.0,
            &binding.suite.to_bytes(),
            &binding.card.0,
            &binding.signing_key.to_be_bytes(),
            &binding.server_key.to_be_bytes(),
            &binding.issuer_key.to_be_bytes(),
            &self.counter.to_be_bytes(),
        ];
        for (to, from) in out.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        out
    }

    /// What stands in H, in order, with its length.
    pub const FIELDS: [(&'static str, usize); 9] = [
        ("domain tag", 8),
        ("version", 1),
        ("server id", 8),
        ("suite", 4),
        ("card id", 8),
        ("version of the signing key", 2),
        ("version of the server's key", 2),
        ("version of the issuer's key", 2),
        ("counter C", 4),
    ];

    /// Reads H.
    ///
    /// # Errors
    /// [`BadHeader`] if the length, the domain tag, the version or the suite is another.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadHeader> {
        Self::read(bytes).ok_or(BadHeader)
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let input = &mut bytes;
        let framed = take(input)? == DOMAIN && take(input)? == [VERSION];
        let server = ServerId(take(input)?);
        let suite = Suite::from_bytes(take(input)?)?;
        let card = CardId(take(input)?);
        let binding = Binding {
            server,
            card,
            suite,
            signing_key: KeyId::from_be_bytes(take(input)?),
            server_key: KeyId::from_be_bytes(take(input)?),
            issuer_key: KeyId::from_be_bytes(take(input)?),
        };
        let counter = u32::from_be_bytes(take(input)?);
        (framed && input.is_empty()).then_some(Self { binding, counter })
    }
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_header() -> impl Strategy<Value = Header> {
        let suites: Vec<_> = Suite::all().collect();
        (any::<[u8; 8]>(), any::<[u8; 8]>(), 0..suites.len(), any::<[u16; 3]>(), any::<u32>()).prop_map(
            move |(server, card, suite, [signing_key, server_key, issuer_key], counter)| Header {
                binding: Binding {
                    server: ServerId(server),
                    card: CardId(card),
                    suite: suites[suite],
                    signing_key,
                    server_key,
                    issuer_key,
                },
                counter,
            },
        )
    }

    #[test]
    fn fields_are_where_the_table_has_them() {
        let binding = Binding {
            server: ServerId([1; 8]),
            card: CardId([2; 8]),
            suite: Suite::default(),
            signing_key: 0x0303,
            server_key: 0x0404,
            issuer_key: 0x0505,
        };
        let bytes = Header { binding, counter: 0x0606_0606 }.to_bytes();
        let mut rest = &bytes[..];
        let values = Header::FIELDS.map(|(name, len)| {
            let (value, after) = rest.split_at(len);
            rest = after;
            (name, value)
        });
        assert!(rest.is_empty());
        let all = |of: u8, at: usize| values[at].1.iter().all(|byte| *byte == of);
        assert!(all(1, 2) && all(2, 4) && all(3, 5) && all(4, 6) && all(5, 7) && all(6, 8), "{values:02X?}");
    }

    proptest! {
        #[test]
        fn bytes_and_header_are_one_to_one(header in any_header(), other in any_header()) {
            prop_assert_eq!(Header::parse(&header.to_bytes()), Ok(header));
            prop_assert_eq!(header == other, header.to_bytes() == other.to_bytes());
        }

        #[test]
        fn another_length_domain_or_version_is_refused(header in any_header(), at in 0..9usize) {
            let mut bytes = header.to_bytes();
            prop_assert!(Header::parse(&bytes[1..]).is_err());
            prop_assert!(Header::parse(&[&bytes[..], &[0]].concat()).is_err());
            bytes[at] ^= 1;
            prop_assert!(Header::parse(&bytes).is_err());
        }
    }
}

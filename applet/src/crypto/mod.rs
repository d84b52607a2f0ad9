//! Cryptography for applets: keys that are objects of an applet, and what they do (`javacard.security`,
//! `javacardx.crypto`). docs/java-card.md says which of Java Card's classes and methods are which of these.
//!
//! | type | does |
//! |---|---|
//! | [`Key`] of [`Aes`] | CBC, CTR, CMAC, GCM |
//! | [`Key`] of [`Hmac`] | HMAC with SHA-1, SHA-256, SHA-384, SHA-512 |
//! | [`Key`] of [`EcPair`] | ECDSA signatures and ECDH on P-256 and P-384 |
//! | [`Key`] of [`EcPublic`] | verifies signatures |
//! | [`MessageDigest`] | the hash functions, also over several commands |
//! | [`Reason`] | why a call was refused: [`Fault::CryptoException`](crate::runtime::Fault::CryptoException) |
//!
//! Random numbers are the context's, [`Context::rng`](crate::runtime::Context::rng); RSA keys are
//! [`Context::make_signing_key`](crate::runtime::Context::make_signing_key)'s. A key is a constant of its applet:
//!
//! ```
//! use onetap_apdu_spec::crypto::AesBits;
//! use onetap_applet::crypto::{Aes, Curve, EcPair, Key, Mode};
//! use onetap_applet::runtime::{Context, Fault};
//!
//! /// Object 4, in the image.
//! const IDENTITY: Key<EcPair> = Key::persistent(4, EcPair(Curve::P256));
//! /// Transient object 0, gone when the applet is deselected.
//! const SESSION: Key<Aes> = Key::on_deselect(0, Aes(AesBits::B128));
//!
//! /// Agrees on a key with the reader, and answers under it.
//! fn meet(cx: &mut Context<'_>, reader: &[u8], answer: &[u8]) -> Result<Vec<u8>, Fault> {
//!     if !IDENTITY.is_initialized(cx)? {
//!         IDENTITY.generate(cx)?;
//!     }
//!     let secret = IDENTITY.agree(cx, reader)?;
//!     let key = cx.crypto().sha256(&[&secret]);
//!     SESSION.set(cx, &key[..16])?;
//!     SESSION.encrypt(cx, Mode::CbcPadded, &[0; 16], answer)
//! }
//! ```

mod cipher;
mod curve;
mod ec;
mod hash;
mod key;
mod reason;

pub use cipher::{Mode, TAG_LEN};
pub use curve::Curve;
pub use hash::{Hash, MessageDigest};
pub use key::{Aes, EcPair, EcPublic, Generated, Hmac, Key, KeyType, Kind};
pub use reason::Reason;

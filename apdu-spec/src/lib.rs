//! The specification that card, terminal and server share, as code: pure, no I/O.
//!
//! | module | what it settles |
//! |---|---|
//! | [`apdu`], [`class`], [`aid`], [`sw`], [`tlv`] | APDU cases 1-4, class bytes, names of applications, status words, BER-TLV with bounds (ISO/IEC 7816-4) |
//! | [`command`] | the command table [`command::COMMANDS`] and the parsed [`command::Command`] |
//! | [`objects`] | every data object: tag, format, source |
//! | [`txn`], [`text`], [`money`], [`account`] | the transaction message T |
//! | [`editions`] | what terminal and server check besides: the IBAN registry and ISO 4217 |
//! | [`foreign`] | text from elsewhere, as it is read and printed |
//! | [`suite`], [`header`], [`keys`], [`digest`], [`envelope`], [`signed`] | profiles and the bytes that are signed |
//! | [`password`], [`personal`] | the joint password, what a card is given |
//! | [`service`] | what terminal and server say to each other over HTTP |
//! | [`gp`] | GlobalPlatform: secure channel, commands, personalisation |
//! | [`crypto`], [`rng`] | primitives and randomness, as traits |
//! | [`decode`] | APDUs in words |
//!
//! Hexadecimal constants of the wire live here and nowhere else. Ids such as `P-09` cite the
//! requirements of the patent, `docs/spec` explains the whole in prose.
//!
//! ```
//! use onetap_apdu_spec::apdu::CommandApdu;
//! use onetap_apdu_spec::command::{COMMANDS, Name};
//!
//! let select = CommandApdu::parse(b"\x00\xA4\x04\x00\x05\xF0ONET\x00")?;
//! let row = onetap_apdu_spec::command::recognise(&select).unwrap();
//! assert_eq!(row.name, Name::Select);
//! assert_eq!(COMMANDS.len(), 6);
//! # Ok::<(), onetap_apdu_spec::apdu::Malformed>(())
//! ```

pub mod account;
pub mod aid;
pub mod apdu;
pub mod atr;
pub mod class;
pub mod clock;
pub mod command;
pub mod crypto;
pub mod decode;
pub mod digest;
pub mod editions;
pub mod envelope;
pub mod foreign;
pub mod gp;
pub mod header;
pub mod keys;
pub mod money;
pub mod objects;
pub mod password;
pub mod personal;
pub mod rng;
pub mod service;
pub mod signed;
pub mod suite;
pub mod sw;
pub mod text;
pub mod tlv;
pub mod txn;

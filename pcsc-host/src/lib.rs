//! What a terminal links: it drives a OneTap card through PC/SC or in the same process, and asks the server.
//!
//! | module | what it does |
//! |---|---|
//! | [`source`] | gets a transaction: typed in, from the network, scanned (P-02) |
//! | [`payment`] | one payment from the tap to the server's decision, with events, deadlines and a handle that cancels |
//! | [`pay`] | one contact (P-04), then the password from the keyboard, then the request (P-16) |
//! | [`service`], `http` | the server, as a terminal reaches it; over HTTPS (feature `http`) |
//! | [`attempt`], [`journal`] | a request that is repeated, and whose unknown outcome is resolved; what must not be forgotten |
//! | [`session`] | the commands in their order, as types |
//! | [`exchange`] | chaining, extended length, 61xx and 6Cxx |
//! | [`gp`] | the issuer: cards made, unblocked, locked over GlobalPlatform |
//! | [`transport`], [`pcsc`], [`atr`] | one contact with one card |
//! | [`monitor`] | readers and cards that come and go |
//! | [`trace`], [`decode`] | recorded exchanges: replay them, play them as a card, read and write those of other programs |
//! | [`deadline`] | when waiting ends, and how to end it early |
//! | [`error`] | what can go wrong, and what to do about it |
//!
//! A terminal that pays over the network is a [`Till`]; `docs/terminal.md` makes one in a page. Underneath it is one tap and
//! one request. With [`pcsc::wait_for_card`] in place of the scripted card this runs on a real reader:
//!
//! ```
//! use std::time::Duration;
//!
//! use onetap_pcsc_host::{Deadline, Fields, LineKeyboard, Terminal, VerificationPassword};
//!
//! # use onetap_apdu_spec::{command::{Name, fci}, header::*, objects, signed::SignatureMessage, suite::Suite, tlv};
//! # let suite: Suite = "danger-a1+pkcs1".parse()?;
//! # let (server, card) = (ServerId([1; 8]), CardId([2; 8]));
//! # let binding = Binding { server, card, suite, signing_key: 1, server_key: 0, issuer_key: 1 };
//! # let header = Header { binding, counter: 1 };
//! # let signed = SignatureMessage { header, signature: vec![3; 256] }.encode();
//! # let mut reader = onetap_pcsc_host::InProcessReader::new("scripted", Default::default(), move |c: &[u8]| {
//! #     let mut answer = match c[1] {
//! #         ins if ins == Name::Select.spec().ins => fci(),
//! #         ins if ins == Name::GetData.spec().ins => tlv::object(objects::PAYER_ALIAS, b"MZXW6YTBOJTG633C"),
//! #         ins if ins == Name::GetSignature.spec().ins => signed.clone(),
//! #         _ => vec![],
//! #     };
//! #     answer.extend(b"\x90\x00");
//! #     answer
//! # });
//! // 1. A transaction, here typed in.
//! let draft = Fields {
//!     kind: onetap_apdu_spec::txn::TransactionType::Payment,
//!     payee_account: "DE89 3704 0044 0532 0130 00".into(),
//!     payee_name: "Coffee Shop".into(),
//!     amount: "12.34".into(),
//!     currency: "EUR".into(),
//!     reference: "Order 17".into(),
//!     details: None,
//! }
//! .draft()?;
//!
//! // 2. One contact, of ten seconds at most; then the card may go.
//! let mut terminal = Terminal::new("TERM0001".parse()?);
//! let tapped = terminal.tap(&mut reader, &draft, &Deadline::after(Duration::from_secs(10)))?;
//!
//! // 3. The holder confirms on the card and types what it shows. Only now there is a request.
//! let mut keyboard = LineKeyboard("12345678\n".as_bytes());
//! let request = tapped.authorise(VerificationPassword::type_in(&mut keyboard)?);
//! assert_eq!(request.verification_password.expose(), "12345678");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod atr;
pub mod attempt;
pub mod deadline;
pub mod error;
pub mod exchange;
pub mod gp;
#[cfg(feature = "http")]
pub mod http;
pub mod journal;
#[cfg(feature = "pcsc")]
pub mod monitor;
pub mod pay;
pub mod payment;
#[cfg(feature = "pcsc")]
pub mod pcsc;
pub mod service;
pub mod session;
pub mod source;
pub mod tapped;
pub mod trace;
pub mod transport;

pub use atr::Atr;
pub use attempt::Attempt;
pub use deadline::{Cancel, Deadline, Stopped};
pub use error::{CardStatusError, Error, ProtocolError, ReaderError};
pub use journal::{FileJournal, Journal, MemoryJournal};
pub use onetap_apdu_spec::clock::{Clock, SystemClock};
pub use onetap_apdu_spec::decode;
pub use pay::Terminal;
pub use payment::{Cards, Control, Event, Limits, Payment, PaymentError, Step, Till};
pub use service::{Service, ServiceError};
pub use session::Session;
pub use source::{Draft, Fields, Scanned, SourceError};
pub use tapped::{Keyboard, KeyboardError, LineKeyboard, Tapped, VerificationPassword};
pub use transport::{Disposition, InProcessReader, Reader, Transport};

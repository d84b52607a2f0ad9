//! The card: signs a transaction in one contact, then shows it on its own display and gives the joint
//! password away only when the holder confirms on its own keys.
//!
//! | room | what lives there |
//! |---|---|
//! | [`card`] | memory, clock, power, and the [`Card`] that holds all together; kinds of cards ([`card::Product`]) |
//! | [`nvm`] | pages and a journal that a tear cannot divide |
//! | [`runtime`] | the operating system of the card: Java Card semantics for Rust applets |
//! | [`crypto`] | keys of applets, and what they do |
//! | [`applets`] | two small example applets; [`tutorial`]: how to write one |
//! | [`gp`] | the issuer security domain: GlobalPlatform |
//! | `signing` | the signing applet in the modules of P-25, and the display controller beside it |
//! | [`front`] | the ways in, for any card: a function call, the virtual reader of vsmartcard, and by features a page (`panel`), a terminal (`tui`), a whole program (`program`) |
//!
//! A whole transaction, seen from the card:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//!
//! use onetap_apdu_spec::{apdu::Form, command::{AID, CardState, Name}};
//! use onetap_apdu_spec::{personal::Personalisation, txn::Transaction};
//! use onetap_applet::card::{Millis, VirtualClock};
//! use onetap_applet::nvm::MemoryImage;
//! use onetap_applet::front::InProcess;
//! use onetap_applet::{Card, DEAD_TIME_MS, DEBOUNCE_MS, Environment, Key};
//!
//! // The issuer makes a card; its own RSA key is made on it.
//! let order: Personalisation = serde_json::from_str(r#"{
//!     "binding": { "server": "6f6e65746170bab1", "card": "00000000c0ffee01",
//!                  "suite": "a3+sha256+aes-cbc-cmac+pkcs1",
//!                  "signing_key": 1, "server_key": 0, "issuer_key": 1 },
//!     "rsa_bits": 2048,
//!     "card_key": "0707070707070707070707070707070707070707070707070707070707070707",
//!     "password": { "alphabet": { "digits": true, "letters": false, "symbols": false }, "length": 8 },
//!     "confirmation": { "currency": "EUR", "key_up_to": 5000, "pin_up_to": 100000,
//!                       "key_only_count": 5, "key_only_sum": 15000 } }"#)?;
//! let clock = VirtualClock::at(Millis(0));
//! let env = Environment { clock: Box::new(clock.clone()), ..Environment::default() };
//! let nvm = Box::new(MemoryImage::default());
//! let (card, _statement) = Card::personalise(order, "2468".parse()?, nvm, env)?;
//! let card = Arc::new(Mutex::new(card));
//!
//! // One contact carries everything.
//! let contact = InProcess::connect(Arc::clone(&card));
//! let send = |name: Name, data: &[u8]| {
//!     let mut response = contact.transmit(&name.spec().apdu(None, data).encode(Form::Extended).unwrap());
//!     assert!(response.ends_with(b"\x90\x00"));
//!     response.truncate(response.len() - 2);
//!     response
//! };
//! send(Name::Select, &AID);
//! let alias = String::from_utf8(send(Name::GetData, &[])[3..].to_vec())?;
//! let transaction = Transaction {
//!     kind: onetap_apdu_spec::txn::TransactionType::Payment,
//!     payer: alias.parse()?,
//!     payee_account: "DE89370400440532013000".parse()?,
//!     payee_name: onetap_apdu_spec::text::DisplayText::new("Coffee Shop")?,
//!     amount: onetap_apdu_spec::money::Amount::parse("4.20", "EUR".parse()?)?,
//!     at: time::macros::datetime!(2026-01-02 03:04:05),
//!     terminal: "TERM0001".parse()?,
//!     unpredictable_number: [1, 2, 3, 4],
//!     reference: onetap_apdu_spec::text::DisplayText::new("Order 4711")?,
//!     details: None,
//! };
//! send(Name::PutTxn, transaction.encode()?.bytes());
//! let _signature_message = send(Name::GetSignature, &[]);
//! let _encrypted_password = send(Name::GetEncPassword, &[]);
//! contact.release();
//!
//! // The contact is over: the display wakes, the holder reads all pages and confirms.
//! clock.advance(DEBOUNCE_MS);
//! let mut card = card.lock().unwrap();
//! for _ in 1..card.screen().pages() {
//!     card.press(Key::Next)?;
//! }
//! clock.advance(DEAD_TIME_MS);
//! card.press(Key::Confirm)?;
//! assert_eq!(card.state(), CardState::Revealed);
//! assert!(!card.screen().is_blank()); // the joint password
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod applets;
pub mod card;
pub mod crypto;
pub mod front;
pub mod gp;
pub mod nvm;
pub mod runtime;
mod signing;
#[cfg(any(not(doctest), feature = "program"))]
pub mod tutorial;

pub use card::{Card, CardError, Environment, SharedCard};
pub use signing::confirm::Condition;
pub use signing::controller::{DEAD_TIME_MS, DEBOUNCE_MS, KeyRefused, PENDING_MS, REVEALED_MS};
pub use signing::display::{COLUMNS, LINES, Screen};
pub use signing::keys::{Key, Press};
pub use signing::order_check::OrderError;
pub use signing::pin::{NotAPin, PIN_MAX, PIN_MIN, PIN_TRIES, Pin};

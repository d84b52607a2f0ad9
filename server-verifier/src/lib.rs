//! The server of OneTap: believes a card's signature and a holder's joint password, and executes each
//! signed transaction at most once.
//!
//! | room | what lives there |
//! |---|---|
//! | [`verify`] | pure cryptography: from a request to [`verify::Authentic`] to [`verify::Verified`] |
//! | [`decide`] | the decision core, pure: rows and proof in, answer and writes out |
//! | [`cancel`] | the decision core of cancellations, pure too |
//! | [`policy`] | what the operator allows |
//! | [`store`] | what a decision reads and writes, and the SQLite store |
//! | [`audit`] | the sealed log |
//! | [`ledger`] | double entry: holds, reversals, accounts that others keep |
//! | [`outbox`] | what others are told, at least once each |
//! | [`environment`] | cryptography, time and randomness, given from outside |
//! | [`keys`] | the ring of keys, sealed in a file or in an HSM |
//! | [`error`] | what can go wrong and what to do then |
//! | `http` | the service: HTTP, TLS, clients (feature `http`) |
//!
//! [`Verifier`] puts them together.
//!
//! ```
//! use onetap_server_verifier::{AccountKind, AccountOptions, CardOptions, Environment, InitOptions, Verifier};
//!
//! let verifier = Verifier::in_memory(InitOptions::new("Example Bank"), Environment::system())?;
//! let currency = "EUR".parse()?;
//! let ada = verifier.open_account(&AccountOptions {
//!     holder: onetap_apdu_spec::txn::PayeeName::new("Ada Lovelace")?,
//!     currency,
//!     kind: AccountKind::Current,
//!     opening_balance: 100_00,
//!     number: None,
//! })?;
//! // The card's maker takes this to the card; the card answers with its public key, which
//! // `activate_card` enrols. From then on `authorise` judges what terminals send.
//! let order = verifier.order_card(&ada, &CardOptions::new(currency))?;
//! assert_eq!(order.personalisation.binding.server, verifier.server_id());
//! assert_eq!(verifier.account(&ada)?.balance, 100_00);
//! verifier.ledger_check()?;
//! verifier.audit_verify()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admin;
pub mod audit;
mod background;
mod backup;
pub mod cancel;
pub mod decide;
pub mod environment;
pub mod error;
#[cfg(feature = "http")]
pub mod http;
pub mod keys;
pub mod ledger;
pub mod outbox;
pub mod policy;
mod service;
pub mod store;
pub mod verify;
mod views;

pub use admin::{AccountOptions, CardOptions};
pub use audit::{Checkpoint, Event, LogEntry, Why};
pub use background::Background;
pub use backup::{KEEP_ANSWERS, restore};
pub use decide::Outcome;
pub use environment::{Clock, Environment, SystemClock, Timestamp};
pub use error::{KeyFileError, ServiceError, StoreError, TokenError};
pub use keys::{KeyAccess, KeyKind, KeyProtection, KeySummary};
pub use ledger::{HoldId, LedgerError, Settlement, Verdict};
pub use onetap_apdu_spec::service::{Answer, Receipt, SystemName, TransactionId, TransactionRecord};
pub use policy::Policy;
pub use service::{Client, InitOptions, Verifier};
pub use store::Pending;
pub use store::rows::{AccountKind, CardState, Lock, LockCause};
pub use verify::Malformed;
pub use views::{AccountView, CardView, MAX_PAGE, StatementLine};

//! The server of OneTap: believes a card's signature and a holder's joint password, and executes each
//! signed transaction at most once.
//!
//! | floor | what lives there |
//! |---|---|
//! | [`domain`] | the nouns: accounts, cards, events, errors |
//! | [`rules`] | the decisions, pure: from a request to its proof, from rows and proof to an answer |
//! | `books` | what a decision or an act does to rows |
//! | `store` | SQLite, PostgreSQL: connections, queues, commits, locks |
//! | [`keys`] | the ring of keys, sealed in a file or in an HSM |
//! | [`service`] | the use cases |
//! | `http` | the service over HTTP: TLS, clients (feature `http`) |
//!
//! Each floor uses those above it in this table only.
//!
//! [`Verifier`] puts them together.
//!
//! ```
//! use onetap_server_verifier::{AccountKind, Act, AccountOptions, CardOptions, Environment, InitOptions, Verifier};
//!
//! let verifier = Verifier::in_memory(InitOptions::new("Example Bank"), Environment::system())?;
//! let currency = "EUR".parse()?;
//! let ada = verifier.desk(Act::of_program("ada", "her first account")).open_account(&AccountOptions {
//!     holder: onetap_apdu_spec::txn::PayeeName::new("Ada Lovelace")?,
//!     currency,
//!     kind: AccountKind::Current,
//!     opening_balance: 100_00,
//!     number: None,
//! })?;
//! // The card's maker takes this to the card; the card answers with its public key, which
//! // `activate_card` enrols. From then on `authorise` judges what terminals send.
//! let order = verifier.desk(Act::of_program("ada", "")).order_card(&ada, &CardOptions::new(currency))?;
//! assert_eq!(order.personalisation.binding.server, verifier.server_id());
//! assert_eq!(verifier.account(&ada)?.balance, 100_00);
//! verifier.ledger_check()?;
//! verifier.audit_verify()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod books;
pub mod domain;
#[cfg(feature = "http")]
pub mod http;
pub mod keys;
pub mod rules;
pub mod service;
mod store;

pub use books::tables::{NotInTheLog, not_in_the_log};
pub use domain::*;
pub use keys::environment::Environment;
pub use keys::{KeyAccess, KeyFileError, KeyProtection, KeySummary, TokenError};
pub use onetap_apdu_spec::service::{Answer, Receipt, SystemName, TransactionId, TransactionRecord};
pub use rules::decide::Outcome;
pub use rules::verify::Malformed;
pub use service::accounts::AccountOptions;
pub use service::audit::Audited;
pub use service::backup::{KEEP_ANSWERS, restore};
pub use service::cards::{CardOptions, KeysOfCard};
pub use service::checkpoint::{Checkpoint, SignedCheckpoint};
pub use service::desk::Desk;
pub use service::error::ServiceError;
pub use service::moving::Moved;
pub use service::rebuild::{Rebuilt, rebuild};
pub use service::{Client, InitOptions, Verifier, outbox};
pub use store::{Pending, Roles};

//! What terminal and server say to each other over HTTP (docs/spec/http.md): requests, answers, problems, and the
//! names that go with them. Each type reads and writes its own JSON, so that both parties use one definition.
//! Nothing here does I/O.
//!
//! ```
//! use onetap_apdu_spec::service::{Answer, Receipt};
//!
//! let answer: Answer = serde_json::from_str(r#"{"outcome":"refused"}"#)?;
//! assert_eq!(answer, Answer::Refused);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod answer;
mod base64;
mod problem;
mod request;
mod standing;
mod transaction_id;

pub use crate::clock::Timestamp;
pub use answer::{Answer, NotASystemName, Receipt, Resolution, SystemName, TransactionRecord};
pub use problem::{Problem, ProblemKind};
pub use request::{AuthorisationRequest, Cancellation, IdempotencyKey, NotAKey, PasswordObject};
pub use standing::{Role, Standing};
pub use transaction_id::{NotATransactionId, TransactionId};

/// Where an [`AuthorisationRequest`] is sent; the answer is an [`Answer`].
pub const AUTHORISATIONS: &str = "/v1/authorisations";
/// Where a [`Cancellation`] is sent; the answer is a [`Resolution`].
pub const CANCELLATIONS: &str = "/v1/cancellations";
/// Where a [`TransactionRecord`] is asked for, followed by `/` and its id.
pub const TRANSACTIONS: &str = "/v1/transactions";
/// Where a client asks for its own [`Standing`].
pub const ME: &str = "/v1/me";

/// Header field that carries the [`IdempotencyKey`].
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Header field of every answer: the request's id in the server's log.
pub const REQUEST_ID: &str = "x-request-id";

/// Media type of requests and answers.
pub const JSON: &str = "application/json";
/// Media type of a [`Problem`] (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Most bytes that the body of a request may have.
pub const MAX_BODY: usize = 16 * 1024;

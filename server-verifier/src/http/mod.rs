//! The verifier as a service: HTTP/1.1 and JSON, over TLS, for terminals, operators, auditors and admins.
//! `docs/spec/http.md` says what it promises, `/v1/openapi.json` how each request looks.
//!
//! | module | what it does |
//! |---|---|
//! | `server`, `connection`, `tls` | connections: how they begin, how long they last, how they end |
//! | `exchange` | what HTTP asks of every request and answer |
//! | `doors`, `source` | how many connections each source may hold |
//! | `identity`, `caller` | from a request to its client; a handler's argument says which roles may come in |
//! | `limits` | how often |
//! | `record` | what the log has of each request |
//! | `hub` | all of these, for the handlers |
//! | `work` | where it runs: what may block, and the private key |
//! | `once` | idempotency keys of acts |
//! | `json`, `problem`, `parts` | bodies in and out; errors as problem+json (RFC 9457) |
//! | `api`, `contract` | the routes, and the OpenAPI document made of them |
//! | `authorisations`, `cancellations`, `accounts`, `cards`, … | one resource each: its bodies and its handlers |
//! | `inspection` | one verification of the books at a time, and what the last one found |
//! | `metrics`, `scrape` | numbers for Prometheus and the console: counted on the way, looked up when asked for |
//! | `console` | the operator's web page |

mod accounts;
mod api;
mod audit;
mod authorisations;
mod caller;
mod cancellations;
mod cards;
mod checkpoints;
mod clients;
mod config;
mod connection;
mod console;
mod contract;
mod doors;
mod exchange;
mod holds;
mod hub;
mod identity;
mod inspection;
mod json;
mod ledger;
mod limits;
mod me;
mod metrics;
mod once;
mod outbox;
mod parts;
mod policy;
mod probes;
mod problem;
mod proposals;
mod readiness;
mod record;
mod scrape;
mod server;
mod source;
mod statistics;
mod terminals;
mod tls;
mod transactions;
mod work;

pub use api::openapi;
pub use config::{Config, TlsFiles};
pub use identity::RECHECK;
pub use limits::Rate;
pub use server::{Pulse, ServeError, Server, Shutdown};
pub use tls::{TlsError, certificate_fingerprint};

//! What is told of requests and connections in the log: who asked what, and what came of it.
//!
//! | level | what |
//! |---|---|
//! | error | a failure inside, with its cause |
//! | warn | who was turned away, and why |
//! | debug | every other request |

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::MatchedPath;
use axum::http::{Extensions, Method, StatusCode};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tracing::Level;

use super::limits::Limit;
use super::problem::Problem;
use super::source::Source;
use crate::domain::client::ClientId;

/// Lines a minute, and at once, about those of one source who are turned away.
const OF_A_SOURCE: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
/// Such lines a second, and at once, of all sources together.
const OF_ALL: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);
/// Routes for which nobody need say who asks.
const OPEN_TO_ALL: [&str; 3] = ["/healthz", "/readyz", "/v1/openapi.json"];
/// What a line has in the place of something that is not known.
const UNKNOWN: &str = "-";

/// What becomes known of one request while it is served.
#[derive(Debug)]
pub(crate) struct Record {
    id: String,
    begun: Instant,
    /// The route with its parameters' names: their values may be numbers of accounts.
    route: OnceLock<MatchedPath>,
    /// The route, if it is open to all.
    open: Option<&'static str>,
    client: OnceLock<ClientId>,
}

/// What a decision came to, on its way to the log as an extension of the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told(pub(crate) &'static str);

impl Record {
    /// A request that has just come, under a random id of 24 hexadecimal digits: it tells strangers nothing.
    pub(crate) fn begin(path: &str) -> Arc<Self> {
        let open = OPEN_TO_ALL.into_iter().find(|open| *open == path);
        let id = hex::encode(rand::random::<[u8; 12]>());
        Arc::new(Self { id, begun: Instant::now(), route: OnceLock::new(), open, client: OnceLock::new() })
    }

    /// The id that the answer has in `x-request-id`.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Notes which route the request has taken.
    pub(crate) fn note_route(&self, extensions: &Extensions) {
        if let Some(route) = extensions.get::<MatchedPath>() {
            // A request takes one route.
            let _same = self.route.set(route.clone());
        }
    }

    /// Notes who asks.
    pub(crate) fn note_client(&self, client: &ClientId) {
        // A request comes from one client.
        let _same = self.client.set(client.clone());
    }

    fn route(&self) -> &str {
        self.route.get().map(MatchedPath::as_str).or(self.open).unwrap_or(UNKNOWN)
    }

    fn client(&self) -> &str {
        self.client.get().map_or(UNKNOWN, ClientId::as_str)
    }
}

/// An answer that leaves.
pub(crate) struct Answered<'a> {
    pub(crate) record: &'a Record,
    pub(crate) from: IpAddr,
    pub(crate) method: &'a Method,
    pub(crate) status: StatusCode,
    pub(crate) told: Option<Told>,
    pub(crate) problem: Option<&'a Problem>,
}

/// Writes the lines, and as few about strangers as leave room for the others.
pub(crate) struct Diary {
    of_a_source: Limit<Source>,
    of_all: DefaultDirectRateLimiter,
    withheld: AtomicU64,
}

macro_rules! line {
    ($level:expr, $answer:expr, $message:literal $(, $($more:tt)+)?) => {{
        let Answered { record, from, method, status, .. } = $answer;
        tracing::event!(
            $level,
            request = record.id(),
            client = record.client(),
            address = %from,
            method = method.as_str(),
            route = record.route(),
            status = status.as_u16(),
            took_us = u64::try_from(record.begun.elapsed().as_micros()).unwrap_or(u64::MAX),
            $($($more)+,)?
            $message
        );
    }};
}

impl Diary {
    pub(crate) fn new() -> Self {
        Self {
            of_a_source: Limit::new(Quota::per_minute(OF_A_SOURCE)),
            of_all: RateLimiter::direct(Quota::per_second(OF_ALL)),
            withheld: AtomicU64::new(0),
        }
    }

    /// Lines about strangers that were not written since the start.
    pub(crate) fn withheld(&self) -> u64 {
        self.withheld.load(Ordering::Relaxed)
    }

    /// Tells of an answer.
    pub(crate) fn answered(&self, answer: &Answered<'_>) {
        let Some(problem) = answer.problem else {
            let outcome = answer.told.map_or("answered", |Told(outcome)| outcome);
            return line!(Level::DEBUG, answer, "answered", outcome);
        };
        let (outcome, reason) = (problem.word(), problem.reason());
        if problem.is_failure() {
            line!(Level::ERROR, answer, "failed", outcome, reason);
        } else if !problem.turns_away() {
            line!(Level::DEBUG, answer, "answered", outcome, reason);
        } else if self.may_tell(answer.from) {
            line!(Level::WARN, answer, "turned away", outcome, reason);
        }
    }

    /// Tells of a connection over which no request came: what it was instead, in a word, and why.
    pub(crate) fn no_request(&self, from: IpAddr, outcome: &str, reason: &str) {
        if self.may_tell(from) {
            tracing::warn!(address = %from, outcome, reason, "turned away");
        }
    }

    /// Whether there is room for another line about somebody at `from`; counts it otherwise.
    fn may_tell(&self, from: IpAddr) -> bool {
        let room = self.of_a_source.has_room(from.into()) && self.of_all.check().is_ok();
        if !room {
            self.withheld.fetch_add(1, Ordering::Relaxed);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_has_so_many_lines_and_leaves_room_for_others() {
        let diary = Diary::new();
        let told = |last: u8| (0..30).filter(|_| diary.may_tell(IpAddr::from([192, 0, 2, last]))).count();
        assert_eq!(told(1), 20);
        assert_eq!(told(2), 20);
        assert_eq!(told(3), 10, "of all together");
        assert_eq!(diary.withheld(), 40);
    }

    #[test]
    fn ids_of_requests_have_one_length_and_no_order() {
        let mut ids: Vec<_> = (0..1_000).map(|_| Record::begin("/").id().to_owned()).collect();
        assert!(ids.iter().all(|id| id.len() == 24));
        assert!(!ids.is_sorted());
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 1_000);
    }
}

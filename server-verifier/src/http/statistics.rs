//! Counters in JSON, for people who watch.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Caller, Read};
use super::hub::Hub;
use super::json::answer;

/// Counters of this process since its start. A rate is the difference of two readings, by their `uptime_ms`.
#[derive(Serialize, ToSchema)]
#[schema(as = Statistics, example = json!({"uptime_ms": 86400000, "outcomes": {"executed": 812, "refused": 3}, "rate_limited": 0, "wrong_credentials": 1, "private_key_queue": 0}))]
pub(crate) struct StatisticsBody {
    /// Milliseconds since the start
    uptime_ms: u64,
    /// Requests judged, by outcome: `executed`, `refused`, `insufficient-funds`, `limit-exceeded`, `malformed`,
    /// `conflict`, `busy`
    outcomes: BTreeMap<&'static str, u64>,
    /// Requests over a rate limit
    rate_limited: u64,
    /// Requests with credentials of nobody known
    wrong_credentials: u64,
    /// Requests at the private key, or waiting for it, now
    private_key_queue: usize,
}

/// How much is asked, and what becomes of it.
#[utoipa::path(get, path = "/v1/statistics", operation_id = "show_statistics", tag = "service", responses((status = 200, body = StatisticsBody)))]
pub(crate) async fn show(_caller: Caller<Read>, State(hub): State<Arc<Hub>>) -> Response {
    let statistics = StatisticsBody {
        uptime_ms: u64::try_from(hub.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        outcomes: hub.metrics.outcomes().collect(),
        rate_limited: hub.metrics.rate_limited.total(),
        wrong_credentials: hub.metrics.wrong_credentials.total(),
        private_key_queue: hub.private_key.length(),
    };
    answer(StatusCode::OK, &statistics)
}

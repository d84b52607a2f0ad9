//! What tests set: rules, time, seed, memory.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::card::{CardTime as _, Millis, VirtualClock};
use crate::front::panel::automation::RuleSet;
use crate::front::panel::hub::Hub;
use onetap_page::Problem;
use onetap_page::body::{Json, Octets};

/// Latest time that can be set: what every JSON reader holds exactly.
const MAX_TIME_MS: u64 = (1 << 53) - 1;

/// `GET /v1/automation`.
pub(crate) async fn rules(State(hub): State<Arc<Hub>>) -> axum::Json<RuleSet> {
    axum::Json(hub.automation().set().clone())
}

/// `PUT /v1/automation`: these rules instead of those before.
pub(crate) async fn set_rules(
    State(hub): State<Arc<Hub>>,
    Json(rules): Json<RuleSet>,
) -> Result<axum::Json<RuleSet>, Problem> {
    hub.set_rules(rules)?;
    Ok(self::rules(State(hub)).await)
}

/// `DELETE /v1/automation`.
pub(crate) async fn clear_rules(State(hub): State<Arc<Hub>>) -> Result<axum::Json<RuleSet>, Problem> {
    set_rules(State(hub), Json(RuleSet::default())).await
}

/// The card's clock.
#[derive(Serialize)]
pub(crate) struct Time {
    seq: u64,
    /// True if it can be set.
    r#virtual: bool,
    /// Milliseconds since its own zero; null for a clock of the machine, or one without a battery.
    now_ms: Option<u64>,
}

/// `GET /v1/clock`.
pub(crate) async fn clock(State(hub): State<Arc<Hub>>) -> axum::Json<Time> {
    axum::Json(Time {
        seq: hub.history.marks().latest,
        r#virtual: hub.clock.is_some(),
        now_ms: hub.clock.as_ref().and_then(VirtualClock::now).map(|now| now.0),
    })
}

/// A time to go to, or to let pass.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SetTime {
    SetMs(u64),
    AdvanceMs(u64),
}

/// `POST /v1/clock`: sets the clock, and the card notices at once.
pub(crate) async fn set_clock(
    State(hub): State<Arc<Hub>>,
    Json(request): Json<SetTime>,
) -> Result<axum::Json<Time>, Problem> {
    let Some(clock) = &hub.clock else {
        return Err(Problem::not_here("this card runs on the machine's clock, which the panel does not set"));
    };
    let now = clock.now().map_or(0, |now| now.0);
    let time = match request {
        SetTime::SetMs(time) => time,
        SetTime::AdvanceMs(by) => now.saturating_add(by),
    };
    if time > MAX_TIME_MS {
        return Err(Problem::bad_request(format!("the clock goes to {MAX_TIME_MS} ms")));
    }
    clock.set(Millis(time));
    hub.tick();
    Ok(self::clock(State(hub)).await)
}

/// The seed of the card's randomness; null if it is the operating system's.
#[derive(Serialize)]
pub(crate) struct Seed {
    seed: Option<u64>,
}

/// `GET /v1/seed`.
pub(crate) async fn seed(State(hub): State<Arc<Hub>>) -> axum::Json<Seed> {
    axum::Json(Seed { seed: hub.seed })
}

/// `POST /v1/snapshot`.
pub(crate) async fn snapshot(State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let bytes = hub.snapshot()?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// `POST /v1/restore`.
pub(crate) async fn restore(
    State(hub): State<Arc<Hub>>,
    Octets(snapshot): Octets,
) -> Result<axum::Json<serde_json::Value>, Problem> {
    hub.restore(&snapshot)?;
    Ok(axum::Json(serde_json::json!({ "seq": hub.history.marks().latest })))
}

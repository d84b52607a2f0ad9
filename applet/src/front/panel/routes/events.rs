//! What happened: as a list, as a stream, and as a log of APDUs.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::screen::{MAX_WAIT, Wait};
use crate::front::panel::history::{Apdu, History, Recorded, Told};
use crate::front::panel::hub::Hub;
use onetap_page::Problem;
use onetap_page::body::Params;

/// A stream ends after this time, well before its connection is cut; clients take it up again.
const STREAM_TIME: Duration = Duration::from_secs(480);
/// A silent stream says so often that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /v1/events`: those after `after`, as JSON; or, for `Accept: text/event-stream`, all from there on.
pub(crate) async fn events(
    State(hub): State<Arc<Hub>>,
    Params(wait): Params<Wait>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let is = |name, wanted: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(wanted))
    };
    if is(header::ACCEPT, "text/event-stream") {
        return stream_events(&hub, resume_from(&headers, wait.after)?);
    }
    let after = wait.after.unwrap_or(0);
    hub.history.wait(wait.timeout(), |marks| marks.latest > after).await;
    Ok(axum::Json(hub.history.after(after)).into_response())
}

/// `Last-Event-ID` of a client that comes back counts before what it first asked for.
fn resume_from(headers: &HeaderMap, after: Option<u64>) -> Result<u64, Problem> {
    match headers.get("last-event-id") {
        None => Ok(after.unwrap_or(0)),
        Some(id) => id.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(|| {
            Problem::bad_request("Last-Event-ID is the number of the last event that was received")
        }),
    }
}

fn stream_events(hub: &Hub, after: u64) -> Result<Response, Problem> {
    let place = Arc::clone(&hub.streams).try_acquire_owned().map_err(|_| {
        let detail = "too many streams of events are open; close one, or ask for /v1/events as JSON";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", detail)
    })?;
    let (history, until) = (Arc::clone(&hub.history), Instant::now() + STREAM_TIME);
    let reading = Reading { history, after, until, ready: VecDeque::new(), _place: place };
    let events = stream::unfold(reading, |mut reading| async {
        let event = reading.next().await?;
        Some((Ok::<_, Infallible>(event), reading))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// How far a stream has come.
struct Reading {
    history: Arc<History>,
    after: u64,
    until: Instant,
    ready: VecDeque<Recorded>,
    _place: OwnedSemaphorePermit,
}

impl Reading {
    /// The next event; nothing once the stream's time is over.
    async fn next(&mut self) -> Option<Event> {
        while Instant::now() < self.until {
            if let Some(event) = self.ready.pop_front() {
                self.after = event.seq;
                return Some(as_sse(&event));
            }
            let after = self.after;
            self.history.wait(MAX_WAIT, |marks| marks.latest > after).await;
            let batch = self.history.after(after);
            self.ready = batch.events.into();
            if batch.lost {
                // Said once: from here on it is in step again.
                self.after = self.ready.front().map_or(batch.seq, |oldest| oldest.seq - 1);
                return Some(Event::default().event("lost").data("{}"));
            }
        }
        None
    }
}

fn as_sse(event: &Recorded) -> Event {
    let sse = Event::default().id(event.seq.to_string()).event(<&'static str>::from(&event.event));
    // These types always make JSON.
    sse.clone().json_data(event).unwrap_or(sse)
}

/// A command and its response.
#[derive(Serialize)]
pub(crate) struct Exchange {
    /// Number of the command's event.
    seq: u64,
    command: Apdu,
    /// Null while it is awaited.
    response: Option<Apdu>,
}

/// `GET /v1/log`: the APDUs, decoded.
pub(crate) async fn log(
    State(hub): State<Arc<Hub>>,
    Params(wait): Params<Wait>,
) -> axum::Json<Vec<Exchange>> {
    let after = wait.after.unwrap_or(0);
    hub.history.wait(wait.timeout(), |marks| marks.latest > after).await;
    let mut exchanges: Vec<Exchange> = Vec::new();
    for Recorded { seq, event } in hub.history.after(after).events {
        match (event, exchanges.last_mut()) {
            (Told::Command(command), _) => exchanges.push(Exchange { seq, command, response: None }),
            (Told::Response(response), Some(last)) if last.response.is_none() => {
                last.response = Some(response);
            }
            _ => {}
        }
    }
    axum::Json(exchanges)
}

//! What the page asks for (docs/terminal-page.md).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{MethodRouter, get, post};
use futures_util::stream;
use onetap_apdu_spec::service::Answer;
use onetap_page::body::{Json, Octets, Params, read};
use onetap_page::{File, Problem, Site};
use onetap_pcsc_host::attempt::Unresolved;
use onetap_pcsc_host::journal::{Conclusion, Entry};
use onetap_pcsc_host::source::SourceError;
use onetap_pcsc_host::source::picture::{MAX_PICTURE, PictureError};
use onetap_pcsc_host::{KeyboardError, LineKeyboard, VerificationPassword};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::desk::Desk;
use super::sources::{self, Found, Paid, Payer, Typed};
use crate::exit::Failure;

/// A stream ends after this time, well before its connection is cut; the page takes it up again.
const STREAM_TIME: Duration = Duration::from_secs(480);
/// A silent stream says so often that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const FILES: [File; 3] = [
    File { path: "/", media_type: "text/html; charset=utf-8", content: include_str!("web/terminal.html") },
    File {
        path: "/terminal.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("web/terminal.css"),
    },
    File {
        path: "/terminal.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("web/terminal.js"),
    },
];

type Wanted = State<Arc<Desk>>;
type Answered = Result<axum::Json<Value>, Problem>;

/// All paths that take the token; docs/terminal-page.md describes each.
fn guarded() -> [(&'static str, MethodRouter<Arc<Desk>>); 11] {
    [
        ("/v1/terminal", get(terminal)),
        ("/v1/events", get(events)),
        ("/v1/code", post(pasted)),
        ("/v1/picture", post(pictured)),
        ("/v1/url", post(fetched)),
        ("/v1/payment", post(start)),
        ("/v1/password", post(typed)),
        ("/v1/cancel", post(cancel)),
        ("/v1/done", post(done)),
        ("/v1/unresolved", get(unresolved)),
        ("/v1/unresolved/{id}", post(resolve)),
    ]
}

pub(super) fn site(desk: &Arc<Desk>) -> Site {
    let guarded = guarded().into_iter().fold(Router::new(), |all, (path, does)| all.route(path, does));
    let guarded = guarded.with_state(Arc::clone(desk));
    Site { guarded, files: FILES.to_vec(), hint: "see docs/terminal-page.md" }
}

async fn terminal(State(desk): Wanted) -> axum::Json<Value> {
    axum::Json(json!({ "terminal": desk.terminal() }))
}

/// The state now, and again after each change.
async fn events(State(desk): Wanted) -> impl IntoResponse {
    let (mut shown, until) = (desk.watch(), Instant::now() + STREAM_TIME);
    shown.mark_changed();
    let events = stream::unfold(shown, move |mut shown| async move {
        tokio::time::timeout_at(until, shown.changed()).await.ok()?.ok()?;
        let state = shown.borrow_and_update().clone();
        let event = Event::default().id(state.seq.to_string()).event("state");
        // This type always makes JSON.
        let event = event.clone().json_data(&state).unwrap_or(event);
        Some((Ok::<_, Infallible>(event), shown))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

async fn pasted(Params(payer): Params<Payer>, Octets(content): Octets) -> Answered {
    found(sources::read(&content, &payer))
}

async fn pictured(request: Request) -> Answered {
    let picture = read(request, MAX_PICTURE).await?;
    found(blocking(move || sources::scan(&picture)).await?)
}

fn found(found: Result<Found, SourceError>) -> Answered {
    found.map(|found| axum::Json(json!(found))).map_err(|why| unusable(&why))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Url {
    url: String,
}

async fn fetched(Json(Url { url }): Json<Url>) -> Answered {
    let fetched: Result<Paid, SourceError> = blocking(move || sources::fetch(&url)).await?;
    fetched.map(|paid| axum::Json(json!({ "draft": paid }))).map_err(|why| unusable(&why))
}

async fn start(State(desk): Wanted, Json(typed): Json<Typed>) -> Answered {
    let draft = typed.draft().map_err(|why| unusable(&why))?;
    desk.start(draft).map_err(|why| failed(&why))?;
    Ok(axum::Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keypad {
    #[serde(deserialize_with = "wiped")]
    password: Zeroizing<String>,
}

fn wiped<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

/// The keypad is the terminal's keyboard (P-16).
async fn typed(State(desk): Wanted, Json(keypad): Json<Keypad>) -> Answered {
    let typed = VerificationPassword::type_in(&mut LineKeyboard(keypad.password.as_bytes()));
    let typed = typed.map_err(|why: KeyboardError| {
        let detail = format!("{why}; {}", why.advice());
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not-a-password", detail)
    })?;
    if desk.type_in(typed) {
        return Ok(axum::Json(json!({})));
    }
    Err(Problem::conflict("not-asked", "no payment waits for a password; nothing was taken"))
}

async fn cancel(State(desk): Wanted) -> axum::Json<Value> {
    desk.cancel();
    axum::Json(json!({}))
}

async fn done(State(desk): Wanted) -> Answered {
    blocking(move || desk.done()).await?.map_err(|why| failed(&why))?;
    Ok(axum::Json(json!({})))
}

async fn unresolved(State(desk): Wanted) -> Answered {
    let untold = blocking(move || desk.untold()).await?.map_err(|why| failed(&why))?;
    Ok(axum::Json(untold.iter().map(line).collect()))
}

/// What is known of an attempt without asking.
fn line(entry: &Entry) -> Value {
    let Entry::Kept { attempt, .. } = entry else { return json!({ "transaction": entry.id() }) };
    let transaction = attempt.transaction();
    let amount = transaction.amount;
    json!({
        "transaction": entry.id(),
        "begun": attempt.begun(),
        "payee_name": transaction.payee_name.to_string(),
        "amount": amount.number(),
        "currency": amount.currency().to_string(),
    })
}

async fn resolve(State(desk): Wanted, Path(id): Path<String>) -> Answered {
    let not_here = || Problem::new(StatusCode::NOT_FOUND, "not-here", "no such payment waits to be resolved");
    let id = id.parse().map_err(|_| not_here())?;
    let resolved = blocking(move || desk.resolve(&id)).await?.map_err(|why| failed(&why))?;
    match resolved {
        None => Err(not_here()),
        Some(Ok(conclusion)) => Ok(axum::Json(resolution(&conclusion))),
        Some(Err(why)) => Err(still_unknown(&why)),
    }
}

fn resolution(conclusion: &Conclusion) -> Value {
    match conclusion {
        Conclusion::Answered(Answer::Executed { receipt }) => {
            json!({ "result": "executed", "receipt": receipt })
        }
        Conclusion::Answered(answer) => json!({ "result": answer.to_string() }),
        Conclusion::Cancelled => json!({ "result": "cancelled" }),
    }
}

fn still_unknown(why: &Unresolved) -> Problem {
    Problem::conflict("still-unknown", format!("{why}; {}", why.advice()))
}

/// A source that gives no draft. A frame without a code is no error of anybody's: a camera's page goes on looking.
fn unusable(why: &SourceError) -> Problem {
    let code = match why {
        SourceError::Picture(PictureError::NoCode) => "no-code",
        _ => "unusable",
    };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, format!("{why}; {}", why.advice()))
}

fn failed(why: &Failure) -> Problem {
    let advice = why.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
    Problem::conflict("not-done", format!("{why}{advice}"))
}

/// Runs what takes a while beside the page's own thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        let detail = "this went wrong inside; start the program again";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_exactly_the_paths_there_are() {
        let document = include_str!("../../../docs/terminal-page.md");
        let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" /v1/"));
        let mut described: Vec<String> = rows
            .map(|(_, rest)| format!("/v1/{}", rest.split(['`', ' ', ',']).next().unwrap_or_default()))
            .collect();
        let mut served: Vec<String> = guarded().iter().map(|(path, _)| (*path).to_owned()).collect();
        described.sort_unstable();
        served.sort_unstable();
        assert_eq!(described, served);
    }
}

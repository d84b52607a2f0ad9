//! What the display shows: the one place that gives it away.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use onetap_apdu_spec::command::CardState;
use serde::{Deserialize, Serialize};

use crate::front::panel::draw::{self, Bitmap};
use crate::front::panel::hub::Hub;
use crate::signing::display::{COLUMNS, LINES};
use onetap_page::Problem;
use onetap_page::body::Params;

/// Longest wait.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(60);

/// What a read may wait for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    /// A sequence number.
    pub(crate) after: Option<u64>,
    /// How long at most; not at all, if left out.
    timeout_ms: Option<u64>,
}

impl Wait {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.unwrap_or(0)).min(MAX_WAIT)
    }
}

/// The screen as text.
#[derive(Serialize)]
struct Shown<'a> {
    /// Number of the latest event.
    seq: u64,
    /// Number of the event that last changed the screen.
    screen_seq: u64,
    /// Null on a card that has no signing application in its ROM.
    state: Option<CardState>,
    blank: bool,
    lines: &'a [String],
    page: usize,
    pages: usize,
    columns: usize,
    rows: usize,
}

/// `GET /v1/screen`: waits until the screen changes after event `after`.
pub(crate) async fn text(
    State(hub): State<Arc<Hub>>,
    Params(wait): Params<Wait>,
) -> Result<Response, Problem> {
    if let Some(after) = wait.after {
        hub.history.wait(wait.timeout(), |marks| marks.screen > after).await;
    }
    let (screen, state, marks) = hub.look()?;
    let shown = Shown {
        seq: marks.latest,
        screen_seq: marks.screen,
        state,
        blank: screen.is_blank(),
        lines: screen.lines(),
        page: screen.page_number(),
        pages: screen.pages(),
        columns: COLUMNS,
        rows: LINES,
    };
    Ok(axum::Json(shown).into_response())
}

/// How large a PNG.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Size {
    scale: Option<usize>,
}

/// `GET /v1/screen.png`.
pub(crate) async fn png(
    State(hub): State<Arc<Hub>>,
    Params(size): Params<Size>,
) -> Result<Response, Problem> {
    let scale = size.scale.unwrap_or(2);
    if scale == 0 || scale > draw::MAX_SCALE {
        return Err(Problem::bad_request(format!("scale is a number from 1 to {}", draw::MAX_SCALE)));
    }
    let file = draw::png(&Bitmap::draw(&hub.look()?.0), scale).map_err(|why| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-picture", format!("{why}; take the SVG instead"))
    })?;
    Ok(([(header::CONTENT_TYPE, "image/png")], file).into_response())
}

/// `GET /v1/screen.svg`.
pub(crate) async fn svg(State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let file = draw::svg(&Bitmap::draw(&hub.look()?.0));
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], file).into_response())
}

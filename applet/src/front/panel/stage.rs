//! What a program puts around the card on a page of its own: other parties, and what they do when told to.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use onetap_page::body::Json;
use onetap_page::{File, Problem};
use serde_json::Value;

/// A page around the panel.
pub trait Stage: Send + Sync {
    /// Its files.
    fn files(&self) -> Vec<File>;

    /// `POST /stage/{action}`, which takes the panel's token. It may take a while.
    ///
    /// # Errors
    /// Why it was not done, and what to do, in words for people.
    fn act(&self, action: &str, body: &Value) -> Result<Value, String>;
}

/// The path that takes the token.
pub(crate) fn guarded(stage: &Arc<dyn Stage>) -> Router {
    Router::new().route("/stage/{action}", post(act)).with_state(Arc::clone(stage))
}

async fn act(
    State(stage): State<Arc<dyn Stage>>,
    Path(action): Path<String>,
    Json(body): Json<Value>,
) -> Result<axum::Json<Value>, Problem> {
    // The card's time goes on meanwhile.
    let done = tokio::task::spawn_blocking(move || stage.act(&action, &body)).await;
    match done {
        Ok(Ok(answer)) => Ok(axum::Json(answer)),
        Ok(Err(why)) => Err(Problem::conflict("not-done", why)),
        Err(_) => {
            let detail = "this went wrong inside; start the program again";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail))
        }
    }
}

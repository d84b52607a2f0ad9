//! What can be asked for, and where.

mod card;
mod control;
mod events;
mod pages;
mod screen;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use super::guard::{self, Gate};
use super::hub::Hub;
use super::problem::Problem;
use super::stage::{self, Stage};

/// All paths that take the token; `assets/openapi.json` describes each.
fn guarded() -> Vec<(&'static str, MethodRouter<Arc<Hub>>)> {
    vec![
        ("/v1/card", get(card::card)),
        ("/v1/screen", get(screen::text)),
        ("/v1/screen.png", get(screen::png)),
        ("/v1/screen.svg", get(screen::svg)),
        ("/v1/keys", post(card::keys)),
        ("/v1/field", post(card::field)),
        ("/v1/apdu", post(card::apdu)),
        ("/v1/events", get(events::events)),
        ("/v1/log", get(events::log)),
        ("/v1/automation", get(control::rules).put(control::set_rules).delete(control::clear_rules)),
        ("/v1/clock", get(control::clock).post(control::set_clock)),
        ("/v1/seed", get(control::seed)),
        ("/v1/snapshot", post(control::snapshot)),
        ("/v1/restore", post(control::restore)),
    ]
}

/// The whole panel.
pub(crate) fn router(hub: &Arc<Hub>, stage: Option<&Arc<dyn Stage>>, gate: &Arc<Gate>) -> Router {
    let own = guarded().into_iter().fold(Router::new(), |all, (path, does)| all.route(path, does));
    let staged = stage.map(stage::guarded).unwrap_or_default();
    own.with_state(Arc::clone(hub))
        .merge(staged)
        .layer(from_fn_with_state(Arc::clone(gate), guard::check_token))
        .merge(pages::router())
        .merge(stage.map(stage::files).unwrap_or_default())
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "no-such-path", "see /openapi.json for what there is")
        })
        .method_not_allowed_fallback(async || {
            let detail = "see /openapi.json for what can be done here";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail)
        })
        .layer(from_fn_with_state(Arc::clone(gate), guard::check_site))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openapi_document_names_exactly_the_paths_there_are() {
        let document: serde_json::Value = serde_json::from_str(pages::OPENAPI).unwrap();
        let described: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        let mut served: Vec<&str> = guarded().iter().map(|(path, _)| *path).collect();
        served.sort_unstable();
        assert_eq!(described, served);
    }
}

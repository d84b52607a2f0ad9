//! What can be asked for, and where.

mod card;
mod control;
mod events;
mod pages;
mod screen;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use onetap_page::Site;

use super::hub::Hub;
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
pub(crate) fn site(hub: &Arc<Hub>, stage: Option<&Arc<dyn Stage>>) -> Site {
    let own = guarded().into_iter().fold(Router::new(), |all, (path, does)| all.route(path, does));
    let staged = stage.map(stage::guarded).unwrap_or_default();
    let mut files = pages::FILES.to_vec();
    files.extend(stage.map(|stage| stage.files()).unwrap_or_default());
    Site { guarded: own.with_state(Arc::clone(hub)).merge(staged), files, hint: "see /openapi.json" }
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

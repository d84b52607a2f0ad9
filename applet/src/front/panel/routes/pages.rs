//! The page's own files, inside the program. They hold no secret and take no token.

use axum::Router;
use axum::http::header;
use axum::routing::get;

/// The OpenAPI document.
pub(crate) const OPENAPI: &str = include_str!("../assets/openapi.json");

/// Path, media type, content.
const FILES: [(&str, &str, &str); 8] = [
    ("/", "text/html; charset=utf-8", include_str!("../assets/index.html")),
    ("/panel.css", "text/css; charset=utf-8", include_str!("../assets/panel.css")),
    ("/panel.js", "text/javascript; charset=utf-8", include_str!("../assets/panel.js")),
    ("/client.js", "text/javascript; charset=utf-8", include_str!("../assets/client.js")),
    ("/icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
    ("/api", "text/html; charset=utf-8", include_str!("../assets/api.html")),
    ("/api.js", "text/javascript; charset=utf-8", include_str!("../assets/api.js")),
    ("/openapi.json", "application/json", OPENAPI),
];

pub(crate) fn router() -> Router {
    FILES.into_iter().fold(Router::new(), |all, (path, media_type, content)| {
        all.route(path, get(async move || ([(header::CONTENT_TYPE, media_type)], content)))
    })
}

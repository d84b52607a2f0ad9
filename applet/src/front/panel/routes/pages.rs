//! The page's own files.

use onetap_page::File;

/// The OpenAPI document.
pub(crate) const OPENAPI: &str = include_str!("../assets/openapi.json");

/// What the panel has beyond what every page has.
pub(crate) const FILES: [File; 6] = [
    file("/", "text/html; charset=utf-8", include_str!("../assets/index.html")),
    file("/panel.css", "text/css; charset=utf-8", include_str!("../assets/panel.css")),
    file("/panel.js", "text/javascript; charset=utf-8", include_str!("../assets/panel.js")),
    file("/api", "text/html; charset=utf-8", include_str!("../assets/api.html")),
    file("/api.js", "text/javascript; charset=utf-8", include_str!("../assets/api.js")),
    file("/openapi.json", "application/json", OPENAPI),
];

const fn file(path: &'static str, media_type: &'static str, content: &'static str) -> File {
    File { path, media_type, content }
}

//! Files inside the program. They hold no secret and take no token.

use axum::Router;
use axum::http::header;
use axum::routing::get;

/// A file of a page. It is served to anybody who asks on this machine, so it holds no secret.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Where it is served.
    pub path: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// What it holds.
    pub content: &'static str,
}

/// What every page has: the REST client with the token, colours and controls, the icon.
const COMMON: [File; 3] = [
    File {
        path: "/client.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("../assets/client.js"),
    },
    File {
        path: "/page.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("../assets/page.css"),
    },
    File { path: "/icon.svg", media_type: "image/svg+xml", content: include_str!("../assets/icon.svg") },
];

pub(crate) fn router(own: &[File]) -> Router {
    COMMON.iter().chain(own).fold(Router::new(), |all, file| {
        let (media_type, content) = (file.media_type, file.content);
        all.route(file.path, get(async move || ([(header::CONTENT_TYPE, media_type)], content)))
    })
}

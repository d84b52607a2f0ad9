//! The operator's console: a few static files inside the program. They hold no secret and take no token; what they
//! show comes from the same `/v1` that everybody else asks. `docs/console.md` says what it promises.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::routing::get;

/// Path, media type, content.
const FILES: [(&str, &str, &str); 11] = [
    ("/console", "text/html; charset=utf-8", include_str!("assets/console.html")),
    ("/console/console.css", "text/css; charset=utf-8", include_str!("assets/console.css")),
    ("/console/console.js", "text/javascript; charset=utf-8", include_str!("assets/console.js")),
    ("/console/client.js", "text/javascript; charset=utf-8", include_str!("assets/client.js")),
    ("/console/accounts.js", "text/javascript; charset=utf-8", include_str!("assets/accounts.js")),
    ("/console/books.js", "text/javascript; charset=utf-8", include_str!("assets/books.js")),
    ("/console/talk.js", "text/javascript; charset=utf-8", include_str!("assets/talk.js")),
    ("/console/dom.js", "text/javascript; charset=utf-8", include_str!("assets/dom.js")),
    ("/console/outbox.js", "text/javascript; charset=utf-8", include_str!("assets/outbox.js")),
    ("/console/rate.js", "text/javascript; charset=utf-8", include_str!("assets/rate.js")),
    ("/console/icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// Nothing but these files, no markup from text (Trusted Types), in no other site's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// What each file goes out with, besides its media type.
const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The routes of the console's files.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |all, (path, media_type, content)| {
        all.route(path, get(async move || (HEADERS, [(CONTENT_TYPE, media_type)], content)))
    })
}

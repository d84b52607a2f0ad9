//! Who may come in: whoever has the token, from the page itself. `Host` and
//! `Origin` are checked against DNS rebinding; no other origin may read anything (no CORS headers).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use onetap_apdu_spec::rng::{OsRng, Rng as _};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::files;
use crate::problem::Problem;
use crate::site::Site;

/// Bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Nothing but the page's own files; no script or style inside a page.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                   connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The bearer token: whoever has it may do what the page does. Never printed by `Debug`.
#[derive(Clone)]
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    /// A new one.
    pub(crate) fn draw() -> Self {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        OsRng.fill(&mut *bytes);
        Self(Zeroizing::new(hex::encode(*bytes)))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in constant time.
    fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

/// What the guard compares with.
pub(crate) struct Gate {
    token: Token,
    hosts: Vec<String>,
}

impl Gate {
    pub(crate) fn new(token: Token, addr: SocketAddr) -> Self {
        let hosts = vec![addr.to_string(), format!("localhost:{}", addr.port())];
        Self { token, hosts }
    }

    /// Refuses requests that were meant for another name, or come from another site's page.
    fn check_site(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.hosts.iter().any(|known| known == host) {
            let detail = format!("this page is reached as http://{}/ only", self.hosts.join("/ or http://"));
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong-host", detail));
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        if origin.is_some_and(|origin| self.hosts.iter().any(|known| known == origin)) {
            return Ok(());
        }
        let detail = "other sites may not use this page; open it by its own address";
        Err(Problem::new(StatusCode::FORBIDDEN, "wrong-origin", detail))
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given
            .and_then(|value| value.split_once(' '))
            .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()));
        if token.is_some_and(|token| self.token.matches(token)) {
            return Ok(());
        }
        let detail =
            "send the token that the program printed when it started, as Authorization: Bearer TOKEN";
        Err(Problem::new(StatusCode::UNAUTHORIZED, "no-token", detail))
    }
}

/// All that `site` has, behind the gate.
pub(crate) fn shield(site: Site, gate: &Arc<Gate>) -> Router {
    let Site { guarded, files, hint } = site;
    guarded
        .layer(from_fn_with_state(Arc::clone(gate), check_token))
        .merge(files::router(&files))
        .fallback(async move || {
            Problem::new(StatusCode::NOT_FOUND, "no-such-path", format!("{hint} for what there is"))
        })
        .method_not_allowed_fallback(async move || {
            let detail = format!("{hint} for what can be done here");
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail)
        })
        .layer(from_fn_with_state(Arc::clone(gate), check_site))
}

/// In front of every path.
async fn check_site(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let response = match gate.check_site(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    harden(response)
}

/// In front of everything that takes the token.
async fn check_token(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    match gate.check_token(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

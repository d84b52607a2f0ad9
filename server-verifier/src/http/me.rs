//! Who is asking.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::service::Standing;

use super::caller::{Ask, Caller};
use super::hub::Hub;
use super::json::answer;

/// Who is asking, as the service knows it, and what a terminal has to know before a tap.
#[utoipa::path(get, path = "/v1/me", operation_id = "show_me", tag = "clients", responses((status = 200, body = Standing)))]
pub(crate) async fn me(caller: Caller<Ask>, State(hub): State<Arc<Hub>>) -> Response {
    let (verifier, seconds) = (&hub.verifier, |tolerance| u32::try_from(tolerance).unwrap_or(u32::MAX));
    let (terminal, terminals) = match caller.role().terminals() {
        [only] => (Some(only.clone()), Vec::new()),
        several => (None, several.to_vec()),
    };
    let standing = Standing {
        client: caller.name().to_owned(),
        role: caller.role().kind(),
        terminal,
        terminals,
        server: verifier.server_id(),
        time: verifier.now(),
        max_age: seconds(verifier.policy().max_age),
        max_ahead: seconds(verifier.policy().max_ahead),
    };
    answer(StatusCode::OK, &standing)
}

//! The routes, and the OpenAPI document made of the handlers' own types.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use utoipa::openapi::{HttpMethod, OpenApi as Document};
use utoipa::{OpenApi, Path};
use utoipa_axum::{PathItemExt as _, paste};

use super::hub::Hub;
use super::json::answer_bytes;
use super::problem::{Kind, Problem};
use super::{
    accounts, audit, authorisations, cancellations, cards, checkpoints, clients, console, contract, holds,
    ledger, me, outbox, policy, probes, proposals, statistics, terminals, transactions,
};

/// Everything that the service answers. No layer stands before the handlers: each would cost every authorisation.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    routes()
        .merge(console::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .with_state(hub)
}

/// The OpenAPI 3.1 document of the service.
#[must_use]
pub fn openapi() -> Document {
    let mut document = Documented::openapi();
    contract::complete(&mut document);
    document
}

/// One list, read twice: for the routes when the service starts, and for the document when somebody asks for it, which takes
/// more memory than all else that the service keeps.
macro_rules! handlers {
    ($($room:ident::$name:ident,)*) => {
        fn routes() -> Router<Arc<Hub>> {
            paste! { Router::new()$(.merge(route::<_, _, $room::[<__path_ $name>]>(&$room::$name)))* }
        }

        #[derive(OpenApi)]
        #[openapi(paths($($room::$name),*))]
        struct Documented;
    };
}

handlers! {
    authorisations::authorise,
    cancellations::cancel,
    transactions::list,
    transactions::show,
    accounts::list,
    accounts::open,
    accounts::show,
    accounts::statement,
    accounts::link,
    accounts::close,
    accounts::lock,
    accounts::unlock,
    cards::order,
    cards::activate,
    cards::show,
    cards::block,
    cards::replace,
    cards::rotate,
    terminals::list_terminals,
    terminals::register_terminal,
    terminals::withdraw_terminal,
    me::me,
    policy::show,
    policy::change,
    clients::list_clients,
    clients::add_client,
    clients::withdraw_client,
    clients::add_token,
    clients::end_token,
    clients::link_client,
    clients::unlink_client,
    audit::entries,
    audit::verify,
    audit::state,
    checkpoints::list,
    checkpoints::make,
    ledger::check,
    holds::holds,
    holds::place,
    holds::release,
    holds::capture,
    transactions::reverse,
    proposals::list,
    proposals::propose,
    proposals::approve,
    proposals::reject,
    transactions::settlement,
    transactions::settle,
    outbox::list,
    outbox::requeue,
    outbox::discard,
    statistics::show,
    self::document,
    probes::health,
    probes::readiness,
    probes::numbers,
}

/// A handler at the address and for the methods that its annotation names.
fn route<H: Handler<T, Arc<Hub>>, T: 'static, P: Path>(handler: &H) -> Router<Arc<Hub>> {
    let on = |methods: MethodRouter<_>, method: &HttpMethod| {
        methods.on(method.to_method_filter(), handler.clone())
    };
    Router::new().route(&P::path(), P::methods().iter().fold(MethodRouter::new(), on))
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", operation_id = "show_document", tag = "service", security(()), responses((status = 200, body = Object)))]
async fn document() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let made = DOCUMENT.get_or_init(|| openapi().to_json().unwrap_or_default().into());
    answer_bytes(StatusCode::OK, made.clone())
}

async fn nothing_here() -> Response {
    Problem::new(Kind::NotFound, "there is nothing at this address; see /v1/openapi.json").into_response()
}

async fn other_method() -> Response {
    let detail = "the address exists, with other methods; see /v1/openapi.json";
    Problem::new(Kind::MethodNotAllowed, detail).into_response()
}

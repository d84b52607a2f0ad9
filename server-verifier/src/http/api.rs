//! The routes, and the OpenAPI document made of the handlers' own types.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::hub::Hub;
use super::json::answer_bytes;
use super::problem::{Kind, Problem};
use super::{
    accounts, audit, authorisations, cancellations, cards, checkpoints, clients, console, contract, holds,
    ledger, me, outbox, policy, probes, proposals, statistics, terminals, transactions,
};

/// Everything that the service answers. No layer stands before the handlers: each would cost every authorisation.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    let (router, _) = api().split_for_parts();
    router
        .merge(console::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .with_state(hub)
}

/// The OpenAPI 3.1 document of the service.
#[must_use]
pub fn openapi() -> OpenApi {
    let mut document = api().into_openapi();
    contract::complete(&mut document);
    document
}

fn api() -> OpenApiRouter<Arc<Hub>> {
    OpenApiRouter::new()
        .routes(routes!(authorisations::authorise))
        .routes(routes!(cancellations::cancel))
        .routes(routes!(transactions::list))
        .routes(routes!(transactions::show))
        .routes(routes!(accounts::list, accounts::open))
        .routes(routes!(accounts::show))
        .routes(routes!(accounts::statement))
        .routes(routes!(accounts::link))
        .routes(routes!(accounts::close))
        .routes(routes!(accounts::lock))
        .routes(routes!(accounts::unlock))
        .routes(routes!(cards::order))
        .routes(routes!(cards::activate))
        .routes(routes!(cards::show))
        .routes(routes!(cards::block))
        .routes(routes!(cards::replace))
        .routes(routes!(cards::rotate))
        .routes(routes!(terminals::list_terminals, terminals::register_terminal))
        .routes(routes!(terminals::withdraw_terminal))
        .routes(routes!(me::me))
        .routes(routes!(policy::show, policy::change))
        .routes(routes!(clients::list_clients, clients::add_client))
        .routes(routes!(clients::withdraw_client))
        .routes(routes!(clients::add_token))
        .routes(routes!(clients::end_token))
        .routes(routes!(clients::link_client, clients::unlink_client))
        .routes(routes!(audit::entries))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::state))
        .routes(routes!(checkpoints::list, checkpoints::make))
        .routes(routes!(ledger::check))
        .routes(routes!(holds::holds, holds::place))
        .routes(routes!(holds::release))
        .routes(routes!(holds::capture))
        .routes(routes!(transactions::reverse))
        .routes(routes!(proposals::list, proposals::propose))
        .routes(routes!(proposals::approve))
        .routes(routes!(proposals::reject))
        .routes(routes!(transactions::settlement))
        .routes(routes!(transactions::settle))
        .routes(routes!(outbox::list))
        .routes(routes!(outbox::requeue))
        .routes(routes!(outbox::discard))
        .routes(routes!(statistics::show))
        .routes(routes!(document))
        .routes(routes!(probes::health))
        .routes(routes!(probes::readiness))
        .routes(routes!(probes::numbers))
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

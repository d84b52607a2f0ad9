//! For machines that watch: health, readiness, numbers.

use std::sync::Arc;

use super::caller::{Caller, Read};
use super::hub::Hub;
use super::json::answer_bytes;
use super::problem::Problem;
use super::scrape;
use crate::service::Verifier;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

/// The process runs.
#[utoipa::path(get, path = "/healthz", operation_id = "show_health", tag = "service", security(()), responses((status = 200)))]
pub(crate) async fn health() -> Response {
    answer_bytes(StatusCode::OK, Bytes::from_static(br#"{"status":"up"}"#))
}

/// A payment could be decided now, or could at most a second ago: the store commits, its schema is this program's, its threads
/// live, and the clock was not stepped within the last minute nor is behind the log.
#[utoipa::path(get, path = "/readyz", operation_id = "show_readiness", tag = "service", security(()),
    responses((status = 200), (status = 503)))]
pub(crate) async fn readiness(State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    hub.readiness.know(&hub.verifier, &hub.private_key).await?;
    Ok(answer_bytes(StatusCode::OK, Bytes::from_static(br#"{"status":"ready"}"#)))
}

/// Numbers in Prometheus's text format.
#[utoipa::path(get, path = "/metrics", operation_id = "show_metrics", tag = "service", responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn numbers(_caller: Caller<Read>, State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let figures = hub.verifier.run(Verifier::figures).await?;
    scrape::refresh(&hub, &figures);
    let mut response = Response::new(Body::from(hub.metrics.render()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

//! Bodies: so large, so soon, JSON of exactly the fields that are asked for.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use onetap_apdu_spec::service::JSON;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hub::Hub;
use super::problem::Kind;
use super::problem::Problem;

/// Reads a JSON body.
pub(crate) async fn read<T: DeserializeOwned>(
    hub: &Hub,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    parse(&bytes(hub, headers, body).await?)
}

/// Reads a JSON body, and writes it as any other with the same values is written.
pub(crate) async fn read_canonical<T: DeserializeOwned>(
    hub: &Hub,
    headers: &HeaderMap,
    body: Body,
) -> Result<(T, Vec<u8>), Problem> {
    let bytes = bytes(hub, headers, body).await?;
    let value: serde_json::Value = parse(&bytes)?;
    Ok((parse(&bytes)?, value.to_string().into_bytes()))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| Problem::malformed(form_of(&error)))
}

/// Where the JSON goes wrong and how, without what it says there.
fn form_of(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing, unknown, given twice or of another form",
        _ => "this is not JSON",
    };
    format!("line {} column {}: {what}; see /v1/openapi.json", error.line(), error.column())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let main = kind.and_then(|kind| kind.split(|byte| *byte == b';').next());
    main.is_some_and(|main| main.trim_ascii().eq_ignore_ascii_case(JSON.as_bytes()))
}

async fn bytes(hub: &Hub, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    if !is_json(headers) {
        return Err(Problem::new(Kind::NotJson, "send the body as `Content-Type: application/json`"));
    }
    let limit = hub.config.max_body;
    let too_large = || Problem::new(Kind::TooLarge, format!("the body may have at most {limit} bytes"));
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let whole = Limited::new(body, limit).collect();
    match tokio::time::timeout(hub.config.body_time, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::malformed("the body ended before its length")),
        Err(_) => Err(Problem::new(Kind::TooSlow, "send the whole body at once")),
    }
}

/// A JSON body as an argument of a handler. Must be the last one, after the caller.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Hub>> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, hub: &Arc<Hub>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        read(hub, &parts.headers, body).await.map(Self)
    }
}

/// A part of the path, or the whole of the query, as an argument of a handler.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Hub>> for Path<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Problem> {
        let found = axum::extract::Path::from_request_parts(parts, hub).await;
        let bad = |_| Problem::malformed("the address holds a number or name of another form");
        found.map(|axum::extract::Path(value)| Self(value)).map_err(bad)
    }
}

/// The query as an argument of a handler.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Hub>> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Problem> {
        let found = axum::extract::Query::from_request_parts(parts, hub).await;
        let bad = |_| Problem::malformed("the query has an unknown field or one of another form");
        found.map(|axum::extract::Query(value)| Self(value)).map_err(bad)
    }
}

/// An answer in JSON.
pub(crate) fn answer(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => answer_bytes(status, body.into()),
        Err(_) => Problem::new(Kind::Internal, "the answer cannot be written").into_response(),
    }
}

/// The same, where the JSON is written already.
pub(crate) fn answer_bytes(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

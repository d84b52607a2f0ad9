//! Requests taken in: bounded in size and time, refused with a problem that says why.

use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Most bytes of a body, unless a route says otherwise: an extended APDU in hexadecimal, and then some.
const MAX_BODY: usize = 160 * 1024;
/// A body must be here within this time.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A JSON body.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        expect_type(&request, "application/json")?;
        let bytes = zeroize::Zeroizing::new(read(request, MAX_BODY).await?.to_vec());
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|why| Problem::bad_request(format!("this JSON cannot be used: {why}")))
    }
}

/// A body of bytes.
pub struct Octets(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Octets {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        expect_type(&request, "application/octet-stream")?;
        read(request, MAX_BODY).await.map(Self)
    }
}

/// A query string.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(params) =
            Query::try_from_uri(&parts.uri).map_err(|why| Problem::bad_request(why.body_text()))?;
        Ok(Self(params))
    }
}

fn expect_type(request: &Request, wanted: &str) -> Result<(), Problem> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split(';').next()).map(str::trim);
    if given.is_some_and(|given| given.eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    let detail = format!("send the body as Content-Type: {wanted}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", detail))
}

/// The whole body, if it is here in time.
///
/// # Errors
/// [`Problem`], if it is longer than `most` bytes or too slow.
pub async fn read(request: Request, most: usize) -> Result<Bytes, Problem> {
    let body = to_bytes(request.into_body(), most);
    match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            let detail = format!("the body is broken off or longer than {most} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail))
        }
        Err(_) => {
            let detail = format!("the body was not here within {} s", BODY_TIME.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", detail))
        }
    }
}

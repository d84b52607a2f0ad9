//! Idempotency keys of acts: what is asked for again under the same key is done once, and answered again.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use onetap_apdu_spec::service::{IDEMPOTENCY_KEY, IdempotencyKey};
use serde::de::DeserializeOwned;

use super::hub::Hub;
use super::json;
use super::problem::Problem;
use crate::domain::{Act, EntryId};
use crate::rules::verify::Malformed;
use crate::service::Verifier;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;

/// The idempotency key of a request, as an argument of a handler.
pub(crate) struct Key {
    key: Option<IdempotencyKey>,
    /// Method, address and body: what the key is for.
    asked: Vec<u8>,
}

impl Key {
    /// The key in the header, if there is one.
    ///
    /// # Errors
    /// More than one, or one of another form.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
        let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(first) = all.next() else { return Ok(None) };
        let text = Some(first).filter(|_| all.next().is_none()).map(HeaderValue::to_str);
        let key = text.and_then(Result::ok).and_then(|text| text.parse().ok());
        key.map(Some).ok_or_else(|| Problem::malformed(Malformed::IdempotencyKey.to_string()))
    }

    fn of(parts: &Parts) -> Result<Self, Problem> {
        let asked = format!("{} {}\n", parts.method, parts.uri.path()).into_bytes();
        Ok(Self { key: Self::read(&parts.headers)?, asked })
    }

    /// Does an act once. Where it was done before under this key, `again` tells its result by the entry of the log.
    pub(crate) fn act<T>(
        self,
        verifier: &Verifier,
        act: Act,
        work: impl FnOnce(&Desk<'_>) -> Result<T, ServiceError>,
        again: impl FnOnce(EntryId) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        let desk = verifier.desk(act);
        let desk = match self.key {
            Some(key) => desk.once(key, &self.asked),
            None => desk,
        };
        match work(&desk) {
            Err(ServiceError::DoneBefore(entry)) => again(entry),
            done => done,
        }
    }
}

impl FromRequestParts<Arc<Hub>> for Key {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _hub: &Arc<Hub>) -> Result<Self, Problem> {
        Self::of(parts)
    }
}

/// A JSON body and the idempotency key of its request, as the last argument of a handler, after the caller.
pub(crate) struct Once<T>(pub(crate) T, pub(crate) Key);

impl<T: DeserializeOwned> FromRequest<Arc<Hub>> for Once<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, hub: &Arc<Hub>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let mut key = Key::of(&parts)?;
        let (body, text) = json::read_canonical(hub, &parts.headers, body).await?;
        key.asked.extend(text);
        Ok(Self(body, key))
    }
}

//! From what comes back to an answer or an error that says what is known.

use std::io::Read as _;
use std::time::Duration;

use onetap_apdu_spec::service::{JSON, PROBLEM_JSON, Problem};
use serde::de::DeserializeOwned;
use ureq::http::{Response, header};
use ureq::{Body, Error, Timeout};

use super::reach::NoConnection;
use crate::service::ServiceError;

/// Most bytes of an answer that are read. The longest that the service gives has about 2 kB.
const MAX_ANSWER: u64 = 64 * 1024;
/// Longest time that a server is believed when it asks to be left alone.
const MAX_RETRY_AFTER: u64 = 3600;

/// Reads a whole answer of the service, which has one of these statuses if it is no problem.
pub(super) fn read<T: DeserializeOwned>(answer: Response<Body>, statuses: &[u16]) -> Result<T, ServiceError> {
    let status = answer.status().as_u16();
    let kind = media_type(&answer);
    let retry_after = retry_after(&answer);
    let mut body = Vec::new();
    let read = answer.into_body().into_reader().take(MAX_ANSWER + 1).read_to_end(&mut body);
    read.map_err(|error| ServiceError::Lost(format!("the answer broke off: {error}")))?;
    if body.len() as u64 > MAX_ANSWER {
        return Err(ServiceError::NotTheService(format!(
            "more than {MAX_ANSWER} bytes came, with status {status}"
        )));
    }
    let strange =
        || ServiceError::NotTheService(format!("status {status} with a body that it does not send"));
    match (status, kind) {
        (_, Kind::Json) if statuses.contains(&status) => serde_json::from_slice(&body).map_err(|_| strange()),
        (_, Kind::Problem) => {
            let problem: Problem = serde_json::from_slice(&body).map_err(|_| strange())?;
            // What a proxy makes of it must not decide whether something was executed.
            if problem.status != status {
                return Err(strange());
            }
            Err(ServiceError::Problem { problem: Box::new(problem), retry_after })
        }
        _ => Err(strange()),
    }
}

enum Kind {
    Json,
    Problem,
    Other,
}

fn media_type(answer: &Response<Body>) -> Kind {
    let kind =
        answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind {
        kind if kind.eq_ignore_ascii_case(JSON) => Kind::Json,
        kind if kind.eq_ignore_ascii_case(PROBLEM_JSON) => Kind::Problem,
        _ => Kind::Other,
    }
}

fn retry_after(answer: &Response<Body>) -> Option<Duration> {
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(MAX_RETRY_AFTER)))
}

/// Whether anything can have been sent when the transport failed.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn of_transport(error: Error) -> ServiceError {
    match &error {
        Error::Timeout(Timeout::Connect) => {
            ServiceError::Unreachable("it did not accept a connection in time".to_owned())
        }
        Error::Other(cause) => match cause.downcast_ref::<NoConnection>() {
            Some(NoConnection(cause)) => of_connecting(cause),
            None => ServiceError::Lost(error.to_string()),
        },
        _ => ServiceError::Lost(error.to_string()),
    }
}

fn of_connecting(error: &Error) -> ServiceError {
    let tls = match error {
        Error::Rustls(cause) => Some(cause),
        Error::Io(cause) => cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        _ => None,
    };
    match tls {
        Some(rustls::Error::InvalidCertificate(cause)) => ServiceError::Untrusted(cause.to_string()),
        _ => ServiceError::Unreachable(error.to_string()),
    }
}

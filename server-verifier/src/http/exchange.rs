//! What HTTP itself asks of every request and answer, whatever the resource (RFC 9110, RFC 9112).

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Version, header};
use axum::response::Response;
use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};

use super::problem::Problem;

/// How long an answer waits for the rest of a body that its handler has not read, so that the connection can go on.
const REST: Duration = Duration::from_millis(100);

/// Why no handler may see a request: it does not name one host (RFC 9112 §3.2), or its address holds a NUL, which no store can
/// keep.
pub(super) fn refusal<B>(request: &Request<B>) -> Option<Problem> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Some(Problem::malformed("name the host once: `Host`"));
    }
    let address = request.uri().path_and_query().map_or("", |address| address.as_str());
    address.contains("%00").then(|| Problem::malformed("the address holds a NUL"))
}

/// What is left of a request's body once it is answered.
#[derive(Clone, Default)]
pub(super) struct Rest {
    body: Arc<Mutex<Option<Incoming>>>,
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    awaited: bool,
}

impl Rest {
    /// The same request, whose body comes back here if nobody reads it to its end.
    pub(super) fn of(request: Request<Incoming>) -> (Request<Body>, Self) {
        let awaited = request.headers().contains_key(header::EXPECT);
        let rest = Self { awaited, ..Self::default() };
        let request = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::new(Lent { body: Some(body), rest: Arc::clone(&rest.body) }),
        });
        (request, rest)
    }

    /// Makes the answer say that the connection ends if some of the body is left. What comes at once, and is no more than
    /// `limit` bytes, is thrown away instead.
    pub(super) async fn settle(self, response: &mut Response, limit: usize) {
        let left = self.body.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(body) = left else { return };
        let short = !self.awaited && body.size_hint().lower() <= limit as u64;
        let gone = short && discard(body, limit).await;
        if !gone {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Reads a body to its end; false if it is too long or does not come in time.
async fn discard(body: Incoming, limit: usize) -> bool {
    let whole = tokio::time::timeout(REST, Limited::new(body, limit).collect());
    whole.await.is_ok_and(|whole| whole.is_ok())
}

/// A body as a handler has it.
struct Lent {
    body: Option<Incoming>,
    rest: Arc<Mutex<Option<Incoming>>>,
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, hyper::body::Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let unread = self.body.take().filter(|body| !body.is_end_stream());
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = unread;
    }
}

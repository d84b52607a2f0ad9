//! Connections: who gets one, how long it lasts, and the requests that come over it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::api;
use super::doors::{Eviction, Place};
use super::exchange::{self, Rest};
use super::hub::Hub;
use super::identity::Peer;
use super::problem::Problem;
use super::record::{Answered, Record, Told};
use super::tls::{self, Tls};
use crate::domain::causes;

/// Most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;
/// Most header fields of a request.
const MAX_HEADERS: usize = 64;
/// Pause before retrying `accept` after it failed.
const BREATH: Duration = Duration::from_millis(100);
/// How long an answer may wait for a client that does not read it.
const UNREAD: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Accepts connections for ever. Whoever gets no place is turned away at once: nobody waits for another to leave.
pub(super) async fn accept(listener: &tokio::net::TcpListener, front: &Front, graceful: &GracefulShutdown) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let Some((place, eviction)) = front.hub.doors.enter(from.ip().into()) else { continue };
                let guest = Guest { stream, from, place, front: front.clone(), watcher: graceful.watcher() };
                tokio::spawn(guest.stay(eviction));
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                front.hub.doors.make_room();
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// A connection that was accepted.
struct Guest {
    stream: TcpStream,
    from: SocketAddr,
    place: Place,
    front: Front,
    watcher: Watcher,
}

impl Guest {
    /// Until it ends, or must make room for another.
    async fn stay(self, eviction: Eviction) {
        let conversation = async {
            match self.front.hub.tls.as_ref().map(Tls::acceptor) {
                None => self.plain().await,
                Some(tls) => self.encrypted(tls).await,
            }
        };
        tokio::select! {
            biased;
            () = eviction.comes() => {}
            () = conversation => {}
        }
    }

    async fn plain(self) {
        let peer = Peer { address: self.from.ip(), certificate: None };
        converse(prepared(self.stream), self.front, peer, self.watcher, self.place).await;
    }

    async fn encrypted(self, tls: TlsAcceptor) {
        let Self { stream, from, place, front, watcher } = self;
        let hub = &front.hub;
        let failure = match timeout(hub.config.head_time, tls.accept(prepared(stream))).await {
            Ok(Ok(stream)) => {
                let certificate = tls::fingerprint(hub.crypto, stream.get_ref().1);
                let peer = Peer { address: from.ip(), certificate };
                return converse(stream, front, peer, watcher, place).await;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it did not come in time".to_owned(),
        };
        hub.metrics.handshakes_failed.increment(1);
        hub.diary.no_request(from.ip(), "no-handshake", &failure);
    }
}

/// Answers are small and wanted at once; one that nobody takes ends the connection.
fn prepared(stream: TcpStream) -> TcpStream {
    // Both only help: a connection without them works.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD));
    stream
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    front: Front,
    peer: Peer,
    watcher: Watcher,
    place: Place,
) {
    let (hub, from) = (Arc::clone(&front.hub), peer.address);
    let service = Conversation { front, peer: Arc::new(peer), place };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(hub.config.head_time)
        // Whether the client is still there is asked when its answer is written, not by a read beside each request.
        .half_close(true)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    // However it ended: the client is gone, or shall be.
    match pin!(watcher.watch(connection)).await {
        Err(error) if error.is_parse() => hub.diary.no_request(from, "no-http", &causes(&error)),
        Err(error) => tracing::debug!(address = %from, error = causes(&error), "a connection broke"),
        Ok(()) => {}
    }
}

/// Where all requests come in.
#[derive(Clone)]
pub(super) struct Front {
    router: Router,
    hub: Arc<Hub>,
}

impl Front {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { router: api::router(Arc::clone(&hub)), hub }
    }
}

/// One connection's requests.
struct Conversation {
    front: Front,
    peer: Arc<Peer>,
    place: Place,
}

impl Service<Request<Incoming>> for Conversation {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.place.speaks();
        request.extensions_mut().insert(Arc::clone(&self.peer));
        let record = Record::begin(request.uri().path());
        request.extensions_mut().insert(Arc::clone(&record));
        let (Front { mut router, hub }, from) = (self.front.clone(), self.peer.address);
        let method = request.method().clone();
        Box::pin(async move {
            let refusal = exchange::refusal(&request);
            let (request, rest) = Rest::of(request);
            let mut response = match refusal {
                Some(problem) => problem.into_response(),
                None => {
                    let answer = tower_service::Service::call(&mut router, request);
                    let Ok(response) = AssertUnwindSafe(answer)
                        .catch_unwind()
                        .await
                        .unwrap_or_else(|_panic| Ok(Problem::panicked().into_response()));
                    response
                }
            };
            let problem = response.extensions_mut().remove::<Problem>();
            if let Some(problem) = &problem {
                response = problem.render(record.id(), response.headers());
            }
            response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
            rest.settle(&mut response, hub.config.max_body).await;
            let (status, told) = (response.status(), response.extensions().get::<Told>().copied());
            hub.metrics.answered(status.as_u16(), problem.as_ref());
            let problem = problem.as_ref();
            hub.diary.answered(&Answered { record: &record, from, method: &method, status, told, problem });
            if let Ok(id) = HeaderValue::try_from(record.id()) {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            Ok(response)
        })
    }
}

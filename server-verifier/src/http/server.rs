//! Connections: how many, how long, and how they end.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use onetap_apdu_spec::rng::{OsRng, Rng as _};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;

use super::Hub;
use super::clients::Clients;
use super::config::Config;
use super::identity::Peer;
use super::problem::Problem;
use super::routes;
use super::tls;
use super::tls::TlsError;
use crate::service::Verifier;

/// Most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;
/// Most header fields of a request.
const MAX_HEADERS: usize = 64;
/// Before accepting again where the system has no room for a connection.
const BREATH: Duration = Duration::from_millis(100);
/// So long an answer may wait for a client that does not read it.
const UNREAD: Duration = Duration::from_secs(30);
/// Between two looks at what is to be forgotten; every tenth look is a thorough one.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
const THREADS_THAT_BLOCK: usize = 64;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Secrets would travel in the clear.
    #[error(
        "{0} is no address of this machine only: give a certificate and key, or say --insecure-plain-http"
    )]
    Plain(SocketAddr),
    /// The address cannot be used.
    #[error("cannot listen at {addr}: {source}; give another address, port 0 for any free one")]
    Listen {
        /// Which address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// See [`TlsError`].
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Everything under way was answered.
    Complete,
    /// The time was over before: what was left has no answer; its idempotency keys tell what became of it.
    CutOff,
}

/// A service that is running. Dropping it ends it, as [`Server::shutdown`] does.
pub struct Server {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Shutdown>>,
}

impl Server {
    /// Starts the service in threads of its own.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start(
        verifier: Arc<Verifier>,
        clients: Arc<dyn Clients>,
        config: Config,
    ) -> Result<Self, ServeError> {
        let addr = config.listen;
        if config.tls.is_none() && !addr.ip().is_loopback() && !config.insecure_plain_http {
            return Err(ServeError::Plain(addr));
        }
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let failed = |source| ServeError::Listen { addr, source };
        let listener = TcpListener::bind(addr).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .max_blocking_threads(THREADS_THAT_BLOCK)
            .thread_name("onetap-http")
            .enable_all()
            .build()
            .map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let hub = Arc::new(Hub::start(verifier, clients, config).map_err(failed)?);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let end = runtime.block_on(run(listener, tls, hub, stopped));
            // What blocks still, such as a commit, is let finish by the store's own threads.
            runtime.shutdown_background();
            end
        });
        Ok(Self { addr, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts nothing more, answers what is under way, and returns then, or when the time that the
    /// configuration gives is over.
    #[must_use]
    pub fn shutdown(mut self) -> Shutdown {
        self.end()
    }

    fn end(&mut self) -> Shutdown {
        // If the thread is gone already, nobody is left to be told.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().and_then(|thread| thread.join().ok());
        ended.unwrap_or(Shutdown::CutOff)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.end();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// Serves until told to stop, then ends in order.
async fn run(
    listener: tokio::net::TcpListener,
    tls: Option<TlsAcceptor>,
    hub: Arc<Hub>,
    stopped: oneshot::Receiver<()>,
) -> Shutdown {
    let graceful = GracefulShutdown::new();
    let front =
        Front { router: routes::router(Arc::clone(&hub)), hub: Arc::clone(&hub), ids: Arc::new(Ids::new()) };
    tokio::select! {
        () = accept(&listener, tls, front, &graceful) => {}
        () = keep_house(&hub) => {}
        _ = stopped => {}
    }
    drop(listener);
    tracing::info!(connections = graceful.count(), "stopping");
    match tokio::time::timeout(hub.config.shutdown_time, graceful.shutdown()).await {
        Ok(()) => Shutdown::Complete,
        Err(_) => Shutdown::CutOff,
    }
}

async fn keep_house(hub: &Hub) {
    let mut clock = tokio::time::interval(HOUSEKEEPING);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 1_u64.. {
        clock.tick().await;
        let thorough = round.is_multiple_of(10);
        hub.limits.tidy(thorough);
        if thorough {
            hub.metrics.fold();
            hub.identity.tidy();
        }
    }
}

async fn accept(
    listener: &tokio::net::TcpListener,
    tls: Option<TlsAcceptor>,
    front: Front,
    graceful: &GracefulShutdown,
) {
    let room = Arc::new(Semaphore::new(front.hub.config.max_connections));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, from)) => {
                let guest = Guest { stream, from, place };
                let (front, watcher) = (front.clone(), graceful.watcher());
                match tls.clone() {
                    None => drop(tokio::spawn(guest.plain(front, watcher))),
                    Some(tls) => drop(tokio::spawn(guest.encrypted(tls, front, watcher))),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// A connection that was accepted.
struct Guest {
    stream: TcpStream,
    from: SocketAddr,
    place: OwnedSemaphorePermit,
}

type Watcher = hyper_util::server::graceful::Watcher;

impl Guest {
    async fn plain(self, front: Front, watcher: Watcher) {
        let peer = Peer { address: self.from.ip(), certificate: None };
        converse(prepared(self.stream), front, peer, watcher, self.place).await;
    }

    async fn encrypted(self, tls: TlsAcceptor, front: Front, watcher: Watcher) {
        let time = front.hub.config.head_time;
        let shaken = tokio::time::timeout(time, tls.accept(prepared(self.stream))).await;
        let Ok(Ok(stream)) = shaken else {
            front.hub.metrics.handshakes_failed.increment(1);
            tracing::debug!(from = %self.from, "no TLS handshake");
            return;
        };
        let certificate = tls::fingerprint(front.hub.verifier.env.crypto, stream.get_ref().1);
        let peer = Peer { address: self.from.ip(), certificate };
        converse(stream, front, peer, watcher, self.place).await;
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
    _place: OwnedSemaphorePermit,
) {
    let hub = Arc::clone(&front.hub);
    hub.metrics.connections.increment(1.0);
    let service = Conversation { front, peer: Arc::new(peer) };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(hub.config.head_time)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    // However it ended: the client is gone, or shall be.
    if let Err(error) = pin!(watcher.watch(connection)).await {
        tracing::debug!(%error, "a connection broke");
    }
    hub.metrics.connections.decrement(1.0);
}

/// Where all requests come in.
#[derive(Clone)]
struct Front {
    router: Router,
    hub: Arc<Hub>,
    ids: Arc<Ids>,
}

/// One connection's requests.
struct Conversation {
    front: Front,
    peer: Arc<Peer>,
}

impl Service<Request<Incoming>> for Conversation {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Arc::clone(&self.peer));
        let Front { router, hub, ids } = self.front.clone();
        Box::pin(async move {
            let Ok(response) = tower_service::Service::call(&mut { router }, request).await;
            let id = ids.next();
            let mut response = match response.extensions().get::<Problem>() {
                Some(problem) => problem.render(&id),
                None => response,
            };
            hub.metrics.answered(response.status().as_u16());
            tracing::debug!(request = id, status = response.status().as_u16(), "answered");
            if let Ok(id) = HeaderValue::try_from(id) {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            Ok(response)
        })
    }
}

/// Requests' ids: what tells this run from others, and a number.
struct Ids {
    run: u32,
    next: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        let mut run = [0; 4];
        OsRng.fill(&mut run);
        Self { run: u32::from_be_bytes(run), next: AtomicU64::new(1) }
    }

    /// 24 hexadecimal digits, always.
    fn next(&self) -> String {
        format!("{:08x}{:016x}", self.run, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

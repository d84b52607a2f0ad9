//! Connections: how many, how long, and how they end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::config::Config;
use super::connection::{Front, accept};
use super::hub::Hub;
use super::tls::{Tls, TlsError};
use super::work::THREADS;
use crate::domain::Timestamp;
use crate::service::Verifier;

/// Connections that the system keeps for the service until it accepts them.
const BACKLOG: i32 = 4_096;
/// Between two looks at how long the certificate is valid.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two rounds of housekeeping.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// Before what has panicked begins again.
const BREATH: Duration = Duration::from_millis(100);

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
    /// Connections would change their kind.
    #[error("TLS cannot be taken up or given up while the service runs; start it again")]
    OtherKind,
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Everything under way was answered.
    Complete,
    /// The time was over before: what was left has no answer; its idempotency keys tell what became of it.
    CutOff,
}

/// Tells whether a service lives.
#[derive(Debug, Clone)]
pub struct Pulse(Handle);

impl Pulse {
    /// Whether the service comes to new work within this time.
    #[must_use]
    pub fn beats(&self, within: Duration) -> bool {
        let (tell, told) = std::sync::mpsc::channel();
        self.0.spawn(async move { tell.send(()) });
        told.recv_timeout(within).is_ok()
    }
}

/// A service that is running. Dropping it ends it, as [`Server::shutdown`] does.
pub struct Server {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Shutdown>>,
    hub: Arc<Hub>,
    runtime: Handle,
}

impl Server {
    /// Starts the service in threads of its own.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start(verifier: Arc<Verifier>, config: Config) -> Result<Self, ServeError> {
        let addr = config.listen;
        check_plain(&config, addr)?;
        let listener = listen(addr).map_err(|source| ServeError::Listen { addr, source })?;
        Self::start_at(listener, verifier, config)
    }

    /// The same at a socket that listens already.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start_at(
        listener: TcpListener,
        verifier: Arc<Verifier>,
        config: Config,
    ) -> Result<Self, ServeError> {
        let addr = config.listen;
        let failed = |source| ServeError::Listen { addr, source };
        let addr = listener.local_addr().map_err(failed)?;
        let tls = open_tls(&config, addr, verifier.now())?;
        listener.set_nonblocking(true).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .max_blocking_threads(THREADS)
            .thread_name("onetap-http")
            .enable_all()
            .build()
            .map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let hub = Arc::new(Hub::start(verifier, tls, config).map_err(failed)?);
        let (stop, stopped) = oneshot::channel();
        let (handle, shared) = (runtime.handle().clone(), Arc::clone(&hub));
        let thread = std::thread::spawn(move || {
            let end = runtime.block_on(run(listener, shared, stopped));
            // What blocks still, such as a commit, is let finish by the store's own threads.
            runtime.shutdown_background();
            end
        });
        Ok(Self { addr, stop: Some(stop), thread: Some(thread), hub, runtime: handle })
    }

    /// Whether a service can start so at `now`: reads the files for TLS.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn check(config: &Config, now: Timestamp) -> Result<(), ServeError> {
        open_tls(config, config.listen, now).map(drop)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Reads the certificates again, and takes the rates from `config`: all of it, or nothing. No connection ends; the
    /// certificates count from the next one on. Whatever else is in `config` counts after the next start.
    ///
    /// # Errors
    /// [`ServeError`]: the service goes on as it was.
    pub fn reload(&self, config: &Config) -> Result<(), ServeError> {
        match (&self.hub.tls, &config.tls) {
            (Some(tls), Some(files)) => {
                tls.reopen(files, self.hub.verifier.now())?;
                tls.tell_expiry(self.hub.verifier.now());
            }
            (None, None) => {}
            _ => return Err(ServeError::OtherKind),
        }
        self.hub.limits.change(config.rates());
        Ok(())
    }

    /// What tells whether it lives.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        Pulse(self.runtime.clone())
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

/// Whether secrets may go over connections to this address.
fn check_plain(config: &Config, addr: SocketAddr) -> Result<(), ServeError> {
    let plain = config.tls.is_none() && !addr.ip().is_loopback() && !config.insecure_plain_http;
    if plain { Err(ServeError::Plain(addr)) } else { Ok(()) }
}

/// What makes connections to this address TLS's, if they are to be.
fn open_tls(config: &Config, addr: SocketAddr, now: Timestamp) -> Result<Option<Tls>, ServeError> {
    check_plain(config, addr)?;
    Ok(config.tls.as_ref().map(|files| Tls::open(files, now)).transpose()?)
}

/// The listener, with a longer queue than the standard library's: a crowd at the door must not make the system drop those
/// who come after it.
fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves until told to stop, then ends in order.
async fn run(listener: tokio::net::TcpListener, hub: Arc<Hub>, stopped: oneshot::Receiver<()>) -> Shutdown {
    let graceful = GracefulShutdown::new();
    let front = Front::new(Arc::clone(&hub));
    tokio::select! {
        () = again("accepting", || accept(&listener, &front, &graceful)) => {}
        () = again("housekeeping", || keep_house(&hub)) => {}
        _ = stopped => {}
    }
    drop((listener, front));
    tracing::info!(connections = graceful.count(), "stopping");
    match tokio::time::timeout(hub.config.shutdown_time, graceful.shutdown()).await {
        Ok(()) => Shutdown::Complete,
        Err(_) => Shutdown::CutOff,
    }
}

/// Lives `life`, again after each panic.
async fn again<F: Future<Output = ()>>(name: &str, mut life: impl FnMut() -> F) {
    while AssertUnwindSafe(life()).catch_unwind().await.is_err() {
        tracing::error!(name, "this has panicked and begins again");
        tokio::time::sleep(BREATH).await;
    }
}

async fn keep_house(hub: &Hub) {
    let mut look = Instant::now();
    loop {
        if let Some(tls) = hub.tls.as_ref().filter(|_| look <= Instant::now()) {
            tls.tell_expiry(hub.verifier.now());
            look += DAY;
        }
        tokio::time::sleep(HOUSEKEEPING).await;
        hub.metrics.fold();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_panics_begins_again_until_it_is_done() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut lives = 0;
        runtime.block_on(again("test", || {
            lives += 1;
            let last = lives == 3;
            async move { assert!(last, "on purpose") }
        }));
        assert_eq!(lives, 3);
    }
}

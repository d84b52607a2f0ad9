//! Connections: so many at a time, each only so long, and none that says nothing.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Most connections at a time. Others wait in the listener's queue.
const MAX_CONNECTIONS: usize = 64;
/// A request's head must be here within this time; so long a connection may idle, too.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// No connection lives longer; a stream of events is taken up again where it ended.
const CONNECTION_TIME: Duration = Duration::from_secs(600);
/// Most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;
/// Before accepting again where the system has no room for a connection.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until told to stop, or until `work` ends.
pub(crate) async fn run(
    listener: TcpListener,
    app: Router,
    work: impl Future<Output = ()>,
    stopped: oneshot::Receiver<()>,
) {
    tokio::select! {
        () = accept(listener, app) => {}
        () = work => {}
        _ = stopped => {}
    }
}

async fn accept(listener: TcpListener, app: Router) {
    // Registering with the event loop fails only where there is no room for it.
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, app.clone(), place))),
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

async fn converse(stream: TcpStream, app: Router, _place: OwnedSemaphorePermit) {
    // Answers are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    // However it ended: the client is gone, or shall be.
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

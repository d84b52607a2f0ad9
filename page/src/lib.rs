//! A page for one person at this machine, with the REST interface below it: what the card's panel and the shop's
//! terminal have in common. It knows neither card nor terminal.
//!
//! It listens on the loopback only, and whoever uses it needs a token.
//!
//! | module | what it does |
//! |---|---|
//! | [`guard`] | who may come in |
//! | [`body`] | requests, bounded in size and time |
//! | [`problem`] | refusals |
//! | [`files`] | the page's own files, with those that every page has |
//! | `server` | connections, bounded in number and time |

pub mod body;
pub mod files;
pub mod guard;
pub mod problem;
mod server;
mod site;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use files::File;
pub use problem::Problem;
pub use site::Site;

use guard::{Gate, Token};

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Others could reach it.
    #[error(
        "the page is served on this machine only, not at {0}; give 127.0.0.1:PORT, and from elsewhere use \
         ssh -L PORT:127.0.0.1:PORT"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be used.
    #[error("the page cannot be served at {addr}: {source}; give another port, 0 for any free one")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A page that is being served. Dropping it ends that.
pub struct Page {
    addr: SocketAddr,
    token: Token,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    /// Serves `site` at an address of the loopback from a thread of its own; port 0 takes any free one. `work` runs
    /// on the same thread, and ends with the page.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn serve(
        addr: SocketAddr,
        site: Site,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, PageError> {
        if !addr.ip().is_loopback() {
            return Err(PageError::NotLoopback(addr));
        }
        let failed = |source| PageError::Listen { addr, source };
        let listener = TcpListener::bind(addr).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;

        let token = Token::draw();
        let app = guard::shield(site, &Arc::new(Gate::new(token.clone(), addr)));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(server::run(listener, app, work, stopped));
        });
        Ok(Self { addr, token, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it is served.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The bearer token. Whoever has it may do what the page does.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.expose()
    }

    /// The address of a file. The token stands behind the `#`, which browsers do not send anywhere.
    #[must_use]
    pub fn url_of(&self, path: &str) -> String {
        format!("http://{}{path}#token={}", self.addr, self.token())
    }
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // If the thread is gone already, nobody is left to be told.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

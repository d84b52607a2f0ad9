//! Before a connection stands, no byte of a request has left. The library gives the errors of both times alike, so those
//! of before are marked where they come up: in the resolver, and in the connector (TCP, proxy, TLS).

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};
use ureq::{Error, Timeout};

/// How long the addresses of the server's name are remembered.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Why no connection came to stand.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoConnection(pub(super) Error);

/// An agent that marks them.
pub(super) fn agent(config: Config) -> ureq::Agent {
    ureq::Agent::with_parts(config, Connecting(DefaultConnector::default()), Resolving::default())
}

/// Remembers the last answer: the library asks for each request, on a thread of its own, even where a connection is
/// kept.
#[derive(Debug, Default)]
struct Resolving {
    resolver: DefaultResolver,
    last: Mutex<Option<Resolved>>,
}

#[derive(Debug)]
struct Resolved {
    authority: String,
    at: Instant,
    addresses: Vec<SocketAddr>,
}

impl Resolving {
    fn lock(&self) -> MutexGuard<'_, Option<Resolved>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolver for Resolving {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if let Some(last) = &*self.lock()
            && last.authority == authority
            && last.at.elapsed() < REMEMBERED
        {
            let mut found = self.empty();
            last.addresses.iter().for_each(|address| found.push(*address));
            return Ok(found);
        }
        let found = self.resolver.resolve(uri, config, timeout).map_err(mark)?;
        let addresses = found.iter().copied().collect();
        *self.lock() = Some(Resolved { authority: authority.to_owned(), at: Instant::now(), addresses });
        Ok(found)
    }
}

#[derive(Debug)]
struct Connecting(DefaultConnector);

impl Connector<()> for Connecting {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        self.0.connect(details, chained).map_err(mark)
    }
}

fn mark(error: Error) -> Error {
    match error {
        // Whichever time-out it was, it ended while no connection stood.
        Error::Timeout(_) => Error::Timeout(Timeout::Connect),
        other => Error::Other(Box::new(NoConnection(other))),
    }
}

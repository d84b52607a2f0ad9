//! Before a connection stands, no byte of a request has left. The library gives the errors of both times alike, so those
//! of before are marked where they come up: in the resolver, and in the connector (TCP, proxy, TLS).

use std::net::{IpAddr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};
use ureq::{Error, Timeout};

/// Why no connection came to stand.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoConnection(pub(super) Error);

/// An agent that marks them.
pub(super) fn agent(config: Config) -> ureq::Agent {
    ureq::Agent::with_parts(
        config,
        Connecting(DefaultConnector::default()),
        Resolving(DefaultResolver::default()),
    )
}

#[derive(Debug)]
struct Resolving(DefaultResolver);

impl Resolver for Resolving {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        // The library asks for each request, on a thread of its own, even where a connection is kept.
        let Some(address) = literal(uri) else {
            return self.0.resolve(uri, config, timeout).map_err(mark);
        };
        let mut found = self.empty();
        found.push(address);
        Ok(found)
    }
}

/// The address, where the URL has one instead of a name.
fn literal(uri: &Uri) -> Option<SocketAddr> {
    let host: IpAddr = uri.host()?.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    Some(SocketAddr::new(host, port))
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

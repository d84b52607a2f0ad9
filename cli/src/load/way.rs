//! The way to a service, for the load generator.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use onetap_conformance::load::Server;
use onetap_pcsc_host::service::{NotReady, ServiceError};

use super::bank::Bank;
use crate::exit::Failure;

/// How long an address may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the service listens: the first address of its name that accepts a connection.
pub(super) fn to(bank: &Bank<'_>) -> Result<Server, Failure> {
    let bad = || Failure::Usage(format!("{} cannot be read", bank.url()));
    let (scheme, authority) = bank.url().split_once("://").ok_or_else(bad)?;
    let (host, port) = parts(authority, if scheme == "https" { 443 } else { 80 }).ok_or_else(bad)?;
    let unreachable = |error: io::Error| NotReady::from(ServiceError::Unreachable(error.to_string()));
    let address = reachable(host, port).map_err(unreachable)?;
    if scheme != "https" {
        return Ok(Server::plain(address));
    }
    let failed = |why: &dyn std::fmt::Display| Failure::Usage(format!("TLS to {host}: {why}"));
    let config = bank.tls().map_err(|why| failed(&why))?;
    let name = host.to_owned().try_into().map_err(|why| failed(&why))?;
    Ok(Server::over_tls(address, Arc::new(config), name))
}

/// Host and port; an IPv6 address without its brackets.
fn parts(authority: &str, usual: u16) -> Option<(&str, u16)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, usual),
    };
    Some((host.trim_start_matches('[').trim_end_matches(']'), port))
}

fn reachable(host: &str, port: u16) -> io::Result<SocketAddr> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_and_port_or_the_usual_one() {
        for (authority, expected) in [
            ("bank.example", Some(("bank.example", 443))),
            ("bank.example:8443", Some(("bank.example", 8443))),
            ("[::1]", Some(("::1", 443))),
            ("[::1]:80", Some(("::1", 80))),
            ("bank:none", None),
        ] {
            assert_eq!(parts(authority, 443), expected, "{authority}");
        }
    }
}

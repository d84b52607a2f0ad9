//! Where connections and requests come from, as far as shares are counted by it.

use std::net::{IpAddr, Ipv6Addr};

/// Who is counted as one: an IPv4 address, or the /64 network of an IPv6 address, which is one subscriber's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source(IpAddr);

/// Bits of an IPv6 address that tell one subscriber from another.
const NETWORK: u128 = u128::MAX << 64;

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_subscriber_is_one_source() {
        assert_eq!(source("2001:db8:0:7::1"), source("2001:db8:0:7:ffff:ffff:ffff:ffff"));
        assert_ne!(source("2001:db8:0:7::1"), source("2001:db8:0:8::1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"), "IPv4 over an IPv6 socket");
        assert_eq!(source("2001:db8:0:7::1").to_string(), "2001:db8:0:7::/64");
    }
}

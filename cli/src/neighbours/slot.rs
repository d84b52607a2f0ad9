//! The slots of vpcd: TCP ports of this machine, for one card each.

use std::net::SocketAddr;

use procfs::net::{TcpNetEntry, TcpState, route, tcp};

use super::{Program, holders};

/// Who is at a slot. A slot takes one card; further ones are connected by the system, and not heard until their turn.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// The programs whose cards are there: the first is in the slot, if [`Slot::has_card`]. None where this user may not see one.
    cards: Vec<Option<Program>>,
    has_card: bool,
    /// It listens on every interface of this machine, not on the loopback only.
    pub(crate) is_open: bool,
}

impl Slot {
    /// Looks who is at this port. `None` if nobody listens there.
    pub(crate) fn look(port: u16) -> Option<Self> {
        let all = tcp().ok()?;
        let here = |entry: &&TcpNetEntry| entry.local_address.port() == port;
        let listener = all.iter().filter(here).find(|entry| entry.state == TcpState::Listen)?;
        let mut met: Vec<_> =
            all.iter().filter(here).filter(|entry| entry.state == TcpState::Established).collect();
        // A connection that no program has taken yet has no inode.
        met.sort_by_key(|entry| entry.inode == 0);
        Some(Self {
            has_card: met.first().is_some_and(|entry| entry.inode != 0),
            cards: met.into_iter().map(|entry| other_end(&all, entry)).collect(),
            is_open: listener.local_address.ip().is_unspecified(),
        })
    }

    /// The program whose card is in the slot; `None` within if this user may not see it.
    pub(crate) fn card(&self) -> Option<Option<&Program>> {
        self.cards.first().filter(|_| self.has_card).map(Option::as_ref)
    }

    /// The programs whose cards wait for the slot.
    pub(crate) fn waiting(&self) -> &[Option<Program>] {
        self.cards.get(usize::from(self.has_card)..).unwrap_or_default()
    }

    /// The program whose card is in the slot at this address, if that is one of this machine and it can be seen.
    pub(crate) fn holder(addr: SocketAddr) -> Option<Program> {
        addr.ip().is_loopback().then(|| Self::look(addr.port()))??.card()?.cloned()
    }
}

/// The program at the other end of a connection within this machine.
fn other_end(all: &[TcpNetEntry], entry: &TcpNetEntry) -> Option<Program> {
    let mirrored = |other: &&TcpNetEntry| {
        other.local_address == entry.remote_address && other.remote_address == entry.local_address
    };
    holders(&[all.iter().find(mirrored)?.inode]).into_iter().next()
}

/// Whether this machine has a network beyond itself.
pub(crate) fn is_networked() -> bool {
    route().is_ok_and(|routes| routes.iter().any(|route| route.iface != "lo"))
}

//! The slots of vpcd's readers that listen for cards.

use super::finding::Finding;
use super::world::World;
use crate::neighbours::{Slot, is_networked, name};

fn ports(world: &World) -> impl Iterator<Item = u16> {
    world.drivers.iter().flat_map(crate::neighbours::Driver::open_ports)
}

/// Only programs of this machine can put a card into a reader.
pub(super) fn exposure(world: &World) -> Vec<Finding> {
    let mut listening = ports(world).filter_map(|port| Slot::look(port).map(|slot| (port, slot))).peekable();
    if listening.peek().is_none() {
        return Vec::new();
    }
    let open: Vec<_> = listening.filter(|(_, slot)| slot.is_open).map(|(port, _)| port.to_string()).collect();
    let of = "who reaches vpcd's slots";
    vec![match is_networked() {
        _ if open.is_empty() => Finding::fine(of, "this machine only"),
        false => Finding::fine(of, "this machine only: it has no network"),
        true => Finding::wrong(
            of,
            format!(
                "whoever reaches this machine: vpcd listens on all interfaces, at port {}",
                open.join(", ")
            ),
            format!(
                "close them to others: nft add table inet vpcd; nft add chain inet vpcd cards \
                 '{{ type filter hook input priority 0; }}'; nft add rule inet vpcd cards iifname != lo \
                 tcp dport '{{ {} }}' drop; or have the reader come to the card: DEVICENAME 127.0.0.1:PORT \
                 in its file, and `onetap card run --listen`",
                open.join(", ")
            ),
        ),
    }]
}

/// Each slot has at most one card.
pub(super) fn slots(world: &World) -> Vec<Finding> {
    ports(world).filter(|_| world.readers.is_ok()).map(slot).collect()
}

fn slot(port: u16) -> Finding {
    let of = format!("slot 127.0.0.1:{port}");
    let Some(slot) = Slot::look(port) else {
        let cure = "end what else has that port, then systemctl restart pcscd; the service's log says more";
        return Finding::wrong(of, "vpcd does not listen there", cure);
    };
    let Some(card) = slot.card() else { return Finding::fine(of, "free") };
    let card = name(card);
    if slot.waiting().is_empty() {
        return Finding::fine(of, format!("{card} has its card there"));
    }
    let others: Vec<_> = slot.waiting().iter().map(|program| name(program.as_ref())).collect();
    Finding::wrong(
        of,
        format!("taken: {card} has its card there, and {} in vain", waits(&others)),
        format!(
            "end {card}, or put the other card into another slot: `onetap card run --vpcd 127.0.0.1:PORT`"
        ),
    )
}

fn waits(others: &[String]) -> String {
    let verb = if others.len() == 1 { "waits" } else { "wait" };
    format!("{} {verb}", others.join(", "))
}

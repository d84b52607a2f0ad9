//! How to serve a card's panel.

use std::net::SocketAddr;

use super::field::Field;
use super::machine::Machine;
use super::rehearsal::Rehearsal;
use super::stage::Stage;
use crate::card::VirtualClock;

/// How to serve a card's panel.
pub struct PanelConfig {
    /// Where to listen: an address of this machine only; port 0 takes any free one.
    pub addr: SocketAddr,
    /// Who brings the field.
    pub field: Field,
    /// The card's clock, if it is one that can be set; without, the card runs on the machine's.
    pub clock: Option<VirtualClock>,
    /// The seed of the card's randomness, if it has one.
    pub seed: Option<u64>,
    /// What takes and restores snapshots, if this card has it.
    pub machine: Option<Box<dyn Machine>>,
    /// What surrounds the card on a page of its own.
    pub stage: Option<Box<dyn Stage>>,
}

impl PanelConfig {
    /// At `addr`; with a rehearsal, its clock, seed and snapshots are in the panel's hands.
    #[must_use]
    pub fn new(addr: SocketAddr, field: Field, rehearsal: Option<Rehearsal>) -> Self {
        let config = Self { addr, field, ..Self::default() };
        let Some(Rehearsal { clock, seed, machine }) = rehearsal else { return config };
        Self { clock: Some(clock), seed: Some(seed), machine: Some(Box::new(machine)), ..config }
    }
}

impl Default for PanelConfig {
    /// Any free port of the loopback; the panel is the reader; real time and randomness.
    fn default() -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { addr, field: Field::Panel, clock: None, seed: None, machine: None, stage: None }
    }
}

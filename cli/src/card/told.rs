//! What a card tells of its reader: its name, or who has the slot.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use onetap_applet::front::vpcd::{Meeting, Notice};
use onetap_pcsc_host::Deadline;
use onetap_pcsc_host::pcsc::readers;
use serde::Serialize;

use crate::neighbours::{Daemon, Driver, Program, Slot, drivers};

/// How long the service may take to name its readers: it may start just now.
const NAMING: Duration = Duration::from_secs(3);
/// Between two questions.
const MOMENT: Duration = Duration::from_millis(100);

/// What became of the reader, for programs and people.
#[derive(Debug, Default, Serialize)]
pub(super) struct Told {
    reader: &'static str,
    /// The reader's name in PC/SC.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whose card is in the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Program>,
    #[serde(skip)]
    pub(super) line: String,
}

/// Finds out more and says it. Asking the PC/SC service takes a moment, in which the card answers its reader, so a
/// thread does it.
pub(super) fn tell(notice: Notice, meeting: &Meeting, say: impl FnOnce(Told) + Send + 'static) {
    let line = notice.to_string();
    let at = meeting.addr().ok();
    match notice {
        Notice::Away => say(Told { reader: "away", line, ..Told::default() }),
        Notice::Silent => {
            let by = at.and_then(Slot::holder);
            let line = by.as_ref().map_or(line, |by| {
                format!("the slot is taken: {by} has its card in the reader; this one waits for its turn")
            });
            say(Told { reader: "silent", by, line, ..Told::default() });
        }
        Notice::Here => {
            let waits = matches!(meeting, Meeting::Here(_));
            let Some(slot) = at.and_then(|at| ReaderSlot::at(at, waits)) else {
                return say(Told { reader: "here", line, ..Told::default() });
            };
            thread::spawn(move || {
                let name = slot.name();
                let line = name.as_ref().map_or(line, |name| format!("the card is in reader {name}"));
                say(Told { reader: "here", name, line, ..Told::default() });
            });
        }
    }
}

/// A slot of one of pcscd's virtual readers.
struct ReaderSlot {
    driver: Driver,
    number: usize,
}

impl ReaderSlot {
    fn at(addr: SocketAddr, waits: bool) -> Option<Self> {
        let found = drivers(Daemon::find().as_ref()).into_iter();
        found.filter_map(|driver| Some(Self { number: driver.slot_at(addr, waits)?, driver })).next()
    }

    /// What PC/SC calls it, if that is clear.
    fn name(&self) -> Option<String> {
        let until = Instant::now() + NAMING;
        loop {
            let names = readers(&Deadline::after(NAMING)).unwrap_or_default();
            let mut fitting = names.into_iter().filter(|name| self.driver.is_slot(name, self.number));
            match (fitting.next(), fitting.next()) {
                (Some(name), None) => return Some(name),
                (None, _) if Instant::now() < until => thread::sleep(MOMENT),
                _ => return None,
            }
        }
    }
}

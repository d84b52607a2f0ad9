//! Cards and the service come and go, many times: no event is missed, and nothing grows. `make soak` runs it with more
//! readers and ten thousand events; `ONETAP_PCSC_EVENTS` says how many.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};

use onetap_pcsc_host::monitor::{Event, Monitor};
use onetap_pcsc_host::pcsc::abandoned;

use crate::card::VirtualCard;
use crate::service::{held, signal_pcscd};
use crate::{PATIENCE, alone, slots, until};

/// Insertions and removals at each reader between two restarts of the service.
const CYCLES: usize = 4;
/// Events with `make test`.
const FEW: usize = 40;

/// What the monitor has told, reader by reader.
struct Told {
    service: Receiver<Event>,
    readers: Vec<(String, Receiver<Event>)>,
}

fn watch(names: &[String]) -> (Monitor, Told) {
    let mut senders: BTreeMap<String, Sender<Event>> = BTreeMap::new();
    let mut receiver = |name: &str| {
        let (sender, receiver) = mpsc::channel();
        senders.insert(name.to_owned(), sender);
        receiver
    };
    let service = receiver("");
    let readers = names.iter().map(|name| (name.clone(), receiver(name))).collect();
    let monitor = Monitor::start(move |event| {
        let name = match &event {
            Event::ServiceUp | Event::ServiceDown => "",
            Event::ReaderAdded(name) | Event::ReaderRemoved(name) | Event::CardRemoved(name) => name,
            Event::CardInserted { reader, .. } => reader,
        };
        drop(senders[name].send(event.clone()));
    });
    (monitor, Told { service, readers })
}

/// The next event must fit. Returns how many that were.
fn expect(told: &Receiver<Event>, what: &str, fits: impl Fn(&Event) -> bool) -> usize {
    let event = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what}: missed"));
    assert!(fits(&event), "{what}: {event:?}");
    1
}

fn inserted(told: &Receiver<Event>) -> usize {
    expect(told, "a card comes", |event| matches!(event, Event::CardInserted { .. }))
}

fn removed(told: &Receiver<Event>) -> usize {
    expect(told, "a card leaves", |event| matches!(event, Event::CardRemoved(_)))
}

fn added(told: &Receiver<Event>) -> usize {
    expect(told, "a reader comes", |event| matches!(event, Event::ReaderAdded(_)))
}

/// Some cards at one reader, the last of which stays.
fn come_and_go(slot: u16, told: &Receiver<Event>) -> (VirtualCard, usize) {
    let mut events = 0;
    for _ in 0..CYCLES {
        let card = VirtualCard::formal(slot);
        events += inserted(told);
        drop(card);
        events += removed(told);
    }
    let card = VirtualCard::formal(slot);
    (card, events + inserted(told))
}

impl Told {
    /// At all readers at once; then the service is killed under the cards, and comes back.
    fn round(&mut self) -> usize {
        let played: Vec<_> = std::thread::scope(|scope| {
            let slots = self.readers.iter_mut().zip(0..);
            let started: Vec<_> =
                slots.map(|((_, told), slot)| scope.spawn(move || come_and_go(slot, told))).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        signal_pcscd("KILL");
        let mut events = played.iter().map(|(_, events)| events).sum();
        drop(played);
        events += expect(&self.service, "the service ends", |event| *event == Event::ServiceDown);
        events += expect(&self.service, "the service is back", |event| *event == Event::ServiceUp);
        for (_, told) in &self.readers {
            events += removed(told);
            events += expect(told, "a reader goes", |event| matches!(event, Event::ReaderRemoved(_)));
            events += added(told);
        }
        events
    }
}

/// Resident memory in kB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn no_event_is_missed_and_nothing_grows() {
    let Some(_alone) = alone() else { return };
    let wanted = std::env::var("ONETAP_PCSC_EVENTS").map_or(FEW, |many| many.parse().unwrap());
    let names = slots();
    let (monitor, mut told) = watch(&names);
    let mut events = expect(&told.service, "the service is there", |event| *event == Event::ServiceUp);
    events += told.readers.iter().map(|(_, told)| added(told)).sum::<usize>();
    events += told.round();
    let (resources, first_memory) = (held(), memory());
    while events < wanted {
        events += told.round();
    }
    until("threads and handles are what they were", || held() == resources);
    let growth = memory().saturating_sub(first_memory);
    assert_eq!(abandoned(), 0);
    monitor.stop();
    assert!(told.readers.iter().all(|(_, told)| told.try_recv().is_err()), "more events than there were");
    println!("events: told={events} readers={} missed=0 growth_kb={growth}", names.len());
    assert!(growth < 4_096, "{growth} kB more");
}

//! What happened to the card, numbered: bounded, so that it never outgrows its room, and waited for, so
//! that nobody has to sleep. It says that the screen changed, never to what.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use onetap_apdu_spec::apdu::{CommandApdu, for_log};
use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::decode::{command_row, describe_command, describe_response};
use serde::Serialize;
use tokio::sync::watch;

use crate::card::{Event, KeyName, Observer};

/// Most events that are kept.
const MAX_EVENTS: usize = 1000;
/// Most bytes of APDUs, and of words about them, that are kept.
const MAX_BYTES: usize = 1024 * 1024;

/// One event with its number.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Recorded {
    /// From 1, without gaps.
    pub(crate) seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub(crate) event: Told,
}

/// An event as it is told to clients.
#[derive(Debug, Clone, Serialize, strum::IntoStaticStr)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Told {
    /// The card entered the field, or left it.
    Field { on: bool },
    /// Power came.
    PowerOn,
    /// Power went.
    PowerOff,
    /// The reader reset the card.
    Reset,
    /// A command APDU.
    Command(Apdu),
    /// A response APDU.
    Response(Apdu),
    /// The display changed; what it shows now is at `/v1/screen` only.
    Screen { page: usize, pages: usize },
    /// A key.
    Key { key: KeyName },
    /// A rule of the automation did something, or could not.
    Automation { rule: usize, outcome: String },
    /// The card's memory was replaced by a snapshot.
    Restored,
}

/// An APDU and what it means.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Apdu {
    #[serde(rename = "apdu", serialize_with = "hex::serialize_upper")]
    pub(crate) bytes: Vec<u8>,
    pub(crate) text: String,
}

impl Told {
    /// Bytes of APDU, and of words about it, that it holds.
    fn bytes(&self) -> usize {
        match self {
            Self::Command(apdu) | Self::Response(apdu) => apdu.bytes.len() + apdu.text.len(),
            _ => 0,
        }
    }
}

/// How far things have come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Marks {
    /// Number of the latest event; 0 before the first.
    pub(crate) latest: u64,
    /// Number of the event that last changed the display.
    pub(crate) screen: u64,
}

/// The events kept, and the numbers that can be waited for.
pub(crate) struct History {
    kept: Mutex<Kept>,
    marks: watch::Sender<Marks>,
}

#[derive(Default)]
struct Kept {
    events: VecDeque<Recorded>,
    bytes: usize,
}

/// Events after a number.
#[derive(Debug, Serialize)]
pub(crate) struct Batch {
    /// Number of the latest event.
    pub(crate) seq: u64,
    /// True if events after the number asked for are no longer kept.
    pub(crate) lost: bool,
    /// In order.
    pub(crate) events: Vec<Recorded>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::default(), marks: watch::Sender::new(Marks::default()) }
    }

    /// Adds an event and wakes whoever waits.
    pub(crate) fn add(&self, event: Told) {
        let mut kept = self.kept();
        let mut marks = self.marks();
        marks.latest += 1;
        if matches!(event, Told::Screen { .. } | Told::Restored) {
            marks.screen = marks.latest;
        }
        kept.push(Recorded { seq: marks.latest, event });
        self.marks.send_replace(marks);
    }

    pub(crate) fn marks(&self) -> Marks {
        *self.marks.borrow()
    }

    /// Sees the marks change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Marks> {
        self.marks.subscribe()
    }

    /// Waits until `reached`, no longer than `timeout`.
    pub(crate) async fn wait(&self, timeout: Duration, reached: impl FnMut(&Marks) -> bool) {
        let mut marks = self.subscribe();
        // Whether it came to that or not: the caller looks at the numbers.
        let _ = tokio::time::timeout(timeout, marks.wait_for(reached)).await;
    }

    /// All kept events with numbers above `after`.
    pub(crate) fn after(&self, after: u64) -> Batch {
        let kept = self.kept();
        let oldest = kept.events.front().map_or(1, |event| event.seq);
        let events = kept.events.iter().filter(|event| event.seq > after).cloned().collect();
        Batch { seq: self.marks().latest, lost: after.saturating_add(1) < oldest, events }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn push(&mut self, event: Recorded) {
        self.bytes += event.event.bytes();
        self.events.push_back(event);
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            self.bytes -= self.events.pop_front().map_or(self.bytes, |oldest| oldest.event.bytes());
        }
    }
}

/// Writes a card's events into the history.
pub(crate) struct Recorder {
    /// Gone with the panel.
    history: Weak<History>,
    /// The command that waits for its response.
    asked: Option<Name>,
}

impl Recorder {
    pub(crate) fn new(history: &Arc<History>) -> Self {
        Self { history: Arc::downgrade(history), asked: None }
    }
}

impl Observer for Recorder {
    fn is_done(&self) -> bool {
        self.history.strong_count() == 0
    }

    fn observe(&mut self, event: &Event<'_>) {
        let Some(history) = self.history.upgrade() else { return };
        let told = match *event {
            Event::Field(on) => Told::Field { on },
            Event::PowerOn => Told::PowerOn,
            Event::PowerOff => Told::PowerOff,
            Event::Reset => Told::Reset,
            Event::Command(bytes) => {
                self.asked =
                    CommandApdu::parse(bytes).ok().and_then(|it| command_row(&it)).map(|row| row.name);
                Told::Command(Apdu { bytes: for_log(bytes), text: describe_command(bytes) })
            }
            Event::Response(bytes) => {
                let text = describe_response(self.asked.take(), bytes);
                Told::Response(Apdu { bytes: bytes.to_vec(), text })
            }
            Event::Screen(screen) => Told::Screen { page: screen.page_number(), pages: screen.pages() },
            Event::Key(key) => Told::Key { key },
        };
        history.add(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_by_number_and_by_size_and_says_what_it_lost() {
        let history = History::new();
        for _ in 0..MAX_EVENTS + 5 {
            history.add(Told::Reset);
        }
        let all = history.after(0);
        assert_eq!((all.events.len(), all.lost, all.events[0].seq), (MAX_EVENTS, true, 6));
        assert!(!history.after(5).lost);

        for _ in 0..100 {
            history.add(Told::Command(Apdu { bytes: vec![0; u16::MAX.into()], text: String::new() }));
        }
        let held: usize = history.after(0).events.iter().map(|event| event.event.bytes()).sum();
        assert!(held <= MAX_BYTES && held > MAX_BYTES / 2, "{held}");
        assert_eq!(history.after(0).seq, history.marks().latest);
    }

    #[test]
    fn numbers_after_the_end_give_nothing() {
        let history = History::new();
        assert!(!history.after(0).lost && history.after(0).events.is_empty());
        history.add(Told::Reset);
        for after in [u64::MAX - 1, u64::MAX] {
            let batch = history.after(after);
            assert!(batch.events.is_empty() && !batch.lost && batch.seq == 1);
        }
    }
}

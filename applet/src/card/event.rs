//! What happens to a card, for those who watch it: the panel, a log, a test.

use crate::signing::display::Screen;
use crate::signing::keys::Key;

/// A key by name. Which digit was pressed is never told: it may be part of the PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyName {
    /// Confirm.
    Confirm,
    /// Cancel.
    Cancel,
    /// Next page.
    Next,
    /// Previous page.
    Previous,
    /// Clear.
    Clear,
    /// Some digit.
    Digit,
}

impl From<Key> for KeyName {
    fn from(key: Key) -> Self {
        match key {
            Key::Confirm => Self::Confirm,
            Key::Cancel => Self::Cancel,
            Key::Next => Self::Next,
            Key::Previous => Self::Previous,
            Key::Clear => Self::Clear,
            Key::Digit(_) => Self::Digit,
        }
    }
}

/// Something that happened to the card.
#[derive(Debug)]
pub enum Event<'a> {
    /// It entered a reader's field, or left it.
    Field(bool),
    /// The reader switched power on.
    PowerOn,
    /// The reader switched power off.
    PowerOff,
    /// The reader reset the card.
    Reset,
    /// A command APDU came in.
    Command(&'a [u8]),
    /// A response APDU went out.
    Response(&'a [u8]),
    /// The display changed. It may show the joint password: use it, do not keep it.
    Screen(&'a Screen),
    /// The holder pressed a key, whether or not it did something.
    Key(KeyName),
}

/// Watches a card. It is called while the card is locked: it must be quick and never lock the card.
pub trait Observer: Send {
    /// Takes note of one event.
    fn observe(&mut self, event: &Event<'_>);

    /// True once nobody reads its notes any more; then the card lets go of it.
    fn is_done(&self) -> bool {
        false
    }
}

/// All who watch one card.
#[derive(Default)]
pub(crate) struct Watchers {
    observers: Vec<Box<dyn Observer>>,
    shown: Screen,
}

impl Watchers {
    pub(crate) fn add(&mut self, observer: Box<dyn Observer>) {
        self.observers.retain(|before| !before.is_done());
        self.observers.push(observer);
    }

    /// True if nobody has to be told anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.observers.is_empty()
    }

    pub(crate) fn tell(&mut self, event: &Event<'_>) {
        for observer in &mut self.observers {
            observer.observe(event);
        }
    }

    /// Tells of the display if it changed.
    pub(crate) fn tell_screen(&mut self, screen: Screen) {
        if screen != self.shown {
            self.tell(&Event::Screen(&screen));
            self.shown = screen;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Weak};

    use super::*;

    struct Notes(Weak<()>);

    impl Observer for Notes {
        fn observe(&mut self, _: &Event<'_>) {}

        fn is_done(&self) -> bool {
            self.0.strong_count() == 0
        }
    }

    #[test]
    fn those_who_are_done_do_not_pile_up() {
        let mut watchers = Watchers::default();
        let reader = Arc::new(());
        watchers.add(Box::new(Notes(Arc::downgrade(&reader))));
        for _ in 0..1000 {
            watchers.add(Box::new(Notes(Weak::new())));
        }
        assert_eq!(watchers.observers.len(), 2, "the one that is read, and the last one");
    }
}

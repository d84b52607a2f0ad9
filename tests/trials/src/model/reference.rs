//! What a card is and does in its holder's hand, told a second time from `docs/spec`: no journal, no applet,
//! no keys; only what can be seen.

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::text::glyph_width;
use onetap_apdu_spec::txn::Transaction;
use onetap_applet::{
    COLUMNS, DEAD_TIME_MS, DEBOUNCE_MS, Key, LINES, PENDING_MS, PIN_MAX, PIN_MIN, PIN_TRIES, REVEALED_MS,
};

use super::wire::Wire;
use onetap_conformance::target::samples;

/// What no power cut takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// C of the last signature.
    pub(super) counter: u32,
    pub(super) unconfirmed: u8,
    /// Payments by the key alone since the last PIN, and their sum.
    pub(super) key_only: (u16, u64),
    pub(super) tries: u8,
    pub(super) pending: Option<Pending>,
}

/// What matters of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deal {
    minor: u64,
    own_currency: bool,
    /// Pages of the display, the one that asks included.
    pages: usize,
}

/// A transaction that waits for the holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) counter: u32,
    deal: Deal,
    delivered_at: u64,
}

/// Where the card stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Loaded(Deal),
    /// With its C.
    Signed(u32, Deal),
    Delivered(Pending),
    /// And whether the PIN was accepted and the key is awaited.
    Showing(Pending, bool),
    /// With the C whose password is shown.
    Revealed(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Present,
    Leaving(Option<u64>),
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Key,
    Pin,
    PinAndKey,
}

/// What the display shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Screen {
    Blank,
    /// A page of the transaction, from 1, and how many there are.
    Page(usize, usize),
    AskKey,
    /// The PIN was right.
    AskKeyAfterPin,
    AskPin {
        typed: usize,
        tries: u8,
    },
    /// The joint password for this C.
    Password(u32),
}

/// What came of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    Done,
    InField,
    Asleep,
    NotYet,
    NoPinWanted,
    PinMissing,
    PinFull,
    WrongPin(u8),
    PinBlocked,
    /// What a card whose memory is sound never says.
    Broken,
}

/// The model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) kept: Kept,
    /// What was kept before and after each commit of the operation that runs.
    passed: Vec<Kept>,
    pub(super) state: State,
    /// The card's clock; none while the battery is out.
    pub(super) now: Option<u64>,
    presence: Presence,
    pub(super) wire: Wire,
    page: usize,
    read_at: Option<u64>,
    typed: String,
    revealed_at: Option<u64>,
}

impl Deal {
    pub(super) fn of(transaction: &Transaction) -> Self {
        let amount = transaction.amount;
        let own_currency = amount.currency() == samples::currency();
        Self { minor: amount.minor(), own_currency, pages: pages(transaction) }
    }
}

/// Each field stands under a label; the last page asks.
fn pages(transaction: &Transaction) -> usize {
    let amount = transaction.amount.to_string();
    // Date and time are as wide as this.
    let at = "2026-01-01 00:00:00";
    let texts = [
        &amount,
        transaction.payee_name.as_str(),
        &transaction.payee_account.to_string(),
        at,
        transaction.reference.as_str(),
    ];
    let details = transaction.details.as_ref().map(|details| details.as_str());
    let lines: usize = texts.into_iter().chain(details).map(|text| 1 + lines(text)).sum();
    lines.div_ceil(LINES) + 1
}

fn lines(text: &str) -> usize {
    let (mut lines, mut used) = (1, 0);
    for width in text.chars().map(|c| glyph_width(c).unwrap_or(1)) {
        if used + width > COLUMNS {
            (lines, used) = (lines + 1, 0);
        }
        used += width;
    }
    lines
}

/// Time between two moments; none if either is unknown or they are the wrong way round.
fn passed(since: Option<u64>, now: Option<u64>) -> Option<u64> {
    now?.checked_sub(since?)
}

impl Model {
    /// A card that was just made.
    pub(super) fn new(now: u64, wire: Wire) -> Self {
        let kept = Kept { counter: 0, unconfirmed: 0, key_only: (0, 0), tries: PIN_TRIES, pending: None };
        Self {
            kept,
            passed: vec![kept],
            state: State::Idle,
            now: Some(now),
            presence: Presence::Absent,
            wire,
            page: 0,
            read_at: None,
            typed: String::new(),
            revealed_at: None,
        }
    }

    /// An operation begins.
    pub(super) fn begin(&mut self) {
        self.passed = vec![self.kept];
    }

    /// The process dies, or the power was cut, and the card is opened again: what it may be now.
    pub(super) fn restarted(&self, torn: bool) -> Vec<Self> {
        let last = std::slice::from_ref(&self.kept);
        let kept = if torn { &self.passed } else { last };
        let mut all: Vec<Self> = kept.iter().map(|kept| self.opened(*kept)).collect();
        all.dedup();
        all
    }

    fn opened(&self, kept: Kept) -> Self {
        let mut card = Self { kept, now: self.now, ..Self::new(0, self.wire.reset()) };
        card.begin();
        if let Some(pending) = kept.pending {
            card.state = State::Showing(pending, false);
            if kept.tries == 0 {
                card.wipe();
            }
        }
        card.tick();
        card
    }

    pub(super) fn commit(&mut self, kept: Kept) {
        if kept != self.kept {
            self.kept = kept;
            self.passed.push(kept);
        }
    }

    pub(super) fn name(&self) -> CardState {
        match self.state {
            State::Idle => CardState::Idle,
            State::Loaded(_) => CardState::Loaded,
            State::Signed(..) => CardState::Signed,
            State::Delivered(_) => CardState::Delivered,
            State::Showing(..) => CardState::Showing,
            State::Revealed(_) => CardState::Revealed,
        }
    }

    pub(super) fn blocked(&self) -> bool {
        self.kept.tries == 0
    }

    pub(super) fn present(&self) -> bool {
        self.presence == Presence::Present
    }

    fn wipe(&mut self) {
        self.commit(Kept { pending: None, ..self.kept });
        self.state = State::Idle;
    }

    fn forget_reading(&mut self) {
        (self.page, self.read_at, self.revealed_at) = (0, None, None);
        self.typed.clear();
    }

    /// What was not delivered is void; a PIN typed before does not count.
    pub(super) fn interrupt(&mut self) {
        self.state = match self.state {
            State::Loaded(_) | State::Signed(..) => State::Idle,
            State::Showing(pending, _) => State::Showing(pending, false),
            other => other,
        };
    }

    /// Time-outs, then the debounce.
    pub(super) fn tick(&mut self) {
        let (since, limit) = match self.state {
            State::Delivered(pending) | State::Showing(pending, _) => {
                (Some(pending.delivered_at), PENDING_MS)
            }
            State::Revealed(_) => (self.revealed_at, REVEALED_MS),
            _ => (self.now, u64::MAX),
        };
        let waits = matches!(self.state, State::Delivered(_) | State::Showing(..) | State::Revealed(_));
        if waits && passed(since, self.now).is_none_or(|passed| passed >= limit) {
            self.wipe();
            self.forget_reading();
        }
        if let Presence::Leaving(since) = self.presence
            && passed(since, self.now).is_none_or(|passed| passed >= DEBOUNCE_MS)
        {
            self.presence = Presence::Absent;
            self.state = match self.state {
                State::Delivered(pending) => State::Showing(pending, false),
                other => other,
            };
        }
    }

    pub(super) fn enter(&mut self) {
        self.tick();
        self.presence = Presence::Present;
        self.forget_reading();
        if matches!(self.state, State::Revealed(_)) {
            self.state = State::Idle;
        }
    }

    pub(super) fn leave(&mut self) {
        self.tick();
        self.power_off();
        if self.present() {
            self.presence = Presence::Leaving(self.now);
        }
    }

    pub(super) fn power_on(&mut self) {
        if self.present() {
            self.power_off();
            self.wire.powered = true;
        }
    }

    pub(super) fn power_off(&mut self) {
        self.wire = self.wire.reset();
        self.interrupt();
    }

    /// What the display shows.
    pub(super) fn screen(&mut self) -> Screen {
        self.tick();
        match self.state {
            _ if self.presence != Presence::Absent => Screen::Blank,
            State::Revealed(counter) => Screen::Password(counter),
            State::Showing(pending, _) if self.page + 1 < pending.deal.pages => {
                Screen::Page(self.page + 1, pending.deal.pages)
            }
            State::Showing(pending, accepted) => match self.condition(pending.deal) {
                Condition::Key => Screen::AskKey,
                Condition::PinAndKey if accepted => Screen::AskKeyAfterPin,
                Condition::Pin | Condition::PinAndKey => {
                    Screen::AskPin { typed: self.typed.len(), tries: self.kept.tries }
                }
            },
            _ => Screen::Blank,
        }
    }

    /// P-22.
    fn condition(&self, deal: Deal) -> Condition {
        let (count, sum) = self.kept.key_only;
        let capped = count >= samples::KEY_ONLY_COUNT || sum + deal.minor > samples::KEY_ONLY_SUM;
        match deal.minor {
            _ if !deal.own_currency => Condition::PinAndKey,
            ..=samples::KEY_UP_TO if !capped => Condition::Key,
            ..=samples::PIN_UP_TO => Condition::Pin,
            _ => Condition::PinAndKey,
        }
    }

    /// The holder presses a key.
    pub(super) fn press(&mut self, key: Key) -> Pressed {
        self.tick();
        match self.presence {
            Presence::Present => return Pressed::InField,
            Presence::Leaving(_) => return Pressed::Asleep,
            Presence::Absent => {}
        }
        self.commit(Kept { unconfirmed: 0, ..self.kept });
        match self.state {
            State::Showing(pending, accepted) => self.press_showing(key, pending, accepted),
            State::Revealed(_) => {
                self.wipe();
                Pressed::Done
            }
            _ => Pressed::Done,
        }
    }

    fn press_showing(&mut self, key: Key, pending: Pending, accepted: bool) -> Pressed {
        let last = pending.deal.pages - 1;
        match key {
            Key::Next => self.turn_to((self.page + 1).min(last), last),
            Key::Previous => self.turn_to(self.page.saturating_sub(1), last),
            Key::Clear => self.typed.clear(),
            Key::Cancel => {
                self.wipe();
                self.forget_reading();
            }
            Key::Digit(_) if self.read_at.is_none() => return Pressed::NotYet,
            Key::Digit(_) if accepted || self.condition(pending.deal) == Condition::Key => {
                return Pressed::NoPinWanted;
            }
            Key::Digit(_) if self.typed.len() == PIN_MAX => return Pressed::PinFull,
            Key::Digit(digit) => {
                self.typed.extend(char::from_digit(digit.into(), 10));
                self.page = last;
            }
            Key::Confirm => return self.confirm(pending, accepted),
        }
        Pressed::Done
    }

    fn turn_to(&mut self, page: usize, last: usize) {
        self.page = page;
        if page == last && self.read_at.is_none() {
            self.read_at = self.now;
        }
    }

    fn confirm(&mut self, pending: Pending, accepted: bool) -> Pressed {
        if passed(self.read_at, self.now).is_none_or(|read| read < DEAD_TIME_MS) {
            return Pressed::NotYet;
        }
        let typed = std::mem::take(&mut self.typed);
        if (1..PIN_MIN).contains(&typed.len()) {
            return Pressed::PinMissing;
        }
        let condition = self.condition(pending.deal);
        if condition != Condition::Key && !typed.is_empty() {
            // The try goes first, whatever the PIN.
            self.commit(Kept { tries: self.kept.tries - 1, ..self.kept });
            if typed != samples::PIN {
                return self.wrong_pin();
            }
            self.commit(Kept { tries: PIN_TRIES, ..self.kept });
        }
        match condition {
            Condition::Pin | Condition::PinAndKey if typed.is_empty() && !accepted => Pressed::PinMissing,
            Condition::PinAndKey if !accepted || !typed.is_empty() => {
                self.state = State::Showing(pending, true);
                self.read_at = self.now;
                Pressed::Done
            }
            _ => self.reveal(pending, condition),
        }
    }

    fn wrong_pin(&mut self) -> Pressed {
        if self.kept.tries > 0 {
            return Pressed::WrongPin(self.kept.tries);
        }
        self.wipe();
        self.forget_reading();
        Pressed::PinBlocked
    }

    fn reveal(&mut self, pending: Pending, condition: Condition) -> Pressed {
        let (count, sum) = self.kept.key_only;
        let key_only =
            if condition == Condition::Key { (count + 1, sum + pending.deal.minor) } else { (0, 0) };
        self.commit(Kept { key_only, unconfirmed: 0, pending: None, ..self.kept });
        self.forget_reading();
        (self.state, self.revealed_at) = (State::Revealed(pending.counter), self.now);
        Pressed::Done
    }

    /// The terminal has all that it is owed: that is committed before it hears so.
    pub(super) fn deliver(&mut self, counter: u32, deal: Deal, now: u64) {
        let pending = Pending { counter, deal, delivered_at: now };
        self.commit(Kept { pending: Some(pending), ..self.kept });
        self.state = State::Delivered(pending);
    }
}

//! The card and what surrounds it, as the routes use it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onetap_apdu_spec::clock::SystemClock;
use onetap_apdu_spec::command::CardState;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::automation::{Automation, RuleSet};
use super::history::{History, Marks, Recorder, Told};
use super::keys::Press;
use super::machine::Machine;
use super::{Field, PanelConfig};
use crate::card::{Card, CardTime as _, Millis, SharedCard, VirtualClock};
use crate::front::lock;
use crate::signing::controller::{DEAD_TIME_MS, KeyRefused};
use crate::signing::display::Screen;
use crate::signing::keys::Key;
use onetap_page::Problem;

/// How often time passes for the card.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// How long a rule's keys may wait for the card to take them.
const RULE_PATIENCE: Duration = Duration::from_secs(5);
/// Most streams of events at a time.
const MAX_STREAMS: usize = 16;

/// Everything that a request can reach.
pub(crate) struct Hub {
    pub(crate) card: SharedCard,
    pub(crate) history: Arc<History>,
    pub(crate) field: Field,
    pub(crate) clock: Option<VirtualClock>,
    pub(crate) seed: Option<u64>,
    machine: Option<Mutex<Box<dyn Machine>>>,
    automation: Mutex<Automation>,
    /// Rung when there are other rules.
    pub(crate) new_rules: Notify,
    lit: Mutex<Lit>,
    pub(crate) streams: Arc<Semaphore>,
}

/// Since when the display shows what it shows.
#[derive(Clone, Copy, Default)]
struct Lit {
    mark: u64,
    since: Option<Millis>,
}

/// A key that did nothing, and how many before it did something.
pub(crate) struct Refused {
    pub(crate) pressed: usize,
    pub(crate) why: KeyRefused,
}

impl Hub {
    pub(crate) fn new(card: SharedCard, config: PanelConfig) -> Self {
        let history = Arc::new(History::new());
        lock(&card).watch(Box::new(Recorder::new(&history)));
        Self {
            card,
            history,
            field: config.field,
            clock: config.clock,
            seed: config.seed,
            machine: config.machine.map(Mutex::new),
            automation: Mutex::default(),
            new_rules: Notify::new(),
            lit: Mutex::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        }
    }

    /// The card, locked.
    pub(crate) fn card(&self) -> MutexGuard<'_, Card> {
        lock(&self.card)
    }

    /// The screen, the signing application's state, and the numbers that belong to it.
    pub(crate) fn look(&self) -> Result<(Screen, Option<CardState>, Marks), Problem> {
        let mut card = self.card();
        if !card.has_face() {
            return Err(Problem::not_here("this card has no display; /v1/log tells what its reader sees"));
        }
        let screen = card.screen();
        Ok((screen, card.can_sign().then(|| card.state()), self.history.marks()))
    }

    /// Lets time pass.
    pub(crate) fn tick(&self) {
        self.card().tick();
        let mark = self.history.marks().screen;
        let mut lit = self.lit();
        if lit.mark != mark {
            *lit = Lit { mark, since: self.now() };
        }
    }

    /// The card's time.
    fn now(&self) -> Option<Millis> {
        self.clock.as_ref().map_or_else(|| SystemClock.now(), VirtualClock::now)
    }

    fn lit(&self) -> MutexGuard<'_, Lit> {
        self.lit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Presses keys in order, up to the first that is refused. A key that the card does not take yet
    /// (it is not awake, or the last page came up only just now) waits, no longer than `patience`.
    pub(crate) async fn press(&self, presses: &[Press], patience: Duration) -> Result<(), Refused> {
        let deadline = Instant::now() + patience;
        for (pressed, press) in presses.iter().enumerate() {
            self.until_ready(*press, deadline).await;
            let done = match press {
                Press::Read => self.read(),
                Press::Key(key) => self.card().press(*key),
            };
            done.map_err(|why| Refused { pressed, why })?;
        }
        Ok(())
    }

    /// Turns to the last page. On a dark display one press shows whether it would wake.
    fn read(&self) -> Result<(), KeyRefused> {
        let mut card = self.card();
        let screen = card.screen();
        let presses = if screen.is_blank() { 1 } else { screen.pages() - screen.page_number() };
        (0..presses).try_for_each(|_| card.press(Key::Next))
    }

    async fn until_ready(&self, press: Press, deadline: Instant) {
        while Instant::now() < deadline && !self.is_ready(press) {
            tokio::time::sleep(TICK / 2).await;
        }
    }

    fn is_ready(&self, press: Press) -> bool {
        self.tick();
        let (state, in_field) = {
            let card = self.card();
            (card.state(), card.in_field())
        };
        let asleep = state == CardState::Delivered && !in_field;
        let settled = || {
            let passed = self.lit().since.zip(self.now()).and_then(|(since, now)| now.since(since));
            passed.is_none_or(|passed| passed >= DEAD_TIME_MS)
        };
        !asleep && (press != Press::Key(Key::Confirm) || state != CardState::Showing || settled())
    }

    /// Sends a command to the card, as its reader.
    pub(crate) fn transmit(&self, command: &[u8]) -> Result<Vec<u8>, Problem> {
        if matches!(self.field, Field::Vpcd(_)) {
            let detail = "another reader talks to this card; send commands through that one";
            return Err(Problem::conflict("other-reader", detail));
        }
        let mut card = self.card();
        if !card.in_field() {
            let detail = "the card is in no field; POST {\"on\": true} to /v1/field first";
            return Err(Problem::conflict("no-field", detail));
        }
        Ok(card.transmit(command))
    }

    /// Replaces the rules. They see the screen as it is now, too.
    pub(crate) fn set_rules(&self, rules: RuleSet) -> Result<(), Problem> {
        let new = Automation::new(rules).map_err(|why| Problem::bad_request(why.to_string()))?;
        *self.automation() = new;
        self.new_rules.notify_one();
        Ok(())
    }

    pub(crate) fn automation(&self) -> MutexGuard<'_, Automation> {
        self.automation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the rules say about the screen as it is now.
    pub(crate) async fn automate(&self) {
        let screen = self.card().screen();
        let Some(answer) = self.automation().answer(&screen) else { return };
        drop(screen);
        let outcome = match self.press(&answer.keys, RULE_PATIENCE).await {
            Ok(()) => answer.why.to_owned(),
            Err(refused) => refused.why.to_string(),
        };
        self.history.add(Told::Automation { rule: answer.rule, outcome });
    }

    /// The memory of the card.
    pub(crate) fn snapshot(&self) -> Result<Vec<u8>, Problem> {
        let mut machine = self.machine()?;
        let _still = self.card();
        machine.snapshot().map_err(|why| Problem::conflict("no-snapshot", why.to_string()))
    }

    /// Goes on from a snapshot.
    pub(crate) fn restore(&self, snapshot: &[u8]) -> Result<(), Problem> {
        let mut machine = self.machine()?;
        let mut card = self.card();
        if card.in_field() {
            let detail = "take the card out of the field first: POST {\"on\": false} to /v1/field";
            return Err(Problem::conflict("in-field", detail));
        }
        let mut restored = machine.restore(snapshot).map_err(|why| Problem::bad_request(why.to_string()))?;
        self.history.add(Told::Restored);
        restored.watch(Box::new(Recorder::new(&self.history)));
        *card = restored;
        Ok(())
    }

    fn machine(&self) -> Result<MutexGuard<'_, Box<dyn Machine>>, Problem> {
        let machine = self.machine.as_ref().ok_or_else(|| {
            Problem::not_here("this card's memory cannot be taken out; run a card that was made for tests")
        })?;
        Ok(machine.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

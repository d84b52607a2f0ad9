//! The display controller: owns presence, keys, pages and time. It reaches the applet over a local
//! channel and never sees a key or a sealed password.

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::txn::Transaction;
use zeroize::Zeroizing;

use super::confirm::Condition;
use super::display::{Ask, Screen, View, password_screen};
use super::keys::Key;
use super::pin::{PIN_MAX, Pin};
use crate::card::Millis;
use crate::runtime::Fault;

/// Absence from the field must last this long before the display wakes (P-20).
pub const DEBOUNCE_MS: u64 = 300;
/// The confirm key is dead for so long after the last page came up.
pub const DEAD_TIME_MS: u64 = 500;
/// A transaction that nobody confirms is wiped so long after it was delivered.
pub const PENDING_MS: u64 = 5 * 60 * 1000;
/// The joint password is blanked after so long.
pub const REVEALED_MS: u64 = 60 * 1000;

/// What the display controller may ask of the applet. Not reachable from any reader.
pub(crate) trait LocalChannel {
    /// Where the applet stands.
    fn state(&self) -> CardState;
    /// The contact is over: what was delivered may be shown.
    fn contact_over(&mut self);
    /// When the pending transaction was delivered.
    fn delivered_at(&self) -> Option<Millis>;
    /// What to show; only in Showing.
    fn transaction(&self) -> Option<&Transaction>;
    /// What it takes to confirm; only in Showing.
    fn condition(&self) -> Option<Condition>;
    /// The PIN was right and the confirm key is awaited.
    fn pin_accepted(&self) -> bool;
    /// PIN tries left.
    fn tries_left(&self) -> u8;
    /// What to show; only in Revealed.
    fn joint_password(&self) -> Option<&Password>;
    /// A key was pressed: there is a holder (resets the unconfirmed transactions).
    fn holder_is_here(&mut self) -> Result<(), Fault>;
    /// The confirm key was pressed, perhaps after a PIN.
    fn confirm(&mut self, typed: Option<&Pin>) -> Result<Answer, ConfirmError>;
    /// Wipes what is pending or revealed.
    fn cancel(&mut self) -> Result<(), Fault>;
}

/// What came of confirming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The joint password may be shown.
    Revealed,
    /// The PIN was right; the key has to be pressed once more.
    PinAccepted,
}

/// Why the applet did not confirm.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfirmError {
    #[error("nothing waits for confirmation")]
    NothingToConfirm,
    #[error("type the PIN first")]
    PinMissing,
    #[error("wrong PIN; {left} tries left")]
    WrongPin { left: u8 },
    #[error("the PIN is blocked")]
    PinBlocked,
    #[error("the stored joint password is damaged")]
    Damaged,
    #[error(transparent)]
    Memory(#[from] Fault),
}

/// Why a key did nothing, or not what the holder wanted.
#[derive(Debug, thiserror::Error)]
pub enum KeyRefused {
    /// The card is in the field of a reader.
    #[error("the keys are dead in the field of a reader; take the card away first")]
    InField,
    /// The card has just left the field.
    #[error("the display is not awake yet; wait a moment")]
    Asleep,
    /// Not all pages have been shown, or the last one only just now.
    #[error("read all pages first, then wait a moment")]
    NotYet,
    /// The card has no keys.
    #[error("this card has no keys; it is used through its reader only")]
    NoKeys,
    /// Another kind of card's own reason.
    #[error("{0}")]
    Other(&'static str),
    /// This amount takes no PIN.
    #[error("no PIN is asked for; press the confirm key")]
    NoPinWanted,
    /// The PIN is missing or has too few digits.
    #[error("type the PIN (4 to 12 digits) first")]
    PinMissing,
    /// The PIN has twelve digits already.
    #[error("a PIN has at most 12 digits; press clear to start again")]
    PinFull,
    /// Wrong.
    #[error("wrong PIN; tries left: {left}")]
    WrongPin {
        /// Tries left.
        left: u8,
    },
    /// Wrong too often; the transaction is gone.
    #[error("the PIN is blocked and the transaction is cancelled; ask the issuer")]
    PinBlocked,
    /// The card is blank, locked or terminated.
    #[error("this card is not in service; ask the issuer")]
    OutOfService,
    /// The pending transaction cannot be decrypted.
    #[error("the pending transaction is damaged; cancel it and tap again")]
    Damaged,
    /// The memory did not take the write; nothing was changed.
    #[error(transparent)]
    Memory(#[from] Fault),
}

impl From<ConfirmError> for KeyRefused {
    fn from(error: ConfirmError) -> Self {
        match error {
            ConfirmError::NothingToConfirm => Self::NotYet,
            ConfirmError::PinMissing => Self::PinMissing,
            ConfirmError::WrongPin { left } => Self::WrongPin { left },
            ConfirmError::PinBlocked => Self::PinBlocked,
            ConfirmError::Damaged => Self::Damaged,
            ConfirmError::Memory(why) => Self::Memory(why),
        }
    }
}

/// Whether the card is in a reader's field. Presence, not power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// In the field.
    Present,
    /// Out of it since then.
    Leaving(Option<Millis>),
    /// Out of it for longer than the debounce.
    Absent,
}

/// The display controller's own memory, all of it transient.
pub(crate) struct Controller {
    presence: Presence,
    view: Option<View>,
    page: usize,
    /// When the last page first came up.
    read_at: Option<Millis>,
    typed: Zeroizing<String>,
    revealed_at: Option<Millis>,
}

impl Controller {
    /// Out of every field.
    pub(crate) fn new() -> Self {
        let typed = Zeroizing::new(String::with_capacity(PIN_MAX));
        Self { presence: Presence::Absent, view: None, page: 0, read_at: None, typed, revealed_at: None }
    }

    /// True if a reader's field is around.
    fn is_present(&self) -> bool {
        self.presence == Presence::Present
    }

    /// The card enters a field: the screen goes dark, a joint password is gone for good.
    pub(super) fn enter(&mut self, applet: &mut impl LocalChannel) -> Result<(), Fault> {
        self.presence = Presence::Present;
        self.forget_reading();
        if applet.state() == CardState::Revealed { applet.cancel() } else { Ok(()) }
    }

    /// The card leaves the field. Its power is gone, which voided what was not delivered.
    pub(super) fn leave(&mut self, now: Option<Millis>) {
        if self.is_present() {
            self.presence = Presence::Leaving(now);
        }
    }

    /// The card enters or leaves a field with no signing applet on it: there is nothing to show.
    pub(super) fn move_blank(&mut self, into_field: bool) {
        self.presence = if into_field { Presence::Present } else { Presence::Absent };
        self.forget_reading();
    }

    /// Time passed: time-outs, then the debounce.
    pub(super) fn pass_time(
        &mut self,
        now: Option<Millis>,
        applet: &mut impl LocalChannel,
    ) -> Result<(), Fault> {
        if self.expired(now, applet) {
            applet.cancel()?;
            self.forget_reading();
        }
        if let Presence::Leaving(since) = self.presence
            && elapsed(since, now).is_none_or(|gone| gone >= DEBOUNCE_MS)
        {
            self.presence = Presence::Absent;
            applet.contact_over();
        }
        Ok(())
    }

    /// True if what is pending or revealed has run out of time, or time itself is lost.
    fn expired(&self, now: Option<Millis>, applet: &impl LocalChannel) -> bool {
        match applet.state() {
            CardState::Delivered | CardState::Showing => {
                elapsed(applet.delivered_at(), now).is_none_or(|passed| passed >= PENDING_MS)
            }
            CardState::Revealed => elapsed(self.revealed_at, now).is_none_or(|passed| passed >= REVEALED_MS),
            CardState::Idle | CardState::Loaded | CardState::Signed => false,
        }
    }

    /// A key was pressed.
    pub(super) fn take_key(
        &mut self,
        key: Key,
        now: Option<Millis>,
        applet: &mut impl LocalChannel,
    ) -> Result<(), KeyRefused> {
        self.pass_time(now, applet)?;
        match self.presence {
            Presence::Present => return Err(KeyRefused::InField),
            Presence::Leaving(_) => return Err(KeyRefused::Asleep),
            Presence::Absent => {}
        }
        applet.holder_is_here()?;
        match applet.state() {
            CardState::Showing => self.press_showing(key, now, applet),
            CardState::Revealed => Ok(applet.cancel()?),
            CardState::Idle | CardState::Loaded | CardState::Signed | CardState::Delivered => Ok(()),
        }
    }

    fn press_showing(
        &mut self,
        key: Key,
        now: Option<Millis>,
        applet: &mut impl LocalChannel,
    ) -> Result<(), KeyRefused> {
        let last = self.view(applet).map_or(0, View::len).saturating_sub(1);
        match key {
            Key::Next => self.turn_to((self.page + 1).min(last), last, now),
            Key::Previous => self.turn_to(self.page.saturating_sub(1), last, now),
            Key::Clear => self.typed = empty_entry(),
            Key::Cancel => {
                applet.cancel()?;
                self.forget_reading();
            }
            Key::Digit(digit) => {
                self.type_digit(digit, applet)?;
                self.page = last;
            }
            Key::Confirm => self.confirm(now, applet)?,
        }
        Ok(())
    }

    fn turn_to(&mut self, page: usize, last: usize, now: Option<Millis>) {
        self.page = page;
        if page == last && self.read_at.is_none() {
            self.read_at = now;
        }
    }

    fn type_digit(&mut self, digit: u8, applet: &impl LocalChannel) -> Result<(), KeyRefused> {
        if self.read_at.is_none() {
            return Err(KeyRefused::NotYet);
        }
        if applet.condition() == Some(Condition::Key) || applet.pin_accepted() {
            return Err(KeyRefused::NoPinWanted);
        }
        if self.typed.len() >= PIN_MAX {
            return Err(KeyRefused::PinFull);
        }
        self.typed.extend(char::from_digit(digit.into(), 10));
        Ok(())
    }

    /// Works only after the last page was up for the dead time.
    fn confirm(&mut self, now: Option<Millis>, applet: &mut impl LocalChannel) -> Result<(), KeyRefused> {
        if elapsed(self.read_at, now).is_none_or(|read| read < DEAD_TIME_MS) {
            return Err(KeyRefused::NotYet);
        }
        let typed = std::mem::replace(&mut self.typed, empty_entry());
        let pin: Option<Pin> = match typed.len() {
            0 => None,
            _ => Some(typed.parse().map_err(|_| KeyRefused::PinMissing)?),
        };
        let answer = applet.confirm(pin.as_ref());
        if applet.state() != CardState::Showing {
            self.forget_reading();
        }
        match answer? {
            Answer::Revealed => self.revealed_at = now,
            // The same finger must not do both: the confirm key waits once more.
            Answer::PinAccepted => self.read_at = now,
        }
        Ok(())
    }

    /// What the display shows: nothing in the field, nothing before it is awake.
    pub(super) fn show(&mut self, applet: &impl LocalChannel) -> Screen {
        if self.presence != Presence::Absent {
            return Screen::blank();
        }
        if let Some(password) = applet.joint_password() {
            return password_screen(password);
        }
        let (page, typed) = (self.page, self.typed.len());
        match (applet.condition(), self.view(applet)) {
            (Some(condition), Some(view)) => {
                let (pin_accepted, tries_left) = (applet.pin_accepted(), applet.tries_left());
                view.screen(page, &Ask { condition, typed, pin_accepted, tries_left })
            }
            _ => Screen::blank(),
        }
    }

    /// The layout of what is shown, made once.
    fn view(&mut self, applet: &impl LocalChannel) -> Option<&View> {
        if self.view.is_none() {
            self.view = applet.transaction().map(View::new);
        }
        self.view.as_ref()
    }

    /// Back to the first page, as if nothing had been read or typed.
    fn forget_reading(&mut self) {
        (self.view, self.page, self.read_at, self.revealed_at) = (None, 0, None, None);
        self.typed = empty_entry();
    }
}

fn empty_entry() -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(PIN_MAX))
}

/// Milliseconds between; `None` if a time is unknown or the clock went backwards.
fn elapsed(since: Option<Millis>, now: Option<Millis>) -> Option<u64> {
    now?.since(since?)
}

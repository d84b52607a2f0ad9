//! Keys that are pressed on a card, and what its display shows after each.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use onetap_apdu_spec::command::CardState;
use onetap_applet::front::panel::Rehearsal;
use onetap_applet::nvm::{ImageOptions, NvmError};
use onetap_applet::runtime::Limits;
use onetap_applet::{Card, CardError, DEAD_TIME_MS, Environment, Key, Press, Screen, SharedCard};
use onetap_conformance::holder::Patience;
use serde::{Deserialize, Serialize};

use crate::exit::Failure;
use crate::output::Output;

/// A card that a person keeps must not sign twice with one counter value, whatever happens to the machine.
pub(super) const DURABLE: ImageOptions = ImageOptions { durable: true };
/// How often a card in a reader looks at the clock to wake its display.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// How long an image that another process has open is waited for.
const IN_USE: Duration = Duration::from_secs(2);

/// Keys as typed on the command line; digits may stand together.
pub(super) fn parse_keys(words: &[String]) -> Result<Vec<Press>, Failure> {
    let mut pressed = Vec::new();
    for word in words {
        if let Some(press) = Press::parse(word) {
            pressed.push(press);
        } else if !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) {
            pressed.extend(word.bytes().map(|b| Press::Key(Key::Digit(b - b'0'))));
        } else {
            // Not echoed: it may be a mistyped PIN.
            let keys = "a key is read, next, previous, confirm, cancel, clear, or digits of the PIN";
            return Err(Failure::Usage(keys.to_owned()));
        }
    }
    Ok(pressed)
}

/// A person's time: the machine's.
pub(super) struct RealTime;

impl Patience for RealTime {
    fn wait(&self, millis: u64) {
        thread::sleep(Duration::from_millis(millis));
    }
}

/// What the display shows after each key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) state: CardState,
    pub(super) lines: Vec<String>,
    pub(super) page: usize,
    pub(super) pages: usize,
    pub(super) frame: String,
}

impl Shown {
    pub(super) fn look(card: &mut Card) -> Self {
        let screen = card.screen();
        Self {
            state: card.state(),
            lines: screen.lines().to_vec(),
            page: screen.page_number(),
            pages: screen.pages(),
            frame: screen.to_string(),
        }
    }
}

/// What the display showed, and why a key was refused, if one was.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) shown: Vec<Shown>,
    pub(super) refused: Option<String>,
}

impl Reply {
    pub(super) fn print(&self, out: Output) -> Result<(), Failure> {
        if out.is_json() {
            out.json_line(self)?;
        }
        for shown in &self.shown {
            out.say(&shown.frame)?;
        }
        match &self.refused {
            None => Ok(()),
            Some(why) => Err(Failure::NotAsExpected(why.clone())),
        }
    }
}

pub(super) fn press(card: &SharedCard, pressed: &[Press]) -> Reply {
    let mut shown = vec![Shown::look(&mut lock(card))];
    let mut refused = None;
    for press in pressed {
        if let Err(why) = press_one(card, *press, &RealTime, &mut shown) {
            refused = Some(why.to_string());
            break;
        }
    }
    Reply { shown, refused }
}

pub(super) fn press_one(
    card: &SharedCard,
    press: Press,
    time: &dyn Patience,
    shown: &mut Vec<Shown>,
) -> Result<(), Failure> {
    match press {
        Press::Read => loop {
            let mut card = lock(card);
            let screen: Screen = card.screen();
            if screen.page_number() >= screen.pages() {
                return Ok(());
            }
            card.press(Key::Next)?;
            shown.push(Shown::look(&mut card));
        },
        Press::Key(key) => {
            if key == Key::Confirm && !lock(card).screen().is_blank() {
                time.wait(DEAD_TIME_MS + 50);
            }
            let mut card = lock(card);
            let result = card.press(key);
            shown.push(Shown::look(&mut card));
            Ok(result?)
        }
    }
}

/// Tries again for a moment while another process has the image: one that presses keys has it shortly, one
/// that runs the card is soon there to be asked.
pub(super) fn patiently<T>(mut work: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let deadline = Instant::now() + IN_USE;
    loop {
        match work() {
            Err(Failure::Card(CardError::Nvm(NvmError::InUse(_)))) if Instant::now() < deadline => {
                thread::sleep(TICK);
            }
            done => return done,
        }
    }
}

pub(super) fn open(image: &Path) -> Result<SharedCard, Failure> {
    open_within(image, Limits::NONE)
}

/// A card whose chip has these limits.
pub(super) fn open_within(image: &Path, limits: Limits) -> Result<SharedCard, Failure> {
    let card = Card::open_file(image, DURABLE, Environment { limits, ..Environment::default() })?;
    Ok(Arc::new(Mutex::new(card)))
}

/// A copy of the card in memory, to be wound back and forth.
pub(super) fn rehearse(image: &Path, seed: u64, limits: Limits) -> Result<(SharedCard, Rehearsal), Failure> {
    // Opened and closed once: one of an older format is converted first.
    drop(Card::open_file(image, DURABLE, Environment::default())?);
    let open = move |image, env| Card::open(image, Environment { limits, ..env });
    let (card, rehearsal) = Rehearsal::of(image, seed, open)?;
    Ok((Arc::new(Mutex::new(card)), rehearsal))
}

pub(super) fn lock(card: &SharedCard) -> std::sync::MutexGuard<'_, Card> {
    card.lock().unwrap_or_else(PoisonError::into_inner)
}

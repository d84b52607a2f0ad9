//! `onetap card`: make and manage cards, put them into virtual readers, look at their displays, press their
//! keys, cut their power.

mod control;
mod issuer;
mod panel;
mod place;
mod rehearsal;
mod run;
mod seat;
mod tear;
mod tui;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use onetap_apdu_spec::command::CardState;
use onetap_applet::nvm::{ImageOptions, NvmError};
use onetap_applet::{Card, CardError, DEAD_TIME_MS, Environment, Key, Press, Screen, SharedCard};
use onetap_conformance::holder::Patience;
use serde::{Deserialize, Serialize};

use crate::args;
use crate::exit::Failure;
use crate::output::Output;

/// A card that a person keeps must not sign twice with one counter value, whatever happens to the machine.
const DURABLE: ImageOptions = ImageOptions { durable: true };
/// How often a card in a reader looks at the clock to wake its display.
const TICK: Duration = Duration::from_millis(50);
/// How long an image that another process has open is waited for.
const IN_USE: Duration = Duration::from_secs(2);

pub(crate) fn run(command: &args::Card, out: Output) -> Result<(), Failure> {
    match command {
        args::Card::New { image, order } => issuer::new(image, order, out),
        args::Card::Blank { image } => issuer::blank(image, out),
        args::Card::Issue { place, order } => issuer::issue(place, order, out),
        args::Card::Unblock { place, issuer, pin } => issuer::unblock(place, issuer, pin.as_deref(), out),
        args::Card::Lock(lock) => issuer::lock(lock, out),
        args::Card::Unlock(lock) => issuer::unlock(lock, out),
        args::Card::Status { place, db, card } => issuer::status(place, db.as_deref().zip(*card), out),
        args::Card::Run(options) => run::run(options, out),
        args::Card::Show { image } => keys(image, &[], out),
        args::Card::Press { image, keys: pressed } => {
            let pressed = parse_keys(pressed)?;
            keys(image, &pressed, out)
        }
        args::Card::Tear(options) => tear::run(options, out),
    }
}

/// Keys as typed on the command line; digits may stand together.
fn parse_keys(words: &[String]) -> Result<Vec<Press>, Failure> {
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
struct RealTime;

impl Patience for RealTime {
    fn wait(&self, millis: u64) {
        thread::sleep(Duration::from_millis(millis));
    }
}

/// What the display shows after each key.
#[derive(Debug, Serialize, Deserialize)]
struct Shown {
    state: CardState,
    lines: Vec<String>,
    page: usize,
    pages: usize,
    frame: String,
}

impl Shown {
    fn look(card: &mut Card) -> Self {
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

/// Presses keys on the running card, or on one that lies in a drawer.
fn keys(image: &Path, pressed: &[Press], out: Output) -> Result<(), Failure> {
    let reply = patiently(|| match control::ask(image, pressed)? {
        Some(reply) => Ok(reply),
        None => Ok(press(&open(image)?, pressed)),
    })?;
    reply.print(out)
}

fn press(card: &SharedCard, pressed: &[Press]) -> control::Reply {
    let mut shown = vec![Shown::look(&mut lock(card))];
    let mut refused = None;
    for press in pressed {
        if let Err(why) = press_one(card, *press, &mut shown) {
            refused = Some(why.to_string());
            break;
        }
    }
    control::Reply { shown, refused }
}

fn press_one(card: &SharedCard, press: Press, shown: &mut Vec<Shown>) -> Result<(), Failure> {
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
                RealTime.wait(DEAD_TIME_MS + 50);
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
fn patiently<T>(mut work: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
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

fn open(image: &Path) -> Result<SharedCard, Failure> {
    let card = Card::open_file(image, DURABLE, Environment::default())?;
    Ok(Arc::new(Mutex::new(card)))
}

fn lock(card: &SharedCard) -> std::sync::MutexGuard<'_, Card> {
    card.lock().unwrap_or_else(PoisonError::into_inner)
}

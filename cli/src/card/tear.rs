//! `onetap card tear`: the power of a card in a file is cut at one write, or that of copies of it at all of them.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onetap_apdu_spec::clock::SystemClock;
use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::txn::{Details, PayeeName, Reference, TransactionType};
use onetap_applet::card::{CardTime as _, Millis, VirtualClock};
use onetap_applet::nvm::{Cut, How, Image, ImageFile, MemoryImage, TearingImage};
use onetap_applet::{Card, DEBOUNCE_MS, Environment, Press, SharedCard};
use onetap_conformance::holder::Patience;
use onetap_conformance::reader::InProcessReader;
use onetap_pcsc_host::{Deadline, Draft, Terminal};
use serde::Serialize;

use super::press::{DURABLE, RealTime, Shown, lock, open, parse_keys, patiently, press_one};
use crate::args;
use crate::exit::Failure;
use crate::output::Output;
use crate::progress::Progress;

/// How long a contact may take.
const CONTACT: Duration = Duration::from_secs(30);

/// What is paid where no amount is given.
const AMOUNT: &str = "12.34";
const CURRENCY: &str = "EUR";

/// Something that the card does until its power is cut.
enum Step {
    Tap(Amount),
    Press(Press),
}

/// What happened, and what the card woke up as.
#[derive(Debug, Serialize)]
struct Torn {
    /// Whether the write was reached.
    cut: bool,
    at: u64,
    how: &'static str,
    /// How many page writes there were before.
    writes: u64,
    /// What the card is now.
    state: CardState,
    unconfirmed: u8,
    pin_blocked: bool,
    screen: Shown,
}

pub(super) fn run(options: &args::Tear, out: Output) -> Result<(), Failure> {
    let steps = parse(&options.steps)?;
    let how = match options.how {
        args::How::Before => How::Before,
        args::How::Half => How::Half,
        args::How::SecondHalf => How::SecondHalf,
        args::How::After => How::After,
    };
    match options.at {
        Some(at) => one(&options.image, Cut { at, how }, &steps, out),
        None => sweep(&options.image, &steps, out),
    }
}

fn parse(words: &[String]) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    for word in words {
        let amount = match word.split_once('=') {
            None if word == "tap" => Some(AMOUNT),
            Some(("tap", amount)) => Some(amount),
            _ => None,
        };
        match amount {
            Some(amount) => steps.push(Step::Tap(fixed(Amount::parse(amount, fixed(CURRENCY.parse())?))?)),
            None => steps.extend(parse_keys(std::slice::from_ref(word))?.into_iter().map(Step::Press)),
        }
    }
    Ok(steps)
}

/// Cuts the power once, then opens the card and looks.
fn one(image: &Path, cut: Cut, steps: &[Step], out: Output) -> Result<(), Failure> {
    let (writes, cut_off) = patiently(|| tear(image, cut, steps))?;
    let card = patiently(|| open(image))?;
    let mut card = lock(&card);
    let (screen, status) = (Shown::look(&mut card), card.status());
    let torn = Torn {
        cut: cut_off,
        at: cut.at,
        how: cut.how.into(),
        writes,
        state: status.state,
        unconfirmed: status.unconfirmed,
        pin_blocked: status.pin_blocked,
        screen,
    };
    let what = match cut_off {
        true => format!("the power was cut at write {}, {}", cut.at, torn.how),
        false => format!("nothing was cut: all that was done took {writes} page writes"),
    };
    let pin = if torn.pin_blocked { ", PIN blocked" } else { "" };
    let now = format!("the card is {:?}, {} unconfirmed{pin}", torn.state, torn.unconfirmed);
    out.result(&torn, format!("{what}\n{now}\n{}", torn.screen.frame))
}

/// Does the steps with the card in a file: how many page writes there were, and whether the power was cut.
fn tear(path: &Path, cut: Cut, steps: &[Step]) -> Result<(u64, bool), Failure> {
    // An image of an old format becomes one of today, without being torn.
    drop(open(path)?);
    play(ImageFile::open(path, DURABLE)?, Environment::default(), &RealTime, Some(cut), steps)
}

/// Does the steps until the power is cut: how many page writes there were, and whether it was.
fn play(
    image: impl Image + 'static,
    env: Environment,
    time: &dyn Patience,
    cut: Option<Cut>,
    steps: &[Step],
) -> Result<(u64, bool), Failure> {
    let (image, switch) = TearingImage::new(image);
    let card: SharedCard = Arc::new(Mutex::new(Card::open(Box::new(image), env)?));
    let before = switch.writes();
    if let Some(cut) = cut {
        switch.arm(cut);
    }
    for step in steps {
        let done = perform(&card, step, time);
        if switch.torn() {
            break;
        }
        done?;
    }
    Ok((switch.writes() - before, switch.torn()))
}

fn perform(card: &SharedCard, step: &Step, time: &dyn Patience) -> Result<(), Failure> {
    match step {
        Step::Tap(amount) => {
            let mut reader = InProcessReader::new(Arc::clone(card));
            Terminal::new(fixed("TEARTEST".parse())?).tap(
                &mut reader,
                &draft(*amount)?,
                &Deadline::after(CONTACT),
            )?;
            time.wait(DEBOUNCE_MS + 50);
            Ok(())
        }
        Step::Press(press) => press_one(card, *press, time, &mut Vec::new()),
    }
}

fn draft(amount: Amount) -> Result<Draft, Failure> {
    Ok(Draft {
        kind: TransactionType::Payment,
        payee_account: fixed("DE89370400440532013000".parse())?,
        payee_name: fixed(PayeeName::new("Nobody"))?,
        amount,
        reference: fixed(Reference::new("Power cut"))?,
        details: Some(fixed(Details::new("onetap card tear"))?),
    })
}

fn fixed<T, E: std::fmt::Display>(made: Result<T, E>) -> Result<T, Failure> {
    made.map_err(|why| Failure::Usage(why.to_string()))
}

/// What the copies woke up as, each after a cut of its own.
#[derive(Debug, Serialize)]
struct Swept {
    /// Page writes of the steps.
    writes: u64,
    /// Times that the power was cut.
    cuts: u64,
    /// Each state that a copy woke up in, in the order in which they were first seen.
    woke: Vec<Woken>,
}

/// A state that copies of the card woke up in.
#[derive(Debug, Serialize)]
struct Woken {
    state: CardState,
    unconfirmed: u8,
    pin_blocked: bool,
    /// How many copies did.
    cards: u64,
}

/// Cuts the power of copies of the card at every write of the steps, in every way. The image stays as it is.
fn sweep(path: &Path, steps: &[Step], out: Output) -> Result<(), Failure> {
    let image = patiently(|| Ok(MemoryImage::of_file(path)?))?;
    // A copy of an old format becomes one of today, without being torn.
    drop(Card::open(Box::new(image.clone()), Environment::default())?);
    let playing = |image: MemoryImage, cut| {
        let clock = VirtualClock::at(SystemClock.now().unwrap_or(Millis(0)));
        let env = Environment { clock: Box::new(clock.clone()), ..Environment::default() };
        play(image, env, &clock, cut, steps)
    };
    let (writes, _) = playing(image.copy(), None)?;
    let mut swept = Swept { writes, cuts: 0, woke: Vec::new() };
    let progress = Progress::begin("cutting the power");
    for at in 0..writes {
        for how in How::ALL {
            let copy = image.copy();
            playing(copy.clone(), Some(Cut { at, how }))?;
            swept.wake(copy, at, how)?;
        }
        progress.at(at, writes);
    }
    drop(progress);
    out.result(&swept, swept.to_string())
}

impl Swept {
    fn wake(&mut self, image: MemoryImage, at: u64, how: How) -> Result<(), Failure> {
        let mut card = Card::open(Box::new(image), Environment::default()).map_err(|why| {
            let how: &str = how.into();
            Failure::NotAsExpected(format!("cut at write {at}, {how}, the card does not wake up: {why}"))
        })?;
        let status = card.status();
        let same = |woken: &&mut Woken| {
            (woken.state, woken.unconfirmed, woken.pin_blocked)
                == (status.state, status.unconfirmed, status.pin_blocked)
        };
        self.cuts += 1;
        match self.woke.iter_mut().find(same) {
            Some(woken) => woken.cards += 1,
            None => self.woke.push(Woken {
                state: status.state,
                unconfirmed: status.unconfirmed,
                pin_blocked: status.pin_blocked,
                cards: 1,
            }),
        }
        Ok(())
    }
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the power was cut {} times at {} page writes; all copies woke up",
            self.cuts, self.writes
        )?;
        for Woken { state, unconfirmed, pin_blocked, cards } in &self.woke {
            let pin = if *pin_blocked { ", PIN blocked" } else { "" };
            write!(f, "\n{cards:6} {state:?}, {unconfirmed} unconfirmed{pin}")?;
        }
        Ok(())
    }
}

//! `onetap card tear`: the power of a card in a file is cut at one write, or that of new cards at all of them.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::txn::{Details, PayeeName, Reference, TransactionType};
use onetap_applet::nvm::{Cut, How, ImageFile, TearSwitch, TearingImage};
use onetap_applet::{Card, DEBOUNCE_MS, Environment, Press, SharedCard};
use onetap_conformance::holder::Patience as _;
use onetap_conformance::reader::InProcessReader;
use onetap_conformance::tear::{Report, sweep};
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
    match (&options.image, options.at) {
        (Some(image), Some(at)) => {
            let how = match options.how {
                args::How::Before => How::Before,
                args::How::Half => How::Half,
                args::How::SecondHalf => How::SecondHalf,
                args::How::After => How::After,
            };
            one(image, Cut { at, how }, &parse(&options.steps)?, out)
        }
        _ => all(out),
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

/// Does the steps until the power is cut: how many page writes there were, and whether it was.
fn tear(path: &Path, cut: Cut, steps: &[Step]) -> Result<(u64, bool), Failure> {
    // An image of an old format becomes one of today, without being torn.
    drop(open(path)?);
    let (image, switch) = TearingImage::new(ImageFile::open(path, DURABLE)?);
    let card = Card::open(Box::new(image), Environment::default())?;
    let card: SharedCard = Arc::new(Mutex::new(card));
    let before = switch.writes();
    switch.arm(cut);
    for step in steps {
        let done = perform(&card, step);
        if switch.torn() {
            break;
        }
        done?;
    }
    Ok((switch.writes() - before, TearSwitch::torn(&switch)))
}

fn perform(card: &SharedCard, step: &Step) -> Result<(), Failure> {
    match step {
        Step::Tap(amount) => {
            let mut reader = InProcessReader::new(Arc::clone(card));
            Terminal::new(fixed("TEARTEST".parse())?).tap(
                &mut reader,
                &draft(*amount)?,
                &Deadline::after(CONTACT),
            )?;
            RealTime.wait(DEBOUNCE_MS + 50);
            Ok(())
        }
        Step::Press(press) => press_one(card, *press, &mut Vec::new()),
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

/// Cuts the power of new cards everywhere.
fn all(out: Output) -> Result<(), Failure> {
    let progress = Progress::begin("cutting the power");
    let report = sweep(&mut |done, total| progress.at(done, total));
    drop(progress);
    let Report { steps, writes, points, recovery_points, lost_points, violations, .. } = &report;
    out.result(
        &report,
        format!(
            "{steps} steps with {writes} page writes: the power was cut {points} times, {recovery_points} times \
             again while the card recovered, and {lost_points} times with unsynced writes lost; {} promises broken",
            violations.len()
        ),
    )?;
    match violations.first() {
        None => Ok(()),
        Some(first) => Err(Failure::NotAsExpected(format!("the card broke a promise; the first: {first:?}"))),
    }
}

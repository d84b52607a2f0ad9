//! The child: a card that pays and pays, and says what it does.

use std::io::Write as _;
use std::path::Path;

use onetap_apdu_spec::command::{CardState, Name};
use onetap_applet::card::Millis;
use onetap_applet::nvm::{ImageFile, ImageOptions};
use onetap_applet::{CardError, DEAD_TIME_MS, Key};

use crate::rig::{Rig, Spy, Surprise};
use onetap_conformance::target::samples;

/// What the child reads its orders from: the image file, whether it is durable, the time and a seed.
pub const ORDERS: &str = "ONETAP_KILL_CHILD";

/// Something that the card does and that changes its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The process started.
    Open,
    /// GET SIGNATURE, with its answer and the joint password drawn.
    Sign {
        signature: Vec<u8>,
        password: String,
    },
    /// GET ENC-PASSWORD.
    Deliver,
    /// A wrong PIN is confirmed.
    WrongPin,
    /// The right one, and the joint password is shown.
    RightPin,
    /// The key alone.
    Key,
    Cancel,
}

/// What the child says: a step that begins or is done, and what its clock shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) now: u64,
    pub(super) done: bool,
    pub(super) step: Step,
}

/// Before each line, so that nothing else on the pipe is taken for one.
const MARK: &str = "@";

impl Step {
    fn words(&self) -> String {
        match self {
            Self::Open => "open".to_owned(),
            Self::Sign { signature, password } => format!("sign {} {password}", hex::encode(signature)),
            Self::Deliver => "deliver".to_owned(),
            Self::WrongPin => "wrong-pin".to_owned(),
            Self::RightPin => "right-pin".to_owned(),
            Self::Key => "key".to_owned(),
            Self::Cancel => "cancel".to_owned(),
        }
    }
}

impl Line {
    fn words(&self) -> String {
        let done = if self.done { "done" } else { "begin" };
        format!("{MARK} {} {done} {}", self.now, self.step.words())
    }

    /// Reads a line; none if it is something else, or was cut short.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix(MARK)?.trim_start().split(' ');
        let now = words.next()?.parse().ok()?;
        let done = words.next()? == "done";
        let step = match words.next()? {
            "open" => Step::Open,
            "sign" => Step::Sign {
                signature: hex::decode(words.next()?).ok()?,
                password: words.next().unwrap_or_default().to_owned(),
            },
            "deliver" => Step::Deliver,
            "wrong-pin" => Step::WrongPin,
            "right-pin" => Step::RightPin,
            "key" => Step::Key,
            "cancel" => Step::Cancel,
            _ => return None,
        };
        Some(Self { now, done, step })
    }
}

/// Lives as the child of [`super::run`] until it is killed, if [`ORDERS`] are given; else returns at once.
pub fn child() {
    let Some((image, durable, now, seed)) = orders() else { return };
    if let Err(why) = work(Path::new(&image), durable, now, seed) {
        // The parent finds that the child ended.
        let _ = writeln!(std::io::stderr(), "{why}");
    }
}

fn orders() -> Option<(String, bool, Millis, u64)> {
    let orders = std::env::var(ORDERS).ok()?;
    let mut lines = orders.lines();
    let mut next = || lines.next();
    Some((next()?.to_owned(), next()?.parse().ok()?, Millis(next()?.parse().ok()?), next()?.parse().ok()?))
}

/// Whether to go on: the parent still listens.
fn work(path: &Path, durable: bool, now: Millis, seed: u64) -> Result<(), Surprise> {
    let image = ImageFile::open(path, ImageOptions { durable }).map_err(CardError::from)?;
    let spy = Spy::new();
    let mut payer = Payer { rig: Rig::open(image, spy, now, seed)?, spy };
    // Ends the line that a test harness may have begun.
    say("")?;
    payer.say(true, Step::Open)?;
    if payer.rig.card.state() == CardState::Showing {
        payer.cancel()?;
    }
    for round in seed.. {
        payer.pay(round)?;
    }
    Ok(())
}

struct Payer {
    rig: Rig,
    spy: &'static Spy,
}

const CENTS: [u64; 3] = [samples::KEY_UP_TO, samples::PIN_UP_TO, samples::PIN_UP_TO + 1];
const WRONG_PIN: &str = "1357";

impl Payer {
    fn pay(&mut self, round: u64) -> Result<(), Surprise> {
        let [key, pin, both] = CENTS;
        self.sign([key, pin, both][usize::try_from(round % 3).unwrap_or(0)])?;
        self.during(Step::Deliver, |rig| rig.send(Name::GetEncPassword, None, &[]).map(drop))?;
        self.rig.leave();
        let pages = self.rig.read()?;
        let ask = pages.last().map_or("", String::as_str);
        if round.is_multiple_of(7) {
            return self.cancel();
        }
        if !ask.contains("PIN: ") {
            return self
                .during(Step::Key, |rig| Ok(rig.card.press(Key::Confirm)?))
                .and_then(|()| self.clear());
        }
        // A second wrong one could end in a blocked card, after a kill in between.
        if ask.contains("3 tries left") {
            self.rig.type_pin(WRONG_PIN)?;
            self.during(Step::WrongPin, |rig| {
                // It is refused: that is what it is for.
                let _ = rig.card.press(Key::Confirm);
                Ok(())
            })?;
        }
        self.rig.type_pin(samples::PIN)?;
        self.during(Step::RightPin, |rig| {
            rig.card.press(Key::Confirm)?;
            rig.pass(DEAD_TIME_MS);
            if rig.card.state() == CardState::Showing { Ok(rig.card.press(Key::Confirm)?) } else { Ok(()) }
        })?;
        self.clear()
    }

    fn sign(&mut self, cents: u64) -> Result<(), Surprise> {
        self.rig.contact()?;
        self.rig.load(cents)?;
        self.say(false, Step::Sign { signature: vec![], password: String::new() })?;
        let signature = self.rig.send(Name::GetSignature, None, &[])?.data;
        let password = self.spy.take().passwords.pop().unwrap_or_default();
        let password = String::from_utf8_lossy(&password).into_owned();
        self.say(true, Step::Sign { signature, password })
    }

    fn cancel(&mut self) -> Result<(), Surprise> {
        self.during(Step::Cancel, |rig| Ok(rig.card.press(Key::Cancel)?))
    }

    /// The joint password goes from the display; the memory held it no more.
    fn clear(&mut self) -> Result<(), Surprise> {
        Ok(self.rig.card.press(Key::Cancel)?)
    }

    fn during(
        &mut self,
        step: Step,
        work: impl FnOnce(&mut Rig) -> Result<(), Surprise>,
    ) -> Result<(), Surprise> {
        self.say(false, step.clone())?;
        work(&mut self.rig)?;
        self.say(true, step)
    }

    fn say(&self, done: bool, step: Step) -> Result<(), Surprise> {
        say(&Line { now: self.rig.now().0, done, step }.words())
    }
}

fn say(line: &str) -> Result<(), Surprise> {
    let line = format!("{line}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|_| Surprise::Harness("a parent that listens"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let sign = Step::Sign { signature: vec![1, 2], password: "12345678".to_owned() };
        for (done, step) in [(false, Step::Open), (true, sign), (true, Step::WrongPin), (false, Step::Cancel)]
        {
            let line = Line { now: 17, done, step };
            assert_eq!(Line::parse(&line.words()), Some(line));
        }
        assert_eq!(Line::parse("test the_child ... ok"), None);
    }
}

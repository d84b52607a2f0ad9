//! The process of a card is killed at any instant while it pays; what is in its file must be what it last
//! acknowledged, or what it was just doing.
//!
//! The card runs in a child, [`child`], which says over a pipe what it begins and what is done. [`run`] kills it,
//! opens the file and looks. The same file lives on from kill to kill, until its PIN is blocked: a right
//! PIN is counted as a try before it is compared, so a card that is cut off in it three times ends so.

mod load;

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::suite::Suite;
use onetap_applet::PIN_TRIES;
use onetap_applet::nvm::{ImageFile, ImageOptions, NvmError};

use crate::rig::{Rig, START, Signatures, Spy, Surprise};
use crate::tear::observe::{State, observe, shows};
use onetap_conformance::dice::Dice;

use load::{Line, Step};
pub use load::{ORDERS, child};

/// Longest time from the child's first word to its end.
const LONGEST: Duration = Duration::from_millis(40);
/// The card's clock goes on so far from the last word of one child to the first of the next: longer than a
/// step takes, shorter than a transaction waits.
const LATER: u64 = 20_000;

/// What was killed and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Processes killed.
    pub kills: u64,
    /// Steps that the card had acknowledged by then, all together.
    pub acknowledged: u64,
    /// How many kills met a step that was begun and not done.
    pub in_flight: u64,
    /// Cards that were cut off in the middle of a right PIN so often that they are blocked, as they must be.
    pub blocked: u64,
    /// What is wrong.
    pub violations: Vec<String>,
}

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// The child could not be started or talked to.
    #[error("the child process: {0}")]
    Io(#[from] std::io::Error),
    /// The image file could not be made or read.
    #[error(transparent)]
    Nvm(#[from] NvmError),
    /// The card could not be made.
    #[error(transparent)]
    Card(#[from] Surprise),
    /// The child said nothing.
    #[error("the child process never began")]
    Silent,
}

/// Kills so many children of one card in `folder`, each made by `command` (a program that calls [`child`]).
///
/// # Errors
/// [`KillError`].
pub fn run(
    folder: &Path,
    durable: bool,
    seed: u64,
    kills: u64,
    command: &dyn Fn() -> Command,
) -> Result<Report, KillError> {
    let path = folder.join(format!("{}.card", if durable { "durable" } else { "quick" }));
    let spy = Spy::new();
    let mut hunt =
        Hunt { path, durable, spy, dice: Dice::new(seed), known: Known::new(), report: Report::default() };
    hunt.issue()?;
    for _ in 0..kills {
        hunt.kill_one(command)?;
        if hunt.known.tries == 0 {
            hunt.report.blocked += 1;
            hunt.issue()?;
        }
    }
    Ok(hunt.report)
}

/// What is certain of the card.
#[derive(Debug)]
struct Known {
    signed: Signatures,
    counter: u32,
    pending: bool,
    tries: u8,
    now: u64,
    /// What was begun and not done.
    begun: Option<Step>,
    /// The joint password that was drawn last: only that can still be anywhere.
    password: String,
}

struct Hunt {
    path: PathBuf,
    durable: bool,
    spy: &'static Spy,
    dice: Dice,
    known: Known,
    report: Report,
}

impl Hunt {
    /// A new card, in the place of the last one if there was one.
    fn issue(&mut self) -> Result<(), KillError> {
        if self.path.exists() {
            std::fs::remove_file(&self.path)?;
        }
        let image = ImageFile::create(&self.path, ImageOptions { durable: self.durable })?;
        drop(Rig::new(Suite::default(), image, self.spy)?);
        self.known = Known::new();
        Ok(())
    }

    fn kill_one(&mut self, command: &dyn Fn() -> Command) -> Result<(), KillError> {
        let orders =
            format!("{}\n{}\n{}\n{}", self.path.display(), self.durable, self.known.now, self.report.kills);
        let mut child =
            command().env(ORDERS, orders).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let lines = child.stdout.take().map(listen).ok_or(KillError::Silent)?;
        let heard = self.until_killed(&mut child, &lines);
        child.wait()?;
        heard?;
        self.report.kills += 1;
        self.report.in_flight += u64::from(self.known.begun.is_some());
        self.look()
    }

    /// Lets the child work for a random time, then kills it and hears all that it still said.
    fn until_killed(&mut self, child: &mut Child, lines: &Receiver<Line>) -> Result<(), KillError> {
        let first = lines.recv_timeout(Duration::from_secs(60));
        let killed = |child: &mut Child| child.kill().map_err(KillError::from);
        let Ok(first) = first else {
            killed(child)?;
            return Err(KillError::Silent);
        };
        self.hear(first);
        let micros = self.dice.below(usize::try_from(LONGEST.as_micros()).unwrap_or(usize::MAX));
        let instant = std::time::Instant::now() + Duration::from_micros(micros as u64);
        loop {
            let left = instant.saturating_duration_since(std::time::Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => self.hear(line),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    self.report.violations.push(format!("the child ended by itself: {:?}", self.known));
                    break;
                }
            }
        }
        killed(child)?;
        lines.iter().for_each(|line| self.hear(line));
        Ok(())
    }

    fn hear(&mut self, line: Line) {
        self.known.now = line.now;
        self.report.acknowledged += u64::from(line.done);
        if let Err(why) = self.known.hear(line) {
            self.report.violations.push(why.to_string());
        }
    }

    /// Opens the file and compares.
    fn look(&mut self) -> Result<(), KillError> {
        let memory = std::fs::read(&self.path)?;
        let now = self.known.now + LATER;
        let found = match observe(&memory, self.spy, now, &self.known.signed) {
            Ok((found, _)) => found,
            Err(why) => {
                self.violated(&why.to_string());
                return Ok(());
            }
        };
        if let Some(why) = self.known.contradicts(&found) {
            self.violated(why);
        }
        let text = String::from_utf8_lossy(&memory);
        if shows(&text, self.known.password.as_bytes()) {
            self.violated("a joint password can be read in the file");
        }
        let known = &mut self.known;
        (known.counter, known.tries, known.begun) = (found.counter, found.tries, None);
        (known.pending, known.now) = (found.status.state == CardState::Showing, now);
        Ok(())
    }

    fn violated(&mut self, what: &str) {
        self.report.violations.push(format!("kill {}: {what}; {:?}", self.report.kills, self.known));
    }
}

impl Known {
    fn new() -> Self {
        let signed = Signatures::default();
        Self {
            signed,
            counter: 0,
            pending: false,
            tries: PIN_TRIES,
            now: START.0,
            begun: None,
            password: String::new(),
        }
    }

    fn hear(&mut self, line: Line) -> Result<(), Surprise> {
        if !line.done {
            self.begun = Some(line.step);
            return Ok(());
        }
        self.begun = None;
        match line.step {
            Step::Open => {}
            Step::Sign { signature, password } => {
                self.signed.add(&signature)?;
                self.counter = self.signed.last();
                self.password = password;
            }
            Step::Deliver => self.pending = true,
            Step::WrongPin => self.tries -= 1,
            Step::RightPin => (self.pending, self.tries) = (false, PIN_TRIES),
            Step::Key | Step::Cancel => self.pending = false,
        }
        Ok(())
    }

    /// What the card is cannot have come of what it acknowledged and what it was doing.
    fn contradicts(&self, found: &State) -> Option<&'static str> {
        let begun = self.begun.as_ref();
        let signing = matches!(begun, Some(Step::Sign { .. }));
        let may_come = matches!(begun, Some(Step::Deliver));
        let may_go = matches!(begun, Some(Step::RightPin | Step::Key | Step::Cancel));
        let pending = found.status.state == CardState::Showing;
        let tries: &[u8] = match begun {
            Some(Step::WrongPin) => &[self.tries, self.tries - 1],
            Some(Step::RightPin) => &[self.tries, self.tries - 1, PIN_TRIES],
            _ => &[self.tries],
        };
        if found.counter != self.counter && !(signing && found.counter == self.counter + 1) {
            Some("C is neither the last one acknowledged nor the one in the making")
        } else if pending && !self.pending && !may_come {
            Some("a transaction waits that was confirmed or cancelled, or never delivered")
        } else if !pending && self.pending && !may_go {
            Some("a transaction that was delivered does not wait")
        } else if !tries.contains(&found.tries) {
            Some("the PIN tries are not what was acknowledged")
        } else {
            None
        }
    }
}

/// Reads what the child says, line by line, until its end.
fn listen(pipe: impl Read + Send + 'static) -> Receiver<Line> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(pipe).lines().map_while(Result::ok);
        // Whoever is no longer listened to has nothing more to say.
        let _ = lines.filter_map(|line| Line::parse(&line)).try_for_each(|line| sender.send(line));
    });
    lines
}

#[cfg(test)]
mod tests {
    use onetap_apdu_spec::command::CardStatus;

    use super::*;

    fn found(state: CardState, counter: u32, tries: u8) -> State {
        let status = CardStatus { state, unconfirmed: 0, pin_blocked: false, worn_out: false };
        State { status, counter, pages: vec![], tries, key_only: None }
    }

    #[test]
    fn what_was_acknowledged_must_be_there_and_only_what_was_begun_may_be() {
        use CardState::{Idle, Showing};
        let sign = Step::Sign { signature: vec![], password: String::new() };
        for (pending, begun, state, counter, tries, fits) in [
            (true, None, Showing, 5, 3, true),
            (true, None, Idle, 5, 3, false),
            (false, None, Showing, 5, 3, false),
            (true, Some(Step::Cancel), Idle, 5, 3, true),
            (false, Some(Step::Deliver), Showing, 5, 3, true),
            (false, None, Idle, 6, 3, false),
            (false, None, Idle, 4, 3, false),
            (false, Some(sign.clone()), Idle, 6, 3, true),
            (false, Some(sign), Idle, 7, 3, false),
            (true, None, Showing, 5, 2, false),
            (true, Some(Step::WrongPin), Showing, 5, 2, true),
            (true, Some(Step::WrongPin), Showing, 5, 1, false),
        ] {
            let known = Known { counter: 5, pending, begun, ..Known::new() };
            let contradiction = known.contradicts(&found(state, counter, tries));
            assert_eq!(contradiction.is_none(), fits, "{known:?}: {state:?} {counter} {tries}");
        }
    }
}

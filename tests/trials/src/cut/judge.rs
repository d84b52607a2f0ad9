//! Opens what a cut left, with a new verifier, and compares it with what was acknowledged.

use std::path::{Path, PathBuf};

use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_recording_vfs::{Log, Recording};
use onetap_server_verifier::{AccountView, LogEntry, Outcome, ServiceError, Verifier};

use super::disk::{Arrived, Files};
use super::load::{Actor, Deed, LATER, Mark, State, Story, environment};
use onetap_conformance::dice::Dice;

/// How many of an account's last deeds are repeated at each image.
const LAST: usize = 2;
/// Of the earlier deeds, one in so many is repeated.
const ONE_IN: usize = 4;

/// An image that breaks a promise.
pub struct Violation {
    /// After how many entries of the log the power was cut.
    pub point: usize,
    /// What of the rest arrived.
    pub arrived: Arrived,
    /// The seed that decided what arrived.
    pub seed: u64,
    /// What is wrong.
    pub wrong: Wrong,
    /// The files themselves, of the first ones.
    pub files: Option<Files>,
}

impl std::fmt::Debug for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { point, arrived, seed, wrong, .. } = self;
        write!(f, "cut after {point} entries, {arrived:?} arrived, seed {seed}: {wrong}")
    }
}

/// What is known when the power is cut.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Known {
    /// Deeds begun, of each actor.
    pub(super) begun: Vec<usize>,
    /// Deeds answered, of each actor.
    pub(super) acknowledged: Vec<usize>,
    /// The same of the payment that is made on what a cut left.
    pub(super) later_begun: bool,
    pub(super) later_acknowledged: bool,
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// The verifier fails on it.
    #[error("{doing}: {error:?}")]
    Fails {
        /// What it was doing.
        doing: &'static str,
        /// What it says.
        #[source]
        error: ServiceError,
    },
    /// What was answered is not there.
    #[error("actor {actor}: {acknowledged} deeds were acknowledged, {found} are there")]
    Lost {
        /// Whose.
        actor: usize,
        /// So many were answered.
        acknowledged: usize,
        /// So many are there.
        found: usize,
    },
    /// Something is there that nobody began.
    #[error("actor {actor}: {begun} deeds were begun, {found} are there")]
    TooMuch {
        /// Whose.
        actor: usize,
        /// So many were begun.
        begun: usize,
        /// So many are there.
        found: usize,
    },
    /// The account is as it never was.
    #[error("actor {actor}: it never was {state}")]
    NeverSo {
        /// Whose.
        actor: usize,
        /// What was found.
        state: String,
    },
    /// Sums differ.
    #[error("the shop has {found} cents where the payers paid {wanted}")]
    Sum {
        /// What the books say.
        found: i64,
        /// What the answers say.
        wanted: u64,
    },
    /// Another answer than before.
    #[error("actor {actor}, deed {deed}: asked again, it is {found} where it was {wanted}")]
    Answer {
        /// Whose.
        actor: usize,
        /// Which.
        deed: usize,
        /// The new answer.
        found: String,
        /// The first one.
        wanted: String,
    },
    /// Executed once more under another key.
    #[error("actor {actor}, deed {deed}: under another key it is {found}")]
    Twice {
        /// Whose.
        actor: usize,
        /// Which.
        deed: usize,
        /// The answer.
        found: String,
    },
    /// A new payment is not executed.
    #[error("a new payment is {0}")]
    Later(&'static str),
    /// It was right, and is not after another cut, while it was worked on.
    #[error("after another cut at {point}, where {arrived:?} arrived: {wrong}")]
    AfterAnother {
        /// After how many entries of the log of that work.
        point: usize,
        /// What of the rest arrived.
        arrived: Arrived,
        /// What is wrong then.
        wrong: Box<Wrong>,
    },
    /// The image could not be laid out.
    #[error("the folder for the image: {0}")]
    Io(#[from] std::io::Error),
}

/// Looks at images in a folder of its own.
pub(super) struct Judge<'a> {
    story: &'a Story,
    folder: PathBuf,
}

impl<'a> Judge<'a> {
    /// `bank` is where the story was played: what SQLite knows nothing of, such as keys, is taken from there.
    pub(super) fn new(story: &'a Story, bank: &Path, folder: PathBuf) -> std::io::Result<Self> {
        copy_strangers(bank, &folder)?;
        Ok(Self { story, folder })
    }

    /// What is wrong with `files`. `seed` decides of what is drawn, and who is asked again.
    pub(super) fn judge(&self, files: &Files, known: &Known, seed: u64) -> Result<(), Wrong> {
        let verifier = self.open(files, seed)?;
        let found = self.states(&verifier, known)?;
        let later = match self.paid_later(&verifier, &found)? {
            true if known.later_begun => true,
            false if !known.later_acknowledged => false,
            found => return Err(Wrong::Later(if found { "executed unasked" } else { "lost" })),
        };
        books(&verifier)?;
        let after = self.ask_again(&verifier, known, &found, seed)?;
        if self.paid_later(&verifier, &after)? != later {
            return Err(Wrong::Later("executed or lost by others"));
        }
        self.pay_later(&verifier)?;
        if !self.paid_later(&verifier, &after)? {
            return Err(Wrong::Later("executed, and has moved nothing"));
        }
        books(&verifier)
    }

    /// What is done on what a cut left, and what that does to its files; a mark before and after.
    pub(super) fn record_later(&self, files: &Files, seed: u64) -> Result<Log, Wrong> {
        lay_out(files, &self.folder)?;
        let recording = Recording::start(&self.folder)?;
        let verifier = open(&self.folder, seed)?;
        recording.mark(0);
        self.pay_later(&verifier)?;
        recording.mark(1);
        drop(verifier);
        Ok(recording.finish())
    }

    fn pay_later(&self, verifier: &Verifier) -> Result<(), Wrong> {
        match self.ask(verifier, "later", &self.story.later)? {
            Outcome::Executed(_) => Ok(()),
            other => Err(Wrong::Later(other.into())),
        }
    }

    fn open(&self, files: &Files, seed: u64) -> Result<Verifier, Wrong> {
        lay_out(files, &self.folder)?;
        open(&self.folder, seed)
    }

    /// How many of its deeds each account has seen, if it is what it was after one of those in question.
    fn states(&self, verifier: &Verifier, known: &Known) -> Result<Vec<usize>, Wrong> {
        let actors = self.story.actors.iter().enumerate();
        let places = actors.map(|(index, actor)| {
            let (acknowledged, begun) = (known.acknowledged[index], known.begun[index]);
            let (view, log) = look(verifier, actor)?;
            let fits = |state: &State| state.view == view && state.logged == log.len();
            let mut places = actor.states.iter().enumerate().filter(|(_, state)| fits(state));
            let due = places.clone().find(|(place, _)| (acknowledged..=begun).contains(place));
            let place = due.or_else(|| places.next()).filter(|_| actor.log.starts_with(&log));
            let Some((found, _)) = place else {
                return Err(Wrong::NeverSo { actor: index, state: format!("{view:?} {log:?}") });
            };
            if found < acknowledged {
                Err(Wrong::Lost { actor: index, acknowledged, found })
            } else if found > begun {
                Err(Wrong::TooMuch { actor: index, begun, found })
            } else {
                Ok(found)
            }
        });
        places.collect()
    }

    /// Whether the shop has the later payment besides what was paid; it must not have anything else.
    fn paid_later(&self, verifier: &Verifier, found: &[usize]) -> Result<bool, Wrong> {
        let actors = self.story.actors.iter().zip(found);
        let wanted = actors.map(|(actor, found)| actor.states[*found].paid).sum::<u64>();
        let shop = verifier.account(&self.story.shop);
        let shop = shop.map_err(|error| Wrong::Fails { doing: "reading the shop's account", error })?;
        match u64::try_from(shop.balance) {
            Ok(found) if found == wanted => Ok(false),
            Ok(found) if found == wanted + LATER => Ok(true),
            _ => Err(Wrong::Sum { found: shop.balance, wanted }),
        }
    }

    /// Whoever was answered gets the same answer again, and under another key no second execution; who was not
    /// repeats and gets it now. How many deeds each account has seen then.
    fn ask_again(
        &self,
        verifier: &Verifier,
        known: &Known,
        found: &[usize],
        seed: u64,
    ) -> Result<Vec<usize>, Wrong> {
        let mut dice = Dice::new(seed);
        let mut after = found.to_vec();
        for (index, actor) in self.story.actors.iter().enumerate() {
            let begun = known.begun[index];
            for (deed, ask) in actor.deeds.iter().enumerate().take(begun) {
                // The last ones are what a cut endangers; of the others some.
                if deed + LAST >= begun || dice.below(ONE_IN) == 0 {
                    self.repeat(verifier, (index, deed), ask, deed < found[index])?;
                    after[index] = after[index].max(deed + usize::from(matches!(ask, Deed::Ask { .. })));
                }
            }
            let other = dice.below(known.acknowledged[index]);
            if known.acknowledged[index] > 0 {
                self.under_another_key(verifier, (index, other), &actor.deeds[other])?;
            }
        }
        Ok(after)
    }

    fn repeat(
        &self,
        verifier: &Verifier,
        (actor, deed): (usize, usize),
        ask: &Deed,
        decided: bool,
    ) -> Result<(), Wrong> {
        let Deed::Ask { key, request, outcome } = ask else { return Ok(()) };
        let again = self.ask(verifier, key, request)?;
        // What had not been decided is decided now, with a receipt of its own.
        let same = if decided { again == *outcome } else { again.to_string() == outcome.to_string() };
        if same {
            return Ok(());
        }
        Err(Wrong::Answer { actor, deed, found: format!("{again:?}"), wanted: format!("{outcome:?}") })
    }

    /// Money is moved by no second execution: what is not refused has the receipt of the first time.
    fn under_another_key(
        &self,
        verifier: &Verifier,
        (actor, deed): (usize, usize),
        ask: &Deed,
    ) -> Result<(), Wrong> {
        let Deed::Ask { request, outcome, .. } = ask else { return Ok(()) };
        let again = self.ask(verifier, &format!("another-{actor}"), request)?;
        let first = again == *outcome || again == Outcome::Refused;
        if first { Ok(()) } else { Err(Wrong::Twice { actor, deed, found: format!("{again:?}") }) }
    }

    fn ask(&self, verifier: &Verifier, key: &str, request: &AuthorisationRequest) -> Result<Outcome, Wrong> {
        let answer = verifier.authorise(&self.story.client, key, request);
        answer.map_err(|error| Wrong::Fails { doing: "deciding", error })
    }
}

type Look = (Option<AccountView>, Vec<LogEntry>);

fn look(verifier: &Verifier, actor: &Actor) -> Result<Look, Wrong> {
    let failed = |error| Wrong::Fails { doing: "reading an account", error };
    match verifier.account(&actor.account) {
        Ok(view) => Ok((Some(view), verifier.log(Some(&actor.account)).map_err(failed)?)),
        Err(ServiceError::NoSuchAccount) => Ok((None, Vec::new())),
        Err(error) => Err(failed(error)),
    }
}

fn open(folder: &Path, seed: u64) -> Result<Verifier, Wrong> {
    Verifier::open(folder, environment(seed)).map_err(|error| Wrong::Fails { doing: "opening", error })
}

pub(super) fn books(verifier: &Verifier) -> Result<(), Wrong> {
    verifier.ledger_check().map_err(|error| Wrong::Fails { doing: "checking the ledger", error })?;
    verifier
        .audit_verify()
        .map(drop)
        .map_err(|error| Wrong::Fails { doing: "checking the audit chains", error })
}

/// Copies what SQLite knows nothing of.
pub(super) fn copy_strangers(bank: &Path, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(bank)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && !of_sqlite(&entry.file_name().to_string_lossy()) {
            std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Makes SQLite's files in `folder` those of an image.
pub(super) fn lay_out(files: &Files, folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if of_sqlite(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    let mut ours = files.iter().filter(|(name, _)| of_sqlite(name));
    ours.try_for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes))
}

fn of_sqlite(name: &str) -> bool {
    ["", "-wal", "-shm", "-journal"].iter().any(|end| name == format!("verifier.db{end}"))
}

/// Counts what is known as the log goes on.
impl Known {
    pub(super) fn none(story: &Story) -> Self {
        let zero = vec![0; story.actors.len()];
        Self { begun: zero.clone(), acknowledged: zero, later_begun: false, later_acknowledged: false }
    }

    /// The marks of [`Judge::record_later`].
    pub(super) fn hear_later(&mut self, mark: usize) {
        self.later_begun = true;
        self.later_acknowledged = mark > 0;
    }

    pub(super) fn hear(&mut self, mark: Mark) {
        let counts = if mark.acknowledged { &mut self.acknowledged } else { &mut self.begun };
        counts[mark.actor] += 1;
    }
}

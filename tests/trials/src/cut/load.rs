//! What is done to a verifier while its files are watched: each account is one actor, whose deeds come one after
//! the other; the actors work at the same time.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::rng::SeededRng;
use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_recording_vfs::{Log, Recording};
use onetap_server_verifier::{
    AccountKind, AccountOptions, AccountView, Act, CardOptions, Client, Clock, Environment, InitOptions,
    LogEntry, Outcome, Pending, ServiceError, Timestamp, Verifier,
};
use rusqlite::Connection;

use super::paper::{PaperCard, mistyped, suite};
use super::plan::{CutError, Plan, scenario};
use crate::fuzz::stand_in::StandIn;
use onetap_conformance::target::samples;

/// What each payer owns at first, in cents.
const BALANCE: u64 = 10_000;
/// What the later payment is worth.
pub(super) const LATER: u64 = 1;
const DATABASE: &str = "verifier.db";

/// What was done, and what it left.
pub(super) struct Story {
    /// What happened to the files.
    pub(super) log: Log,
    /// The accounts and their deeds.
    pub(super) actors: Vec<Actor>,
    /// By the number of its mark: whose deed begins or is acknowledged there.
    pub(super) marks: Vec<Mark>,
    /// The marks of those who asked all at once.
    pub(super) crowds: Vec<Range<usize>>,
    /// Who asks.
    pub(super) client: Client,
    /// Who is paid.
    pub(super) shop: AccountNumber,
    /// A payment that is not made before the power is cut.
    pub(super) later: AuthorisationRequest,
}

/// What a mark in the log says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) actor: usize,
    /// The verifier has answered; else it is about to be asked.
    pub(super) acknowledged: bool,
}

/// An account and what was done to it.
pub(super) struct Actor {
    pub(super) account: AccountNumber,
    pub(super) deeds: Vec<Deed>,
    /// Before all deeds, and after each of them.
    pub(super) states: Vec<State>,
    /// Its log at the end; before, it is a beginning of this.
    pub(super) log: Vec<LogEntry>,
}

/// One thing done.
pub(super) enum Deed {
    /// By the operator.
    Order,
    /// By a terminal, and what it was answered.
    Ask { key: String, request: Box<AuthorisationRequest>, outcome: Outcome },
}

/// An account as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// None if there is no such account yet.
    pub(super) view: Option<AccountView>,
    /// Entries of its log.
    pub(super) logged: usize,
    /// What it has paid by card, in cents: as its answers say, not the verifier's books.
    pub(super) paid: u64,
}

struct FixedClock(i64);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0)
    }
}

/// What a verifier gets from the world; `seed` decides what it draws.
pub(super) fn environment(seed: u64) -> Environment {
    let now = samples::transaction().at.assume_utc().unix_timestamp();
    Environment::new(&StandIn, Arc::new(FixedClock(now)), Box::new(SeededRng::new(seed)))
}

/// Founds an operator in `folder`, watches it, and has `plan.threads` actors at once do all that an account can
/// see, then a crowd ask together, in so many rounds; the verifier is closed and opened before each.
pub(super) fn record(folder: &Path, plan: Plan) -> Result<Story, CutError> {
    let Plan { seed, threads, .. } = plan;
    let (bank, mut cards) = Bank::found(folder, seed, threads + plan.crowd)?;
    let (busy, crowd) = cards.split_at_mut(threads);
    let recording = Recording::start(folder)?;
    let stage = Stage { recording, seed, state: Mutex::new(bank), folder };
    for round in 0..plan.rounds {
        let verifier = Verifier::open(folder, environment(seed + 1 + round as u64))?;
        let (stage, verifier) = (&stage, &verifier);
        std::thread::scope(|scope| {
            let work = |(actor, card)| scope.spawn(move || stage.play(verifier, round, actor, card));
            let threads: Vec<_> = busy.iter_mut().enumerate().map(work).collect();
            let mut ended = threads.into_iter().map(|thread| thread.join());
            ended.try_for_each(|end| end.map_err(|_| scenario("an actor panicked"))?)
        })?;
        stage.crowd(verifier, crowd, threads)?;
    }
    let Stage { recording, state, .. } = stage;
    let bank = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Story { log: recording.finish(), ..bank.0 })
}

/// The story so far.
struct Bank(Story);

impl Bank {
    /// The operator, the shop, the payers and their cards, and one more for later.
    fn found(folder: &Path, seed: u64, payers: usize) -> Result<(Self, Vec<PaperCard>), CutError> {
        let verifier = Verifier::init(folder, InitOptions::new("Example Bank"), environment(seed))?;
        let sample = samples::transaction();
        let shop = Some(sample.payee_account.clone());
        let shop = verifier.desk(Act::of_program("test", "set-up")).open_account(&account(
            sample.payee_name.as_str(),
            0,
            shop,
        )?)?;
        let client = verifier.desk(Act::of_program("test", "set-up")).register_terminal(sample.terminal)?;
        let payer = || {
            let number = verifier.desk(Act::of_program("test", "set-up")).open_account(&account(
                "Ada Lovelace",
                BALANCE,
                None,
            )?)?;
            let card = activate(&verifier, order(&verifier, &number, seed)?)?;
            Ok::<_, CutError>((number, card))
        };
        let later = payer()?.1.pay(LATER)?;
        let (mut actors, mut cards) = (Vec::new(), Vec::new());
        for _ in 0..payers {
            let (number, card) = payer()?;
            actors.push(Actor::new(&verifier, number)?);
            cards.push(card);
        }
        let story =
            Story { log: Log::default(), actors, marks: Vec::new(), crowds: Vec::new(), client, shop, later };
        Ok((Self(story), cards))
    }
}

impl Actor {
    fn new(verifier: &Verifier, account: AccountNumber) -> Result<Self, CutError> {
        let log = verifier.log(Some(&account))?;
        let first = State { view: Some(verifier.account(&account)?), logged: log.len(), paid: 0 };
        Ok(Self { account, deeds: Vec::new(), states: vec![first], log })
    }

    fn unborn(account: AccountNumber) -> Self {
        let first = State { view: None, logged: 0, paid: 0 };
        Self { account, deeds: Vec::new(), states: vec![first], log: Vec::new() }
    }
}

/// Where the actors play.
struct Stage<'a> {
    recording: Recording,
    seed: u64,
    state: Mutex<Bank>,
    folder: &'a Path,
}

impl Stage<'_> {
    fn lock(&self) -> MutexGuard<'_, Bank> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One round of one actor, and of an account that is opened in it.
    fn play(
        &self,
        verifier: &Verifier,
        round: usize,
        actor: usize,
        card: &mut PaperCard,
    ) -> Result<(), CutError> {
        let number = self.lock().0.actors[actor].account.clone();
        let own = Player { stage: self, verifier, actor, number };
        own.spend(card)?;
        if actor == 0 {
            self.checkpoint(round)?;
        }
        own.be_locked_and_unlocked(card)?;
        self.newcomer(verifier, actor as u64 + 100 * round as u64)
    }

    fn newcomer(&self, verifier: &Verifier, index: u64) -> Result<(), CutError> {
        let payload = 200_000_000_000 + index;
        let number = AccountNumber::from_payload(&payload.to_string()).map_err(scenario)?;
        let actor = {
            let actors = &mut self.lock().0.actors;
            actors.push(Actor::unborn(number.clone()));
            actors.len() - 1
        };
        let player = Player { stage: self, verifier, actor, number };
        player.come()
    }

    /// All of `cards` ask while nobody may write, so that their decisions share a commit.
    fn crowd(&self, verifier: &Verifier, cards: &mut [PaperCard], first: usize) -> Result<(), CutError> {
        let begin = self.lock().0.marks.len();
        let gate = self.connection()?;
        gate.execute_batch("BEGIN IMMEDIATE")?;
        let mut asked = Vec::new();
        for (actor, card) in (first..).zip(cards) {
            let number = self.lock().0.actors[actor].account.clone();
            let player = Player { stage: self, verifier, actor, number };
            let ask = player.ask(card.pay(50)?)?;
            asked.push((player, ask));
        }
        gate.execute_batch("ROLLBACK")?;
        asked.into_iter().try_for_each(|(player, ask)| player.answered(ask, "executed"))?;
        let story = &mut self.lock().0;
        story.crowds.push(begin..story.marks.len());
        Ok(())
    }

    fn connection(&self) -> Result<Connection, CutError> {
        let connection = Connection::open(self.folder.join(DATABASE))?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(connection)
    }

    /// Folds the log into the database while others write; then with the log cut to nothing.
    fn checkpoint(&self, round: usize) -> Result<(), CutError> {
        let mode = if round.is_multiple_of(2) { "PASSIVE" } else { "TRUNCATE" };
        let connection = self.connection()?;
        // Whether it could be folded whole is told in a row; another writer may be faster.
        connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?;
        Ok(())
    }
}

/// A request that waits for its answer.
struct Asked {
    key: String,
    request: AuthorisationRequest,
    pending: Pending,
}

/// An actor at work.
struct Player<'a> {
    stage: &'a Stage<'a>,
    verifier: &'a Verifier,
    actor: usize,
    number: AccountNumber,
}

impl Player<'_> {
    fn spend(&self, card: &mut PaperCard) -> Result<(), CutError> {
        self.must(card.pay(100)?, "executed")?;
        let typed_twice = card.pay(200)?;
        self.must(mistyped(&typed_twice)?, "refused")?;
        self.must(typed_twice.clone(), "executed")?;
        self.must(typed_twice, "executed")?;
        self.must(card.pay(BALANCE)?, "insufficient-funds")
    }

    fn be_locked_and_unlocked(&self, card: &mut PaperCard) -> Result<(), CutError> {
        let guessed = card.pay(300)?;
        for _ in 0..3 {
            self.must(mistyped(&guessed)?, "refused")?;
        }
        self.must(card.pay(400)?, "refused")?;
        self.order(|| {
            Ok(self.verifier.desk(Act::of_program("Eve", "seen in person")).unlock(&self.number)?)
        })?;
        self.must(card.pay(500)?, "executed")
    }

    /// Opens the account; a card, another card, the first one blocked.
    fn come(&self) -> Result<(), CutError> {
        let (verifier, number) = (self.verifier, &self.number);
        let seed = self.stage.seed;
        self.order(|| {
            let options = account("Alan Turing", BALANCE, Some(number.clone()))?;
            Ok(verifier.desk(Act::of_program("test", "set-up")).open_account(&options).map(drop)?)
        })?;
        let card = self.order(|| order(verifier, number, seed))?;
        let mut card = self.order(|| activate(verifier, card))?;
        self.must(card.pay(600)?, "executed")?;
        let block = |card| Ok(verifier.desk(Act::of_program("Eve", "lost")).block_card(card)?);
        let first = self.card_id()?;
        self.order(|| block(first))?;
        self.must(card.pay(700)?, "refused")
    }

    fn card_id(&self) -> Result<CardId, CutError> {
        let view = self.verifier.account(&self.number)?;
        view.cards.first().map(|card| card.card).ok_or(scenario("the account has no card"))
    }

    /// Something that the operator does.
    fn order<T>(&self, work: impl FnOnce() -> Result<T, CutError>) -> Result<T, CutError> {
        self.mark(false);
        let done = work()?;
        self.mark(true);
        self.done(Deed::Order)?;
        Ok(done)
    }

    /// A request under a key of its own.
    fn must(&self, request: AuthorisationRequest, wanted: &str) -> Result<(), CutError> {
        let asked = self.ask(request)?;
        self.answered(asked, wanted)
    }

    fn ask(&self, request: AuthorisationRequest) -> Result<Asked, CutError> {
        let key = format!("{}-{}", self.actor, self.stage.lock().0.actors[self.actor].deeds.len());
        let client = self.stage.lock().0.client.clone();
        self.mark(false);
        let pending = self.verifier.submit(&client, &key, &request)?;
        Ok(Asked { key, request, pending })
    }

    fn answered(&self, asked: Asked, wanted: &str) -> Result<(), CutError> {
        let Asked { key, request, pending } = asked;
        let outcome = pending.wait().map_err(ServiceError::from)?;
        self.mark(true);
        if outcome.to_string() != wanted {
            return Err(scenario(format!("{outcome} where it should be {wanted}")));
        }
        self.done(Deed::Ask { key, request: Box::new(request), outcome })
    }

    fn mark(&self, acknowledged: bool) {
        let marks = &mut self.stage.lock().0.marks;
        self.stage.recording.mark(marks.len());
        marks.push(Mark { actor: self.actor, acknowledged });
    }

    /// Takes down what the account is now.
    fn done(&self, deed: Deed) -> Result<(), CutError> {
        let view = Some(self.verifier.account(&self.number)?);
        let log = self.verifier.log(Some(&self.number))?;
        let actor = &mut self.stage.lock().0.actors[self.actor];
        let before = actor.states.last().map_or(0, |state| state.paid);
        let paid = before + actor.newly_paid(&deed);
        actor.states.push(State { view, logged: log.len(), paid });
        actor.deeds.push(deed);
        actor.log = log;
        Ok(())
    }
}

impl Actor {
    /// A repetition is answered with the receipt of the first time, and moves nothing.
    fn newly_paid(&self, deed: &Deed) -> u64 {
        let Deed::Ask { outcome: Outcome::Executed(receipt), .. } = deed else { return 0 };
        let repeated = self.deeds.iter().any(|deed| {
            matches!(deed, Deed::Ask { outcome: Outcome::Executed(old), .. }
                if old.transaction == receipt.transaction)
        });
        if repeated { 0 } else { receipt.amount }
    }
}

/// An account to be opened.
pub(super) fn account(
    holder: &str,
    cents: u64,
    number: Option<AccountNumber>,
) -> Result<AccountOptions, CutError> {
    Ok(AccountOptions {
        holder: onetap_apdu_spec::txn::PayeeName::new(holder).map_err(scenario)?,
        currency: samples::currency(),
        kind: AccountKind::Current,
        opening_balance: cents,
        number,
    })
}

fn order(verifier: &Verifier, number: &AccountNumber, seed: u64) -> Result<PaperCard, CutError> {
    let options = CardOptions { suite: suite()?, ..CardOptions::new(samples::currency()) };
    PaperCard::new(
        verifier.desk(Act::of_program("test", "set-up")).order_card(number, &options)?.personalisation,
        seed,
    )
}

fn activate(verifier: &Verifier, card: PaperCard) -> Result<PaperCard, CutError> {
    verifier.desk(Act::of_program("test", "set-up")).activate_card(&card.statement()?)?;
    Ok(card)
}

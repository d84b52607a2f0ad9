//! A simulated database: rows that everybody sees, rows that a crash leaves, and transactions between them.
//!
//! Grouped, as SQLite is used: one writer, many decisions in a commit. Otherwise as PostgreSQL is used: a
//! transaction for each decision, of any number of processes, each holding the row of its account from before it
//! reads until it is durable.

use std::collections::VecDeque;

use onetap_server_verifier::rules::cancel::ProvenCancellation;
use onetap_server_verifier::rules::decide::{Attempt, Decision};
use onetap_server_verifier::{CardState, Policy, Timestamp};
use onetap_server_verifier::{Event, Why};

use crate::cast::{CAST, HOLDERS};
use crate::defect::{Defect, cancel_with, decide_with};
use crate::history::{Looked, Request, What};
use crate::tables::{Read, Tables, Write, writes};

/// What a transaction does.
pub enum Job {
    /// Decides an attempt; the errand waits for the answer.
    Decide {
        errand: usize,
        request: Request,
        attempt: Box<Attempt>,
    },
    /// Decides a cancellation.
    Cancel {
        errand: usize,
        request: Request,
        cancellation: Box<ProvenCancellation>,
    },
    Unlock(usize, Timestamp),
    Block(usize, Timestamp),
    Rotate(usize, Timestamp),
}

impl Job {
    fn account(&self) -> usize {
        match self {
            Self::Decide { attempt, .. } => usize::try_from(attempt.account).unwrap(),
            Self::Cancel { cancellation, .. } => usize::try_from(cancellation.account).unwrap(),
            Self::Unlock(account, _) => *account,
            Self::Block(card, _) | Self::Rotate(card, _) => CAST.cards[*card].account,
        }
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Self::Decide { attempt, .. } => attempt.now,
            Self::Cancel { cancellation, .. } => cancellation.now,
            Self::Unlock(_, now) | Self::Block(_, now) | Self::Rotate(_, now) => *now,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Waiting,
    Locked,
    Decided,
    Over,
}

pub struct Transaction {
    pub process: usize,
    pub jobs: Vec<Job>,
    pub stage: Stage,
    /// Which of the locks.
    lock: usize,
    /// What was read too early.
    early: Vec<Option<Read>>,
    writes: Vec<Write>,
    /// Which job was decided by which record.
    pub records: Vec<(usize, usize)>,
}

pub struct Database {
    pub grouped: bool,
    defect: Option<Defect>,
    policy: Policy,
    view: Tables,
    pub durable: Tables,
    pub transactions: Vec<Transaction>,
    /// Who waits for which lock; the first of each holds it.
    locks: Vec<VecDeque<usize>>,
}

impl Database {
    pub fn new(grouped: bool, policy: Policy, defect: Option<Defect>) -> Self {
        let tables = Tables::new();
        Self {
            grouped,
            defect,
            policy,
            view: tables.clone(),
            durable: tables,
            transactions: Vec::new(),
            locks: vec![VecDeque::new(); HOLDERS.len()],
        }
    }

    /// Begins a transaction and asks for its lock. True if it has it.
    pub fn begin(&mut self, process: usize, jobs: Vec<Job>) -> (usize, bool) {
        let id = self.transactions.len();
        let lock = if self.grouped { 0 } else { jobs[0].account() };
        let early = if self.defect == Some(Defect::ReadsBeforeLock) && !self.grouped {
            jobs.iter().map(|job| self.read(job)).collect()
        } else {
            Vec::new()
        };
        self.locks[lock].push_back(id);
        let held = self.locks[lock].len() == 1;
        let stage = if held { Stage::Locked } else { Stage::Waiting };
        let (writes, records) = (Vec::new(), Vec::new());
        self.transactions.push(Transaction { process, jobs, stage, lock, early, writes, records });
        (id, held)
    }

    fn read(&self, job: &Job) -> Option<Read> {
        match job {
            Job::Decide { attempt, .. } => Some(self.view.read(attempt)),
            _ => None,
        }
    }

    /// Decides one job of a transaction that holds its lock.
    pub fn decide(&mut self, id: usize, job: usize) -> What {
        let transaction = &self.transactions[id];
        let early = transaction.early.get(job).cloned().flatten();
        let (what, write) = match &transaction.jobs[job] {
            Job::Decide { request, attempt, .. } => {
                let read = early.unwrap_or_else(|| self.view.read(attempt));
                self.judge(*request, attempt, read)
            }
            Job::Cancel { request, cancellation, .. } => {
                let rows = self.view.read_counter(cancellation);
                let locked = self.view.accounts[transaction.jobs[job].account()].lock.is_some();
                let ruling = cancel_with(self.defect, locked, &rows, cancellation);
                let write = ruling.event.map(|event| Write::Cancel(cancellation.now, Box::new(event)));
                (What::Ended(*request, ruling.answer.into()), write)
            }
            Job::Unlock(account, now) => {
                let locked = self.view.accounts[*account].lock.is_some();
                (What::Unlock(*account, locked), locked.then_some(Write::Unlock(*account, *now)))
            }
            Job::Block(card, now) => {
                let active = self.view.cards[*card].state == CardState::Active;
                (What::Block(*card), active.then_some(Write::Block(*card, *now)))
            }
            Job::Rotate(card, now) => {
                let until = Timestamp(now.0 + self.policy.key_overlap);
                let row = &self.view.cards[*card];
                let may = row.newest_key == 1 && row.state == CardState::Active;
                (What::Rotate(*card), may.then_some(Write::Rotate(*card, *now, until)))
            }
        };
        if let Some(write) = write {
            if self.grouped {
                self.view.apply(&write, self.defect);
            }
            self.transactions[id].writes.push(write);
        }
        what
    }

    fn judge(&self, request: Request, attempt: &Attempt, mut read: Read) -> (What, Option<Write>) {
        let elsewhere = self.view.account_of_key(attempt).is_some_and(|account| account != attempt.account);
        if elsewhere && self.defect == Some(Defect::KeyCountsByAccount) {
            read.rows.answered = None;
        }
        let decision = decide_with(self.defect, &self.policy, &read.rows, attempt);
        let outcome = decision.outcome();
        let Decision::Commit(commit) = &decision else {
            return (What::Judged { request, outcome, looked: Looked::Elsewhere }, None);
        };
        let looked = match &commit.event {
            Event::WrongPassword { .. } => Looked::Wrong,
            Event::Executed { .. } | Event::Refused { why: Why::Funds | Why::Limit, .. } => Looked::Right,
            _ => Looked::Elsewhere,
        };
        let write = writes(read, attempt, commit);
        (What::Judged { request, outcome, looked }, Some(write))
    }

    /// Whether what a transaction writes under an idempotency key meets what another has written since it was decided.
    pub fn meets(&self, id: usize) -> bool {
        !self.grouped
            && ![Some(Defect::TakenKeyOverwritten), Some(Defect::KeyCountsByAccount)].contains(&self.defect)
            && self.transactions[id].writes.iter().any(|write| self.durable.has_key_of(write))
    }

    /// A transaction that was rolled back begins anew; it still has its lock.
    pub fn restart(&mut self, id: usize) {
        let transaction = &mut self.transactions[id];
        transaction.stage = Stage::Locked;
        (transaction.early, transaction.writes, transaction.records) = Default::default();
    }

    /// Everything of the transaction is decided. Returns who holds a lock that was let go too early.
    pub fn decided(&mut self, id: usize) -> Option<usize> {
        self.transactions[id].stage = Stage::Decided;
        let early = self.defect == Some(Defect::UnlocksBeforeDurable) && !self.grouped;
        if early { self.release(id) } else { None }
    }

    /// Makes a transaction durable, and seen by all. Returns who holds its lock now.
    pub fn commit(&mut self, id: usize) -> Option<usize> {
        let mut writes = std::mem::take(&mut self.transactions[id].writes);
        if self.defect == Some(Defect::SavepointLost) && writes.len() > 1 {
            writes.pop();
        }
        for write in &writes {
            self.durable.apply(write, self.defect);
            if !self.grouped {
                self.view.apply(write, self.defect);
            }
        }
        if self.defect == Some(Defect::SavepointLost) {
            self.view = self.durable.clone();
        }
        self.transactions[id].stage = Stage::Over;
        self.release(id)
    }

    /// Undoes a transaction. Returns who holds its lock now.
    pub fn abort(&mut self, id: usize) -> Option<usize> {
        let undo = self.grouped && self.transactions[id].stage == Stage::Decided;
        if undo {
            self.view = self.durable.clone();
        }
        self.transactions[id].stage = Stage::Over;
        if self.defect == Some(Defect::DeadHoldLocks) { None } else { self.release(id) }
    }

    fn release(&mut self, id: usize) -> Option<usize> {
        let lock = self.transactions[id].lock;
        let place = self.locks[lock].iter().position(|waiting| *waiting == id)?;
        self.locks[lock].remove(place);
        let next = *self.locks[lock].front().filter(|_| place == 0)?;
        self.transactions[next].stage = Stage::Locked;
        Some(next)
    }

    /// Transactions that are under way, of one process or of all.
    pub fn under_way(&self, process: Option<usize>) -> Vec<usize> {
        let ids = self.transactions.iter().enumerate();
        ids.filter(|(_, transaction)| {
            transaction.stage != Stage::Over && process.is_none_or(|process| transaction.process == process)
        })
        .map(|(id, _)| id)
        .collect()
    }
}

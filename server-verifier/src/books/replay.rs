//! What the rows of an account must be, told from its audit chain alone. A row that somebody has changed past
//! the server does not fit, however well the new value looks.

use std::collections::BTreeMap;

use onetap_apdu_spec::crypto::Digest;
use onetap_apdu_spec::header::{CardId, KeyId};
use onetap_apdu_spec::service::{Receipt, SystemName, TransactionId};

use crate::books::holds::capture_id;
use crate::domain::{CardState, Event, HoldState, Life, Lock, Mark, Timestamp};

/// An account as its chain tells it.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) closed: bool,
    pub(crate) lock: Option<Lock>,
    pub(crate) wrong_in_a_row: u32,
    /// Moment and place in the chain of the wrong passwords since the last unlock.
    pub(crate) wrong: Vec<(i64, i64)>,
    pub(crate) cards: BTreeMap<CardId, ReplayedCard>,
    /// What was executed: where in the chain, and how much.
    pub(crate) executed: BTreeMap<TransactionId, (i64, u64)>,
    /// What went out of the account, by the transaction's id: minor units.
    pub(crate) paid: BTreeMap<TransactionId, u64>,
    /// By the place of the entry that placed it: how much was held, what became of it, how much was captured.
    pub(crate) holds: BTreeMap<i64, (u64, HoldState, u64)>,
    /// Who keeps the account's books, if not this server.
    pub(crate) system: Option<SystemName>,
    /// What the account was opened with, minor units.
    pub(crate) opening_balance: u64,
}

/// A card as the chain of its account tells it.
#[derive(Debug)]
pub(crate) struct ReplayedCard {
    pub(crate) state: CardState,
    pub(crate) newest_key: KeyId,
    pub(crate) older_until: Option<Timestamp>,
    pub(crate) mark: Option<Mark>,
    /// By signing key: the digest of what was enrolled, once it was.
    pub(crate) keys: BTreeMap<KeyId, Option<Digest>>,
}

impl Replayed {
    /// What `event`, the entry at place `sequence`, changes. False if it cannot follow what came before.
    pub(crate) fn apply(&mut self, sequence: i64, at: Timestamp, event: &Event) -> bool {
        match event {
            Event::AccountOpened { opening_balance, .. } => self.opening_balance = *opening_balance,
            Event::AccountClosed => self.closed = true,
            Event::CardOrdered { card, signing_key, .. } => self.order(*card, *signing_key),
            Event::CardActivated { card, signing_key, enrolled, older_until } => {
                let Some(known) = self.cards.get_mut(card) else {
                    return false;
                };
                known.state = CardState::Active;
                known.newest_key = *signing_key;
                known.older_until = *older_until;
                known.keys.insert(*signing_key, Some(*enrolled));
            }
            Event::CardBlocked { card, .. } => match self.cards.get_mut(card) {
                Some(known) => known.state = CardState::Blocked,
                None => return false,
            },
            Event::Executed { receipt, mark, .. } => {
                self.wrong_in_a_row = 0;
                self.execute(sequence, receipt);
                let card = receipt.transaction.parts().map(|(card, _)| card);
                return card.is_some_and(|card| self.move_mark(card, *mark));
            }
            Event::Refused { card, why, mark, .. } => {
                if why.follows_right_password() {
                    self.wrong_in_a_row = 0;
                }
                return mark.is_none_or(|mark| self.move_mark(*card, mark));
            }
            Event::WrongPassword { card, locked, mark, .. } => {
                self.wrong_in_a_row += 1;
                self.wrong.push((at.0, sequence));
                self.lock = self.lock.or(locked.map(|cause| Lock { since: at, cause }));
                return mark.is_none_or(|mark| self.move_mark(*card, mark));
            }
            Event::Cancelled { card, mark, .. } => return self.move_mark(*card, *mark),
            Event::Unlocked { .. } => self.unlock(),
            Event::AccountLinked { system, .. } => self.system = Some(system.clone()),
            Event::HoldPlaced { amount, .. } => {
                self.holds.insert(sequence, (*amount, HoldState::Open, 0));
            }
            Event::HoldReleased { hold, .. } => return self.close(hold.sequence, HoldState::Released, 0),
            Event::HoldCaptured { hold, amount, .. } => {
                self.paid.insert(capture_id(*hold), *amount);
                return self.close(hold.sequence, HoldState::Captured, *amount);
            }
            Event::ExecutionSettled { transaction } => {
                return self.answered(transaction, HoldState::Captured);
            }
            Event::ExecutionFailed { transaction, .. } => {
                return self.answered(transaction, HoldState::Released);
            }
            _ => {}
        }
        true
    }

    fn order(&mut self, card: CardId, signing_key: KeyId) {
        let new = || ReplayedCard {
            state: CardState::Ordered,
            newest_key: signing_key,
            older_until: None,
            mark: None,
            keys: BTreeMap::new(),
        };
        self.cards.entry(card).or_insert_with(new).keys.insert(signing_key, None);
    }

    /// Booked, or held until another system has booked it.
    fn execute(&mut self, sequence: i64, receipt: &Receipt) {
        let id = receipt.transaction.clone();
        self.executed.insert(id.clone(), (sequence, receipt.amount));
        if receipt.accepted_for.is_some() {
            self.holds.insert(sequence, (receipt.amount, HoldState::Open, 0));
        } else {
            self.paid.insert(id, receipt.amount);
        }
    }

    /// Closes a hold. False if there is none that is open.
    fn close(&mut self, sequence: i64, closed: HoldState, amount: u64) -> bool {
        let Some((_, state, captured)) = self.holds.get_mut(&sequence) else {
            return false;
        };
        let open = *state == HoldState::Open;
        (*state, *captured) = (closed, amount);
        open
    }

    /// What another system has said of a transaction that was accepted for it.
    fn answered(&mut self, transaction: &TransactionId, state: HoldState) -> bool {
        let Some((sequence, amount)) = self.executed.get(transaction).copied() else {
            return false;
        };
        let captured = if state == HoldState::Captured { amount } else { 0 };
        if captured > 0 && self.system.is_none() {
            self.paid.insert(transaction.clone(), captured);
        }
        self.close(sequence, state, captured)
    }

    fn unlock(&mut self) {
        self.lock = None;
        self.wrong_in_a_row = 0;
        self.wrong.clear();
        for mark in self.cards.values_mut().filter_map(|card| card.mark.as_mut()) {
            mark.life = Life::Dead;
        }
    }

    /// A mark never goes back.
    fn move_mark(&mut self, card: CardId, mark: Mark) -> bool {
        let Some(known) = self.cards.get_mut(&card) else {
            return false;
        };
        let forward = known.mark.is_none_or(|before| before.counter <= mark.counter);
        known.mark = Some(mark);
        forward
    }
}

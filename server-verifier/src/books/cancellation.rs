//! One cancellation on a store: lock the account, read mark and execution, decide, write. The same on either store.

use crate::books;
use crate::books::accounts::RowLock;
use crate::books::decision::{Decider, executed_entry};
use crate::books::sql::{Sql, params};
use crate::books::write::Telling;
use crate::domain::Act;
use crate::domain::{Event, Life, Mark, StoreError};
use crate::rules::cancel::{CounterRows, ProvenCancellation, cancel};
use crate::rules::decide::Outcome;

impl Decider {
    /// Decides `cancellation` and writes what changes, inside the caller's transaction.
    pub(super) fn cancel(
        &self,
        db: &mut dyn Sql,
        cancellation: &ProvenCancellation,
    ) -> Result<Outcome, StoreError> {
        let rows = gather(db, cancellation)?;
        let ruling = cancel(&rows, cancellation);
        let Some(event) = &ruling.event else {
            return Ok(ruling.answer.into());
        };
        let act = Act::of_terminal(&cancellation.terminal);
        Telling::new(cancellation.account, cancellation.now, &act, event).tell(db, &self.sealer)?;
        Ok(ruling.answer.into())
    }
}

/// Locks the account, then reads.
fn gather(db: &mut dyn Sql, cancellation: &ProvenCancellation) -> Result<CounterRows, StoreError> {
    let (account, counter) = (cancellation.account, cancellation.counter());
    let locked = books::account_by_row(db, account, RowLock::Decide)?;
    if !locked.ok_or(StoreError::BadRow { what: "account" })?.is_here() {
        return Err(StoreError::AccountMoved);
    }
    let sql = "SELECT state, mark_counter, mark_fingerprint, mark_life, mark_wrong FROM cards
        WHERE account_id = ?1 AND card_id = ?2";
    let card = cancellation.card().to_string();
    let mark: Option<Mark> = db
        .first(sql, &params![account, &card], |row| Ok(books::card_state(row)?.1))?
        .ok_or(StoreError::BadRow { what: "card" })?;
    let executed = match executed_entry(db, account, cancellation.card(), counter)? {
        Some(sequence) => match books::event_at(db, account, sequence)? {
            Some(Event::Executed { receipt, mark, .. }) => Some((receipt, mark.fingerprint)),
            _ => return Err(StoreError::BadRow { what: "receipt" }),
        },
        None => None,
    };
    let spent = mark.is_some_and(|mark| mark.counter == counter && mark.life == Life::Executed);
    if spent && executed.is_none() {
        return Err(StoreError::BadRow { what: "mark" });
    }
    Ok(CounterRows { mark, executed })
}

//! The rows of the outbox. Of each account only the oldest message is ever sent; a claim moves `due_at` forward, so
//! that others leave the message alone until the lease is over.

use onetap_apdu_spec::header::ServerId;

use crate::books;
use crate::books::chain::Place;
use crate::books::sql::{Row, Sql, Statement, params};
use crate::domain::{
    DeadLetter, EntryId, Event, Message, MessageState, MessageView, StoreError, Timestamp, Topic, Why,
};

/// When a dead letter, and what it holds back, is due.
const NEVER: i64 = i64::MAX;

/// A message that this process may send until its lease is over.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) entry: EntryId,
    pub(crate) message: Message,
    /// How often it was sent before.
    pub(crate) attempts: u32,
    /// Until when nobody else sends it; tells this claim from a later one.
    pub(crate) lease: Timestamp,
}

macro_rules! due {
    ($tail:literal) => {
        concat!(
            "SELECT o.account_id, o.sequence, o.topic, o.attempts, a.number, u.at, u.event FROM outbox o
             JOIN accounts a ON a.account_id = o.account_id
             JOIN audit u ON u.account_id = o.account_id AND u.sequence = o.sequence
             WHERE o.due_at <= ?1 AND NOT EXISTS (SELECT 1 FROM outbox e
                 WHERE e.account_id = o.account_id AND e.sequence < o.sequence)
             ORDER BY o.due_at LIMIT ?2",
            $tail
        )
    };
}

/// Whether anything may be due at `now`: cheap, and without a lock.
pub(crate) fn any_due(db: &mut dyn Sql, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM outbox WHERE due_at <= ?1 LIMIT 1";
    Ok(db.first(sql, &params![now.0], |_| Ok(()))?.is_some())
}

/// Claims up to `limit` messages that are due, until `lease`.
pub(crate) fn claim(
    db: &mut dyn Sql,
    server: ServerId,
    now: Timestamp,
    lease: Timestamp,
    limit: u32,
) -> Result<Vec<Claimed>, StoreError> {
    let sql = if db.locks_rows() { due!(" FOR UPDATE OF o SKIP LOCKED") } else { due!("") };
    let claimed = db.all(sql, &params![now.0, limit], |row| claimed(row, server, lease))?;
    for Claimed { entry, .. } in &claimed {
        let sql = "UPDATE outbox SET due_at = ?3 WHERE account_id = ?1 AND sequence = ?2";
        db.execute(sql, &params![entry.account, entry.sequence, lease.0])?;
    }
    Ok(claimed)
}

fn claimed(row: &Row<'_>, server: ServerId, lease: Timestamp) -> Result<Claimed, StoreError> {
    let (account, sequence) = (row.int("account_id")?, row.int("sequence")?);
    let message = Message {
        id: format!("{server}-{account}-{sequence}"),
        topic: books::parse(row.text("topic")?, "topic")?,
        server,
        account: books::parse(row.text("number")?, "account number")?,
        sequence,
        at: Timestamp(row.int("at")?),
        event: books::from_json(row.text("event")?, "audit entry")?,
    };
    Ok(Claimed { entry: EntryId { account, sequence }, message, attempts: row.count("attempts")?, lease })
}

/// Forgets a message that was taken, also by a second copy of it; what it held back is due.
pub(crate) fn done(db: &mut dyn Sql, entry: EntryId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM outbox WHERE account_id = ?1 AND sequence = ?2";
    db.execute(sql, &params![entry.account, entry.sequence])?;
    wake(db, entry, now)
}

/// A failed attempt: the message, and what it holds back, is due again at `next`, or never. Changes nothing if
/// the lease was over and somebody else claimed it.
pub(crate) fn failed(
    db: &mut dyn Sql,
    claimed: &Claimed,
    why: &str,
    now: Timestamp,
    next: Option<Timestamp>,
) -> Result<(), StoreError> {
    let (due, dead) = next.map_or((NEVER, Some(now.0)), |next| (next.0, None));
    let EntryId { account, sequence } = claimed.entry;
    let changed = db.execute(
        "UPDATE outbox SET attempts = attempts + 1, due_at = ?3, dead_at = ?4, failure = ?5
         WHERE account_id = ?1 AND sequence = ?2 AND due_at = ?6",
        &params![account, sequence, due, dead, why, claimed.lease.0],
    )?;
    if changed > 0 {
        let sql = "UPDATE outbox SET due_at = ?3 WHERE account_id = ?1 AND sequence > ?2 AND due_at < ?3";
        db.execute(sql, &params![account, sequence, due])?;
    }
    Ok(())
}

/// What comes after a message is due.
fn wake(db: &mut dyn Sql, entry: EntryId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE outbox SET due_at = ?3 WHERE account_id = ?1 AND sequence > ?2 AND due_at > ?3
        AND dead_at IS NULL";
    db.execute(sql, &params![entry.account, entry.sequence, now.0]).map(drop)
}

/// The messages that nobody took.
pub(crate) fn dead(db: &mut dyn Sql, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = "SELECT o.account_id, o.sequence, o.topic, a.number, o.attempts, o.failure, o.dead_at
        FROM outbox o JOIN accounts a ON a.account_id = o.account_id
        WHERE o.dead_at IS NOT NULL ORDER BY o.dead_at, o.account_id LIMIT ?1";
    db.all(sql, &params![limit], |row| {
        Ok(DeadLetter {
            message: EntryId { account: row.int("account_id")?, sequence: row.int("sequence")? },
            topic: books::parse::<Topic>(row.text("topic")?, "topic")?,
            account: books::parse(row.text("number")?, "account number")?,
            attempts: row.count("attempts")?,
            failure: row.opt_text("failure")?.unwrap_or_default().to_owned(),
            dead_at: Timestamp(row.int("dead_at")?),
        })
    })
}

/// When what the oldest message tells of happened that is not dead nor held back by one.
pub(crate) fn oldest_waiting(db: &mut dyn Sql) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT min(u.at) AS at FROM outbox o
        JOIN audit u ON u.account_id = o.account_id AND u.sequence = o.sequence WHERE o.due_at < ?1";
    Ok(db.first(sql, &params![NEVER], |row| row.opt_int("at"))?.flatten().map(Timestamp))
}

/// The messages after `after`, whatever their state.
pub(crate) fn list(db: &mut dyn Sql, after: EntryId, limit: u32) -> Result<Vec<MessageView>, StoreError> {
    let sql =
        "SELECT o.account_id, o.sequence, o.topic, a.number, o.attempts, o.failure, o.due_at, o.dead_at,
        (SELECT count(*) FROM outbox e WHERE e.account_id = o.account_id AND e.sequence < o.sequence
            AND e.dead_at IS NOT NULL) AS dead_before
        FROM outbox o JOIN accounts a ON a.account_id = o.account_id
        WHERE (o.account_id, o.sequence) > (?1, ?2) ORDER BY o.account_id, o.sequence LIMIT ?3";
    db.all(sql, &params![after.account, after.sequence, limit], |row| {
        let dead_at = row.opt_int("dead_at")?.map(Timestamp);
        let state = match (dead_at, row.int("dead_before")?) {
            (Some(_), _) => MessageState::Dead,
            (None, 0) => MessageState::Waiting,
            (None, _) => MessageState::HeldBack,
        };
        let due_at = Timestamp(row.int("due_at")?);
        Ok(MessageView {
            message: EntryId { account: row.int("account_id")?, sequence: row.int("sequence")? },
            topic: books::parse(row.text("topic")?, "topic")?,
            account: books::parse(row.text("number")?, "account number")?,
            state,
            attempts: row.count("attempts")?,
            failure: row.opt_text("failure")?.map(str::to_owned),
            due_at: (state == MessageState::Waiting).then_some(due_at),
            dead_at,
        })
    })
}

/// Sends a dead letter again; false if there is none.
pub(crate) fn revive(db: &mut dyn Sql, entry: EntryId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE outbox SET attempts = 0, due_at = ?3, dead_at = NULL
        WHERE account_id = ?1 AND sequence = ?2 AND dead_at IS NOT NULL";
    let changed = db.execute(sql, &params![entry.account, entry.sequence, now.0])?;
    wake_if(db, changed, entry, now)
}

/// Gives a dead letter up; false if there is none.
pub(crate) fn forget_dead(db: &mut dyn Sql, entry: EntryId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "DELETE FROM outbox WHERE account_id = ?1 AND sequence = ?2 AND dead_at IS NOT NULL";
    let changed = db.execute(sql, &params![entry.account, entry.sequence])?;
    wake_if(db, changed, entry, now)
}

/// What comes after a dead letter is due, if there was one.
fn wake_if(db: &mut dyn Sql, changed: u64, entry: EntryId, now: Timestamp) -> Result<bool, StoreError> {
    if changed > 0 {
        wake(db, entry, now)?;
    }
    Ok(changed > 0)
}

/// The statement that writes a message about the entry at `place`, due at once.
pub(crate) fn message(place: Place, topic: Topic) -> Statement<'static> {
    let sql = "INSERT INTO outbox (account_id, sequence, topic, due_at) VALUES (?1, ?2, ?3, ?4)";
    Statement::new(sql, &params![place.account, place.sequence, <&'static str>::from(topic), place.at.0])
}

/// What others may be told of an event as.
pub(crate) fn topic_of(event: &Event) -> Option<Topic> {
    match event {
        Event::WrongPassword { locked: Some(_), .. } => Some(Topic::AccountLocked),
        Event::Refused { why: Why::UndecryptablePassword, .. } => Some(Topic::Alarm),
        Event::Executed { receipt, .. } if receipt.accepted_for.is_some() => Some(Topic::Execute),
        Event::Executed { .. } => Some(Topic::Executed),
        Event::ExecutionSettled { .. } => Some(Topic::Settled),
        Event::ExecutionFailed { .. } => Some(Topic::Failed),
        Event::HoldCaptured { .. } => Some(Topic::Captured),
        Event::Reversed { .. } => Some(Topic::Reversed),
        _ => None,
    }
}

/// Whether others are told of each transaction.
pub(crate) fn announces(db: &mut dyn Sql) -> Result<bool, StoreError> {
    Ok(db.count("SELECT announces FROM server", &[])? != 0)
}

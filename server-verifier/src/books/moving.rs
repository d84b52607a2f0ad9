//! What an account has that moves with it to another shard, and what was sent after it.

use onetap_apdu_spec::service::TransactionId;

use crate::books;
use crate::books::sql::{Sql, params};
use crate::domain::{Carried, CarriedHold, EntryId, Event, Lock, Shard, StoreError, Timestamp};

/// Takes up what the account of a row has. Its messages are deleted here: they are sent from where it moves to.
pub(crate) fn take_up(db: &mut dyn Sql, account: i64, locked: Option<Lock>) -> Result<Carried, StoreError> {
    let holds = "SELECT sequence, amount, payee_id, system, placed_at FROM holds
        WHERE account_id = ?1 AND state = 'open' ORDER BY sequence";
    let holds = db.all(holds, &params![account], |row| {
        Ok(CarriedHold {
            sequence: row.int("sequence")?,
            amount: row.int("amount")?.unsigned_abs(),
            payee: row.opt_int("payee_id")?,
            system: row.opt_text("system")?.map(|name| books::parse(name, "system")).transpose()?,
            placed_at: Timestamp(row.int("placed_at")?),
        })
    })?;
    let messages = "DELETE FROM outbox WHERE account_id = ?1 RETURNING sequence";
    let mut messages = db.all(messages, &params![account], |row| row.int("sequence"))?;
    messages.sort_unstable();
    Ok(Carried { locked, holds, messages })
}

/// Money on its way after an account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// The entry that tells it, in the shard that sent it.
    pub(crate) entry: EntryId,
    /// Minor units.
    pub(crate) amount: u64,
}

/// All that was sent to `shard` after the account of a row. The account must be locked.
pub(crate) fn sent(db: &mut dyn Sql, account: i64, shard: Shard) -> Result<Vec<Sent>, StoreError> {
    let ids = "SELECT transaction_id FROM entries
        WHERE account_id = ?1 AND transaction_id LIKE 'carried-%'";
    let ids =
        db.all(ids, &params![account], |row| books::parse(row.text("transaction_id")?, "transaction"))?;
    let mut all = Vec::new();
    for id in ids {
        let TransactionId::Carried { account: settling, sequence } = id else { continue };
        match books::event_at(db, settling, sequence)? {
            Some(Event::MoneySent { to, account: of, amount }) if (to, of) == (shard, account) => {
                all.push(Sent { entry: EntryId { account: settling, sequence }, amount });
            }
            // It has come here, or has gone elsewhere.
            _ => {}
        }
    }
    Ok(all)
}

/// Whether money that was sent after the account of a row has come.
pub(crate) fn has_come(db: &mut dyn Sql, account: i64, sent: EntryId) -> Result<bool, StoreError> {
    let id = TransactionId::Carried { account: sent.account, sequence: sent.sequence }.to_string();
    let sql = "SELECT count(*) FROM entries WHERE account_id = ?1 AND transaction_id = ?2";
    Ok(db.count(sql, &params![account, &id])? > 0)
}

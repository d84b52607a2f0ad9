//! Rows of `holds`.

use onetap_apdu_spec::service::{SystemName, TransactionId};

use crate::books;
use crate::books::accounts::RowLock;
use crate::books::sql::{Row, Sql, params};
use crate::domain::{Account, HoldId, HoldState, HoldView, StoreError, Timestamp};

/// A row of `holds`.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) amount: i64,
    pub(crate) state: HoldState,
    /// Who is paid, once it is known.
    pub(crate) payee: Option<i64>,
    /// Who must book it, if not this server.
    pub(crate) system: Option<SystemName>,
    pub(crate) closed_at: Option<Timestamp>,
}

/// The id of the transaction that capturing a hold posts.
pub(crate) fn capture_id(hold: HoldId) -> TransactionId {
    TransactionId(format!("capture-{hold}"))
}

/// Account, sequence, amount, payee, system, moment.
pub(crate) const PLACE: &str =
    "INSERT INTO holds (account_id, sequence, amount, state, payee_id, system, placed_at)
    VALUES (?1, ?2, ?3, 'open', ?4, ?5, ?6)";

/// A holder's account, which nobody else may decide on until the transaction ends; others may still credit it.
pub(crate) fn lock_account(db: &mut dyn Sql, account: i64) -> Result<Option<Account>, StoreError> {
    books::account_by_row(db, account, RowLock::Decide)
}

pub(crate) fn hold(db: &mut dyn Sql, id: HoldId) -> Result<Option<Hold>, StoreError> {
    let sql = "SELECT amount, state, payee_id, system, closed_at FROM holds
        WHERE account_id = ?1 AND sequence = ?2";
    db.first(sql, &params![id.account, id.sequence], |row: &dyn Row| {
        let system = row.opt_text(3)?.map(|name| books::parse(name, "system"));
        Ok(Hold {
            amount: row.int(0)?,
            state: books::from_name(row.text(1)?, "hold")?,
            payee: row.opt_int(2)?,
            system: system.transpose()?,
            closed_at: row.opt_int(4)?.map(Timestamp),
        })
    })
}

pub(crate) fn view(row: &dyn Row) -> Result<HoldView, StoreError> {
    let payee = row.opt_text(5)?.map(|number| books::parse(number, "account number"));
    let system = row.opt_text(6)?.map(|name| books::parse(name, "system"));
    Ok(HoldView {
        hold: HoldId { account: row.int(0)?, sequence: row.int(1)? },
        amount: row.int(2)?.unsigned_abs(),
        state: books::from_name(row.text(3)?, "hold")?,
        captured: row.int(4)?.unsigned_abs(),
        payee: payee.transpose()?,
        system: system.transpose()?,
        placed_at: Timestamp(row.int(7)?),
        closed_at: row.opt_int(8)?.map(Timestamp),
    })
}

/// Closes a hold: with what was paid to whom if it is captured. The account must be locked.
pub(crate) fn close(
    db: &mut dyn Sql,
    id: HoldId,
    hold: &Hold,
    state: HoldState,
    paid: Option<(i64, i64)>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (captured, payee) = (paid.map_or(0, |paid| paid.0), paid.map(|paid| paid.1).or(hold.payee));
    db.execute(
        "UPDATE holds SET state = ?3, captured = ?4, payee_id = ?5, closed_at = ?6
         WHERE account_id = ?1 AND sequence = ?2",
        &params![id.account, id.sequence, &books::to_name(&state)?, captured, payee, at.0],
    )?;
    let free = "UPDATE accounts SET held = held - ?2 WHERE account_id = ?1";
    db.execute(free, &params![id.account, hold.amount])?;
    Ok(())
}

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
    /// How much of it was paid.
    pub(crate) captured: i64,
    /// Who is paid, once it is known.
    pub(crate) payee: Option<i64>,
    /// Who must book it, if not this server.
    pub(crate) system: Option<SystemName>,
    pub(crate) closed_at: Option<Timestamp>,
}

/// The id of the transaction that capturing a hold posts.
pub(crate) fn capture_id(hold: HoldId) -> TransactionId {
    TransactionId::Capture { account: hold.account, sequence: hold.sequence }
}

/// A holder's account, which nobody else may decide on until the transaction ends; others may still credit it.
pub(crate) fn lock_account(db: &mut dyn Sql, account: i64) -> Result<Option<Account>, StoreError> {
    books::account_by_row(db, account, RowLock::Decide)
}

pub(crate) fn hold(db: &mut dyn Sql, id: HoldId) -> Result<Option<Hold>, StoreError> {
    let sql = "SELECT amount, state, captured, payee_id, system, closed_at FROM holds
        WHERE account_id = ?1 AND sequence = ?2";
    db.first(sql, &params![id.account, id.sequence], |row: &Row<'_>| {
        let system = row.opt_text("system")?.map(|name| books::parse(name, "system"));
        Ok(Hold {
            amount: row.int("amount")?,
            state: books::parse(row.text("state")?, "hold")?,
            captured: row.int("captured")?,
            payee: row.opt_int("payee_id")?,
            system: system.transpose()?,
            closed_at: row.opt_int("closed_at")?.map(Timestamp),
        })
    })
}

pub(crate) fn view(row: &Row<'_>) -> Result<HoldView, StoreError> {
    let payee = row.opt_text("number")?.map(|number| books::parse(number, "account number"));
    let system = row.opt_text("system")?.map(|name| books::parse(name, "system"));
    Ok(HoldView {
        hold: HoldId { account: row.int("account_id")?, sequence: row.int("sequence")? },
        amount: row.int("amount")?.unsigned_abs(),
        state: books::parse(row.text("state")?, "hold")?,
        captured: row.int("captured")?.unsigned_abs(),
        payee: payee.transpose()?,
        system: system.transpose()?,
        placed_at: Timestamp(row.int("placed_at")?),
        closed_at: row.opt_int("closed_at")?.map(Timestamp),
    })
}

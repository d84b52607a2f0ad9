//! Double entry: money only moves between accounts, so all legs of one transaction, all entries and
//! all balances sum to zero. An equity account for each currency is the other side of opening balances; one more
//! for each other system settles with it.

use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::service::SystemName;

use crate::books::chain::Sealer;
use crate::books::sql::{Sql, params};
use crate::books::write::Telling;
use crate::books::{OPERATOR, end_of_chain, shard};
use crate::domain::{Act, Actor, Event, StoreError, Timestamp};

/// The row that the next account is to have, of those of this shard. The operator's row is locked, so that nobody else takes it.
pub(crate) fn next_account(db: &mut dyn Sql) -> Result<i64, StoreError> {
    end_of_chain(db, OPERATOR)?;
    let rows = shard(db)?.rows();
    let last = "SELECT max(account_id) AS last FROM accounts WHERE account_id BETWEEN ?1 AND ?2";
    let last = db.first(last, &params![*rows.start(), *rows.end()], |row| row.opt_int("last"))?.flatten();
    Ok(last.unwrap_or(*rows.start()) + 1)
}

/// The row of the equity account in `currency` that settles with `system`, or is the other side of opening balances; made
/// by the server when first needed.
pub(crate) fn equity_account(
    db: &mut dyn Sql,
    sealer: &Sealer,
    at: Timestamp,
    currency: Currency,
    system: Option<&SystemName>,
) -> Result<i64, StoreError> {
    let name = system.map_or("", |system| system.as_str());
    let found = "SELECT account_id FROM accounts
        WHERE kind = 'equity' AND currency = ?1 AND coalesce(system, '') = ?2";
    if let Some(id) = db.first(found, &params![currency.code(), name], |row| row.int("account_id"))? {
        return Ok(id);
    }
    let holder =
        system.map_or_else(|| "equity".to_owned(), |system| format!("settlement {}", system.as_str()));
    let id = next_account(db)?;
    let event = Event::EquityOpened { holder, currency, system: system.cloned() };
    Telling::new(id, at, &Act::plain(Actor::Server), &event).tell(db, sealer)?;
    Ok(id)
}

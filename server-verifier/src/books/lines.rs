//! The lines of statements: what an account's own chain tells, and what it got by the chains of others.

use crate::books;
use crate::books::chain::Place;
use crate::books::project::{Change, Payment, project};
use crate::books::sql::{Row, Sql, params};
use crate::books::whereabouts::Whereabouts;
use crate::domain::{MAX_PAGE, StatementLine, StatementPlace, StoreError, Timestamp};

/// What an account got by the next entry of its own chain, from a row of account, sequence, moment and event; none if the
/// entry moves no money of it, or did so in another shard.
pub(crate) fn own_leg(
    row: &Row<'_>,
    whereabouts: &mut Whereabouts,
) -> Result<Option<(Payment, i64)>, StoreError> {
    let place = Place {
        account: row.int("account_id")?,
        sequence: row.int("sequence")?,
        at: Timestamp(row.int("at")?),
    };
    let event = books::from_json(row.text("event")?, "audit entry")?;
    whereabouts.follow(&event)?;
    if !whereabouts.is_here() {
        return Ok(None);
    }
    let paid = project(place, &event)?.into_iter().find_map(|change| match change {
        Change::Pay(payment) => payment.leg(place.account).map(|amount| (payment, amount)),
        _ => None,
    });
    Ok(paid)
}

/// The lines of a statement after a place, `limit` of them at most: the account's own and those of others, each in the order
/// in which they were written, the older first.
pub(crate) fn lines(
    db: &mut dyn Sql,
    account: i64,
    after: &StatementPlace,
    limit: usize,
) -> Result<Vec<StatementLine>, StoreError> {
    let mut own = own(db, account, after, limit)?.into_iter().peekable();
    let mut others = others(db, account, after, limit)?.into_iter().peekable();
    let (mut place, mut lines) = (after.clone(), Vec::new());
    while lines.len() < limit {
        let own_first = match (own.peek(), others.peek()) {
            (Some((_, own)), Some(other)) => own.at <= other.at,
            (own, _) => own.is_some(),
        };
        let next = if own_first {
            own.next().map(|(sequence, line)| {
                place.own = sequence;
                line
            })
        } else {
            others.next().inspect(|line| (place.at, place.transaction) = (line.at, line.transaction.clone()))
        };
        let Some(line) = next else { break };
        lines.push(StatementLine { place: place.clone(), ..line });
    }
    Ok(lines)
}

/// Those that the account's own chain tells, with the places of their entries.
fn own(
    db: &mut dyn Sql,
    account: i64,
    after: &StatementPlace,
    limit: usize,
) -> Result<Vec<(i64, StatementLine)>, StoreError> {
    let sql = "SELECT account_id, sequence, at, event FROM audit
        WHERE account_id = ?1 AND sequence > ?2 AND actor IS NOT NULL ORDER BY sequence LIMIT ?3";
    let (mut found, mut read) = (Vec::new(), after.own);
    let here = books::shard(db)?;
    // The account was at home when it booked a line.
    let mut whereabouts =
        if read == 0 { Whereabouts::begin(account, here) } else { Whereabouts::at_home(here) };
    while found.len() < limit {
        let mut page = Vec::new();
        db.query(sql, &params![account, read, MAX_PAGE], &mut |row| {
            page.push((row.int("sequence")?, own_leg(row, &mut whereabouts)?));
            Ok(())
        })?;
        let Some((last, _)) = page.last() else { break };
        read = *last;
        let paid = page.into_iter().filter_map(|(sequence, leg)| leg.map(|leg| (sequence, leg)));
        found.extend(paid.map(|(sequence, (payment, amount))| {
            let Payment { transaction, at, .. } = payment;
            (sequence, StatementLine { transaction, amount, at, place: after.clone() })
        }));
    }
    Ok(found)
}

/// Those that the chains of others tell.
fn others(
    db: &mut dyn Sql,
    account: i64,
    after: &StatementPlace,
    limit: usize,
) -> Result<Vec<StatementLine>, StoreError> {
    let sql = "SELECT at, transaction_id, amount FROM entries
        WHERE account_id = ?1 AND (at, transaction_id) > (?2, ?3) ORDER BY at, transaction_id LIMIT ?4";
    let limit = u32::try_from(limit).unwrap_or(MAX_PAGE);
    db.all(sql, &params![account, after.at.0, &after.transaction, limit], |row| {
        let (at, transaction) = (Timestamp(row.int("at")?), row.text("transaction_id")?.to_owned());
        Ok(StatementLine { transaction, amount: row.int("amount")?, at, place: after.clone() })
    })
}

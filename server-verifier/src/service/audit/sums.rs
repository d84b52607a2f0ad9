//! Sums of rows: of those that the log tells, and of those that are there.

use std::collections::BTreeMap;

use crate::books::OPERATOR;
use crate::books::chain::Sealer;
use crate::books::model::{Sum, tag_of_row};
use crate::books::sql::{Sql, Value};
use crate::books::tables::{Home, Table};
use crate::domain::StoreError;
use crate::service::error::ServiceError;

/// Sums of rows, by table, and by account where one account's chain tells them.
#[derive(Debug, Default)]
pub(super) struct Sums(BTreeMap<(&'static str, i64), Sum>);

impl Sums {
    /// Adds a row by its tag.
    pub(super) fn add(&mut self, table: &Table, account: i64, tag: u128) {
        self.0.entry((table.name, account)).or_default().add(tag);
    }

    /// Adds rows that are there.
    pub(super) fn add_found(
        &mut self,
        db: &mut dyn Sql,
        sealer: &Sealer,
        table: &'static Table,
        (tail, params): (&str, &[Value<'_>]),
    ) -> Result<(), ServiceError> {
        let read = db.query(table.select(tail), params, &mut |row| {
            let account = if table.home == Home::Account { row.int("account_id")? } else { OPERATOR };
            self.add(table, account, tag_of_row(sealer, table, row)?);
            Ok(())
        });
        read.map_err(|error| unreadable(error, table))
    }

    /// That these rows, which the log tells, are those that were found: no other, and none less.
    pub(super) fn verify(&self, found: &Self) -> Result<(), ServiceError> {
        let mut all = self.0.keys().chain(found.0.keys());
        match all.find(|place| self.0.get(place) != found.0.get(place)) {
            Some((what, account)) => Err(ServiceError::RowsBroken { account: *account, what }),
            None => Ok(()),
        }
    }
}

/// A row that cannot be read is none that the log tells.
pub(super) fn unreadable(error: StoreError, table: &Table) -> ServiceError {
    match error {
        StoreError::BadRow { .. } => ServiceError::RowsBroken { account: OPERATOR, what: table.name },
        other => other.into(),
    }
}

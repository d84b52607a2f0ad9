//! Rows in memory, as the log tells them: what checking compares with the database, and rebuilding writes into a new one.

use std::collections::BTreeMap;

use onetap_apdu_spec::crypto::{Crypto, Key256};

use crate::books::project::Change;
use crate::books::sql::Row;
use crate::books::tables::{Home, Table};
use crate::domain::{Cell, StoreError};

const CANNOT_FOLLOW: StoreError = StoreError::BadRow { what: "event that cannot follow what came before" };

/// The rows that one chain tells: those of its account, which change, and what it adds to tables that only grow.
#[derive(Debug, Default)]
pub(crate) struct Model {
    rows: BTreeMap<&'static str, BTreeMap<Vec<Cell>, Vec<Cell>>>,
}

impl Model {
    /// Makes one change. What is added to a table that grows goes to `grown`.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] if it cannot follow what came before.
    pub(crate) fn apply(
        &mut self,
        change: Change,
        grown: &mut dyn FnMut(&'static Table, Vec<Cell>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match change {
            Change::Insert { table, row } => match table.home {
                Home::Account | Home::Operator => {
                    let rows = self.rows.entry(table.name).or_default();
                    let taken = rows.insert(row[..table.key].to_vec(), row);
                    if taken.is_some() { Err(CANNOT_FOLLOW) } else { Ok(()) }
                }
                Home::Grows | Home::Passes(_) | Home::Log => grown(table, row),
            },
            Change::Set { table, key, to } => {
                let row = self.row(table, &key)?;
                for (column, value) in to {
                    let place = table.place(column).ok_or(CANNOT_FOLLOW)?;
                    row[place] = value;
                }
                Ok(())
            }
            // Balances are sums of entries, and are compared as such.
            Change::Add { column: "balance", .. } => Ok(()),
            Change::Credit { account, transaction, amount } => {
                grown(&crate::books::tables::CREDITS, vec![account.into(), transaction.into(), amount.into()])
            }
            Change::Add { table, key, column, amount } => {
                let place = table.place(column).ok_or(CANNOT_FOLLOW)?;
                let row = self.row(table, &key)?;
                let Cell::Int(value) = row[place] else { return Err(CANNOT_FOLLOW) };
                row[place] = value.checked_add(amount).ok_or(CANNOT_FOLLOW)?.into();
                Ok(())
            }
            Change::Delete { table, key } => {
                let rows = self.rows.entry(table.name).or_default();
                rows.retain(|row, _| !row.starts_with(&key));
                Ok(())
            }
        }
    }

    fn row(&mut self, table: &Table, key: &[Cell]) -> Result<&mut Vec<Cell>, StoreError> {
        self.rows.get_mut(table.name).and_then(|rows| rows.get_mut(key)).ok_or(CANNOT_FOLLOW)
    }

    /// The rows of a table in the order of their keys.
    pub(crate) fn rows(&self, table: &Table) -> impl Iterator<Item = &Vec<Cell>> {
        self.rows.get(table.name).into_iter().flat_map(BTreeMap::values)
    }
}

/// A sum over rows in any order, keyed: two sums are equal if, and only if, they are over the same rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    rows: u64,
    tags: u128,
}

impl Sum {
    /// Adds a row.
    pub(crate) fn add(&mut self, crypto: &dyn Crypto, key: &Key256, table: &Table, row: &[Cell]) {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(table.name.as_bytes());
        for cell in row {
            match cell {
                Cell::Null => bytes.push(0),
                Cell::Int(value) => {
                    bytes.push(1);
                    bytes.extend_from_slice(&value.to_be_bytes());
                }
                Cell::Text(text) => frame(&mut bytes, 2, text.as_bytes()),
                Cell::Bytes { hex } => frame(&mut bytes, 3, hex),
            }
        }
        self.rows += 1;
        self.tags = self.tags.wrapping_add(u128::from_be_bytes(crypto.cmac(key, &[b"onetap/row", &bytes])));
    }
}

fn frame(bytes: &mut Vec<u8>, kind: u8, value: &[u8]) {
    bytes.push(kind);
    bytes.extend_from_slice(&(value.len() as u64).to_be_bytes());
    bytes.extend_from_slice(value);
}

/// A row's columns that the log tells, as a query for [`Table::select`] gives them.
pub(crate) fn told_row(table: &Table, row: &dyn Row) -> Result<Vec<Cell>, StoreError> {
    (0..table.told().count()).map(|place| row.value(place).map(Cell::from)).collect()
}

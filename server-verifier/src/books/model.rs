//! Rows in memory, as the log tells them: what checking compares with the database, and rebuilding writes into a new one.

use std::collections::BTreeMap;

use crate::books::chain::Sealer;
use crate::books::project::{Change, Payment};
use crate::books::sql::{Row, Value};
use crate::books::tables::{ENTRIES, HOLDS, Home, Table};
use crate::domain::{Cell, StoreError};

const CANNOT_FOLLOW: StoreError = StoreError::BadRow { what: "event that cannot follow what came before" };

/// What one chain tells: the rows that may still change, and the money that came and went.
#[derive(Debug)]
pub(crate) struct Model {
    /// Row of the account whose chain it is.
    pub(crate) account: i64,
    /// What the account got by its own chain, in minor units; negative if it paid more.
    pub(crate) own: i64,
    rows: BTreeMap<&'static str, BTreeMap<Vec<Cell>, Vec<Cell>>>,
}

impl Model {
    /// Nothing is told yet.
    pub(crate) fn new(account: i64) -> Self {
        Self { account, own: 0, rows: BTreeMap::new() }
    }

    /// Makes one change. A row that no later change can touch goes to `rest`, and is not kept here: rows of tables
    /// that only grow, and closed holds.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] if the change cannot follow what came before.
    pub(crate) fn apply(
        &mut self,
        change: Change,
        rest: &mut dyn FnMut(&'static Table, Vec<Cell>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match change {
            Change::Insert { table, row } => self.put(table, row, rest),
            Change::Set { table, key, to } => {
                let mut row = self.take(table, &key)?;
                for (column, value) in to {
                    let place = table.place(column).ok_or(CANNOT_FOLLOW)?;
                    row[place] = value;
                }
                self.put(table, row, rest)
            }
            Change::Pay(payment) => {
                for (account, amount) in payment.legs() {
                    if account == self.account {
                        self.own = self.own.checked_add(amount).ok_or(CANNOT_FOLLOW)?;
                    } else {
                        rest(&ENTRIES, entry(account, &payment, amount))?;
                    }
                }
                Ok(())
            }
            Change::Add { table, key, column, amount } => {
                let place = table.place(column).ok_or(CANNOT_FOLLOW)?;
                let row = self.row_mut(table, &key)?;
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

    fn put(
        &mut self,
        table: &'static Table,
        row: Vec<Cell>,
        rest: &mut dyn FnMut(&'static Table, Vec<Cell>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if is_at_rest(table, &row) {
            return rest(table, row);
        }
        let rows = self.rows.entry(table.name).or_default();
        let taken = rows.insert(row[..table.key].to_vec(), row);
        if taken.is_some() { Err(CANNOT_FOLLOW) } else { Ok(()) }
    }

    fn take(&mut self, table: &Table, key: &[Cell]) -> Result<Vec<Cell>, StoreError> {
        self.rows.get_mut(table.name).and_then(|rows| rows.remove(key)).ok_or(CANNOT_FOLLOW)
    }

    fn row_mut(&mut self, table: &Table, key: &[Cell]) -> Result<&mut Vec<Cell>, StoreError> {
        self.rows.get_mut(table.name).and_then(|rows| rows.get_mut(key)).ok_or(CANNOT_FOLLOW)
    }

    /// The row of a table with this key, if it is kept here.
    pub(crate) fn row(&self, table: &Table, key: &[Cell]) -> Option<&Vec<Cell>> {
        self.rows.get(table.name)?.get(key)
    }

    /// The rows of a table that are kept here, in the order of their keys.
    pub(crate) fn rows(&self, table: &Table) -> impl Iterator<Item = &Vec<Cell>> {
        self.rows.get(table.name).into_iter().flat_map(BTreeMap::values)
    }
}

/// The row of `entries` for an account whose chain does not tell the payment.
fn entry(account: i64, payment: &Payment, amount: i64) -> Vec<Cell> {
    vec![account.into(), payment.at.0.into(), payment.transaction.as_str().into(), amount.into()]
}

/// Whether no later change can touch a row.
fn is_at_rest(table: &Table, row: &[Cell]) -> bool {
    match table.home {
        Home::Account if *table == HOLDS => row.last() != Some(&Cell::Null),
        Home::Account | Home::Operator => false,
        Home::Grows | Home::Passes(_) | Home::Log => true,
    }
}

/// A sum over rows in any order: two sums are equal if, and only if, they are over the same rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    rows: u64,
    tags: u128,
}

impl Sum {
    /// Adds a row by its [`tag`].
    pub(crate) fn add(&mut self, tag: u128) {
        self.rows += 1;
        self.tags = self.tags.wrapping_add(tag);
    }
}

/// The keyed tag of a row of a table.
pub(crate) fn tag(sealer: &Sealer, table: &Table, row: &[Cell]) -> u128 {
    let mut bytes = begun(table);
    row.iter().for_each(|cell| add(&mut bytes, cell.into()));
    sealer.tag(&bytes)
}

/// The keyed tag of a row of a table, as a query for [`Table::select`] gives it.
pub(crate) fn tag_of_row(sealer: &Sealer, table: &Table, row: &Row<'_>) -> Result<u128, StoreError> {
    let mut bytes = begun(table);
    for place in 0..table.told().count() {
        add(&mut bytes, row.at(place)?);
    }
    Ok(sealer.tag(&bytes))
}

fn begun(table: &Table) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(table.name.as_bytes());
    bytes
}

/// Adds a value, of which kind and length are clear.
fn add(bytes: &mut Vec<u8>, value: Value<'_>) {
    let mut frame = |kind: u8, value: &[u8]| {
        bytes.push(kind);
        bytes.extend_from_slice(&(value.len() as u64).to_be_bytes());
        bytes.extend_from_slice(value);
    };
    match value {
        Value::Null => bytes.push(0),
        Value::Int(value) => {
            bytes.push(1);
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        Value::Text(text) => frame(2, text.as_bytes()),
        Value::Bytes(value) => frame(3, value),
    }
}

/// A row's columns that the log tells, as a query for [`Table::select`] gives them.
pub(crate) fn told_row(table: &Table, row: &Row<'_>) -> Result<Vec<Cell>, StoreError> {
    (0..table.told().count()).map(|place| row.at(place).map(Cell::from)).collect()
}

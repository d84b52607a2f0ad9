//! Many rows at once, for a database that is being made.

use std::collections::BTreeMap;

use crate::books::sql::{Sql, Value, kept};
use crate::books::tables::Table;
use crate::domain::{Cell, StoreError};

/// Rows in one statement.
const ROWS: usize = 100;

/// Rows that wait for their statement, by table.
#[derive(Debug, Default)]
pub(crate) struct Bulk {
    waiting: BTreeMap<&'static str, (&'static Table, Vec<Cell>)>,
}

impl Bulk {
    /// Adds a row with all columns of the table, in its order.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is to be committed then.
    pub(crate) fn add(
        &mut self,
        db: &mut dyn Sql,
        table: &'static Table,
        row: impl IntoIterator<Item = Cell>,
    ) -> Result<(), StoreError> {
        let (_, cells) = self.waiting.entry(table.name).or_insert_with(|| (table, Vec::new()));
        cells.extend(row);
        if cells.len() < ROWS * table.columns.len() {
            return Ok(());
        }
        let full = std::mem::take(cells);
        insert(db, table, &full)
    }

    /// Adds what still waits.
    ///
    /// # Errors
    /// As [`Bulk::add`].
    pub(crate) fn finish(self, db: &mut dyn Sql) -> Result<(), StoreError> {
        for (table, cells) in self.waiting.into_values() {
            for row in cells.chunks(table.columns.len()) {
                insert(db, table, row)?;
            }
        }
        Ok(())
    }
}

/// Adds whole rows in one statement.
fn insert(db: &mut dyn Sql, table: &Table, cells: &[Cell]) -> Result<(), StoreError> {
    let width = table.columns.len();
    let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    let row = |row: usize| {
        let places: Vec<_> = (1..=width).map(|place| format!("?{}", row * width + place)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<_> = (0..cells.len() / width).map(row).collect();
    let sql = format!("INSERT INTO {} ({}) VALUES {}", table.name, names.join(", "), rows.join(", "));
    let params: Vec<Value<'_>> = cells.iter().map(Value::from).collect();
    db.execute(kept(&sql), &params).map(drop)
}

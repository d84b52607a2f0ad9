//! A whole bank in another database: from SQLite to PostgreSQL and back, all rows as they are.

use std::fs;
use std::path::Path;

use crate::books::bulk::Bulk;
use crate::books::sql::{Sql, Value, kept};
use crate::books::tables::{TABLES, Table};
use crate::domain::{Cell, StoreError, Watch};
use crate::service::error::ServiceError;
use crate::service::part::Part;
#[cfg(feature = "postgres")]
use crate::service::{DATABASE, POSTGRES_URL, note_url};
use crate::service::{Verifier, make_directory};
#[cfg(feature = "postgres")]
use crate::store::postgres::PostgresStore;
#[cfg(feature = "postgres")]
use crate::store::roles::{Aim, Roles};
use crate::store::sqlite;

/// Rows that are in memory at once.
const PAGE: usize = 500;

impl Verifier {
    /// Copies everything, of one moment, into a new SQLite database in the folder `into`, and the key file as it is.
    /// Returns how many rows.
    ///
    /// # Errors
    /// [`ServiceError::AlreadyInitialised`] if there is a database; [`ServiceError`] of store, keys or files. Nothing is
    /// left then.
    pub fn copy_to_sqlite(&self, into: &Path) -> Result<u64, ServiceError> {
        self.beside_keys(into, || {
            let part = Part::begin(into)?;
            let copied = self.store.read_long(|from| {
                sqlite::build(part.path(), |to| copy_tables(from, to, into, &self.env.watch))
            })?;
            part.publish()?;
            Ok(copied)
        })
    }

    /// Copies everything, of one moment and in one transaction, into the empty database at `url`, and the key file, as it
    /// is, into the folder `into`, which notes the former. Returns how many rows.
    ///
    /// # Errors
    /// As [`Verifier::copy_to_sqlite`].
    #[cfg(feature = "postgres")]
    pub fn copy_to_postgres(&self, into: &Path, url: &str) -> Result<u64, ServiceError> {
        let noted = fs::read_to_string(into.join(POSTGRES_URL));
        if into.join(DATABASE).exists() || noted.as_ref().is_ok_and(|noted| noted.trim() != url.trim()) {
            return Err(ServiceError::AlreadyInitialised(into.to_owned()));
        }
        self.beside_keys(into, || {
            // Before the rows: whoever is killed in between has only to repeat it.
            note_url(into, url)?;
            let mut copied = 0;
            let target = self.store.read_long(|from| {
                PostgresStore::open(url, 1, Aim::Make, &Roles::default(), |to| {
                    copied = copy_tables(from, to, into, &self.env.watch)?;
                    Ok::<_, ServiceError>(self.store.decider().clone())
                })
            });
            if target.is_err() && noted.is_err() {
                let _removed = fs::remove_file(into.join(POSTGRES_URL));
            }
            target.map(|_| copied)
        })
    }

    /// Does `work` once the key file is in the folder `into`; if that fails, no key file stays that was not there before.
    fn beside_keys(
        &self,
        into: &Path,
        work: impl FnOnce() -> Result<u64, ServiceError>,
    ) -> Result<u64, ServiceError> {
        make_directory(into)?;
        let made = self.keys.copy_to(into)?;
        let done = work();
        if let (Err(_), Some(made)) = (&done, made) {
            let _removed = fs::remove_file(made);
        }
        done
    }
}

/// All rows of all tables, those first that others refer to.
fn copy_tables(
    from: &mut dyn Sql,
    to: &mut dyn Sql,
    into: &Path,
    watch: &Watch,
) -> Result<u64, ServiceError> {
    let mut all = 0;
    for table in TABLES {
        let count = kept(&format!("SELECT count(*) FROM {}", table.name));
        if to.count(count, &[])? > 0 {
            return Err(ServiceError::AlreadyInitialised(into.to_owned()));
        }
        all += u64::try_from(from.count(count, &[])?).unwrap_or(0);
    }
    let mut copied = 0;
    for table in TABLES {
        let (mut bulk, mut last) = (Bulk::default(), Vec::new());
        loop {
            let rows = page(from, table, &last)?;
            let Some(row) = rows.last() else { break };
            last = row[..table.key].to_vec();
            copied += rows.len() as u64;
            watch.at(copied, all);
            for row in rows {
                bulk.add(to, table, row)?;
            }
        }
        bulk.finish(to)?;
    }
    Ok(copied)
}

/// The rows whose keys come after `last`, in that order; the first ones if it is empty.
fn page(db: &mut dyn Sql, table: &Table, last: &[Cell]) -> Result<Vec<Vec<Cell>>, StoreError> {
    let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    let (all, key) = (names.join(", "), names[..table.key].join(", "));
    let places: Vec<_> = (1..=last.len()).map(|place| format!("?{place}")).collect();
    let after =
        if last.is_empty() { String::new() } else { format!("WHERE ({key}) > ({})", places.join(", ")) };
    let sql = format!("SELECT {all} FROM {} {after} ORDER BY {key} LIMIT {PAGE}", table.name);
    let params: Vec<Value<'_>> = last.iter().map(Value::from).collect();
    db.all(kept(&sql), &params, |row| (0..names.len()).map(|place| row.at(place).map(Cell::from)).collect())
}

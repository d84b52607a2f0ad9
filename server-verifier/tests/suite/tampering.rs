//! TM-55: whoever writes to the database without the keys is found out, whatever he writes. Random changes, which the
//! schema itself suggests, not the code under test.

use std::collections::{BTreeMap, BTreeSet};

use onetap_server_verifier::*;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::bank::{KINDS, OLDER_ONLY, rich};
use crate::home::*;

/// A table, as the database's own catalog has it.
#[derive(Debug)]
pub struct Table {
    name: String,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: String,
    in_key: bool,
    nullable: bool,
}

/// Values of a row, as SQL spells them.
type Row = Vec<String>;

/// Rows that go, and rows that come.
#[derive(Debug, Clone, Default)]
struct Change {
    table: usize,
    gone: Vec<Row>,
    come: Vec<Row>,
}

fn tables(intruder: &Intruder) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for row in intruder.all(COLUMNS) {
        let [name, column, kind, in_key, nullable] = row.try_into().unwrap();
        if tables.last().is_none_or(|table| table.name != name) {
            tables.push(Table { name, columns: Vec::new() });
        }
        let (in_key, nullable) = (in_key == "1", nullable == "1");
        let column = Column { name: column, kind: kind.to_lowercase(), in_key, nullable };
        tables.last_mut().unwrap().columns.push(column);
    }
    tables
}

impl Table {
    fn rows(&self, intruder: &Intruder) -> Vec<Row> {
        let columns: Vec<_> = self.columns.iter().map(|column| spelled(&column.name, &column.kind)).collect();
        intruder.all(&format!("SELECT {} FROM {}", columns.join(", "), self.name))
    }

    fn delete(&self, row: &Row) -> String {
        let is =
            |(column, value): (&Column, &String)| format!("{} IS NOT DISTINCT FROM {value}", column.name);
        let all: Vec<_> = self.columns.iter().zip(row).map(is).collect();
        format!("DELETE FROM {} WHERE {};", self.name, all.join(" AND "))
    }

    fn insert(&self, row: &Row) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| column.name.as_str()).collect();
        format!("INSERT INTO {} ({}) VALUES ({});", self.name, columns.join(", "), row.join(", "))
    }

    /// The values of a column.
    fn values<'a>(&self, rows: &'a [Row], column: &str) -> BTreeSet<&'a str> {
        let place = self.columns.iter().position(|other| other.name == column).unwrap();
        rows.iter().map(|row| row[place].trim_matches('\'')).collect()
    }

    /// There are rows of every kind, and a column that may be NULL is so in some of them only.
    fn assert_varied(&self, rows: &[Row]) {
        assert_eq!(rows.is_empty(), EMPTY.contains(&self.name.as_str()), "{}", self.name);
        for column in self.columns.iter().filter(|column| column.nullable) {
            let values = self.values(rows, &column.name);
            let full = values.contains("NULL") || OLDER_ONLY == (self.name.as_str(), column.name.as_str());
            assert!(full && values.len() > 1, "{}.{}: {values:?}", self.name, column.name);
        }
        for (_, column, kinds) in KINDS.iter().filter(|(table, _, _)| *table == self.name) {
            let values = self.values(rows, column);
            for kind in *kinds {
                let found = values
                    .iter()
                    .any(|value| value == kind || value.contains(&format!("\"event\":\"{kind}\"")));
                assert!(found, "{}.{column}: no {kind}", self.name);
            }
        }
    }

    /// The columns in which two rows differ.
    fn differing<'a>(&'a self, one: &'a Row, other: &'a Row) -> impl Iterator<Item = &'a str> {
        let columns = self.columns.iter().zip(one.iter().zip(other));
        columns.filter(|(_, (one, other))| one != other).map(|(column, _)| column.name.as_str())
    }
}

/// Another value of a column.
fn other_value(dice: &mut StdRng, kind: &str, value: &str, rows: &[Row], column: usize) -> String {
    let elsewhere = |dice: &mut StdRng| rows[dice.random_range(0..rows.len())][column].clone();
    if dice.random_ratio(1, 12) {
        return "NULL".to_owned();
    }
    if dice.random_ratio(1, 3) {
        return elsewhere(dice);
    }
    match kind {
        "bigint" | "integer" => {
            let number: i64 = value.parse().unwrap_or(0);
            let numbers =
                [number.saturating_add(1), number.saturating_sub(1), 0, 1, -number.max(1), i64::MAX];
            let random = dice.random_range(0..1_000);
            [&numbers[..], &[random]].concat()[dice.random_range(0..7)].to_string()
        }
        "text" => {
            let text = if value == "NULL" { "" } else { value.trim_matches('\'') };
            let other = match dice.random_range(0..4) {
                0 => format!("{text}x"),
                1 => text.chars().skip(1).collect(),
                2 => text.replacen('1', "2", 1),
                _ => text.replacen("\"", "", 1),
            };
            format!("'{other}'")
        }
        _ => {
            let mut bytes = vec![0; dice.random_range(0..40)];
            dice.fill(&mut bytes[..]);
            blob(&bytes)
        }
    }
}

/// A random change; none where the dice made none.
fn change(dice: &mut StdRng, tables: &[Table], all: &[Vec<Row>]) -> Option<Change> {
    let table = dice.random_range(0..tables.len());
    let (columns, rows) = (&tables[table].columns, &all[table]);
    let place = |dice: &mut StdRng| (!rows.is_empty()).then(|| dice.random_range(0..rows.len()));
    let one = place(dice)?;
    let column = dice.random_range(0..columns.len());
    let altered = |dice: &mut StdRng, row: &Row, column: usize| {
        let mut row = row.clone();
        row[column] = other_value(dice, &columns[column].kind, &row[column], rows, column);
        row
    };
    let row = &rows[one];
    let (gone, come) = match dice.random_range(0..10) {
        0..=4 => (vec![row.clone()], vec![altered(dice, row, column)]),
        5 | 6 => {
            let key: Vec<_> = (0..columns.len()).filter(|column| columns[*column].in_key).collect();
            let column = key.get(dice.random_range(0..key.len().max(1))).copied().unwrap_or(column);
            (vec![], vec![altered(dice, row, column)])
        }
        7 => (vec![row.clone()], vec![]),
        _ => {
            // Two rows swap a value: their accounts as often as any other.
            let other = place(dice)?;
            let column = if dice.random() { 0 } else { column };
            let (mut a, mut b) = (row.clone(), rows[other].clone());
            std::mem::swap(&mut a[column], &mut b[column]);
            (vec![row.clone(), rows[other].clone()], vec![a, b])
        }
    };
    (sorted(&gone) != sorted(&come)).then_some(Change { table, gone, come })
}

fn sorted(rows: &[Row]) -> BTreeSet<&Row> {
    rows.iter().collect()
}

/// What became of changes.
#[derive(Debug, Default)]
pub struct Tally {
    found: u32,
    /// What the list lets pass, by table and column, and how often.
    listed: BTreeMap<String, u32>,
    refused: u32,
}

/// What the list of what the log does not tell says of a change that was not found.
fn listed(table: &Table, change: &Change) -> Option<String> {
    let list = not_in_the_log();
    let has =
        |column: Option<&str>| list.iter().any(|entry| entry.table == table.name && entry.column == column);
    let told = |row: &Row| -> Row {
        let columns = table.columns.iter().zip(row);
        columns.filter(|(column, _)| !has(Some(&column.name))).map(|(_, value)| value.clone()).collect()
    };
    let [gone, come] =
        [&change.gone, &change.come].map(|rows| rows.iter().map(told).collect::<BTreeSet<_>>());
    let pairs = change.gone.iter().flat_map(|gone| change.come.iter().map(move |come| (gone, come)));
    let same = pairs.filter(|(gone, come)| told(gone) == told(come));
    let changed: BTreeSet<_> = same.flat_map(|(gone, come)| table.differing(gone, come)).collect();
    let what = match (has(None), gone == come) {
        (_, true) => changed.into_iter().collect::<Vec<_>>().join(", "),
        (true, _) if come.is_subset(&gone) => "row gone".to_owned(),
        // One that was told, and went without an event, is there again.
        (true, _) => "row back".to_owned(),
        (false, false) => return None,
    };
    Some(format!("{}: {what}", table.name))
}

/// Makes random changes, one after another, each of which is undone.
pub fn random_changes(verifier: &Verifier, intruder: &Intruder, seed: u64, changes: u32) -> Tally {
    let tables = tables(intruder);
    let all: Vec<_> = tables.iter().map(|table| table.rows(intruder)).collect();
    for (table, rows) in tables.iter().zip(&all) {
        table.assert_varied(rows);
    }
    let (mut dice, mut tally) = (StdRng::seed_from_u64(seed), Tally::default());
    verifier.audit_verify().unwrap();
    while tally.found + tally.listed.values().sum::<u32>() < changes {
        let Some(change) = change(&mut dice, &tables, &all) else { continue };
        let table = &tables[change.table];
        let sql = |gone: &[Row], come: &[Row]| {
            let (gone, come) =
                (gone.iter().map(|row| table.delete(row)), come.iter().map(|row| table.insert(row)));
            gone.chain(come).collect::<String>()
        };
        if intruder.run(&sql(&change.gone, &change.come)).is_err() {
            tally.refused += 1;
            continue;
        }
        match verifier.audit_verify() {
            Err(
                ServiceError::AuditBroken { .. }
                | ServiceError::RowsBroken { .. }
                | ServiceError::SchemaBroken { .. },
            ) => tally.found += 1,
            // Where a missing number is filled in, nothing may have changed.
            Ok(_) if sorted(&table.rows(intruder)) == sorted(&all[change.table]) => continue,
            Ok(_) => match listed(table, &change) {
                Some(what) => *tally.listed.entry(what).or_default() += 1,
                None => panic!("seed {seed}: not found: {}", sql(&change.gone, &change.come)),
            },
            Err(other) => panic!("seed {seed}: {other:?}: {}", sql(&change.gone, &change.come)),
        }
        let rows = all[change.table].iter().map(|row| table.insert(row)).collect::<String>();
        intruder.run(&format!("DELETE FROM {}; {rows}", table.name)).unwrap();
    }
    verifier.audit_verify().unwrap();
    tally
}

#[test]
fn attack_numbers_that_no_sum_holds_show() {
    let world = rich();
    let intruder = world.intruder();
    for table in tables(&intruder) {
        let rows = table.rows(&intruder);
        let whole = table
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| matches!(column.kind.as_str(), "bigint" | "integer"));
        for ((place, column), number) in
            whole.flat_map(|column| [i64::MAX, i64::MIN].map(|number| (column, number)))
        {
            let Some(row) = rows.first() else { continue };
            let mut other = row.clone();
            other[place] = number.to_string();
            if intruder.run(&(table.delete(row) + &table.insert(&other))).is_err() {
                continue;
            }
            let what = format!("{}.{} = {number}", table.name, column.name);
            match world.verifier.audit_verify() {
                Err(
                    ServiceError::AuditBroken { .. }
                    | ServiceError::RowsBroken { .. }
                    | ServiceError::SchemaBroken { .. },
                ) => {}
                Ok(_) => {
                    let change = Change { table: 0, gone: vec![row.clone()], come: vec![other.clone()] };
                    assert!(listed(&table, &change).is_some(), "{what} was not found");
                }
                Err(error) => panic!("{what}: {error:?}"),
            }
            // The check of the sums says so as well, or does not read it.
            let checked = world.verifier.ledger_check();
            let told = matches!(
                checked,
                Ok(())
                    | Err(ServiceError::LedgerBroken { .. }
                        | ServiceError::Store(StoreError::TooLarge | StoreError::BadRow { .. }))
            );
            assert!(told, "{what}: {checked:?}");
            intruder.run(&(table.delete(&other) + &table.insert(row))).unwrap();
        }
    }
    world.verifier.audit_verify().unwrap();
}

#[test]
fn attack_random_changes_past_the_server_show() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let changes = number("ONETAP_TAMPERINGS").unwrap_or(CHANGES);
    let seed = number("ONETAP_TAMPERING_SEED").unwrap_or_else(rand::random);
    let world = rich();
    let intruder = world.intruder();
    let tally = random_changes(&world.verifier, &intruder, seed, u32::try_from(changes).unwrap());
    let listed: u32 = tally.listed.values().sum();
    println!(
        "tampering: store={STORE} seed={seed} found={} listed={listed} refused={} {:?}",
        tally.found, tally.refused, tally.listed
    );
    assert!(tally.found > 2 * listed, "{tally:?}");
}

#[test]
fn attack_a_schema_changed_past_the_server_shows() {
    let world = rich();
    let intruder = world.intruder();
    for (change, undo) in SCHEMA_CHANGES {
        world.verifier.audit_verify().unwrap();
        intruder.run(change).unwrap();
        let verified = world.verifier.audit_verify();
        assert!(matches!(verified, Err(ServiceError::SchemaBroken { .. })), "{change}: {verified:?}");
        intruder.run(undo).unwrap();
    }
    world.verifier.audit_verify().unwrap();
}

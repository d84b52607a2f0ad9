//! The little that the books ask of a database, so that one set of statements serves both stores.
//!
//! Statements are written once, with `?1` for parameters; a store that spells them otherwise translates.
//! Integers are 64 bits wide, text is UTF-8, everything else is bytes.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use crate::domain::{self, StoreError};

/// A value: a parameter of a statement, or what a row has in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// A statement with its parameters.
#[derive(Debug, Clone)]
pub(crate) struct Statement<'a> {
    pub(crate) sql: &'static str,
    pub(crate) params: Vec<Value<'a>>,
}

impl<'a> Statement<'a> {
    pub(crate) fn new(sql: &'static str, params: &[Value<'a>]) -> Self {
        Self { sql, params: params.to_vec() }
    }
}

/// One open transaction.
pub(crate) trait Sql {
    /// Runs a statement that gives no rows; returns how many it changed.
    fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, StoreError>;

    /// Runs a query and shows each row to `each`.
    fn query(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Runs queries, in this order, in as few exchanges with the database as it can; `each` learns which
    /// query a row is from.
    fn query_all(
        &mut self,
        queries: &[Statement<'_>],
        each: &mut dyn FnMut(usize, &Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for (number, query) in queries.iter().enumerate() {
            self.query(query.sql, &query.params, &mut |row| each(number, row))?;
        }
        Ok(())
    }

    /// Runs statements that give no rows, and none of which reads or changes a row that another one writes: a store may run
    /// them as one, and as late as the next statement or the commit.
    fn execute_all(&mut self, statements: &[Statement<'_>]) -> Result<(), StoreError> {
        for statement in statements {
            self.execute(statement.sql, &statement.params)?;
        }
        Ok(())
    }

    /// True if rows are locked one by one (PostgreSQL), so that reading to decide must lock them; false if
    /// the transaction alone may write (SQLite).
    fn locks_rows(&self) -> bool;
}

/// The columns of a row, as a store has them: counted from 0, in the order of the statement.
pub(crate) trait Columns {
    /// The name of a column; none after the last.
    fn name(&self, place: usize) -> Option<&str>;

    /// What the row has in a column.
    fn value(&self, place: usize) -> Result<Value<'_>, StoreError>;
}

/// One row of a result, of which columns are read by name.
pub(crate) struct Row<'a> {
    columns: &'a dyn Columns,
    /// The place after the column that was read last, where the next one is most often.
    next: Cell<usize>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(columns: &'a dyn Columns) -> Self {
        Self { columns, next: Cell::new(0) }
    }

    /// What the row has in the column at a place.
    pub(crate) fn at(&self, place: usize) -> Result<Value<'a>, StoreError> {
        self.columns.value(place)
    }

    fn value(&self, column: &'static str) -> Result<Value<'a>, StoreError> {
        let is_here = |place: &usize| self.columns.name(*place) == Some(column);
        let mut places = (0..).take_while(|place| self.columns.name(*place).is_some());
        let next = Some(self.next.get()).filter(is_here);
        let place = next.or_else(|| places.find(is_here)).ok_or(StoreError::BadRow { what: column })?;
        self.next.set(place + 1);
        self.at(place)
    }

    pub(crate) fn opt_int(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Int(value) => Ok(Some(value)),
            _ => Err(StoreError::BadRow { what: column }),
        }
    }

    pub(crate) fn opt_text(&self, column: &'static str) -> Result<Option<&'a str>, StoreError> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Text(value) => Ok(Some(value)),
            _ => Err(StoreError::BadRow { what: column }),
        }
    }

    pub(crate) fn opt_bytes(&self, column: &'static str) -> Result<Option<&'a [u8]>, StoreError> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Bytes(value) => Ok(Some(value)),
            _ => Err(StoreError::BadRow { what: column }),
        }
    }

    pub(crate) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        self.opt_int(column)?.ok_or(StoreError::BadRow { what: column })
    }

    pub(crate) fn count(&self, column: &'static str) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|_| StoreError::BadRow { what: column })
    }

    pub(crate) fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<&'a str, StoreError> {
        self.opt_text(column)?.ok_or(StoreError::BadRow { what: column })
    }

    pub(crate) fn bytes(&self, column: &'static str) -> Result<&'a [u8], StoreError> {
        self.opt_bytes(column)?.ok_or(StoreError::BadRow { what: column })
    }

    pub(crate) fn array<const N: usize>(&self, column: &'static str) -> Result<[u8; N], StoreError> {
        self.bytes(column)?.try_into().map_err(|_| StoreError::BadRow { what: column })
    }
}

impl dyn Sql + '_ {
    /// The first row of a query, read by `read`.
    pub(crate) fn first<T>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut found = None;
        self.query(sql, params, &mut |row| {
            if found.is_none() {
                found = Some(read(row)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// All rows of a query, read by `read`.
    pub(crate) fn all<T>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        self.query(sql, params, &mut |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The number that a query without parameters and with one row counts.
    pub(crate) fn count(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<i64, StoreError> {
        match self.first(sql, params, |row| row.at(0).map(domain::Cell::from))? {
            None | Some(domain::Cell::Null) => Ok(0),
            Some(domain::Cell::Int(count)) => Ok(count),
            Some(_) => Err(StoreError::BadRow { what: "count" }),
        }
    }
}

impl<'a> From<&'a domain::Cell> for Value<'a> {
    fn from(cell: &'a domain::Cell) -> Self {
        match cell {
            domain::Cell::Null => Self::Null,
            domain::Cell::Int(value) => Self::Int(*value),
            domain::Cell::Text(text) => Self::Text(text),
            domain::Cell::Bytes { hex } => Self::Bytes(hex),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Bytes(value)
    }
}

impl From<Value<'_>> for domain::Cell {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Int(value) => Self::Int(value),
            Value::Text(text) => text.into(),
            Value::Bytes(bytes) => bytes.into(),
        }
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Parameters of a statement, whatever their types.
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::books::sql::Value::from($value)),*] };
}
pub(crate) use params;

/// One copy of each statement's text, for as long as the program runs: the stores keep what they prepared by it. There are as
/// many as there are shapes of changes.
pub(crate) fn kept(sql: &str) -> &'static str {
    static KEPT: RwLock<Option<HashSet<&'static str>>> = RwLock::new(None);
    if let Some(known) =
        KEPT.read().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|kept| kept.get(sql))
    {
        return known;
    }
    let mut kept = KEPT.write().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.get_or_insert_with(HashSet::new);
    match kept.get(sql) {
        Some(known) => known,
        None => {
            let text: &'static str = Box::leak(sql.to_owned().into_boxed_str());
            kept.insert(text);
            text
        }
    }
}

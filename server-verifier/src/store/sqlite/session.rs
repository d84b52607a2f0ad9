//! Statements, parameters and rows, as SQLite has them.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql};

use crate::books::sql::{Columns, Row, Sql, Value};
use crate::domain::StoreError;

/// A transaction of SQLite.
pub(super) struct Session<'a>(pub(super) &'a Connection);

impl Session<'_> {
    fn bound(&self, sql: &str, params: &[Value<'_>]) -> Result<CachedStatement<'_>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        for (index, param) in params.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, param)?;
        }
        Ok(statement)
    }
}

impl Sql for Session<'_> {
    fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, StoreError> {
        let changed = self.bound(sql, params)?.raw_execute()?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    fn query(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.bound(sql, params)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            each(&Row::new(row))?;
        }
        Ok(())
    }

    fn locks_rows(&self) -> bool {
        false
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

impl Columns for rusqlite::Row<'_> {
    fn name(&self, place: usize) -> Option<&str> {
        self.as_ref().column_name(place).ok()
    }

    fn value(&self, place: usize) -> Result<Value<'_>, StoreError> {
        match self.get_ref(place)? {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(value) => Ok(Value::Int(value)),
            ValueRef::Text(value) => {
                std::str::from_utf8(value).map(Value::Text).map_err(|_| StoreError::BadRow { what: "text" })
            }
            ValueRef::Blob(value) => Ok(Value::Bytes(value)),
            ValueRef::Real(_) => Err(StoreError::BadRow { what: "number" }),
        }
    }
}

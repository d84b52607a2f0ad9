//! Parameters, rows and errors: ours and PostgreSQL's.

use std::sync::Arc;

use bytes::BytesMut;
use tokio_postgres::Column;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::books::sql::{Columns, Value};
use crate::domain::{StoreError, causes};

/// What is said of a pooler whose sessions are not ours from one transaction to the next.
pub(super) const POOLED: &str = "a pooler gives each transaction another session; set pgbouncer's `pool_mode` to `session` for this database";

/// A parameter that waits for the commit.
#[derive(Debug)]
pub(super) enum Owned {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Value<'_>> for Owned {
    fn from(param: &Value<'_>) -> Self {
        match *param {
            Value::Null => Self::Null,
            Value::Int(value) => Self::Int(value),
            Value::Text(value) => Self::Text(value.to_owned()),
            Value::Bytes(value) => Self::Bytes(value.to_owned()),
        }
    }
}

impl Owned {
    fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Int(value) => Value::Int(*value),
            Self::Text(value) => Value::Text(value),
            Self::Bytes(value) => Value::Bytes(value),
        }
    }
}

type Encoded = Result<IsNull, Box<dyn std::error::Error + Sync + Send>>;

impl ToSql for Owned {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Encoded {
        self.borrowed().to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <Value<'_> as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Encoded {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => value.to_sql(kind, out),
            Self::Text(value) => value.to_sql(kind, out),
            Self::Bytes(value) => value.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}

impl Columns for tokio_postgres::Row {
    fn name(&self, place: usize) -> Option<&str> {
        self.columns().get(place).map(Column::name)
    }

    fn value(&self, place: usize) -> Result<Value<'_>, StoreError> {
        let kind = self.columns().get(place).map(Column::type_);
        let value = match kind {
            Some(&Type::INT8) => self.try_get::<_, Option<i64>>(place)?.map(Value::Int),
            Some(&Type::TEXT) => self.try_get::<_, Option<&str>>(place)?.map(Value::Text),
            Some(&Type::BYTEA) => self.try_get::<_, Option<&[u8]>>(place)?.map(Value::Bytes),
            _ => return Err(StoreError::BadRow { what: "column" }),
        };
        Ok(value.unwrap_or(Value::Null))
    }
}

/// Two transactions met, and this one was rolled back: the whole of it may be done again. (A key that is no longer free
/// was taken by the other one, of another account under the same idempotency key; done again, it is seen.)
pub(super) fn is_conflict(error: &tokio_postgres::Error) -> bool {
    const CONFLICT: [SqlState; 3] =
        [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::UNIQUE_VIOLATION];
    error.code().is_some_and(|code| CONFLICT.contains(code))
}

/// The connection is of no more use: it is gone, or what it has prepared is no longer there or no longer fits.
pub(super) fn is_broken(error: &tokio_postgres::Error) -> bool {
    const STALE: [SqlState; 2] = [SqlState::FEATURE_NOT_SUPPORTED, SqlState::INVALID_SQL_STATEMENT_NAME];
    error.is_closed() || error.code().is_none_or(|code| is_away(code) || STALE.contains(code))
}

/// The server goes, is not there yet, has become a standby, or takes no more connections.
fn is_away(code: &SqlState) -> bool {
    const AWAY: [SqlState; 6] = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    AWAY.contains(code)
}

/// The URL or the user is wrong.
fn is_refusal(code: &SqlState) -> bool {
    const REFUSED: [SqlState; 4] = [
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        SqlState::INVALID_CATALOG_NAME,
        SqlState::INSUFFICIENT_PRIVILEGE,
    ];
    REFUSED.contains(code)
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::Unreachable(causes(&error));
        };
        match said.code() {
            code if is_away(code) => Self::Unreachable(said.message().to_owned()),
            code if is_refusal(code) => Self::Refused(said.message().to_owned()),
            &SqlState::LOCK_NOT_AVAILABLE | &SqlState::QUERY_CANCELED => Self::Locked,
            _ if is_conflict(&error) => Self::Locked,
            &SqlState::INVALID_SQL_STATEMENT_NAME => Self::Refused(POOLED.to_owned()),
            &SqlState::DISK_FULL => Self::Full,
            &SqlState::NUMERIC_VALUE_OUT_OF_RANGE => Self::TooLarge,
            &SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED => Self::Damaged,
            _ => Self::Postgres(Arc::new(error)),
        }
    }
}

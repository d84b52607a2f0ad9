//! Making the tables and bringing them up to date, as their owner.

use super::rights;
use super::session::{READ, Session, WRITE, version};
use crate::books::sql::Sql;
use crate::domain::StoreError;
use crate::store::roles::{Aim, Roles};
use crate::store::schema;

/// Serialises those who bring the schema up to date.
const MIGRATING: &str = "SELECT pg_advisory_xact_lock(823173296)";

impl Session {
    /// Brings the schema up to date, or makes it if there is none and that is the aim, gives who serves its rights, and lets
    /// `load` read or write, all in one transaction and one process after the other.
    pub(super) fn migrate<T, E: From<StoreError>>(
        &mut self,
        aim: Aim,
        roles: &Roles,
        load: impl FnOnce(&mut dyn Sql) -> Result<T, E>,
    ) -> Result<T, E> {
        let found = self.transaction(READ, version)?;
        if found == schema::VERSION && aim == Aim::Use {
            return self.transaction(WRITE, load);
        }
        self.within(WRITE, |session| {
            session.batch(MIGRATING)?;
            let found = version(session)?;
            match (found, aim) {
                (0, Aim::Make) => check_encoding(session)?,
                (0, _) => return Err(StoreError::Empty.into()),
                (schema::VERSION, Aim::Make) => return load(session),
                _ => schema::check_version(found)?,
            }
            let serving = rights::begin(session, found, roles)?;
            if found != schema::VERSION {
                session.bring_up_to_date(found)?;
            }
            let loaded = load(session)?;
            serving.iter().try_for_each(|service| rights::grant(session, service))?;
            Ok(loaded)
        })
    }

    fn bring_up_to_date(&mut self, found: i64) -> Result<(), StoreError> {
        for script in schema::postgres_scripts(found) {
            self.batch(&script)?;
        }
        let version = schema::VERSION;
        self.batch(&format!("DELETE FROM onetap_schema; INSERT INTO onetap_schema VALUES ({version})"))
    }
}

/// Refuses a database that cannot hold every name.
fn check_encoding(db: &mut dyn Sql) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('server_encoding') AS encoding";
    match db.first(sql, &[], |row| Ok(row.text("encoding")?.to_owned()))? {
        Some(encoding) if encoding != "UTF8" => Err(StoreError::Refused(format!(
            "the database's encoding is {encoding}, which lacks most letters: make one with `createdb -E UTF8 -T template0`"
        ))),
        _ => Ok(()),
    }
}

//! Roles: one owns the tables; another one serves, and may do with each table what `books::tables` says, and no more.

use super::session::Session;
use crate::books::sql::{Sql, kept, params};
use crate::books::tables::TABLES;
use crate::domain::StoreError;
use crate::store::roles::Roles;
use crate::store::schema;

/// Whether there is a role of the name `?1`.
const EXISTS: &str = "EXISTS (SELECT FROM pg_roles WHERE rolname = CAST(?1 AS TEXT))";
/// Whether who is connected may act as `?1`.
const MEMBER: &str = "pg_has_role(CAST(?1 AS TEXT), 'MEMBER')";
/// Whether `?1` may make tables here.
const MAKES: &str = "has_schema_privilege(CAST(?1 AS TEXT), current_schema(), 'CREATE')";
/// Whether `?1` may not.
const MAKES_NONE: &str = "NOT has_schema_privilege(CAST(?1 AS TEXT), current_schema(), 'CREATE')";
const ENTERS: &str = "has_schema_privilege(CAST(?1 AS TEXT), current_schema(), 'USAGE')";
const CONNECTS: &str = "has_database_privilege(CAST(?1 AS TEXT), current_database(), 'CONNECT')";
/// Whether `?1` may make the tables that the schema is compared with, which last for one transaction.
const COMPARES: &str = "has_database_privilege(CAST(?1 AS TEXT), current_database(), 'TEMPORARY')";
/// Who owns the tables that are there.
const OWNER: &str = "SELECT tableowner::text AS name FROM pg_tables
    WHERE schemaname = current_schema() AND tablename = 'onetap_schema'";
/// Whether the role `?1` may act as `?2`.
const OWNS: &str = "SELECT count(*) WHERE pg_has_role(CAST(?1 AS TEXT), CAST(?2 AS TEXT), 'MEMBER')";
/// Those who may add to the log besides its owner: as one of them, a service runs.
const SERVING: &str = "SELECT DISTINCT r.rolname::text AS name
    FROM pg_class c CROSS JOIN aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
    WHERE c.oid = to_regclass('audit') AND a.privilege_type = 'INSERT' AND a.grantee <> c.relowner";

/// Makes the roles that there are not, and acts as the tables' owner until the end of the transaction. Returns as whom services
/// run.
///
/// # Errors
/// [`StoreError::OwnersToUpgrade`] if there are tables that who is connected does not own; [`StoreError::Refused`] with the
/// statement that somebody else has to run.
pub(super) fn begin(session: &mut Session, found: i64, roles: &Roles) -> Result<Vec<String>, StoreError> {
    let (there, me) = (name(session, OWNER)?, name(session, "SELECT current_user::text AS name")?);
    let owner = match there {
        Some(owner) if !is(session, MEMBER, &owner)? => {
            return Err(StoreError::OwnersToUpgrade { found, known: schema::VERSION, owner });
        }
        there => there.or_else(|| roles.owner.clone()).or(me).unwrap_or_default(),
    };
    let schema = name(session, "SELECT quote_ident(current_schema()) AS name")?.unwrap_or_default();
    let role = quoted(&owner);
    unless(session, EXISTS, &owner, &format!("CREATE ROLE {role} NOLOGIN"))?;
    unless(session, MEMBER, &owner, &format!("GRANT {role} TO CURRENT_USER"))?;
    unless(session, MAKES, &owner, &format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}"))?;
    let mut serving = serving(session)?;
    if let Some(service) = &roles.service {
        admit(session, service, &owner, &schema)?;
        serving.push(service.clone());
    }
    session.batch(&format!("SET LOCAL ROLE {role}"))?;
    Ok(serving)
}

/// As whom services run already.
fn serving(db: &mut dyn Sql) -> Result<Vec<String>, StoreError> {
    db.all(SERVING, &[], |row| Ok(row.text("name")?.to_owned()))
}

/// Makes the role that serves, and lets it in: not one that could do all that the owner can.
fn admit(session: &mut Session, service: &str, owner: &str, schema: &str) -> Result<(), StoreError> {
    let role = quoted(service);
    let database = name(session, "SELECT quote_ident(current_database()) AS name")?.unwrap_or_default();
    unless(session, EXISTS, service, &format!("CREATE ROLE {role} LOGIN"))?;
    let db: &mut dyn Sql = session;
    if db.count(OWNS, &params![service, owner])? > 0 {
        return Err(StoreError::Refused(format!(
            "{service} may do whatever {owner} may, who owns the tables; name another role to serve, which is no superuser"
        )));
    }
    unless(session, CONNECTS, service, &format!("GRANT CONNECT ON DATABASE {database} TO {role}"))?;
    unless(session, COMPARES, service, &format!("GRANT TEMPORARY ON DATABASE {database} TO {role}"))?;
    unless(session, ENTERS, service, &format!("GRANT USAGE ON SCHEMA {schema} TO {role}"))?;
    unless(session, MAKES_NONE, service, &format!("REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {role}"))
}

/// Gives a role that serves its rights, and nobody else any.
pub(super) fn grant(session: &mut Session, service: &str) -> Result<(), StoreError> {
    let tables = TABLES.iter().map(|table| (table.name, table.rights()));
    let role = quoted(service);
    for (table, rights) in tables.chain([("onetap_schema", "SELECT")]) {
        session.batch(&format!(
            "REVOKE ALL ON {table} FROM PUBLIC, {role}; GRANT {rights} ON {table} TO {role}"
        ))?;
    }
    Ok(())
}

/// Runs a statement unless what it is for holds of the role, and looks whether it does afterwards: the server only warns of a
/// `GRANT` that gives nothing.
fn unless(
    session: &mut Session,
    condition: &'static str,
    role: &str,
    statement: &str,
) -> Result<(), StoreError> {
    if is(session, condition, role)? {
        return Ok(());
    }
    let why = match session.batch(statement) {
        Ok(()) if is(session, condition, role)? => return Ok(()),
        Ok(()) => "no right to do so".to_owned(),
        Err(StoreError::Refused(why)) => why,
        Err(error) => return Err(error),
    };
    Err(StoreError::Refused(format!("{why}; have a superuser run `{statement}`, or connect as one")))
}

fn is(db: &mut dyn Sql, condition: &'static str, role: &str) -> Result<bool, StoreError> {
    let sql = kept(&format!("SELECT count(*) WHERE {condition}"));
    Ok(db.count(sql, &params![role])? > 0)
}

fn name(db: &mut dyn Sql, sql: &'static str) -> Result<Option<String>, StoreError> {
    db.first(sql, &[], |row| Ok(row.text("name")?.to_owned()))
}

/// A name as SQL has it (PostgreSQL §4.1.1).
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

//! What the schema consists of, as PostgreSQL's catalogs have it.

use crate::books::sql::{Sql, kept, params};
use crate::domain::StoreError;
use crate::store::schema::{self, Parts};

/// The parts of the schema `?1`, without its name in how they are made: what else would be in it after its scripts have
/// run, by kind. What extensions own, and how much room tables leave in their pages, is the database administrator's.
const PARTS: &str = "
    WITH here AS (SELECT oid, nspname::text AS name FROM pg_namespace WHERE nspname = CAST(?1 AS TEXT)),
    relations AS (
        SELECT c.* FROM pg_class c JOIN here ON c.relnamespace = here.oid
        WHERE NOT EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ), parts AS (
        SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence'
                ELSE 'relation' END || ' ' || c.relname AS part,
            concat_ws(' ', c.relkind, c.relpersistence = 'u', c.relrowsecurity, c.relforcerowsecurity,
                c.relispartition, c.relhassubclass, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready) AS made
        FROM relations c LEFT JOIN pg_index i ON i.indexrelid = c.oid
        UNION ALL SELECT 'column ' || c.relname || '.' || a.attname,
            concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
                a.attcollation, pg_get_expr(d.adbin, d.adrelid))
        FROM relations c JOIN pg_attribute a ON a.attrelid = c.oid
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relkind <> 'i' AND c.relkind <> 'S' AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT 'constraint ' || k.conname || ' of ' || c.relname,
            concat_ws(' ', pg_get_constraintdef(k.oid), k.convalidated)
        FROM relations c JOIN pg_constraint k ON k.conrelid = c.oid WHERE k.contype <> 'n'
        UNION ALL SELECT 'trigger ' || t.tgname || ' of ' || c.relname, pg_get_triggerdef(t.oid)
        FROM relations c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE NOT t.tgisinternal
        UNION ALL SELECT 'triggers of ' || c.relname || ' that are off', count(*)::text
        FROM relations c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE t.tgenabled <> 'O' GROUP BY c.relname
        UNION ALL SELECT 'rule ' || r.rulename || ' of ' || c.relname, pg_get_ruledef(r.oid)
        FROM relations c JOIN pg_rewrite r ON r.ev_class = c.oid
        UNION ALL SELECT 'policy ' || p.polname || ' of ' || c.relname, ''
        FROM relations c JOIN pg_policy p ON p.polrelid = c.oid
        UNION ALL SELECT 'function ' || p.proname, p.oid::text
        FROM pg_proc p JOIN here ON p.pronamespace = here.oid
        WHERE NOT EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    )
    SELECT part, replace(replace(made, here.name || '.', ''), 'pg_temp.', '') AS made FROM parts, here";

/// The parts of the schema of that name.
fn parts(db: &mut dyn Sql, name: &str) -> Result<Parts, StoreError> {
    let rows = db
        .all(PARTS, &params![name], |row| Ok((row.text("part")?.to_owned(), row.text("made")?.to_owned())))?;
    Ok(rows.into_iter().collect())
}

/// What ends the transaction in which a schema was made, so that nothing of it stays.
pub(super) struct Made(pub(super) Result<Parts, StoreError>);

impl From<StoreError> for Made {
    fn from(error: StoreError) -> Self {
        Self(Err(error))
    }
}

/// The parts of the schema that is there.
pub(super) fn found(db: &mut dyn Sql) -> Result<Parts, StoreError> {
    let here = name(db, "SELECT current_schema()::text AS name")?;
    let mut found = parts(db, &here)?;
    let versions = db.all("SELECT version FROM onetap_schema", &[], |row| row.int("version"))?;
    found.insert("version".to_owned(), format!("{versions:?}"));
    Ok(found)
}

/// The parts of a schema as this program makes it: makes one, for this transaction alone.
pub(super) fn ours(db: &mut dyn Sql) -> Result<Parts, StoreError> {
    db.execute("SET LOCAL search_path = pg_temp", &[])?;
    for script in schema::postgres_scripts(0) {
        db.execute(kept(&format!("DO $made$ BEGIN {script} END $made$")), &[])?;
    }
    let temporary =
        name(db, "SELECT nspname::text AS name FROM pg_namespace WHERE oid = pg_my_temp_schema()")?;
    let mut ours = parts(db, &temporary)?;
    ours.insert("version".to_owned(), format!("{:?}", [schema::VERSION]));
    Ok(ours)
}

fn name(db: &mut dyn Sql, sql: &'static str) -> Result<String, StoreError> {
    Ok(db.first(sql, &[], |row| Ok(row.text("name")?.to_owned()))?.unwrap_or_default())
}

//! What an authorisation costs among few accounts and among many, and what memory that takes.

use onetap_postgres_rig::Cluster;
use onetap_trials::fire::Fallible;
use onetap_trials::fire::scene::{SYMMETRIC, Scene};
use onetap_trials::fire::serve::{Books, Serving};
use rusqlite::{Connection, params};

use crate::row::{Row, median};
use crate::throughput::run;
use crate::{Place, scene, scene_among};

/// How many accounts there are among which some pay.
const MANY: &str = "ONETAP_GROWTH_ACCOUNTS";
const DEFAULT_MANY: usize = 1_000_000;
const FEW: usize = 1_000;
/// Accounts that pay where there are many, spread evenly over all.
const PAYING: usize = 4_000;
/// So many of them lie side by side.
const SIDE_BY_SIDE: usize = 8;
const ROUNDS: usize = 5;
const REQUESTS: usize = 8_000;
const CONNECTIONS: usize = 64;

/// Puts so many accounts, which never pay, behind those that are there.
type Fill<'a> = dyn FnMut(usize) -> Fallible<()> + 'a;

pub(crate) fn sqlite(place: &Place) -> Fallible<Vec<Row>> {
    let few = scene(place.sqlite("few"), SYMMETRIC, FEW)?;
    let books = place.sqlite("many");
    let file = books.folder.join("verifier.db");
    let mut filled = 0;
    let many = among(books, &mut |count| {
        filled += count;
        fill_sqlite(&Connection::open(&file)?, filled - count, count)
    })?;
    let (ratios, [few, many], serving) = by_turns(few, many)?;
    let name = "authorisations among many accounts, SQLite: cost beside 1 000 accounts";
    let mut rows = vec![row(name, few, many, median(ratios))];
    rows.extend(memory(&serving)?);
    Ok(rows)
}

pub(crate) fn postgres(place: &Place) -> Fallible<Vec<Row>> {
    let cluster = place.cluster()?;
    let few = scene(place.postgres(&cluster, "pg-few")?, SYMMETRIC, FEW)?;
    let database = cluster.database(None)?;
    let books = Books { folder: place.folder("pg-many"), url: Some(cluster.url(&database)) };
    let mut filled = 0;
    let many = among(books, &mut |count| {
        filled += count;
        fill_postgres(&cluster, &database, filled - count, count)
    })?;
    cluster.sql(&database, "VACUUM ANALYZE")?;
    // What the filling has left to write is not measured.
    cluster.sql(&database, "CHECKPOINT")?;
    let (ratios, [few, many], _serving) = by_turns(few, many)?;
    let worst = ratios.into_iter().fold(0.0, f64::max);
    let name =
        "authorisations among many accounts, PostgreSQL: cost beside 1 000 accounts, worst of five runs";
    Ok(vec![row(name, few, many, worst).of_issue(10)])
}

fn accounts() -> usize {
    std::env::var(MANY).ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_MANY)
}

fn among(books: Books, fill: &mut Fill<'_>) -> Fallible<Scene> {
    let share = accounts() / PAYING * SIDE_BY_SIDE;
    println!("  {} accounts, {PAYING} of them pay", accounts());
    scene_among(books, SYMMETRIC, PAYING, &mut |number| {
        if number % SIDE_BY_SIDE == 0 { fill(share) } else { Ok(()) }
    })
}

/// The ratio of the costs in each round, both rates, and who serves the many.
fn by_turns(mut few: Scene, mut many: Scene) -> Fallible<(Vec<f64>, [f64; 2], Serving)> {
    let servings = [few.serve()?, many.serve()?];
    let mut rates = [vec![], vec![]];
    for round in 0..=ROUNDS {
        for (scene, (serving, rates)) in
            [&mut few, &mut many].into_iter().zip(servings.iter().zip(&mut rates))
        {
            let rate = run(scene, serving, CONNECTIONS, REQUESTS)?.rate();
            // The first round warms up.
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    let ratios: Vec<f64> = rates[0].iter().zip(&rates[1]).map(|(few, many)| few / many).collect();
    println!("  {rates:.0?}, {ratios:.2?}");
    let [_, serving] = servings;
    Ok((ratios, rates.map(median), serving))
}

fn row(name: &'static str, few: f64, many: f64, ratio: f64) -> Row {
    Row { ratio, ..Row::of_service(name, "1/s", many, "the same among 1 000", few) }.at_most(1.3)
}

fn memory(serving: &Serving) -> Fallible<Vec<Row>> {
    let [_, most] = serving.resident()?.map(|kib| f64::from(kib) / 1024.0);
    Ok(vec![Row::within(
        "resident memory among many accounts under load, at most",
        "MB",
        most * 1.048_576,
        60.0,
    )])
}

fn fill_sqlite(db: &Connection, first: usize, count: usize) -> Fallible<()> {
    db.busy_timeout(std::time::Duration::from_secs(30))?;
    db.pragma_update(None, "synchronous", "OFF")?;
    let (first, last) = (i64::try_from(first)?, i64::try_from(first + count)?);
    let known: i64 = db.query_row("SELECT max(account_id) FROM accounts", [], |row| row.get(0))?;
    db.execute_batch("BEGIN IMMEDIATE")?;
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
         INSERT INTO accounts (number, holder, currency, kind, audit_seal, audit_head)
         SELECT printf('9%017d', i), 'Nobody', 'EUR', 'current', zeroblob(16), zeroblob(16) FROM n",
        params![first, last],
    )?;
    for sql in [
        "INSERT INTO cards (account_id, card_id, state, newest_key)
         SELECT account_id, printf('f%015x', account_id), 'active', 1 FROM accounts WHERE account_id > ?1",
        "INSERT INTO card_keys (account_id, card_id, signing_key, binding, rsa_bits, public_key)
         SELECT account_id, printf('f%015x', account_id), 1, '{}', 2048, zeroblob(294) FROM accounts
         WHERE account_id > ?1",
    ] {
        db.execute(sql, [known])?;
    }
    Ok(db.execute_batch("COMMIT")?)
}

fn fill_postgres(cluster: &Cluster, database: &str, first: usize, count: usize) -> Fallible<()> {
    let last = first + count - 1;
    cluster.sql(
        database,
        &format!(
            "SET synchronous_commit = off;
             WITH a AS (
                 INSERT INTO accounts (account_id, number, holder, currency, kind, audit_seal, audit_head)
                 SELECT (SELECT max(account_id) FROM accounts) + 1 + i - {first}, '9' || lpad(i::text, 17, '0'), 'Nobody', 'EUR', 'current', decode(repeat('00', 16), 'hex'),
                     decode(repeat('00', 16), 'hex') FROM generate_series({first}, {last}) i RETURNING account_id
             ), c AS (
                 INSERT INTO cards (account_id, card_id, state, newest_key)
                 SELECT account_id, 'f' || lpad(to_hex(account_id), 15, '0'), 'active', 1 FROM a
             )
             INSERT INTO card_keys (account_id, card_id, signing_key, binding, rsa_bits, public_key)
             SELECT account_id, 'f' || lpad(to_hex(account_id), 15, '0'), 1, '{{}}', 2048,
                 decode(repeat('00', 294), 'hex') FROM a"
        ),
    )?;
    Ok(())
}

//! The role that serves: it may do what a service does, and the server itself refuses it all else.

use onetap_server_verifier::*;

use crate::home::*;
use crate::support::*;

/// What the service may do with each table: the log and what grows with it is read and added to.
pub const RIGHTS: [&str; 19] = [
    "accounts: INSERT, SELECT, UPDATE",
    "audit: INSERT, SELECT",
    "card_keys: DELETE, INSERT, SELECT, UPDATE",
    "cards: DELETE, INSERT, SELECT, UPDATE",
    "client_terminals: DELETE, INSERT, SELECT, UPDATE",
    "clients: INSERT, SELECT, UPDATE",
    "credits: DELETE, INSERT, SELECT, UPDATE",
    "entries: INSERT, SELECT",
    "holds: DELETE, INSERT, SELECT, UPDATE",
    "onetap_schema: SELECT",
    "outbox: DELETE, INSERT, SELECT, UPDATE",
    "proposals: INSERT, SELECT, UPDATE",
    "requests: DELETE, INSERT, SELECT, UPDATE",
    "reversals: INSERT, SELECT",
    "server: INSERT, SELECT, UPDATE",
    "terminals: INSERT, SELECT, UPDATE",
    "tokens: INSERT, SELECT, UPDATE",
    "transactions: INSERT, SELECT",
    "wrong_passwords: DELETE, INSERT, SELECT, UPDATE",
];

/// What the service may do with each table, as the server has it.
pub fn rights(home: &Home) -> Vec<String> {
    let sql = format!(
        "SELECT table_name || ': ' || string_agg(privilege_type, ', ' ORDER BY privilege_type)
         FROM information_schema.table_privileges WHERE grantee = '{SERVICE}' GROUP BY table_name ORDER BY table_name"
    );
    home.behind(&sql).lines().map(str::to_owned).collect()
}

fn init(
    url: &str,
    owner: Option<&str>,
    service: Option<&str>,
) -> (tempfile::TempDir, Result<Verifier, ServiceError>) {
    let directory = tempfile::tempdir().unwrap();
    let roles = Roles { owner: owner.map(str::to_owned), service: service.map(str::to_owned) };
    let options = InitOptions { roles, ..options(|_| ()) };
    let made = Verifier::init_postgres(directory.path(), url, options, environment(&TestClock::new()));
    (directory, made)
}

/// The rows that grow are those of which the data model says so; what else there is may change, and nothing may be made.
#[test]
fn attack_the_role_that_serves_changes_the_log() {
    let home = Home::new();
    home.send(&home.card("a3+sha256+aes-cbc-cmac").tap(home.payment(100)).request);
    assert_eq!(rights(&home), RIGHTS.map(String::from));
    let servant = home.servant();
    for table in ["audit", "transactions", "entries", "reversals"] {
        for attack in [
            format!("UPDATE {table} SET account_id = account_id"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
            format!("SELECT * FROM {table} FOR UPDATE"),
        ] {
            let refused = servant.run(&attack).unwrap_err();
            assert!(refused.contains(&format!("permission denied for table {table}")), "{attack}: {refused}");
        }
    }
    for attack in [
        "TRUNCATE accounts CASCADE",
        "DELETE FROM accounts",
        "UPDATE onetap_schema SET version = 1",
        "CREATE TABLE more (n int)",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "DROP TABLE audit",
        "CREATE RULE r AS ON INSERT TO audit DO INSTEAD NOTHING",
        "GRANT UPDATE ON audit TO PUBLIC; UPDATE audit SET at = at",
        "SET ROLE onetap_owner",
        "ALTER TABLE audit OWNER TO CURRENT_USER",
    ] {
        servant.run(attack).expect_err(attack);
    }
    home.check_books();
}

/// So that the whole suite, which this test is part of, shows that the rights suffice.
#[test]
fn every_store_of_these_tests_is_used_by_the_role_that_serves() {
    let home = Home::new();
    home.send(&home.card("a3+sha256+aes-cbc-cmac").tap(home.payment(100)).request);
    let sql = format!(
        "SELECT DISTINCT usename FROM pg_stat_activity
         WHERE datname = '{}' AND application_name = 'onetap-verifier'",
        home.database
    );
    assert_eq!(home.behind(&sql), SERVICE);
    let owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(home.behind(owners), OWNER);
}

/// By a superuser, who is neither of the two.
#[test]
fn roles_that_there_are_not_are_made_and_the_folder_notes_who_serves() {
    let database = cluster().database(None).unwrap();
    let url = cluster().url(&database).replace("postgres@", "postgres:secret@");
    let (owner, service) = (format!("Owner \" of {database}"), format!("clerk_{database}"));
    let (directory, made) = init(&url, Some(&owner), Some(&service));
    drop(made.unwrap());
    let logins =
        format!("SELECT rolcanlogin FROM pg_roles WHERE rolname LIKE '%{database}' ORDER BY rolname");
    assert_eq!(cluster().sql(&database, &logins).unwrap(), "f\nt", "only who serves is let in");
    let noted = std::fs::read_to_string(directory.path().join("postgres.url")).unwrap();
    assert!(noted.contains(&format!("//{service}@")) && !noted.contains("secret"), "{noted}");
    let world = World::around(
        Verifier::open(directory.path(), environment(&TestClock::new())).unwrap(),
        TestClock::new(),
    );
    let tap = world.card("a3+sha256+aes-cbc-cmac").tap(world.payment(100));
    assert!(matches!(
        world.verifier.authorise(&world.client, "k", &tap.request).unwrap(),
        Outcome::Executed(_)
    ));
}

/// What earlier instructions granted is taken back, and a role that could do everything does not serve.
#[test]
fn a_role_has_what_it_needs_to_serve_and_no_more_whatever_it_had() {
    let home = Home::new();
    home.behind(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {SERVICE}, PUBLIC"));
    let (folder, boss) = (home.directory.path(), home.url_of("postgres"));
    let upgrade = |role: &str| {
        Verifier::upgrade_postgres(folder, &boss, Some(role.to_owned()), environment(&home.clock)).map(drop)
    };
    upgrade(SERVICE).unwrap();
    assert_eq!(rights(&home), RIGHTS.map(String::from));
    home.behind(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {SERVICE}, PUBLIC"));
    drop(Verifier::upgrade_postgres(folder, &boss, None, environment(&home.clock)).unwrap());
    assert_eq!(rights(&home), RIGHTS.map(String::from), "who serves is known");
    home.servant().run("DELETE FROM audit").unwrap_err();
    for role in ["postgres", OWNER] {
        let error = upgrade(role).unwrap_err().to_string();
        assert!(error.contains("name another role"), "{error}");
    }
}

/// Each error names who could do it.
#[test]
fn who_may_not_make_roles_or_tables_is_told_who_may() {
    let database = cluster().database(None).unwrap();
    let url = cluster().url(&database).replace("postgres@", &format!("{SERVICE}@"));
    let (_, made) = init(&url, None, None);
    let error = made.unwrap_err().to_string();
    let needed = format!("have a superuser run `GRANT USAGE, CREATE ON SCHEMA public TO \"{SERVICE}\"`");
    assert!(error.contains(&needed), "{error}");
    let (_, made) = init(&url, Some("nobody_yet"), None);
    let error = made.unwrap_err().to_string();
    assert!(error.contains("have a superuser run `CREATE ROLE \"nobody_yet\" NOLOGIN`"), "{error}");
}

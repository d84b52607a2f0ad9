//! The rig does what its users rest on.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use onetap_postgres_rig::cluster::scratch;
use onetap_postgres_rig::{Cluster, Settings};

/// With it set, [`a_server_ends_with_its_process`] is the process that is killed.
const CHILD: &str = "ONETAP_RIG_CHILD";

#[test]
fn what_was_committed_is_there_after_kill_9() {
    let mut cluster = Cluster::start(&scratch().unwrap(), Settings::production()).unwrap();
    let database = cluster.database(None).unwrap();
    assert_eq!(cluster.sql(&database, "SELECT 1").unwrap(), "1");
    cluster.sql(&database, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").unwrap();
    cluster.kill9().unwrap();
    assert!(cluster.sql(&database, "SELECT 1").is_err(), "it is dead");
    cluster.restart().unwrap();
    assert_eq!(cluster.sql(&database, "SELECT n FROM kept").unwrap(), "7");
    let copy = cluster.database(Some(&database)).unwrap();
    assert_eq!(cluster.sql(&copy, "SELECT n FROM kept").unwrap(), "7");
}

#[test]
fn a_promoted_standby_has_every_acknowledged_commit() {
    let folder = scratch().unwrap();
    let mut primary = Cluster::start(&folder, Settings::production()).unwrap();
    let database = primary.database(None).unwrap();
    primary.sql(&database, "CREATE TABLE kept (n int)").unwrap();
    let standby = primary.standby().unwrap();
    primary.sql(&database, "INSERT INTO kept VALUES (8)").unwrap();
    assert!(standby.sql(&database, "INSERT INTO kept VALUES (9)").is_err(), "a standby takes no writes");
    primary.kill9().unwrap();
    standby.promote().unwrap();
    assert_eq!(standby.sql(&database, "INSERT INTO kept VALUES (9); SELECT sum(n) FROM kept").unwrap(), "17");
}

#[test]
fn each_test_has_a_database_of_its_own() {
    let cluster = Cluster::shared().unwrap();
    let (one, other) = (cluster.database(None).unwrap(), cluster.database(None).unwrap());
    cluster.sql(&one, "CREATE TABLE mine (n int)").unwrap();
    assert!(cluster.sql(&other, "SELECT * FROM mine").is_err());
    assert!(cluster.url(&one).starts_with("postgresql://postgres@%2F"));
}

/// The process is this program once more, which starts a server and waits.
#[test]
fn a_server_ends_with_its_process() {
    if std::env::var_os(CHILD).is_some() {
        let cluster = Cluster::start(&scratch().unwrap(), Settings::quick()).unwrap();
        println!("\n{}", cluster.host().display());
        std::thread::park();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_server_ends_with_its_process", "--nocapture"]).env(CHILD, "1");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let host = lines.find(|line| line.starts_with('/')).unwrap();
    let lock = std::fs::read_to_string(Path::new(&host).join(".s.PGSQL.5432.lock")).unwrap();
    let server = Path::new("/proc").join(lock.lines().next().unwrap());
    assert!(server.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while alive(&server) {
        assert!(Instant::now() < deadline, "the server outlives its process");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process that is gone, or is only waited for, does not live.
fn alive(process: &Path) -> bool {
    let state = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    state.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

//! The bars of the verifier as a service and of its client, each rate beside its peer in the same run, by turns.
//! Writes `bench/service.json` into the target folder; `scripts/bench` makes the summary of it.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod audit;
mod client;
mod crowd;
mod growth;
mod promises;
#[path = "../support/row.rs"]
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod row;
mod telling;
mod throughput;

use std::path::{Path, PathBuf};

use onetap_postgres_rig::{Cluster, Settings};
use onetap_server_verifier::Policy;
use onetap_trials::fire::Fallible;
use onetap_trials::fire::scene::Scene;
use onetap_trials::fire::serve::{Books, Program, child};
use row::Row;

/// With it set, only sections whose names contain it are measured.
const ONLY: &str = "ONETAP_SERVICE_ONLY";
/// What must be free on the disk, in GiB.
const ROOM: u64 = 25;

type Section = fn(&Place) -> Fallible<Vec<Row>>;
const SECTIONS: [(&str, Section); 12] = [
    ("symmetric", throughput::symmetric),
    ("oaep", throughput::oaep),
    ("postgres", throughput::postgres),
    ("growth-sqlite", growth::sqlite),
    ("growth-pg", growth::postgres),
    ("audit", audit::sqlite),
    ("lockout", promises::lockout),
    ("kills-sqlite", promises::kills_sqlite),
    ("kills-postgres", promises::kills_postgres),
    ("telling", telling::measure),
    ("client", client::own_cost),
    ("crowd", crowd::measure),
];

fn main() -> Fallible<()> {
    // This program is its own child where a verifier serves, or verifies its log.
    child();
    audit::child()?;
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("no target folder")?;
    let place = Place::new(&target.join("bench-data"))?;
    let only = std::env::var(ONLY).unwrap_or_default();
    let mut rows = Vec::new();
    for (name, section) in SECTIONS.iter().filter(|(name, _)| name.contains(&only)) {
        println!("service: {name}");
        rows.extend(section(&place)?);
    }
    std::fs::create_dir_all(target.join("bench"))?;
    let file = target.join("bench").join("service.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&rows)?)?;
    println!("{}", file.display());
    Ok(())
}

/// Where the databases are: a folder on the disk that the program was built on, removed afterwards.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(parent: &Path) -> Fallible<Self> {
        std::fs::create_dir_all(parent)?;
        let free = free_gib(parent)?;
        if free < ROOM {
            println!("service: {free} GiB free at {}, {ROOM} are better", parent.display());
        }
        Ok(Self { folder: tempfile::tempdir_in(parent)? })
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sqlite(&self, name: &str) -> Books {
        Books { folder: self.folder(name), url: None }
    }

    fn cluster(&self) -> Fallible<Cluster> {
        Ok(Cluster::start(self.folder.path(), Settings::production())?)
    }

    /// In a new database of `cluster`.
    fn postgres(&self, cluster: &Cluster, name: &str) -> Fallible<Books> {
        let database = cluster.database(None)?;
        Ok(Books { folder: self.folder(name), url: Some(cluster.url(&database)) })
    }
}

/// Under the default policy, but that T may be a day old: it is signed long before it is sent.
fn scene(books: Books, suite: &str, accounts: usize) -> Fallible<Scene> {
    scene_among(books, suite, accounts, &mut |_| Ok(()))
}

/// The same, with something done before each account is opened.
fn scene_among(
    books: Books,
    suite: &str,
    accounts: usize,
    before: &mut dyn FnMut(usize) -> Fallible<()>,
) -> Fallible<Scene> {
    let policy = Policy { max_age: 24 * 60 * 60, ..Policy::default() };
    Scene::found_among(books, Program::this(&[])?, suite, accounts, policy, before)
}

fn free_gib(folder: &Path) -> Fallible<u64> {
    let output =
        std::process::Command::new("df").args(["--output=avail", "--block-size=1G"]).arg(folder).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().last().ok_or("df printed nothing")?.trim().parse()?)
}

//! What is written down is what was done, all of it, and nothing of other folders.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::path::Path;

use onetap_recording_vfs::{Entry, Log, Recording, install};
use rusqlite::Connection;
use tempfile::TempDir;

type Files = BTreeMap<String, Vec<u8>>;

/// The files after everything in the log.
fn replayed(log: &Log) -> Files {
    let mut files: Vec<_> = log.before.iter().map(|(_, bytes)| bytes.clone()).collect();
    let mut names: BTreeMap<_, _> = log.before.iter().map(|(name, _)| name.clone()).zip(0..).collect();
    for entry in &log.entries {
        match entry {
            Entry::Create { file, name } => {
                assert_eq!(file.0, files.len());
                files.push(Vec::new());
                names.insert(name.clone(), file.0);
            }
            Entry::Write { file, offset, bytes } => {
                let (from, file) = (usize::try_from(*offset).unwrap(), &mut files[file.0]);
                file.resize(file.len().max(from + bytes.len()), 0);
                file[from..from + bytes.len()].copy_from_slice(bytes);
            }
            Entry::Truncate { file, size } => files[file.0].resize(usize::try_from(*size).unwrap(), 0),
            Entry::Delete { name, .. } => drop(names.remove(name).unwrap()),
            Entry::Sync { .. } | Entry::Mark(_) => {}
        }
    }
    names.into_iter().map(|(name, file)| (name, files[file].clone())).collect()
}

/// The files that are there, but for the shared memory.
fn found(folder: &Path) -> Files {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = files.map(|file| (file.file_name().into_string().unwrap(), file.path()));
    let lasting = named.filter(|(name, _)| !name.ends_with("-shm"));
    lasting.map(|(name, path)| (name, std::fs::read(path).unwrap())).collect()
}

fn folder() -> TempDir {
    install().unwrap();
    tempfile::tempdir().unwrap()
}

/// Fills a database, and empties most of it.
fn work(folder: &Path, journal: &str) -> Connection {
    let db = Connection::open(folder.join("test.db")).unwrap();
    let mode: String =
        db.query_row(&format!("PRAGMA journal_mode = {journal}"), [], |row| row.get(0)).unwrap();
    assert_eq!(mode, journal);
    db.execute_batch("PRAGMA synchronous = EXTRA; CREATE TABLE IF NOT EXISTS t (x BLOB)").unwrap();
    for _ in 0..20 {
        db.execute("INSERT INTO t VALUES (randomblob(3000))", []).unwrap();
    }
    db.execute("DELETE FROM t WHERE rowid > 2", []).unwrap();
    db.execute("VACUUM", []).unwrap();
    db
}

fn count(log: &Log, which: impl Fn(&Entry) -> bool) -> usize {
    log.entries.iter().filter(|entry| which(entry)).count()
}

#[test]
fn the_log_gives_the_very_files() {
    for journal in ["wal", "delete", "truncate"] {
        let folder = folder();
        let recording = Recording::start(folder.path()).unwrap();
        let db = work(folder.path(), journal);
        let open = found(folder.path());
        drop(db);
        let log = recording.finish();
        assert!(open.values().any(|bytes| bytes.len() > 8_000), "{journal}: something was written");
        assert_eq!(replayed(&log), found(folder.path()), "{journal}");
        assert!(count(&log, |entry| matches!(entry, Entry::Truncate { .. })) > 0, "{journal}: VACUUM cuts");
    }
}

#[test]
fn what_was_there_before_is_where_the_log_begins() {
    let folder = folder();
    drop(work(folder.path(), "wal"));
    let before = found(folder.path());
    let recording = Recording::start(folder.path()).unwrap();
    let db = work(folder.path(), "wal");
    recording.mark(7);
    drop(db);
    let log = recording.finish();
    assert_eq!(log.before.iter().cloned().collect::<Files>(), before);
    assert_eq!(count(&log, |entry| *entry == Entry::Mark(7)), 1);
    assert_eq!(replayed(&log), found(folder.path()));
}

#[test]
fn syncs_stand_behind_what_they_cover_and_tell_of_the_folder() {
    let folder = folder();
    let recording = Recording::start(folder.path()).unwrap();
    drop(work(folder.path(), "wal"));
    let log = recording.finish();
    let created = |name| {
        log.entries.iter().find_map(|entry| match entry {
            Entry::Create { file, name: of } if of == name => Some(*file),
            _ => None,
        })
    };
    let wal = created("test.db-wal").unwrap();
    let syncs = log.entries.iter().enumerate().filter_map(|(at, entry)| match entry {
        Entry::Sync { file, upto, folder } if *file == wal => Some((at, *upto, *folder)),
        _ => None,
    });
    let syncs: Vec<_> = syncs.collect();
    assert!(syncs.len() > 20, "one for each commit");
    assert!(syncs.iter().all(|(at, upto, _)| upto == at), "one thread: nothing came while a sync ran");
    let of_folder: Vec<_> = syncs.iter().map(|(_, _, folder)| *folder).collect();
    assert!(of_folder[0] && !of_folder[1..].contains(&true), "the first sync of a new log, and only that");
}

/// `synchronous = EXTRA` syncs the folder after a journal is removed.
#[test]
fn a_removed_journal_tells_of_the_folder() {
    let folder = folder();
    let recording = Recording::start(folder.path()).unwrap();
    drop(work(folder.path(), "delete"));
    let log = recording.finish();
    let deletes =
        |synced| count(&log, |entry| matches!(entry, Entry::Delete { folder, .. } if *folder == synced));
    assert!(deletes(true) > 20);
}

#[test]
fn other_folders_and_later_work_are_not_written_down() {
    let (watched, other) = (folder(), folder());
    let recording = Recording::start(watched.path()).unwrap();
    drop(work(other.path(), "wal"));
    let log = recording.finish();
    assert!(log.entries.is_empty() && log.before.is_empty());
    drop(work(watched.path(), "wal"));
    assert!(found(watched.path()).contains_key("test.db"));
}

#[test]
fn what_cannot_be_opened_fails_as_without_us() {
    let folder = folder();
    let recording = Recording::start(folder.path()).unwrap();
    let missing = folder.path().join("missing").join("test.db");
    assert!(Connection::open(&missing).and_then(|db| db.execute_batch("CREATE TABLE t (x)")).is_err());
    let memory = Connection::open_in_memory().unwrap();
    memory.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    assert!(recording.finish().entries.is_empty());
}

//! The journal on disks that are full, files that are torn, and folders with more in them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use onetap_apdu_spec::service::{Answer, IdempotencyKey, Timestamp};
use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::attempt::Place;
use onetap_pcsc_host::journal::{Conclusion, Entry, FileJournal, Journal};
use onetap_pcsc_host::{Atr, Attempt, Deadline, InProcessReader, Terminal};
use support::{fields, formal_card};

/// Attempts of one card, in the order of its counter.
fn attempts<const N: usize>() -> [Attempt; N] {
    let mut terminal = Terminal::new("TERM0001".parse().unwrap());
    let mut reader = InProcessReader::new("formal", Atr::default(), formal_card(Suite::default()));
    std::array::from_fn(|number| {
        let deadline = Deadline::after(Duration::from_secs(10));
        let tapped = terminal.tap(&mut reader, &fields().draft().unwrap(), &deadline).unwrap();
        tapped.attempt(format!("key-{number}").parse::<IdempotencyKey>().unwrap(), terminal.now()).unwrap()
    })
}

fn file(journal: &FileJournal, attempt: &Attempt) -> PathBuf {
    let Place { server, terminal, id } = attempt.place();
    journal.folder().join(format!("{server}-{}-{id}.json", terminal.as_str()))
}

fn same(entry: &Entry, attempt: &Attempt) -> bool {
    let Entry::Kept { attempt: kept, .. } = entry else { return false };
    serde_json::to_string(kept).unwrap() == serde_json::to_string(attempt).unwrap()
}

#[test]
fn what_was_begun_is_there_for_the_next_program_and_ends_once() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path().join("deep/er")).unwrap();
    let [first, second] = attempts();
    journal.begin(&first).unwrap();
    journal.begin(&second).unwrap();
    journal.end(&second, &Conclusion::Answered(Answer::Refused)).unwrap();

    let next = FileJournal::open(journal.folder()).unwrap();
    let entries = next.entries().unwrap();
    assert!(same(&entries[0], &first) && same(&entries[1], &second) && entries.len() == 2);
    assert_eq!(entries.iter().map(Entry::is_unresolved).collect::<Vec<_>>(), [true, false]);
    next.forget(&first.place()).unwrap();
    next.forget(&first.place()).unwrap();
    assert_eq!(journal.entries().unwrap().len(), 1, "two programs share one journal");
}

#[test]
fn a_file_torn_at_any_byte_loses_itself_only_and_keeps_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path()).unwrap();
    let [torn, whole] = attempts();
    journal.begin(&torn).unwrap();
    journal.begin(&whole).unwrap();
    let bytes = fs::read(file(&journal, &torn)).unwrap();
    let zeros = vec![0; bytes.len()];
    // Short, or of the right length without its blocks.
    let tears = (0..bytes.len()).map(|length| bytes[..length].to_vec()).chain([zeros]);
    for tear in tears {
        fs::write(file(&journal, &torn), &tear).unwrap();
        let entries = journal.entries().unwrap();
        let [Entry::Damaged { place, written }, other] = entries.as_slice() else {
            panic!("{} bytes: {entries:?}", tear.len())
        };
        assert_eq!(*place, torn.place());
        // Files are dated by a clock that ticks more coarsely.
        let dated = Timestamp::from(torn.transaction().at.assume_utc());
        assert!(written.0 + 1 >= dated.0, "not before the transaction's date");
        assert!(same(other, &whole) && entries[0].is_unresolved());
    }
}

#[test]
fn a_file_under_the_name_of_another_attempt_counts_as_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path()).unwrap();
    let [one, other] = attempts();
    journal.begin(&one).unwrap();
    fs::rename(file(&journal, &one), file(&journal, &other)).unwrap();
    assert!(
        matches!(journal.entries().unwrap().as_slice(), [Entry::Damaged { place, .. }] if *place == other.place())
    );
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path()).unwrap();
    let [one, other] = attempts();
    fs::create_dir(file(&journal, &one)).unwrap();
    journal.begin(&other).unwrap();
    let entries = journal.entries().unwrap();
    assert!(matches!(&entries[0], Entry::Damaged { place, .. } if *place == one.place()));
    assert!(same(&entries[1], &other));
}

#[test]
fn what_a_power_cut_or_others_left_in_the_folder_is_nobodys_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path()).unwrap();
    let [attempt] = attempts();
    journal.begin(&attempt).unwrap();
    // Written, and the power gone before it took its name.
    fs::copy(file(&journal, &attempt), folder.path().join(".tmpAb12Cd")).unwrap();
    for name in [
        "README.txt",
        "notes.json",
        "0123.json",
        "0101010101010101-TERM0001-0123.json",
        "0123456789abcdef00000001.json",
        "0101010101010101-TERM0001-0123456789abcdef00000001.bak",
    ] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    fs::create_dir(folder.path().join("more")).unwrap();
    let entries = journal.entries().unwrap();
    assert!(entries.len() == 1 && same(&entries[0], &attempt));
}

#[test]
fn whatever_file_is_replaced_is_there_as_it_was_or_as_it_will_be() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path()).unwrap();
    let [attempt] = attempts();
    journal.begin(&attempt).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for _ in 0..50 {
                journal.end(&attempt, &Conclusion::Cancelled).unwrap();
                journal.begin(&attempt).unwrap();
            }
        });
        while !writing.is_finished() {
            let entries = FileJournal::open(folder.path()).unwrap().entries().unwrap();
            assert!(entries.len() == 1 && same(&entries[0], &attempt), "{entries:?}");
        }
    });
}

const FOLDER: &str = "ONETAP_TEST_JOURNAL";

/// Not a test of its own: a program that may not write a byte to any file.
#[test]
fn the_child_on_a_full_disk() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let [attempt] = attempts();
    let journal = FileJournal::open(folder).unwrap();
    let error = journal.begin(&attempt).unwrap_err();
    assert!(
        error.to_string().contains("cannot be kept") && error.advice().contains("nothing is sent"),
        "{error}"
    );
}

#[test]
fn a_full_disk_is_an_error_and_what_was_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path()).unwrap();
    let [before] = attempts();
    journal.begin(&before).unwrap();
    // The limit that a shell sets, whose signal the program does not get, is to a program what a full disk is.
    let script = r#"trap '' XFSZ; ulimit -f 0; exec "$0" --exact the_child_on_a_full_disk"#;
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let entries = journal.entries().unwrap();
    assert!(entries.len() == 1 && same(&entries[0], &before));
    assert_eq!(files(folder.path()), [file(&journal, &before)], "nothing half written is left");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect()
}

#[test]
fn no_secret_is_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path()).unwrap();
    let [attempt] = attempts();
    journal.begin(&attempt).unwrap();
    let text: serde_json::Value =
        serde_json::from_slice(&fs::read(file(&journal, &attempt)).unwrap()).unwrap();
    let mut fields: Vec<_> = text["attempt"]["signed"].as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(
        fields,
        ["password_object", "signature_message", "transaction"],
        "as the specification has it"
    );
}

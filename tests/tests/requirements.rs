//! Each requirement of the patent is cited by a test, or listed here with the reason why not.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

/// All ids of `docs/spec/requirements.md`.
const ALL: std::ops::RangeInclusive<u8> = 1..=27;

/// Requirements without a test, each with its reason.
const UNTESTED: &[(u8, &str)] = &[];

fn cited(dir: &Path, found: &mut BTreeSet<u8>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["target", ".git", "fixtures", "docs"].contains(&name.as_str()) {
            cited(&path, found);
        } else if name.ends_with(".rs") {
            cite(&std::fs::read_to_string(&path).unwrap(), found);
        }
    }
}

/// Ids in the names of test functions: `fn p_05_…`, several as in `fn p_06_p_19_…`, or a range as in
/// `fn p_07_to_p_15_…`.
fn cite(source: &str, found: &mut BTreeSet<u8>) {
    for name in source.split("fn p_").skip(1) {
        let name = name.split('(').next().unwrap();
        let mut words = name.split('_').peekable();
        let mut previous = None;
        while let Some(word) = words.next() {
            let from = if word == "to" { previous.map(|id: u8| id + 1) } else { None };
            if from.is_some() && words.peek() == Some(&"p") {
                words.next();
            }
            let id = if from.is_some() { words.next() } else { Some(word) };
            let Some(id) = id.filter(|id| id.len() == 2).and_then(|id| id.parse().ok()) else { continue };
            found.extend(from.unwrap_or(id)..=id);
            previous = Some(id);
        }
    }
}

#[test]
fn ids_are_read_off_the_names_of_tests() {
    let mut found = BTreeSet::new();
    cite("fn p_05_x() fn p_06_p_19_y() fn p_07_to_p_09_z(", &mut found);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [5, 6, 7, 8, 9, 19]);
}

/// The modules that the patent builds the card of, each a room of its own.
#[test]
fn p_25_the_card_is_built_of_the_modules_that_the_patent_names() {
    let rooms = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("applet/src/signing");
    let declared = std::fs::read_to_string(rooms.join("mod.rs")).unwrap();
    for module in ["transceiver", "password", "encryption", "signature", "display", "keys"] {
        assert!(rooms.join(module).with_extension("rs").exists(), "{module}");
        assert!(declared.contains(&format!("mod {module};")), "{module} is part of the card");
    }
}

#[test]
fn every_requirement_is_cited_by_a_test() {
    let mut found = BTreeSet::new();
    cited(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap(), &mut found);
    let excused: BTreeSet<u8> = UNTESTED.iter().map(|(id, _)| *id).collect();
    for (id, reason) in UNTESTED {
        println!("P-{id:02} has no test: {reason}");
        assert!(!reason.is_empty() && !found.contains(id), "P-{id:02} is listed without need");
    }
    let missing: Vec<_> = ALL.filter(|id| !found.contains(id) && !excused.contains(id)).collect();
    println!("requirements without a test: {missing:?}");
    assert!(missing.is_empty(), "requirements without a test: {missing:?}");
}

//! Each requirement of the patent is cited by a test, or listed here with the reason why not.

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

/// Ids in the names of test functions: `fn p_05_…`, or several: `fn p_06_p_19_…`.
fn cite(source: &str, found: &mut BTreeSet<u8>) {
    for name in source.split("fn p_").skip(1) {
        let name = format!("_p_{}", name.split('(').next().unwrap());
        let ids = name.split("_p_").skip(1).filter_map(|rest| rest.get(..2)?.parse().ok());
        found.extend(ids);
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

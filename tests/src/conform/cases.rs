//! All cases: generated from the command table, and written by hand.

use super::case::Case;

mod chaining;
mod channels;
mod confirm;
mod contact;
mod display;
mod issuers;
mod lengths;
mod order;
mod pin;
mod refusals;
mod select;
mod signing;
mod states;
mod transaction;
mod words;

/// Every case, in the order in which they run.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        select::cases(),
        issuers::cases(),
        refusals::cases(),
        order::cases(),
        states::cases(),
        lengths::cases(),
        chaining::cases(),
        channels::cases(),
        transaction::cases(),
        signing::cases(),
        contact::cases(),
        display::cases(),
        confirm::cases(),
        pin::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_readable_and_every_case_has_its_clause() {
        let cases = cases();
        let ids: BTreeSet<_> = cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(ids.len(), cases.len());
        for case in &cases {
            let readable = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-/+".contains(c);
            assert!(case.id.chars().all(readable), "{}", case.id);
            assert!(case.id.contains('/'), "{}", case.id);
            assert!(!case.clause.is_empty() && !case.title.is_empty(), "{}", case.id);
        }
    }

    /// A clause that the specification does not have would send its reader nowhere.
    #[test]
    fn every_clause_of_ours_stands_in_the_specification() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec");
        let files = std::fs::read_dir(folder).unwrap();
        let spec: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        let word = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        let has: BTreeSet<_> = spec.split(word).collect();
        for case in cases() {
            for id in case.clause.split(word).filter(|id| id.starts_with("REQ-")) {
                assert!(has.contains(id), "{} cites {id}", case.id);
            }
        }
    }
}

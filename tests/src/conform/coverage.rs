//! Which clauses a card has to meet, and which cases show each of them: what no case shows, and what no clause asks for.

use super::case::{Case, Shows};
use super::cases::cases;

/// What a judge with APDUs, keys and display can show of a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// That what it says is done, and that what it does not allow is refused.
    Both,
    /// That what it says is done; there is nothing in it to refuse.
    Done,
    /// That something is refused or does nothing; all else of it is said by other clauses.
    Refused,
    /// Nothing, and why not.
    Nothing(&'static str),
}

use Demand::{Both, Done, Nothing, Refused};

const TEAR: Demand = Nothing(
    "it speaks of power cuts in the middle of a write: `onetap card tear --sweep`, and the tests of the memory",
);
const MEMORY: Demand = Nothing("it speaks of the card's image, which no reader reaches: applet/tests/nvm");
const ISSUER: Demand = Nothing(
    "a judge gets cards that are issued; cards made in another way may conform (README.md): applet/tests/gp",
);
const SERVER: Demand = Nothing("it binds who reads what the card gives: the server's tests");
const CHOICE: Demand =
    Nothing("it says which suites there are; a card has one, and that it keeps it is REQ-S-1");
const KEY: Demand = Nothing("a public key that breaks it is refused when it is lent, before any case");

/// Every clause of docs/spec for cards, in the order of its pages.
pub const CLAUSES: &[(&str, Demand)] = &[
    ("REQ-T-1", Both),
    ("REQ-T-2", Both),
    ("REQ-T-3", Both),
    ("REQ-T-4", Both),
    ("REQ-T-5", Both),
    ("REQ-T-6", Both),
    ("REQ-T-7", Both),
    ("REQ-T-8", Both),
    ("REQ-T-9", Both),
    ("REQ-T-10", Both),
    ("REQ-T-11", Both),
    ("REQ-T-12", Both),
    ("REQ-T-13", Both),
    ("REQ-S-1", Done),
    ("REQ-S-2", CHOICE),
    ("REQ-S-3", CHOICE),
    ("REQ-S-4", CHOICE),
    ("REQ-S-5", SERVER),
    ("REQ-S-6", SERVER),
    ("REQ-S-7", Done),
    ("REQ-S-8", Done),
    ("REQ-S-9", Done),
    ("REQ-S-10", Both),
    ("REQ-S-11", Done),
    ("REQ-S-12", Done),
    ("REQ-S-13", SERVER),
    ("REQ-S-14", Done),
    (
        "REQ-S-15",
        Nothing("nobody outside can make the card miscalculate: attack_crt_fault of applet/tests/card"),
    ),
    ("REQ-S-16", Done),
    ("REQ-S-17", Done),
    ("REQ-S-18", KEY),
    ("REQ-S-19", KEY),
    ("REQ-S-20", KEY),
    ("REQ-S-21", KEY),
    ("REQ-S-22", Done),
    ("REQ-S-23", Refused),
    ("REQ-C-1", Refused),
    ("REQ-C-2", Refused),
    ("REQ-C-3", Both),
    ("REQ-C-4", Both),
    ("REQ-C-5", Refused),
    ("REQ-C-6", Both),
    ("REQ-C-7", Done),
    ("REQ-C-8", Done),
    ("REQ-C-9", Both),
    ("REQ-C-10", Done),
    ("REQ-C-11", Refused),
    ("REQ-C-12", Both),
    ("REQ-K-1", TEAR),
    ("REQ-K-2", Done),
    ("REQ-K-3", Done),
    ("REQ-K-4", Both),
    ("REQ-K-5", Nothing("nobody outside can take the clock's battery out: applet/tests/card")),
    ("REQ-K-6", Both),
    ("REQ-K-7", Both),
    ("REQ-K-8", Both),
    ("REQ-K-9", Done),
    ("REQ-K-10", Done),
    ("REQ-K-11", Both),
    ("REQ-K-12", Both),
    ("REQ-K-13", Both),
    ("REQ-K-14", Both),
    ("REQ-K-15", Refused),
    ("REQ-K-16", Refused),
    ("REQ-K-17", Both),
    ("REQ-K-18", Both),
    ("REQ-K-19", Refused),
    ("REQ-K-20", Both),
    ("REQ-K-21", Both),
    ("REQ-K-22", Refused),
    ("REQ-K-23", Both),
    ("REQ-K-24", Done),
    ("REQ-K-25", Nothing("it would end the card that is judged: applet/tests/runtime")),
    ("REQ-K-26", Nothing("nobody outside can make an application fail inside: applet/tests/runtime")),
    ("REQ-K-27", TEAR),
    ("REQ-K-28", MEMORY),
    ("REQ-K-29", MEMORY),
    ("REQ-K-30", MEMORY),
    ("REQ-K-31", MEMORY),
    ("REQ-K-32", Done),
    ("REQ-I-1", ISSUER),
    ("REQ-I-2", ISSUER),
    ("REQ-I-3", ISSUER),
    ("REQ-I-4", SERVER),
    ("REQ-I-5", ISSUER),
    ("REQ-I-6", SERVER),
    ("REQ-I-7", ISSUER),
    ("REQ-I-8", ISSUER),
    ("REQ-I-9", ISSUER),
    ("REQ-I-10", ISSUER),
    ("REQ-I-11", ISSUER),
    ("REQ-I-12", ISSUER),
    ("REQ-I-13", ISSUER),
    ("REQ-I-14", SERVER),
    ("REQ-I-15", SERVER),
    ("REQ-I-16", ISSUER),
    ("REQ-I-17", ISSUER),
];

/// The pages' letters of the clauses that are a card's.
pub const CARDS: [char; 5] = ['T', 'S', 'C', 'K', 'I'];

/// The ids of rules in a text, each as often as it stands there.
pub fn ids(text: &str) -> impl Iterator<Item = &str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    text.split(word).filter(|id| id.starts_with("REQ-") && id.ends_with(|c: char| c.is_ascii_digit()))
}

/// The cases that show one side of a clause.
pub fn shown_by<'c>(cases: &'c [Case], clause: &str, side: Shows) -> Vec<&'c str> {
    let shows =
        |case: &&Case| [side, Shows::Both].contains(&case.shows) && ids(&case.clause).any(|id| id == clause);
    cases.iter().filter(shows).map(|case| case.id.as_str()).collect()
}

/// Clauses of which a case is missing, with the side that is not shown.
#[must_use]
pub fn clauses_without_a_case() -> Vec<String> {
    let cases = cases();
    let lacks = |clause: &str, side| shown_by(&cases, clause, side).is_empty();
    let mut found = Vec::new();
    for (clause, demand) in CLAUSES {
        if matches!(demand, Both | Done) && lacks(clause, Shows::Done) {
            found.push(format!("{clause}: that it is done"));
        }
        if matches!(demand, Both | Refused) && lacks(clause, Shows::Refused) {
            found.push(format!("{clause}: what is refused"));
        }
    }
    found
}

/// Cases that cite no clause which a judge can show, or one that it cannot.
#[must_use]
pub fn cases_without_a_clause() -> Vec<String> {
    let demand = |id: &str| CLAUSES.iter().find(|(clause, _)| *clause == id).map(|(_, demand)| *demand);
    let shown = |id: &str| !matches!(demand(id), None | Some(Nothing(_)));
    let fits = |case: &Case| ids(&case.clause).next().is_some() && ids(&case.clause).all(shown);
    cases()
        .into_iter()
        .filter(|case| !fits(case))
        .map(|case| format!("{}: {}", case.id, case.clause))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_clause_has_its_cases_and_every_case_its_clause() {
        let (clauses, cases) = (clauses_without_a_case(), cases_without_a_clause());
        assert!(clauses.is_empty(), "clauses without a case: {clauses:#?}");
        assert!(cases.is_empty(), "cases without a clause: {cases:#?}");
    }

    /// No clause of the specification is left out of the list, and none is in it that the specification does not have.
    #[test]
    fn the_list_is_that_of_the_specification() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec");
        let files = std::fs::read_dir(folder).unwrap();
        let spec: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        let is_a_cards = |id: &&str| id.strip_prefix("REQ-").is_some_and(|rest| rest.starts_with(CARDS));
        let written: BTreeSet<_> = ids(&spec).filter(is_a_cards).collect();
        let listed: BTreeSet<_> = CLAUSES.iter().map(|(clause, _)| *clause).collect();
        assert_eq!(listed, written);
        assert_eq!(listed.len(), CLAUSES.len());
    }
}

//! The operator's rules, changed while the service runs.

use onetap_server_verifier::*;

use crate::home::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

fn limited(limit: u64) -> PolicyChange {
    PolicyChange { transaction_limit: Some(limit), ..PolicyChange::default() }
}

/// In the process that changes them at once, in another one after 5 seconds; and the log says who, why and all of them.
#[test]
fn changed_rules_hold_here_at_once_and_elsewhere_after_five_seconds() {
    let home = Home::new();
    let other = home.open().unwrap();
    let mut card = home.card(SUITE);
    let mut pay_at = |verifier: &Verifier, key: &str| {
        let request = card.tap(home.payment(100)).request;
        verifier.authorise(&home.client, key, &request).unwrap()
    };
    assert!(matches!(pay_at(&other, "one"), Outcome::Executed(_)));
    let changed = home.verifier.desk(Act::of_program("op", "fraud")).change_policy(&limited(99)).unwrap();
    assert_eq!(changed, Policy { transaction_limit: 99, ..Policy::default() });
    assert_eq!(pay_at(&home.verifier, "two"), Outcome::LimitExceeded);
    home.clock.advance(5);
    assert_eq!(pay_at(&other, "three"), Outcome::LimitExceeded);
    assert_eq!(*other.policy(), changed);
    home.verifier.desk(Act::of_program("op", "over")).change_policy(&limited(100)).unwrap();
    assert!(matches!(pay_at(&home.verifier, "four"), Outcome::Executed(_)));
    let log = home.verifier.log(None).unwrap();
    let told: Vec<_> = log
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::PolicyChanged { policy } => Some((entry.reason.as_deref(), policy.transaction_limit)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(Some("fraud"), 99), (Some("over"), 100)]);
    home.check_books();
}

#[test]
fn rules_without_sense_or_reason_change_nothing() {
    let home = Home::new();
    let desk = |reason| home.verifier.desk(Act::of_program("op", reason));
    let before = home.verifier.log(None).unwrap().len();
    assert!(matches!(desk("r").change_policy(&limited(0)), Err(ServiceError::Policy(BadPolicy::Limit))));
    assert!(matches!(desk("").change_policy(&limited(5)), Err(ServiceError::ReasonNeeded(_))));
    let same = limited(Policy::default().transaction_limit);
    assert_eq!(desk("r").change_policy(&same).unwrap(), Policy::default());
    assert_eq!(home.verifier.log(None).unwrap().len(), before);
    assert_eq!(home.reopened().verifier.stored_policy().unwrap(), Policy::default());
}

/// A process in which nobody pays meanwhile follows, too.
#[test]
fn money_by_hand_takes_two_everywhere_after_five_seconds() {
    let home = Home::new();
    let other = home.open().unwrap();
    let change = PolicyChange { by_hand_takes_two: Some(true), ..PolicyChange::default() };
    home.verifier.desk(Act::of_program("op", "r")).change_policy(&change).unwrap();
    home.clock.advance(5);
    let held = other.desk(Act::of_program("op", "r")).place_hold(&home.ada, 1);
    assert!(matches!(held, Err(ServiceError::TakesTwo)), "{held:?}");
}

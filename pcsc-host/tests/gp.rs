//! The issuer over a transport: what reaches the card, and what to do when the reader fails.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod support;

use onetap_apdu_spec::gp::ceremony::CeremonyError;
use onetap_apdu_spec::gp::registry::Scope;
use onetap_apdu_spec::gp::scp03::SecurityLevel;
use onetap_apdu_spec::gp::{Ins, KeySet};
use onetap_apdu_spec::rng::Rng;
use onetap_apdu_spec::sw::StatusWord;
use onetap_pcsc_host::ReaderError;
use onetap_pcsc_host::gp::{IssuerError, advice, with_issuer};
use support::Scripted;

struct Zeros;

impl Rng for Zeros {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
    }
}

fn list(card: &mut Scripted) -> IssuerError {
    with_issuer(card, &KeySet::TEST, SecurityLevel::Full, &mut Zeros, |issuer| {
        issuer.list(Scope::Applications)
    })
    .unwrap_err()
}

#[test]
fn select_and_initialize_update_reach_the_card_and_the_rest_of_an_answer_is_fetched() {
    let answer = "000000000000000000000203700000000000000000000000000000000000000001";
    let (head, tail) = answer.split_at(32);
    let mut card = Scripted::new(&["9000", &format!("{head}6111"), &format!("{tail}9000")]);
    let error = list(&mut card);
    assert_eq!(card.sent(), ["00a4040008a00000015100000000", "8050000008000000000000000000", "00c0000011"],);
    assert!(matches!(error, CeremonyError::Handshake(_)), "{error}");
    assert!(advice(&error).contains("key set"));
}

#[test]
fn a_card_without_an_issuer_domain_says_so() {
    let error = list(&mut Scripted::new(&["6a82"]));
    let CeremonyError::Refused { command: Ins::Select, sw: StatusWord::NOT_FOUND } = error else {
        panic!("{error}");
    };
    assert!(advice(&error).contains("no issuer security domain"));
}

#[test]
fn a_card_that_is_taken_away_is_the_readers_error() {
    let mut card = Scripted::new(&["9000"]);
    card.answers.push_back(Err(ReaderError::CardRemoved));
    let error = list(&mut card);
    assert!(matches!(error, CeremonyError::Transport(ReaderError::CardRemoved)));
    assert_eq!(advice(&error), ReaderError::CardRemoved.advice());
}

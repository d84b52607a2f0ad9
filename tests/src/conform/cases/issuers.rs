//! The issuer's security domain, as far as a host meets it that has no keys for it.

use onetap_apdu_spec::apdu::MAX_SHORT_LE;
use onetap_apdu_spec::command::{AID, CardState, Name, fci};
use onetap_apdu_spec::gp::{CARD_DATA, Ins};
use onetap_apdu_spec::objects;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::Tag;

use super::channels::{on, open};
use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::precondition::Precondition;
use crate::conform::tester::{Outcome, Tester};
use crate::target::IssuerDomain::{ByName, Default};

/// P2 of SELECT: the first occurrence, the last, the next, the previous.
const OCCURRENCES: [u8; 4] = [0, 1, 2, 3];

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "select/without-a-name",
            "a SELECT without a name finds the issuer's security domain, with and without Le",
            "REQ-K-20; GPCS §11.9",
            without_a_name,
        )
        .about_domain(ByName),
        Case::new(
            "select/issuer-first",
            "GET DATA and INITIALIZE UPDATE work straight after a SELECT without a name",
            "REQ-K-20; GPCS §11.3; Amendment D §7.1.1",
            first,
        )
        .about_domain(ByName)
        .from(Precondition::PoweredUp),
        Case::new(
            "select/issuer-after-reset",
            "GET DATA and INITIALIZE UPDATE work straight after a reset",
            "REQ-K-19; GPCS §6.6",
            after_reset,
        )
        .about_domain(Default)
        .from(Precondition::PoweredUp),
        Case::new(
            "select/issuer-on-a-channel",
            "a SELECT without a name finds it on another channel",
            "REQ-K-20, REQ-K-21",
            on_a_channel,
        )
        .about_domain(ByName),
        Case::new(
            "select/occurrences-of-the-issuer",
            "without a name P2 counts occurrences, and there is one",
            "REQ-K-20; ISO/IEC 7816-4 §11.2.2",
            |t| occurrences(t, &[], &AID, &CommandBuilder::card_data()),
        )
        .both_ways()
        .about_domain(ByName),
        Case::new(
            "select/occurrences",
            "by the whole AID P2 counts occurrences, and there is one",
            "REQ-K-20; ISO/IEC 7816-4 §11.2.2",
            |t| occurrences(t, &AID, &[], &CommandBuilder::status()),
        )
        .both_ways()
        .about_domain(ByName),
        Case::new(
            "select/no-answer-wanted",
            "with P2 = 0C it selects and gives no data",
            "REQ-K-20",
            no_answer,
        )
        .about_domain(ByName)
        .from(Precondition::PoweredUp),
    ]
}

/// SELECT by name; without bytes, of the domain.
fn named(name: &[u8]) -> CommandBuilder {
    CommandBuilder::row(Name::Select, None, name)
}

fn initialize_update(challenge: usize) -> CommandBuilder {
    let row = CommandBuilder::row(Name::GetData, Some(Tag(0)), &vec![7; challenge]);
    CommandBuilder { cla: 0x80, ins: Ins::InitializeUpdate.code(), ..row }
}

fn has_tag(data: &[u8], tag: Tag) -> bool {
    data.first().copied() == u8::try_from(tag.0).ok()
}

/// The answer of another application than the one that is tested.
fn is_domains(t: &mut Tester<'_>, fci_of_it: &[u8]) -> Outcome {
    let right = has_tag(fci_of_it, objects::FCI) && fci_of_it != fci();
    t.check("look at the answer", right, "the FCI of another application", hex::encode_upper(fci_of_it))
}

/// On T=1 both are case 2; on T=0 they are the same bytes. So nothing waits for GET RESPONSE.
fn without_a_name(t: &mut Tester<'_>) -> Outcome {
    for ne in [Some(MAX_SHORT_LE), None] {
        t.reset()?;
        t.select()?;
        let (step, command) = ("SELECT without a name", CommandBuilder::select_issuer().with_ne(ne));
        let sw = t.send(step, &command)?.sw;
        t.check("look at the status word", sw.as_bytes_left().is_none(), "the data at once", sw)?;
        let answer = t.fetch(step, &command)?;
        is_domains(t, &answer)?;
        t.refused_before_select(&CommandBuilder::status())?;
    }
    t.select()?;
    t.expect_state(CardState::Idle)
}

fn first(t: &mut Tester<'_>) -> Outcome {
    let answer = t.fetch("SELECT without a name", &CommandBuilder::select_issuer())?;
    is_domains(t, &answer)?;
    serves(t)
}

fn after_reset(t: &mut Tester<'_>) -> Outcome {
    serves(t)?;
    t.select()?;
    t.reset()?;
    serves(t)
}

/// It does what a host asks first.
fn serves(t: &mut Tester<'_>) -> Outcome {
    let data = t.fetch("GET DATA of the card recognition data", &CommandBuilder::card_data())?;
    t.check("look at the object", has_tag(&data, CARD_DATA), "66", hex::encode_upper(&data))?;
    // A card of SCP03 in S16 mode refuses a challenge of 8 bytes for its length.
    let short = t.send("INITIALIZE UPDATE", &initialize_update(8))?.sw != StatusWord::WRONG_LENGTH;
    let answer = t.fetch("INITIALIZE UPDATE", &initialize_update(if short { 8 } else { 16 }))?;
    // Diversification data (10), key version, SCP, challenge and cryptogram (8 or 16 each), with SCP03 i, and with a
    // pseudo-random challenge the counter (3).
    let (right, expected) = if short { (28..=32, "28 to 32 bytes") } else { (45..=48, "45 to 48 bytes") };
    t.check("count the answer", right.contains(&answer.len()), expected, answer.len())
}

fn on_a_channel(t: &mut Tester<'_>) -> Outcome {
    let channel = open(t)?;
    let answer = t.expect(
        "SELECT without a name on it",
        &on(channel, CommandBuilder::select_issuer()),
        StatusWord::OK,
    )?;
    is_domains(t, &answer)?;
    let data = t.expect(
        "GET DATA of the card recognition data",
        &on(channel, CommandBuilder::card_data()),
        StatusWord::OK,
    )?;
    t.check("look at the object", has_tag(&data, CARD_DATA), "66", hex::encode_upper(&data))?;
    t.expect_state(CardState::Idle)
}

/// `its` is a command that only the application of this name takes.
fn occurrences(t: &mut Tester<'_>, name: &[u8], other: &[u8], its: &CommandBuilder) -> Outcome {
    let select = |p2| CommandBuilder { p2, ..named(name) };
    for p2 in OCCURRENCES {
        t.expect("SELECT the other application", &named(other), StatusWord::OK)?;
        t.expect("SELECT an occurrence", &select(p2), StatusWord::OK)?;
        t.expect("send what it takes", its, StatusWord::OK)?;
    }
    let [first, last, next, previous] = OCCURRENCES;
    let none = StatusWord::NOT_FOUND;
    for (p2, sw) in [(first, StatusWord::OK), (last, StatusWord::OK), (next, none), (previous, none)] {
        t.expect("SELECT an occurrence while it is selected", &select(p2), sw)?;
        t.expect("send what it takes", its, StatusWord::OK)?;
    }
    Ok(())
}

fn no_answer(t: &mut Tester<'_>) -> Outcome {
    for ne in [None, Some(MAX_SHORT_LE)] {
        t.reset()?;
        let quiet = CommandBuilder { p2: 0x0C, ..named(&AID) }.with_ne(ne);
        let answer = t.expect("SELECT that wants no data", &quiet, StatusWord::OK)?;
        t.same("look at the answer", &[], &answer)?;
        t.expect_state(CardState::Idle)?;
    }
    Ok(())
}

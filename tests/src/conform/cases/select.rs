//! SELECT.

use onetap_apdu_spec::command::{AID, CardState, Name, fci};
use onetap_apdu_spec::sw::StatusWord;
use onetap_pcsc_host::Atr;

use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::precondition::Precondition;
use crate::conform::tester::{Outcome, Tester};

const CLAUSE: &str = "ISO/IEC 7816-4 §11.2.2; REQ-C-3, REQ-K-20";

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "select/answer",
            "the answer is AID and version, nothing that tells cards apart",
            CLAUSE,
            answer,
        )
        .from(Precondition::PoweredUp),
        Case::new("select/partial-aid", "the first 5, 6 and 7 bytes of the AID select too", CLAUSE, partial)
            .from(Precondition::PoweredUp),
        Case::new(
            "select/voids",
            "SELECT in Loaded voids, by the whole AID and by its first bytes",
            "REQ-K-4, REQ-C-12",
            voids,
        )
        .refusing(),
        Case::new("select/too-short-aid", "fewer than 5 bytes of the AID do not", CLAUSE, too_short)
            .refusing(),
        Case::new("select/too-long-aid", "the AID with bytes behind it does not", CLAUSE, too_long)
            .refusing(),
        Case::new("select/unknown-aid", "an unknown AID: 6A82, the selection stays", CLAUSE, unknown)
            .refusing()
            .in_state(CardState::Loaded),
        Case::new("select/unknown-first", "an unknown AID selects nothing", CLAUSE, unknown_first)
            .refusing()
            .from(Precondition::PoweredUp),
        Case::new("select/after-reset", "a reset takes the selection away", "REQ-K-19", after_reset)
            .refusing(),
        Case::new(
            "select/atr",
            "the answer to reset is the same each time, and tells of extended length what the card claims",
            "ISO/IEC 7816-4 §12.1.1; REQ-K-32",
            atr,
        ),
    ]
}

fn select(name: &[u8]) -> CommandBuilder {
    CommandBuilder::row(Name::Select, None, name)
}

fn answer(t: &mut Tester<'_>) -> Outcome {
    let got = t.fetch("SELECT by the whole AID", &select(&AID))?;
    t.same("compare the answer", &fci(), &got)
}

fn partial(t: &mut Tester<'_>) -> Outcome {
    for len in 5..AID.len() {
        t.reset()?;
        let got = t.fetch("SELECT by the AID's first bytes", &select(&AID[..len]))?;
        t.same("compare the answer", &fci(), &got)?;
        t.expect_state(CardState::Idle)?;
    }
    Ok(())
}

fn voids(t: &mut Tester<'_>) -> Outcome {
    for len in [5, AID.len()] {
        t.load(&crate::target::samples::transaction())?;
        t.expect("SELECT it again", &select(&AID[..len]), StatusWord::OK)?;
        t.expect_state(CardState::Idle)?;
        t.expect("ask for what was voided", &CommandBuilder::get_signature(), StatusWord::CONDITIONS)?;
    }
    Ok(())
}

fn too_short(t: &mut Tester<'_>) -> Outcome {
    for len in 1..5 {
        t.expect("SELECT by too few bytes", &select(&AID[..len]), StatusWord::NOT_FOUND)?;
    }
    t.expect_state(CardState::Idle)
}

fn too_long(t: &mut Tester<'_>) -> Outcome {
    let mut name = AID.to_vec();
    name.push(0);
    t.expect("SELECT by the AID and one byte", &select(&name), StatusWord::NOT_FOUND).map(drop)
}

/// Names of other applications: a short one, one that differs in the last byte, and one as long as a name may be.
fn others() -> [Vec<u8>; 3] {
    let mut last_differs = AID;
    last_differs[AID.len() - 1] ^= 1;
    [b"OTHER".to_vec(), last_differs.to_vec(), [last_differs; 2].concat()]
}

fn unknown(t: &mut Tester<'_>) -> Outcome {
    for name in others() {
        t.expect("SELECT another application", &select(&name), StatusWord::NOT_FOUND)?;
        t.expect_state(CardState::Loaded)?;
    }
    Ok(())
}

fn unknown_first(t: &mut Tester<'_>) -> Outcome {
    for name in others() {
        t.expect("SELECT another application", &select(&name), StatusWord::NOT_FOUND)?;
        t.refused_before_select(&CommandBuilder::status())?;
    }
    Ok(())
}

fn after_reset(t: &mut Tester<'_>) -> Outcome {
    t.reset()?;
    t.refused_before_select(&CommandBuilder::status())
}

/// Read, not compared: cards of one specification come from many makers.
fn atr(t: &mut Tester<'_>) -> Outcome {
    let (first, again) = (t.reset()?, t.reset()?);
    t.same("compare with the answer to the next reset", &first, &again)?;
    let (says, claims) = (Atr::new(first).supports_extended(), t.claims().extended_length);
    t.check("read extended length in the card capabilities", says == claims, claims, says)
}

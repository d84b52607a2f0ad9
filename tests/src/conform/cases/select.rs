//! SELECT.

use onetap_apdu_spec::atr::{ATR, CONTACTLESS_ATR};
use onetap_apdu_spec::command::{AID, CardState, Name, fci};
use onetap_apdu_spec::sw::StatusWord;

use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::precondition::Precondition;
use crate::conform::tester::{Outcome, Tester};

const CLAUSE: &str = "ISO/IEC 7816-4 §11.2.2; REQ-C-3";

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
        Case::new("select/too-short-aid", "fewer than 5 bytes of the AID do not", CLAUSE, too_short),
        Case::new("select/too-long-aid", "the AID with bytes behind it does not", CLAUSE, too_long),
        Case::new("select/unknown-aid", "an unknown AID: 6A82, the selection stays", CLAUSE, unknown)
            .in_state(CardState::Loaded),
        Case::new("select/unknown-first", "an unknown AID selects nothing", CLAUSE, unknown_first)
            .from(Precondition::PoweredUp),
        Case::new("select/after-reset", "a reset takes the selection away", "REQ-C-2 step 2", after_reset),
        Case::new(
            "select/atr",
            "the answer to reset tells what the card can do",
            "ISO/IEC 7816-4 §12.1.1",
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

fn others() -> [Vec<u8>; 2] {
    let mut last_differs = AID;
    last_differs[AID.len() - 1] ^= 1;
    [b"OTHER".to_vec(), last_differs.to_vec()]
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
        t.expect("GET DATA", &CommandBuilder::status(), StatusWord::CONDITIONS)?;
    }
    Ok(())
}

fn after_reset(t: &mut Tester<'_>) -> Outcome {
    t.reset()?;
    t.expect("GET DATA", &CommandBuilder::status(), StatusWord::CONDITIONS).map(drop)
}

fn atr(t: &mut Tester<'_>) -> Outcome {
    let got = t.reset()?;
    let right = if got.len() == CONTACTLESS_ATR.len() { &CONTACTLESS_ATR[..] } else { &ATR };
    t.same("compare the answer to reset", right, &got)
}

//! The PIN: how it is typed, what a wrong one costs, and what it is worth.

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::txn::Transaction;
use onetap_pcsc_host::trace::Key;

use super::confirm::{Row, cancel_and_come, held, limits, pay, tap_for};
use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::tester::{Outcome, Stop, Tester};
use crate::target::samples;

/// PIN tries of a card.
const PIN_TRIES: usize = 3;

/// As many digits, right or wrong, as make a PIN that is too short.
const TOO_FEW: usize = 3;
/// Most digits of a PIN.
const MOST: usize = 12;

const CASES: [Row; 11] = [
    ("pin/wrong", "a wrong PIN does not reveal", "REQ-K-14, P-21", pin_wrong),
    ("pin/right-restores-tries", "a right PIN restores the tries", "REQ-K-14", pin_restores),
    ("pin/blocked", "three wrong PINs wipe and block: nothing is shown, 6983", "REQ-K-15", pin_blocked),
    (
        "pin/tries-survive-transactions",
        "wrong PINs count whichever transactions they were for",
        "REQ-K-15",
        pin_across,
    ),
    ("pin/tries-survive-power-off", "tries are not restored by the field", "REQ-K-14", pin_across_power),
    ("pin/clear", "the clear key drops what was typed", "REQ-K-14", pin_clear),
    (
        "pin/wrong-length",
        "fewer than four digits are dropped at the confirm key, and cost no try",
        "REQ-K-14",
        pin_wrong_length,
    ),
    (
        "pin/thirteen-digits",
        "a thirteenth digit is not taken, and twelve are a PIN",
        "REQ-K-14",
        pin_thirteen,
    ),
    ("pin/tries-are-shown", "the last page says how many tries are left", "REQ-K-14", tries_are_shown),
    (
        "pin/dead-time",
        "the confirm key does nothing just after the last page came up, whatever was typed",
        "REQ-K-11",
        dead_time,
    ),
    (
        "pin/field-ends-acceptance",
        "an accepted PIN counts no more once the card was in the field again",
        "REQ-K-8, P-21",
        field_ends_acceptance,
    ),
];

/// Most signatures of a case; most make one.
fn signatures(id: &str) -> u32 {
    match id {
        "pin/tries-survive-transactions" => 3,
        "pin/right-restores-tries" => 2,
        _ => 1,
    }
}

pub(super) fn cases() -> Vec<Case> {
    let case = |row: Row| {
        let id = row.0;
        let case = held(row, signatures(id));
        let refuses = ["pin/blocked", "pin/tries-survive-", "pin/field-ends-"];
        match id {
            _ if refuses.iter().any(|start| id.starts_with(start)) => case.refusing(),
            "pin/tries-are-shown" => case.about_tries(),
            _ => case.both_ways(),
        }
    };
    CASES.map(case).into()
}

/// The right PIN for what is shown, which reveals.
fn right_pin(t: &mut Tester<'_>) -> Outcome {
    t.type_pin()?;
    t.press(Key::Confirm)?;
    t.joint_password().map(drop)
}

/// One wrong PIN for what is shown.
fn wrong_pin(t: &mut Tester<'_>) -> Outcome {
    t.type_wrong_pin()?;
    t.press(Key::Confirm)?;
    t.expect_no_password("type a wrong PIN")
}

fn pin_wrong(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).key_up_to + 1)?;
    t.read_and_wait()?;
    wrong_pin(t)?;
    right_pin(t)
}

fn press_times(t: &mut Tester<'_>, key: Key, times: usize) -> Outcome {
    (0..times).try_for_each(|_| t.press(key))
}

/// The PIN must still have all its tries: two wrong ones, then the right one.
fn has_all_tries(t: &mut Tester<'_>) -> Outcome {
    for _ in 1..PIN_TRIES {
        wrong_pin(t)?;
    }
    right_pin(t)
}

fn pin_clear(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).key_up_to + 1)?;
    t.read_and_wait()?;
    t.type_wrong_pin()?;
    t.press(Key::Clear)?;
    right_pin(t)
}

fn pin_wrong_length(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).key_up_to + 1)?;
    t.read_and_wait()?;
    for _ in 0..PIN_TRIES {
        press_times(t, Key::WrongDigit, TOO_FEW)?;
        t.press(Key::Confirm)?;
        t.expect_no_password("confirm three digits")?;
    }
    has_all_tries(t)
}

/// Were the thirteenth taken, thirteen digits would be no PIN and cost no try; the twelve are a wrong one.
fn pin_thirteen(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).key_up_to + 1)?;
    t.read_and_wait()?;
    for _ in 0..PIN_TRIES {
        press_times(t, Key::WrongDigit, MOST + 1)?;
        t.press(Key::Confirm)?;
        t.expect_no_password("confirm thirteen wrong digits")?;
    }
    expect_blocked(t)
}

fn pin_restores(t: &mut Tester<'_>) -> Outcome {
    for _ in 0..2 {
        tap_for(t, limits(t).key_up_to + 1)?;
        t.read_and_wait()?;
        for _ in 1..PIN_TRIES {
            wrong_pin(t)?;
        }
        right_pin(t)?;
        cancel_and_come(t)?;
    }
    Ok(())
}

/// The PIN must be blocked and everything wiped. The card is out of the field.
fn expect_blocked(t: &mut Tester<'_>) -> Outcome {
    t.type_pin()?;
    t.press(Key::Confirm)?;
    t.expect_no_password("type the right PIN after three wrong ones")?;
    t.come()?;
    let status = t.status()?;
    let right = status.pin_blocked && status.state == CardState::Idle;
    t.check("compare the status", right, "Idle, PIN blocked", format!("{status:?}"))?;
    let payer = t.alias()?;
    let command = CommandBuilder::put_txn(&samples::encode(&Transaction { payer, ..pay(t, 1) }));
    t.expect("hand over another transaction", &command, StatusWord::PIN_BLOCKED)?;
    t.expect_state(CardState::Idle)
}

fn pin_blocked(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).key_up_to + 1)?;
    t.read_and_wait()?;
    for _ in 0..PIN_TRIES {
        wrong_pin(t)?;
    }
    t.expect_dark("look at the display")?;
    expect_blocked(t)
}

fn pin_across(t: &mut Tester<'_>) -> Outcome {
    for i in 1..=PIN_TRIES {
        tap_for(t, limits(t).key_up_to + 1)?;
        t.read_and_wait()?;
        wrong_pin(t)?;
        if i < PIN_TRIES {
            cancel_and_come(t)?;
        }
    }
    expect_blocked(t)
}

fn pin_across_power(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).key_up_to + 1)?;
    for _ in 0..PIN_TRIES {
        t.read_and_wait()?;
        wrong_pin(t)?;
        t.field_in()?;
        t.leave()?;
    }
    expect_blocked(t)
}

/// The numbers that stand on the page that asks.
fn asking_numbers(t: &mut Tester<'_>) -> Result<Vec<String>, Stop> {
    t.read_all()?;
    let shown = t.screen()?.lines().join(" ");
    Ok(shown.split(|c: char| !c.is_ascii_digit()).map(str::to_owned).filter(|n| !n.is_empty()).collect())
}

fn tries_are_shown(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).key_up_to + 1)?;
    for left in (1..=PIN_TRIES).rev() {
        let shown = asking_numbers(t)?;
        let there = shown.contains(&left.to_string());
        t.check("look for the tries on the last page", there, left, shown.join(" "))?;
        t.wait(t.timing().dead_time)?;
        if left > 1 {
            wrong_pin(t)?;
        }
    }
    // The right one gives all tries back.
    right_pin(t)
}

fn dead_time(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).key_up_to + 1)?;
    t.read_all()?;
    t.type_pin()?;
    t.press(Key::Confirm)?;
    t.expect_no_password("confirm the PIN at once")?;
    t.wait(t.timing().dead_time)?;
    t.press(Key::Clear)?;
    right_pin(t)
}

/// A payment that takes both, and has the PIN.
fn pin_accepted(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).pin_up_to + 1)?;
    t.confirm_by_pin()?;
    t.expect_no_password("confirm by the PIN alone")
}

fn field_ends_acceptance(t: &mut Tester<'_>) -> Outcome {
    pin_accepted(t)?;
    // Nothing is selected: the field alone is enough.
    t.field_in()?;
    t.leave()?;
    t.confirm_by_key()?;
    t.expect_no_password("confirm by the key alone")?;
    t.confirm_by_pin()?;
    t.wait(t.timing().dead_time)?;
    t.press(Key::Confirm)?;
    t.joint_password().map(drop)
}

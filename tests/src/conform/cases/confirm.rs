//! The holder: what it takes to see the joint password, and what takes it away.

use onetap_apdu_spec::command::CardState;
use onetap_apdu_spec::personal::ConfirmationPolicy;
use onetap_apdu_spec::txn::{Transaction, TransactionType};
use onetap_pcsc_host::trace::Key;

use crate::conform::case::Case;
use crate::conform::tester::{Outcome, Tester};
use crate::target::Capability::{Field, Fresh, Holder};
use crate::target::samples;

/// Id, title and clause of a case, and what it does.
pub(super) type Row = (&'static str, &'static str, &'static str, fn(&mut Tester<'_>) -> Outcome);

/// A case that signs so often, and in which the holder is asked.
pub(super) fn held((id, title, clause, run): Row, signatures: u32) -> Case {
    Case::new(id, title, clause, run).needing(&[Fresh, Field, Holder]).signing(signatures)
}

const CASES: [Row; 25] = [
    ("confirm/key-up-to-t1", "up to t1 the confirm key reveals", "REQ-K-12, P-21, P-22", key_up_to_t1),
    (
        "confirm/pin-over-t1",
        "over t1 the key alone does not reveal, the PIN does",
        "REQ-K-12, P-21, P-22",
        pin_over_t1,
    ),
    ("confirm/pin-up-to-t2", "t2 itself takes the PIN only", "REQ-K-12, P-22", pin_up_to_t2),
    ("confirm/both-over-t2", "over t2 the PIN, then the key", "REQ-K-12, P-21, P-22", both_over_t2),
    (
        "confirm/top-up-over-t1",
        "a top-up over t1 takes the PIN, as a payment does",
        "REQ-K-12, P-21, P-26",
        top_up_over_t1,
    ),
    ("confirm/other-currency", "another currency counts as large", "REQ-K-12, P-22", other_currency),
    (
        "confirm/last-page-first",
        "the confirm key does nothing before the last page was shown",
        "REQ-K-11",
        last_page_first,
    ),
    (
        "confirm/pin-before-last-page",
        "a PIN typed before the last page was shown does not count",
        "REQ-K-11",
        pin_too_early,
    ),
    (
        "confirm/dead-time",
        "the confirm key does nothing just after the last page came up",
        "REQ-K-11",
        dead_time,
    ),
    (
        "confirm/reading-anew",
        "after another contact the pages have to be read again",
        "REQ-K-8, REQ-K-11",
        reading_anew,
    ),
    ("confirm/not-in-the-field", "in the field the keys do nothing", "REQ-K-8", not_in_the_field),
    (
        "confirm/key-only-count",
        "so many payments by the key alone, then the PIN",
        "REQ-K-13, P-22",
        key_only_count,
    ),
    ("confirm/key-only-sum", "so much money by the key alone, then the PIN", "REQ-K-13, P-22", key_only_sum),
    (
        "confirm/cancelled-not-counted",
        "payments that were cancelled do not count as confirmed by the key",
        "REQ-K-13",
        cancelled_not_counted,
    ),
    ("cancel/showing", "cancel wipes what is shown", "REQ-K-16", cancel_showing),
    ("cancel/revealed", "cancel wipes the joint password", "REQ-K-16", cancel_revealed),
    ("cancel/for-good", "what was wiped cannot be confirmed any more", "REQ-K-16", cancel_for_good),
    ("time-out/showing", "a transaction that nobody confirms is wiped", "REQ-K-16", time_out_showing),
    (
        "time-out/from-delivery",
        "the time-out counts from delivery, in the field too",
        "REQ-K-16; docs/spec, card: Parameters",
        time_out_from_delivery,
    ),
    (
        "time-out/showing-in-the-field",
        "what is shown is wiped after the time-out in the field, too",
        "REQ-K-16",
        time_out_in_the_field,
    ),
    ("time-out/revealed", "the joint password is blanked after a while", "REQ-K-16", time_out_revealed),
    ("reveal/once", "once it is gone, nothing shows the joint password again", "REQ-K-6, P-23", once),
    (
        "reveal/field-ends-it",
        "entering a field in Revealed ends the transaction, for good",
        "REQ-K-8",
        field_ends_it,
    ),
    ("reveal/any-key", "any key ends Revealed", "REQ-K-16", any_key),
    ("reveal/form", "the joint password has the form that was personalised", "REQ-K-9, P-05", form),
];

/// Most signatures of a case; most make one.
fn signatures(id: &str) -> u32 {
    match id {
        "reveal/any-key" => 4,
        "confirm/key-only-count" | "confirm/key-only-sum" | "confirm/key-up-to-t1" => 2,
        _ => 1,
    }
}

/// What the card does not do; most cases are about both.
fn refuses(id: &str) -> bool {
    let alone = [
        "confirm/last-page-first",
        "confirm/pin-before-last-page",
        "confirm/not-in-the-field",
        "reveal/once",
    ];
    let subjects = ["cancel/", "time-out/", "reveal/field-ends-it"];
    alone.contains(&id) || subjects.iter().any(|subject| id.starts_with(subject))
}

pub(super) fn cases() -> Vec<Case> {
    let case = |row: Row| {
        let id = row.0;
        let case = held(row, signatures(id));
        let case = match id {
            _ if refuses(id) => case.refusing(),
            "reveal/form" | "confirm/key-up-to-t1" => case,
            _ => case.both_ways(),
        };
        match id {
            "confirm/key-only-count" | "confirm/cancelled-not-counted" => {
                case.counting().signing_by(|claims| claims.confirmation.key_only_count.into())
            }
            "confirm/key-only-sum" => case.counting().signing_by(|claims| by_the_sum(&claims.confirmation)),
            _ => case,
        }
    };
    CASES.map(case).into()
}

/// The card's limits of what confirms.
pub(super) fn limits(t: &Tester<'_>) -> ConfirmationPolicy {
    t.claims().confirmation
}

pub(super) fn pay(t: &Tester<'_>, minor: u64) -> Transaction {
    samples::payment(minor, &limits(t).currency.to_string())
}

/// Pays so much in one contact; the display then shows it.
pub(super) fn tap_for(t: &mut Tester<'_>, minor: u64) -> Outcome {
    let transaction = pay(t, minor);
    t.tap_and_leave(&transaction).map(drop)
}

/// Removes what is shown and comes back for the next transaction.
pub(super) fn cancel_and_come(t: &mut Tester<'_>) -> Outcome {
    t.press(Key::Cancel)?;
    t.come()
}

fn key_up_to_t1(t: &mut Tester<'_>) -> Outcome {
    for minor in [1, limits(t).key_up_to] {
        tap_for(t, minor)?;
        t.confirm_by_key()?;
        t.joint_password()?;
        cancel_and_come(t)?;
    }
    Ok(())
}

/// The key alone does not do; the PIN, ended with the key, does.
fn takes_the_pin(t: &mut Tester<'_>) -> Outcome {
    t.confirm_by_key()?;
    t.expect_no_password("confirm by the key alone")?;
    t.type_pin()?;
    t.press(Key::Confirm)
}

fn pin_over_t1(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).key_up_to + 1)?;
    takes_the_pin(t)?;
    t.joint_password().map(drop)
}

fn top_up_over_t1(t: &mut Tester<'_>) -> Outcome {
    let transaction = Transaction { kind: TransactionType::TopUp, ..pay(t, limits(t).key_up_to + 1) };
    t.tap_and_leave(&transaction)?;
    takes_the_pin(t)?;
    t.joint_password().map(drop)
}

fn pin_up_to_t2(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).pin_up_to)?;
    takes_the_pin(t)?;
    t.joint_password().map(drop)
}

/// The PIN alone does not do either; the key once more does.
fn takes_both(t: &mut Tester<'_>) -> Outcome {
    takes_the_pin(t)?;
    t.expect_no_password("confirm by the PIN alone")?;
    t.press(Key::Confirm)?;
    t.expect_no_password("press the confirm key with the same finger")?;
    t.wait(t.timing().dead_time)?;
    t.press(Key::Confirm)?;
    t.joint_password().map(drop)
}

fn both_over_t2(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).pin_up_to + 1)?;
    takes_both(t)
}

fn other_currency(t: &mut Tester<'_>) -> Outcome {
    let other = if limits(t).currency.to_string() == "JPY" { "EUR" } else { "JPY" };
    t.tap_and_leave(&samples::payment(1, other))?;
    takes_both(t)
}

fn last_page_first(t: &mut Tester<'_>) -> Outcome {
    let transaction = Transaction { amount: pay(t, 1).amount, ..samples::wordy() };
    t.tap_and_leave(&transaction)?;
    t.wait(t.timing().dead_time * 2)?;
    t.press(Key::Confirm)?;
    t.expect_no_password("confirm on the first page")?;
    t.press(Key::Next)?;
    t.wait(t.timing().dead_time * 2)?;
    t.press(Key::Confirm)?;
    t.expect_no_password("confirm on the second page")?;
    t.confirm_by_key()?;
    t.joint_password().map(drop)
}

fn pin_too_early(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, limits(t).key_up_to + 1)?;
    t.wait(t.timing().dead_time * 2)?;
    t.type_pin()?;
    t.press(Key::Confirm)?;
    t.expect_no_password("type the PIN on the first page")?;
    t.confirm_by_key()?;
    t.expect_no_password("confirm without typing it again")
}

fn dead_time(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, 1)?;
    t.read_all()?;
    t.press(Key::Confirm)?;
    t.expect_no_password("confirm at once")?;
    t.wait(t.just_before(t.timing().dead_time)?)?;
    t.press(Key::Confirm)?;
    t.expect_no_password("confirm a moment too early")?;
    t.wait(t.grain())?;
    t.press(Key::Confirm)?;
    t.joint_password().map(drop)
}

fn reading_anew(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, 1)?;
    t.read_and_wait()?;
    t.field_in()?;
    t.leave()?;
    t.press(Key::Confirm)?;
    t.expect_no_password("confirm without reading again")?;
    t.confirm_by_key()?;
    t.joint_password().map(drop)
}

fn not_in_the_field(t: &mut Tester<'_>) -> Outcome {
    let transaction = pay(t, 1);
    t.tap(&transaction)?;
    for key in [Key::Next, Key::Next, Key::Next, Key::Next, Key::Confirm, Key::Cancel] {
        t.press(key)?;
    }
    t.wait(t.timing().dead_time)?;
    t.press(Key::Confirm)?;
    t.expect_state(CardState::Delivered)?;
    t.leave()?;
    t.expect_no_password("look at the display out of the field")?;
    t.confirm_by_key()?;
    t.joint_password().map(drop)
}

/// One payment by the key alone.
fn by_key(t: &mut Tester<'_>, minor: u64) -> Outcome {
    tap_for(t, minor)?;
    t.confirm_by_key()?;
    t.joint_password()?;
    cancel_and_come(t)
}

/// One payment that the key alone no longer confirms.
fn by_pin(t: &mut Tester<'_>, minor: u64) -> Outcome {
    tap_for(t, minor)?;
    takes_the_pin(t)?;
    t.joint_password()?;
    cancel_and_come(t)
}

fn key_only_count(t: &mut Tester<'_>) -> Outcome {
    for _ in 0..limits(t).key_only_count {
        by_key(t, 1)?;
    }
    by_pin(t, 1)?;
    // The right PIN starts the count anew.
    by_key(t, 1)
}

/// So many of the largest payments by the key alone fill the permitted sum.
fn by_the_sum(limits: &ConfirmationPolicy) -> u64 {
    limits.key_only_sum.checked_div(limits.key_up_to).unwrap_or(0)
}

fn cancelled_not_counted(t: &mut Tester<'_>) -> Outcome {
    for _ in 0..limits(t).key_only_count {
        tap_for(t, 1)?;
        cancel_and_come(t)?;
    }
    by_key(t, 1)
}

fn key_only_sum(t: &mut Tester<'_>) -> Outcome {
    for _ in 0..by_the_sum(&limits(t)) {
        by_key(t, limits(t).key_up_to)?;
    }
    by_pin(t, 1)?;
    by_key(t, limits(t).key_up_to)
}

fn cancel_showing(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, 1)?;
    t.press(Key::Cancel)?;
    wiped(t)
}

fn cancel_revealed(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, 1)?;
    t.confirm_by_key()?;
    t.joint_password()?;
    t.press(Key::Cancel)?;
    wiped(t)
}

/// Dark, Idle, and ready for the next transaction.
fn wiped(t: &mut Tester<'_>) -> Outcome {
    t.expect_dark("look at the display")?;
    t.come()?;
    t.expect_state(CardState::Idle)?;
    let transaction = pay(t, 1);
    t.load(&transaction).map(drop)
}

fn cancel_for_good(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, 1)?;
    t.read_and_wait()?;
    t.press(Key::Cancel)?;
    t.press(Key::Confirm)?;
    wiped(t)
}

fn time_out_showing(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, 1)?;
    t.wait(t.just_before(t.timing().showing.saturating_sub(t.timing().debounce))?)?;
    let shown = !t.screen()?.lines().is_empty();
    t.check("look a moment before", shown, "the transaction", "a dark display")?;
    t.wait(t.grain())?;
    wiped(t)
}

fn time_out_from_delivery(t: &mut Tester<'_>) -> Outcome {
    let transaction = pay(t, 1);
    t.tap(&transaction)?;
    t.wait(t.timing().showing)?;
    t.expect_state(CardState::Idle)?;
    t.leave()?;
    wiped(t)
}

fn time_out_in_the_field(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, 1)?;
    t.come()?;
    t.expect_state(CardState::Showing)?;
    t.wait(t.timing().showing)?;
    t.expect_state(CardState::Idle)?;
    t.leave()?;
    wiped(t)
}

fn time_out_revealed(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, 1)?;
    t.confirm_by_key()?;
    t.wait(t.just_before(t.timing().revealed)?)?;
    t.joint_password()?;
    t.wait(t.grain())?;
    wiped(t)
}

/// Confirmed by the PIN, so that no number of payments by the key alone is in the way.
fn any_key(t: &mut Tester<'_>) -> Outcome {
    for key in [Key::Next, Key::Previous, Key::Clear, Key::Confirm] {
        tap_for(t, limits(t).key_up_to + 1)?;
        t.confirm_by_pin()?;
        t.joint_password()?;
        t.press(key)?;
        t.expect_dark("look at the display after a key")?;
        t.come()?;
        t.expect_state(CardState::Idle)?;
    }
    Ok(())
}

fn once(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, 1)?;
    t.confirm_by_key()?;
    t.joint_password()?;
    t.wait(t.timing().revealed)?;
    for key in [Key::Next, Key::Previous, Key::Confirm, Key::Clear] {
        t.press(key)?;
        t.expect_no_password("press a key after the joint password is gone")?;
    }
    wiped(t)
}

fn field_ends_it(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, 1)?;
    t.confirm_by_key()?;
    t.joint_password()?;
    t.come()?;
    t.expect_dark("look at the display in the field")?;
    t.expect_state(CardState::Idle)?;
    t.leave()?;
    wiped(t)
}

fn form(t: &mut Tester<'_>) -> Outcome {
    tap_for(t, 1)?;
    t.confirm_by_key()?;
    let password = t.joint_password()?;
    let policy = t.claims().password;
    let alphabet = policy.alphabet().characters();
    let text = password.expose();
    let right = text.len() == policy.length() && text.bytes().all(|byte| alphabet.contains(&byte));
    t.check(
        "look at its form",
        right,
        format!("{} characters of the alphabet", policy.length()),
        "another form",
    )
}

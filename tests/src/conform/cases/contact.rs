//! Field, power and presence: what voids a transaction and what does not.

use onetap_apdu_spec::command::{CardState, CardStatus, MAX_UNCONFIRMED};
use onetap_apdu_spec::sw::StatusWord;
use onetap_pcsc_host::trace::Key;

use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::tester::{Outcome, Tester};
use crate::target::Capability::{Field, Fresh, Holder};
use crate::target::samples;

pub(super) fn cases() -> Vec<Case> {
    use CardState::{Delivered, Loaded, Showing, Signed};
    let case = |id: &str, title: &str, clause: &str, run: fn(&mut Tester<'_>) -> Outcome| {
        Case::new(id, title, clause, run)
    };
    vec![
        case("contact/reset-voids-loaded", "a reset in Loaded voids", "REQ-K-4, P-06", reset_voids)
            .refusing()
            .in_state(Loaded),
        case("contact/reset-voids-signed", "a reset in Signed voids", "REQ-K-4, P-06", reset_voids)
            .refusing()
            .in_state(Signed),
        case("contact/leaving-voids-loaded", "leaving the field in Loaded voids", "REQ-K-4", leaving_voids)
            .refusing()
            .in_state(Loaded)
            .needing(&[Field, Holder]),
        case("contact/leaving-voids-signed", "leaving the field in Signed voids", "REQ-K-4", leaving_voids)
            .refusing()
            .in_state(Signed)
            .needing(&[Field, Holder]),
        case(
            "contact/reset-keeps-delivered",
            "a reset in Delivered changes nothing",
            "REQ-K-4, REQ-K-2",
            reset_keeps,
        )
        .in_state(Delivered),
        case(
            "contact/bounce",
            "absence shorter than the debounce does not end the contact",
            "REQ-K-7, REQ-K-8, P-20",
            bounce,
        )
        .refusing()
        .in_state(Delivered)
        .needing(&[Field, Holder]),
        case(
            "contact/lasts-in-the-field",
            "the contact lasts as long as the card is in the field, whatever the reader does",
            "REQ-K-7, REQ-K-8, P-20",
            lasts,
        )
        .refusing()
        .in_state(Delivered)
        .needing(&[Holder]),
        case(
            "contact/over",
            "absence of the debounce time ends the contact; then the display wakes",
            "REQ-K-7, REQ-K-8, P-19, P-20",
            over,
        )
        .in_state(Delivered)
        .needing(&[Field, Holder]),
        case("contact/re-tap-in-showing", "a reader cannot replace what is shown", "REQ-C-12", re_tap)
            .refusing()
            .in_state(Showing),
        case(
            "contact/re-tap-debounce",
            "after another contact the display wakes no sooner than after the first",
            "REQ-K-8",
            over,
        )
        .both_ways()
        .in_state(Showing)
        .needing(&[Field, Holder]),
        case(
            "contact/unconfirmed",
            "after 8 signatures without a key pressed: 6985, until one is pressed",
            "REQ-K-18",
            unconfirmed,
        )
        .both_ways()
        .needing(&[Fresh, Field, Holder])
        .signing(MAX_UNCONFIRMED.into())
        .counting(),
        case("status/new-card", "the status of a card that nothing waits on", "REQ-C-10", new_card)
            .needing(&[Fresh])
            .counting(),
    ]
}

fn reset_voids(t: &mut Tester<'_>) -> Outcome {
    t.reset()?;
    t.select()?;
    voided(t)
}

fn voided(t: &mut Tester<'_>) -> Outcome {
    t.expect_state(CardState::Idle)?;
    for command in [CommandBuilder::get_signature(), CommandBuilder::get_enc_password()] {
        t.expect("ask for what was voided", &command, StatusWord::CONDITIONS)?;
    }
    Ok(())
}

fn leaving_voids(t: &mut Tester<'_>) -> Outcome {
    t.field_out()?;
    t.come()?;
    voided(t)?;
    t.leave()?;
    t.expect_dark("look at the display out of the field")
}

fn reset_keeps(t: &mut Tester<'_>) -> Outcome {
    t.reset()?;
    t.select()?;
    t.expect_state(CardState::Delivered)
}

fn bounce(t: &mut Tester<'_>) -> Outcome {
    let before = t.fetch("fetch the signature", &CommandBuilder::get_signature())?;
    t.field_out()?;
    t.wait(t.just_before(t.timing().debounce)?)?;
    t.expect_dark("look at the display before the debounce is over")?;
    t.come()?;
    t.expect_state(CardState::Delivered)?;
    let after = t.fetch("fetch the signature again", &CommandBuilder::get_signature())?;
    t.same("compare the signatures", &before, &after)
}

fn lasts(t: &mut Tester<'_>) -> Outcome {
    t.wait(t.timing().debounce * 2)?;
    t.expect_dark("look at the display in the field")?;
    t.expect_state(CardState::Delivered)?;
    t.reset()?;
    t.wait(t.timing().debounce * 2)?;
    t.expect_dark("look at the display after a reset")?;
    t.select()?;
    t.expect_state(CardState::Delivered)
}

fn over(t: &mut Tester<'_>) -> Outcome {
    t.field_out()?;
    t.expect_dark("look at the display at once")?;
    t.wait(t.timing().debounce)?;
    let awake = !t.screen()?.lines().is_empty();
    t.check("look at the display after the debounce", awake, "the transaction", "a dark display")?;
    t.come()?;
    t.expect_state(CardState::Showing)
}

fn re_tap(t: &mut Tester<'_>) -> Outcome {
    t.expect_dark("look at the display in the field")?;
    t.leave()?;
    let before = t.read_all()?;
    t.come()?;
    let payer = t.alias()?;
    let other = onetap_apdu_spec::txn::Transaction { payer, ..samples::payment(999, "EUR") };
    let command = CommandBuilder::put_txn(&samples::encode(&other));
    t.expect("hand over another transaction", &command, StatusWord::CONDITIONS)?;
    t.leave()?;
    let after = t.read_all()?;
    t.check("compare what is shown", before == after, format!("{before:?}"), format!("{after:?}"))
}

/// What is no key pressed out of the field: a reset, another contact, keys in the field.
fn stays_unconfirmed(t: &mut Tester<'_>) -> Outcome {
    t.reset()?;
    t.select()?;
    t.press(Key::Clear)?;
    // What was delivered would be shown, and then no reader replaces it.
    if t.status()?.state == CardState::Idle {
        t.leave()?;
        t.come()?;
    }
    Ok(())
}

fn unconfirmed(t: &mut Tester<'_>) -> Outcome {
    for count in 0..MAX_UNCONFIRMED {
        let status = t.status()?;
        let right = status.unconfirmed == count;
        t.check("compare the count", right, format!("{count} unconfirmed"), status.unconfirmed)?;
        t.load(&samples::transaction())?;
        t.fetch("fetch the signature", &CommandBuilder::get_signature())?;
        stays_unconfirmed(t)?;
    }
    let payer = t.alias()?;
    let transaction = onetap_apdu_spec::txn::Transaction { payer, ..samples::transaction() };
    let command = CommandBuilder::put_txn(&samples::encode(&transaction));
    t.expect("hand over one more", &command, StatusWord::CONDITIONS)?;
    t.leave()?;
    t.press(Key::Clear)?;
    t.come()?;
    t.load(&samples::transaction()).map(drop)
}

fn new_card(t: &mut Tester<'_>) -> Outcome {
    let expected = CardStatus { state: CardState::Idle, unconfirmed: 0, pin_blocked: false, worn_out: false };
    let status = t.status()?;
    t.check("compare the status", status == expected, format!("{expected:?}"), format!("{status:?}"))
}

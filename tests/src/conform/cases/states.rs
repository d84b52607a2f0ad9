//! Generated: every command in every state, as the table has it.

use onetap_apdu_spec::command::{COMMANDS, CardState, CommandSpec, Name};
use onetap_apdu_spec::objects;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::txn::Transaction;

use super::words::{slug, well_formed};
use crate::conform::case::Case;
use crate::conform::command::CommandBuilder;
use crate::conform::precondition::Precondition;
use crate::conform::tester::{Outcome, Tester};
use crate::target::samples;

/// The states that an APDU can find: entering a field ends Revealed (REQ-K-8).
pub(super) const OBSERVED: [CardState; 5] =
    [CardState::Idle, CardState::Loaded, CardState::Signed, CardState::Delivered, CardState::Showing];

pub(super) fn cases() -> Vec<Case> {
    let grid = COMMANDS.iter().flat_map(|row| OBSERVED.iter().map(move |state| cell(row, *state)));
    grid.chain(COMMANDS.iter().filter(|row| row.name != Name::Select).map(unselected)).collect()
}

fn cell(row: &'static CommandSpec, state: CardState) -> Case {
    let next = row.states.iter().find(|(from, _)| *from == state).map(|(_, next)| *next);
    let title = match next {
        Some(next) => format!("{} in {state:?} leads to {next:?}", row.title),
        None => format!("{} in {state:?} is refused with 6985 and changes nothing", row.title),
    };
    let run = move |t: &mut Tester<'_>| match next {
        Some(next) => allowed(t, row, state, next),
        None => refused(t, row, state),
    };
    let id = format!("{}/in-{state}", slug(row));
    let case = Case::new(id, title, "REQ-C-12", run).in_state(state);
    let case = if next.is_some() { case } else { case.refusing() };
    match (row.name, state) {
        (Name::GetSignature, CardState::Loaded) => case.signing(1),
        (Name::GetEncPassword, CardState::Delivered) => case.about_owed(),
        _ => case,
    }
}

fn allowed(t: &mut Tester<'_>, row: &CommandSpec, state: CardState, next: &[CardState]) -> Outcome {
    match row.name {
        Name::PutTxn => t.load(&samples::transaction()).map(drop)?,
        // Allowed everywhere, but nothing waits.
        Name::GetResponse => t.expect("send it", &well_formed(row), StatusWord::CONDITIONS).map(drop)?,
        Name::GetData => {
            for tag in [objects::CARD_STATUS, objects::PAYER_ALIAS] {
                t.fetch("send it", &CommandBuilder::row(row.name, Some(tag), &[]))?;
            }
        }
        Name::GetSignature if state == CardState::Loaded => {
            let transaction = samples::encode(&Transaction { payer: t.alias()?, ..samples::transaction() });
            t.sign(transaction).map(drop)?;
        }
        _ => t.fetch("send it", &well_formed(row)).map(drop)?,
    }
    match (row.name, state, t.suite().owed()) {
        // Two states may follow; which one depends on what the suite owes.
        (Name::GetSignature, CardState::Loaded, Some(_)) => t.expect_state(CardState::Signed),
        (Name::GetSignature, CardState::Loaded, None) => t.expect_state(CardState::Delivered),
        _ => t.expect_state_in(next),
    }
}

fn refused(t: &mut Tester<'_>, row: &CommandSpec, state: CardState) -> Outcome {
    let command = match row.name {
        // Right in all but the state.
        Name::PutTxn => {
            let payer = t.alias()?;
            let transaction = Transaction { payer, ..samples::transaction() };
            CommandBuilder::put_txn(&samples::encode(&transaction))
        }
        _ => well_formed(row),
    };
    t.expect("send it", &command, StatusWord::CONDITIONS)?;
    t.expect_state(state)
}

fn unselected(row: &'static CommandSpec) -> Case {
    let run = |t: &mut Tester<'_>| {
        t.refused_before_select(&well_formed(row))?;
        t.select()?;
        t.expect_state(CardState::Idle)
    };
    let title = format!("{} is refused until the application is selected", row.title);
    Case::new(format!("{}/unselected", slug(row)), title, "REQ-C-2 step 2; REQ-K-19", run)
        .refusing()
        .from(Precondition::PoweredUp)
}

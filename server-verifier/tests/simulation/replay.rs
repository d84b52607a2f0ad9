//! The audit events alone give the rows back.

use onetap_apdu_spec::service::Answer;
use onetap_server_verifier::Event;
use onetap_server_verifier::Mark;
use onetap_server_verifier::{CardState, Lock, Timestamp};

use crate::cast::{CAST, HOLDERS};
use crate::history::Violation;
use crate::tables::{Executed, Tables};

/// Replays every chain on the tables as they were at first, and compares.
pub fn check(tables: &Tables) -> Result<(), Violation> {
    let mut replayed = Tables::new();
    let mut balances: Vec<i64> = HOLDERS.iter().map(|(_, opening)| *opening).collect();
    for (account, chain) in tables.audit.iter().enumerate() {
        for (place, (at, event)) in chain.iter().enumerate() {
            replay(&mut replayed, account, place, *at, event);
            if let Event::Executed { receipt, .. } = event {
                let amount = i64::try_from(receipt.amount).unwrap();
                balances[account] -= amount;
                let payee = CAST.numbers.iter().position(|number| *number == receipt.payee).unwrap();
                balances[payee] += amount;
            }
        }
    }
    let executed = |rows: &[Executed]| {
        let mut rows: Vec<_> = rows.iter().map(|row| (row.card, row.counter, row.place)).collect();
        rows.sort_unstable();
        rows
    };
    let accounts_fit =
        replayed.accounts.iter().zip(&tables.accounts).all(|(replayed, row)| {
            replayed.lock == row.lock && replayed.wrong_in_a_row == row.wrong_in_a_row
        });
    let found: Vec<i64> = (0..HOLDERS.len()).map(|account| tables.balance(account)).collect();
    let parts = [
        ("locks and tries", accounts_fit),
        ("cards", replayed.cards == tables.cards),
        ("wrong passwords", replayed.wrong == tables.wrong),
        ("executed transactions", executed(&replayed.executed) == executed(&tables.executed)),
        ("balances", balances == found),
    ];
    match parts.iter().find(|(_, fits)| !fits) {
        Some((what, _)) => Err(Violation(format!("the audit events give other {what} than there are"))),
        None => Ok(()),
    }
}

fn replay(tables: &mut Tables, account: usize, place: usize, at: Timestamp, event: &Event) {
    if let Some(mark) = event.mark() {
        let card = match event {
            Event::Executed { receipt, .. } => receipt.transaction.signed().map(|(card, _)| card),
            Event::Refused { card, .. }
            | Event::WrongPassword { card, .. }
            | Event::Cancelled { card, .. } => Some(*card),
            _ => None,
        };
        tables.cards[CAST.card(card.unwrap())].mark = Some(*mark);
    }
    let row = &mut tables.accounts[account];
    match event {
        Event::Executed { mark, receipt, .. } => {
            row.wrong_in_a_row = 0;
            let card = CAST.card(receipt.transaction.signed().unwrap().0);
            tables.executed.push(Executed { card, counter: mark.counter, place });
        }
        Event::Refused { .. } if event.answer() != Some(Answer::Refused) => {
            row.wrong_in_a_row = 0;
        }
        Event::WrongPassword { in_a_row, locked, .. } => {
            row.wrong_in_a_row = *in_a_row;
            row.lock = row.lock.or(locked.map(|cause| Lock { since: at, cause }));
            tables.wrong[account].push(at);
        }
        Event::Unlocked { .. } => {
            (row.lock, row.wrong_in_a_row) = (None, 0);
            tables.wrong[account].clear();
            for (row, _) in
                tables.cards.iter_mut().zip(&CAST.cards).filter(|(_, card)| card.account == account)
            {
                row.mark = row.mark.map(Mark::dead);
            }
        }
        Event::CardBlocked { card, .. } => tables.cards[CAST.card(*card)].state = CardState::Blocked,
        Event::CardActivated { card, signing_key, older_until, .. } => {
            let row = &mut tables.cards[CAST.card(*card)];
            (row.newest_key, row.older_until) = (*signing_key, *older_until);
        }
        _ => {}
    }
}

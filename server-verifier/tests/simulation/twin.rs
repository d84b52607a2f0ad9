//! The same history on the real store, SQLite in memory, with the same cards and clock: the simulated store must have
//! answered and written the same. Without this, the simulation would prove something of itself only.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use onetap_server_verifier::Event;
use onetap_server_verifier::{Act, Client, Timestamp, Verifier};

use crate::cast::{CAST, HOLDERS, START, SetClock, bank, rotate};
use crate::history::{History, What};
use crate::simulate;
use crate::tables::Tables;

/// Simulates `seed` and does everything of it that is durable on the real store, one after another. Returns how many
/// decisions were compared.
pub fn compare(seed: u64) -> usize {
    let (history, tables) = simulate(seed, None, false);
    if !history.grouped {
        // Side by side, a transaction may not see what another has decided before it: no real order of one after another.
        return 0;
    }
    let clock = SetClock(Arc::new(AtomicI64::new(START)));
    let (verifier, _) = bank(history.policy.clone(), &clock);
    let clients = [0, 1].map(|i| {
        verifier.desk(Act::of_program("test", "set-up")).register_terminal(CAST.terminals[i].clone()).unwrap()
    });
    let mut rotated = [false; CAST_CARDS];
    let mut compared = 0;
    for record in history.records.iter().filter(|record| record.durable.is_some()) {
        clock.0.store(record.now.0, Ordering::Relaxed);
        compared += repeat(&verifier, &clients, &history, &record.what, &mut rotated, seed);
    }
    compare_rows(&verifier, &tables, seed);
    compared
}

const CAST_CARDS: usize = 4;

/// Does one thing once more; 1 if it was a decision.
fn repeat(
    verifier: &Verifier,
    clients: &[Client],
    history: &History,
    what: &What,
    rotated: &mut [bool; CAST_CARDS],
    seed: u64,
) -> usize {
    match what {
        What::Judged { request, outcome, .. } => {
            let key = request.key.to_string();
            let sent = history.request(*request);
            let said = verifier.authorise(&clients[request.terminal], &key, &sent).unwrap();
            assert_eq!(said, *outcome, "seed {seed}: the real store answers {request:?} otherwise");
            return 1;
        }
        What::Ended(request, outcome) => {
            let sent = history.cancellation(*request);
            let said = verifier.cancel(&clients[request.terminal], &sent).unwrap();
            assert_eq!(said, *outcome, "seed {seed}: the real store ends {request:?} otherwise");
            return 1;
        }
        What::Unlock(account, did) => {
            let unlocked =
                verifier.desk(Act::of_program("op", "asked")).unlock(&CAST.numbers[*account]).is_ok();
            assert_eq!(unlocked, *did, "seed {seed}: account {account}");
        }
        What::Block(card) => {
            // A second time it is refused, and nothing is written here either.
            let _blocked_before =
                verifier.desk(Act::of_program("op", "lost")).block_card(CAST.cards[*card].id);
        }
        What::Rotate(card) => {
            if !std::mem::replace(&mut rotated[*card], true) {
                rotate(verifier, *card);
            }
        }
    }
    0
}

fn compare_rows(verifier: &Verifier, tables: &Tables, seed: u64) {
    for (account, number) in CAST.numbers.iter().enumerate().take(HOLDERS.len()) {
        let (real, simulated) = (verifier.account(number).unwrap(), &tables.accounts[account]);
        assert_eq!(real.balance, tables.balance(account), "seed {seed}: balance of {account}");
        assert_eq!(real.wrong_in_a_row, simulated.wrong_in_a_row, "seed {seed}: tries of {account}");
        assert_eq!(real.locked, simulated.lock, "seed {seed}: lock of {account}");
        let log = verifier.log(Some(number)).unwrap();
        let log = log.into_iter().map(|entry| (entry.at, entry.event));
        let chain = tables.audit[account].iter().cloned();
        assert_eq!(events(log), events(chain), "seed {seed}: events of {account}");
    }
    verifier.ledger_check().unwrap();
    verifier.audit_verify().unwrap();
}

/// Without what stands at the beginning only, or holds digests that the simulation does not compute; rows of payees are
/// numbered otherwise there.
fn events(all: impl Iterator<Item = (Timestamp, Event)>) -> Vec<(Timestamp, Event)> {
    let unnumbered = |(at, mut event)| {
        if let Event::Executed { payee, .. } = &mut event {
            *payee = 0;
        }
        (at, event)
    };
    all.map(unnumbered)
        .filter(|(_, event)| {
            !matches!(
                event,
                Event::AccountOpened { .. } | Event::CardOrdered { .. } | Event::CardActivated { .. }
            )
        })
        .collect()
}

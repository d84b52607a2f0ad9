//! What must hold of every history, whatever the seed: each rule on its own, from what was asked, decided, durable and
//! answered.

use std::collections::{BTreeMap, HashMap, HashSet};

use onetap_server_verifier::Event;
use onetap_server_verifier::Outcome;

use crate::cast::{CAST, Flaw, HOLDERS};
use crate::history::{Content, History, Looked, Record, Request, Violation, What};
use crate::model::{self, same_bytes};
use crate::replay;
use crate::tables::Tables;

/// One rule.
pub type Check = fn(&History, &Tables) -> Result<(), Violation>;
/// A rule and its name.
pub type Rule = (&'static str, Check);

/// All rules.
pub const RULES: [Rule; 15] = [
    ("everybody_learns", everybody_learns),
    ("answers_are_durable", answers_are_durable),
    ("executed_once_and_asked_for", executed_once_and_asked_for),
    ("acknowledged_is_kept", acknowledged_is_kept),
    ("one_key_one_answer", one_key_one_answer),
    ("cancelled_or_executed", cancelled_or_executed),
    ("every_attempt_has_an_end", every_attempt_has_an_end),
    ("tries_are_bounded", tries_are_bounded),
    ("counters_only_rise", counters_only_rise),
    ("refused_for_funds_never_executes", refused_for_funds_never_executes),
    ("only_good_cards_pay", only_good_cards_pay),
    ("answers_tell_nothing", answers_tell_nothing),
    ("money_is_neither_made_nor_lost", money_is_neither_made_nor_lost),
    ("audit_gives_the_rows", audit_gives_the_rows),
    ("as_the_model_says", as_the_model_says),
];

/// The first of `rules` that does not hold.
pub fn check(rules: &[Rule], history: &History, tables: &Tables) -> Result<(), Violation> {
    let broken = |(name, check): &Rule| {
        check(history, tables).map_err(|violation| Violation(format!("{name}: {violation}")))
    };
    rules.iter().try_for_each(broken)
}

fn fail<T>(what: String) -> Result<T, Violation> {
    Err(Violation(what))
}

/// A request whose decision had an effect on others: durable, or answered all the same.
fn counted(record: &Record) -> Option<(Request, &Outcome, Looked)> {
    match &record.what {
        What::Judged { request, outcome, looked } if record.durable.is_some() || record.answered => {
            Some((*request, outcome, *looked))
        }
        _ => None,
    }
}

/// Once all works again, every client gets an answer.
pub fn everybody_learns(history: &History, _: &Tables) -> Result<(), Violation> {
    if history.open > 0 {
        return fail(format!("{} clients wait for ever", history.open));
    }
    Ok(())
}

/// REQ-V-11.
pub fn answers_are_durable(history: &History, _: &Tables) -> Result<(), Violation> {
    match history.records.iter().find(|record| record.answered && record.durable.is_none()) {
        Some(record) => fail(format!("answered, then lost: {:?}", record.what)),
        None => Ok(()),
    }
}

/// Each (card, C) at most once, and only what was sent with the right password from T's terminal.
pub fn executed_once_and_asked_for(history: &History, tables: &Tables) -> Result<(), Violation> {
    let mut seen = HashSet::new();
    for row in &tables.executed {
        if !seen.insert((row.card, row.counter)) {
            return fail(format!("card {} C {} executed twice", row.card, row.counter));
        }
        let account = CAST.cards[row.card].account;
        let Event::Executed { receipt, .. } = &tables.audit[account][row.place].1 else {
            return fail(format!("card {} C {} has no receipt", row.card, row.counter));
        };
        let asked = history.sent.iter().any(|request| {
            let deal = history.tap(*request);
            (deal.card, deal.counter) == (row.card, row.counter)
                && history.content(*request) == Content::Right
                && request.terminal == deal.terminal
                && deal.flaw.is_none()
                && deal.amount == receipt.amount
                && CAST.numbers[deal.payee] == receipt.payee
        });
        if !asked {
            return fail(format!("card {} C {} executed, but never asked for", row.card, row.counter));
        }
    }
    Ok(())
}

/// What a client was told is executed stays so, with the one receipt.
pub fn acknowledged_is_kept(history: &History, tables: &Tables) -> Result<(), Violation> {
    for (request, outcome) in &history.answers {
        let Outcome::Executed(receipt) = outcome else { continue };
        let deal = history.tap(*request);
        let row = tables.executed.iter().find(|row| (row.card, row.counter) == (deal.card, deal.counter));
        let kept = row.map(|row| &tables.audit[history.account(*request)][row.place].1);
        if !matches!(kept, Some(Event::Executed { receipt: kept, .. }) if kept == receipt) {
            return fail(format!("{request:?} got a receipt that is not kept: {receipt:?}"));
        }
    }
    Ok(())
}

/// A client that was told `cancelled` is never charged for it, and one that was told `executed` is charged for just this,
/// whoever asked first and however late a copy of the request came.
pub fn cancelled_or_executed(history: &History, tables: &Tables) -> Result<(), Violation> {
    for (request, outcome) in ended(history) {
        let deal = history.tap(request);
        let executed = tables.executed.iter().any(|row| (row.card, row.counter) == (deal.card, deal.counter));
        let truth = match outcome {
            Outcome::Cancelled => !executed,
            Outcome::Executed(receipt) => {
                executed
                    && receipt.amount == deal.amount
                    && receipt.payee == CAST.numbers[deal.payee]
                    && request.terminal == deal.terminal
            }
            _ => true,
        };
        if !truth {
            return fail(format!("{request:?} was told {outcome}; executed for this card and C: {executed}"));
        }
    }
    Ok(())
}

/// The terminal of a genuine attempt learns one or the other, whatever has become of account, card and key. (A card that
/// signs two things with one C is not genuine.)
pub fn every_attempt_has_an_end(history: &History, _: &Tables) -> Result<(), Violation> {
    for (request, outcome) in ended(history) {
        let (deal, tap) = (history.tap(request), history.letters[request.letter].tap);
        let genuine = request.terminal == deal.terminal
            && deal.flaw != Some(Flaw::OtherPayer)
            && history.taps.iter().enumerate().all(|(other, signed)| {
                (signed.deal.card, signed.deal.counter) != (deal.card, deal.counter)
                    || same_bytes(history, tap, other)
            });
        if genuine && !matches!(outcome, Outcome::Executed(_) | Outcome::Cancelled) {
            return fail(format!("{request:?} of a genuine attempt was told {outcome}"));
        }
    }
    Ok(())
}

/// Answers to cancellations.
fn ended(history: &History) -> impl Iterator<Item = (Request, &Outcome)> {
    let answers = history.answers.iter().map(|(request, outcome)| (*request, outcome));
    answers.filter(|(request, _)| history.content(*request) == Content::Cancellation)
}

/// REQ-V-20: a key belongs to the client. Under it one body is decided, whatever account it names; that body is told one
/// answer for ever, and every other body is told that the key is taken. Nobody is told so under a key that was not.
pub fn one_key_one_answer(history: &History, _: &Tables) -> Result<(), Violation> {
    // A cancellation has no key, and what no card has signed is refused before keys are looked at.
    let keyless = |request| matches!(history.content(request), Content::Cancellation | Content::Forged);
    let answers = history.answers.iter().filter(|(request, _)| !keyless(*request));
    let (taken, told): (Vec<_>, Vec<_>) = answers.partition(|(_, outcome)| *outcome == Outcome::Conflict);
    let mut first: HashMap<(usize, u32), (usize, &Outcome)> = HashMap::new();
    for (request, outcome) in told {
        let (letter, before) =
            *first.entry((request.terminal, request.key)).or_insert((request.letter, outcome));
        if letter != request.letter {
            return fail(format!("two bodies were decided under the key of {request:?}"));
        }
        if before != outcome {
            return fail(format!("{request:?} was told {before} and {outcome}"));
        }
    }
    for (request, _) in taken {
        let taker = |record: &Record| match &record.what {
            What::Judged { request: other, outcome, .. } => {
                (other.terminal, other.key) == (request.terminal, request.key)
                    && other.letter != request.letter
                    && *outcome != Outcome::Conflict
            }
            _ => false,
        };
        let own =
            first.get(&(request.terminal, request.key)).is_some_and(|(letter, _)| *letter == request.letter);
        if own || !history.records.iter().any(|record| record.durable.is_some() && taker(record)) {
            return fail(format!("{request:?} was told that its key is taken, by nobody"));
        }
    }
    Ok(())
}

/// What an account has spent of its tries since it was unlocked.
#[derive(Default)]
struct Tries {
    in_a_row: usize,
    /// When.
    wrong: Vec<i64>,
    locked: bool,
}

/// Between two unlocks: never more than 3 wrong passwords in a row, never more than the policy's number within
/// its window, nothing looked at or executed once one of both is reached; and never more than 3 for one C.
pub fn tries_are_bounded(history: &History, _: &Tables) -> Result<(), Violation> {
    let mut accounts: Vec<Tries> = HOLDERS.iter().map(|_| Tries::default()).collect();
    let mut by_counter: HashMap<(usize, u32), u32> = HashMap::new();
    let mut seen = HashSet::new();
    for record in &history.records {
        if let (What::Unlock(account, true), Some(_)) = (&record.what, record.durable) {
            accounts[*account] = Tries::default();
        }
        let Some((request, outcome, looked)) = counted(record) else { continue };
        let tries = &mut accounts[history.account(request)];
        let first = seen.insert(request);
        let executed = first && matches!(outcome, Outcome::Executed(_));
        if tries.locked && (executed || looked != Looked::Elsewhere) {
            return fail(format!("{request:?} got past the lock: {outcome}"));
        }
        match looked {
            Looked::Elsewhere => continue,
            Looked::Right => {
                tries.in_a_row = 0;
                continue;
            }
            Looked::Wrong => {}
        }
        let (now, deal) = (record.now.0, history.tap(request));
        tries.in_a_row += 1;
        tries.wrong.push(now);
        let recent = tries.wrong.iter().filter(|at| **at > now - history.policy.window).count();
        let limit = usize::try_from(history.policy.wrong_in_window).unwrap();
        tries.locked = tries.in_a_row >= 3 || recent >= limit;
        let here = by_counter.entry((deal.card, deal.counter)).or_default();
        *here += 1;
        if *here > 3 || !first {
            return fail(format!(
                "{request:?}: wrong password number {here} for this C, first time: {first}"
            ));
        }
    }
    Ok(())
}

/// What a card has shown before: nothing below it executes, nothing else at it, and nothing at all of it after an
/// unlock (REQ-V-5, REQ-V-7).
pub fn counters_only_rise(history: &History, _: &Tables) -> Result<(), Violation> {
    let mut highest: Vec<Option<(u32, usize)>> = CAST.cards.iter().map(|_| None).collect();
    let mut void: Vec<u32> = CAST.cards.iter().map(|_| 0).collect();
    let mut executed = HashSet::new();
    for record in &history.records {
        if let (What::Unlock(account, true), Some(_)) = (&record.what, record.durable) {
            for (card, plastic) in CAST.cards.iter().enumerate().filter(|(_, card)| card.account == *account)
            {
                debug_assert_eq!(plastic.account, *account);
                void[card] = highest[card].map_or(0, |(counter, _)| counter);
            }
        }
        let Some((request, outcome, _)) = counted(record) else { continue };
        let (deal, tap) = (history.tap(request), history.letters[request.letter].tap);
        let name = (deal.card, deal.counter);
        let now = matches!(outcome, Outcome::Executed(_)) && !executed.contains(&name);
        let (mark, shown) = highest[deal.card].unwrap_or((0, tap));
        let same = deal.counter != mark || same_bytes(history, tap, shown);
        if now && (deal.counter < mark || !same || deal.counter <= void[deal.card]) {
            return fail(format!("{request:?} executed C {}; the card had shown {mark}", deal.counter));
        }
        if now {
            executed.insert(name);
        }
        if *outcome != Outcome::Conflict && deal.counter > mark {
            highest[deal.card] = Some((deal.counter, tap));
        }
    }
    Ok(())
}

/// REQ-V-6: not after payday either.
pub fn refused_for_funds_never_executes(history: &History, tables: &Tables) -> Result<(), Violation> {
    let mut refused: BTreeMap<(usize, u32), usize> = BTreeMap::new();
    for record in &history.records {
        let Some((request, outcome, _)) = counted(record) else { continue };
        let (deal, tap) = (history.tap(request), history.letters[request.letter].tap);
        if matches!(outcome, Outcome::InsufficientFunds | Outcome::LimitExceeded) {
            refused.insert((deal.card, deal.counter), tap);
        }
    }
    match tables.executed.iter().find(|row| refused.contains_key(&(row.card, row.counter))) {
        Some(row) => fail(format!("card {} C {} executed after it was refused", row.card, row.counter)),
        None => Ok(()),
    }
}

/// A blocked card executes nothing, nor does a retired key once the overlap is over.
pub fn only_good_cards_pay(history: &History, _: &Tables) -> Result<(), Violation> {
    let mut good_until: Vec<[Option<i64>; 2]> = CAST.cards.iter().map(|_| [None; 2]).collect();
    let mut seen = HashSet::new();
    for record in &history.records {
        match &record.what {
            What::Block(card) if record.durable.is_some() => good_until[*card] = [Some(i64::MIN); 2],
            What::Rotate(card) if record.durable.is_some() => {
                good_until[*card][0].get_or_insert(record.now.0 + history.policy.key_overlap);
            }
            _ => {}
        }
        let Some((request, outcome, looked)) = counted(record) else { continue };
        let (deal, first) = (history.tap(request), seen.insert(request));
        let over =
            good_until[deal.card][usize::from(deal.key) - 1].is_some_and(|until| record.now.0 >= until);
        if first && over && (looked != Looked::Elsewhere || matches!(outcome, Outcome::Executed(_))) {
            return fail(format!("{request:?} of a card or key that is not good got {outcome}"));
        }
    }
    Ok(())
}

/// REQ-V-10: only who has the right password, for a sound transaction, or cancels its own, learns more than "refused".
pub fn answers_tell_nothing(history: &History, _: &Tables) -> Result<(), Violation> {
    for (request, outcome) in &history.answers {
        let deal = history.tap(*request);
        let flawless = match history.content(*request) {
            Content::Right => deal.flaw.is_none(),
            Content::Cancellation => deal.flaw != Some(Flaw::OtherPayer),
            _ => false,
        };
        let entitled = flawless && request.terminal == deal.terminal;
        if !entitled && !matches!(outcome, Outcome::Refused | Outcome::Conflict) {
            return fail(format!("{request:?} learned {outcome}"));
        }
    }
    Ok(())
}

/// Each balance is its opening and what was executed, to the cent; everything sums to zero.
pub fn money_is_neither_made_nor_lost(history: &History, tables: &Tables) -> Result<(), Violation> {
    let mut expected: Vec<i64> = HOLDERS.iter().map(|(_, opening)| *opening).collect();
    for record in history.records.iter().filter(|record| record.durable.is_some()) {
        let What::Judged { request, outcome: Outcome::Executed(_), looked: Looked::Right } = &record.what
        else {
            continue;
        };
        let deal = history.tap(*request);
        let amount = i64::try_from(deal.amount).unwrap();
        expected[history.account(*request)] -= amount;
        expected[deal.payee] += amount;
    }
    for (account, expected) in expected.iter().enumerate() {
        let entries = tables.entries.iter().filter(|entry| entry.0 == account);
        let entries: i64 = entries.map(|entry| entry.2).sum();
        let found = tables.balance(account);
        if found != *expected || entries != *expected || tables.accounts[account].balance < 0 {
            return fail(format!("account {account} has {found}, entries of {entries}; expected {expected}"));
        }
    }
    let sum: i64 = tables.entries.iter().map(|entry| entry.2).sum();
    if sum == 0 { Ok(()) } else { fail(format!("the entries sum to {sum}")) }
}

/// What the operator can read off the audit events is what there is.
pub fn audit_gives_the_rows(_: &History, tables: &Tables) -> Result<(), Violation> {
    replay::check(tables)
}

/// See [`model`].
pub fn as_the_model_says(history: &History, tables: &Tables) -> Result<(), Violation> {
    model::check(history, tables)
}

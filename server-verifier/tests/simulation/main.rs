//! A seeded simulation of the verifier's core: the real cryptography's logic and the real decision, with clock,
//! randomness, store and network from outside, and a checker of what came of it.
//!
//! | room | what lives there |
//! |---|---|
//! | `cast`, `crypto` | accounts, cards and terminals, and their quick stand-in cryptography |
//! | `world`, `verifiers`, `actors` | what happens: network, processes and crashes, holders, a thief, an administrator |
//! | `database`, `tables` | transactions, locks and durability; rows |
//! | `history` | what is noted |
//! | `checks`, `model`, `replay` | what must hold of it, whatever the core says |
//! | `defect` | faults made on purpose, each of which must be found |
//! | `twin` | the same history on the real store |
//!
//! `ONETAP_SIM_SEEDS` sets how many seeds are tried, `ONETAP_SIM_SEED` tells the story of one.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "tests")]

mod actors;
mod cast;
mod checks;
mod crypto;
mod database;
mod defect;
mod dice;
mod history;
mod model;
mod replay;
mod tables;
mod twin;
mod verifiers;
mod world;

use std::collections::HashSet;
use std::io::Write as _;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use onetap_server_verifier::Outcome;

use checks::{RULES, Rule};
use defect::Defect;
use history::{Content, History, Violation, What};
use tables::Tables;
use world::World;

/// Seeds of one run, unless `ONETAP_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 10_000;
/// A defect must be found by one of so many seeds.
const SEEDS_PER_DEFECT: u64 = 3_000;
/// Lines of a story that are printed.
const LINES: usize = 60;

fn simulate(seed: u64, defect: Option<Defect>, told: bool) -> (History, Tables) {
    World::new(seed, defect, told).run()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}

/// To the terminal, not to the test's captured output.
fn print(line: &str) {
    let _printed = writeln!(std::io::stderr(), "{line}");
}

/// How often something happened.
#[derive(Debug, Default)]
struct Sum {
    steps: usize,
    executed: usize,
    no_funds: usize,
    conflicts: usize,
    locked: usize,
    lost: usize,
    cancelled: usize,
    found_executed: usize,
    late: usize,
}

impl Sum {
    fn add(&mut self, history: &History, tables: &Tables) {
        let answered = |wanted: &Outcome| history.answers.iter().filter(|answer| answer.1 == *wanted).count();
        self.steps += history.steps;
        self.executed += tables.executed.len();
        self.no_funds += answered(&Outcome::InsufficientFunds);
        self.conflicts += answered(&Outcome::Conflict);
        self.locked += tables.accounts.iter().filter(|account| account.lock.is_some()).count();
        let ended = |wanted: fn(&Outcome) -> bool| {
            let answers = history.answers.iter();
            answers.filter(move |(request, outcome)| {
                history.content(*request) == Content::Cancellation && wanted(outcome)
            })
        };
        self.cancelled += ended(|outcome| *outcome == Outcome::Cancelled).count();
        self.found_executed += ended(|outcome| matches!(outcome, Outcome::Executed(_))).count();
        self.late += late(history);
        self.lost += history.records.iter().filter(|record| record.durable.is_none()).count();
    }
}

/// Right requests that were decided after they had been cancelled.
fn late(history: &History) -> usize {
    let (mut cancelled, mut late) = (HashSet::new(), 0);
    for record in &history.records {
        match &record.what {
            What::Ended(request, Outcome::Cancelled) if record.durable.is_some() => {
                cancelled.insert(history.letters[request.letter].tap);
            }
            What::Judged { request, outcome: Outcome::Refused, .. }
                if history.content(*request) == Content::Right =>
            {
                late += usize::from(cancelled.contains(&history.letters[request.letter].tap));
            }
            _ => {}
        }
    }
    late
}

/// Runs seeds on all processors until one fails; the first that does, and what was seen.
fn search(seeds: u64, defect: Option<Defect>, rules: &[Rule]) -> (Option<(u64, Violation)>, Sum) {
    let (next, found, sum) = (AtomicU64::new(0), Mutex::new(None), Mutex::new(Sum::default()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = || {
        while found.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                break;
            }
            let run = catch_unwind(|| {
                let (history, tables) = simulate(seed, defect, false);
                sum.lock().unwrap_or_else(PoisonError::into_inner).add(&history, &tables);
                checks::check(rules, &history, &tables)
            });
            if let Err(violation) = run.unwrap_or_else(|_| Err(Violation("panics".to_owned()))) {
                found.lock().unwrap().get_or_insert((seed, violation));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    (found.into_inner().unwrap(), sum.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The end of a seed's story, what does not hold, and how to see it again.
fn story(seed: u64, violation: &Violation) -> String {
    let told = catch_unwind(|| simulate(seed, None, true).0.story.unwrap());
    let lines = told.unwrap_or_else(|_| vec!["the story ends in the panic above".to_owned()]);
    let last = &lines[lines.len().saturating_sub(LINES)..];
    format!(
        "seed {seed}: {violation}\n{}\nrepeat it: ONETAP_SIM_SEED={seed} cargo test -p onetap-server-verifier \
         --test simulation no_seed",
        last.join("\n")
    )
}

#[test]
fn p_24_no_seed_breaks_a_rule() {
    if let Some(seed) = number("ONETAP_SIM_SEED") {
        let (history, tables) = simulate(seed, None, true);
        print(&history.story.as_ref().unwrap().join("\n"));
        print(&format!("simulation: seeds=1 steps={}", history.steps));
        assert_eq!(checks::check(&RULES, &history, &tables), Ok(()));
        return;
    }
    let seeds = number("ONETAP_SIM_SEEDS").unwrap_or(SEEDS);
    let (found, sum) = search(seeds, None, &RULES);
    if let Some((seed, violation)) = found {
        panic!("{}", story(seed, &violation));
    }
    print(&format!("simulation: seeds={seeds} steps={}", sum.steps));
    let ends = [sum.cancelled, sum.found_executed, sum.late];
    let seen = [[sum.executed, sum.no_funds, sum.conflicts, sum.locked, sum.lost].as_slice(), &ends].concat();
    assert!(seeds < 1_000 || seen.iter().all(|seen| *seen > 100), "too little happens: {sum:?}");
}

#[test]
fn one_seed_gives_one_history() {
    for seed in 0..20 {
        let ((once, rows), (again, same_rows)) = (simulate(seed, None, true), simulate(seed, None, true));
        assert!(once.story.as_ref().is_some_and(|story| !story.is_empty()));
        assert_eq!((once.story, once.answers, rows), (again.story, again.answers, same_rows));
    }
}

#[test]
fn the_simulated_store_is_like_the_real_one() {
    let compared: usize = (0..300).map(twin::compare).sum();
    assert!(compared > 3_000, "only {compared} decisions were compared");
}

/// The rule of this name that the seeds are held against.
fn rule(name: &str) -> Rule {
    *RULES.iter().find(|rule| rule.0 == name).unwrap()
}

/// One test for each defect: some seed breaks this rule.
macro_rules! found {
    ($($name:ident: $defect:ident breaks $rule:ident,)*) => {
        mod finds {
            use super::*;
            $(
                #[test]
                fn $name() {
                    let (found, sum) = search(SEEDS_PER_DEFECT, Some(Defect::$defect), &[rule(stringify!($rule))]);
                    let (seed, violation) = found.unwrap_or_else(|| panic!("not found: {sum:?}"));
                    print(&format!("simulation: {} found by seed {seed}: {violation}", stringify!($name)));
                }
            )*

            /// Of the rules that the seeds are held against, each is broken by some seed under some defect.
            #[test]
            fn every_rule_can_be_broken() {
                let defects = [$((stringify!($rule), Defect::$defect)),*];
                let breaks = |rule: &Rule, defect| search(SEEDS_PER_DEFECT, Some(defect), &[*rule]).0.is_some();
                let unbroken: Vec<_> = RULES
                    .iter()
                    .filter(|rule| !defects.iter().any(|(name, defect)| *name == rule.0 && breaks(rule, *defect)))
                    .map(|rule| rule.0)
                    .collect();
                assert_eq!(unbroken, <[&str; 0]>::default());
            }
        }
    };
}

found! {
    an_answer_before_the_commit_is_durable: AnswersBeforeDurable breaks answers_are_durable,
    rows_read_before_the_lock: ReadsBeforeLock breaks tries_are_bounded,
    a_lock_let_go_before_the_commit: UnlocksBeforeDurable breaks executed_once_and_asked_for,
    a_lock_never_let_go: DeadHoldLocks breaks everybody_learns,
    a_lost_savepoint: SavepointLost breaks acknowledged_is_kept,
    a_key_not_looked_at: KeyIgnored breaks one_key_one_answer,
    a_forgotten_wrong_password: WrongPasswordForgotten breaks tries_are_bounded,
    an_unlock_that_voids_nothing: UnlockVoidsNothing breaks counters_only_rise,
    credits_gathered_twice: CreditsGatheredTwice breaks money_is_neither_made_nor_lost,
    a_refusal_that_keeps_the_mark: RefusalKeepsMark breaks counters_only_rise,
    other_bytes_at_the_mark: OtherBytesAccepted breaks executed_once_and_asked_for,
    a_counter_value_alive_after_a_refusal_for_funds: FundsRefusalKeepsAlive breaks refused_for_funds_never_executes,
    a_counter_value_alive_after_a_lock: LockKeepsAlive breaks as_the_model_says,
    a_repetition_answered_on_a_locked_account: RepeatIgnoresLock breaks tries_are_bounded,
    a_repetition_that_resets_tries: RepeatResetsTries breaks tries_are_bounded,
    a_free_guess_on_a_repetition: RepeatIsFreeGuess breaks tries_are_bounded,
    a_lock_not_looked_at: LockIgnored breaks tries_are_bounded,
    a_stored_value_that_is_paid: StoredValuePaid breaks answers_tell_nothing,
    a_window_not_looked_at: WindowIgnored breaks tries_are_bounded,
    funds_told_before_the_password: FundsBeforePassword breaks answers_tell_nothing,
    a_blocked_card_that_pays: BlockIgnored breaks only_good_cards_pay,
    a_retired_key_that_signs: RetiredKeyAccepted breaks only_good_cards_pay,
    another_terminal_that_sends: OtherTerminalAccepted breaks answers_tell_nothing,
    a_counter_value_alive_after_an_undecryptable_password: UndecryptableKeepsAlive breaks as_the_model_says,
    an_audit_entry_that_hides_a_lock: AuditHidesLock breaks audit_gives_the_rows,
    a_key_that_was_taken_meanwhile: TakenKeyOverwritten breaks one_key_one_answer,
    a_key_that_counts_for_each_account: KeyCountsByAccount breaks one_key_one_answer,
    a_cancellation_that_moves_no_mark: CancellationKeepsMark breaks cancelled_or_executed,
    a_cancellation_that_leaves_the_counter_value_alive: CancellationKeepsAlive breaks cancelled_or_executed,
    a_cancellation_that_overlooks_what_was_executed: CancellationOverlooksExecuted breaks cancelled_or_executed,
    a_cancellation_of_other_bytes_that_gets_the_receipt: CancellationOfOtherBytes breaks cancelled_or_executed,
    a_cancellation_from_another_terminal: CancellationByAnyTerminal breaks answers_tell_nothing,
    a_lock_that_stops_cancellations: CancellationMindsLock breaks every_attempt_has_an_end,
    a_cancellation_that_kills_other_bytes: CancellationKillsOthers breaks as_the_model_says,
    a_cancellation_that_is_not_logged: CancellationUnlogged breaks audit_gives_the_rows,
}

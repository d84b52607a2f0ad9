//! Random histories of one account against a model that is as simple as it can be.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::home::*;
use crate::support::*;
use onetap_server_verifier::*;
use proptest::prelude::*;

static WORLD: LazyLock<Fresh> = LazyLock::new(world);

#[derive(Debug, Clone)]
enum Step {
    Tap,
    /// Sends an earlier tap (counted from the last one), with the right or a wrong password.
    Send {
        back: usize,
        right: bool,
    },
    /// Cancels an earlier tap.
    Cancel {
        back: usize,
    },
    Unlock,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Tap),
        6 => (0..3_usize, any::<bool>()).prop_map(|(back, right)| Step::Send { back, right }),
        2 => (0..4_usize).prop_map(|back| Step::Cancel { back }),
        1 => Just(Step::Unlock),
    ]
}

/// What the account is expected to be.
#[derive(Default)]
struct Model {
    mark: Option<usize>,
    executed: bool,
    /// All taps that were executed.
    all_executed: HashSet<usize>,
    dead: bool,
    wrong_here: u32,
    in_a_row: u32,
    in_window: u32,
    locked: bool,
    paid: u64,
}

impl Model {
    /// Whether the server is expected to answer with a receipt.
    fn send(&mut self, tap: usize, right: bool, balance: u64, amount: u64) -> bool {
        if self.mark.is_some_and(|mark| tap < mark) {
            return false;
        }
        if self.mark != Some(tap) {
            (self.mark, self.executed, self.dead, self.wrong_here) = (Some(tap), false, false, 0);
        }
        if self.dead {
            return false;
        }
        if self.locked {
            self.dead = !self.executed;
            return false;
        }
        if !right {
            self.wrong();
            return false;
        }
        if self.executed {
            return true;
        }
        self.in_a_row = 0;
        if balance < self.paid + amount {
            self.dead = true;
            return false;
        }
        (self.executed, self.paid) = (true, self.paid + amount);
        self.all_executed.insert(tap);
        true
    }

    /// Whether the server is expected to say that it was executed; else that it never will be.
    fn cancel(&mut self, tap: usize) -> bool {
        if self.all_executed.contains(&tap) {
            return true;
        }
        if self.mark.is_none_or(|mark| mark < tap) {
            (self.mark, self.executed, self.wrong_here) = (Some(tap), false, 0);
        }
        self.dead |= self.mark == Some(tap);
        false
    }

    fn wrong(&mut self) {
        self.wrong_here += 1;
        self.in_a_row += 1;
        self.in_window += 1;
        self.dead = self.wrong_here == 3;
        self.locked = self.in_a_row == 3 || self.in_window >= 10;
    }

    fn unlock(&mut self) -> bool {
        let was = self.locked;
        if was {
            self.dead = self.mark.is_some();
            (self.in_a_row, self.in_window, self.locked) = (0, 0, false);
        }
        was
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn p_24_random_histories_end_as_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        const BALANCE: u64 = 500;
        const AMOUNT: u64 = 100;
        let world = &*WORLD;
        let ada = account(&world.verifier, "Ada Lovelace", AccountKind::Current, BALANCE);
        let mut card = world.card_of(&ada, "b2+sha256+aes-cbc-cmac".parse().unwrap());
        let (mut taps, mut model) = (Vec::new(), Model::default());
        for step in steps {
            match step {
                Step::Tap => taps.push(card.tap(world.payment(AMOUNT))),
                Step::Unlock => {
                    let unlocked = world.verifier.desk(Act::of_program("op", "model")).unlock(&ada).is_ok();
                    prop_assert_eq!(unlocked, model.unlock());
                }
                Step::Cancel { back } => {
                    let Some(tap) = taps.len().checked_sub(back + 1) else { continue };
                    let cancellation = taps[tap].request.cancellation();
                    let outcome = world.verifier.cancel(&world.client, &cancellation).unwrap();
                    match model.cancel(tap) {
                        true => prop_assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}"),
                        false => prop_assert_eq!(outcome, Outcome::Cancelled),
                    }
                }
                Step::Send { back, right } => {
                    let Some(tap) = taps.len().checked_sub(back + 1) else { continue };
                    let request = if right { taps[tap].request.clone() } else { taps[tap].typed("abcdefgh") };
                    let executed = matches!(world.send(&request), Outcome::Executed(_));
                    prop_assert_eq!(executed, model.send(tap, right, BALANCE, AMOUNT));
                }
            }
            let seen = world.verifier.account(&ada).unwrap();
            prop_assert_eq!(u64::try_from(seen.balance).unwrap(), BALANCE - model.paid);
            prop_assert_eq!(seen.wrong_in_a_row, model.in_a_row);
            prop_assert_eq!(seen.locked.is_some(), model.locked);
        }
        world.check_books();
    }
}

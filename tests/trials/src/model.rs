//! Random lives of a card beside an independent model of it: APDUs, keys, field, power, clock, battery, restarts
//! and power cuts. After each operation the model must have foretold status word, response, state and screen.
//!
//! | module | what lives there |
//! |---|---|
//! | `reference` | the model: states, counters, PIN tries, time-outs, display |
//! | `wire` | the model: what it remembers of a session |
//! | `commands` | the model: what it answers to any bytes |
//! | `op` | what happens, drawn at random |
//! | `play` | the card beside its models |

mod commands;
mod op;
mod play;
mod reference;
mod wire;

use op::{Deck, Op};
pub use play::Agreement;
use play::Play;

use crate::rig::Spy;

/// Operations in one life.
const LIFE: u64 = 500;

/// Where card and model part. The same seed leads there again.
#[derive(Debug, thiserror::Error)]
#[error(
    "life {seed}, after {agreed} operations: {what}\nthe fewest operations that lead there:\n{operations}"
)]
pub struct Divergence {
    /// Of the life.
    pub seed: u64,
    /// How far both agreed.
    pub agreed: usize,
    /// On what they do not.
    pub what: String,
    /// The shortest list found, one a line.
    pub operations: String,
}

/// Lets cards live until `operations` were done; the first life has the seed `seed`, the next one more.
///
/// # Errors
/// [`Divergence`], with its operations cut down to few.
pub fn run(seed: u64, operations: u64) -> Result<Agreement, Box<Divergence>> {
    let spy = Spy::new();
    let mut agreement = Agreement::default();
    let mut life = seed;
    while agreement.operations < operations {
        agreement.add(&live(life, LIFE.min(operations - agreement.operations), spy)?);
        life = life.wrapping_add(1);
    }
    Ok(agreement)
}

/// One life.
fn live(seed: u64, operations: u64, spy: &'static Spy) -> Result<Agreement, Box<Divergence>> {
    let failed = |agreed, what, operations| Box::new(Divergence { seed, agreed, what, operations });
    let Some(mut play) = Play::new(seed, spy) else {
        return Err(failed(0, "no card can be made".to_owned(), String::new()));
    };
    let (mut deck, mut done) = (Deck::new(seed), Vec::new());
    for _ in 0..operations {
        let Some(model) = play.model() else { break };
        let op = deck.draw(model);
        done.push(op.clone());
        if let Err(what) = play.step(&op) {
            let agreed = done.len() - 1;
            let (what, few) = shrink(done, what, &|ops| replay(seed, ops, spy));
            let lines: Vec<_> = few.iter().map(|op| format!("{op:?}")).collect();
            return Err(failed(agreed, what, lines.join("\n")));
        }
    }
    Ok(Agreement { operations: done.len() as u64, ..play.agreement })
}

/// On what card and model do not agree, and after how many operations.
type Parted = Option<(String, usize)>;

/// Leaves out what is not needed to part card and model: halves first, then single operations.
fn shrink(mut ops: Vec<Op>, mut what: String, parts: &dyn Fn(&[Op]) -> Parted) -> (String, Vec<Op>) {
    let mut chunk = ops.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < ops.len() {
            let fewer: Vec<Op> = ops.iter().take(at).chain(ops.iter().skip(at + chunk)).cloned().collect();
            match parts(&fewer) {
                Some((still, len)) => {
                    what = still;
                    ops = fewer.into_iter().take(len).collect();
                }
                None => at += chunk,
            }
        }
        chunk /= 2;
    }
    (what, ops)
}

/// Lives these operations.
fn replay(seed: u64, ops: &[Op], spy: &'static Spy) -> Parted {
    let mut play = Play::new(seed, spy)?;
    ops.iter().enumerate().find_map(|(at, op)| play.step(op).err().map(|what| (what, at + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_is_left_out() {
        let parts = |ops: &[Op]| {
            let entered = ops.iter().position(|op| matches!(op, Op::Enter))?;
            let left = ops.iter().skip(entered).position(|op| matches!(op, Op::Leave))?;
            Some(("parted".to_owned(), entered + left + 1))
        };
        let noise = (1..40).map(Op::Time);
        let ops = noise.clone().chain([Op::Enter]).chain(noise.clone()).chain([Op::Leave]).chain(noise);
        let (what, few) = shrink(ops.collect(), String::new(), &parts);
        assert_eq!(what, "parted");
        assert!(matches!(few[..], [Op::Enter, Op::Leave]), "{few:?}");
    }

    #[test]
    fn the_same_seed_lives_the_same_life() {
        let lives: Vec<_> = (0..2).map(|_| run(7, 2_000).unwrap()).collect();
        assert_eq!((lives[0].tears, &lives[0].met), (lives[1].tears, &lives[1].met));
    }
}

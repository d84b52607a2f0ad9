//! Sending what is due: claim, send, then in one commit forget what was taken and record what it answered.

use std::sync::Arc;
use std::time::Duration;

use crate::books::outbox as queue;
use crate::books::outbox::Claimed;
use crate::books::sql::Sql;
use crate::domain::{Act, Actor, Event};
use crate::domain::{LedgerError, Message, Timestamp, Topic, Verdict};
use crate::service::Verifier;
use crate::service::error::ServiceError;

/// How messages are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRules {
    /// So many failures in a row make a dead letter.
    pub attempts: u32,
    /// Seconds to wait after the first failure; twice as long after each further one, with jitter.
    pub first_wait: u32,
    /// Most seconds to wait between two attempts.
    pub longest_wait: u32,
    /// Messages claimed at once, each of another account.
    pub batch: u32,
    /// Messages under way at once.
    pub lanes: u32,
    /// The longest that a transport may take for one message.
    pub patience: Duration,
}

impl Default for DeliveryRules {
    /// About a day until a message is given up: 44 attempts, 1 second to 1 hour apart.
    fn default() -> Self {
        let patience = Duration::from_secs(10);
        Self { attempts: 44, first_wait: 1, longest_wait: 3_600, batch: 64, lanes: 8, patience }
    }
}

impl DeliveryRules {
    /// Long enough for a whole batch, so that nobody else sends what is under way.
    fn lease(&self) -> i64 {
        let rounds = u64::from(self.batch.div_ceil(self.lanes.max(1))) + 1;
        i64::try_from(self.patience.as_secs().max(1).saturating_mul(rounds)).unwrap_or(i64::MAX)
    }

    /// How long to wait after failure number `failures`: half of it by chance, so that not all who failed together
    /// come back together.
    fn wait(&self, failures: u32, random: u64) -> i64 {
        let doubled = u64::from(self.first_wait) << failures.saturating_sub(1).min(31);
        let whole = doubled.min(u64::from(self.longest_wait)).max(1);
        let half = whole / 2;
        i64::try_from(whole - random % (half + 1)).unwrap_or(i64::MAX)
    }
}

/// Takes a message to where it belongs.
pub trait Transport: Send + Sync {
    /// Sends one message; `Ok` once the receiver has it for good.
    ///
    /// # Errors
    /// [`Undelivered`]: it is sent again later.
    fn send(&self, message: &Message, now: Timestamp) -> Result<Reply, Undelivered>;
}

/// What the receiver answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// Of a message with [`Topic::Execute`]: what became of it, if that is known already.
    pub verdict: Option<Verdict>,
}

/// Why a message was not taken, for the operator. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undelivered(pub String);

/// What one round has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round {
    /// Messages that were taken.
    pub delivered: usize,
    /// Messages that were not; some of them may be dead letters now.
    pub failed: usize,
}

/// Sends what is due. Any number of them may run, in any number of processes.
#[derive(Debug)]
pub struct Deliverer<T> {
    verifier: Arc<Verifier>,
    transport: T,
    rules: DeliveryRules,
}

impl<T: Transport> Deliverer<T> {
    /// Sends by `transport` what `verifier` has to tell.
    #[must_use]
    pub fn new(verifier: Arc<Verifier>, transport: T, rules: DeliveryRules) -> Self {
        Self { verifier, transport, rules }
    }

    /// Sends one batch of what is due now.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails: what was sent is sent again, under the same ids.
    pub fn round(&self) -> Result<Round, ServiceError> {
        let claimed = self.claim()?;
        let lanes = usize::try_from(self.rules.lanes).unwrap_or(1).max(1);
        let share = claimed.len().div_ceil(lanes).max(1);
        let results: Vec<_> = std::thread::scope(|scope| {
            let lanes: Vec<_> =
                claimed.chunks(share).map(|part| scope.spawn(|| self.send_all(part))).collect();
            lanes.into_iter().filter_map(|lane| lane.join().ok()).flatten().collect()
        });
        self.record(&results)
    }

    fn claim(&self) -> Result<Vec<Claimed>, ServiceError> {
        let verifier = &self.verifier;
        let now = verifier.env.clock.now();
        if !verifier.store.read(|db| queue::any_due(db, now))? {
            return Ok(Vec::new());
        }
        let lease = Timestamp(now.0.saturating_add(self.rules.lease()));
        let server = verifier.server_id();
        Ok(verifier.store.write(|db| queue::claim(db, server, now, lease, self.rules.batch))?)
    }

    fn send_all<'a>(&self, part: &'a [Claimed]) -> Vec<(&'a Claimed, Result<Reply, Undelivered>)> {
        let send = |claimed: &'a Claimed| {
            (claimed, self.transport.send(&claimed.message, self.verifier.env.clock.now()))
        };
        part.iter().map(send).collect()
    }

    /// Writes down what came of a batch, in one commit.
    fn record(&self, results: &[(&Claimed, Result<Reply, Undelivered>)]) -> Result<Round, ServiceError> {
        if results.is_empty() {
            return Ok(Round::default());
        }
        let now = self.verifier.env.clock.now();
        let failed = results.iter().filter(|(_, result)| result.is_err()).count();
        self.verifier.store.write(|db| {
            for (claimed, result) in results {
                match result {
                    Ok(reply) => {
                        self.verdict(db, claimed, reply, now)?;
                        queue::done(db, claimed.entry, now)?;
                    }
                    Err(why) => queue::failed(db, claimed, &why.0, now, self.next(claimed, now))?,
                }
            }
            Ok(Round { delivered: results.len() - failed, failed })
        })
    }

    /// A receiver that contradicts what is recorded does not stop the others' messages; the log has both.
    fn verdict(
        &self,
        db: &mut dyn Sql,
        claimed: &Claimed,
        reply: &Reply,
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        let (Topic::Execute, Some(verdict)) = (claimed.message.topic, &reply.verdict) else {
            return Ok(());
        };
        let system = match &claimed.message.event {
            Event::Executed { receipt, .. } => receipt.accepted_for.as_ref(),
            _ => None,
        };
        let Some(system) = system else { return Ok(()) };
        let desk = self.verifier.desk(Act::plain(Actor::System(system.as_str().to_owned())));
        match desk.settle_entry(db, claimed.entry, verdict, now) {
            Err(ServiceError::Ledger(LedgerError::AlreadyAnswered)) => Ok(()),
            settled => settled,
        }
    }

    /// When to try again, if at all.
    fn next(&self, claimed: &Claimed, now: Timestamp) -> Option<Timestamp> {
        let failures = claimed.attempts + 1;
        let random = u64::from_be_bytes(self.verifier.env.random());
        (failures < self.rules.attempts)
            .then(|| Timestamp(now.0.saturating_add(self.rules.wait(failures, random))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_differ_by_half() {
        let rules = DeliveryRules { first_wait: 2, longest_wait: 60, ..DeliveryRules::default() };
        let waits = |failures| (rules.wait(failures, u64::from(rules.longest_wait)), rules.wait(failures, 0));
        assert_eq!(rules.wait(1, 0), 2);
        assert_eq!(rules.wait(2, 0), 4);
        assert_eq!(rules.wait(5, 0), 32);
        assert_eq!(rules.wait(6, 0), 60);
        assert_eq!(rules.wait(500, 30), 30);
        for failures in 1..100 {
            let (least, most) = waits(failures);
            assert!(least * 2 >= most && least >= 1, "{failures}: {least} to {most}");
        }
    }
}

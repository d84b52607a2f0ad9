//! How often: for each client, for each card at a client, and for wrong credentials from one source.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use onetap_apdu_spec::header::CardId;

use super::problem::{Kind, Problem};
use super::source::Source;
use crate::domain::client::ClientId;
use crate::service::cache::Cache;

/// So many a second in the long run, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// A second.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

impl Rate {
    /// Puts one together.
    #[must_use]
    pub const fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { per_second, burst }
    }

    fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

/// Keys of each kind in memory, about 200 bytes each. Beyond that, whoever was quiet longest begins anew.
const KEYS: usize = 20_000;

/// One limit, for each key on its own.
pub(super) struct Limit<K: Hash + Eq> {
    quota: Quota,
    buckets: Cache<K, Arc<DefaultDirectRateLimiter>>,
}

impl<K: Hash + Eq> Limit<K> {
    pub(super) fn new(quota: Quota) -> Self {
        Self { quota, buckets: Cache::new(KEYS) }
    }

    /// Whether `key` may once more; counts it then.
    pub(super) fn has_room(&self, key: K) -> bool {
        self.bucket(key).check().is_ok()
    }

    fn bucket(&self, key: K) -> Arc<DefaultDirectRateLimiter> {
        self.buckets.get_or_put(key, || Arc::new(RateLimiter::direct(self.quota)))
    }

    fn check(&self, key: K, what: &'static str) -> Result<(), Problem> {
        self.bucket(key).check().map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            Problem::new(Kind::TooMany, what).after(whole_seconds(wait))
        })
    }
}

/// How often, as the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) client: Option<Rate>,
    pub(crate) card: Option<Rate>,
    /// How many wrong credentials a source may show in a minute, and at once.
    pub(crate) wrong_per_minute: NonZeroU32,
}

/// All limits of one service, which can be changed while it runs.
pub(crate) struct Limits(RwLock<Arc<Buckets>>);

struct Buckets {
    rates: Rates,
    clients: Option<Limit<ClientId>>,
    /// By client too: what a card has signed cannot be told before cryptography, and a client that makes up
    /// requests must not keep the card from paying elsewhere.
    cards: Option<Limit<(ClientId, CardId)>>,
    wrong: Limit<Source>,
}

impl Limits {
    pub(crate) fn new(rates: Rates) -> Self {
        Self(RwLock::new(Arc::new(Buckets::new(rates))))
    }

    /// From now on with these rates. Where they are the same, what was counted goes on counting.
    pub(crate) fn change(&self, rates: Rates) {
        if self.buckets().rates != rates {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Buckets::new(rates));
        }
    }

    fn buckets(&self) -> Arc<Buckets> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Before anything is done for a client.
    pub(crate) fn client(&self, id: &ClientId) -> Result<(), Problem> {
        let buckets = self.buckets();
        let Some(limit) = &buckets.clients else { return Ok(()) };
        limit.check(id.clone(), "this client asks too often; wait, then repeat")
    }

    /// Before cryptography for a card.
    pub(crate) fn card(&self, client: &ClientId, card: CardId) -> Result<(), Problem> {
        let buckets = self.buckets();
        let Some(limit) = &buckets.cards else { return Ok(()) };
        limit.check((client.clone(), card), "this card is used too often here; wait, then repeat")
    }

    /// After credentials that were wrong: what `source` is told. Right ones never come here.
    pub(crate) fn wrong_credentials(&self, source: Source) -> Problem {
        let what = "too many wrong credentials from this address; wait, then repeat";
        let checked = self.buckets().wrong.check(source, what);
        checked.map_or_else(Problem::closing, |()| Problem::not_authenticated())
    }
}

impl Buckets {
    fn new(rates: Rates) -> Self {
        Self {
            rates,
            clients: rates.client.map(|rate| Limit::new(rate.quota())),
            cards: rates.card.map(|rate| Limit::new(rate.quota())),
            wrong: Limit::new(Quota::per_minute(rates.wrong_per_minute)),
        }
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn rates_that_change_count_anew_and_those_that_stay_go_on_counting() {
        let rate = |burst| Some(Rate::new(NonZeroU32::MIN, NonZeroU32::new(burst).unwrap()));
        let rates = |burst| Rates { client: rate(burst), card: None, wrong_per_minute: NonZeroU32::MIN };
        let (limits, client) = (Limits::new(rates(2)), "till-1".parse().unwrap());
        let admitted = |times: u32| (0..times).filter(|_| limits.client(&client).is_ok()).count();
        assert_eq!(admitted(3), 2);
        limits.change(rates(2));
        assert_eq!(admitted(1), 0);
        limits.change(rates(5));
        assert_eq!(admitted(7), 5);
    }
}

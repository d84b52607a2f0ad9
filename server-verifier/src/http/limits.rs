//! How often: for each client, for each card at a client, and for strangers who try tokens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use onetap_apdu_spec::header::CardId;

use super::clients::ClientId;
use super::problem::Kind;
use super::problem::Problem;

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

/// Above this, a table of keys is cleaned before its time.
const MAX_KEYS: usize = 100_000;
/// Wrong tokens that one address may send at once.
const WRONG_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Time after which it may send one more.
const WRONG_PERIOD: Duration = Duration::from_secs(6);

type Keyed<K> = DefaultKeyedRateLimiter<K>;

/// All limits of one service.
pub(crate) struct Limits {
    clients: Option<Keyed<ClientId>>,
    /// By client too: what a card has signed cannot be told before cryptography, and a client that makes up
    /// requests must not keep the card from paying elsewhere.
    cards: Option<Keyed<(ClientId, CardId)>>,
    wrong_tokens: Keyed<IpAddr>,
    barred: Mutex<HashMap<IpAddr, Instant>>,
    clock: DefaultClock,
}

impl Limits {
    pub(crate) fn new(client: Option<Rate>, card: Option<Rate>) -> Self {
        let strangers = Quota::with_period(WRONG_PERIOD).map(|quota| quota.allow_burst(WRONG_BURST));
        Self {
            clients: client.map(|rate| RateLimiter::keyed(rate.quota())),
            cards: card.map(|rate| RateLimiter::keyed(rate.quota())),
            wrong_tokens: RateLimiter::keyed(strangers.unwrap_or(Quota::per_minute(WRONG_BURST))),
            barred: Mutex::default(),
            clock: DefaultClock::default(),
        }
    }

    /// Before anything is done for a client.
    pub(crate) fn client(&self, id: &ClientId) -> Result<(), Problem> {
        self.check(self.clients.as_ref(), id, "this client asks too often; wait, then repeat")
    }

    /// Before cryptography for a card.
    pub(crate) fn card(&self, client: &ClientId, card: CardId) -> Result<(), Problem> {
        if self.cards.is_none() {
            return Ok(());
        }
        let what = "this card is used too often here; wait, then repeat";
        self.check(self.cards.as_ref(), &(client.clone(), card), what)
    }

    fn check<K: Clone + Eq + std::hash::Hash>(
        &self,
        limiter: Option<&Keyed<K>>,
        key: &K,
        what: &'static str,
    ) -> Result<(), Problem> {
        let Some(limiter) = limiter else { return Ok(()) };
        limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            Problem::new(Kind::TooMany, what).after(whole_seconds(wait))
        })
    }

    /// Before a token is looked at that was not seen lately.
    pub(crate) fn stranger(&self, address: IpAddr) -> Result<(), Problem> {
        let barred = self.barred.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = barred.get(&address).map(|until| until.saturating_duration_since(Instant::now()));
        match wait {
            Some(wait) if !wait.is_zero() => {
                let what = "too many wrong tokens from this address; wait, then repeat";
                Err(Problem::new(Kind::TooMany, what).after(whole_seconds(wait)))
            }
            _ => Ok(()),
        }
    }

    /// After a token that was wrong.
    pub(crate) fn wrong_token(&self, address: IpAddr) {
        if let Err(until) = self.wrong_tokens.check_key(&address) {
            let wait = until.wait_time_from(self.clock.now());
            let mut barred = self.barred.lock().unwrap_or_else(PoisonError::into_inner);
            if barred.len() < MAX_KEYS {
                barred.insert(address, Instant::now() + wait);
            }
        }
    }

    /// Forgets whoever has been quiet. Called every second; does little unless a table has grown or `all`.
    pub(crate) fn tidy(&self, all: bool) {
        tidy(self.clients.as_ref(), all);
        tidy(self.cards.as_ref(), all);
        tidy(Some(&self.wrong_tokens), all);
        let now = Instant::now();
        self.barred.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, until| *until > now);
    }
}

fn tidy<K: Clone + Eq + std::hash::Hash>(limiter: Option<&Keyed<K>>, all: bool) {
    let Some(limiter) = limiter else { return };
    if all || limiter.len() > MAX_KEYS {
        limiter.retain_recent();
        limiter.shrink_to_fit();
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

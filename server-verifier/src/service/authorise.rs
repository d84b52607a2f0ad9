//! The use case that the server is for: judging what a card has signed, and ending an attempt whose outcome is unknown.

use std::sync::Arc;

use onetap_apdu_spec::crypto::{CryptoError, Key256};
use onetap_apdu_spec::header::{Binding, CardId, KeyId};
use onetap_apdu_spec::service::{AuthorisationRequest, Cancellation, IdempotencyKey};

use crate::books;
use crate::books::decision::Question;
use crate::domain::StoreError;
use crate::rules::cancel::ProvenCancellation;
use crate::rules::decide::{Attempt, Outcome};
use crate::rules::verify::{
    Enrolled, Malformed, NotAuthentic, Parsed, authenticate, authenticate_unopened, body_tag,
};
use crate::service::error::ServiceError;
use crate::service::known::{Claimed, Known, Named};
use crate::service::{Client, Verifier};
use crate::store::{Coming, Pending};

/// A request of a client, well formed.
pub(crate) struct Asked<'a> {
    client: &'a Client,
    key: &'a str,
    request: &'a AuthorisationRequest,
    parsed: Parsed<'a>,
}

impl<'a> Asked<'a> {
    /// # Errors
    /// [`Malformed`], the first reason met.
    pub(crate) fn new(
        client: &'a Client,
        key: &'a str,
        request: &'a AuthorisationRequest,
    ) -> Result<Self, Malformed> {
        if !IdempotencyKey::fits(key) {
            return Err(Malformed::IdempotencyKey);
        }
        Ok(Self { client, key, request, parsed: Parsed::new(request)? })
    }

    /// The card, keys and suite that it claims.
    pub(crate) fn binding(&self) -> Binding {
        self.parsed.header().binding
    }
}

/// No card of this id and signing key is enrolled.
const UNKNOWN_CARD: &str = "unknown-card";
/// The card has not signed this, or the password has not the form that its profile needs.
const NOT_SIGNED: &str = "not-signed";
/// The operator's rules refuse the profile.
const SUITE: &str = "suite";

impl Verifier {
    /// Judges one request of `client`, executes it if it holds, and returns when that is durable. Repeat a
    /// request with the same `idempotency_key` to learn what became of it. Blocks; asynchronous code uses
    /// [`Verifier::submit`].
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails: then nothing was decided, or the key tells.
    pub fn authorise(
        &self,
        client: &Client,
        idempotency_key: &str,
        request: &AuthorisationRequest,
    ) -> Result<Outcome, ServiceError> {
        Ok(self.submit(client, idempotency_key, request)?.wait()?)
    }

    /// Begins to judge one request: does all cryptography in the caller's thread, before anything is
    /// locked, and queues the decision. Only a request that an enrolled card has signed is queued.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails: then nothing was decided.
    pub fn submit(
        &self,
        client: &Client,
        idempotency_key: &str,
        request: &AuthorisationRequest,
    ) -> Result<Pending, ServiceError> {
        self.submit_coming(None, client, idempotency_key, request)
    }

    /// Says that a request waits for the private key, or is at it, so that a commit waits for it a little.
    #[cfg(feature = "http")]
    pub(crate) fn under_way(&self) -> Option<Coming> {
        self.store.under_way()
    }

    /// [`Verifier::submit`] of a request that is known to come.
    pub(crate) fn submit_coming(
        &self,
        coming: Option<Coming>,
        client: &Client,
        idempotency_key: &str,
        request: &AuthorisationRequest,
    ) -> Result<Pending, ServiceError> {
        match Asked::new(client, idempotency_key, request) {
            Ok(asked) => self.submit_asked(coming, &self.claimed(asked.binding())?, asked),
            Err(malformed) => Ok(Pending::settled(Outcome::Malformed(malformed))),
        }
    }

    /// The same, once the card that it claims is known: does not block.
    pub(crate) fn submit_asked(
        &self,
        coming: Option<Coming>,
        claimed: &Claimed,
        asked: Asked<'_>,
    ) -> Result<Pending, ServiceError> {
        let Some(attempt) = self.attempt(claimed, asked)? else {
            return Ok(Pending::settled(Outcome::Refused));
        };
        // It has come: nobody need wait any more.
        drop(coming);
        self.ask(Question::Execute(attempt))
    }

    /// Makes sure that what a card has signed is never executed, or tells that it was: the end of an attempt of `client`
    /// whose outcome it does not know. Takes no password and charges no try; the same cancellation again gets the same
    /// answer. Blocks.
    ///
    /// # Errors
    /// [`ServiceError::CannotCancel`] under a suite whose signature cannot be checked without the password;
    /// [`ServiceError`] if the store fails: then repeat.
    pub fn cancel(&self, client: &Client, cancellation: &Cancellation) -> Result<Outcome, ServiceError> {
        match Parsed::cancellation(cancellation) {
            Ok(parsed) => {
                let claimed = self.claimed(parsed.header().binding)?;
                Ok(self.submit_cancellation(&claimed, client, parsed)?.wait()?)
            }
            Err(malformed) => Ok(Outcome::Malformed(malformed)),
        }
    }

    /// Begins to decide one cancellation, once the card that it claims is known: does all cryptography in the caller's
    /// thread, before anything is locked, and queues the decision. Does not block.
    ///
    /// # Errors
    /// As [`Verifier::cancel`].
    pub(crate) fn submit_cancellation(
        &self,
        claimed: &Claimed,
        client: &Client,
        parsed: Parsed<'_>,
    ) -> Result<Pending, ServiceError> {
        match self.proven(claimed, client, parsed)? {
            Some(proven) => self.ask(Question::Cancel(proven)),
            None => Ok(Pending::settled(Outcome::Refused)),
        }
    }

    fn ask(&self, question: Question) -> Result<Pending, ServiceError> {
        match self.store.submit(question) {
            Err(StoreError::Locked) => Ok(Pending::settled(Outcome::Busy)),
            pending => Ok(pending?),
        }
    }

    /// The cryptography of one request: what is to be decided; none if it is refused without a decision.
    fn attempt(&self, claimed: &Claimed, asked: Asked<'_>) -> Result<Option<Attempt>, ServiceError> {
        let (binding, Asked { client, key, request, parsed }) = (asked.binding(), asked);
        let ring = self.keys.ring();
        let server_key = ring.decryption(binding.server_key);
        let authentic = authenticate(self.env.crypto, claimed.card(), server_key, parsed);
        if matches!(authentic, Err(NotAuthentic::KeyUnavailable)) {
            return Err(CryptoError::Unavailable.into());
        }
        let policy = &claimed.policy;
        let admitted = policy.admits(binding.suite).is_ok();
        let (authentic, account) = match (authentic, claimed.account(), admitted) {
            (Ok(authentic), Some(account), true) => (authentic, account),
            (Ok(_), Some(_), false) => return Ok(self.refused(SUITE)),
            (_, None, _) => return Ok(self.refused(UNKNOWN_CARD)),
            (Err(_), ..) => return Ok(self.refused(NOT_SIGNED)),
        };
        let now = self.env.clock.now();
        Ok(Some(Attempt {
            account,
            terminal: client.terminal.clone(),
            key: key.to_owned(),
            body: body_tag(self.env.crypto, &self.keys.requests, request),
            now,
            window_start: policy.window_start(now),
            judged: authentic.judge(&request.verification_password),
        }))
    }

    /// Counts a refusal for which the books have no entry: nobody is known to have signed it.
    fn refused<T>(&self, reason: &'static str) -> Option<T> {
        self.store.decider().notices.refused(reason);
        None
    }

    /// The cryptography of one cancellation. The policy on suites is not asked: what is cancelled is not executed.
    fn proven(
        &self,
        claimed: &Claimed,
        client: &Client,
        parsed: Parsed<'_>,
    ) -> Result<Option<ProvenCancellation>, ServiceError> {
        if parsed.needs_password() {
            return Err(ServiceError::CannotCancel);
        }
        let evidence = authenticate_unopened(self.env.crypto, claimed.card(), parsed);
        let (Ok(evidence), Some(account)) = (evidence, claimed.account()) else {
            return Ok(None);
        };
        let (terminal, now) = (client.terminal.clone(), self.env.clock.now());
        Ok(Some(ProvenCancellation { account, terminal, now, evidence }))
    }

    /// The card that H names and the rules, if both are in memory. Does not block.
    #[cfg(feature = "http")]
    pub(crate) fn remembered(&self, binding: Binding) -> Option<Claimed> {
        let known = self.cards.get(&(binding.card, binding.signing_key));
        let known = known.filter(|known| known.card.signs_by(binding.suite.signature()))?;
        Some(Claimed { named: Named::Enrolled(known), policy: self.policy.fresh(self.now())? })
    }

    /// The card that H names, or a stand-in, and the rules. A stand-in also where H names an algorithm that takes another kind of
    /// key than the card's, as that would fail at once. May read the store, the key file and the token.
    pub(crate) fn claimed(&self, binding: Binding) -> Result<Claimed, ServiceError> {
        let named = match self.known_card(binding.card, binding.signing_key)? {
            Some(known) if known.card.signs_by(binding.suite.signature()) => Named::Enrolled(known),
            _ => Named::Unknown(Box::new(self.decoy(binding)?)),
        };
        Ok(Claimed { named, policy: self.recent_policy()? })
    }

    /// The enrolled card with its parsed keys. What is cached never changes; the card's state is read
    /// under the lock.
    fn known_card(&self, card: CardId, key: KeyId) -> Result<Option<Arc<Known>>, ServiceError> {
        let id = (card, key);
        if let Some(known) = self.cards.get(&id) {
            return Ok(Some(known));
        }
        let Some(row) = self.store.read(|db| books::enrolled(db, card, key))? else {
            return Ok(None);
        };
        let Some(card_key) = self.bound_card_key(&row.binding)? else {
            return Ok(None);
        };
        let enrolled = Enrolled::new(self.env.crypto, row.binding, &row.public_key, card_key);
        let enrolled = enrolled.inspect_err(|error| {
            tracing::error!(%card, %error, "the stored key of a card cannot be used; block the card and order another");
        });
        // REQ-I-15: a key that no card may have is no key.
        let Ok(card) = enrolled else { return Ok(None) };
        let known = Arc::new(Known { account: row.account, card });
        self.cards.put(id, Arc::clone(&known));
        Ok(Some(known))
    }

    /// The key of an enrolled card; none if a key of the server that it is bound to is retired, in which
    /// case it is blocked. Versions that another process has made are read from the file.
    pub(crate) fn bound_card_key(&self, binding: &Binding) -> Result<Option<Key256>, ServiceError> {
        if !self.keys.ring().serves(binding) {
            self.keys.refresh(&self.env)?;
        }
        Ok(self.keys.ring().card_key(binding.card, binding.issuer_key)?)
    }

    /// Stands in for a card that is not enrolled, so that the answer takes about as long as for one that is:
    /// no signature verifies under its key.
    fn decoy(&self, binding: Binding) -> Result<Enrolled, CryptoError> {
        let ring = self.keys.ring();
        let card_key = ring.stand_in_key(binding.card)?;
        let public_key = ring.stand_in_public(binding.suite.signature());
        Enrolled::new(self.env.crypto, binding, public_key, card_key)
    }
}

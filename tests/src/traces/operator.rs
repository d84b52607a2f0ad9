//! The operator of a trace: a server in memory with one payer, one payee, one terminal, and a clock
//! that stands at the trace's time.

use std::cell::Cell;
use std::sync::Arc;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::default_provider;
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::PayeeName;
use onetap_server_verifier::{
    AccountKind, AccountOptions, Act, CardOptions, Client, Clock, Environment, InitOptions, Outcome, Policy,
    ServiceError, Timestamp, Verifier,
};

use crate::target::samples;

/// What the payer owns at first, in cents.
const BALANCE: u64 = 100_000;

/// The server of one trace.
pub(super) struct Operator {
    verifier: Verifier,
    client: Client,
    payer: AccountNumber,
    /// Requests so far: each gets an idempotency key of its own.
    requests: Cell<u32>,
}

/// The moment of all transactions in traces.
#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp(samples::transaction().at.assume_utc().unix_timestamp())
    }
}

impl Operator {
    /// A new operator and its order for the payer's card.
    pub(super) fn found(suite: Suite) -> Result<(Self, Personalisation), ServiceError> {
        let policy = Policy { danger_allow_weak_suites: suite.danger().is_some(), ..Policy::default() };
        let env = Environment::new(default_provider(), Arc::new(Standing), Box::new(OsRng));
        let verifier = Verifier::in_memory(InitOptions { policy, ..InitOptions::new("Trace Bank") }, env)?;
        let transaction = samples::transaction();
        let currency = samples::currency();
        let account = |holder: &PayeeName, opening_balance, number| AccountOptions {
            holder: holder.clone(),
            currency,
            kind: AccountKind::Current,
            opening_balance,
            number,
        };
        let payee = &transaction.payee_name;
        verifier.desk(Act::of_program("test", "set-up")).open_account(&account(
            payee,
            0,
            Some(transaction.payee_account.clone()),
        ))?;
        let payer =
            verifier.desk(Act::of_program("test", "set-up")).open_account(&account(payee, BALANCE, None))?;
        let client =
            verifier.desk(Act::of_program("test", "set-up")).register_terminal(transaction.terminal)?;
        let confirmation = samples::confirmation();
        let order = verifier
            .desk(Act::of_program("test", "set-up"))
            .order_card(&payer, &CardOptions { suite, confirmation, ..CardOptions::new(currency) })?;
        Ok((Self { verifier, client, payer, requests: Cell::new(0) }, order.personalisation))
    }

    /// Enrols the card.
    pub(super) fn enrol(&self, statement: &EnrolmentStatement) -> Result<(), ServiceError> {
        self.verifier.desk(Act::of_program("test", "set-up")).activate_card(statement).map(drop)
    }

    /// Judges a request; what comes of it, in a word.
    pub(super) fn authorise(&self, request: &AuthorisationRequest) -> Result<String, ServiceError> {
        self.requests.set(self.requests.get() + 1);
        let key = format!("trace-{}", self.requests.get());
        let locked_before = self.is_locked()?;
        Ok(match self.verifier.authorise(&self.client, &key, request)? {
            Outcome::Refused if !locked_before && self.is_locked()? => "locked",
            outcome => outcome.into(),
        }
        .to_owned())
    }

    /// Unlocks the payer's account.
    pub(super) fn unlock(&self) -> Result<String, ServiceError> {
        self.verifier.desk(Act::of_program("trace", "the holder called")).unlock(&self.payer)?;
        Ok("unlocked".to_owned())
    }

    fn is_locked(&self) -> Result<bool, ServiceError> {
        Ok(self.verifier.account(&self.payer)?.locked.is_some())
    }
}

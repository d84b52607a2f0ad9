//! The server in the terminal's own process, as its [`Service`].

use std::sync::Arc;

use onetap_apdu_spec::service::{
    Answer, AuthorisationRequest, Cancellation, IdempotencyKey, Problem, ProblemKind, Resolution, Role,
    Standing, TransactionId, TransactionRecord,
};
use onetap_pcsc_host::{Deadline, Service, ServiceError};
use onetap_server_verifier::{Client, Outcome, ServiceError as ServerError, Verifier};

/// What stands where a request's id would.
const NO_REQUEST: &str = "embedded";

/// A server, and the terminal that asks it.
#[derive(Clone)]
pub struct Embedded {
    verifier: Arc<Verifier>,
    client: Client,
}

impl Embedded {
    /// `client` asks `verifier`.
    #[must_use]
    pub fn new(verifier: Arc<Verifier>, client: Client) -> Self {
        Self { verifier, client }
    }
}

impl Service for Embedded {
    fn standing(&self, deadline: &Deadline) -> Result<Standing, ServiceError> {
        deadline.check()?;
        let (verifier, seconds) = (&self.verifier, |tolerance| u32::try_from(tolerance).unwrap_or(u32::MAX));
        Ok(Standing {
            client: NO_REQUEST.to_owned(),
            role: Role::Terminal,
            terminal: Some(self.client.terminal().clone()),
            terminals: Vec::new(),
            server: verifier.server_id(),
            time: verifier.now(),
            max_age: seconds(verifier.policy().max_age),
            max_ahead: seconds(verifier.policy().max_ahead),
        })
    }

    fn authorise(
        &self,
        key: &IdempotencyKey,
        request: &AuthorisationRequest,
        deadline: &Deadline,
    ) -> Result<Answer, ServiceError> {
        deadline.check()?;
        match self.verifier.authorise(&self.client, key.as_str(), request).map_err(failed)? {
            Outcome::Executed(receipt) => Ok(Answer::Executed { receipt }),
            Outcome::Refused => Ok(Answer::Refused),
            Outcome::InsufficientFunds => Ok(Answer::InsufficientFunds),
            Outcome::LimitExceeded => Ok(Answer::LimitExceeded),
            other => Err(undecided(&other)),
        }
    }

    fn cancel(&self, cancellation: &Cancellation, deadline: &Deadline) -> Result<Resolution, ServiceError> {
        deadline.check()?;
        match self.verifier.cancel(&self.client, cancellation).map_err(failed)? {
            Outcome::Executed(receipt) => Ok(Resolution::Executed { receipt }),
            Outcome::Cancelled => Ok(Resolution::Cancelled),
            Outcome::Refused => Ok(Resolution::Refused),
            other => Err(undecided(&other)),
        }
    }

    fn transaction(
        &self,
        id: &TransactionId,
        deadline: &Deadline,
    ) -> Result<Option<TransactionRecord>, ServiceError> {
        deadline.check()?;
        match self.verifier.transaction(id) {
            Err(ServerError::NoSuchTransaction) => Ok(None),
            found => found.map(Some).map_err(failed),
        }
    }
}

/// What came instead of a decision.
fn undecided(outcome: &Outcome) -> ServiceError {
    match outcome {
        Outcome::Malformed(why) => problem(ProblemKind::Malformed, &why.to_string()),
        Outcome::Conflict => {
            problem(ProblemKind::Conflict, "the idempotency key was used for another request")
        }
        _ => problem(ProblemKind::Busy, "the store is busy; repeat with the same idempotency key"),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: ServerError) -> ServiceError {
    problem(ProblemKind::Internal, &error.to_string())
}

fn problem(kind: ProblemKind, detail: &str) -> ServiceError {
    let problem = Box::new(Problem::new(kind, detail, NO_REQUEST));
    ServiceError::Problem { problem, retry_after: None }
}

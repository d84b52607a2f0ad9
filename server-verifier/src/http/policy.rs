//! The operator's rules: limits, tries, windows.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{Administer, Caller, Read};
use super::hub::Hub;
use super::json::answer;
use super::once::Once;
use super::parts::ReasonBody;
use super::problem::Problem;
use crate::domain::{Policy, PolicyChange};
use crate::service::Verifier;

/// The rules that hold. Amounts are minor units, durations seconds.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy, example = json!({"wrong_in_a_row": 3, "wrong_per_counter": 3, "wrong_in_window": 10, "window": 2_592_000,
    "max_age": 600, "max_ahead": 120, "key_overlap": 86_400, "transaction_limit": 1_000_000, "danger_allow_weak_suites": false,
    "by_hand_takes_two": false}))]
pub(crate) struct PolicyBody {
    /// So many wrong passwords in a row lock the account
    wrong_in_a_row: u32,
    /// So many wrong passwords end one counter value of a card
    wrong_per_counter: u32,
    /// So many wrong passwords within the window lock the account, too
    wrong_in_window: u32,
    window: i64,
    /// How long before its receipt a transaction may be dated
    max_age: i64,
    /// How long after its receipt a transaction may be dated
    max_ahead: i64,
    /// How long a card's older key is good after a newer one is activated
    key_overlap: i64,
    /// Largest amount of one transaction
    transaction_limit: u64,
    /// Accepts profiles that can be guessed or forged: for experiments only
    danger_allow_weak_suites: bool,
    /// Money is moved by hand by two people only: `/v1/proposals`
    by_hand_takes_two: bool,
}

impl From<Policy> for PolicyBody {
    fn from(policy: Policy) -> Self {
        Self {
            wrong_in_a_row: policy.wrong_in_a_row,
            wrong_per_counter: policy.wrong_per_counter,
            wrong_in_window: policy.wrong_in_window,
            window: policy.window,
            max_age: policy.max_age,
            max_ahead: policy.max_ahead,
            key_overlap: policy.key_overlap,
            transaction_limit: policy.transaction_limit,
            danger_allow_weak_suites: policy.danger_allow_weak_suites,
            by_hand_takes_two: policy.by_hand_takes_two,
        }
    }
}

/// What of the rules is to be otherwise; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PolicyChange, example = json!({"transaction_limit": 50_000, "reason": "fraud case 12"}))]
pub(crate) struct PolicyChangeBody {
    #[schema(minimum = 1, maximum = 10)]
    wrong_in_a_row: Option<u32>,
    #[schema(minimum = 1, maximum = 10)]
    wrong_per_counter: Option<u32>,
    /// Not below `wrong_in_a_row`
    #[schema(minimum = 1)]
    wrong_in_window: Option<u32>,
    #[schema(minimum = 1)]
    window: Option<i64>,
    #[schema(minimum = 0)]
    max_age: Option<i64>,
    #[schema(minimum = 0)]
    max_ahead: Option<i64>,
    #[schema(minimum = 0)]
    key_overlap: Option<i64>,
    #[schema(minimum = 1)]
    transaction_limit: Option<u64>,
    danger_allow_weak_suites: Option<bool>,
    by_hand_takes_two: Option<bool>,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: String,
}

impl PolicyChangeBody {
    /// The change, and why.
    fn parts(self) -> (PolicyChange, ReasonBody) {
        let change = PolicyChange {
            wrong_in_a_row: self.wrong_in_a_row,
            wrong_per_counter: self.wrong_per_counter,
            wrong_in_window: self.wrong_in_window,
            window: self.window,
            max_age: self.max_age,
            max_ahead: self.max_ahead,
            key_overlap: self.key_overlap,
            transaction_limit: self.transaction_limit,
            danger_allow_weak_suites: self.danger_allow_weak_suites,
            by_hand_takes_two: self.by_hand_takes_two,
        };
        (change, ReasonBody { reason: self.reason })
    }
}

/// The rules that hold.
#[utoipa::path(get, path = "/v1/policy", operation_id = "show_policy", tag = "policy",
    responses((status = 200, body = PolicyBody)))]
pub(crate) async fn show(_caller: Caller<Read>, State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let policy = hub.verifier.run(Verifier::stored_policy).await?;
    Ok(answer(StatusCode::OK, &PolicyBody::from(policy)))
}

/// Changes rules, and answers with those that hold then: in this process from now on, in others within 5 seconds.
#[utoipa::path(post, path = "/v1/policy", operation_id = "change_policy", tag = "policy",
    request_body = PolicyChangeBody, responses((status = 200, body = PolicyBody)))]
pub(crate) async fn change(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Once(body, key): Once<PolicyChangeBody>,
) -> Result<Response, Problem> {
    let (change, reason) = body.parts();
    let act = caller.act(&reason.checked()?);
    let work = move |verifier: &Verifier| {
        key.act(verifier, act, |desk| desk.change_policy(&change), |_| verifier.stored_policy())
    };
    let policy = hub.verifier.run(work).await?;
    tracing::info!(request = caller.request(), client = caller.name(), ?policy, "policy changed");
    Ok(answer(StatusCode::OK, &PolicyBody::from(policy)))
}

//! Money that is held, goes back, or that another system books; and whether all sums hold.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::service::{SystemName, TransactionId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::accounts::ReasonBody;
use super::wire::Page;
use super::wire::page_limit;
use crate::domain::{HoldId, HoldState, HoldView, Settlement, Timestamp, Verdict};
use crate::http::Hub;
use crate::http::caller::{Administer, Caller, Read};
use crate::http::identity::blocking;
use crate::http::inspection::{LedgerBody, Running};
use crate::http::json::{Json, Path, Query, answer};
use crate::http::problem::{Problem, ProblemBody};

/// Money that cannot be spent.
#[derive(Serialize, ToSchema)]
#[schema(as = Hold)]
pub(crate) struct HoldBody {
    /// Names it
    #[schema(value_type = String)]
    hold: HoldId,
    /// Minor units that are, or were, held
    amount: u64,
    /// `open`, `captured` or `released`
    #[schema(value_type = String)]
    state: HoldState,
    /// Minor units that were paid out of it
    captured: u64,
    /// Who is or was paid, if that is known
    #[schema(value_type = Option<String>)]
    payee: Option<AccountNumber>,
    /// The other system whose answer it waits or waited for
    #[schema(value_type = Option<String>)]
    system: Option<SystemName>,
    #[schema(value_type = String, format = DateTime)]
    placed_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
}

impl From<HoldView> for HoldBody {
    fn from(view: HoldView) -> Self {
        let HoldView { hold, amount, state, captured, payee, system, placed_at, closed_at } = view;
        Self { hold, amount, state, captured, payee, system, placed_at, closed_at }
    }
}

/// What became of a hold.
#[derive(Serialize, ToSchema)]
#[schema(as = HoldStatus)]
pub(crate) struct HoldStatusBody {
    #[schema(value_type = String)]
    hold: HoldId,
    /// `open`, `captured` or `released`
    #[schema(value_type = String)]
    state: HoldState,
}

/// To be paid out of a hold.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Capture)]
pub(crate) struct CaptureBody {
    /// Who is paid
    #[schema(value_type = String)]
    payee: AccountNumber,
    /// Minor units, at most what is held; the rest is free again
    amount: u64,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// A transaction that was posted.
#[derive(Serialize, ToSchema)]
#[schema(as = Posted)]
pub(crate) struct PostedBody {
    /// Its id
    #[schema(value_type = String)]
    transaction: TransactionId,
}

/// What another system says of a transaction that was accepted for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Verdict)]
pub(crate) struct VerdictBody {
    state: Said,
    /// Why this is said, for the audit log
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Whether it has booked it, or will not.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Said {
    Settled,
    Failed,
}

impl VerdictBody {
    fn checked(self) -> Result<(Verdict, String), Problem> {
        let reason = ReasonBody { reason: self.reason }.checked()?;
        let verdict = match self.state {
            Said::Settled => Verdict::Settled,
            Said::Failed => Verdict::Failed { reason: reason.clone() },
        };
        Ok((verdict, reason))
    }
}

/// How far a transaction is.
#[derive(Serialize, ToSchema)]
#[schema(as = Settlement)]
pub(crate) struct SettlementBody {
    /// `booked` by this server; or `accepted` for another system, which has `settled` it, or in which it has `failed`
    state: &'static str,
    /// That other system
    #[schema(value_type = Option<String>)]
    system: Option<SystemName>,
    /// When its answer was known
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

impl From<Settlement> for SettlementBody {
    fn from(settlement: Settlement) -> Self {
        let (state, system, at) = match settlement {
            Settlement::Booked => ("booked", None, None),
            Settlement::Accepted { system } => ("accepted", Some(system), None),
            Settlement::Settled { system, at } => ("settled", Some(system), Some(at)),
            Settlement::Failed { system, at } => ("failed", Some(system), Some(at)),
        };
        Self { state, system, at }
    }
}

/// Which holds.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Holds {
    /// After this one
    #[param(value_type = Option<String>)]
    after: Option<HoldId>,
    /// So many at most, up to 1000; 100 if left out
    limit: Option<u32>,
}

/// Checks every sum: transactions, accounts, holds, currencies. One check or verification at a time.
#[utoipa::path(get, path = "/v1/ledger/check", tag = "ledger",
    responses((status = 200, body = LedgerBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn check(caller: Caller<Read>, State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    let running = Running::begin(&hub.inspection, hub.verifier.now())?;
    let by = caller.name().to_owned();
    let checked = blocking(move || running.check_ledger(&hub.verifier, &by)).await?;
    Ok(answer(StatusCode::OK, &checked))
}

/// The holds of an account, closed ones too, oldest first.
#[utoipa::path(get, path = "/v1/accounts/{number}/holds", tag = "ledger", params(("number" = String, Path), Holds),
    responses((status = 200, body = Page<HoldBody>), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn holds(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
    Query(query): Query<Holds>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    let found = blocking(move || hub.verifier.holds(&number, query.after, limit)).await?;
    let last = found.last().map(|view| view.hold.to_string());
    Ok(answer(StatusCode::OK, &Page::new(found.into_iter().map(HoldBody::from), last, limit)))
}

/// Sets all that is held free again, once.
#[utoipa::path(post, path = "/v1/holds/{hold}/release", tag = "ledger", params(("hold" = String, Path)),
    responses((status = 200, body = HoldStatusBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn release(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(hold): Path<HoldId>,
    Json(body): Json<ReasonBody>,
) -> Result<Response, Problem> {
    let act = caller.act(&body.checked()?);
    blocking(move || hub.verifier.desk(act).release_hold(hold)).await?;
    tracing::info!(client = caller.name(), %hold, "hold released");
    Ok(answer(StatusCode::OK, &HoldStatusBody { hold, state: HoldState::Released }))
}

/// Pays what is held, or a part of it, once; the rest is free again.
#[utoipa::path(post, path = "/v1/holds/{hold}/capture", tag = "ledger", params(("hold" = String, Path)),
    responses((status = 200, body = PostedBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn capture(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(hold): Path<HoldId>,
    Json(body): Json<CaptureBody>,
) -> Result<Response, Problem> {
    let CaptureBody { payee, amount, reason } = body;
    let act = caller.act(&ReasonBody { reason }.checked()?);
    let captured = blocking(move || hub.verifier.desk(act).capture_hold(hold, &payee, amount));
    let transaction = captured.await?;
    tracing::info!(client = caller.name(), %hold, "hold captured");
    Ok(answer(StatusCode::OK, &PostedBody { transaction }))
}

/// Posts the opposite of an executed transaction, or of a captured hold, once.
#[utoipa::path(post, path = "/v1/transactions/{id}/reverse", tag = "ledger", params(("id" = String, Path)),
    responses((status = 200, body = PostedBody), (status = 400, description = "Not an id", body = ProblemBody, content_type = "application/problem+json"), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn reverse(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(id): Path<TransactionId>,
    Json(body): Json<ReasonBody>,
) -> Result<Response, Problem> {
    let act = caller.act(&body.checked()?);
    let reversed = blocking(move || hub.verifier.desk(act).reverse(&id));
    let transaction = reversed.await?;
    tracing::info!(client = caller.name(), by = %transaction, "transaction reversed");
    Ok(answer(StatusCode::OK, &PostedBody { transaction }))
}

/// How far an executed transaction is: booked here, or accepted, settled or failed elsewhere.
#[utoipa::path(get, path = "/v1/transactions/{id}/settlement", tag = "ledger", params(("id" = String, Path)),
    responses((status = 200, body = SettlementBody), (status = 400, description = "Not an id", body = ProblemBody, content_type = "application/problem+json"), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn settlement(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(id): Path<TransactionId>,
) -> Result<Response, Problem> {
    let settlement = blocking(move || hub.verifier.settlement(&id)).await?;
    Ok(answer(StatusCode::OK, &SettlementBody::from(settlement)))
}

/// Records what another system says of a transaction that was accepted for it. Saying the same again changes
/// nothing.
#[utoipa::path(post, path = "/v1/transactions/{id}/settle", tag = "ledger", params(("id" = String, Path)),
    responses((status = 200, body = SettlementBody), (status = 400, description = "Not an id", body = ProblemBody, content_type = "application/problem+json"), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn settle(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(id): Path<TransactionId>,
    Json(body): Json<VerdictBody>,
) -> Result<Response, Problem> {
    let (verdict, reason) = body.checked()?;
    let act = caller.act(&reason);
    let settled = blocking(move || {
        hub.verifier.desk(act).settle(&id, &verdict)?;
        Ok((hub.verifier.settlement(&id)?, id))
    });
    let (settlement, id) = settled.await?;
    tracing::info!(client = caller.name(), transaction = %id, "another system's answer recorded");
    Ok(answer(StatusCode::OK, &SettlementBody::from(settlement)))
}

//! Money that is held: it goes on, or is free again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::service::SystemName;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Administer, Caller, Read};
use super::hub::Hub;
use super::json::{Json, Path, Query, answer};
use super::parts::{Page, ReasonBody, page_limit};
use super::problem::{Problem, ProblemBody};
use super::transactions::PostedBody;
use crate::domain::{HoldId, HoldState, HoldView, Timestamp};

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
    let found = hub.verifier.run(move |verifier| verifier.holds(&number, query.after, limit)).await?;
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
    hub.verifier.run(move |verifier| verifier.desk(act).release_hold(hold)).await?;
    tracing::info!(request = caller.request(), client = caller.name(), %hold, "hold released");
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
    let captured = hub.verifier.run(move |verifier| verifier.desk(act).capture_hold(hold, &payee, amount));
    let transaction = captured.await?;
    tracing::info!(request = caller.request(), client = caller.name(), %hold, "hold captured");
    Ok(answer(StatusCode::OK, &PostedBody { transaction }))
}

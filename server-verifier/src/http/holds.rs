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
use super::json::{Path, Query, answer};
use super::once::Once;
use super::parts::{Page, ReasonBody, page_limit};
use super::problem::Problem;
use super::transactions::PostedBody;
use crate::books::holds::capture_id;
use crate::domain::{HoldId, HoldState, HoldView, Timestamp};
use crate::service::Verifier;
use crate::service::desk::Desk;

/// Money that cannot be spent.
#[derive(Serialize, ToSchema)]
#[schema(as = Hold, example = json!({"hold": "17-4", "amount": 2500, "state": "open", "captured": 0, "payee": null, "system": null, "placed_at": "2026-03-19T14:05:31Z", "closed_at": null}))]
pub(crate) struct HoldBody {
    /// Names it
    #[schema(value_type = String, pattern = "^[0-9]+-[0-9]+$")]
    hold: HoldId,
    /// Minor units that are, or were, held
    amount: u64,
    /// `open`, `captured` or `released`
    #[schema(value_type = String, pattern = "^(open|captured|released)$")]
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

/// Money to be held.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewHold, example = json!({"amount": 2500, "reason": "deposit for room 12"}))]
pub(crate) struct NewHoldBody {
    /// Minor units
    #[schema(minimum = 1, maximum = 999_999_999_999_u64)]
    amount: u64,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: String,
}

/// What became of a hold.
#[derive(Serialize, ToSchema)]
#[schema(as = HoldStatus, example = json!({"hold": "17-4", "state": "released"}))]
pub(crate) struct HoldStatusBody {
    #[schema(value_type = String, pattern = "^[0-9]+-[0-9]+$")]
    hold: HoldId,
    /// `open`, `captured` or `released`
    #[schema(value_type = String, pattern = "^(open|captured|released)$")]
    state: HoldState,
}

/// To be paid out of a hold.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Capture, example = json!({"payee": "2000000000008", "amount": 2000, "reason": "the guest has left, bill 17"}))]
pub(crate) struct CaptureBody {
    /// Who is paid
    #[schema(value_type = String, pattern = "^[0-9A-Z]{1,34}$")]
    payee: AccountNumber,
    /// Minor units, at most what is held; the rest is free again
    amount: u64,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
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
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The holds of an account, closed ones too, oldest first.
#[utoipa::path(get, path = "/v1/accounts/{number}/holds", operation_id = "list_holds", tag = "ledger", params(("number" = String, Path), Holds),
    responses((status = 200, body = Page<HoldBody>), (status = 404)))]
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

/// Holds money of an account, which cannot be spent until the hold is released or captured.
#[utoipa::path(post, path = "/v1/accounts/{number}/holds", operation_id = "place_hold", tag = "ledger", params(("number" = String, Path)),
    request_body = NewHoldBody, responses((status = 201, body = HoldStatusBody), (status = 409)))]
pub(crate) async fn place(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
    Once(body, key): Once<NewHoldBody>,
) -> Result<Response, Problem> {
    let NewHoldBody { amount, reason } = body;
    let act = caller.act(&ReasonBody { reason }.checked()?);
    let place =
        move |verifier: &Verifier| key.act(verifier, act, |desk| desk.place_hold(&number, amount), Ok);
    let hold = hub.verifier.run(place).await?;
    tracing::info!(request = caller.request(), client = caller.name(), %hold, "money held");
    Ok(answer(StatusCode::CREATED, &HoldStatusBody { hold, state: HoldState::Open }))
}

/// Sets all that is held free again, once.
#[utoipa::path(post, path = "/v1/holds/{hold}/release", operation_id = "release_hold", tag = "ledger", params(("hold" = String, Path)),
    request_body = ReasonBody, responses((status = 200, body = HoldStatusBody), (status = 409)))]
pub(crate) async fn release(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(hold): Path<HoldId>,
    Once(body, key): Once<ReasonBody>,
) -> Result<Response, Problem> {
    let act = caller.act(&body.checked()?);
    let release =
        move |verifier: &Verifier| key.act(verifier, act, |desk| desk.release_hold(hold), |_| Ok(()));
    hub.verifier.run(release).await?;
    tracing::info!(request = caller.request(), client = caller.name(), %hold, "hold released");
    Ok(answer(StatusCode::OK, &HoldStatusBody { hold, state: HoldState::Released }))
}

/// Pays what is held, or a part of it, once; the rest is free again.
#[utoipa::path(post, path = "/v1/holds/{hold}/capture", operation_id = "capture_hold", tag = "ledger", params(("hold" = String, Path)),
    request_body = CaptureBody, responses((status = 200, body = PostedBody), (status = 409)))]
pub(crate) async fn capture(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(hold): Path<HoldId>,
    Once(body, key): Once<CaptureBody>,
) -> Result<Response, Problem> {
    let CaptureBody { payee, amount, reason } = body;
    let act = caller.act(&ReasonBody { reason }.checked()?);
    let capture = move |verifier: &Verifier| {
        let work = |desk: &Desk<'_>| desk.capture_hold(hold, &payee, amount);
        key.act(verifier, act, work, |_| Ok(capture_id(hold)))
    };
    let transaction = hub.verifier.run(capture).await?;
    tracing::info!(request = caller.request(), client = caller.name(), %hold, "hold captured");
    Ok(answer(StatusCode::OK, &PostedBody { transaction }))
}

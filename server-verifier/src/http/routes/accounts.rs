//! Accounts, their locks, and unlocking.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::txn::PayeeName;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::wire::AccountBody;
use super::wire::LineBody;
use super::wire::LockBody;
use super::wire::Page;
use super::wire::page_limit;
use crate::domain::AccountKind;
use crate::http::Hub;
use crate::http::caller::{Caller, Open, Operate, Read};
use crate::http::identity::{Access, blocking};
use crate::http::json::{Json, Path, Query, answer};
use crate::http::problem::{Kind, Problem, ProblemBody};
use crate::service::accounts::AccountOptions;

/// An account to be opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAccount)]
pub(crate) struct NewAccountBody {
    /// The holder's name, as it must stand in transactions that pay this account
    holder: String,
    /// ISO 4217
    #[schema(value_type = String)]
    currency: Currency,
    /// `current` or `stored-value`
    #[schema(value_type = String)]
    kind: AccountKind,
    /// Minor units, out of the operator's equity
    #[serde(default)]
    opening_balance: u64,
    /// A number is made if none is given
    #[schema(value_type = Option<String>)]
    number: Option<AccountNumber>,
    /// Why an opening balance is given, for the audit log; needed with one
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: String,
}

/// Why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Reason)]
pub(crate) struct ReasonBody {
    /// For the audit log
    #[schema(min_length = 1, max_length = 500)]
    pub(super) reason: String,
}

/// Longest reason, in characters.
const MAX_REASON: usize = 500;

impl ReasonBody {
    pub(super) fn checked(self) -> Result<String, Problem> {
        if self.reason.chars().count() > MAX_REASON {
            return Err(Problem::new(Kind::Unprocessable, "the reason may have at most 500 characters"));
        }
        Ok(self.reason)
    }
}

/// Which accounts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Accounts {
    /// After this one
    #[param(value_type = Option<String>)]
    after: Option<AccountNumber>,
    /// So many at most, up to 1000; 100 if left out
    limit: Option<u32>,
    /// Only locked ones, those locked longest first; not in pages
    #[serde(default)]
    locked: bool,
}

/// Accounts, oldest first.
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts", params(Accounts),
    responses((status = 200, body = Page<AccountBody>)))]
pub(crate) async fn list(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Query(query): Query<Accounts>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    if query.locked && query.after.is_some() {
        return Err(Problem::malformed("locked accounts do not come in pages: leave `after` out"));
    }
    let found = blocking(move || match query.locked {
        true => hub.verifier.locked_accounts(limit),
        false => hub.verifier.accounts_page(query.after.as_ref(), limit),
    });
    let found = found.await?;
    let last = found.last().filter(|_| !query.locked).map(|account| account.number.to_string());
    Ok(answer(StatusCode::OK, &Page::new(found.into_iter().map(AccountBody::from), last, limit)))
}

/// Opens an account.
#[utoipa::path(post, path = "/v1/accounts", tag = "accounts",
    responses((status = 201, body = AccountBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn open(
    caller: Caller<Open>,
    State(hub): State<Arc<Hub>>,
    Json(body): Json<NewAccountBody>,
) -> Result<Response, Problem> {
    let holder =
        PayeeName::new(&body.holder).map_err(|error| Problem::malformed(format!("holder: {error}")))?;
    let NewAccountBody { currency, kind, opening_balance, number, reason, .. } = body;
    if opening_balance > 0 && !matches!(caller.access(), Access::Admin) {
        return Err(Problem::new(Kind::NotAllowed, "an opening balance is an admin's act"));
    }
    let act = caller.act(&reason);
    let options = AccountOptions { holder, currency, kind, opening_balance, number };
    let opened = blocking(move || {
        let number = hub.verifier.desk(act).open_account(&options)?;
        hub.verifier.account(&number)
    });
    let opened = opened.await?;
    tracing::info!(client = caller.name(), account = %opened.number, "account opened");
    let place = HeaderValue::try_from(format!("/v1/accounts/{}", opened.number));
    let mut response = answer(StatusCode::CREATED, &AccountBody::from(opened));
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

async fn account(hub: Arc<Hub>, number: AccountNumber) -> Result<AccountBody, Problem> {
    blocking(move || hub.verifier.account(&number)).await.map(AccountBody::from)
}

/// One account.
#[utoipa::path(get, path = "/v1/accounts/{number}", tag = "accounts", params(("number" = String, Path)),
    responses((status = 200, body = AccountBody), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn show(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &account(hub, number).await?))
}

/// Closes an account, which must be empty.
#[utoipa::path(post, path = "/v1/accounts/{number}/close", tag = "accounts", params(("number" = String, Path)),
    responses((status = 200, body = AccountBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn close(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
) -> Result<Response, Problem> {
    let (verifier, closed) = (Arc::clone(&hub.verifier), number.clone());
    let act = caller.act("");
    blocking(move || verifier.desk(act).close_account(&closed)).await?;
    tracing::info!(client = caller.name(), account = %number, "account closed");
    Ok(answer(StatusCode::OK, &account(hub, number).await?))
}

/// Whether an account is locked, and how far it is from that.
#[utoipa::path(get, path = "/v1/accounts/{number}/lock", tag = "accounts", params(("number" = String, Path)),
    responses((status = 200, body = LockBody), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn lock(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &account(hub, number).await?.into_lock()))
}

/// Unlocks an account. On record is the client that asks, with its reason.
#[utoipa::path(post, path = "/v1/accounts/{number}/unlock", tag = "accounts", params(("number" = String, Path)),
    responses((status = 200, body = LockBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn unlock(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
    Json(body): Json<ReasonBody>,
) -> Result<Response, Problem> {
    let (verifier, unlocked) = (Arc::clone(&hub.verifier), number.clone());
    let act = caller.act(&body.checked()?);
    blocking(move || verifier.desk(act).unlock(&unlocked)).await?;
    tracing::info!(client = caller.name(), account = %number, "account unlocked");
    Ok(answer(StatusCode::OK, &account(hub, number).await?.into_lock()))
}

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Lines {
    /// After this transaction
    #[serde(default)]
    #[param(value_type = Option<String>)]
    after: String,
    /// So many at most, up to 1000; 100 if left out
    limit: Option<u32>,
}

/// What went in and out, in the order of the transactions' ids.
#[utoipa::path(get, path = "/v1/accounts/{number}/statement", tag = "accounts", params(("number" = String, Path), Lines),
    responses((status = 200, body = Page<LineBody>), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn statement(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
    Query(query): Query<Lines>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    let found = blocking(move || hub.verifier.statement(&number, &query.after, limit)).await?;
    let last = found.last().map(|line| line.transaction.clone());
    Ok(answer(StatusCode::OK, &Page::new(found.into_iter().map(LineBody::from), last, limit)))
}

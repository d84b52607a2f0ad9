//! Accounts, their locks, and unlocking.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::txn::PayeeName;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Caller, Open, Operate, Read};
use super::cards::CardBody;
use super::hub::Hub;
use super::json::{Json, Path, Query, answer};
use super::parts::{Page, ReasonBody, page_limit};
use super::problem::{Kind, Problem, ProblemBody};
use crate::domain::client::Role;
use crate::domain::{AccountKind, AccountView, Lock, LockCause, StatementLine, StatementPlace, Timestamp};
use crate::service::accounts::AccountOptions;

/// An account with its lock and its cards.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountBody {
    #[schema(value_type = String)]
    number: AccountNumber,
    holder: String,
    /// ISO 4217
    #[schema(value_type = String)]
    currency: Currency,
    /// Digits of the currency's minor unit (ISO 4217)
    exponent: u8,
    /// `current` or `stored-value`
    #[schema(value_type = String)]
    kind: AccountKind,
    /// Minor units
    balance: i64,
    /// So much of the balance is held: minor units
    held: i64,
    open: bool,
    lock: LockBody,
    cards: Vec<CardBody>,
}

/// Whether an account is locked, and how far it is from that.
#[derive(Serialize, ToSchema)]
#[schema(as = LockState)]
pub(crate) struct LockBody {
    locked: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// `wrong-in-a-row`, `wrong-in-window`, or `moved` if it has moved to another shard
    #[schema(value_type = Option<String>)]
    cause: Option<LockCause>,
    /// Wrong passwords since the last right one
    wrong_in_a_row: u32,
    /// Wrong passwords within the policy's window
    wrong_in_window: u32,
}

impl LockBody {
    fn new(lock: Option<Lock>, wrong_in_a_row: u32, wrong_in_window: u32) -> Self {
        let (since, cause) = (lock.map(|lock| lock.since), lock.map(|lock| lock.cause));
        Self { locked: lock.is_some(), since, cause, wrong_in_a_row, wrong_in_window }
    }
}

impl From<AccountView> for AccountBody {
    fn from(view: AccountView) -> Self {
        Self {
            lock: LockBody::new(view.locked, view.wrong_in_a_row, view.wrong_in_window),
            cards: view.cards.into_iter().map(CardBody::from).collect(),
            number: view.number,
            holder: view.holder,
            currency: view.currency,
            exponent: view.currency.exponent(),
            kind: view.kind,
            balance: view.balance,
            held: view.held,
            open: view.open,
        }
    }
}

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
    let found = hub.verifier.run(move |verifier| match query.locked {
        true => verifier.locked_accounts(limit),
        false => verifier.accounts_page(query.after.as_ref(), limit),
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
    if opening_balance > 0 && !matches!(caller.role(), Role::Admin) {
        return Err(Problem::new(Kind::NotAllowed, "an opening balance is an admin's act"));
    }
    let act = caller.act(&reason);
    let options = AccountOptions { holder, currency, kind, opening_balance, number };
    let opened = hub.verifier.run(move |verifier| {
        let number = verifier.desk(act).open_account(&options)?;
        verifier.account(&number)
    });
    let opened = opened.await?;
    tracing::info!(request = caller.request(), client = caller.name(), account = %opened.number, "account opened");
    let place = HeaderValue::try_from(format!("/v1/accounts/{}", opened.number));
    let mut response = answer(StatusCode::CREATED, &AccountBody::from(opened));
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

async fn account(hub: &Hub, number: AccountNumber) -> Result<AccountBody, Problem> {
    hub.verifier.run(move |verifier| verifier.account(&number)).await.map(AccountBody::from)
}

/// One account.
#[utoipa::path(get, path = "/v1/accounts/{number}", tag = "accounts", params(("number" = String, Path)),
    responses((status = 200, body = AccountBody), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn show(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &account(&hub, number).await?))
}

/// Closes an account, which must be empty.
#[utoipa::path(post, path = "/v1/accounts/{number}/close", tag = "accounts", params(("number" = String, Path)),
    responses((status = 200, body = AccountBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn close(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
) -> Result<Response, Problem> {
    let (closed, act) = (number.clone(), caller.act(""));
    hub.verifier.run(move |verifier| verifier.desk(act).close_account(&closed)).await?;
    tracing::info!(request = caller.request(), client = caller.name(), account = %number, "account closed");
    Ok(answer(StatusCode::OK, &account(&hub, number).await?))
}

/// Whether an account is locked, and how far it is from that.
#[utoipa::path(get, path = "/v1/accounts/{number}/lock", tag = "accounts", params(("number" = String, Path)),
    responses((status = 200, body = LockBody), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn lock(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &account(&hub, number).await?.lock))
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
    let (unlocked, act) = (number.clone(), caller.act(&body.checked()?));
    hub.verifier.run(move |verifier| verifier.desk(act).unlock(&unlocked)).await?;
    tracing::info!(request = caller.request(), client = caller.name(), account = %number, "account unlocked");
    Ok(answer(StatusCode::OK, &account(&hub, number).await?.lock))
}

/// One line of a statement.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementLine)]
pub(crate) struct LineBody {
    /// A transaction's id, or what the operator has booked
    transaction: String,
    /// Minor units; negative if it went out
    amount: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<StatementLine> for LineBody {
    fn from(line: StatementLine) -> Self {
        Self { transaction: line.transaction, amount: line.amount, at: line.at }
    }
}

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Lines {
    /// After this place: the `next` of the page before
    after: Option<String>,
    /// So many at most, up to 1000; 100 if left out
    limit: Option<u32>,
}

/// What went in and out, in the order of time.
#[utoipa::path(get, path = "/v1/accounts/{number}/statement", tag = "accounts", params(("number" = String, Path), Lines),
    responses((status = 200, body = Page<LineBody>), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn statement(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
    Query(query): Query<Lines>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    let after = query.after.map_or(Ok(StatementPlace::default()), |after| after.parse::<StatementPlace>());
    let after = after.map_err(|error| Problem::malformed(error.to_string()))?;
    let found = hub.verifier.run(move |verifier| verifier.statement(&number, &after, limit)).await?;
    let last = found.last().map(|line| line.place.to_string());
    Ok(answer(StatusCode::OK, &Page::new(found.into_iter().map(LineBody::from), last, limit)))
}

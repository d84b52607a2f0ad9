//! Accounts, their locks, and unlocking.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::service::SystemName;
use onetap_apdu_spec::txn::PayeeName;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Administer, Caller, Open, Operate, Read};
use super::cards::CardBody;
use super::hub::Hub;
use super::json::{Path, Query, answer};
use super::once::{Key, Once};
use super::parts::{Page, ReasonBody, page_limit};
use super::problem::{Kind, Problem};
use crate::domain::client::Role;
use crate::domain::{
    AccountKind, AccountView, EntryId, Lock, LockCause, StatementLine, StatementPlace, Timestamp,
};
use crate::service::Verifier;
use crate::service::accounts::AccountOptions;
use crate::service::error::ServiceError;

/// An account with its lock and its cards.
#[derive(Serialize, ToSchema)]
#[schema(as = Account, example = json!({"number": "1000000000009", "holder": "Ada Lovelace", "currency": "EUR", "exponent": 2, "kind": "current", "system": null, "balance": 10000, "held": 0, "open": true, "lock": {"locked": false, "since": null, "cause": null, "wrong_in_a_row": 0, "wrong_in_window": 0}, "cards": [{"card": "4341524430303031", "suite": "a3+sha256+rsa-oaep+pkcs1", "state": "active", "signing_key": 1}]}))]
pub(crate) struct AccountBody {
    #[schema(value_type = String, pattern = "^[0-9A-Z]{1,34}$")]
    number: AccountNumber,
    holder: String,
    /// ISO 4217
    #[schema(value_type = String, pattern = "^[A-Z]{3}$")]
    currency: Currency,
    /// Digits of the currency's minor unit (ISO 4217)
    exponent: u8,
    /// `current` or `stored-value`
    #[schema(value_type = String, pattern = "^(current|stored-value)$")]
    kind: AccountKind,
    /// The other system that keeps its books; null if this server does
    #[schema(value_type = Option<String>)]
    system: Option<SystemName>,
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
#[schema(as = LockState, example = json!({"locked": true, "since": "2026-03-19T14:05:31Z", "cause": "wrong-in-a-row", "wrong_in_a_row": 3, "wrong_in_window": 3}))]
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
            system: view.system,
            balance: view.balance,
            held: view.held,
            open: view.open,
        }
    }
}

/// An account to be opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAccount, example = json!({"holder": "Ada Lovelace", "currency": "EUR", "kind": "current", "opening_balance": 10000, "reason": "first deposit, in cash"}))]
pub(crate) struct NewAccountBody {
    /// The holder's name, as it must stand in transactions that pay this account
    holder: String,
    /// ISO 4217
    #[schema(value_type = String, pattern = "^[A-Z]{3}$")]
    currency: Currency,
    /// `current` or `stored-value`
    #[schema(value_type = String, pattern = "^(current|stored-value)$")]
    kind: AccountKind,
    /// Minor units, out of the operator's equity
    #[serde(default)]
    opening_balance: u64,
    /// A number is made if none is given
    #[schema(value_type = Option<String>, pattern = "^[0-9A-Z]{1,34}$")]
    number: Option<AccountNumber>,
    /// Why an opening balance is given, for the audit log; needed with one
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
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
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Of holders whose names contain this; capital letters and small ones are alike
    #[param(min_length = 1, max_length = 100)]
    holder: Option<String>,
    /// Only locked ones, those locked longest first; not in pages, and without `holder`
    #[serde(default)]
    locked: bool,
}

/// Accounts, oldest first.
#[utoipa::path(get, path = "/v1/accounts", operation_id = "list_accounts", tag = "accounts", params(Accounts),
    responses((status = 200, body = Page<AccountBody>)))]
pub(crate) async fn list(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Query(query): Query<Accounts>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    if query.locked && (query.after.is_some() || query.holder.is_some()) {
        let detail = "locked accounts come neither in pages nor by holder: leave `after` and `holder` out";
        return Err(Problem::malformed(detail));
    }
    let found = hub.verifier.run(move |verifier| match query.locked {
        true => verifier.locked_accounts(limit),
        false => verifier.accounts_of(&query.holder.unwrap_or_default(), query.after.as_ref(), limit),
    });
    let found = found.await?;
    let last = found.last().filter(|_| !query.locked).map(|account| account.number.to_string());
    Ok(answer(StatusCode::OK, &Page::new(found.into_iter().map(AccountBody::from), last, limit)))
}

/// Opens an account.
#[utoipa::path(post, path = "/v1/accounts", operation_id = "open_account", tag = "accounts",
    request_body = NewAccountBody, responses((status = 201, body = AccountBody), (status = 409)))]
pub(crate) async fn open(
    caller: Caller<Open>,
    State(hub): State<Arc<Hub>>,
    Once(body, key): Once<NewAccountBody>,
) -> Result<Response, Problem> {
    let holder =
        PayeeName::new(&body.holder).map_err(|error| Problem::malformed(format!("holder: {error}")))?;
    let NewAccountBody { currency, kind, opening_balance, number, reason, .. } = body;
    if opening_balance > 0 && !matches!(caller.role(), Role::Admin) {
        return Err(Problem::new(Kind::NotAllowed, "an opening balance is an admin's act"));
    }
    let act = caller.act(&ReasonBody { reason }.checked()?);
    let options = AccountOptions { holder, currency, kind, opening_balance, number };
    let opened = hub.verifier.run(move |verifier| {
        let again = |entry: EntryId| verifier.number_of(entry.account)?.ok_or(ServiceError::NoSuchAccount);
        let number = key.act(verifier, act, |desk| desk.open_account(&options), again)?;
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
#[utoipa::path(get, path = "/v1/accounts/{number}", operation_id = "show_account", tag = "accounts", params(("number" = String, Path)),
    responses((status = 200, body = AccountBody), (status = 404)))]
pub(crate) async fn show(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &account(&hub, number).await?))
}

/// Closes an account, which must be empty.
#[utoipa::path(post, path = "/v1/accounts/{number}/close", operation_id = "close_account", tag = "accounts", params(("number" = String, Path)),
    responses((status = 200, body = AccountBody), (status = 409)))]
pub(crate) async fn close(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
    key: Key,
) -> Result<Response, Problem> {
    let (closed, act) = (number.clone(), caller.act(""));
    let close =
        move |verifier: &Verifier| key.act(verifier, act, |desk| desk.close_account(&closed), |_| Ok(()));
    hub.verifier.run(close).await?;
    tracing::info!(request = caller.request(), client = caller.name(), account = %number, "account closed");
    Ok(answer(StatusCode::OK, &account(&hub, number).await?))
}

/// Whether an account is locked, and how far it is from that.
#[utoipa::path(get, path = "/v1/accounts/{number}/lock", operation_id = "show_lock", tag = "accounts", params(("number" = String, Path)),
    responses((status = 200, body = LockBody), (status = 404)))]
pub(crate) async fn lock(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &account(&hub, number).await?.lock))
}

/// Unlocks an account. On record is the client that asks, with its reason.
#[utoipa::path(post, path = "/v1/accounts/{number}/unlock", operation_id = "unlock_account", tag = "accounts", params(("number" = String, Path)),
    request_body = ReasonBody, responses((status = 200, body = LockBody), (status = 409)))]
pub(crate) async fn unlock(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
    Once(body, key): Once<ReasonBody>,
) -> Result<Response, Problem> {
    let (unlocked, act) = (number.clone(), caller.act(&body.checked()?));
    let unlock = move |verifier: &Verifier| key.act(verifier, act, |desk| desk.unlock(&unlocked), |_| Ok(()));
    hub.verifier.run(unlock).await?;
    tracing::info!(request = caller.request(), client = caller.name(), account = %number, "account unlocked");
    Ok(answer(StatusCode::OK, &account(&hub, number).await?.lock))
}

/// Who keeps an account's books.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Link, example = json!({"system": "transit", "reason": "contract 17 with the transit operator"}))]
pub(crate) struct LinkBody {
    /// The other system
    #[schema(value_type = String, pattern = "^[a-z0-9-]{1,32}$")]
    system: SystemName,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: String,
}

/// Says that another system keeps the books of a stored value, which must be open and empty: from then on what moves to or from
/// it is accepted here and settled there.
#[utoipa::path(put, path = "/v1/accounts/{number}/link", operation_id = "link_account", tag = "accounts", params(("number" = String, Path)),
    request_body = LinkBody, responses((status = 200, body = AccountBody), (status = 409)))]
pub(crate) async fn link(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(number): Path<AccountNumber>,
    Once(body, key): Once<LinkBody>,
) -> Result<Response, Problem> {
    let LinkBody { system, reason } = body;
    let (linked, act) = (number.clone(), caller.act(&ReasonBody { reason }.checked()?));
    let link = move |verifier: &Verifier| {
        key.act(verifier, act, |desk| desk.link_account(&linked, &system), |_| Ok(()))
    };
    hub.verifier.run(link).await?;
    tracing::info!(request = caller.request(), client = caller.name(), account = %number, "account linked");
    Ok(answer(StatusCode::OK, &account(&hub, number).await?))
}

/// One line of a statement.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementLine, example = json!({"transaction": "434152443030303100000001", "amount": -1234, "at": "2026-03-19T14:05:31Z"}))]
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
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// What went in and out, in the order of time.
#[utoipa::path(get, path = "/v1/accounts/{number}/statement", operation_id = "show_statement", tag = "accounts", params(("number" = String, Path), Lines),
    responses((status = 200, body = Page<LineBody>), (status = 404)))]
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

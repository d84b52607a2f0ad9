//! What others were not told yet.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::account::AccountNumber;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Caller, Operate, Read};
use super::hub::Hub;
use super::json::{Path, Query, answer};
use super::once::Once;
use super::parts::Page;
use super::parts::ReasonBody;
use super::parts::page_limit;
use super::problem::Problem;
use crate::domain::{DeadLetter, EntryId, MessageState, MessageView, Timestamp, Topic};
use crate::service::Verifier;

/// A message that was not taken yet.
#[derive(Serialize, ToSchema)]
#[schema(as = OutboxMessage, example = json!({"message": "17-4", "topic": "executed", "account": "1000000000009", "state": "dead", "attempts": 16, "failure": "the receiver answers 500", "due_at": null, "dead_at": "2026-03-19T14:05:31Z"}))]
pub(crate) struct MessageBody {
    /// Names it
    #[schema(value_type = String)]
    message: EntryId,
    /// What it tells of, such as `executed` or `account-locked`
    #[schema(value_type = String)]
    topic: Topic,
    #[schema(value_type = String, pattern = "^[0-9A-Z]{1,34}$")]
    account: AccountNumber,
    /// `waiting`, `held-back` by a dead letter of its account, or `dead`
    #[schema(value_type = String, pattern = "^(waiting|held-back|dead)$")]
    state: MessageState,
    /// How often it was sent
    attempts: u32,
    /// Why it was not taken the last time
    failure: Option<String>,
    /// When it is sent next, or later
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// Since when nobody tries any more
    #[schema(value_type = Option<String>, format = DateTime)]
    dead_at: Option<Timestamp>,
}

impl From<MessageView> for MessageBody {
    fn from(view: MessageView) -> Self {
        let MessageView { message, topic, account, state, attempts, failure, due_at, dead_at } = view;
        Self { message, topic, account, state, attempts, failure, due_at, dead_at }
    }
}

impl From<DeadLetter> for MessageBody {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { message, topic, account, attempts, failure, dead_at } = letter;
        let (state, failure, dead_at) = (MessageState::Dead, Some(failure), Some(dead_at));
        Self { message, topic, account, state, attempts, failure, due_at: None, dead_at }
    }
}

/// How much waits, and some of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Outbox, example = json!({"waiting": 0, "dead": 0, "items": [], "next": null}))]
pub(crate) struct OutboxBody {
    /// Messages that were not taken yet, dead letters and what they hold back included
    waiting: u64,
    /// Dead letters
    dead: u64,
    #[serde(flatten)]
    page: Page<MessageBody>,
}

/// A message that is not dead any more.
#[derive(Serialize, ToSchema)]
#[schema(as = OutboxAct, example = json!({"message": "17-4", "state": "requeued"}))]
pub(crate) struct ActBody {
    #[schema(value_type = String)]
    message: EntryId,
    /// `requeued` or `discarded`
    state: &'static str,
}

/// Which messages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Messages {
    /// After this one
    #[param(value_type = Option<String>)]
    after: Option<EntryId>,
    /// So many at most, up to 1000; 100 if left out
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only dead letters, those dead longest first; not in pages
    #[serde(default)]
    dead: bool,
}

/// What others were not told yet, in the order of accounts and of their events.
#[utoipa::path(get, path = "/v1/outbox", operation_id = "list_outbox", tag = "outbox", params(Messages),
    responses((status = 200, body = OutboxBody)))]
pub(crate) async fn list(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Query(query): Query<Messages>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    if query.dead && query.after.is_some() {
        return Err(Problem::malformed("dead letters do not come in pages: leave `after` out"));
    }
    let found = hub.verifier.run(move |verifier| {
        let backlog = verifier.backlog()?;
        let messages: Vec<MessageBody> = match query.dead {
            true => verifier.dead_letters(limit)?.into_iter().map(MessageBody::from).collect(),
            false => verifier.messages(query.after, limit)?.into_iter().map(MessageBody::from).collect(),
        };
        Ok((backlog, messages))
    });
    let (backlog, messages) = found.await?;
    let last = messages.last().filter(|_| !query.dead).map(|body| body.message.to_string());
    let page = Page::new(messages.into_iter(), last, limit);
    Ok(answer(StatusCode::OK, &OutboxBody { waiting: backlog.waiting, dead: backlog.dead, page }))
}

/// Sends a dead letter again, and what it held back after it.
#[utoipa::path(post, path = "/v1/outbox/{message}/requeue", operation_id = "requeue_message", tag = "outbox", params(("message" = String, Path)),
    request_body = ReasonBody, responses((status = 200, body = ActBody), (status = 404)))]
pub(crate) async fn requeue(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(message): Path<EntryId>,
    Once(body, key): Once<ReasonBody>,
) -> Result<Response, Problem> {
    let act = caller.act(&body.checked()?);
    let requeue = move |verifier: &Verifier| key.act(verifier, act, |desk| desk.requeue(message), |_| Ok(()));
    hub.verifier.run(requeue).await?;
    tracing::info!(request = caller.request(), client = caller.name(), %message, "dead letter sent again");
    Ok(answer(StatusCode::OK, &ActBody { message, state: "requeued" }))
}

/// Gives a dead letter up, so that what it held back is sent.
#[utoipa::path(post, path = "/v1/outbox/{message}/discard", operation_id = "discard_message", tag = "outbox", params(("message" = String, Path)),
    request_body = ReasonBody, responses((status = 200, body = ActBody), (status = 404)))]
pub(crate) async fn discard(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(message): Path<EntryId>,
    Once(body, key): Once<ReasonBody>,
) -> Result<Response, Problem> {
    let act = caller.act(&body.checked()?);
    let discard = move |verifier: &Verifier| key.act(verifier, act, |desk| desk.discard(message), |_| Ok(()));
    hub.verifier.run(discard).await?;
    tracing::info!(request = caller.request(), client = caller.name(), %message, "dead letter given up");
    Ok(answer(StatusCode::OK, &ActBody { message, state: "discarded" }))
}

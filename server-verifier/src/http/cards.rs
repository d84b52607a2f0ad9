//! Cards: ordered, activated, blocked, replaced, given new keys.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::personal::{CardOrder, EnrolmentStatement};
use onetap_apdu_spec::suite::Suite;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{Caller, Operate, Read};
use super::hub::Hub;
use super::json::{Path, answer};
use super::once::Once;
use super::parts::ReasonBody;
use super::problem::Problem;
use crate::domain::{CardState, CardView};
use crate::service::Verifier;
use crate::service::cards::CardOptions;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;

/// A card.
#[derive(Serialize, ToSchema)]
#[schema(as = Card, example = json!({"card": "4341524430303031", "suite": "a3+sha256+rsa-oaep+pkcs1", "state": "active", "signing_key": 1}))]
pub(crate) struct CardBody {
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    card: CardId,
    /// What it signs
    #[schema(value_type = String)]
    suite: Suite,
    /// `ordered`, `active` or `blocked`
    #[schema(value_type = String, pattern = "^(ordered|active|blocked)$")]
    state: CardState,
    /// Version of its newest signing key
    signing_key: u16,
}

impl From<CardView> for CardBody {
    fn from(view: CardView) -> Self {
        Self { card: view.card, suite: view.suite, state: view.state, signing_key: view.signing_key }
    }
}

/// A card to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCard, example = json!({"account": "1000000000009", "suite": "a3+sha256+rsa-oaep+pkcs1"}))]
pub(crate) struct NewCardBody {
    /// Whose card
    #[schema(value_type = String, pattern = "^[0-9A-Z]{1,34}$")]
    account: AccountNumber,
    /// What it signs, such as `a3+sha256+rsa-oaep+pkcs1`, which is the default
    #[serde(default)]
    #[schema(value_type = String)]
    suite: Suite,
}

/// What a card may do now.
#[derive(Serialize, ToSchema)]
#[schema(as = CardStatus, example = json!({"card": "4341524430303031", "state": "blocked"}))]
pub(crate) struct StatusBody {
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    card: CardId,
    /// `active` or `blocked`
    #[schema(value_type = String, pattern = "^(ordered|active|blocked)$")]
    state: CardState,
}

/// A card, and whose it is.
#[derive(Serialize, ToSchema)]
#[schema(as = OwnedCard, example = json!({"account": "1000000000009", "card": "4341524430303031", "suite": "a3+sha256+rsa-oaep+pkcs1", "state": "active", "signing_key": 1}))]
pub(crate) struct OwnedCardBody {
    #[schema(value_type = String, pattern = "^[0-9A-Z]{1,34}$")]
    account: AccountNumber,
    #[serde(flatten)]
    card: CardBody,
}

/// Orders a card for an account. The answer holds secrets.
#[utoipa::path(post, path = "/v1/cards", operation_id = "order_card", tag = "cards",
    request_body = NewCardBody, responses((status = 201, body = CardOrder), (status = 404)))]
pub(crate) async fn order(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Once(body, key): Once<NewCardBody>,
) -> Result<Response, Problem> {
    let act = caller.act("");
    let order = hub.verifier.run(move |verifier| {
        let currency = verifier.account(&body.account)?.currency;
        let options = CardOptions { suite: body.suite, ..CardOptions::new(currency) };
        let order = |desk: &Desk<'_>| desk.order_card(&body.account, &options);
        key.act(verifier, act, order, |entry| verifier.order_again(entry))
    });
    let order = order.await?;
    tracing::info!(request = caller.request(), client = caller.name(), card = %order.personalisation.binding.card, "card ordered");
    Ok(answer(StatusCode::CREATED, &order))
}

/// Enrols the key of an ordered card by the statement that it has signed.
#[utoipa::path(post, path = "/v1/cards/activate", operation_id = "activate_card", tag = "cards",
    request_body = EnrolmentStatement, responses((status = 200, body = StatusBody), (status = 422)))]
pub(crate) async fn activate(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Once(statement, key): Once<EnrolmentStatement>,
) -> Result<Response, Problem> {
    let act = caller.act("");
    let card = statement.binding.card;
    let activate = move |verifier: &Verifier| {
        key.act(verifier, act, |desk| desk.activate_card(&statement), |_| Ok(card))
    };
    let card = hub.verifier.run(activate).await?;
    tracing::info!(request = caller.request(), client = caller.name(), %card, "card activated");
    Ok(answer(StatusCode::OK, &StatusBody { card, state: CardState::Active }))
}

/// A card, and whose it is.
#[utoipa::path(get, path = "/v1/cards/{card}", operation_id = "show_card", tag = "cards", params(("card" = String, Path)),
    responses((status = 200, body = OwnedCardBody), (status = 404)))]
pub(crate) async fn show(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(card): Path<CardId>,
) -> Result<Response, Problem> {
    let (account, view) = hub.verifier.run(move |verifier| verifier.card(card)).await?;
    Ok(answer(StatusCode::OK, &OwnedCardBody { account, card: view.into() }))
}

/// Blocks a card for good.
#[utoipa::path(post, path = "/v1/cards/{card}/block", operation_id = "block_card", tag = "cards", params(("card" = String, Path)),
    request_body = ReasonBody, responses((status = 200, body = StatusBody), (status = 409)))]
pub(crate) async fn block(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(card): Path<CardId>,
    Once(body, key): Once<ReasonBody>,
) -> Result<Response, Problem> {
    let act = caller.act(&body.checked()?);
    let block = move |verifier: &Verifier| key.act(verifier, act, |desk| desk.block_card(card), |_| Ok(()));
    hub.verifier.run(block).await?;
    tracing::info!(request = caller.request(), client = caller.name(), %card, "card blocked");
    Ok(answer(StatusCode::OK, &StatusBody { card, state: CardState::Blocked }))
}

/// Another card in the place of one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Replacement, example = json!({"suite": "a3+sha256+rsa-oaep+pkcs1", "reason": "lost, told by the holder"}))]
pub(crate) struct ReplacementBody {
    /// For the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: String,
    /// What the new card signs
    #[serde(default)]
    #[schema(value_type = String)]
    suite: Suite,
}

/// Blocks a card and orders another for its account. The answer holds secrets.
#[utoipa::path(post, path = "/v1/cards/{card}/replace", operation_id = "replace_card", tag = "cards", params(("card" = String, Path)),
    request_body = ReplacementBody, responses((status = 201, body = CardOrder), (status = 409)))]
pub(crate) async fn replace(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(card): Path<CardId>,
    Once(body, key): Once<ReplacementBody>,
) -> Result<Response, Problem> {
    let suite = body.suite;
    let act = caller.act(&ReasonBody { reason: body.reason }.checked()?);
    let order = hub.verifier.run(move |verifier| {
        let options = options(verifier, card, suite)?;
        let replace = |desk: &Desk<'_>| desk.replace_card(card, &options);
        key.act(verifier, act, replace, |entry| verifier.order_again(entry))
    });
    let order = order.await?;
    tracing::info!(request = caller.request(), client = caller.name(), %card, by = %order.personalisation.binding.card, "card replaced");
    Ok(answer(StatusCode::CREATED, &order))
}

/// New keys for a card.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation, example = json!({"suite": "a3+sha256+rsa-oaep+pkcs1"}))]
pub(crate) struct RotationBody {
    /// What the card signs from then on
    #[serde(default)]
    #[schema(value_type = String)]
    suite: Suite,
}

/// Orders new keys for a card. The old ones stay good for a while once the new ones are activated. The answer
/// holds secrets.
#[utoipa::path(post, path = "/v1/cards/{card}/rotate", operation_id = "rotate_card", tag = "cards", params(("card" = String, Path)),
    request_body = RotationBody, responses((status = 201, body = CardOrder), (status = 409)))]
pub(crate) async fn rotate(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(card): Path<CardId>,
    Once(body, key): Once<RotationBody>,
) -> Result<Response, Problem> {
    let act = caller.act("");
    let order = hub.verifier.run(move |verifier| {
        let options = options(verifier, card, body.suite)?;
        let rotate = |desk: &Desk<'_>| desk.rotate_card_key(card, &options);
        key.act(verifier, act, rotate, |entry| verifier.order_again(entry))
    });
    let order = order.await?;
    tracing::info!(request = caller.request(), client = caller.name(), %card, "card's keys ordered");
    Ok(answer(StatusCode::CREATED, &order))
}

/// What fits the account of a card.
fn options(verifier: &Verifier, card: CardId, suite: Suite) -> Result<CardOptions, ServiceError> {
    let (account, _) = verifier.card(card)?;
    let currency = verifier.account(&account)?.currency;
    Ok(CardOptions { suite, ..CardOptions::new(currency) })
}

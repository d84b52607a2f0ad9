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
use super::json::{Json, Path, answer};
use super::parts::ReasonBody;
use super::problem::{Problem, ProblemBody};
use crate::domain::{CardState, CardView};
use crate::service::Verifier;
use crate::service::cards::CardOptions;
use crate::service::error::ServiceError;

/// A card.
#[derive(Serialize, ToSchema)]
#[schema(as = Card)]
pub(crate) struct CardBody {
    #[schema(value_type = String)]
    card: CardId,
    /// What it signs
    #[schema(value_type = String)]
    suite: Suite,
    /// `ordered`, `active` or `blocked`
    #[schema(value_type = String)]
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
#[schema(as = NewCard)]
pub(crate) struct NewCardBody {
    /// Whose card
    #[schema(value_type = String)]
    account: AccountNumber,
    /// What it signs, such as `a3+sha256+rsa-oaep+pkcs1`, which is the default
    #[serde(default)]
    #[schema(value_type = String)]
    suite: Suite,
}

/// What the card's maker needs. Holds the card's keys: hand it to the card and forget it.
#[derive(Serialize, ToSchema)]
#[schema(as = CardOrder)]
pub(crate) struct OrderBody {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    order: CardOrder,
}

/// What a new card says about itself (docs/spec/personalisation.md).
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(as = EnrolmentStatement)]
pub(crate) struct StatementBody {
    #[schema(value_type = Object)]
    statement: EnrolmentStatement,
}

/// What a card may do now.
#[derive(Serialize, ToSchema)]
#[schema(as = CardStatus)]
pub(crate) struct StatusBody {
    #[schema(value_type = String)]
    card: CardId,
    /// `active` or `blocked`
    #[schema(value_type = String)]
    state: CardState,
}

/// A card, and whose it is.
#[derive(Serialize, ToSchema)]
#[schema(as = OwnedCard)]
pub(crate) struct OwnedCardBody {
    #[schema(value_type = String)]
    account: AccountNumber,
    #[serde(flatten)]
    card: CardBody,
}

/// Orders a card for an account. The answer holds secrets.
#[utoipa::path(post, path = "/v1/cards", tag = "cards",
    responses((status = 201, body = OrderBody), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn order(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Json(body): Json<NewCardBody>,
) -> Result<Response, Problem> {
    let act = caller.act("");
    let order = hub.verifier.run(move |verifier| {
        let currency = verifier.account(&body.account)?.currency;
        let options = CardOptions { suite: body.suite, ..CardOptions::new(currency) };
        verifier.desk(act).order_card(&body.account, &options)
    });
    let order = order.await?;
    tracing::info!(request = caller.request(), client = caller.name(), card = %order.personalisation.binding.card, "card ordered");
    Ok(answer(StatusCode::CREATED, &OrderBody { order }))
}

/// Enrols the key of an ordered card by the statement that it has signed.
#[utoipa::path(post, path = "/v1/cards/activate", tag = "cards",
    responses((status = 200, body = StatusBody), (status = 422, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn activate(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Json(body): Json<StatementBody>,
) -> Result<Response, Problem> {
    let act = caller.act("");
    let card = hub.verifier.run(move |verifier| verifier.desk(act).activate_card(&body.statement)).await?;
    tracing::info!(request = caller.request(), client = caller.name(), %card, "card activated");
    Ok(answer(StatusCode::OK, &StatusBody { card, state: CardState::Active }))
}

/// A card, and whose it is.
#[utoipa::path(get, path = "/v1/cards/{card}", tag = "cards", params(("card" = String, Path)),
    responses((status = 200, body = OwnedCardBody), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn show(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Path(card): Path<CardId>,
) -> Result<Response, Problem> {
    let (account, view) = hub.verifier.run(move |verifier| verifier.card(card)).await?;
    Ok(answer(StatusCode::OK, &OwnedCardBody { account, card: view.into() }))
}

/// Blocks a card for good.
#[utoipa::path(post, path = "/v1/cards/{card}/block", tag = "cards", params(("card" = String, Path)),
    responses((status = 200, body = StatusBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn block(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(card): Path<CardId>,
    Json(body): Json<ReasonBody>,
) -> Result<Response, Problem> {
    let act = caller.act(&body.checked()?);
    hub.verifier.run(move |verifier| verifier.desk(act).block_card(card)).await?;
    tracing::info!(request = caller.request(), client = caller.name(), %card, "card blocked");
    Ok(answer(StatusCode::OK, &StatusBody { card, state: CardState::Blocked }))
}

/// Another card in the place of one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Replacement)]
pub(crate) struct ReplacementBody {
    /// For the audit log
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// What the new card signs
    #[serde(default)]
    #[schema(value_type = String)]
    suite: Suite,
}

/// Blocks a card and orders another for its account. The answer holds secrets.
#[utoipa::path(post, path = "/v1/cards/{card}/replace", tag = "cards", params(("card" = String, Path)),
    responses((status = 201, body = OrderBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn replace(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(card): Path<CardId>,
    Json(body): Json<ReplacementBody>,
) -> Result<Response, Problem> {
    let suite = body.suite;
    let act = caller.act(&ReasonBody { reason: body.reason }.checked()?);
    let order = hub.verifier.run(move |verifier| {
        let options = options(verifier, card, suite)?;
        verifier.desk(act).replace_card(card, &options)
    });
    let order = order.await?;
    tracing::info!(request = caller.request(), client = caller.name(), %card, by = %order.personalisation.binding.card, "card replaced");
    Ok(answer(StatusCode::CREATED, &OrderBody { order }))
}

/// New keys for a card.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation)]
pub(crate) struct RotationBody {
    /// What the card signs from then on
    #[serde(default)]
    #[schema(value_type = String)]
    suite: Suite,
}

/// Orders new keys for a card. The old ones stay good for a while once the new ones are activated. The answer
/// holds secrets.
#[utoipa::path(post, path = "/v1/cards/{card}/rotate", tag = "cards", params(("card" = String, Path)),
    responses((status = 201, body = OrderBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn rotate(
    caller: Caller<Operate>,
    State(hub): State<Arc<Hub>>,
    Path(card): Path<CardId>,
    Json(body): Json<RotationBody>,
) -> Result<Response, Problem> {
    let act = caller.act("");
    let order = hub.verifier.run(move |verifier| {
        let options = options(verifier, card, body.suite)?;
        verifier.desk(act).rotate_card_key(card, &options)
    });
    let order = order.await?;
    tracing::info!(request = caller.request(), client = caller.name(), %card, "card's keys ordered");
    Ok(answer(StatusCode::CREATED, &OrderBody { order }))
}

/// What fits the account of a card.
fn options(verifier: &Verifier, card: CardId, suite: Suite) -> Result<CardOptions, ServiceError> {
    let (account, _) = verifier.card(card)?;
    let currency = verifier.account(&account)?.currency;
    Ok(CardOptions { suite, ..CardOptions::new(currency) })
}

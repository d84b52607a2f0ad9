//! Clients: who may ask, with which tokens, for which terminals.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::txn::TerminalId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Administer, Caller, Read};
use super::hub::Hub;
use super::json::{Path, Query, answer};
use super::once::{Key, Once};
use super::parts::{Page, ReasonBody, page_limit};
use super::problem::Problem;
use crate::domain::client::{ClientId, ClientRecord, NewClient, Role, RoleName, Token, TokenRecord};
use crate::domain::{Act, Timestamp};
use crate::service::Verifier;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;

/// A client to be added. Without a certificate it gets a token; with one, a token only if asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewClient, example = json!({"client": "till-1", "role": "terminal", "terminals": ["TERM0001"], "reason": "contract 17"}))]
pub(crate) struct NewClientBody {
    /// 1 to 64 letters, digits, - or _; never used twice
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    client: ClientId,
    role: RoleName,
    /// Which terminals, for the role `terminal`: one at least, and all of an acquirer's for its host
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 1000)]
    terminals: Vec<TerminalId>,
    /// SHA-256 of its certificate (DER), 64 hexadecimal digits
    #[schema(pattern = "^[0-9A-Fa-f]{64}$")]
    certificate: Option<String>,
    /// Asks for a token besides the certificate; both must be shown then
    #[serde(default)]
    token: bool,
    /// Until when its token is good; without, until the client is withdrawn
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: String,
}

/// A client.
#[derive(Serialize, ToSchema)]
#[schema(as = Client, example = json!({"client": "till-1", "role": "terminal", "terminals": ["TERM0001"], "certificate": null, "tokens": [{"token": 1, "made_at": "2026-03-19T14:05:31Z", "expires_at": null}], "needs_new_token": false, "added_at": "2026-03-19T14:05:31Z", "withdrawn_at": null, "token": "till-1.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}))]
pub(crate) struct ClientBody {
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    client: ClientId,
    role: RoleName,
    /// The terminals that it speaks for
    #[schema(value_type = Vec<String>)]
    terminals: Vec<TerminalId>,
    /// SHA-256 of its certificate
    certificate: Option<String>,
    /// Its tokens, one of which it must show; those too that have expired
    tokens: Vec<TokenBody>,
    /// True if its tokens were made by an earlier version and are refused
    needs_new_token: bool,
    #[schema(value_type = String, format = DateTime)]
    added_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    withdrawn_at: Option<Timestamp>,
    /// The token that was made now, shown this once
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// A token of a client, without what it shows.
#[derive(Serialize, ToSchema)]
#[schema(as = Token, example = json!({"token": 1, "made_at": "2026-03-19T14:05:31Z", "expires_at": null}))]
pub(crate) struct TokenBody {
    /// Its number
    token: u32,
    #[schema(value_type = String, format = DateTime)]
    made_at: Timestamp,
    /// From when on it is not good any more; null if it does not expire
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

impl From<TokenRecord> for TokenBody {
    fn from(record: TokenRecord) -> Self {
        Self { token: record.number, made_at: record.made_at, expires_at: record.expires_at }
    }
}

impl ClientBody {
    fn new(record: ClientRecord, token: Option<&Token>) -> Self {
        Self {
            role: record.role.kind(),
            terminals: record.role.terminals().to_vec(),
            certificate: record.certificate.map(hex::encode),
            needs_new_token: record.needs_new_token(),
            tokens: record.tokens.into_iter().map(TokenBody::from).collect(),
            client: record.id,
            added_at: record.added_at,
            withdrawn_at: record.withdrawn_at,
            token: token.map(|token| token.expose().to_owned()),
        }
    }
}

impl NewClientBody {
    fn into_client(self) -> Result<(NewClient, String), Problem> {
        let Self { client: id, certificate, token, expires_at, .. } = self;
        let certificate = certificate.as_deref().map(|digits| {
            let mut fingerprint = [0; 32];
            hex::decode_to_slice(digits, &mut fingerprint).map(|()| fingerprint)
        });
        let certificate = certificate.transpose();
        let certificate =
            certificate.map_err(|_| Problem::malformed("the certificate has 64 hexadecimal digits"))?;
        let mut terminals = self.terminals;
        terminals.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        terminals.dedup();
        let role = Role::new(self.role, terminals);
        let role = role.map_err(|error| Problem::malformed(error.to_string()))?;
        let reason = ReasonBody { reason: self.reason }.checked()?;
        Ok((NewClient { id, role, certificate, token, expires_at }, reason))
    }
}

/// Which clients.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Clients {
    /// After this one
    #[param(value_type = Option<String>)]
    after: Option<ClientId>,
    /// So many at most, up to 1000; 100 if left out
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// All clients by name, withdrawn ones too.
#[utoipa::path(get, path = "/v1/clients", operation_id = "list_clients", tag = "clients", params(Clients),
    responses((status = 200, body = Page<ClientBody>)))]
pub(crate) async fn list_clients(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
    Query(query): Query<Clients>,
) -> Result<Response, Problem> {
    let limit = page_limit(query.limit)?;
    let found = hub.verifier.run(move |verifier| verifier.clients(query.after.as_ref(), limit)).await?;
    let last = found.last().map(|record| record.id.to_string());
    let found = found.into_iter().map(|record| ClientBody::new(record, None));
    Ok(answer(StatusCode::OK, &Page::new(found, last, limit)))
}

/// Adds a client. Its token is in the answer, and nowhere else.
#[utoipa::path(post, path = "/v1/clients", operation_id = "add_client", tag = "clients", request_body = NewClientBody,
    responses((status = 201, body = ClientBody), (status = 409)))]
pub(crate) async fn add_client(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Once(body, key): Once<NewClientBody>,
) -> Result<Response, Problem> {
    let (new, reason) = body.into_client()?;
    let id = new.id.clone();
    let (added, token) = new.make(hub.verifier.now());
    let act = caller.act(&reason);
    // Whoever repeats the act has another token than the one that was made now.
    let work = move |desk: &Desk<'_>| desk.add_client(&added).map(|()| token);
    let (record, token) = changed(&hub, key, act, &id, work).await?;
    tracing::info!(request = caller.request(), client = caller.name(), added = %record.id, role = %record.role.kind(), "client added");
    Ok(answer(StatusCode::CREATED, &ClientBody::new(record, token.as_ref())))
}

/// Does an act on a client, and shows the client with the token that was made; none if the act was done before.
async fn changed(
    hub: &Hub,
    key: Key,
    act: Act,
    id: &ClientId,
    work: impl FnOnce(&Desk<'_>) -> Result<Option<Token>, ServiceError> + Send + 'static,
) -> Result<(ClientRecord, Option<Token>), Problem> {
    let client = id.clone();
    let done = hub.verifier.run(move |verifier: &Verifier| {
        let token = key.act(verifier, act, work, |_| Ok(None))?;
        Ok((verifier.client_record(&client)?, token))
    });
    let done = done.await?;
    hub.identity.forget_client(id);
    Ok(done)
}

/// Withdraws a client for good. Here it ends at once, at other processes on the same store within seconds.
#[utoipa::path(post, path = "/v1/clients/{client}/withdraw", operation_id = "withdraw_client", tag = "clients", request_body = ReasonBody, params(("client" = String, Path)),
    responses((status = 200, body = ClientBody), (status = 404)))]
pub(crate) async fn withdraw_client(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(client): Path<ClientId>,
    Once(body, key): Once<ReasonBody>,
) -> Result<Response, Problem> {
    let (id, act) = (client.clone(), caller.act(&body.checked()?));
    let work = move |desk: &Desk<'_>| desk.withdraw_client(&id).map(|_| None);
    let (record, _) = changed(&hub, key, act, &client, work).await?;
    tracing::info!(request = caller.request(), client = caller.name(), withdrawn = %client, "client withdrawn");
    Ok(answer(StatusCode::OK, &ClientBody::new(record, None)))
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken, example = json!({"expires_at": "2027-03-19T00:00:00Z", "overlap": 86400, "reason": "yearly rotation"}))]
pub(crate) struct NewTokenBody {
    /// Until when it is good; without, until the client is withdrawn
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The client's older tokens are good for so many seconds more, and no longer; without, they stay as they are
    overlap: Option<u32>,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: String,
}

/// Makes a client that has a token one more, and says how long the older ones are good. It is in the answer, and nowhere else.
#[utoipa::path(post, path = "/v1/clients/{client}/tokens", operation_id = "add_token", tag = "clients", request_body = NewTokenBody, params(("client" = String, Path)),
    responses((status = 201, body = ClientBody), (status = 404)))]
pub(crate) async fn add_token(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(client): Path<ClientId>,
    Once(body, key): Once<NewTokenBody>,
) -> Result<Response, Problem> {
    let NewTokenBody { expires_at, overlap, reason } = body;
    let (id, act) = (client.clone(), caller.act(&ReasonBody { reason }.checked()?));
    let work = move |desk: &Desk<'_>| desk.add_token(&id, expires_at, overlap).map(Some);
    let (record, token) = changed(&hub, key, act, &client, work).await?;
    tracing::info!(request = caller.request(), client = caller.name(), of = %client, "token made");
    Ok(answer(StatusCode::CREATED, &ClientBody::new(record, token.as_ref())))
}

/// Why, of a request that has no body.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Why {
    /// For the audit log
    #[param(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: String,
}

/// Ends one token of a client now.
#[utoipa::path(delete, path = "/v1/clients/{client}/tokens/{token}", operation_id = "end_token", tag = "clients", params(("client" = String, Path), ("token" = String, Path), Why),
    responses((status = 200, body = ClientBody), (status = 404)))]
pub(crate) async fn end_token(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path((client, token)): Path<(ClientId, u32)>,
    Query(Why { reason }): Query<Why>,
    key: Key,
) -> Result<Response, Problem> {
    let (id, act) = (client.clone(), caller.act(&ReasonBody { reason }.checked()?));
    let work = move |desk: &Desk<'_>| desk.end_token(&id, token).map(|()| None);
    let (record, _) = changed(&hub, key, act, &client, work).await?;
    tracing::info!(request = caller.request(), client = caller.name(), of = %client, token, "token ended");
    Ok(answer(StatusCode::OK, &ClientBody::new(record, None)))
}

/// Lets a client of the role `terminal` speak for one more terminal; nothing changes if it does.
#[utoipa::path(put, path = "/v1/clients/{client}/terminals/{terminal}", operation_id = "link_client", tag = "clients", params(("client" = String, Path), ("terminal" = String, Path)),
    request_body = ReasonBody, responses((status = 200, body = ClientBody), (status = 404)))]
pub(crate) async fn link_client(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path((client, terminal)): Path<(ClientId, TerminalId)>,
    Once(body, key): Once<ReasonBody>,
) -> Result<Response, Problem> {
    let (id, act) = (client.clone(), caller.act(&body.checked()?));
    let work = move |desk: &Desk<'_>| desk.link_client(&id, &terminal).map(|()| None);
    let (record, _) = changed(&hub, key, act, &client, work).await?;
    tracing::info!(request = caller.request(), client = caller.name(), of = %client, "terminal linked");
    Ok(answer(StatusCode::OK, &ClientBody::new(record, None)))
}

/// Lets a client not speak for a terminal any more; the last one stays.
#[utoipa::path(delete, path = "/v1/clients/{client}/terminals/{terminal}", operation_id = "unlink_client", tag = "clients", params(("client" = String, Path), ("terminal" = String, Path), Why),
    responses((status = 200, body = ClientBody), (status = 404)))]
pub(crate) async fn unlink_client(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path((client, terminal)): Path<(ClientId, TerminalId)>,
    Query(Why { reason }): Query<Why>,
    key: Key,
) -> Result<Response, Problem> {
    let (id, act) = (client.clone(), caller.act(&ReasonBody { reason }.checked()?));
    let work = move |desk: &Desk<'_>| desk.unlink_client(&id, &terminal).map(|()| None);
    let (record, _) = changed(&hub, key, act, &client, work).await?;
    tracing::info!(request = caller.request(), client = caller.name(), of = %client, "terminal unlinked");
    Ok(answer(StatusCode::OK, &ClientBody::new(record, None)))
}

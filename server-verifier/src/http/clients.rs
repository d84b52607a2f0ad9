//! Clients: who may ask.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::txn::TerminalId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{Administer, Caller, Read};
use super::hub::Hub;
use super::json::{Path, answer};
use super::once::Once;
use super::parts::ReasonBody;
use super::problem::Problem;
use crate::domain::Timestamp;
use crate::domain::client::{ClientId, ClientRecord, NewClient, Role, RoleName, Token};
use crate::service::Verifier;

/// A client to be added. Without a certificate it gets a token; with one, a token only if asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewClient, example = json!({"client": "till-1", "role": "terminal", "terminal": "TERM0001", "reason": "contract 17"}))]
pub(crate) struct NewClientBody {
    /// 1 to 64 letters, digits, - or _; never used twice
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    client: ClientId,
    role: RoleName,
    /// Which terminal, for the role `terminal`
    #[schema(value_type = Option<String>, pattern = "^[0-9A-Za-z]{8}$")]
    terminal: Option<TerminalId>,
    /// SHA-256 of its certificate (DER), 64 hexadecimal digits
    certificate: Option<String>,
    /// Asks for a token besides the certificate; both must be shown then
    #[serde(default)]
    token: bool,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    reason: String,
}

/// A client.
#[derive(Serialize, ToSchema)]
#[schema(as = Client, example = json!({"client": "till-1", "role": "terminal", "terminal": "TERM0001", "certificate": null, "has_token": true, "needs_new_token": false, "added_at": "2026-03-19T14:05:31Z", "withdrawn_at": null, "token": "till-1.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}))]
pub(crate) struct ClientBody {
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    client: ClientId,
    role: RoleName,
    #[schema(value_type = Option<String>, pattern = "^[0-9A-Za-z]{8}$")]
    terminal: Option<TerminalId>,
    /// SHA-256 of its certificate
    certificate: Option<String>,
    /// Whether it must show a token
    has_token: bool,
    /// True if its token was made by an earlier version and is refused: add the client again under another name
    needs_new_token: bool,
    #[schema(value_type = String, format = DateTime)]
    added_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    withdrawn_at: Option<Timestamp>,
    /// Its token, shown this once
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl ClientBody {
    fn new(record: ClientRecord, token: Option<&Token>) -> Self {
        Self {
            role: record.role.kind(),
            terminal: record.role.terminal().cloned(),
            certificate: record.credential.certificate().map(hex::encode),
            has_token: record.credential.secret().is_some(),
            needs_new_token: record.credential.is_outdated(),
            client: record.id,
            added_at: record.added_at,
            withdrawn_at: record.withdrawn_at,
            token: token.map(|token| token.expose().to_owned()),
        }
    }
}

impl NewClientBody {
    fn into_client(self) -> Result<(NewClient, String), Problem> {
        let certificate = self.certificate.as_deref().map(|digits| {
            let mut fingerprint = [0; 32];
            hex::decode_to_slice(digits, &mut fingerprint).map(|()| fingerprint)
        });
        let certificate = certificate.transpose();
        let certificate =
            certificate.map_err(|_| Problem::malformed("the certificate has 64 hexadecimal digits"))?;
        let role = Role::new(self.role, self.terminal);
        let role = role.map_err(|error| Problem::malformed(error.to_string()))?;
        let reason = ReasonBody { reason: self.reason }.checked()?;
        Ok((NewClient { id: self.client, role, certificate, token: self.token }, reason))
    }
}

/// All clients by name, withdrawn ones too.
#[utoipa::path(get, path = "/v1/clients", operation_id = "list_clients", tag = "clients", responses((status = 200, body = Vec<ClientBody>)))]
pub(crate) async fn list_clients(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
) -> Result<Response, Problem> {
    let found = hub.verifier.run(|verifier| verifier.clients()).await?;
    let found: Vec<_> = found.into_iter().map(|record| ClientBody::new(record, None)).collect();
    Ok(answer(StatusCode::OK, &found))
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
    let (record, token) = new.make(hub.verifier.now());
    let (added, act) = (record.clone(), caller.act(&reason));
    let add = move |verifier: &Verifier| {
        key.act(verifier, act, |desk| desk.add_client(&added).map(|()| true), |_| Ok(false))
    };
    // Whoever repeats the act has another token than the one that was made now.
    let token = if hub.verifier.run(add).await? { token } else { None };
    tracing::info!(request = caller.request(), client = caller.name(), added = %record.id, role = %record.role.kind(), "client added");
    Ok(answer(StatusCode::CREATED, &ClientBody::new(record, token.as_ref())))
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
    let withdraw = move |verifier: &Verifier| {
        key.act(verifier, act, |desk| desk.withdraw_client(&id), |_| verifier.client_record(&id))
    };
    let record = hub.verifier.run(withdraw).await?;
    hub.identity.forget_client(&client);
    tracing::info!(request = caller.request(), client = caller.name(), withdrawn = %client, "client withdrawn");
    Ok(answer(StatusCode::OK, &ClientBody::new(record, None)))
}

//! Who may ask: terminals and clients.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use onetap_apdu_spec::service::Standing;
use onetap_apdu_spec::txn::TerminalId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::ReasonBody;
use crate::domain::Timestamp;
use crate::http::Hub;
use crate::http::caller::{Administer, Ask, Caller, Read};
use crate::http::clients::{ClientId, ClientRecord, NewClient, Role, RoleName, Token};
use crate::http::identity::{Access, blocking};
use crate::http::json::{Json, Path, answer};
use crate::http::problem::{Kind, Problem, ProblemBody};

/// A terminal.
#[derive(Serialize, ToSchema)]
#[schema(as = Terminal)]
pub(crate) struct TerminalBody {
    /// Eight letters or digits
    #[schema(value_type = String)]
    terminal: TerminalId,
}

/// A terminal to be registered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTerminal)]
pub(crate) struct NewTerminalBody {
    /// Eight letters or digits
    #[schema(value_type = String)]
    terminal: TerminalId,
    /// For the audit log
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// A client to be added. Without a certificate it gets a token; with one, a token only if asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewClient)]
pub(crate) struct NewClientBody {
    /// 1 to 64 letters, digits, - or _; never used twice
    #[schema(value_type = String)]
    client: ClientId,
    role: RoleName,
    /// Which terminal, for the role `terminal`
    #[schema(value_type = Option<String>)]
    terminal: Option<TerminalId>,
    /// SHA-256 of its certificate (DER), 64 hexadecimal digits
    certificate: Option<String>,
    /// Asks for a token besides the certificate; both must be shown then
    #[serde(default)]
    token: bool,
}

impl From<&Access> for RoleName {
    fn from(access: &Access) -> Self {
        match access {
            Access::Terminal(_) => Self::Terminal,
            Access::Operator => Self::Operator,
            Access::Auditor => Self::Auditor,
            Access::Admin => Self::Admin,
        }
    }
}

/// A client.
#[derive(Serialize, ToSchema)]
#[schema(as = Client)]
pub(crate) struct ClientBody {
    #[schema(value_type = String)]
    client: ClientId,
    role: &'static str,
    #[schema(value_type = Option<String>)]
    terminal: Option<TerminalId>,
    /// SHA-256 of its certificate
    certificate: Option<String>,
    /// Whether it must show a token
    has_token: bool,
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
            role: record.role.name(),
            terminal: record.role.terminal().cloned(),
            certificate: record.credential.certificate().map(hex::encode),
            has_token: record.credential.secret_hash().is_some(),
            client: record.id,
            added_at: record.added_at,
            withdrawn_at: record.withdrawn_at,
            token: token.map(|token| token.expose().to_owned()),
        }
    }
}

impl NewClientBody {
    fn into_client(self) -> Result<NewClient, Problem> {
        let certificate = self.certificate.as_deref().map(|digits| {
            let mut fingerprint = [0; 32];
            hex::decode_to_slice(digits, &mut fingerprint).map(|()| fingerprint)
        });
        let certificate = certificate.transpose();
        let certificate =
            certificate.map_err(|_| Problem::malformed("the certificate has 64 hexadecimal digits"))?;
        let role = Role::new(self.role, self.terminal);
        let role = role.map_err(|error| Problem::malformed(error.to_string()))?;
        Ok(NewClient { id: self.client, role, certificate, token: self.token })
    }
}

/// Registers a terminal: it may send requests, once it has a client.
#[utoipa::path(post, path = "/v1/terminals", tag = "clients",
    responses((status = 201, body = TerminalBody)))]
pub(crate) async fn register_terminal(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Json(body): Json<NewTerminalBody>,
) -> Result<Response, Problem> {
    let (terminal, act) = (body.terminal.clone(), caller.act(&body.reason));
    let body = TerminalBody { terminal: body.terminal };
    blocking(move || hub.verifier.desk(act).register_terminal(terminal)).await?;
    tracing::info!(client = caller.name(), terminal = body.terminal.as_str(), "terminal registered");
    Ok(answer(StatusCode::CREATED, &body))
}

/// Withdraws a terminal for good. Its clients, too, are shut out within seconds.
#[utoipa::path(post, path = "/v1/terminals/{terminal}/withdraw", tag = "clients", params(("terminal" = String, Path)),
    responses((status = 200, body = TerminalBody), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn withdraw_terminal(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(terminal): Path<TerminalId>,
    Json(body): Json<ReasonBody>,
) -> Result<Response, Problem> {
    let act = caller.act(&body.checked()?);
    let (verifier, withdrawn) = (Arc::clone(&hub.verifier), terminal.clone());
    blocking(move || verifier.desk(act).withdraw_terminal(&withdrawn)).await?;
    hub.identity.forget_terminal(&terminal);
    tracing::info!(client = caller.name(), terminal = terminal.as_str(), "terminal withdrawn");
    Ok(answer(StatusCode::OK, &TerminalBody { terminal }))
}

/// Who is asking, as the service knows it, and what a terminal has to know before a tap.
#[utoipa::path(get, path = "/v1/me", tag = "clients", responses((status = 200, body = Standing)))]
pub(crate) async fn me(caller: Caller<Ask>, State(hub): State<Arc<Hub>>) -> Response {
    let (verifier, seconds) = (&hub.verifier, |tolerance| u32::try_from(tolerance).unwrap_or(u32::MAX));
    let standing = Standing {
        client: caller.name().to_owned(),
        role: caller.access().into(),
        terminal: caller.terminal().cloned(),
        server: verifier.server_id(),
        time: verifier.now(),
        max_age: seconds(verifier.policy().max_age),
        max_ahead: seconds(verifier.policy().max_ahead),
    };
    answer(StatusCode::OK, &standing)
}

/// All clients by name, withdrawn ones too.
#[utoipa::path(get, path = "/v1/clients", tag = "clients", responses((status = 200, body = Vec<ClientBody>)))]
pub(crate) async fn list_clients(
    _caller: Caller<Read>,
    State(hub): State<Arc<Hub>>,
) -> Result<Response, Problem> {
    let found = blocking(move || hub.clients.list()).await?;
    let found: Vec<_> = found.into_iter().map(|record| ClientBody::new(record, None)).collect();
    Ok(answer(StatusCode::OK, &found))
}

/// Adds a client. Its token is in the answer, and nowhere else.
#[utoipa::path(post, path = "/v1/clients", tag = "clients",
    responses((status = 201, body = ClientBody), (status = 409, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn add_client(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Json(body): Json<NewClientBody>,
) -> Result<Response, Problem> {
    let (new, now) = (body.into_client()?, hub.verifier.now());
    let added = blocking(move || {
        if let Some(terminal) = new.role.terminal() {
            hub.verifier.client(terminal.clone())?;
        }
        let (record, token) = match new.make(now) {
            Ok(made) => made,
            Err(error) => return Ok(Err(error)),
        };
        Ok(Ok((hub.clients.add(&record)?, record, token)))
    });
    let (added, record, token) = added.await??;
    if !added {
        let detail = "the name or certificate was used before; choose another";
        return Err(Problem::new(Kind::Conflict, detail));
    }
    tracing::info!(client = caller.name(), added = %record.id, role = record.role.name(), "client added");
    Ok(answer(StatusCode::CREATED, &ClientBody::new(record, token.as_ref())))
}

/// Withdraws a client for good. Here it ends at once, at other processes on the same store within seconds.
#[utoipa::path(post, path = "/v1/clients/{client}/withdraw", tag = "clients", params(("client" = String, Path)),
    responses((status = 200, body = ClientBody), (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn withdraw_client(
    caller: Caller<Administer>,
    State(hub): State<Arc<Hub>>,
    Path(client): Path<ClientId>,
) -> Result<Response, Problem> {
    let (clients, id, now) = (Arc::clone(&hub.clients), client.clone(), hub.verifier.now());
    let withdrawn = blocking(move || if clients.withdraw(&id, now)? { clients.find(&id) } else { Ok(None) });
    let Some(record) = withdrawn.await? else {
        return Err(Problem::new(Kind::NotFound, "there is no such client, or it is withdrawn already"));
    };
    hub.identity.forget_client(&client);
    tracing::info!(client = caller.name(), withdrawn = %client, "client withdrawn");
    Ok(answer(StatusCode::OK, &ClientBody::new(record, None)))
}

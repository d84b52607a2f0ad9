//! The caller as an argument of a handler: its type says which roles may come in.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use onetap_apdu_spec::txn::TransactionMessage;

use super::hub::Hub;
use super::identity::{Peer, Principal};
use super::problem::{Kind, Problem};
use super::record::Record;
use crate::domain::client::{ClientId, Role};
use crate::domain::{Act, Actor};
use crate::service::Client;

/// What a handler is for.
pub(crate) trait Right: Send {
    fn held_by(role: &Role) -> bool;
}

/// Running accounts and cards.
pub(crate) struct Operate;
/// Opening accounts.
pub(crate) struct Open;
/// Reading everything.
pub(crate) struct Read;
/// Saying who may ask; moving money by hand; checkpoints.
pub(crate) struct Administer;
/// Asking for a transaction: terminals for their own.
pub(crate) struct Ask;

impl Right for Operate {
    fn held_by(role: &Role) -> bool {
        matches!(role, Role::Operator)
    }
}

impl Right for Open {
    fn held_by(role: &Role) -> bool {
        matches!(role, Role::Operator | Role::Admin)
    }
}

impl Right for Read {
    fn held_by(role: &Role) -> bool {
        matches!(role, Role::Operator | Role::Auditor | Role::Admin)
    }
}

impl Right for Administer {
    fn held_by(role: &Role) -> bool {
        matches!(role, Role::Admin)
    }
}

impl Right for Ask {
    fn held_by(role: &Role) -> bool {
        matches!(role, Role::Terminal(_)) || Read::held_by(role)
    }
}

/// An authenticated client that has the right `R`.
pub(crate) struct Caller<R> {
    principal: Arc<Principal>,
    record: Option<Arc<Record>>,
    right: PhantomData<R>,
}

impl<R> Caller<R> {
    /// Its name, for the record.
    pub(crate) fn name(&self) -> &str {
        self.principal.record.id.as_str()
    }

    /// The id of its request.
    pub(crate) fn request(&self) -> &str {
        self.record.as_deref().map_or("", Record::id)
    }

    /// An act of this client, with a reason.
    pub(crate) fn act(&self, reason: &str) -> Act {
        let name = self.name().to_owned();
        let by = match self.role() {
            Role::Admin => Actor::Admin(name),
            Role::Operator | Role::Auditor | Role::Terminal(_) => Actor::Operator(name),
        };
        Act::new(by, reason)
    }

    /// Its role.
    pub(crate) fn role(&self) -> &Role {
        &self.principal.record.role
    }
}

impl<R: Right> FromRequestParts<Arc<Hub>> for Caller<R> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Problem> {
        let principal = identify(hub, parts).await?;
        if R::held_by(&principal.record.role) {
            let record = parts.extensions.get::<Arc<Record>>().cloned();
            Ok(Self { principal, record, right: PhantomData })
        } else {
            Err(not_allowed(&principal))
        }
    }
}

/// A terminal that sends what a holder has signed.
pub(crate) struct Terminal {
    principal: Arc<Principal>,
    /// Of the principal's, the one that is assumed where a transaction names none of them.
    first: Client,
}

impl FromRequestParts<Arc<Hub>> for Terminal {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, hub: &Arc<Hub>) -> Result<Self, Problem> {
        Self::identify(hub, parts).await
    }
}

impl Terminal {
    pub(crate) async fn identify(hub: &Hub, parts: &Parts) -> Result<Self, Problem> {
        let principal = identify(hub, parts).await?;
        match principal.terminals.first() {
            Some(first) => Ok(Self { first: first.clone(), principal }),
            None => Err(not_allowed(&principal)),
        }
    }

    pub(crate) fn id(&self) -> &ClientId {
        &self.principal.record.id
    }

    /// Of the terminals that it speaks for, the one that T names. Where T names another one, the decision refuses it, whichever
    /// this is.
    pub(crate) fn client(&self, transaction: &[u8]) -> &Client {
        let terminals = &self.principal.terminals;
        if terminals.len() == 1 {
            return &self.first;
        }
        let parsed = TransactionMessage::parse(transaction).ok();
        let named = parsed.as_ref().map(|parsed| &parsed.transaction().terminal);
        terminals.iter().find(|client| Some(client.terminal()) == named).unwrap_or(&self.first)
    }
}

async fn identify(hub: &Hub, parts: &Parts) -> Result<Arc<Principal>, Problem> {
    let record = parts.extensions.get::<Arc<Record>>();
    if let Some(record) = record {
        record.note_route(&parts.extensions);
    }
    if from_another_site(parts) {
        let detail = "a page of another site may not use this client's certificate; use the console";
        return Err(Problem::new(Kind::NotAllowed, detail));
    }
    let peer = parts.extensions.get::<Arc<Peer>>().ok_or_else(Problem::not_authenticated)?;
    let principal = hub.identity.identify(&parts.headers, peer).await?.map_err(|why| {
        hub.metrics.wrong_credentials.increment(1);
        hub.limits.wrong_credentials(peer.address.into()).because(why)
    })?;
    if let Some(record) = record {
        record.note_client(&principal.record.id);
    }
    hub.limits.client(&principal.record.id).inspect_err(|_| hub.metrics.rate_limited.increment(1))?;
    Ok(principal)
}

/// A browser shows its client certificate for whatever site asks it to, and says which kind of site that is
/// (Fetch Metadata). Nothing but a browser has this header.
fn from_another_site(parts: &Parts) -> bool {
    let site = parts.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
}

fn not_allowed(principal: &Principal) -> Problem {
    let detail = "use a client with the role that docs/spec/http.md names for this";
    let role = principal.record.role.kind();
    Problem::new(Kind::NotAllowed, detail).because(format!("the role {role} may not do this"))
}

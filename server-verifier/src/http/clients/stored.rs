//! Clients in the verifier's own store.

use std::sync::Arc;

use super::ClientId;
use super::ClientRecord;
use super::Clients;
use super::Credential;
use super::Fingerprint;
use super::Role;
use crate::books;
use crate::books::sql::{Param, Row, params};
use crate::domain::{StoreError, Timestamp};
use crate::service::Verifier;
use crate::service::error::ServiceError;

/// A query for clients, with the end given.
macro_rules! select_clients {
    ($end:literal) => {
        concat!(
            "SELECT client_id, role, terminal_id, secret_hash, certificate, added_at, withdrawn_at FROM clients ",
            $end
        )
    };
}

/// The table `clients` of a verifier's store.
#[derive(Debug, Clone)]
pub struct StoredClients {
    verifier: Arc<Verifier>,
}

impl StoredClients {
    /// The clients of this verifier.
    #[must_use]
    pub fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier }
    }

    fn one(&self, sql: &'static str, key: Param<'_>) -> Result<Option<ClientRecord>, ServiceError> {
        self.verifier.store.read(|db| Ok(db.first(sql, &[key], record)?))
    }
}

impl Clients for StoredClients {
    fn find(&self, id: &ClientId) -> Result<Option<ClientRecord>, ServiceError> {
        self.one(select_clients!("WHERE client_id = ?1"), id.as_str().into())
    }

    fn find_certificate(&self, fingerprint: &Fingerprint) -> Result<Option<ClientRecord>, ServiceError> {
        self.one(select_clients!("WHERE certificate = ?1"), fingerprint.into())
    }

    fn add(&self, client: &ClientRecord) -> Result<bool, ServiceError> {
        if let Some(terminal) = client.role.terminal() {
            self.verifier.client(terminal.clone())?;
        }
        let sql = "INSERT INTO clients (client_id, role, terminal_id, secret_hash, certificate, added_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
        let values = params![
            client.id.as_str(),
            client.role.name(),
            client.role.terminal().map(|terminal| terminal.as_str()),
            client.credential.secret_hash(),
            client.credential.certificate(),
            client.added_at.0
        ];
        self.verifier.store.write(|db| Ok(db.execute(sql, &values)? == 1))
    }

    fn withdraw(&self, id: &ClientId, at: Timestamp) -> Result<bool, ServiceError> {
        let sql = "UPDATE clients SET withdrawn_at = ?2 WHERE client_id = ?1 AND withdrawn_at IS NULL";
        self.verifier.store.write(|db| Ok(db.execute(sql, &params![id.as_str(), at.0])? == 1))
    }

    fn list(&self) -> Result<Vec<ClientRecord>, ServiceError> {
        self.verifier.store.read(|db| Ok(db.all(select_clients!("ORDER BY client_id"), &[], record)?))
    }
}

fn record(row: &dyn Row) -> Result<ClientRecord, StoreError> {
    const BAD: StoreError = StoreError::BadRow { what: "client" };
    let terminal = row.opt_text(2)?.map(|terminal| books::parse(terminal, "client")).transpose()?;
    let role = Role::new(books::from_name(row.text(1)?, "client")?, terminal).map_err(|_| BAD)?;
    let certificate = || row.array(4);
    let credential = match (row.opt_text(3)?, row.opt_bytes(4)?) {
        (Some(hash), Some(_)) => Credential::Both(hash.to_owned(), certificate()?),
        (Some(hash), None) => Credential::Token(hash.to_owned()),
        (None, Some(_)) => Credential::Certificate(certificate()?),
        (None, None) => return Err(BAD),
    };
    Ok(ClientRecord {
        id: row.text(0)?.parse().map_err(|_| BAD)?,
        role,
        credential,
        added_at: Timestamp(row.int(5)?),
        withdrawn_at: row.opt_int(6)?.map(Timestamp),
    })
}

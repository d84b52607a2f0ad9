//! The table `clients`, as it is read: events write it.

use crate::books;
#[cfg(feature = "http")]
use crate::books::sql::Value;
use crate::books::sql::{Row, Sql, params};
#[cfg(feature = "http")]
use crate::domain::client::ClientKey;
use crate::domain::client::{ClientId, ClientRecord, Credential, Role, Secret};
use crate::domain::{StoreError, Timestamp};

/// A query for clients, with the end given.
macro_rules! select_clients {
    ($end:literal) => {
        concat!(
            "SELECT client_id, role, terminal_id, secret_hash, certificate, added_at, withdrawn_at FROM clients c ",
            $end
        )
    };
}

/// The client that may ask: it is not withdrawn, nor is the terminal that it speaks for.
#[cfg(feature = "http")]
pub(crate) fn admitted(db: &mut dyn Sql, key: &ClientKey) -> Result<Option<ClientRecord>, StoreError> {
    const BY_NAME: &str = select_clients!(
        "WHERE client_id = ?1 AND withdrawn_at IS NULL AND NOT EXISTS
         (SELECT 1 FROM terminals t WHERE t.terminal_id = c.terminal_id AND t.withdrawn_at IS NOT NULL)"
    );
    const BY_CERTIFICATE: &str = select_clients!(
        "WHERE certificate = ?1 AND withdrawn_at IS NULL AND NOT EXISTS
         (SELECT 1 FROM terminals t WHERE t.terminal_id = c.terminal_id AND t.withdrawn_at IS NOT NULL)"
    );
    let (sql, key): (_, Value<'_>) = match key {
        ClientKey::Name(id) => (BY_NAME, id.as_str().into()),
        ClientKey::Certificate(fingerprint) => (BY_CERTIFICATE, fingerprint.into()),
    };
    db.first(sql, &[key], record)
}

/// Whether a client's name or certificate was used before.
pub(crate) fn is_taken(db: &mut dyn Sql, client: &ClientRecord) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM clients WHERE client_id = ?1 OR certificate = ?2";
    Ok(db.count(sql, &params![client.id.as_str(), client.credential.certificate()])? > 0)
}

/// The client of this name, withdrawn or not.
pub(crate) fn find(db: &mut dyn Sql, id: &ClientId) -> Result<Option<ClientRecord>, StoreError> {
    db.first(select_clients!("WHERE client_id = ?1"), &params![id.as_str()], record)
}

/// All clients by name.
pub(crate) fn list(db: &mut dyn Sql) -> Result<Vec<ClientRecord>, StoreError> {
    db.all(select_clients!("ORDER BY client_id"), &[], record)
}

fn record(row: &Row<'_>) -> Result<ClientRecord, StoreError> {
    const BAD: StoreError = StoreError::BadRow { what: "client" };
    let terminal =
        row.opt_text("terminal_id")?.map(|terminal| books::parse(terminal, "client")).transpose()?;
    let role = Role::new(books::parse(row.text("role")?, "client")?, terminal).map_err(|_| BAD)?;
    let certificate = || row.array("certificate");
    let credential = match (row.opt_text("secret_hash")?.map(Secret::parse), row.opt_bytes("certificate")?) {
        (Some(secret), Some(_)) => Credential::Both(secret, certificate()?),
        (Some(secret), None) => Credential::Token(secret),
        (None, Some(_)) => Credential::Certificate(certificate()?),
        (None, None) => return Err(BAD),
    };
    Ok(ClientRecord {
        id: row.text("client_id")?.parse().map_err(|_| BAD)?,
        role,
        credential,
        added_at: Timestamp(row.int("added_at")?),
        withdrawn_at: row.opt_int("withdrawn_at")?.map(Timestamp),
    })
}

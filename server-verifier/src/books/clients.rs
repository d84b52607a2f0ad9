//! The tables `clients`, `tokens` and `client_terminals`, as they are read: events write them.

use onetap_apdu_spec::txn::TerminalId;

use crate::books;
#[cfg(feature = "http")]
use crate::books::sql::Value;
use crate::books::sql::{Row, Sql, params};
#[cfg(feature = "http")]
use crate::domain::client::ClientKey;
use crate::domain::client::{ClientId, ClientRecord, Role, RoleName, Secret, TokenRecord};
use crate::domain::{MAX_PAGE, StoreError, Timestamp};

const BAD: StoreError = StoreError::BadRow { what: "client" };

/// A query for clients, with the end given.
macro_rules! select_clients {
    ($end:literal) => {
        concat!("SELECT client_id, role, certificate, added_at, withdrawn_at FROM clients ", $end)
    };
}

/// A row of `clients`.
struct Alone {
    id: ClientId,
    role: RoleName,
    certificate: Option<[u8; 32]>,
    added_at: Timestamp,
    withdrawn_at: Option<Timestamp>,
}

/// The client that may ask: it is not withdrawn. It speaks for those of its terminals that are not withdrawn, and is nobody if
/// it speaks for none of them.
#[cfg(feature = "http")]
pub(crate) fn admitted(db: &mut dyn Sql, key: &ClientKey) -> Result<Option<ClientRecord>, StoreError> {
    const BY_NAME: &str = select_clients!("WHERE client_id = ?1 AND withdrawn_at IS NULL");
    const BY_CERTIFICATE: &str = select_clients!("WHERE certificate = ?1 AND withdrawn_at IS NULL");
    const TERMINALS: &str =
        "SELECT l.terminal_id AS terminal_id FROM client_terminals l JOIN terminals t USING (terminal_id)
        WHERE l.client_id = ?1 AND t.withdrawn_at IS NULL ORDER BY l.terminal_id";
    let (sql, key): (_, Value<'_>) = match key {
        ClientKey::Name(id) => (BY_NAME, id.as_str().into()),
        ClientKey::Certificate(fingerprint) => (BY_CERTIFICATE, fingerprint.into()),
    };
    let Some(found) = db.first(sql, &[key], alone)? else { return Ok(None) };
    let terminals = db.all(TERMINALS, &params![found.id.as_str()], terminal)?;
    match Role::new(found.role, terminals) {
        Ok(role) => whole(db, found, role).map(Some),
        Err(_) => Ok(None),
    }
}

/// Whether a client's name or certificate was used before.
pub(crate) fn is_taken(db: &mut dyn Sql, client: &ClientRecord) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM clients WHERE client_id = ?1 OR certificate = ?2";
    Ok(db.count(sql, &params![client.id.as_str(), client.certificate.as_ref()])? > 0)
}

/// The client of this name, withdrawn or not.
pub(crate) fn find(db: &mut dyn Sql, id: &ClientId) -> Result<Option<ClientRecord>, StoreError> {
    let found = db.first(select_clients!("WHERE client_id = ?1"), &params![id.as_str()], alone)?;
    found.map(|found| with_all(db, found)).transpose()
}

/// The clients after this one by name, `limit` of them at most and never more than [`MAX_PAGE`].
pub(crate) fn list(
    db: &mut dyn Sql,
    after: Option<&ClientId>,
    limit: u32,
) -> Result<Vec<ClientRecord>, StoreError> {
    let sql = select_clients!("WHERE client_id > ?1 ORDER BY client_id LIMIT ?2");
    let after = after.map_or("", ClientId::as_str);
    let found = db.all(sql, &params![after, limit.min(MAX_PAGE)], alone)?;
    found.into_iter().map(|found| with_all(db, found)).collect()
}

fn alone(row: &Row<'_>) -> Result<Alone, StoreError> {
    Ok(Alone {
        id: row.text("client_id")?.parse().map_err(|_| BAD)?,
        role: books::parse(row.text("role")?, "client")?,
        certificate: row.opt_bytes("certificate")?.map(|_| row.array("certificate")).transpose()?,
        added_at: Timestamp(row.int("added_at")?),
        withdrawn_at: row.opt_int("withdrawn_at")?.map(Timestamp),
    })
}

fn terminal(row: &Row<'_>) -> Result<TerminalId, StoreError> {
    books::parse(row.text("terminal_id")?, "client")
}

/// A client with all that it has, withdrawn terminals too.
fn with_all(db: &mut dyn Sql, found: Alone) -> Result<ClientRecord, StoreError> {
    let sql = "SELECT terminal_id FROM client_terminals WHERE client_id = ?1 ORDER BY terminal_id";
    let terminals = db.all(sql, &params![found.id.as_str()], terminal)?;
    let role = match (found.role, terminals) {
        (RoleName::Terminal, terminals) => Role::Terminal(terminals),
        (role, terminals) => Role::new(role, terminals).map_err(|_| BAD)?,
    };
    whole(db, found, role)
}

fn whole(db: &mut dyn Sql, found: Alone, role: Role) -> Result<ClientRecord, StoreError> {
    let sql =
        "SELECT token, secret_hash, made_at, expires_at FROM tokens WHERE client_id = ?1 ORDER BY token";
    let tokens = db.all(sql, &params![found.id.as_str()], |row| {
        Ok(TokenRecord {
            number: row.count("token")?,
            secret: Secret::parse(row.text("secret_hash")?),
            made_at: Timestamp(row.int("made_at")?),
            expires_at: row.opt_int("expires_at")?.map(Timestamp),
        })
    })?;
    let Alone { id, certificate, added_at, withdrawn_at, .. } = found;
    if tokens.is_empty() && certificate.is_none() {
        return Err(BAD);
    }
    Ok(ClientRecord { id, role, tokens, certificate, added_at, withdrawn_at })
}

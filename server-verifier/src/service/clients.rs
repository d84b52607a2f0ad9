//! Clients: who may ask the service, with which tokens, for which terminals.

use onetap_apdu_spec::txn::TerminalId;

use crate::books::sql::Sql;
use crate::books::{OPERATOR, clients};
#[cfg(feature = "http")]
use crate::domain::client::ClientKey;
use crate::domain::client::{ClientId, ClientRecord, RoleName, Token};
use crate::domain::{Event, Timestamp};
#[cfg(feature = "http")]
use crate::service::Client;
use crate::service::Verifier;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;
use crate::service::terminals::{Standing, standing};

/// Most tokens of a client that are good at a time.
const MAX_TOKENS: usize = 8;

impl Desk<'_> {
    /// Adds a client. A name or certificate is never used twice.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`], [`ServiceError::ClientExists`]; [`ServiceError::NoSuchTerminal`] if one of its
    /// terminals is not registered.
    pub fn add_client(&self, client: &ClientRecord) -> Result<(), ServiceError> {
        self.reasoned()?;
        self.write(|db| {
            client.role.terminals().iter().try_for_each(|terminal| registered(db, terminal))?;
            if clients::is_taken(db, client)? {
                return Err(ServiceError::ClientExists);
            }
            let token = client.tokens.first();
            let event = Event::ClientAdded {
                client: client.id.clone(),
                role: client.role.kind(),
                terminals: client.role.terminals().to_vec(),
                secret: token.map(|token| token.secret.to_string()),
                certificate: client.certificate.map(hex::encode),
                expires_at: token.and_then(|token| token.expires_at),
            };
            self.tell(db, OPERATOR, client.added_at, &event)?;
            Ok(())
        })
    }

    /// Withdraws a client for good.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`]; [`ServiceError::NoSuchClient`], also if it was withdrawn before.
    pub fn withdraw_client(&self, id: &ClientId) -> Result<ClientRecord, ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| {
            let client = active(db, id)?;
            self.tell(db, OPERATOR, now, &Event::ClientWithdrawn { client: id.clone() })?;
            Ok(ClientRecord { withdrawn_at: Some(now), ..client })
        })
    }

    /// Makes one more token of a client that has one, and returns it. With `overlap` its older tokens are good for so many
    /// seconds more, and no longer; without, they stay as they are.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`], [`ServiceError::NoSuchClient`]; [`ServiceError::NoToken`] if it shows a certificate only;
    /// [`ServiceError::TooManyTokens`].
    pub fn add_token(
        &self,
        id: &ClientId,
        expires_at: Option<Timestamp>,
        overlap: Option<u32>,
    ) -> Result<Token, ServiceError> {
        self.reasoned()?;
        let now = self.now();
        let (made, secret) = Token::make(id);
        self.write(|db| {
            let client = active(db, id)?;
            let last = client.tokens.last().ok_or(ServiceError::NoToken)?.number;
            let good: Vec<_> = client.tokens.iter().filter(|token| token.is_good(now)).collect();
            if good.len() >= MAX_TOKENS {
                return Err(ServiceError::TooManyTokens);
            }
            let event = Event::TokenAdded {
                client: id.clone(),
                token: last + 1,
                secret: secret.to_string(),
                expires_at,
            };
            self.tell(db, OPERATOR, now, &event)?;
            let Some(overlap) = overlap else { return Ok(()) };
            let end = Timestamp(now.0.saturating_add(i64::from(overlap)));
            for token in good.into_iter().filter(|token| token.is_good(end)) {
                self.expire(db, id, token.number, now, end)?;
            }
            Ok(())
        })?;
        Ok(made)
    }

    /// Ends one token of a client now.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`], [`ServiceError::NoSuchClient`]; [`ServiceError::NoSuchToken`], also if it has expired.
    pub fn end_token(&self, id: &ClientId, number: u32) -> Result<(), ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| {
            let client = active(db, id)?;
            let mut good = client.tokens.iter().filter(|token| token.is_good(now));
            good.find(|token| token.number == number).ok_or(ServiceError::NoSuchToken)?;
            self.expire(db, id, number, now, now)
        })
    }

    fn expire(
        &self,
        db: &mut dyn Sql,
        client: &ClientId,
        token: u32,
        at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), ServiceError> {
        self.tell(db, OPERATOR, at, &Event::TokenExpires { client: client.clone(), token, expires_at })?;
        Ok(())
    }

    /// Lets a client of the role `terminal` speak for one more terminal; nothing changes if it does.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`], [`ServiceError::NoSuchClient`], [`ServiceError::NoSuchTerminal`];
    /// [`ServiceError::NotATerminals`] if its role is another one.
    pub fn link_client(&self, id: &ClientId, terminal: &TerminalId) -> Result<(), ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| {
            let client = active(db, id)?;
            registered(db, terminal)?;
            if client.role.terminals().contains(terminal) {
                return Ok(());
            }
            if client.role.kind() != RoleName::Terminal {
                return Err(ServiceError::NotATerminals);
            }
            self.tell(
                db,
                OPERATOR,
                now,
                &Event::ClientLinked { client: id.clone(), terminal: terminal.clone() },
            )?;
            Ok(())
        })
    }

    /// Lets a client not speak for a terminal any more. The last one stays: withdraw the client instead.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`], [`ServiceError::NoSuchClient`], [`ServiceError::NoSuchTerminal`] if it does not speak for
    /// it, [`ServiceError::LastTerminal`].
    pub fn unlink_client(&self, id: &ClientId, terminal: &TerminalId) -> Result<(), ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| match active(db, id)?.role.terminals() {
            [only] if only == terminal => Err(ServiceError::LastTerminal),
            terminals if !terminals.contains(terminal) => Err(ServiceError::NoSuchTerminal),
            _ => {
                let event = Event::ClientUnlinked { client: id.clone(), terminal: terminal.clone() };
                self.tell(db, OPERATOR, now, &event)?;
                Ok(())
            }
        })
    }
}

/// A client that is not withdrawn.
fn active(db: &mut dyn Sql, id: &ClientId) -> Result<ClientRecord, ServiceError> {
    let found = clients::find(db, id)?.filter(|client| client.withdrawn_at.is_none());
    found.ok_or(ServiceError::NoSuchClient)
}

fn registered(db: &mut dyn Sql, terminal: &TerminalId) -> Result<(), ServiceError> {
    match standing(db, terminal)? {
        Standing::Registered => Ok(()),
        Standing::Withdrawn | Standing::Unknown => Err(ServiceError::NoSuchTerminal),
    }
}

impl Verifier {
    /// The clients after this one by name, withdrawn ones too, `limit` of them at most and never more than
    /// [`crate::domain::MAX_PAGE`].
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn clients(&self, after: Option<&ClientId>, limit: u32) -> Result<Vec<ClientRecord>, ServiceError> {
        self.store.read(|db| Ok(clients::list(db, after, limit)?))
    }

    /// The client of this name, withdrawn or not.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchClient`].
    pub fn client_record(&self, id: &ClientId) -> Result<ClientRecord, ServiceError> {
        self.store.read(|db| clients::find(db, id))?.ok_or(ServiceError::NoSuchClient)
    }

    /// The client that may ask, and the terminals that it speaks for: none of them is withdrawn.
    #[cfg(feature = "http")]
    pub(crate) fn admitted_client(
        &self,
        key: &ClientKey,
    ) -> Result<Option<(ClientRecord, Vec<Client>)>, ServiceError> {
        let found = self.store.read(|db| clients::admitted(db, key))?;
        Ok(found.map(|record| {
            let terminals = record.role.terminals().iter();
            let terminals = terminals.map(|terminal| Client { terminal: terminal.clone() }).collect();
            (record, terminals)
        }))
    }
}

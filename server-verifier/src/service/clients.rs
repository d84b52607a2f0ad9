//! Clients: who may ask the service.

use crate::books::{OPERATOR, clients};
use crate::domain::Event;
#[cfg(feature = "http")]
use crate::domain::client::ClientKey;
use crate::domain::client::{ClientId, ClientRecord};
#[cfg(feature = "http")]
use crate::service::Client;
use crate::service::Verifier;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;
use crate::service::terminals::{Standing, standing};

impl Desk<'_> {
    /// Adds a client. A name or certificate is never used twice.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`], [`ServiceError::ClientExists`]; [`ServiceError::NoSuchTerminal`] if its terminal is
    /// not registered.
    pub fn add_client(&self, client: &ClientRecord) -> Result<(), ServiceError> {
        self.reasoned()?;
        self.write(|db| {
            if let Some(terminal) = client.role.terminal()
                && !matches!(standing(db, terminal)?, Standing::Registered)
            {
                return Err(ServiceError::NoSuchTerminal);
            }
            if clients::is_taken(db, client)? {
                return Err(ServiceError::ClientExists);
            }
            let event = Event::ClientAdded {
                client: client.id.clone(),
                role: client.role.kind(),
                terminal: client.role.terminal().cloned(),
                secret: client.credential.secret().map(ToString::to_string),
                certificate: client.credential.certificate().map(hex::encode),
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
            let found = clients::find(db, id)?.filter(|client| client.withdrawn_at.is_none());
            let client = found.ok_or(ServiceError::NoSuchClient)?;
            self.tell(db, OPERATOR, now, &Event::ClientWithdrawn { client: id.clone() })?;
            Ok(ClientRecord { withdrawn_at: Some(now), ..client })
        })
    }
}

impl Verifier {
    /// All clients by name, withdrawn ones too.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn clients(&self) -> Result<Vec<ClientRecord>, ServiceError> {
        self.store.read(|db| Ok(clients::list(db)?))
    }

    /// The client of this name, withdrawn or not.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchClient`].
    pub fn client_record(&self, id: &ClientId) -> Result<ClientRecord, ServiceError> {
        self.store.read(|db| clients::find(db, id))?.ok_or(ServiceError::NoSuchClient)
    }

    /// The client that may ask, and the terminal that it speaks for: neither is withdrawn.
    #[cfg(feature = "http")]
    pub(crate) fn admitted_client(
        &self,
        key: &ClientKey,
    ) -> Result<Option<(ClientRecord, Option<Client>)>, ServiceError> {
        let found = self.store.read(|db| clients::admitted(db, key))?;
        Ok(found.map(|record| {
            let terminal = record.role.terminal().map(|terminal| Client { terminal: terminal.clone() });
            (record, terminal)
        }))
    }
}

//! Clients in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ClientId;
use super::ClientRecord;
use super::Clients;
use super::Fingerprint;
use crate::domain::Timestamp;
use crate::service::error::ServiceError;

/// A table that is gone with the process, for trials.
#[derive(Debug, Default)]
pub struct MemoryClients {
    records: Mutex<BTreeMap<ClientId, ClientRecord>>,
}

impl MemoryClients {
    fn records(&self) -> MutexGuard<'_, BTreeMap<ClientId, ClientRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clients for MemoryClients {
    fn find(&self, id: &ClientId) -> Result<Option<ClientRecord>, ServiceError> {
        Ok(self.records().get(id).cloned())
    }

    fn find_certificate(&self, fingerprint: &Fingerprint) -> Result<Option<ClientRecord>, ServiceError> {
        let shows = |record: &&ClientRecord| record.credential.certificate() == Some(fingerprint);
        Ok(self.records().values().find(shows).cloned())
    }

    fn add(&self, client: &ClientRecord) -> Result<bool, ServiceError> {
        let mut records = self.records();
        let certificate = client.credential.certificate();
        let shown =
            |record: &ClientRecord| certificate.is_some() && record.credential.certificate() == certificate;
        let taken = records.contains_key(&client.id) || records.values().any(shown);
        if !taken {
            records.insert(client.id.clone(), client.clone());
        }
        Ok(!taken)
    }

    fn withdraw(&self, id: &ClientId, at: Timestamp) -> Result<bool, ServiceError> {
        let mut records = self.records();
        let Some(record) = records.get_mut(id).filter(|record| record.withdrawn_at.is_none()) else {
            return Ok(false);
        };
        record.withdrawn_at = Some(at);
        Ok(true)
    }

    fn list(&self) -> Result<Vec<ClientRecord>, ServiceError> {
        Ok(self.records().values().cloned().collect())
    }
}

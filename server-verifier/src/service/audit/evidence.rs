//! What cards have signed, handed over to be verified under the keys that are enrolled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use onetap_apdu_spec::header::{Binding, CardId, KeyId};
use onetap_apdu_spec::signed::SignatureMessage;

use super::signatures::{Signature, Signatures};
use crate::domain::EntryId;
use crate::rules::verify::Enrolled;
use crate::service::Verifier;
use crate::service::error::ServiceError;

/// What a card has signed, as its entry has it: T, then H and S, then what the card owed besides S.
pub(super) type Signed<'a> = [&'a [u8]; 3];

/// Has signatures verified, and keeps the keys that it has met.
pub(super) struct Evidence<'a> {
    verifier: &'a Verifier,
    signatures: Signatures<'a>,
    /// Keys of cards; none where the signatures cannot be checked.
    keys: BTreeMap<(CardId, KeyId), Option<Arc<Enrolled>>>,
    /// Cards with a stored key that no card may have (REQ-I-15).
    unusable: BTreeSet<CardId>,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(verifier: &'a Verifier, signatures: Signatures<'a>) -> Self {
        Self { verifier, signatures, keys: BTreeMap::new(), unusable: BTreeSet::new() }
    }

    /// Has the signature of an entry verified under the card's key, which `key` finds with what it is bound to; none if it is
    /// not enrolled.
    ///
    /// # Errors
    /// [`ServiceError::AuditBroken`] if the entry holds no signature; those of `key`.
    pub(super) fn push(
        &mut self,
        EntryId { account, sequence }: EntryId,
        [message, signature, object]: Signed<'_>,
        key: impl FnOnce(CardId, KeyId) -> Result<Option<(Binding, Vec<u8>)>, ServiceError>,
    ) -> Result<(), ServiceError> {
        let parsed = SignatureMessage::parse(signature);
        let parsed = parsed.map_err(|_| ServiceError::AuditBroken { account, sequence })?;
        let Binding { card, signing_key, .. } = parsed.header.binding;
        let known = match self.keys.get(&(card, signing_key)) {
            Some(known) => known.clone(),
            None => {
                let found = key(card, signing_key)?;
                let ready =
                    found.map_or(Ok(None), |(binding, public_key)| self.ready(binding, &public_key))?;
                self.keys.insert((card, signing_key), ready.clone());
                ready
            }
        };
        if let Some(card) = known {
            let [message, signature, object] = [message, signature, object].map(<[u8]>::to_vec);
            self.signatures.push(Signature { account, card, message, signature, object });
        }
        Ok(())
    }

    /// A card, ready for use; none where a key of the server that it is bound to is retired, or its own is none that a card may
    /// have.
    fn ready(&mut self, binding: Binding, public_key: &[u8]) -> Result<Option<Arc<Enrolled>>, ServiceError> {
        let Some(card_key) = self.verifier.bound_card_key(&binding)? else { return Ok(None) };
        let card = binding.card;
        let ready = Enrolled::new(self.verifier.env.crypto, binding, public_key, card_key);
        Ok(ready.map(Arc::new).map_err(|_| self.unusable.insert(card)).ok())
    }

    /// Forgets the keys: those of other accounts come.
    pub(super) fn forget_keys(&mut self) {
        self.keys.clear();
    }

    /// Waits until all are verified; the cards whose signatures prove nothing.
    ///
    /// # Errors
    /// [`ServiceError::RowsBroken`] if one does not hold.
    pub(super) fn finish(self) -> Result<Vec<CardId>, ServiceError> {
        self.signatures.finish()?;
        Ok(self.unusable.into_iter().collect())
    }
}

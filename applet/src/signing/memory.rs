//! What the applet keeps in non-volatile memory: what was fixed when it was personalised, small numbers
//! that change, and the transaction that waits for its holder.

use std::sync::Arc;

use onetap_apdu_spec::personal::Personalisation;
use onetap_apdu_spec::txn::TransactionMessage;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::confirm::KeyOnly;
use super::password::Sealed;
use super::tools::{Bytes, StorageKeys};
use crate::card::Millis;
use crate::runtime::{Context, Fault, Field};

const ISSUED: Field<Issued> = Field::new(0);
/// Outlives the instance: C is never counted from the start again.
pub(super) const COUNTERS_NUMBER: u8 = 1;
const COUNTERS: Field<Counters> = Field::new(COUNTERS_NUMBER);
const PENDING_NUMBER: u8 = 2;
const PENDING: Field<StoredPending> = Field::new(PENDING_NUMBER);

/// Fixed when the card is personalised.
#[derive(Serialize, Deserialize)]
pub(crate) struct Issued {
    pub(crate) order: Personalisation,
    /// The signing key, PKCS#8 DER.
    pub(crate) signing_key: Bytes,
    pub(crate) storage: StorageKeys,
}

impl Drop for Issued {
    fn drop(&mut self) {
        self.signing_key.0.zeroize();
    }
}

/// Small numbers that change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// C: the counter value signed with last. Only ever grows.
    pub(crate) counter: u32,
    /// Transactions signed since a key was last pressed.
    pub(crate) unconfirmed: u8,
    /// Key-only payments since the last PIN.
    pub(crate) key_only: KeyOnly,
}

/// A signed transaction: what the terminal gets and what the display needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) counter: u32,
    pub(crate) message: Arc<TransactionMessage>,
    pub(crate) password: Sealed,
    /// Template E2, as GET SIGNATURE returns it.
    pub(crate) signature_message: Bytes,
    /// The object that GET ENC-PASSWORD returns.
    pub(crate) owed: Option<Bytes>,
}

/// A transaction that the terminal has in full and the holder has not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) signed: Arc<Signed>,
    pub(crate) delivered_at: Millis,
}

#[derive(Serialize)]
struct PendingRef<'a> {
    counter: u32,
    #[serde(with = "raw")]
    transaction: &'a [u8],
    password: &'a Sealed,
    signature_message: &'a Bytes,
    owed: Option<&'a Bytes>,
    delivered_at: Millis,
}

impl<'a> PendingRef<'a> {
    fn of(pending: &'a Pending) -> Self {
        let signed = &pending.signed;
        Self {
            counter: signed.counter,
            transaction: signed.message.bytes(),
            password: &signed.password,
            signature_message: &signed.signature_message,
            owed: signed.owed.as_ref(),
            delivered_at: pending.delivered_at,
        }
    }
}

mod raw {
    pub(super) fn serialize<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }
}

/// [`Pending`] as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredPending {
    counter: u32,
    transaction: Bytes,
    password: Sealed,
    signature_message: Bytes,
    owed: Option<Bytes>,
    delivered_at: Millis,
}

impl StoredPending {
    fn restore(self) -> Option<Arc<Pending>> {
        let message = TransactionMessage::parse(&self.transaction.0).ok()?;
        let signed = Signed {
            counter: self.counter,
            message: Arc::new(message),
            password: self.password,
            signature_message: self.signature_message,
            owed: self.owed,
        };
        Some(Arc::new(Pending { signed: Arc::new(signed), delivered_at: self.delivered_at }))
    }
}

/// The applet's persistent memory: a copy in RAM that changes only after a commit succeeded.
pub(crate) struct Memory {
    counters: Counters,
    pending: Option<Arc<Pending>>,
}

impl Memory {
    /// Stores a new card's memory, with the transaction that is open. C goes on where an applet that was
    /// deleted left it.
    pub(crate) fn create(cx: &mut Context<'_>, issued: &Issued) -> Result<Self, Fault> {
        let left: Option<Counters> = cx.inherited()?;
        let counters = Counters { counter: left.map_or(0, |left| left.counter), ..Counters::default() };
        cx.set(&ISSUED, issued)?;
        cx.set(&COUNTERS, &counters)?;
        Ok(Self { counters, pending: None })
    }

    /// Stores what an older image held, with the transaction that is open.
    pub(super) fn restore(
        cx: &mut Context<'_>,
        issued: &Issued,
        counters: Counters,
        pending: Option<StoredPending>,
    ) -> Result<(), Fault> {
        Self::create(cx, issued)?;
        cx.set(&COUNTERS, &counters)?;
        pending.map_or(Ok(()), |pending| cx.set(&PENDING, &pending))
    }

    /// Reads what is stored; `None` before the card was personalised.
    pub(crate) fn open(cx: &Context<'_>) -> Result<Option<(Self, Issued)>, Fault> {
        let Some(issued) = cx.find(&ISSUED)? else { return Ok(None) };
        let stored: Option<StoredPending> = cx.find(&PENDING)?;
        let pending = match stored {
            None => None,
            Some(stored) => Some(stored.restore().ok_or(Fault::NoSuchObject(PENDING_NUMBER))?),
        };
        Ok(Some((Self { counters: cx.get(&COUNTERS)?, pending }, issued)))
    }

    /// Replaces what changes, in one step. After an error all is as before.
    pub(crate) fn commit(
        &mut self,
        cx: &mut Context<'_>,
        counters: Counters,
        pending: Option<Arc<Pending>>,
    ) -> Result<(), Fault> {
        let same = match (&self.pending, &pending) {
            (Some(before), Some(after)) => Arc::ptr_eq(before, after),
            (None, None) => true,
            _ => false,
        };
        cx.transaction(|cx| {
            if counters != self.counters {
                cx.set(&COUNTERS, &counters)?;
            }
            match &pending {
                _ if same => Ok(()),
                Some(pending) => cx.set(&Field::new(PENDING_NUMBER), &PendingRef::of(pending)),
                None => cx.remove(&PENDING),
            }
        })?;
        (self.counters, self.pending) = (counters, pending);
        Ok(())
    }

    /// The numbers as committed.
    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// The pending transaction as committed.
    pub(crate) fn pending(&self) -> Option<&Arc<Pending>> {
        self.pending.as_ref()
    }
}

//! What the applet keeps in non-volatile memory. The image is: version (2), length (4) and bytes of what
//! is fixed at personalisation, then what changes; both parts in postcard.

use std::sync::Arc;

use onetap_apdu_spec::personal::Personalisation;
use onetap_apdu_spec::txn::TransactionMessage;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::confirm::KeyOnly;
use super::password::Sealed;
use super::pin::PinRecord;
use super::tools::{Bytes, StorageKeys};
use crate::card::{CardError, MAX_IMAGE, Millis, Nvm, NvmError};

/// Version of the image's layout.
const VERSION: u16 = 1;
const PREFIX: usize = 6;

/// Fixed when the card is personalised.
#[derive(Serialize, Deserialize)]
pub(crate) struct Issued {
    pub(crate) order: Personalisation,
    /// The signing key, PKCS#8 DER.
    pub(crate) signing_key: Bytes,
    pub(crate) storage: StorageKeys,
    pub(crate) pin: PinRecord,
}

impl Drop for Issued {
    fn drop(&mut self) {
        self.signing_key.0.zeroize();
    }
}

/// Small numbers that change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// C: the counter value signed with last. Only ever grows.
    pub(crate) counter: u32,
    /// Transactions signed since a key was last pressed.
    pub(crate) unconfirmed: u8,
    /// PIN tries left.
    pub(crate) pin_tries: u8,
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
struct ChangingRef<'a> {
    counters: &'a Counters,
    pending: Option<PendingRef<'a>>,
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

mod raw {
    pub(super) fn serialize<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }
}

#[derive(Deserialize)]
struct Changing {
    counters: Counters,
    pending: Option<StoredPending>,
}

#[derive(Deserialize)]
struct StoredPending {
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

/// The applet's non-volatile memory: a copy in RAM that changes only after a commit succeeded.
pub(crate) struct Memory {
    nvm: Box<dyn Nvm>,
    /// The image: the part fixed at personalisation stays, what follows is written anew.
    image: Zeroizing<Vec<u8>>,
    fixed: usize,
    counters: Counters,
    pending: Option<Arc<Pending>>,
}

impl Memory {
    /// Stores a new card.
    pub(crate) fn create(nvm: Box<dyn Nvm>, issued: &Issued, counters: Counters) -> Result<Self, CardError> {
        let mut image = Zeroizing::new(vec![0; MAX_IMAGE]);
        let room = image.get_mut(PREFIX..).unwrap_or_default();
        let fixed = postcard::to_slice(issued, room).map_err(|_| NvmError::TooLarge(MAX_IMAGE))?.len();
        let [.., a, b, c, d] = fixed.to_be_bytes();
        let [v, w] = VERSION.to_be_bytes();
        image.iter_mut().zip([v, w, a, b, c, d]).for_each(|(to, from)| *to = from);
        let mut memory = Self { nvm, image, fixed: PREFIX + fixed, counters, pending: None };
        memory.commit(counters, None)?;
        Ok(memory)
    }

    /// Reads a stored card.
    pub(crate) fn open(mut nvm: Box<dyn Nvm>) -> Result<(Self, Issued), CardError> {
        let stored = nvm.load()?.ok_or(CardError::Empty)?;
        let (issued, fixed, changing) = read(&stored)?;
        let pending =
            changing.pending.map(|pending| pending.restore().ok_or(CardError::Unreadable)).transpose()?;
        // Copied, not grown: growing would leave the keys behind in the old place.
        let mut image = Zeroizing::new(vec![0; MAX_IMAGE.max(stored.len())]);
        image.iter_mut().zip(stored.iter()).for_each(|(to, from)| *to = *from);
        Ok((Self { nvm, image, fixed, counters: changing.counters, pending }, issued))
    }

    /// Replaces what changes, in one atomic write. After an error all is as before.
    pub(crate) fn commit(
        &mut self,
        counters: Counters,
        pending: Option<Arc<Pending>>,
    ) -> Result<(), NvmError> {
        let changing = ChangingRef {
            counters: &counters,
            pending: pending.as_ref().map(|pending| PendingRef {
                counter: pending.signed.counter,
                transaction: pending.signed.message.bytes(),
                password: &pending.signed.password,
                signature_message: &pending.signed.signature_message,
                owed: pending.signed.owed.as_ref(),
                delivered_at: pending.delivered_at,
            }),
        };
        let room = self.image.get_mut(self.fixed..).unwrap_or_default();
        let len = postcard::to_slice(&changing, room).map_err(|_| NvmError::TooLarge(MAX_IMAGE))?.len();
        self.nvm.commit(self.image.get(..self.fixed + len).unwrap_or_default())?;
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

fn read(image: &[u8]) -> Result<(Issued, usize, Changing), CardError> {
    let (&[v, w, a, b, c, d], rest) = image.split_first_chunk::<PREFIX>().ok_or(CardError::Unreadable)?;
    let version = u16::from_be_bytes([v, w]);
    if version != VERSION {
        return Err(CardError::Version { found: version, known: VERSION });
    }
    let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| CardError::Unreadable)?;
    let (fixed, changing) = rest.split_at_checked(len).ok_or(CardError::Unreadable)?;
    let issued = postcard::from_bytes(fixed).map_err(|_| CardError::Unreadable)?;
    let changing = postcard::from_bytes(changing).map_err(|_| CardError::Unreadable)?;
    Ok((issued, PREFIX + len, changing))
}

//! A PIN with a try counter that no power cut gives back.

use onetap_apdu_spec::crypto::{Block, Key256};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::applet::Context;
use super::fault::Fault;
use super::memory::{Field, Transient};

/// How the card knows a PIN: a CMAC over salt and PIN, under a key made for it.
#[derive(Serialize, Deserialize)]
pub struct PinRecord {
    key: Key256,
    salt: Block,
    check: Block,
}

impl std::fmt::Debug for PinRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PinRecord(redacted)")
    }
}

impl PinRecord {
    /// A record made elsewhere: images of format 1 hold such.
    pub(crate) fn from_parts(key: Key256, salt: Block, check: Block) -> Self {
        Self { key, salt, check }
    }
}

/// An applet's PIN. Takes two object numbers: `number` and the next one; and one transient number.
#[derive(Debug)]
pub struct OwnerPin {
    record: Field<PinRecord>,
    tries: Field<u8>,
    validated: Transient<bool>,
    limit: u8,
}

impl OwnerPin {
    /// The PIN with objects `number` and `number + 1` and `limit` tries.
    #[must_use]
    pub const fn new(number: u8, limit: u8) -> Self {
        Self {
            record: Field::new(number),
            tries: Field::new(number + 1),
            validated: Transient::on_reset(number),
            limit,
        }
    }

    /// Sets the PIN, all tries, and no longer validated. With the open transaction, if there is one.
    ///
    /// # Errors
    /// [`Fault`]; then the old PIN stands.
    pub fn update(&self, cx: &mut Context<'_>, pin: &[u8]) -> Result<(), Fault> {
        let (crypto, rng) = cx.tools();
        let (mut key, mut salt) = (Zeroizing::new([0; 32]), Block::default());
        rng.fill(&mut key[..]);
        rng.fill(&mut salt);
        let key = Key256::new(*key);
        let check = crypto.cmac(&key, &[&salt, pin]);
        self.restore(cx, &PinRecord { key, salt, check }, self.limit)
    }

    /// Sets the PIN from its record, with so many tries left.
    pub(crate) fn restore(&self, cx: &mut Context<'_>, record: &PinRecord, tries: u8) -> Result<(), Fault> {
        let write = |cx: &mut Context<'_>| {
            cx.set(&self.record, record)?;
            cx.set(&self.tries, &tries.min(self.limit))
        };
        if cx.transaction_open() {
            write(cx)?;
        } else {
            cx.transaction(write)?;
        }
        cx.set_transient(&self.validated, &false)
    }

    /// True if `pin` is right. A try is taken, persistently and outside of any transaction, before anything
    /// is compared; a right PIN gives all back. Blocked: false, and nothing is compared.
    ///
    /// # Errors
    /// [`Fault`]; then nothing was compared, or the PIN does not count as validated.
    /// [`Fault::TransactionOpen`], if the open transaction sets this PIN: an abort would give tries back.
    pub fn check(&self, cx: &mut Context<'_>, pin: &[u8]) -> Result<bool, Fault> {
        if cx.is_staged(&self.record) || cx.is_staged(&self.tries) {
            return Err(Fault::TransactionOpen);
        }
        cx.set_transient(&self.validated, &false)?;
        let Some(left) = self.tries_left(cx)?.checked_sub(1) else {
            return Ok(false);
        };
        cx.set_now(&self.tries, &left)?;
        let record = cx.get(&self.record)?;
        let check = cx.crypto().cmac(&record.key, &[&record.salt, pin]);
        if !bool::from(check.ct_eq(&record.check)) {
            return Ok(false);
        }
        cx.set_now(&self.tries, &self.limit)?;
        cx.set_transient(&self.validated, &true)?;
        Ok(true)
    }

    /// Tries left; 0 if blocked.
    ///
    /// # Errors
    /// [`Fault::NoSuchObject`] before the first [`OwnerPin::update`].
    pub fn tries_left(&self, cx: &Context<'_>) -> Result<u8, Fault> {
        cx.get(&self.tries)
    }

    /// True from a right PIN until reset, a wrong one, [`OwnerPin::reset`] or [`OwnerPin::update`].
    ///
    /// # Errors
    /// [`Fault`].
    pub fn is_validated(&self, cx: &Context<'_>) -> Result<bool, Fault> {
        cx.transient(&self.validated)
    }

    /// No longer validated.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn reset(&self, cx: &mut Context<'_>) -> Result<(), Fault> {
        cx.set_transient(&self.validated, &false)
    }

    /// No longer validated, and all tries back: for the issuer.
    ///
    /// # Errors
    /// [`Fault`]; then the tries are as before.
    pub fn reset_and_unblock(&self, cx: &mut Context<'_>) -> Result<(), Fault> {
        cx.set_now(&self.tries, &self.limit)?;
        self.reset(cx)
    }
}

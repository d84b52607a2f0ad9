//! Makes a card: what only the card knows, and the statement of its public key.

use onetap_apdu_spec::crypto::RsaBits;
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};

use super::memory::{Issued, Memory};
use super::order_check::{IssueError, OrderError, check_order};
use super::pin::{PIN, Pin};
use super::signature::SigningKey;
use super::signer::Signer;
use super::tools::{Bytes, StorageKeys};
use crate::runtime::{Context, PERSONALISED};

/// Makes a blank applet the card of one holder, in one transaction.
pub(super) fn personalise(
    cx: &mut Context<'_>,
    order: Personalisation,
    pin: &Pin,
) -> Result<(Signer, EnrolmentStatement), IssueError> {
    check_order(cx.crypto(), &order)?;
    let signing_key = cx.make_rsa_key(order.rsa_bits)?;
    let key = SigningKey::parse(cx.crypto(), &signing_key).map_err(OrderError::SigningKey)?;
    check_size(&key, order.rsa_bits)?;
    let statement = EnrolmentStatement::make(order.binding, key.private())?;
    let storage = StorageKeys::draw(cx.rng());
    let issued = Issued { order, signing_key: Bytes(signing_key.to_vec()), storage };
    let memory = cx.transaction(|cx| {
        PIN.update(cx, pin.expose().as_bytes())?;
        cx.set_life_cycle(PERSONALISED)?;
        Memory::create(cx, &issued)
    })?;
    Ok((Signer::new(cx, memory, issued)?, statement))
}

fn check_size(key: &SigningKey, bits: RsaBits) -> Result<(), OrderError> {
    let (given, ordered) = (key.bits(), u16::from(bits));
    if given == usize::from(ordered) { Ok(()) } else { Err(OrderError::KeySize { given, ordered }) }
}

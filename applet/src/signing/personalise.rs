//! Makes a card: what only the card knows, and the statement of its public key.

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
    let signing_key = cx.make_signing_key(order.key_type)?;
    let key = SigningKey::parse(cx.crypto(), order.binding.suite, &signing_key);
    let key = key.map_err(OrderError::SigningKey)?;
    if key.key_type() != order.key_type {
        return Err(
            OrderError::KeySize { given: key.key_type().into(), ordered: order.key_type.into() }.into()
        );
    }
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

//! How the demonstration's terminal lies after the tap.

use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_apdu_spec::{objects, tlv};

/// Whole major units that stand in the altered amount, in binary-coded decimal.
const STOLEN_BCD: u8 = 0x99;

/// Writes 99 over the whole major units of the amount (tag 9F02, n12), which are its fifth byte.
pub(super) fn alter_amount(request: &mut AuthorisationRequest) {
    let amount = tlv::object(objects::AMOUNT, &[0; 6]);
    let head = amount.get(..3).unwrap_or_default();
    let at = request.transaction.windows(head.len()).position(|window| window == head);
    if let Some(byte) = at.and_then(|at| request.transaction.get_mut(at + head.len() + 4)) {
        *byte = STOLEN_BCD;
    }
}

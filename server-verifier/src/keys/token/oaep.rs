//! EME-OAEP decoding (RFC 8017 §7.1.2 step 3) with SHA-256, MGF1-SHA-256 and the empty label, for tokens
//! that do the bare RSA operation only (docs/adr/0016). Time and memory accesses depend on the
//! lengths only, until it is known whether all of it holds.

use onetap_apdu_spec::crypto::{Crypto, Digest};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::{Zeroize as _, Zeroizing};

const HASH: usize = size_of::<Digest>();

/// The message in the encoded message `em`, which is as long as the modulus; none if it is not one.
pub(super) fn decode(crypto: &dyn Crypto, em: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let em = Zeroizing::new(em.to_vec());
    let (zero, masked) = em.split_first()?;
    let (masked_seed, masked_db) = masked.split_at_checked(HASH)?;
    if masked_db.len() < HASH + 1 {
        return None;
    }
    let seed = masked_by(crypto, masked_seed, masked_db);
    let db = masked_by(crypto, masked_db, &seed);
    let (label, padded) = db.split_at(HASH);
    let mut right = zero.ct_eq(&0) & label.ct_eq(&crypto.sha256(&[]));
    let mut start = 0_u32;
    let mut searching = Choice::from(1);
    for (at, byte) in (1_u32..).zip(padded) {
        let one = byte.ct_eq(&1);
        right &= !searching | one | byte.ct_eq(&0);
        start.conditional_assign(&at, searching & one);
        searching &= !one;
    }
    right &= !searching;
    let start = usize::try_from(start).ok()?;
    bool::from(right).then(|| Zeroizing::new(padded[start..].to_vec()))
}

/// `data` XOR MGF1-SHA-256(`seed`) (RFC 8017 §B.2.1).
fn masked_by(crypto: &dyn Crypto, data: &[u8], seed: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(data.to_vec());
    for (counter, chunk) in (0_u32..).zip(out.chunks_mut(HASH)) {
        let mut mask = crypto.sha256(&[seed, &counter.to_be_bytes()]);
        for (byte, mask) in chunk.iter_mut().zip(&mask) {
            *byte ^= mask;
        }
        mask.zeroize();
    }
    out
}

#[cfg(test)]
mod tests {
    use onetap_apdu_spec::crypto::default_provider;
    use proptest::prelude::*;

    use super::*;

    /// EME-OAEP encoding (RFC 8017 §7.1.1 step 2), any parts of it wrong.
    fn encode(zero: u8, label: &[u8], padding: &[u8], seed: &[u8]) -> Vec<u8> {
        let crypto = default_provider();
        let db = [&crypto.sha256(&[label])[..], padding].concat();
        let masked_db = masked_by(crypto, &db, seed);
        let masked_seed = masked_by(crypto, seed, &masked_db);
        [&[zero], &masked_seed[..], &masked_db].concat()
    }

    fn decoded(em: &[u8]) -> Option<Vec<u8>> {
        decode(default_provider(), em).map(|message| message.to_vec())
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(message in prop::collection::vec(any::<u8>(), 0..=190), seed: [u8; 32]) {
            let padding = [&vec![0; 190 - message.len()][..], &[1], &message].concat();
            prop_assert_eq!(decoded(&encode(0, b"", &padding, &seed)), Some(message));
        }

        #[test]
        fn any_flipped_bit_is_refused(at in 0_usize..256, bit in 0_u8..8, seed: [u8; 32]) {
            let padding = [&[0; 100][..], &[1], &[7; 90]].concat();
            let mut em = encode(0, b"", &padding, &seed);
            em[at] ^= 1 << bit;
            prop_assert_eq!(decoded(&em), None);
        }

        #[test]
        fn any_bytes_do_no_harm(em in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(decoded(&em), None);
        }
    }

    #[test]
    fn each_part_that_is_wrong_is_refused() {
        let whole = [&[0; 100][..], &[1], &[7; 90]].concat();
        let seed = [9; 32];
        assert_eq!(decoded(&encode(0, b"", &whole, &seed)), Some(vec![7; 90]));
        assert_eq!(decoded(&encode(1, b"", &whole, &seed)), None, "first byte");
        assert_eq!(decoded(&encode(0, b"label", &whole, &seed)), None, "label");
        assert_eq!(decoded(&encode(0, b"", &[0; 191], &seed)), None, "no end of the padding");
        let mut two = whole;
        two[50] = 2;
        assert_eq!(decoded(&encode(0, b"", &two, &seed)), None, "padding");
    }
}

//! What a public key must be before anything is verified or encrypted under it (REQ-S-18 to REQ-S-20), whoever holds the
//! private half. Both providers ask here, for public keys and for the public half of private ones.

use std::sync::LazyLock;

use super::{CryptoError, RsaBits};

/// `AlgorithmIdentifier` of rsaEncryption with NULL parameters (RFC 3279 §2.3.1).
const ALGORITHM: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// The public exponent 65537 as a DER INTEGER.
const EXPONENT: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];
/// No modulus has a prime factor below this (NIST SP 800-89 §5.3.3).
const SMALL: u64 = 752;
/// Largest prime by which a modulus of CVE-2017-15361 (ROCA) is known, for sizes from 1984 bits.
const ROCA: u64 = 701;

/// The size of the RSA key that `spki` (SubjectPublicKeyInfo DER) holds, if it may be used at all.
///
/// # Errors
/// [`CryptoError::BadKey`] for anything but the one DER encoding of a modulus of [`RsaBits`] with exponent 65537;
/// [`CryptoError::WeakKey`] for a modulus that is known to be factored easily.
pub(super) fn check_public(spki: &[u8]) -> Result<RsaBits, CryptoError> {
    let sizes = [RsaBits::B2048, RsaBits::B3072, RsaBits::B4096];
    let found = sizes.into_iter().find_map(|bits| modulus(spki, bits).map(|modulus| (bits, modulus)));
    let (bits, modulus) = found.ok_or(CryptoError::BadKey)?;
    if is_weak(modulus) { Err(CryptoError::WeakKey) } else { Ok(bits) }
}

/// The modulus in `spki`. All else in it is given by `bits`: the lengths, because the top bit of the modulus is set.
fn modulus(spki: &[u8], bits: RsaBits) -> Option<&[u8]> {
    let size = u16::from(bits) / 8;
    let modulus = spki.strip_prefix(&head(size)[..])?.strip_suffix(&EXPONENT)?;
    let top_bit = modulus.first().is_some_and(|first| first & 0x80 != 0);
    (top_bit && modulus.len() == usize::from(size)).then_some(modulus)
}

/// What stands before a modulus of `size` bytes: four headers with two bytes of length, and the zero before the top bit.
fn head(size: u16) -> Vec<u8> {
    let long = |tag: u8, more: u16| {
        let [high, low] = (size + more).to_be_bytes();
        [tag, 0x82, high, low]
    };
    let key_info = long(0x30, 0x22);
    let bit_string = long(0x03, 0x0f);
    let key = long(0x30, 0x0a);
    let integer = long(0x02, 0x01);
    [&key_info[..], &ALGORITHM, &bit_string, &[0], &key, &integer, &[0]].concat()
}

/// The primes below [`SMALL`].
static PRIMES: LazyLock<Vec<u64>> =
    LazyLock::new(|| (2..SMALL).filter(|n| (2..*n).all(|divisor| n % divisor != 0)).collect());

/// Whether the modulus has a small factor, or is of the form that CVE-2017-15361 makes: a power of 65537 modulo every
/// small prime.
fn is_weak(modulus: &[u8]) -> bool {
    let mut roca = true;
    // Three at once: a division of the whole modulus costs more than three of its remainder.
    for primes in PRIMES.chunks(3) {
        let rest = remainder(modulus, primes.iter().product());
        if primes.iter().any(|prime| rest.is_multiple_of(*prime)) {
            return true;
        }
        roca = roca && primes.iter().all(|prime| *prime > ROCA || is_power_of_65537(rest % prime, *prime));
    }
    roca
}

/// The remainder of a big-endian number by a divisor below 2³².
fn remainder(number: &[u8], divisor: u64) -> u64 {
    number
        .chunks_exact(4)
        .fold(0, |rest, word| word.iter().fold(rest, |number, byte| number << 8 | u64::from(*byte)) % divisor)
}

fn is_power_of_65537(rest: u64, prime: u64) -> bool {
    let next = |power: &u64| Some(power * 65_537 % prime).filter(|power| *power != 1);
    std::iter::successors(Some(1), next).any(|power| power == rest)
}

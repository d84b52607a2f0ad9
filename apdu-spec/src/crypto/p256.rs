//! The one DER encoding of keys of P-256 (REQ-S-21), for both providers. Whether a point is one of the curve is checked by
//! arithmetic, which is theirs.

use zeroize::Zeroizing;

use super::CryptoError;

/// Bytes of a coordinate, of the private number, of r and of s.
pub(super) const FIELD_LEN: usize = 32;
/// Bytes of an uncompressed point: `04`, then x and y (SEC 1 §2.3.3).
pub(super) const POINT_LEN: usize = 1 + 2 * FIELD_LEN;

/// `AlgorithmIdentifier`: id-ecPublicKey with the named curve prime256v1 (RFC 5480 §2.1.1).
const ALGORITHM: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];

/// The uncompressed point in `spki` (SubjectPublicKeyInfo DER).
///
/// # Errors
/// [`CryptoError::BadKey`] for anything but the one encoding.
pub(super) fn point(spki: &[u8]) -> Result<&[u8; POINT_LEN], CryptoError> {
    let point = spki.strip_prefix(&public_head()[..]).and_then(|point| point.try_into().ok());
    point.filter(|point: &&[u8; POINT_LEN]| point[0] == 0x04).ok_or(CryptoError::BadKey)
}

/// SubjectPublicKeyInfo of an uncompressed point.
pub(super) fn public_der(point: &[u8]) -> Vec<u8> {
    [&public_head()[..], point].concat()
}

fn public_head() -> Vec<u8> {
    [&[0x30, 0x59][..], &ALGORITHM, &[0x03, 0x42, 0x00]].concat()
}

/// Private number and point in `pkcs8`: PrivateKeyInfo (RFC 5958 §2) with an ECPrivateKey (RFC 5915 §3) that leaves the curve
/// out, as the algorithm names it, and has the public half.
///
/// # Errors
/// [`CryptoError::BadKey`] for anything but the one encoding.
pub(super) fn private_parts(
    pkcs8: &[u8],
) -> Result<(Zeroizing<[u8; FIELD_LEN]>, &[u8; POINT_LEN]), CryptoError> {
    let rest = pkcs8.strip_prefix(&private_head()[..]).ok_or(CryptoError::BadKey)?;
    let (number, rest) = rest.split_first_chunk::<FIELD_LEN>().ok_or(CryptoError::BadKey)?;
    let point = rest.strip_prefix(&PUBLIC_INSIDE).and_then(|point| point.try_into().ok());
    let point = point.filter(|point: &&[u8; POINT_LEN]| point[0] == 0x04).ok_or(CryptoError::BadKey)?;
    Ok((Zeroizing::new(*number), point))
}

/// What [`private_parts`] reads.
pub(super) fn private_der(number: &[u8], point: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([&private_head()[..], number, &PUBLIC_INSIDE, point].concat())
}

/// Version 0, the algorithm, and of the ECPrivateKey its version 1 and the header of the private number.
fn private_head() -> Vec<u8> {
    let inside = [0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20];
    [&[0x30, 0x81, 0x87, 0x02, 0x01, 0x00][..], &ALGORITHM, &inside].concat()
}

/// Before the point in an ECPrivateKey: `[1]`, and a bit string without unused bits.
const PUBLIC_INSIDE: [u8; 5] = [0xa1, 0x44, 0x03, 0x42, 0x00];

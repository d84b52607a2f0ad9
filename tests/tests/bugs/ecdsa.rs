//! Bugs of a card that signs with ECDSA. What it computes wrong, it does not find when it verifies its own signature.

use onetap_apdu_spec::crypto::{
    Block, CryptoError, Digest, Key256, RsaBits, RsaPrivate, RsaPublic, SigningKey, SigningKeyType,
    VerifyingKey,
};
use onetap_apdu_spec::suite::SignatureAlgorithm;
use p256::ecdsa::{Signature, SigningKey as P256Key};
use p256::elliptic_curve::ops::Reduce as _;
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::{FieldBytes, NonZeroScalar, ProjectivePoint, Scalar, SecretKey};
use sha2::{Digest as _, Sha256, Sha384};
use zeroize::Zeroizing;

use super::*;

/// The cases of a suite that signs with ECDSA.
const SIGNATURE: &str = "signature/a3+sha256+aes-cbc-cmac+ecdsa";
const PASSWORD: &str = "password/b2+sha256+aes-cbc-cmac+ecdsa";

pub(crate) const BUGS: &[Bug] = &[
    Bug {
        name: "signs by ECDSA with the same secret number each time",
        caught_by: &["nonce/no-r-twice"],
        crypto: || &Wrong(|d, message| signed(d, 5, &Sha256::digest(message))),
        ..NONE
    },
    Bug {
        name: "signs by ECDSA with two secret numbers by turns",
        caught_by: &["nonce/no-r-twice"],
        crypto: || &Wrong(|d, message| signed(d, 5 + message[38] % 2, &Sha256::digest(message))),
        ..NONE
    },
    Bug {
        name: "signs by ECDSA with SHA-384",
        caught_by: &[SIGNATURE, PASSWORD],
        crypto: || &Wrong(|d, message| signed(d, message[38], &Sha384::digest(message)[..32])),
        ..NONE
    },
    Bug {
        name: "hashes twice before it signs by ECDSA",
        caught_by: &[SIGNATURE, PASSWORD],
        crypto: || &Wrong(|d, message| signed(d, message[38], &Sha256::digest(Sha256::digest(message)))),
        ..NONE
    },
    Bug {
        name: "signs the bare bytes by ECDSA",
        caught_by: &[SIGNATURE, PASSWORD],
        crypto: || &Wrong(|d, message| signed(d, message[38], &message[..32])),
        ..NONE
    },
    Bug {
        name: "gives r and s of zero",
        caught_by: &[SIGNATURE, PASSWORD],
        crypto: || &Wrong(|_, _| vec![0; 64]),
        ..NONE
    },
    Bug {
        name: "gives s in front of r",
        caught_by: &[SIGNATURE, PASSWORD],
        crypto: || {
            &Wrong(|d, message| {
                let mut signature = signed(d, message[38], &Sha256::digest(message));
                signature.rotate_left(32);
                signature
            })
        },
        ..NONE
    },
    Bug {
        name: "gives its ECDSA signature in DER",
        caught_by: &[SIGNATURE, PASSWORD],
        crypto: || {
            &Wrong(|d, message| {
                let signature = signed(d, message[38], &Sha256::digest(message));
                let (r, s) = signature.split_at(32);
                [&[0x30, 70, 2, 33, 0], r, &[2, 33, 0], s].concat()
            })
        },
        ..NONE
    },
];

/// r ‖ s with private number `d` and a secret number that everybody can guess.
fn signed(d: &NonZeroScalar, secret: u8, digest: &[u8]) -> Vec<u8> {
    let mut k = [0; 32];
    (k[0], k[31]) = (1, secret);
    let k = SecretKey::from_slice(&k).unwrap().to_nonzero_scalar();
    let r = Scalar::reduce(&(ProjectivePoint::GENERATOR * *k).to_affine().x());
    let z = Scalar::reduce(&FieldBytes::try_from(digest).unwrap());
    let s = k.invert().unwrap() * (z + r * **d);
    Signature::from_scalars(r, s).unwrap().to_bytes().to_vec()
}

/// A provider whose ECDSA is wrong: how it signs.
#[derive(Debug)]
struct Wrong(fn(&NonZeroScalar, &[u8]) -> Vec<u8>);

impl Crypto for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn sha256(&self, parts: &[&[u8]]) -> Digest {
        default_provider().sha256(parts)
    }

    fn cmac(&self, key: &Key256, parts: &[&[u8]]) -> Block {
        default_provider().cmac(key, parts)
    }

    fn cbc_encrypt(&self, key: &Key256, iv: &Block, plaintext: &[u8]) -> Vec<u8> {
        default_provider().cbc_encrypt(key, iv, plaintext)
    }

    fn cbc_decrypt(
        &self,
        key: &Key256,
        iv: &Block,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        default_provider().cbc_decrypt(key, iv, ciphertext)
    }

    fn generate_rsa(&self, bits: RsaBits) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        default_provider().generate_rsa(bits)
    }

    fn rsa_private(&self, pkcs8: &[u8]) -> Result<Box<dyn RsaPrivate>, CryptoError> {
        default_provider().rsa_private(pkcs8)
    }

    fn rsa_public(&self, spki: &[u8]) -> Result<Box<dyn RsaPublic>, CryptoError> {
        default_provider().rsa_public(spki)
    }

    fn p256_private(&self, pkcs8: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        let number = P256Key::from_slice(&pkcs8[36..68]).unwrap();
        Ok(Box::new(WrongKey {
            right: default_provider().p256_private(pkcs8)?,
            number: *number.as_nonzero_scalar(),
            sign: self.0,
        }))
    }

    fn p256_public(&self, _: &[u8]) -> Result<Box<dyn VerifyingKey>, CryptoError> {
        Ok(Box::new(Gullible))
    }
}

struct WrongKey {
    right: Box<dyn SigningKey>,
    number: NonZeroScalar,
    sign: fn(&NonZeroScalar, &[u8]) -> Vec<u8>,
}

impl std::fmt::Debug for WrongKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WrongKey")
    }
}

impl SigningKey for WrongKey {
    fn sign(&self, _: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok((self.sign)(&self.number, message))
    }

    fn public_spki(&self) -> Vec<u8> {
        self.right.public_spki()
    }
}

/// Takes every signature.
#[derive(Debug)]
struct Gullible;

impl VerifyingKey for Gullible {
    fn verify(&self, _: SignatureAlgorithm, _: &[u8], _: &[u8]) -> Result<(), CryptoError> {
        Ok(())
    }

    fn key_type(&self) -> SigningKeyType {
        SigningKeyType::P256
    }
}

//! ECDSA on P-256 in each provider: published answers, one against the other, and what must be refused. Signatures and keys of
//! another program are in `fixtures/vectors` (`vectors.rs`).
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use onetap_apdu_spec::crypto::{
    AwsLc, Crypto, CryptoError, RsaBits, RustCrypto, SigningKey, SigningKeyType, VerifyingKey,
};
use onetap_apdu_spec::suite::SignatureAlgorithm::{self, EcdsaP256Sha256, Pkcs1Sha256, PssSha256};

const PROVIDERS: [&dyn Crypto; 2] = [&AwsLc, &RustCrypto];
/// Who acts, who checks.
const PAIRS: [(&dyn Crypto, &dyn Crypto); 4] =
    [(&AwsLc, &RustCrypto), (&RustCrypto, &AwsLc), (&AwsLc, &AwsLc), (&RustCrypto, &RustCrypto)];
const MESSAGE: &[u8] = b"pay 42.00 EUR to Alice";

/// RFC 6979 §A.2.5: private number, coordinates; with SHA-256 r and s of "sample" and of "test".
const NUMBER: &str = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721";
const X: &str = "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6";
const Y: &str = "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299";
const SAMPLE: [&str; 2] = [
    "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
    "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
];
const TEST: [&str; 2] = [
    "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
    "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
];

fn published_pkcs8() -> Vec<u8> {
    let head = "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420";
    hex::decode([head, NUMBER, "a14403420004", X, Y].concat()).unwrap()
}

fn published_spki() -> Vec<u8> {
    let head = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
    hex::decode([head, X, Y].concat()).unwrap()
}

fn private(provider: &dyn Crypto, pkcs8: &[u8]) -> Box<dyn SigningKey> {
    provider.signing_key(EcdsaP256Sha256, pkcs8).unwrap()
}

fn public(provider: &dyn Crypto, spki: &[u8]) -> Box<dyn VerifyingKey> {
    provider.verifying_key(EcdsaP256Sha256, spki).unwrap()
}

#[test]
fn both_verify_the_answers_of_rfc_6979_and_one_gives_them() {
    for (message, answer) in [(b"sample".as_slice(), SAMPLE), (b"test", TEST)] {
        let signature = hex::decode(answer.concat()).unwrap();
        for provider in PROVIDERS {
            let key = public(provider, &published_spki());
            assert_eq!(key.verify(EcdsaP256Sha256, message, &signature), Ok(()), "{}", provider.name());
        }
        let own = private(&RustCrypto, &published_pkcs8()).sign(EcdsaP256Sha256, message);
        assert_eq!(own, Ok(signature));
    }
}

#[test]
fn keys_mean_the_same_to_both_providers() {
    for (maker, reader) in PAIRS {
        let pkcs8 = maker.generate_key(SigningKeyType::P256).unwrap();
        assert_eq!(pkcs8.len(), 138);
        let spki = private(maker, &pkcs8).public_spki();
        assert_eq!(spki.len(), 91);
        assert_eq!(private(reader, &pkcs8).public_spki(), spki);
        assert_eq!(public(reader, &spki).key_type(), SigningKeyType::P256);
        assert_ne!(pkcs8, maker.generate_key(SigningKeyType::P256).unwrap());
    }
    for provider in PROVIDERS {
        assert_eq!(private(provider, &published_pkcs8()).public_spki(), published_spki());
    }
}

#[test]
fn each_verifies_what_the_other_signs() {
    for (signer, verifier) in PAIRS {
        let pkcs8 = signer.generate_p256().unwrap();
        let key = private(signer, &pkcs8);
        let public = public(verifier, &key.public_spki());
        for message in [b"".as_slice(), MESSAGE, &[7; 5000]] {
            let signature = key.sign(EcdsaP256Sha256, message).unwrap();
            assert_eq!(signature.len(), SigningKeyType::P256.signature_len());
            assert_eq!(public.verify(EcdsaP256Sha256, message, &signature), Ok(()));
            let mut other = message.to_vec();
            other.push(0);
            assert_eq!(public.verify(EcdsaP256Sha256, &other, &signature), Err(CryptoError::BadSignature));
        }
    }
}

/// A secret number that is used twice gives the key away.
#[test]
fn no_two_signatures_have_the_same_r() {
    for provider in PROVIDERS {
        let key = private(provider, &published_pkcs8());
        let mut seen = std::collections::BTreeSet::new();
        for message in 0..500_u16 {
            let signature = key.sign(EcdsaP256Sha256, &message.to_be_bytes()).unwrap();
            assert!(seen.insert(signature[..32].to_vec()), "{}", provider.name());
        }
    }
}

#[test]
fn signatures_with_any_bit_flipped_or_of_another_length_are_refused() {
    let signature = private(&AwsLc, &published_pkcs8()).sign(EcdsaP256Sha256, MESSAGE).unwrap();
    for provider in PROVIDERS {
        let key = public(provider, &published_spki());
        let refused = |signature: &[u8]| {
            assert_eq!(
                key.verify(EcdsaP256Sha256, MESSAGE, signature),
                Err(CryptoError::BadSignature),
                "{}",
                provider.name()
            );
        };
        for bit in 0..signature.len() * 8 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            refused(&flipped);
        }
        (0..signature.len()).for_each(|len| refused(&signature[..len]));
        refused(&[&signature[..], &[0]].concat());
    }
}

#[test]
fn a_key_of_one_kind_neither_signs_nor_verifies_by_an_algorithm_of_the_other() {
    for provider in PROVIDERS {
        let rsa = provider.rsa_private(&AwsLc.generate_rsa(RsaBits::B2048).unwrap()).unwrap();
        let p256 = private(provider, &published_pkcs8());
        let cases: [(&dyn SigningKey, SignatureAlgorithm, SignatureAlgorithm); 3] = [
            (&*rsa, EcdsaP256Sha256, Pkcs1Sha256),
            (&*p256, Pkcs1Sha256, EcdsaP256Sha256),
            (&*p256, PssSha256, EcdsaP256Sha256),
        ];
        for (key, other, own) in cases {
            assert_eq!(key.sign(other, MESSAGE), Err(CryptoError::BadKey), "{}", provider.name());
            assert!(provider.verifying_key(other, &key.public_spki()).is_err());
            let public = provider.verifying_key(own, &key.public_spki()).unwrap();
            let signature = key.sign(own, MESSAGE).unwrap();
            assert_eq!(public.verify(other, MESSAGE, &signature), Err(CryptoError::BadSignature));
            assert!(public.key_type().signs_by(own) && !public.key_type().signs_by(other));
        }
        assert!(provider.signing_key(Pkcs1Sha256, &published_pkcs8()).is_err());
    }
}

/// Every byte matters: headers, the private number, and the point that repeats it.
#[test]
fn private_keys_with_any_byte_changed_added_or_missing_are_refused() {
    let pkcs8 = published_pkcs8();
    let refused = |pkcs8: &[u8], what: String| {
        for provider in PROVIDERS {
            let parsed = provider.p256_private(pkcs8).map(|_| "accepted");
            assert_eq!(parsed, Err(CryptoError::BadKey), "{}: {what}", provider.name());
        }
    };
    for at in 0..pkcs8.len() {
        let mut changed = pkcs8.clone();
        changed[at] ^= 1;
        refused(&changed, format!("byte {at} changed"));
        refused(&pkcs8[..at], format!("only {at} bytes"));
    }
    refused(&[&pkcs8[..], &[0]].concat(), "a byte more".to_owned());
    refused(&published_spki(), "a public key".to_owned());
    for number in ["00".repeat(32), "FF".repeat(32)] {
        let text = hex::encode_upper(&pkcs8).replace(NUMBER, &number);
        refused(&hex::decode(text).unwrap(), number);
    }
}

#[test]
fn private_keys_do_not_print_their_secrets() {
    for provider in PROVIDERS {
        let printed = format!("{:?}", private(provider, &published_pkcs8())).to_uppercase();
        assert!(!printed.contains(&NUMBER[8..24]), "{}: {printed}", provider.name());
    }
}

/// A number stands for each kind: in an order, in a card's memory, in the server's books.
#[test]
fn kinds_of_keys_have_their_numbers() {
    for key in SigningKeyType::ALL {
        assert_eq!(SigningKeyType::try_from(u16::from(key)), Ok(key));
    }
    assert_eq!(u16::from(SigningKeyType::P256), 0);
    assert_eq!(serde_json::to_value(SigningKeyType::Rsa(RsaBits::B3072)).unwrap(), 3072);
    for bits in [1, 256, 1024, 2047, 8192] {
        assert_eq!(SigningKeyType::try_from(bits), Err(CryptoError::BadKey));
    }
    for algorithm in SignatureAlgorithm::ALL {
        let key = SigningKeyType::of(*algorithm, RsaBits::B4096);
        assert!(key.signs_by(*algorithm));
    }
}

//! Each provider of [`Crypto`] against published answers, against the other, and against input that
//! must be refused.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::LazyLock;

use onetap_apdu_spec::crypto::{
    AwsLc, Crypto, CryptoError, Key256, RsaBits, RsaPrivate, RsaPublic, RustCrypto,
};
use onetap_apdu_spec::suite::SignatureAlgorithm::{self, Pkcs1Sha256, PssSha256};
use proptest::prelude::*;
use rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, Oaep, Pss, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest as _, Sha256, Sha512};

const PROVIDERS: [&dyn Crypto; 2] = [&AwsLc, &RustCrypto];
/// Who acts, who checks.
const PAIRS: [(&dyn Crypto, &dyn Crypto); 2] = [(&AwsLc, &RustCrypto), (&RustCrypto, &AwsLc)];
const ALGORITHMS: [SignatureAlgorithm; 2] = [Pkcs1Sha256, PssSha256];
const MESSAGE: &[u8] = b"pay 42.00 EUR to Alice";

/// A key of each size, as PKCS#8; both providers generate.
static PKCS8_2048: LazyLock<Vec<u8>> = LazyLock::new(|| generate(&AwsLc, RsaBits::B2048));
static PKCS8_3072: LazyLock<Vec<u8>> = LazyLock::new(|| generate(&RustCrypto, RsaBits::B3072));
static PKCS8_4096: LazyLock<Vec<u8>> = LazyLock::new(|| generate(&AwsLc, RsaBits::B4096));
/// A second key of 2048 bits.
static PKCS8_OTHER: LazyLock<Vec<u8>> = LazyLock::new(|| generate(&RustCrypto, RsaBits::B2048));

fn generate(provider: &dyn Crypto, bits: RsaBits) -> Vec<u8> {
    provider.generate_rsa(bits).unwrap().to_vec()
}

fn private(provider: &dyn Crypto, pkcs8: &[u8]) -> Box<dyn RsaPrivate> {
    provider.rsa_private(pkcs8).unwrap()
}

fn public(provider: &dyn Crypto, pkcs8: &[u8]) -> Box<dyn RsaPublic> {
    provider.rsa_public(&spki(pkcs8)).unwrap()
}

fn spki(pkcs8: &[u8]) -> Vec<u8> {
    private(&AwsLc, pkcs8).public_spki()
}

fn unhex<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

// --- Published answers -----------------------------------------------------------------------

/// The key and the four blocks that SP 800-38A and SP 800-38B share.
const NIST_KEY: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
const NIST_IV: &str = "000102030405060708090a0b0c0d0e0f";
const NIST_TEXT: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

#[test]
fn sha256_gives_the_answers_of_nist() {
    let million = [b'a'; 1_000_000];
    let answers: [(&[u8], &str); 4] = [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ];
    for provider in PROVIDERS {
        for (message, digest) in answers {
            assert_eq!(hex::encode(provider.sha256(&[message])), digest, "{}", provider.name());
        }
        assert_eq!(provider.sha256(&[]), provider.sha256(&[b""]));
        assert_eq!(provider.sha256(&[b"a", b"", b"bc"]), provider.sha256(&[b"abc"]));
    }
}

/// SP 800-38B, appendix D.3 (AES-256).
#[test]
fn cmac_gives_the_answers_of_nist() {
    let answers = [
        (0, "028962f61b7bf89efc6b551f4667d983"),
        (16, "28a7023f452e8f82bd4bf28d8c37c35c"),
        (40, "aaf3d8f1de5640c232f5b169b9c911e6"),
        (64, "e1992190549f6ed5696a2c056c315410"),
    ];
    let key = Key256::new(unhex(NIST_KEY));
    let text: [u8; 64] = unhex(NIST_TEXT);
    for provider in PROVIDERS {
        for (len, tag) in answers {
            let message = &text[..len];
            assert_eq!(hex::encode(provider.cmac(&key, &[message])), tag, "{}", provider.name());
            let (head, tail) = message.split_at(len / 3);
            assert_eq!(hex::encode(provider.cmac(&key, &[head, b"", tail])), tag);
        }
        assert_eq!(hex::encode(provider.cmac(&key, &[])), answers[0].1);
    }
}

/// SP 800-38A, appendix F.2.5 and F.2.6 (CBC-AES256); the fifth block, of padding, is OpenSSL's.
#[test]
fn cbc_gives_the_answers_of_nist() {
    let key = Key256::new(unhex(NIST_KEY));
    let (iv, text): ([u8; 16], [u8; 64]) = (unhex(NIST_IV), unhex(NIST_TEXT));
    let ciphertext = "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
                      39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b\
                      3f461796d6b0d6b2e0c2a72b4d80e644";
    for provider in PROVIDERS {
        let encrypted = provider.cbc_encrypt(&key, &iv, &text);
        assert_eq!(hex::encode(&encrypted), ciphertext, "{}", provider.name());
        assert_eq!(*provider.cbc_decrypt(&key, &iv, &encrypted).unwrap(), text);
    }
}

// --- Symmetric primitives, one provider against the other --------------------------------------

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200)
}

proptest! {
    #[test]
    fn hashes_agree(parts in proptest::collection::vec(bytes(), 0..5)) {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let digest = AwsLc.sha256(&parts);
        prop_assert_eq!(digest, RustCrypto.sha256(&parts));
        prop_assert_eq!(digest, RustCrypto.sha256(&[&parts.concat()]));
    }

    #[test]
    fn macs_agree(key: [u8; 32], parts in proptest::collection::vec(bytes(), 0..5)) {
        let key = Key256::new(key);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let tag = AwsLc.cmac(&key, &parts);
        prop_assert_eq!(tag, RustCrypto.cmac(&key, &parts));
        prop_assert_eq!(tag, RustCrypto.cmac(&key, &[&parts.concat()]));
    }

    #[test]
    fn ciphers_agree(key: [u8; 32], iv: [u8; 16], plaintext in bytes()) {
        let key = Key256::new(key);
        let ciphertext = AwsLc.cbc_encrypt(&key, &iv, &plaintext);
        prop_assert_eq!(&ciphertext, &RustCrypto.cbc_encrypt(&key, &iv, &plaintext));
        prop_assert_eq!(ciphertext.len(), (plaintext.len() / 16 + 1) * 16);
        for provider in PROVIDERS {
            let decrypted = provider.cbc_decrypt(&key, &iv, &ciphertext).unwrap();
            prop_assert_eq!(decrypted.as_slice(), plaintext.as_slice());
        }
    }

    #[test]
    fn arbitrary_ciphertexts_decrypt_alike(key: [u8; 32], iv: [u8; 16], ciphertext in bytes()) {
        let key = Key256::new(key);
        prop_assert_eq!(
            AwsLc.cbc_decrypt(&key, &iv, &ciphertext),
            RustCrypto.cbc_decrypt(&key, &iv, &ciphertext)
        );
    }
}

#[test]
fn cbc_refuses_lengths_that_are_not_whole_blocks() {
    let key = Key256::new([1; 32]);
    for provider in PROVIDERS {
        let ciphertext = provider.cbc_encrypt(&key, &[2; 16], &[3; 40]);
        assert!(provider.cbc_decrypt(&key, &[2; 16], &ciphertext).is_ok());
        for len in (0..48).filter(|len| *len == 0 || len % 16 != 0) {
            let refused = provider.cbc_decrypt(&key, &[2; 16], &ciphertext[..len]);
            assert_eq!(refused, Err(CryptoError::BadCiphertext), "{} {len}", provider.name());
        }
    }
}

/// The first block of a longer ciphertext, decrypted alone, ends in whatever padding we like.
#[test]
fn cbc_refuses_bad_padding() {
    let block = |end: &[u8]| [&[b'x'; 16][end.len()..], end].concat();
    let good: [&[u8]; 4] = [&[1], &[2, 2], &[4; 4], &[16; 16]];
    let bad: [&[u8]; 7] = [&[0], &[1, 2], &[3, 2, 3], &[2, 4, 4, 4], &[17; 16], &[15, 16], &[255]];
    let key = Key256::new([1; 32]);
    for provider in PROVIDERS {
        let unpad = |end: &[u8]| {
            let ciphertext = provider.cbc_encrypt(&key, &[2; 16], &block(end));
            provider.cbc_decrypt(&key, &[2; 16], &ciphertext[..16])
        };
        for end in good {
            assert_eq!(unpad(end).unwrap().len(), 16 - end.len(), "{} {end:?}", provider.name());
        }
        for end in bad {
            let refused = unpad(end);
            assert_eq!(refused, Err(CryptoError::BadCiphertext), "{} {end:?}", provider.name());
        }
    }
}

// --- RSA keys ------------------------------------------------------------------------------------

#[test]
fn keys_mean_the_same_to_both_providers() {
    let keys = [(&PKCS8_2048, 2048), (&PKCS8_3072, 3072), (&PKCS8_4096, 4096)];
    for (pkcs8, bits) in keys {
        let spki = private(&AwsLc, pkcs8).public_spki();
        assert_eq!(spki, private(&RustCrypto, pkcs8).public_spki());
        for provider in PROVIDERS {
            let key_type = provider.rsa_public(&spki).unwrap().key_type();
            assert_eq!(u16::from(key_type), bits);
        }
        let reference = RsaPublicKey::from_public_key_der(&spki).unwrap();
        assert_eq!(reference.n().bits(), u32::from(bits));
        assert_eq!(*reference.e(), BoxedUint::from(65_537_u32));
    }
}

fn assert_bad_private(what: &str, pkcs8: &[u8]) {
    for provider in PROVIDERS {
        let refused = provider.rsa_private(pkcs8).map(|_| "accepted");
        assert_eq!(refused, Err(CryptoError::BadKey), "{}: {what}", provider.name());
    }
}

fn assert_bad_public(what: &str, spki: &[u8]) {
    for provider in PROVIDERS {
        let refused = provider.rsa_public(spki).map(|_| "accepted");
        assert_eq!(refused, Err(CryptoError::BadKey), "{}: {what}", provider.name());
    }
}

#[test]
fn private_keys_of_other_sizes_are_refused() {
    for bits in [1024, 2046, 2056, 2560] {
        let key = RsaPrivateKey::new(&mut rand::rng(), bits).unwrap();
        assert_bad_private(&format!("{bits} bits"), key.to_pkcs8_der().unwrap().as_bytes());
        let spki = key.to_public_key().to_public_key_der().unwrap();
        assert_bad_public(&format!("{bits} bits"), spki.as_bytes());
    }
}

/// What is true of public keys is true of the public half: the card makes no other key, the server loads none.
#[test]
fn private_keys_with_another_exponent_are_refused() {
    for exponent in [3_u32, 257, 65_539] {
        let key = RsaPrivateKey::new_with_exp(&mut rand::rng(), 2048, BoxedUint::from(exponent)).unwrap();
        assert_bad_private(&format!("exponent {exponent}"), key.to_pkcs8_der().unwrap().as_bytes());
    }
}

#[test]
fn malformed_private_keys_are_refused() {
    let pkcs8 = PKCS8_2048.as_slice();
    let pkcs1 = RsaPrivateKey::from_pkcs8_der(pkcs8).unwrap().to_pkcs1_der().unwrap();
    assert_bad_private("PKCS#1", pkcs1.as_bytes());
    assert_bad_private("a public key", &spki(pkcs8));
    assert_bad_private("trailing byte", &[pkcs8, &[0]].concat());
    assert_bad_private("a second key after it", &[pkcs8, pkcs8].concat());
    for len in 0..pkcs8.len() {
        assert_bad_private(&format!("only {len} bytes"), &pkcs8[..len]);
    }
}

/// Every byte matters: headers, each number, and each of the numbers that repeat the others.
#[test]
fn private_keys_with_any_byte_changed_are_refused() {
    for at in 0..PKCS8_2048.len() {
        let mut pkcs8 = PKCS8_2048.clone();
        pkcs8[at] ^= 1;
        assert_bad_private(&format!("byte {at} changed"), &pkcs8);
    }
}

#[test]
fn malformed_public_keys_are_refused() {
    let spki = spki(&PKCS8_2048);
    let pkcs1 = RsaPublicKey::from_public_key_der(&spki).unwrap().to_pkcs1_der().unwrap();
    assert_bad_public("PKCS#1", pkcs1.as_bytes());
    assert_bad_public("a private key", &PKCS8_2048);
    assert_bad_public("trailing byte", &[&spki[..], &[0]].concat());
    assert_bad_public("unused bits", &replaced(&spki, "0382010f00", "0382010f01"));
    assert_bad_public("BER length", &replaced(&spki, "30820122", "3083000122"));
    let (with_null, without_null) =
        ("30820122 300d 0609 2a864886f70d010101 0500", "30820120 300b 0609 2a864886f70d010101");
    assert_bad_public("no NULL", &replaced(&spki, with_null, without_null));
    for len in 0..spki.len() {
        assert_bad_public(&format!("only {len} bytes"), &spki[..len]);
    }
}

/// RFC 4055 has an identifier for keys that sign with PSS only; ours is rsaEncryption for all.
#[test]
fn keys_marked_for_pss_only_are_refused() {
    let spki = spki(&PKCS8_2048);
    let with_null = replaced(&spki, "0609 2a864886f70d010101", "0609 2a864886f70d01010a");
    let without_null = replaced(
        &spki,
        "30820122 300d 0609 2a864886f70d010101 0500",
        "30820120 300b 0609 2a864886f70d01010a",
    );
    assert_bad_public("RSASSA-PSS with NULL", &with_null);
    assert_bad_public("RSASSA-PSS", &without_null);
    let pkcs8 = replaced(&PKCS8_2048, "0609 2a864886f70d010101", "0609 2a864886f70d01010a");
    assert_bad_private("RSASSA-PSS", &pkcs8);
}

/// `der` with the one occurrence of the hexadecimal `from` turned into `to`.
fn replaced(der: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (from, to) = (from.replace(' ', ""), to.replace(' ', ""));
    let hex = hex::encode(der);
    assert_eq!(hex.matches(&from).count(), 1, "{from}");
    hex::decode(hex.replace(&from, &to)).unwrap()
}

#[test]
fn private_keys_do_not_print_their_secrets() {
    let key = RsaPrivateKey::from_pkcs8_der(&PKCS8_2048).unwrap();
    let modulus = hex::encode(&key.n().to_be_bytes()[100..116]);
    let mut secrets = vec![hex::encode(&key.d().to_be_bytes()[100..116])];
    secrets.extend(key.primes().iter().map(|p| hex::encode(&p.to_be_bytes()[50..66])));
    for provider in PROVIDERS {
        let printed = format!("{:?}", private(provider, &PKCS8_2048)).to_lowercase();
        assert!(printed.contains(&modulus), "the test looks for the right notation");
        assert!(secrets.iter().all(|secret| !printed.contains(secret)), "{}", provider.name());
    }
}

// --- Signatures ----------------------------------------------------------------------------------

#[test]
fn each_verifies_what_the_other_signs() {
    for pkcs8 in [&PKCS8_2048, &PKCS8_3072, &PKCS8_4096] {
        for (signer, verifier) in PAIRS {
            for algorithm in ALGORITHMS {
                for message in [b"".as_slice(), MESSAGE, &[7; 5000]] {
                    let signature = private(signer, pkcs8).sign(algorithm, message).unwrap();
                    let key = public(verifier, pkcs8);
                    assert_eq!(signature.len(), key.key_type().signature_len());
                    assert_eq!(key.verify(algorithm, message, &signature), Ok(()));
                }
            }
        }
    }
}

#[test]
fn pkcs1_signatures_repeat_and_pss_signatures_do_not() {
    let sign = |provider, algorithm| private(provider, &PKCS8_2048).sign(algorithm, MESSAGE);
    assert_eq!(sign(&AwsLc, Pkcs1Sha256), sign(&RustCrypto, Pkcs1Sha256));
    for provider in PROVIDERS {
        assert_ne!(sign(provider, PssSha256), sign(provider, PssSha256), "{}", provider.name());
    }
}

fn assert_bad_signature(
    what: &str,
    pkcs8: &[u8],
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) {
    for provider in PROVIDERS {
        let refused = public(provider, pkcs8).verify(algorithm, message, signature);
        assert_eq!(refused, Err(CryptoError::BadSignature), "{}: {what}", provider.name());
    }
}

#[test]
fn signatures_with_any_bit_flipped_are_refused() {
    let keys = PROVIDERS.map(|provider| public(provider, &PKCS8_2048));
    for algorithm in ALGORITHMS {
        let signature = private(&AwsLc, &PKCS8_2048).sign(algorithm, MESSAGE).unwrap();
        for bit in 0..signature.len() * 8 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            for key in &keys {
                let refused = key.verify(algorithm, MESSAGE, &flipped);
                assert_eq!(refused, Err(CryptoError::BadSignature), "{algorithm:?} bit {bit}");
            }
        }
    }
}

#[test]
fn signatures_that_do_not_belong_are_refused() {
    for algorithm in ALGORITHMS {
        let signature = private(&AwsLc, &PKCS8_2048).sign(algorithm, MESSAGE).unwrap();
        let refused = |what, pkcs8: &[u8], message, signature: &[u8]| {
            assert_bad_signature(what, pkcs8, algorithm, message, signature);
        };
        refused("other message", &PKCS8_2048, b"pay 43.00 EUR to Alice", &signature);
        refused("other key", &PKCS8_OTHER, MESSAGE, &signature);
        refused("key of another size", &PKCS8_3072, MESSAGE, &signature);
        refused("empty", &PKCS8_2048, MESSAGE, b"");
        refused("truncated", &PKCS8_2048, MESSAGE, &signature[..255]);
        refused("head cut", &PKCS8_2048, MESSAGE, &signature[1..]);
        refused("trailing byte", &PKCS8_2048, MESSAGE, &[&signature[..], &[0]].concat());
        refused("leading zero", &PKCS8_2048, MESSAGE, &[&[0], &signature[..]].concat());
        refused("all zeros", &PKCS8_2048, MESSAGE, &[0; 256]);
        refused("all ones", &PKCS8_2048, MESSAGE, &[0xff; 256]);
    }
}

#[test]
fn one_padding_does_not_pass_for_the_other() {
    let key = private(&AwsLc, &PKCS8_2048);
    let pkcs1 = key.sign(Pkcs1Sha256, MESSAGE).unwrap();
    let pss = key.sign(PssSha256, MESSAGE).unwrap();
    assert_bad_signature("PKCS#1 v1.5 as PSS", &PKCS8_2048, PssSha256, MESSAGE, &pkcs1);
    assert_bad_signature("PSS as PKCS#1 v1.5", &PKCS8_2048, Pkcs1Sha256, MESSAGE, &pss);
}

#[test]
fn pss_signatures_have_a_salt_of_exactly_32_bytes() {
    let key = RsaPrivateKey::from_pkcs8_der(&PKCS8_2048).unwrap();
    let sign = |salt| key.sign(Pss::<Sha256>::new_with_salt(salt), &Sha256::digest(MESSAGE));
    for provider in PROVIDERS {
        let signature = sign(32).unwrap();
        assert_eq!(public(provider, &PKCS8_2048).verify(PssSha256, MESSAGE, &signature), Ok(()));
    }
    for salt in [0, 1, 20, 31, 33, 64, 222] {
        let what = format!("salt of {salt} bytes");
        assert_bad_signature(&what, &PKCS8_2048, PssSha256, MESSAGE, &sign(salt).unwrap());
    }
}

/// `s + n` is congruent to `s`: whoever forgets RFC 8017 §5.2.2 step 1 accepts two signatures.
#[test]
fn signatures_beyond_the_modulus_are_refused() {
    let key = private(&AwsLc, &PKCS8_2048);
    let reference = RsaPublicKey::from_public_key_der(&key.public_spki()).unwrap();
    let beyond = (0..100_000).find_map(|_| {
        let signature = key.sign(PssSha256, MESSAGE).unwrap();
        let s = BoxedUint::from_be_slice(&signature, 2048).unwrap();
        let sum = s.concatenating_add(reference.n().as_ref()).to_be_bytes_trimmed_vartime();
        (sum.len() == signature.len()).then_some(sum)
    });
    assert_bad_signature("s + n", &PKCS8_2048, PssSha256, MESSAGE, &beyond.unwrap());
}

// --- OAEP ----------------------------------------------------------------------------------------

#[test]
fn each_decrypts_what_the_other_encrypts() {
    for pkcs8 in [&PKCS8_2048, &PKCS8_3072, &PKCS8_4096] {
        for (sender, receiver) in PAIRS {
            let key = public(sender, pkcs8);
            let modulus = key.key_type().signature_len();
            let longest = modulus - 66;
            for len in [0, 1, 32, longest] {
                let plaintext = vec![0xa5; len];
                let ciphertext = key.encrypt_oaep(&plaintext).unwrap();
                assert_eq!(ciphertext.len(), modulus);
                assert_eq!(*private(receiver, pkcs8).decrypt_oaep(&ciphertext).unwrap(), plaintext);
            }
            assert_eq!(key.encrypt_oaep(&vec![0; longest + 1]), Err(CryptoError::TooLong));
            assert_ne!(key.encrypt_oaep(MESSAGE), key.encrypt_oaep(MESSAGE));
        }
    }
}

fn assert_bad_ciphertext(what: &str, pkcs8: &[u8], ciphertext: &[u8]) {
    for provider in PROVIDERS {
        let refused = private(provider, pkcs8).decrypt_oaep(ciphertext);
        assert_eq!(refused, Err(CryptoError::BadCiphertext), "{}: {what}", provider.name());
    }
}

#[test]
fn ciphertexts_that_do_not_belong_are_refused() {
    let ciphertext = public(&AwsLc, &PKCS8_2048).encrypt_oaep(MESSAGE).unwrap();
    assert_bad_ciphertext("other key", &PKCS8_OTHER, &ciphertext);
    assert_bad_ciphertext("key of another size", &PKCS8_3072, &ciphertext);
    assert_bad_ciphertext("empty", &PKCS8_2048, b"");
    assert_bad_ciphertext("truncated", &PKCS8_2048, &ciphertext[..255]);
    assert_bad_ciphertext("trailing byte", &PKCS8_2048, &[&ciphertext[..], &[0]].concat());
    assert_bad_ciphertext("leading zero", &PKCS8_2048, &[&[0], &ciphertext[..]].concat());
    assert_bad_ciphertext("all zeros", &PKCS8_2048, &[0; 256]);
    assert_bad_ciphertext("beyond the modulus", &PKCS8_2048, &[0xff; 256]);
    for at in 0..ciphertext.len() {
        let mut flipped = ciphertext.clone();
        flipped[at] ^= 0x80;
        assert_bad_ciphertext(&format!("byte {at} changed"), &PKCS8_2048, &flipped);
    }
}

#[test]
fn oaep_has_sha256_twice_and_no_label() {
    let key = RsaPublicKey::from_public_key_der(&spki(&PKCS8_2048)).unwrap();
    let rng = &mut rand::rng();
    let standard = key.encrypt(rng, Oaep::<Sha256>::new(), MESSAGE).unwrap();
    for provider in PROVIDERS {
        assert_eq!(*private(provider, &PKCS8_2048).decrypt_oaep(&standard).unwrap(), MESSAGE);
    }
    let label = key.encrypt(rng, Oaep::<Sha256>::new_with_label(*b"label"), MESSAGE).unwrap();
    assert_bad_ciphertext("label", &PKCS8_2048, &label);
    let mgf = key.encrypt(rng, Oaep::<Sha256, Sha512>::new_with_mgf_hash(), MESSAGE).unwrap();
    assert_bad_ciphertext("MGF1-SHA-512", &PKCS8_2048, &mgf);
    let hash = key.encrypt(rng, Oaep::<Sha512, Sha256>::new_with_mgf_hash(), MESSAGE).unwrap();
    assert_bad_ciphertext("SHA-512", &PKCS8_2048, &hash);
}

/// Keys are shared between the threads of a server.
#[test]
fn keys_work_from_many_threads() {
    for provider in PROVIDERS {
        let (private, public) = (private(provider, &PKCS8_2048), public(provider, &PKCS8_2048));
        std::thread::scope(|scope| {
            for thread in 0_u8..4 {
                let (private, public) = (&private, &public);
                scope.spawn(move || {
                    let signature = private.sign(PssSha256, &[thread]).unwrap();
                    assert_eq!(public.verify(PssSha256, &[thread], &signature), Ok(()));
                });
            }
        });
    }
}

//! AES with keys of all lengths: published answers, and the providers against each other.

use onetap_apdu_spec::crypto::{AesBits, AesKey, Block, CryptoError};
use proptest::prelude::*;

use super::rig::{PROVIDERS, key};

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// The keys of NIST SP 800-38A appendix F.2 and SP 800-38B appendix D, whose answers stand below.
const KEYS: [&str; 3] = [
    "2b7e151628aed2a6abf7158809cf4f3c",
    "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
];
/// The two blocks in CBC, under each of the keys.
const CBC: [&str; 3] = [
    "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2",
    "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a",
    "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d",
];
/// The MACs of nothing and of the first block, under each of the keys.
const CMAC: [[&str; 2]; 3] = [
    ["bb1d6929e95937287fa37d129b756746", "070a16b46b4d4144f79bdd9dd04a287c"],
    ["d17ddf46adaacde531cac483de7a9367", "9e99a7bf31e710900662f65e617c5184"],
    ["028962f61b7bf89efc6b551f4667d983", "28a7023f452e8f82bd4bf28d8c37c35c"],
];
const TEXT: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";

#[test]
fn every_key_length_gives_the_answers_of_nist() {
    let iv: Block = unhex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
    let text = unhex(TEXT);
    for provider in PROVIDERS {
        for (i, hex_key) in KEYS.into_iter().enumerate() {
            let key = AesKey::try_from(&unhex(hex_key)[..]).unwrap();
            assert_eq!(key.bits(), AesBits::ALL[i]);
            let mut blocks = text.as_chunks().0.to_vec();
            provider.aes_cbc_encrypt(&key, &iv, &mut blocks);
            assert_eq!(hex::encode(blocks.as_flattened()), CBC[i], "{}", provider.name());
            provider.aes_cbc_decrypt(&key, &iv, &mut blocks);
            assert_eq!(blocks.as_flattened(), text, "{}", provider.name());
            let macs = [&[][..], &text[..16]].map(|message| hex::encode(provider.aes_cmac(&key, &[message])));
            assert_eq!(macs, CMAC[i], "{}", provider.name());
        }
    }
}

#[test]
fn a_key_has_16_24_or_32_bytes_and_is_not_printed() {
    for len in (0..40).filter(|len| ![16, 24, 32].contains(len)) {
        assert_eq!(AesKey::try_from(&vec![0; len][..]).unwrap_err(), CryptoError::BadAesKey);
    }
    assert_eq!(format!("{:?}", key(0xAB, AesBits::B192)), "AesKey(192 bits, redacted)");
}

proptest! {
    #[test]
    fn the_providers_agree(
        seed: u8,
        size in 0..3usize,
        iv: Block,
        blocks in proptest::collection::vec(any::<Block>(), 0..6),
        message in proptest::collection::vec(any::<u8>(), 0..70),
        cut in 0..70usize,
    ) {
        let key = key(seed, AesBits::ALL[size]);
        let [fast, pure] = PROVIDERS;
        let (mut a, mut b) = (blocks.clone(), blocks.clone());
        fast.aes_cbc_encrypt(&key, &iv, &mut a);
        pure.aes_cbc_encrypt(&key, &iv, &mut b);
        prop_assert_eq!(&a, &b);
        pure.aes_cbc_decrypt(&key, &iv, &mut a);
        fast.aes_cbc_decrypt(&key, &iv, &mut b);
        prop_assert_eq!(&a, &blocks);
        prop_assert_eq!(&b, &blocks);
        let (head, tail) = message.split_at(cut.min(message.len()));
        prop_assert_eq!(fast.aes_cmac(&key, &[head, tail]), pure.aes_cmac(&key, &[&message]));
    }
}

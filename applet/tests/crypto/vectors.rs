//! `fixtures/vectors/primitives.json`, computed by another program.

use std::collections::BTreeSet;

use onetap_apdu_spec::crypto::AesBits;
use onetap_applet::crypto::{
    Aes, Curve, EcPair, EcPublic, Hash, Hmac, Key, MessageDigest, Mode, Reason, TAG_LEN,
};
use onetap_applet::runtime::Context;
use serde_json::Value;

use crate::rig::{once, reason};

fn file() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/primitives.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

struct Vector<'a>(&'a Value);

impl Vector<'_> {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_else(|| panic!("{} has no {field}", self.0["id"]))
    }

    fn bytes(&self, field: &str) -> Vec<u8> {
        hex::decode(self.text(field)).unwrap()
    }

    fn array<const N: usize>(&self, field: &str) -> [u8; N] {
        self.bytes(field).try_into().unwrap()
    }

    fn has(&self, field: &str) -> bool {
        self.0.get(field).is_some()
    }

    fn is_valid(&self) -> bool {
        self.text("expect") == "valid"
    }

    fn hash(&self) -> Hash {
        match self.text("hash") {
            "sha1" => Hash::Sha1,
            "sha256" => Hash::Sha256,
            "sha384" => Hash::Sha384,
            "sha512" => Hash::Sha512,
            other => panic!("no hash {other}"),
        }
    }

    fn curve(&self) -> Curve {
        match self.text("curve") {
            "p256" => Curve::P256,
            "p384" => Curve::P384,
            other => panic!("no curve {other}"),
        }
    }

    fn aes(&self, cx: &mut Context<'_>) -> Key<Aes> {
        let key = self.bytes("key");
        let object = Key::persistent(0, Aes(AesBits::from_bytes(key.len()).unwrap()));
        object.set(cx, &key).unwrap();
        object
    }
}

/// Every vector of a file, with its kind: each kind is there, and both outcomes of most.
#[test]
fn every_vector_is_reproduced() {
    let file = file();
    let mut kinds = BTreeSet::new();
    for vector in file["vectors"].as_array().unwrap().iter().map(Vector) {
        let op = vector.text("op");
        kinds.insert((op.to_owned(), vector.is_valid()));
        once(|cx| match op {
            "hash" => hash(&vector, cx),
            "hmac" => hmac(&vector, cx),
            "cbc" => cipher(&vector, cx, Mode::Cbc),
            "cbc-padded" => cipher(&vector, cx, Mode::CbcPadded),
            "ctr" => cipher(&vector, cx, Mode::Ctr),
            "cmac" => cmac(&vector, cx),
            "gcm" => gcm(&vector, cx),
            "key" => key(&vector, cx),
            "ecdh" => ecdh(&vector, cx),
            "ecdsa" => ecdsa(&vector, cx),
            other => panic!("no operation {other}"),
        });
    }
    assert_eq!(kinds.len(), 16, "{kinds:?}");
}

fn hash(vector: &Vector<'_>, cx: &mut Context<'_>) {
    let (message, result) = (vector.bytes("message"), vector.bytes("result"));
    assert_eq!(vector.hash().bytes(), result.len());
    for part in [1, 7, 64, usize::MAX] {
        let mut digest = MessageDigest::new(vector.hash());
        message.chunks(part).for_each(|part| digest.update(cx, part));
        assert_eq!(digest.finish(), result, "{} in parts of {part}", vector.text("id"));
    }
}

fn hmac(vector: &Vector<'_>, cx: &mut Context<'_>) {
    let (key, message, result) = (vector.bytes("key"), vector.bytes("message"), vector.bytes("result"));
    let object = Key::persistent(0, Hmac(key.len().try_into().unwrap()));
    object.set(cx, &key).unwrap();
    let (hash, parts) = (vector.hash(), message.split_at(message.len() / 3));
    let verified = object.verify_hmac(cx, hash, &[&message], &result).unwrap();
    assert_eq!(verified, vector.is_valid(), "{}", vector.text("id"));
    if vector.is_valid() {
        assert_eq!(object.hmac(cx, hash, &[parts.0, parts.1]).unwrap(), result, "{}", vector.text("id"));
    }
}

fn cipher(vector: &Vector<'_>, cx: &mut Context<'_>, mode: Mode) {
    let (key, iv, result) = (vector.aes(cx), vector.array("iv"), vector.bytes("result"));
    if vector.is_valid() {
        let data = vector.bytes("data");
        assert_eq!(key.encrypt(cx, mode, &iv, &data).unwrap(), result, "{}", vector.text("id"));
        assert_eq!(*key.decrypt(cx, mode, &iv, &result).unwrap(), data, "{}", vector.text("id"));
        return;
    }
    let refused = reason(key.decrypt(cx, mode, &iv, &result));
    assert_eq!(refused, Some(Reason::IllegalUse), "{}", vector.text("id"));
    if mode == Mode::Cbc {
        assert_eq!(reason(key.encrypt(cx, mode, &iv, &result)), Some(Reason::IllegalUse));
    }
}

fn cmac(vector: &Vector<'_>, cx: &mut Context<'_>) {
    let (key, data, result) = (vector.aes(cx), vector.bytes("data"), vector.bytes("result"));
    let parts = data.split_at(data.len() / 3);
    assert_eq!(key.cmac(cx, &[parts.0, parts.1]).unwrap()[..], result, "{}", vector.text("id"));
    assert!(key.verify_cmac(cx, &[&data], &result).unwrap());
    let mut wrong = result;
    wrong[15] ^= 1;
    assert!(!key.verify_cmac(cx, &[&data], &wrong).unwrap());
    assert!(!key.verify_cmac(cx, &[&data], &wrong[..15]).unwrap());
}

fn gcm(vector: &Vector<'_>, cx: &mut Context<'_>) {
    let (key, nonce, aad) = (vector.aes(cx), vector.array("nonce"), vector.bytes("aad"));
    let result = vector.bytes("result");
    let opened = key.open(cx, &nonce, &aad, &result).unwrap();
    if vector.is_valid() {
        let data = vector.bytes("data");
        assert_eq!(result.len(), data.len() + TAG_LEN);
        assert_eq!(key.seal(cx, &nonce, &aad, &data).unwrap(), result, "{}", vector.text("id"));
        assert_eq!(opened.as_deref(), Some(&data), "{}", vector.text("id"));
    } else {
        assert_eq!(opened, None, "{}", vector.text("id"));
    }
}

/// A private number, a public point, or both.
fn key(vector: &Vector<'_>, cx: &mut Context<'_>) {
    let (pair, public) =
        (Key::persistent(0, EcPair(vector.curve())), Key::persistent(1, EcPublic(vector.curve())));
    if vector.has("private") {
        let number = vector.bytes("private");
        let set = pair.set(cx, &number);
        if vector.is_valid() {
            set.unwrap();
            assert_eq!(pair.public(cx).unwrap(), vector.bytes("public"), "{}", vector.text("id"));
            assert_eq!(*pair.expose(cx).unwrap(), number);
        } else {
            assert_eq!(reason(set), Some(Reason::IllegalValue), "{}", vector.text("id"));
            assert!(!pair.is_initialized(cx).unwrap());
        }
    }
    if vector.has("public") {
        let point = vector.bytes("public");
        let set = public.set(cx, &point);
        if vector.is_valid() {
            set.unwrap();
            assert_eq!(*public.expose(cx).unwrap(), point);
        } else {
            assert_eq!(reason(set), Some(Reason::IllegalValue), "{}", vector.text("id"));
            pair.generate(cx).unwrap();
            let agreed = reason(pair.agree(cx, &point));
            assert_eq!(agreed, Some(Reason::IllegalValue), "{}", vector.text("id"));
        }
    }
}

fn ecdh(vector: &Vector<'_>, cx: &mut Context<'_>) {
    let pair = Key::on_reset(0, EcPair(vector.curve()));
    pair.set(cx, &vector.bytes("private")).unwrap();
    let secret = pair.agree(cx, &vector.bytes("peer")).unwrap();
    assert_eq!(*secret, vector.bytes("result"), "{}", vector.text("id"));
}

fn ecdsa(vector: &Vector<'_>, cx: &mut Context<'_>) {
    let (message, signature) = (vector.bytes("message"), vector.bytes("result"));
    let (pair, public) =
        (Key::persistent(0, EcPair(vector.curve())), Key::persistent(1, EcPublic(vector.curve())));
    public.set(cx, &vector.bytes("public")).unwrap();
    let parts = message.split_at(message.len() / 3);
    let verified = public.verify(cx, &[parts.0, parts.1], &signature).unwrap();
    assert_eq!(verified, vector.is_valid(), "{}", vector.text("id"));
    if !vector.is_valid() {
        return;
    }
    let digest = vector.bytes("digest");
    assert!(public.verify_digest(cx, &digest, &signature).unwrap());
    pair.set(cx, &vector.bytes("private")).unwrap();
    for own in [pair.sign(cx, &[parts.0, parts.1]).unwrap(), pair.sign_digest(cx, &digest).unwrap()] {
        assert!(public.verify(cx, &[&message], &own).unwrap());
        assert!(!public.verify(cx, &[&message, b"more"], &own).unwrap());
    }
    for wrong in [&digest[1..], &[&digest[..], &[0]].concat(), &[]] {
        assert_eq!(reason(pair.sign_digest(cx, wrong)), Some(Reason::IllegalValue));
        assert_eq!(reason(public.verify_digest(cx, wrong, &signature)), Some(Reason::IllegalValue));
    }
}

//! Sealing: nothing of the file can be changed unnoticed, and nothing but the right secret opens it.

use std::fs;
use std::path::Path;

use onetap_apdu_spec::crypto::Key256;
use onetap_server_verifier::keys::{Passphrase, reseal, sealed_by, show};
use onetap_server_verifier::*;
use proptest::prelude::*;

use crate::support::*;

fn passphrase(text: &str) -> KeyAccess {
    KeyAccess::sealed(KeyProtection::Passphrase(Passphrase::new(text).unwrap()))
}

fn key_file(byte: u8) -> KeyAccess {
    KeyAccess::sealed(KeyProtection::KeyFile(Key256::new([byte; 32])))
}

fn environment_with(keys: &KeyAccess) -> Environment {
    environment(&TestClock::new()).with_keys(keys.clone())
}

fn init(directory: &Path, keys: &KeyAccess) -> Verifier {
    Verifier::init(directory, options(|_| ()), environment_with(keys)).unwrap()
}

fn open(directory: &Path, keys: &KeyAccess) -> Result<Verifier, KeyFileError> {
    Verifier::open(directory, environment_with(keys)).map_err(|error| match error {
        ServiceError::Keys(error) => error,
        other => panic!("{other}"),
    })
}

#[test]
fn what_was_sealed_opens_with_the_same_secret_only() {
    let wrong = [passphrase("correct horse"), key_file(8)];
    for (by, right) in [("passphrase", passphrase("correct horse battery")), ("key", key_file(7))] {
        let directory = tempfile::tempdir().unwrap();
        let server = init(directory.path(), &right).server_id();
        assert_eq!(sealed_by(directory.path()).unwrap(), Some(by));
        assert_eq!(open(directory.path(), &right).unwrap().server_id(), server);
        let plain = open(directory.path(), &KeyAccess::default()).unwrap_err();
        assert!(matches!(plain, KeyFileError::Sealed { by: named, .. } if named == by), "{plain}");
        for wrong in &wrong {
            let error = open(directory.path(), wrong).unwrap_err();
            let clear = match (by, &wrong.protection) {
                ("passphrase", KeyProtection::Passphrase(_)) => {
                    matches!(error, KeyFileError::WrongPassphrase { .. })
                }
                ("key", KeyProtection::KeyFile(_)) => matches!(error, KeyFileError::WrongKeyFile { .. }),
                _ => matches!(error, KeyFileError::Sealed { .. }),
            };
            assert!(clear, "{by}: {error}");
        }
    }
}

#[test]
fn sealing_and_unsealing_keep_the_keys() {
    let directory = tempfile::tempdir().unwrap();
    let plain = KeyAccess::default();
    drop(init(directory.path(), &plain));
    let before = show(directory.path(), &environment_with(&plain)).unwrap();
    let mut now = plain.clone();
    for next in [passphrase("one"), key_file(1), passphrase("two"), plain] {
        reseal(directory.path(), &next.protection, &environment_with(&now)).unwrap();
        let after = show(directory.path(), &environment_with(&next)).unwrap();
        assert_eq!(KeySummary { sealed_by: None, ..after }, before);
        now = next;
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "keys and database, nothing else");
}

/// What a thief of the file finds.
#[test]
fn no_secret_is_readable_in_a_sealed_file() {
    let directory = tempfile::tempdir().unwrap();
    drop(init(directory.path(), &KeyAccess::default()));
    let file = directory.path().join("keys.json");
    let plain: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let key = key_file(1);
    reseal(directory.path(), &key.protection, &environment_with(&KeyAccess::default())).unwrap();
    let sealed = fs::read_to_string(&file).unwrap();
    let mut secrets = Vec::new();
    long_strings(&plain["keys"]["plain"], "", &mut secrets);
    let names: Vec<_> = secrets.iter().map(|(name, _)| name.as_str()).collect();
    let all =
        ["/audit", "/checkpoint", "/decryption/0/key/pkcs8", "/issuer/0/key/key", "/requests", "/webhook"];
    assert_eq!(names, all);
    for (name, secret) in &secrets {
        // No 16 bytes of it stand there.
        let pieces = secret.as_bytes().chunks_exact(32).map(|piece| std::str::from_utf8(piece).unwrap());
        assert!(pieces.clone().count() >= 2 && pieces.clone().all(|piece| !sealed.contains(piece)), "{name}");
    }
    assert!(sealed.contains(plain["server"].as_str().unwrap()), "the server's id is no secret");
}

/// Texts of 32 bytes in hexadecimal and more, with where they stand, in the order of their names.
fn long_strings(value: &serde_json::Value, place: &str, found: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::String(text) if text.len() >= 64 => found.push((place.to_owned(), text.clone())),
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| long_strings(item, &format!("{place}/{i}"), found));
        }
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| long_strings(field, &format!("{place}/{name}"), found));
        }
        _ => {}
    }
    found.sort();
}

#[test]
fn neither_keys_nor_passphrase_are_in_debug() {
    let directory = tempfile::tempdir().unwrap();
    let access = passphrase("correct horse battery");
    let verifier = init(directory.path(), &access);
    let said = format!("{verifier:?} {access:?} {:?}", key_file(0xAB));
    assert!(!said.contains("correct") && !said.contains("abab") && !said.contains("171"), "{said}");
}

/// The check that anybody can compute is made to fit again, so that the seal itself has to notice.
#[test]
fn attack_change_a_sealed_file_and_its_check() {
    let directory = tempfile::tempdir().unwrap();
    let access = key_file(7);
    drop(init(directory.path(), &access));
    let path = directory.path().join("keys.json");
    let file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let original = file["keys"]["sealed"].clone();
    assert!(forge(&path, &file, &original).is_ok(), "the forger can do what we do");
    open(directory.path(), &access).unwrap();
    for (pointer, at) in [("/by/key-file/salt", 3), ("/nonce", 0), ("/ciphertext", 0), ("/ciphertext", 999)] {
        let mut sealed = original.clone();
        let hex = sealed.pointer_mut(pointer).unwrap();
        let mut bytes = hex::decode(hex.as_str().unwrap()).unwrap();
        bytes[at] ^= 1;
        *hex = hex::encode(bytes).into();
        forge(&path, &file, &sealed).unwrap();
        let error = open(directory.path(), &access).unwrap_err();
        assert!(matches!(error, KeyFileError::WrongKeyFile { .. }), "{pointer}: {error}");
    }
    let mut other = file.clone();
    other["server"] = "0102030405060708".into();
    forge(&path, &other, &original).unwrap();
    assert!(matches!(open(directory.path(), &access), Err(KeyFileError::WrongKeyFile { .. })));
}

/// A file that asks for all memory there is.
#[test]
fn attack_ask_for_more_memory_than_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let access = passphrase("one");
    drop(init(directory.path(), &access));
    let path = directory.path().join("keys.json");
    let file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (name, value) in [("memory_kib", u32::MAX), ("passes", 1 << 20), ("lanes", 1 << 23)] {
        let mut sealed = file["keys"]["sealed"].clone();
        sealed["by"]["passphrase"]["argon2id"][name] = value.into();
        forge(&path, &file, &sealed).unwrap();
        let error = open(directory.path(), &access).unwrap_err();
        assert!(matches!(error, KeyFileError::TooCostly { .. }), "{name}: {error}");
    }
}

/// Writes the file as this program does, with the check that belongs to it. `serde_json::Value` sorts its
/// fields, so the order is written out.
fn forge(path: &Path, file: &serde_json::Value, sealed: &serde_json::Value) -> std::io::Result<()> {
    let by = match sealed["by"].as_object().unwrap().iter().next().unwrap() {
        (kind, value) if kind == "passphrase" => {
            let cost = &value["argon2id"];
            let numbers = ["memory_kib", "passes", "lanes"].map(|name| format!("\"{name}\":{}", cost[name]));
            format!("\"passphrase\":{{\"argon2id\":{{{}}},\"salt\":{}}}", numbers.join(","), value["salt"])
        }
        (kind, value) => format!("\"{kind}\":{{\"salt\":{}}}", value["salt"]),
    };
    let keys = format!(
        "{{\"sealed\":{{\"by\":{{{by}}},\"nonce\":{},\"ciphertext\":{}}}}}",
        sealed["nonce"], sealed["ciphertext"]
    );
    let server = file["server"].as_str().unwrap();
    let head = [b"onetap/keys", &2_u32.to_be_bytes()[..], &hex::decode(server).unwrap()].concat();
    let check = onetap_apdu_spec::crypto::default_provider().sha256(&[&head, keys.as_bytes()]);
    let check = hex::encode(check);
    let compact = format!("{{\"format\":2,\"server\":\"{server}\",\"keys\":{keys},\"check\":\"{check}\"}}");
    fs::write(path, pretty(&compact))
}

/// Indents JSON by two blanks; no string in it holds a bracket, comma or colon.
fn pretty(compact: &str) -> String {
    let (mut out, mut depth) = (String::new(), 0);
    for c in compact.chars() {
        match c {
            '{' => {
                depth += 1;
                out.push_str(&format!("{{\n{}", "  ".repeat(depth)));
            }
            '}' => {
                depth -= 1;
                out.push_str(&format!("\n{}}}", "  ".repeat(depth)));
            }
            ',' => out.push_str(&format!(",\n{}", "  ".repeat(depth))),
            ':' => out.push_str(": "),
            c => out.push(c),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed(at in any::<prop::sample::Index>(), bit in 0_u8..8, plain: bool) {
        thread_local! {
            static MADE: [(tempfile::TempDir, KeyAccess, Vec<u8>); 2] =
                [KeyAccess::default(), key_file(7)].map(|access| {
                    let directory = tempfile::tempdir().unwrap();
                    drop(init(directory.path(), &access));
                    let bytes = fs::read(directory.path().join("keys.json")).unwrap();
                    (directory, access, bytes)
                });
        }
        MADE.with(|made| {
            let (directory, access, whole) = &made[usize::from(plain)];
            let path = directory.path().join("keys.json");
            let at = at.index(whole.len());
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            for damaged in [&flipped[..], &whole[..at]] {
                fs::write(&path, damaged).unwrap();
                let error = open(directory.path(), access).unwrap_err();
                let named = matches!(error, KeyFileError::Damaged { .. } | KeyFileError::NewerFormat { .. });
                prop_assert!(named, "{at} {bit}: {error}");
            }
            fs::write(&path, whole).unwrap();
            prop_assert!(open(directory.path(), access).is_ok());
            Ok(())
        })?;
    }
}

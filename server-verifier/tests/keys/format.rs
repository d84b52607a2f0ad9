//! Key files of earlier formats.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use onetap_server_verifier::keys::{Passphrase, reseal, show};
use onetap_server_verifier::*;

use crate::support::*;

/// As the first version of this program wrote it.
fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/keys/format-1.json")
}

fn put(directory: &Path) -> PathBuf {
    let path = directory.join("keys.json");
    fs::copy(sample(), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_file_of_format_1_is_read_and_replaced_with_its_keys_as_version_1() {
    let directory = tempfile::tempdir().unwrap();
    let path = put(directory.path());
    let clock = TestClock::new();
    let old: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let verifier = Verifier::init(directory.path(), options(|_| ()), environment(&clock)).unwrap();
    assert_eq!(verifier.server_id().to_string(), old["server"].as_str().unwrap());
    let new: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let keys = &new["keys"]["plain"];
    assert_eq!(new["format"], 2);
    assert_eq!(keys["decryption"], serde_json::json!([{ "id": 1, "key": { "pkcs8": old["decryption"] } }]));
    assert_eq!(keys["issuer"], serde_json::json!([{ "id": 1, "key": { "key": old["issuer"] } }]));
    assert_eq!((&keys["requests"], &keys["audit"]), (&old["requests"], &old["audit"]));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Once and not again: the keys that were added stay.
    let checkpoint = verifier.checkpoint_public_key();
    let again = Verifier::open(directory.path(), environment(&clock)).unwrap();
    assert_eq!(again.checkpoint_public_key(), checkpoint);
}

#[test]
fn a_file_of_format_1_can_be_sealed_at_once() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path());
    let protection = KeyProtection::Passphrase(Passphrase::new("one").unwrap());
    reseal(directory.path(), &protection, &environment(&TestClock::new())).unwrap();
    let opens = environment(&TestClock::new()).with_keys(KeyAccess::sealed(protection));
    let summary = show(directory.path(), &opens).unwrap();
    assert_eq!((summary.sealed_by, summary.server_keys.len()), (Some("passphrase"), 1));
}

#[test]
fn files_that_make_no_sense_are_damaged() {
    let sample = fs::read_to_string(sample()).unwrap();
    for (from, to) in [
        ("\"format\": 1", "\"format\": 0"),
        ("\"audit\"", "\"other\""),
        ("\"issuer\": \"", "\"issuer\": \"0"),
        ("\"decryption\": \"30", "\"decryption\": \"31"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = put(directory.path());
        assert!(sample.contains(from), "{from}");
        fs::write(&path, sample.replacen(from, to, 1)).unwrap();
        let error = show(directory.path(), &environment(&TestClock::new())).unwrap_err();
        assert!(matches!(error, KeyFileError::Damaged { .. }), "{to}: {error}");
    }
}

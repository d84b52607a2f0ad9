//! Key sets: put, replaced, counted.

use onetap_apdu_spec::crypto::{AesBits, default_provider};
use onetap_apdu_spec::gp::ceremony::CeremonyError;
use onetap_apdu_spec::gp::registry::KeyInformation;
use onetap_apdu_spec::gp::scp03::{HandshakeError, SecurityLevel};
use onetap_apdu_spec::gp::{GpCommand, KeySet, KeyVersion, status};
use onetap_apdu_spec::sw::StatusWord;

use crate::rig::{Bench, Failed, own_keys, refusal};

fn put(bench: &mut Bench, keys: &KeySet, new: &KeySet) -> Result<(), Failed> {
    bench.with_keys(keys, |issuer| issuer.put_keys(new))
}

#[test]
fn the_initial_keys_go_with_the_first_that_are_put() {
    let mut bench = Bench::new();
    let information = bench.with_keys(&KeySet::TEST, |issuer| issuer.key_information()).unwrap();
    assert_eq!(information, KeyInformation::of_set(KeyVersion::INITIAL, AesBits::B128));
    put(&mut bench, &KeySet::TEST, &own_keys(0x30)).unwrap();
    let mut bench = bench.restart();
    let error = bench.with_keys(&KeySet::TEST, |_| Ok(())).unwrap_err();
    assert!(matches!(error, CeremonyError::Handshake(HandshakeError::OtherKeyVersion(0x30))), "{error}");
    put(&mut bench, &own_keys(0x30), &own_keys(0x31)).unwrap();
    assert_eq!(bench.initialize(KeyVersion::FIRST).1.sw, StatusWord::NO_SUCH_OBJECT);
    put(&mut bench, &own_keys(0x31), &own_keys(0x31)).unwrap();
    let information = bench.with_keys(&own_keys(0x31), |issuer| issuer.key_information()).unwrap();
    assert_eq!(information, KeyInformation::of_set(own_keys(0x31).version(), AesBits::B256));
}

#[test]
fn a_channel_outlives_the_keys_that_it_was_opened_with() {
    let mut bench = Bench::new();
    bench
        .with_keys(&KeySet::TEST, |issuer| {
            issuer.put_keys(&own_keys(0x30))?;
            issuer.key_information()
        })
        .unwrap();
}

/// P1 = 00 adds; there is room for four, and no version twice.
#[test]
fn several_versions_beside_each_other() {
    let mut bench = Bench::new();
    put(&mut bench, &KeySet::TEST, &own_keys(0x30)).unwrap();
    let add = |bench: &mut Bench, version| bench.add_keys(&own_keys(0x30), &own_keys(version));
    assert_eq!(add(&mut bench, 0x31), StatusWord::OK);
    assert_eq!(add(&mut bench, 0x31), StatusWord::WRONG_DATA);
    assert_eq!(add(&mut bench, 0x32), StatusWord::OK);
    assert_eq!(add(&mut bench, 0x33), StatusWord::OK);
    assert_eq!(add(&mut bench, 0x34), StatusWord::NO_SPACE);
    assert_eq!(refusal(put(&mut bench, &own_keys(0x31), &own_keys(0x32))), StatusWord::WRONG_DATA);
    for version in [0x30, 0x31, 0x32, 0x33] {
        bench.with_keys(&own_keys(version), |_| Ok(())).unwrap();
    }
    let delete = |bench: &mut Bench, version: u8| {
        let version = KeyVersion::new(version).unwrap();
        bench.with_keys(&own_keys(0x33), |issuer| issuer.delete_keys(version))
    };
    for version in [0x30, 0x31, 0x32] {
        delete(&mut bench, version).unwrap();
    }
    assert_eq!(refusal(delete(&mut bench, 0x30)), StatusWord::NO_SUCH_OBJECT);
    assert_eq!(refusal(delete(&mut bench, 0x33)), StatusWord::CONDITIONS, "the last one");
}

#[test]
fn keys_sealed_under_another_key_are_refused_and_the_old_ones_stay() {
    let mut bench = Bench::new();
    let host = bench.channel(&KeySet::TEST, SecurityLevel::CMac);
    let wrong = own_keys(0x35).data_key(default_provider());
    let put = onetap_apdu_spec::gp::put_key::PutKey::seal(
        default_provider(),
        &wrong,
        KeyVersion::INITIAL,
        &own_keys(0x30),
    );
    let (waiting, bytes) = host.wrap(&GpCommand::PutKey(put).encode().borrow()).unwrap();
    let response = bench.send(&bytes);
    assert_eq!(waiting.unwrap(&response).unwrap().1.sw, status::KEY_CHECK_FAILED);
    bench.with_keys(&KeySet::TEST, |_| Ok(())).unwrap();
}

/// REQ-I-9: new keys begin to count at 0; keys that the card has had go on, for as long as it remembers them, and then from
/// where the highest of those that are forgotten was.
#[test]
fn new_keys_count_from_the_start_and_keys_that_come_back_go_on() {
    let mut bench = Bench::new();
    put(&mut bench, &KeySet::TEST, &own_keys(0x30)).unwrap();
    for expected in 1..=5 {
        assert_eq!(bench.sequence(&own_keys(0x30)), expected);
    }
    assert_eq!(bench.add_keys(&own_keys(0x30), &own_keys(0x31)), StatusWord::OK);
    assert_eq!(bench.sequence(&own_keys(0x31)), 1, "a key set that is added");
    put(&mut bench, &own_keys(0x30), &own_keys(0x32)).unwrap();
    assert_eq!(bench.sequence(&own_keys(0x32)), 1, "a key set in the place of another");
    bench = bench.restart();
    put(&mut bench, &own_keys(0x32), &own_keys(0x30)).unwrap();
    assert_eq!(bench.sequence(&own_keys(0x30)), 8, "two channels more had been opened by them");
    let mut last = own_keys(0x30);
    for version in 0x40..0x40 + 40 {
        put(&mut bench, &last, &own_keys(version)).unwrap();
        last = own_keys(version);
    }
    put(&mut bench, &last, &own_keys(0x30)).unwrap();
    assert!(bench.sequence(&own_keys(0x30)) > 8, "forgotten, and not below what it was");
}

/// The same keys under two versions would each count for itself, and draw the same challenges.
#[test]
fn keys_that_another_version_has_are_refused() {
    let mut bench = Bench::new();
    put(&mut bench, &KeySet::TEST, &own_keys(0x30)).unwrap();
    let [enc, mac, _] = own_keys(0x30).keys().map(Clone::clone);
    let [.., dek] = own_keys(0x31).keys().map(Clone::clone);
    let same = KeySet::new(KeyVersion::new(0x31).unwrap(), enc, mac, dek).unwrap();
    assert_eq!(bench.add_keys(&own_keys(0x30), &same), StatusWord::WRONG_DATA);
    put(&mut bench, &own_keys(0x30), &same).unwrap();
    assert!(bench.sequence(&same) > 2, "a version more, and no challenge of old");
}

#[test]
fn the_sequence_counter_only_grows() {
    let mut bench = Bench::new();
    let mut last = 0;
    for turn in 0..20 {
        let now = bench.sequence(&KeySet::TEST);
        assert_eq!(now, last + 1);
        last = now;
        match turn % 3 {
            0 => bench.card.reset(),
            1 => bench = bench.restart(),
            _ => {}
        }
    }
    put(&mut bench, &KeySet::TEST, &own_keys(0x30)).unwrap();
    assert_eq!(bench.sequence(&own_keys(0x30)), 1, "new keys begin to count");
}

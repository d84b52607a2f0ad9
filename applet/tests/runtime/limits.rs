//! An applet meets what a real card's chip has no room or time for.

use onetap_apdu_spec::crypto::{AesBits, Key256, RsaBits, SigningKeyType};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::Environment;
use onetap_applet::card::{CardTime as _, Millis, VirtualClock};
use onetap_applet::crypto::{Aes, Curve, EcPair, EcPublic, Hash, Hmac, Key, MessageDigest, Mode};
use onetap_applet::nvm::NvmError;
use onetap_applet::runtime::{Context, Costs, Fault, Field, Limits, Protocol, SELECTABLE};

use crate::probe::{BYTES, NUMBER, OTHER, Probe, UNTIL_RESET, pattern};
use crate::rig::{Rig, aid, name};

const ECHO: [u8; 4] = [0x80, Probe::ECHO, 0, 0];

fn rig(limits: Limits) -> Rig {
    Rig::with_limits(limits)
}

#[test]
fn a_command_that_is_longer_than_the_apdu_buffer_is_6700() {
    let mut rig = rig(Limits { apdu: 100, ..Limits::NONE });
    // Header, Lc, data, Le.
    let fits = rig.send(ECHO, &pattern(94), Some(256));
    assert_eq!((fits.data, fits.sw.as_str()), (pattern(94), "9000"));
    assert_eq!(rig.send(ECHO, &pattern(95), Some(256)).sw, "6700");
    assert_eq!(rig.send(ECHO, &pattern(95), None).sw, "615F", "without Le it is shorter");
    assert_eq!(rig.extended(ECHO, &pattern(10), Some(256)).sw, "6700", "it takes no extended length then");
}

#[test]
fn an_apdu_buffer_of_some_kilobytes_takes_extended_length_up_to_that() {
    let mut rig = rig(Limits { apdu: 1024, ..Limits::NONE });
    // Header, three bytes of Lc, data, two of Le.
    assert_eq!(rig.extended(ECHO, &pattern(1015), Some(2000)).sw, "9000");
    assert_eq!(rig.extended(ECHO, &pattern(1016), Some(2000)).sw, "6700");
}

#[test]
fn a_card_without_extended_length_refuses_it_and_chains() {
    for limits in [Limits { extended: false, ..Limits::NONE }, Limits::REAL_CARD] {
        let mut rig = rig(limits);
        assert_eq!(rig.extended(ECHO, &pattern(10), Some(256)).sw, "6700");
        assert_eq!(rig.extended(ECHO, &pattern(300), Some(256)).sw, "6700");
        let long = rig.send(ECHO, &pattern(255), Some(256));
        assert_eq!((long.data, long.sw.as_str()), (pattern(255), "9000"));
        let chain = [0x90, ECHO[1], 0, 0];
        assert_eq!(rig.send(chain, &pattern(255), None).sw, "9000");
        let first = rig.send(ECHO, &pattern(255), Some(256));
        assert_eq!((first.data.len(), first.sw.as_str()), (256, "61FE"));
        assert_eq!(rig.send([0x00, 0xC0, 0, 0], &[], Some(254)).sw, "9000");
    }
}

#[test]
fn t_0_of_a_real_card_goes_the_same_way() {
    let mut rig = rig(Limits { protocol: Protocol::T0, ..Limits::REAL_CARD });
    assert_eq!(rig.extended(ECHO, &pattern(10), Some(10)).sw, "6700");
    assert_eq!(rig.send(ECHO, &pattern(255), None).sw, "61FF");
    assert_eq!(rig.send([0x00, 0xC0, 0, 0], &[], Some(255)).data, pattern(255));
}

#[test]
fn a_transaction_that_the_commit_buffer_does_not_hold_is_the_standard_fault() {
    // Two pages.
    let mut rig = rig(Limits { commit: 512, ..Limits::NONE });
    rig.within(1, |cx| {
        cx.set(&NUMBER, &1).unwrap();
        assert_eq!(cx.commit_capacity(), 512);
        cx.begin().unwrap();
        cx.set(&NUMBER, &2).unwrap();
        assert!(cx.commit_capacity() < 256 && cx.commit_capacity() > 0);
        assert!(matches!(cx.set(&BYTES, &pattern(300)), Err(Fault::BufferFull)));
        assert_eq!(cx.get(&NUMBER).unwrap(), 2, "the transaction goes on");
        cx.commit().unwrap();
        // What is written without a transaction has to fit as well.
        assert!(matches!(cx.set(&BYTES, &pattern(1000)), Err(Fault::BufferFull)));
        assert!(matches!(cx.set_now(&BYTES, &pattern(1000)), Err(Fault::BufferFull)));
        cx.set(&BYTES, &pattern(400)).unwrap();
        assert_eq!(StatusWord::from(Fault::BufferFull), StatusWord::INTERNAL);
    });
    rig.probe(1, |probe, _| {
        probe.on_process = |cx, _| {
            cx.transaction(|cx| (10..20).try_for_each(|n| cx.set(&Field::<u8>::new(n), &n)))
                .map_err(|why: Fault| why.into())
        };
    });
    assert_eq!(rig.send([0x80, Probe::ACT, 0, 0], &[], None).sw, "6F00");
    rig.within(1, |cx| assert_eq!(cx.find(&Field::<u8>::new(10)).unwrap(), None));
    let made = rig.card.install(&Probe::PLAIN, aid(2), [0; 3], b"fills the buffer");
    assert_eq!(made, Err(StatusWord::INTERNAL));
    assert_eq!(rig.names().len(), 1);
}

#[test]
fn little_transient_memory_is_soon_full() {
    let mut rig = rig(Limits { transient: 3, ..Limits::NONE });
    rig.within(1, |cx| {
        cx.set_transient(&UNTIL_RESET, &100).unwrap();
        assert!(matches!(cx.set_transient(&UNTIL_RESET, &u32::MAX), Err(Fault::NoTransientSpace)));
        assert_eq!(cx.transient(&UNTIL_RESET).unwrap(), 100);
    });
}

#[test]
fn a_worn_page_fails_and_the_object_stays_as_it_was() {
    let mut rig = rig(Limits { endurance: Some(5), ..Limits::NONE });
    rig.within(1, |cx| {
        let written = (1..).find(|n| cx.set(&NUMBER, n).is_err()).unwrap();
        assert_eq!((written, cx.get(&NUMBER).unwrap()), (6, 5));
        let worn = cx.set(&NUMBER, &7);
        assert!(matches!(worn, Err(Fault::Nvm(NvmError::Worn(_)))));
        assert_eq!(StatusWord::from(worn.unwrap_err()).to_string(), "6581");
        assert!(matches!(cx.remove(&NUMBER), Err(Fault::Nvm(NvmError::Worn(_)))));
        let both = cx.transaction(|cx| cx.set(&OTHER, &1).and_then(|()| cx.set(&NUMBER, &7)));
        assert!(matches!(both, Err(Fault::Nvm(NvmError::Worn(_)))));
        assert_eq!(cx.find(&OTHER).unwrap(), None, "all or nothing");
        cx.set(&OTHER, &2).unwrap();
    });
    rig.probe(1, |probe, _| probe.on_process = |cx, _| Ok(cx.set(&NUMBER, &8)?));
    assert_eq!(rig.send([0x80, Probe::ACT, 0, 0], &[], None).sw, "6581");
    let mut rig = rig.restart();
    rig.within(1, |cx| assert_eq!((cx.get(&NUMBER).unwrap(), cx.get(&OTHER).unwrap()), (5, 2)));
}

/// The registry's page wears, too.
#[test]
fn a_life_cycle_on_a_worn_page_stays_as_it_was() {
    let mut rig = rig(Limits { endurance: Some(4), ..Limits::NONE });
    rig.within(1, |cx| {
        let states: Vec<u8> = (0..8).map(|n| SELECTABLE | n << 3).collect();
        let worn = states.iter().find(|state| cx.set_life_cycle(**state).is_err());
        let kept = cx.instance().unwrap().state;
        assert_eq!(worn.map(|worn| worn - 8), Some(kept));
    });
}

/// One microsecond, ten, a hundred and so on, so that a sum tells what it is of.
const TELLTALE: Costs = Costs {
    hash: 1_000,
    aes: 10_000,
    curve: 100_000,
    rsa_public: 1_000_000,
    rsa_private: 10_000_000,
    rsa_key: 100_000_000,
    page: 1_000_000_000,
};

/// A card with a clock, and what the clock says of some work, in milliseconds.
fn slow() -> (Rig, VirtualClock) {
    let clock = VirtualClock::at(Millis(0));
    let limits = Limits { costs: TELLTALE, ..Limits::NONE };
    let env = Environment { limits, clock: Box::new(clock.clone()), ..Environment::default() };
    let mut rig = Rig::with_environment(env);
    rig.install(Probe::PLAIN, 1);
    assert_eq!(rig.select(0, &name(1)), "9000");
    (rig, clock)
}

fn takes(rig: &mut Rig, clock: &VirtualClock, work: impl FnOnce(&mut Context<'_>)) -> u64 {
    clock.set(Millis(0));
    rig.within(1, work);
    clock.now().unwrap().0
}

#[test]
fn cryptography_takes_its_time() {
    let (mut rig, clock) = slow();
    const AES: Key<Aes> = Key::on_reset(10, Aes(AesBits::B128));
    const MAC: Key<Hmac> = Key::on_reset(11, Hmac(16));
    const PAIR: Key<EcPair> = Key::on_reset(12, EcPair(Curve::P256));
    const PEER: Key<EcPublic> = Key::on_reset(13, EcPublic(Curve::P256));
    let mut takes = |work: fn(&mut Context<'_>)| takes(&mut rig, &clock, work);
    assert_eq!(takes(|_| ()), 0);
    let secrets: fn(&mut Context<'_>) = |cx| {
        AES.generate(cx).unwrap();
        MAC.generate(cx).unwrap();
    };
    assert_eq!(takes(secrets), 0);
    assert_eq!(takes(|cx| PAIR.generate(cx).unwrap()), 100);
    assert_eq!(takes(|cx| drop(PAIR.sign(cx, &[&[0; 100]]).unwrap())), 100 + 2);
    assert_eq!(takes(|cx| drop(PAIR.sign_digest(cx, &[0; 32]).unwrap())), 100);
    let meet: fn(&mut Context<'_>) = |cx| {
        let public = PAIR.public(cx).unwrap();
        PEER.set(cx, &public).unwrap();
        PAIR.agree(cx, &public).unwrap();
    };
    assert_eq!(takes(meet), 100);
    assert_eq!(takes(|cx| assert!(!PEER.verify(cx, &[], b"no").unwrap())), 100 + 1);
    assert_eq!(takes(|cx| assert!(!PEER.verify_digest(cx, &[0; 32], b"no").unwrap())), 100);
    assert_eq!(takes(|cx| drop(MAC.hmac(cx, Hash::Sha256, &[&[0; 65]]).unwrap())), 2);
    assert_eq!(takes(|cx| MessageDigest::new(Hash::Sha1).update(cx, &[0; 640])), 10);
    assert_eq!(takes(|cx| drop(AES.encrypt(cx, Mode::Cbc, &[0; 16], &[0; 48]).unwrap())), 30);
    assert_eq!(takes(|cx| drop(AES.decrypt(cx, Mode::Ctr, &[0; 16], &[0; 17]).unwrap())), 20);
    assert_eq!(takes(|cx| assert!(!AES.verify_cmac(cx, &[&[0; 16], &[0; 16]], b"no").unwrap())), 20);
    assert_eq!(takes(|cx| drop(AES.seal(cx, &[0; 12], &[], &[0; 16]).unwrap())), 10);
    assert_eq!(takes(|cx| drop(AES.open(cx, &[0; 12], &[], &[0; 32]).unwrap())), 20);
    let specification: fn(&mut Context<'_>) = |cx| {
        let key = Key256::new([0; 32]);
        let digest = cx.crypto().sha256(&[&[0; 64]]);
        let sealed = cx.crypto().cbc_encrypt(&key, &[0; 16], &digest);
        cx.crypto().cbc_decrypt(&key, &[0; 16], &sealed).unwrap();
        let mut blocks = [cx.crypto().cmac(&key, &[&sealed])];
        cx.crypto().aes_cbc_encrypt(&(&key).into(), &[0; 16], &mut blocks);
        cx.crypto().aes_cbc_decrypt(&(&key).into(), &[0; 16], &mut blocks);
        cx.crypto().aes_cmac(&(&key).into(), &[&blocks[0]]);
    };
    assert_eq!(takes(specification), 1 + 30 + 30 + 30 + 10 + 10 + 10);
}

#[test]
fn the_specifications_keys_take_their_time() {
    use onetap_apdu_spec::suite::SignatureAlgorithm::{EcdsaP256Sha256, Pkcs1Sha256};
    let (mut rig, clock) = slow();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/card-key.pk8");
    let pkcs8 = std::fs::read(path).unwrap();
    let time = takes(&mut rig, &clock, |cx| {
        cx.make_signing_key(SigningKeyType::Rsa(RsaBits::B2048)).unwrap();
    });
    assert_eq!(time, 100_000);
    let time = takes(&mut rig, &clock, |cx| {
        let pkcs8 = cx.make_signing_key(SigningKeyType::P256).unwrap();
        let key = cx.crypto().signing_key(EcdsaP256Sha256, &pkcs8).unwrap();
        let signature = key.sign(EcdsaP256Sha256, b"message").unwrap();
        let public = cx.crypto().verifying_key(EcdsaP256Sha256, &key.public_spki()).unwrap();
        public.verify(EcdsaP256Sha256, b"message", &signature).unwrap();
    });
    assert_eq!(time, 3 * 100 + 2);
    let time = takes(&mut rig, &clock, |cx| {
        let key = cx.crypto().rsa_private(&pkcs8).unwrap();
        let public = cx.crypto().rsa_public(&key.public_spki()).unwrap();
        let signature = key.sign(Pkcs1Sha256, b"message").unwrap();
        public.verify(Pkcs1Sha256, b"message", &signature).unwrap();
        let sealed = public.encrypt_oaep(b"message").unwrap();
        key.decrypt_oaep(&sealed).unwrap();
    });
    assert_eq!(time, 2 * 10_000 + 2 * 1_000 + 2);
}

#[test]
fn writes_take_their_time_page_by_page() {
    const PAGE: u64 = 1_000_000;
    let (mut rig, clock) = slow();
    assert_eq!(takes(&mut rig, &clock, |cx| cx.set(&NUMBER, &1).unwrap()), PAGE);
    assert_eq!(takes(&mut rig, &clock, |cx| cx.set(&NUMBER, &1).unwrap()), 0, "nothing has changed");
    assert_eq!(takes(&mut rig, &clock, |cx| cx.set(&BYTES, &pattern(500)).unwrap()), 3 * PAGE);
    let both = |cx: &mut Context<'_>| {
        cx.transaction(|cx| cx.set(&NUMBER, &2).and_then(|()| cx.set(&OTHER, &2))).unwrap();
    };
    assert_eq!(takes(&mut rig, &clock, both), 2 * PAGE);
    let aborted = |cx: &mut Context<'_>| {
        cx.begin().unwrap();
        cx.set(&NUMBER, &3).unwrap();
        cx.abort().unwrap();
    };
    assert_eq!(takes(&mut rig, &clock, aborted), 0);
    assert_eq!(takes(&mut rig, &clock, |cx| cx.remove(&BYTES).unwrap()), 3 * PAGE);
    clock.set(Millis(0));
    rig.install(Probe::PLAIN, 2);
    assert_eq!(clock.now(), Some(Millis(PAGE)), "the registry");
}

#[test]
fn a_command_has_taken_its_time_when_it_is_answered_and_no_battery_no_time() {
    let (mut rig, clock) = slow();
    rig.probe(1, |probe, _| {
        probe.on_process = |cx, _| {
            Key::on_reset(12, EcPair(Curve::P256)).generate(cx)?;
            Ok(())
        };
    });
    clock.set(Millis(5));
    assert_eq!(rig.send([0x80, Probe::ACT, 0, 0], &[], None).sw, "9000");
    assert_eq!(clock.now(), Some(Millis(105)));
    clock.lose();
    assert_eq!(rig.send([0x80, Probe::ACT, 0, 0], &[], None).sw, "9000");
    assert_eq!(clock.now(), None);
}

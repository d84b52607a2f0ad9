//! Keys as objects of an applet.

use onetap_apdu_spec::crypto::{AesBits, CryptoError};
use onetap_apdu_spec::rng::{Rng, SeededRng};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::Environment;
use onetap_applet::crypto::{Aes, Curve, EcPair, EcPublic, Hash, Hmac, Key, KeyType, Mode, Reason};
use onetap_applet::nvm::{Cut, How};
use onetap_applet::runtime::{Context, Fault, Field};

use crate::rig::{Rig, once, reason};

const PAIR: Key<EcPair> = Key::persistent(0, EcPair(Curve::P256));
const SECRET: Key<Aes> = Key::persistent(1, Aes(AesBits::B256));
const MAC: Key<Hmac> = Key::persistent(2, Hmac(64));
const PEER: Key<EcPublic> = Key::persistent(3, EcPublic(Curve::P384));
const SESSION: Key<Aes> = Key::on_deselect(0, Aes(AesBits::B128));
const VISIT: Key<EcPair> = Key::on_reset(1, EcPair(Curve::P384));

const MESSAGE: &[u8] = b"pay 4.20";

/// True if a pair's two halves belong together.
fn is_whole(cx: &mut Context<'_>, pair: &Key<EcPair>, curve: Curve) -> bool {
    let signature = pair.sign(cx, &[MESSAGE]).unwrap();
    let public = Key::on_reset(9, EcPublic(curve));
    public.set(cx, &pair.public(cx).unwrap()).unwrap();
    public.verify(cx, &[MESSAGE], &signature).unwrap()
}

#[test]
fn a_key_knows_what_it_is() {
    assert_eq!((PAIR.key_type(), PAIR.bits()), (KeyType::EcPair, 256));
    assert_eq!((SECRET.key_type(), SECRET.bits()), (KeyType::Aes, 256));
    assert_eq!((MAC.key_type(), MAC.bits()), (KeyType::Hmac, 512));
    assert_eq!((PEER.key_type(), PEER.bits()), (KeyType::EcPublic, 384));
    assert_eq!((SESSION.bits(), VISIT.bits()), (128, 384));
}

#[test]
fn a_key_without_a_value_does_nothing() {
    once(|cx| {
        let uninitialized = Some(Reason::UninitializedKey);
        assert!(!PAIR.is_initialized(cx).unwrap() && !SESSION.is_initialized(cx).unwrap());
        assert_eq!(reason(PAIR.sign(cx, &[MESSAGE])), uninitialized);
        assert_eq!(reason(PAIR.sign_digest(cx, &[0; 32])), uninitialized);
        assert_eq!(reason(PAIR.agree(cx, &[4; 65])), uninitialized);
        assert_eq!(reason(PAIR.public(cx)), uninitialized);
        assert_eq!(reason(SECRET.expose(cx)), uninitialized);
        assert_eq!(reason(SESSION.encrypt(cx, Mode::Ctr, &[0; 16], MESSAGE)), uninitialized);
        assert_eq!(reason(SESSION.decrypt(cx, Mode::Ctr, &[0; 16], MESSAGE)), uninitialized);
        assert_eq!(reason(SECRET.cmac(cx, &[MESSAGE])), uninitialized);
        assert_eq!(reason(SECRET.seal(cx, &[0; 12], &[], MESSAGE)), uninitialized);
        assert_eq!(reason(SECRET.open(cx, &[0; 12], &[], MESSAGE)), uninitialized);
        assert_eq!(reason(MAC.hmac(cx, Hash::Sha1, &[MESSAGE])), uninitialized);
        assert_eq!(reason(PEER.verify(cx, &[MESSAGE], &[])), uninitialized);
        PAIR.clear(cx).unwrap();
        SESSION.clear(cx).unwrap();
    });
}

#[test]
fn a_refusal_has_the_code_of_java_card_and_becomes_6f00() {
    let codes = [Reason::IllegalValue, Reason::UninitializedKey, Reason::IllegalUse].map(Reason::code);
    assert_eq!(codes, [1, 2, 5]);
    assert_eq!(StatusWord::from(Fault::from(Reason::UninitializedKey)), StatusWord::INTERNAL);
}

#[test]
fn values_of_another_length_are_refused_and_the_key_stays() {
    once(|cx| {
        SECRET.set(cx, &[1; 32]).unwrap();
        MAC.set(cx, &[1; 64]).unwrap();
        for len in [0, 16, 31, 33, 63, 65] {
            let value = vec![2; len];
            assert_eq!(reason(SECRET.set(cx, &value)), Some(Reason::IllegalValue), "{len}");
            assert_eq!(reason(MAC.set(cx, &value)), Some(Reason::IllegalValue), "{len}");
        }
        assert_eq!(
            (&SECRET.expose(cx).unwrap()[..], &MAC.expose(cx).unwrap()[..]),
            (&[1; 32][..], &[1; 64][..])
        );
        assert_eq!(reason(Key::persistent(9, Hmac(0)).set(cx, &[])), Some(Reason::IllegalValue));
    });
}

#[test]
fn an_object_is_no_key_of_another_type_or_size() {
    once(|cx| {
        SECRET.generate(cx).unwrap();
        for other in [AesBits::B128, AesBits::B192] {
            let other = Key::persistent(1, Aes(other));
            assert!(matches!(other.is_initialized(cx), Err(Fault::NoSuchObject(1))));
            assert!(matches!(other.cmac(cx, &[MESSAGE]), Err(Fault::NoSuchObject(1))));
        }
        let same_size = Key::persistent(1, Hmac(32));
        assert!(matches!(same_size.expose(cx), Err(Fault::NoSuchObject(1))));
        cx.set(&Field::<u8>::new(4), &7).unwrap();
        assert!(Key::persistent(4, Aes(AesBits::B128)).expose(cx).is_err());
    });
}

#[test]
fn generated_keys_are_new_and_whole() {
    once(|cx| {
        let mut seen = Vec::new();
        for _ in 0..4 {
            for (pair, curve) in [(&PAIR, Curve::P256), (&VISIT, Curve::P384)] {
                pair.generate(cx).unwrap();
                assert!(is_whole(cx, pair, curve));
                seen.push(pair.expose(cx).unwrap());
            }
            SECRET.generate(cx).unwrap();
            SESSION.generate(cx).unwrap();
            MAC.generate(cx).unwrap();
            seen.extend([SECRET.expose(cx).unwrap(), SESSION.expose(cx).unwrap(), MAC.expose(cx).unwrap()]);
        }
        seen.sort_by(|a, b| a[..].cmp(&b[..]));
        seen.dedup();
        assert_eq!(seen.len(), 20);
    });
}

#[test]
fn two_cards_agree_on_a_secret() {
    let (mut one, mut other) = (Rig::new(), Rig::new());
    let public = |rig: &mut Rig| {
        rig.within(1, |cx| {
            PAIR.generate(cx).unwrap();
            PAIR.public(cx).unwrap()
        })
    };
    let (public_one, public_other) = (public(&mut one), public(&mut other));
    let secret = one.within(1, |cx| PAIR.agree(cx, &public_other).unwrap());
    assert_eq!(secret, other.within(1, |cx| PAIR.agree(cx, &public_one).unwrap()));
    assert_eq!(secret.len(), 32);
}

#[test]
fn persistent_keys_last_and_transient_ones_go_with_their_memory() {
    let mut rig = Rig::new();
    rig.select(1);
    let before = rig.within(1, |cx| {
        PAIR.generate(cx).unwrap();
        SECRET.generate(cx).unwrap();
        SESSION.generate(cx).unwrap();
        VISIT.generate(cx).unwrap();
        assert!(SESSION.is_initialized(cx).unwrap() && VISIT.is_initialized(cx).unwrap());
        (
            PAIR.expose(cx).unwrap(),
            SECRET.expose(cx).unwrap(),
            SESSION.expose(cx).unwrap(),
            VISIT.expose(cx).unwrap(),
        )
    });
    assert!(rig.stores(&before.0) && rig.stores(&before.1));
    assert!(!rig.stores(&before.2) && !rig.stores(&before.3), "transient keys are not in the image");
    rig.select(2);
    rig.within(1, |cx| {
        assert!(!SESSION.is_initialized(cx).unwrap() && VISIT.is_initialized(cx).unwrap());
    });
    rig.card.reset();
    rig.within(1, |cx| assert!(!VISIT.is_initialized(cx).unwrap()));
    let image = rig.image.clone();
    drop(rig);
    Rig::open(&image).within(1, |cx| {
        assert_eq!((PAIR.expose(cx).unwrap(), SECRET.expose(cx).unwrap()), (before.0, before.1));
        assert!(is_whole(cx, &PAIR, Curve::P256));
    });
}

#[test]
fn a_key_that_was_cleared_or_replaced_is_nowhere_in_the_image() {
    let mut rig = Rig::new();
    let draw = |rig: &mut Rig| {
        rig.within(1, |cx| {
            PAIR.generate(cx).unwrap();
            SECRET.generate(cx).unwrap();
            [PAIR.expose(cx).unwrap(), SECRET.expose(cx).unwrap()]
        })
    };
    let first = draw(&mut rig);
    let second = draw(&mut rig);
    assert!(first.iter().all(|key| !rig.stores(key)) && second.iter().all(|key| rig.stores(key)));
    rig.within(1, |cx| {
        PAIR.clear(cx).unwrap();
        SECRET.clear(cx).unwrap();
        assert!(!PAIR.is_initialized(cx).unwrap() && !SECRET.is_initialized(cx).unwrap());
    });
    assert!(second.iter().all(|key| !rig.stores(key)));
}

#[test]
fn no_instance_reaches_the_keys_of_another() {
    let mut rig = Rig::new();
    rig.within(1, |cx| {
        SECRET.set(cx, &[1; 32]).unwrap();
        VISIT.generate(cx).unwrap();
    });
    rig.within(2, |cx| {
        assert!(!SECRET.is_initialized(cx).unwrap() && !VISIT.is_initialized(cx).unwrap());
        SECRET.set(cx, &[2; 32]).unwrap();
        VISIT.clear(cx).unwrap();
    });
    rig.within(1, |cx| {
        assert_eq!(SECRET.expose(cx).unwrap()[..], [1; 32]);
        assert!(VISIT.is_initialized(cx).unwrap());
    });
}

#[test]
fn an_abort_takes_a_generated_key_back() {
    let mut rig = Rig::new();
    let before = rig.within(1, |cx| {
        PAIR.generate(cx).unwrap();
        let before = PAIR.expose(cx).unwrap();
        cx.begin().unwrap();
        PAIR.generate(cx).unwrap();
        SECRET.generate(cx).unwrap();
        assert_ne!(PAIR.expose(cx).unwrap(), before);
        cx.abort().unwrap();
        before
    });
    rig.within(1, |cx| {
        assert_eq!(PAIR.expose(cx).unwrap(), before);
        assert!(!SECRET.is_initialized(cx).unwrap());
    });
}

/// Cuts the power at each write of a key generation, until one goes through uncut.
#[test]
fn a_torn_generation_leaves_the_old_key_or_the_new_one() {
    let mut start = Rig::new();
    let old = start.within(1, |cx| {
        PAIR.generate(cx).unwrap();
        PAIR.expose(cx).unwrap()
    });
    let (mut kept, mut new) = (0, 0);
    for at in 0.. {
        let mut torn = true;
        for how in How::ALL {
            let image = start.image.copy();
            let mut rig = Rig::open(&image);
            rig.switch.arm(Cut { at, how });
            let made = rig.within(1, |cx| PAIR.generate(cx)).is_ok();
            torn = rig.switch.torn();
            drop(rig);
            Rig::open(&image).within(1, |cx| {
                let found = PAIR.expose(cx).unwrap();
                assert!(found != old || !made, "write {at}, {how:?}: made, and not there");
                *if found == old { &mut kept } else { &mut new } += 1;
                assert!(is_whole(cx, &PAIR, Curve::P256), "write {at}, {how:?}");
            });
        }
        if !torn {
            break;
        }
    }
    assert!(kept >= 3 && new >= 3, "{kept} cuts kept the old key, {new} the new one");
}

#[test]
fn one_seed_makes_the_same_keys_again() {
    let keys = |seed| {
        let env = Environment { rng: Box::new(SeededRng::new(seed)), ..Environment::default() };
        Rig::with(env).within(1, |cx| {
            PAIR.generate(cx).unwrap();
            SECRET.generate(cx).unwrap();
            [PAIR.expose(cx).unwrap(), SECRET.expose(cx).unwrap()]
        })
    };
    assert_eq!(keys(1), keys(1));
    assert_ne!(keys(1), keys(2));
}

/// Draws one byte for ever, or a good number after some bad ones.
struct Stuck {
    byte: u8,
    draws: u32,
}

impl Rng for Stuck {
    fn fill(&mut self, out: &mut [u8]) {
        self.draws = self.draws.saturating_sub(1);
        out.fill(if self.draws == 0 { 0x11 } else { self.byte });
    }
}

#[test]
fn numbers_out_of_range_are_drawn_again_but_not_for_ever() {
    for byte in [0x00, 0xFF] {
        let rig = |draws| {
            let env = Environment { rng: Box::new(Stuck { byte, draws }), ..Environment::default() };
            Rig::with(env)
        };
        let mut broken = rig(u32::MAX);
        broken.within(1, |cx| {
            PAIR.set(cx, &[0x22; 32]).unwrap();
            assert!(matches!(PAIR.generate(cx), Err(Fault::Crypto(CryptoError::Provider))));
            assert_eq!(PAIR.expose(cx).unwrap()[..], [0x22; 32], "the key is as before");
        });
        rig(3).within(1, |cx| {
            PAIR.generate(cx).unwrap();
            assert_eq!(PAIR.expose(cx).unwrap()[..], [0x11; 32]);
        });
    }
}

//! Keys of an applet.

use onetap_apdu_spec::crypto::AesBits;
use onetap_applet::Environment;
use onetap_applet::applets::Echo;
use onetap_applet::crypto::{Aes, Curve, EcPair, Generated, Hash, Hmac, Key, Mode};
use onetap_applet::nvm::{MemoryImage, Nvm};
use onetap_applet::runtime::{Context, Runtime};

use crate::scan::{MASK, alone, found};

const PAIR: Key<EcPair> = Key::persistent(0, EcPair(Curve::P256));
const SECRET: Key<Aes> = Key::persistent(1, Aes(AesBits::B256));
const MAC: Key<Hmac> = Key::persistent(2, Hmac(40));
const SESSION: Key<Aes> = Key::on_reset(0, Aes(AesBits::B256));
const NEXT: Key<Aes> = Key::on_reset(1, Aes(AesBits::B256));

fn masked<K: Generated>(key: &Key<K>, cx: &Context<'_>) -> Vec<u8> {
    key.expose(cx).unwrap().iter().map(|byte| byte ^ MASK).collect()
}

/// Uses a key for all that it does.
fn use_aes(cx: &mut Context<'_>, key: &Key<Aes>) {
    for mode in [Mode::CbcPadded, Mode::Ctr] {
        let sealed = key.encrypt(cx, mode, &[7; 16], b"message").unwrap();
        key.decrypt(cx, mode, &[7; 16], &sealed).unwrap();
    }
    key.cmac(cx, &[b"message"]).unwrap();
    let sealed = key.seal(cx, &[7; 12], &[], b"message").unwrap();
    key.open(cx, &[7; 12], &[], &sealed).unwrap().unwrap();
}

#[test]
fn a_key_that_was_cleared_is_nowhere_in_memory() {
    let _alone = alone();
    let nvm = Nvm::format(Box::new(MemoryImage::default())).unwrap();
    let (rom, env) = ([Echo::module()], Environment::default());
    let mut card = Runtime::format(nvm, &rom, env).unwrap();
    card.install(&Echo::name(), Echo::name(), [0; 3], &[]).unwrap();
    let mut within = |work: fn(&mut Context<'_>) -> [Vec<u8>; 4]| {
        card.with(&Echo::name(), |_: &mut Echo, cx| work(cx)).unwrap()
    };
    let keys = within(|cx| {
        PAIR.generate(cx).unwrap();
        SECRET.generate(cx).unwrap();
        MAC.generate(cx).unwrap();
        SESSION.generate(cx).unwrap();
        PAIR.sign(cx, &[b"message"]).unwrap();
        PAIR.agree(cx, &PAIR.public(cx).unwrap()).unwrap();
        MAC.hmac(cx, Hash::Sha384, &[b"message"]).unwrap();
        use_aes(cx, &SECRET);
        use_aes(cx, &SESSION);
        [masked(&PAIR, cx), masked(&SECRET, cx), masked(&MAC, cx), masked(&SESSION, cx)]
    });
    assert!(keys.iter().all(|key| found(key) > 0), "they are on the card, so they are found");
    within(|cx| {
        PAIR.clear(cx).unwrap();
        SECRET.clear(cx).unwrap();
        MAC.clear(cx).unwrap();
        SESSION.clear(cx).unwrap();
        // AWS-LC moves a key's rounds on the stack, where the next key's take their place.
        NEXT.generate(cx).unwrap();
        use_aes(cx, &NEXT);
        Default::default()
    });
    assert_eq!(keys.map(|key| found(&key)), [0; 4]);
}

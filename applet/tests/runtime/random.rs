//! Any bytes, on any channel, in any order.

use onetap_applet::runtime::{DEFAULT_SELECTED, Limits, MAX_REPLY, Protocol};
use proptest::prelude::*;

use crate::probe::Probe;
use crate::rig::{Rig, aid, name};

/// One of each kind of applet, the default one among them.
fn rig(limits: Limits) -> Rig {
    let mut rig = Rig::empty(limits);
    for (n, module) in (1..).zip([Probe::PLAIN, Probe::MULTI, Probe::OWN_TRANSPORT, Probe::SECURE]) {
        let privileges = if n == 2 { [DEFAULT_SELECTED, 0, 0] } else { [0; 3] };
        rig.card.install(&module, aid(n), privileges, &[]).unwrap();
    }
    rig.card.reset();
    rig
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    let ins = proptest::sample::select(vec![
        0xA4,
        0x70,
        0xC0,
        Probe::WHO,
        Probe::ECHO,
        Probe::GIVE,
        Probe::TELL,
        Probe::WARN,
    ]);
    let cla = prop_oneof![any::<u8>(), 0..4_u8, 0x80..0x84_u8, 0x90..0x94_u8, 0x40..0x50_u8];
    let known = (cla, ins, any::<[u8; 2]>(), bytes.clone(), any::<Option<u8>>()).prop_map(
        |(cla, ins, [p1, p2], data, le)| {
            // More than any message holds would be 6F00, rightly.
            let p1 = if ins == Probe::GIVE { p1 & 0x7F } else { p1 };
            let mut apdu = vec![cla, ins, p1, p2];
            if !data.is_empty() {
                apdu.push(u8::try_from(data.len()).unwrap());
                apdu.extend(data);
            }
            apdu.extend(le);
            apdu
        },
    );
    let select = (0..4_u8, 0..4_u8, 0..6_u8)
        .prop_map(|(channel, p2, n)| [&[channel, 0xA4, 4, p2, 7][..], &name(n), &[0]].concat());
    let channel = (0..4_u8, any::<bool>(), 0..5_u8)
        .prop_map(|(cla, close, number)| vec![cla, 0x70, if close { 0x80 } else { 0 }, number, 1]);
    prop_oneof![2 => bytes, 4 => known, 2 => select, 1 => channel]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_card_panic_or_answer_less_than_a_status_word(
        sequence in proptest::collection::vec(anything(), 1..60),
        twenty: bool,
        t0: bool,
    ) {
        let channels = if twenty { 20 } else { 4 };
        let protocol = if t0 { Protocol::T0 } else { Protocol::T1 };
        let mut rig = rig(Limits { channels, protocol, ..Limits::default() });
        let mut out = Vec::new();
        for apdu in &sequence {
            rig.card.transmit(apdu, &mut out);
            prop_assert!((2..=MAX_REPLY + 2).contains(&out.len()));
            let sw1 = out[out.len() - 2];
            prop_assert!((0x61..=0x6F).contains(&sw1) || sw1 == 0x90, "{:02X?}", &out[out.len() - 2..]);
            prop_assert_ne!(&out[out.len() - 2..], &[0x6F, 0x00], "{:02X?}", apdu);
        }
        // None of it is dead, and a reset brings the default applet back.
        rig.card.reset();
        prop_assert_eq!(rig.selected(0), Some(2));
        prop_assert_eq!(rig.names().len(), 4);
    }

    /// What a card keeps of a reader's commands has an end: one chain, one response.
    #[test]
    fn a_chain_never_outgrows_its_bound(parts in proptest::collection::vec(1..=65_535_usize, 1..8)) {
        let mut rig = Rig::new();
        let mut whole = 0;
        for part in parts {
            let answer = rig.extended([0x90, Probe::TELL, 0, 0], &vec![7; part], None);
            let fits = whole + part <= 65_535;
            prop_assert_eq!(answer.sw.as_str(), if fits { "9000" } else { "6700" });
            whole = if fits { whole + part } else { 0 };
        }
    }
}

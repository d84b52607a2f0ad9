//! Secure channels of every variant ("i"): what the card says of itself, what it offers, and what it refuses.

use onetap_apdu_spec::crypto::default_provider;
use onetap_apdu_spec::gp::card_data;
use onetap_apdu_spec::gp::scp03::{Drawing, HandshakeError, InitializeUpdate, Mode, SecurityLevel, Variant};
use onetap_apdu_spec::gp::{KeySet, KeyVersion};
use onetap_apdu_spec::sw::StatusWord;

use crate::rig::{Bench, Counting, own_keys};

const GET_STATUS: &str = "80F28002 02 4F00 00";

/// The answer to INITIALIZE UPDATE, and the variant that it has to have.
fn said(bench: &mut Bench) -> Vec<u8> {
    let (_, answer) = bench.initialize(KeyVersion::INITIAL);
    assert_eq!(answer.sw, StatusWord::OK);
    answer.data
}

/// Amendment D table 7-3: diversification data of zeros, version, protocol and "i", then challenge and cryptogram as long as
/// the mode has them, and the sequence counter where the challenge is made of it.
#[test]
fn the_answer_to_initialize_update_has_the_form_of_its_variant() {
    for variant in Variant::all() {
        let mut bench = Bench::of(variant);
        let (first, second) = (said(&mut bench), said(&mut bench));
        assert_eq!(first[..10], [0; 10], "{variant:?}: nothing that tells one card from another");
        assert_eq!(first[10..13], [0xFF, 0x03, variant.code()], "{variant:?}");
        let mode = variant.mode.bytes();
        let counter = match variant.drawing {
            Drawing::Random => 0,
            Drawing::PseudoRandom => 3,
        };
        assert_eq!(first.len(), 13 + 2 * mode + counter, "{variant:?}");
        assert_ne!(first[13..13 + mode], second[13..13 + mode], "{variant:?}: another challenge each time");
        if counter > 0 {
            assert_eq!([&first[13 + 2 * mode..], &second[13 + 2 * mode..]], [&[0, 0, 1], &[0, 0, 2]]);
        }
        let data = bench.send(&crate::rig::hex_bytes("80CA0066 00")).data;
        assert_eq!(data, card_data(variant), "{variant:?}: card recognition data");
        assert!(data.ends_with(&[0x04, 0x03, variant.code()]));
    }
}

#[test]
fn each_level_of_a_variant_opens_a_channel_and_no_other_does() {
    for variant in Variant::all() {
        for level in SecurityLevel::ALL {
            let mut bench = Bench::of(variant).restart();
            if variant.offers(level) {
                let host = bench.channel(&KeySet::TEST, level);
                let (host, response) = bench.on(host, GET_STATUS);
                assert_eq!((response.sw, host.level()), (StatusWord::OK, level), "{variant:?}");
                let (_, refused) = bench.on(host, "80E40000 07 4F05 F04F544845 00");
                assert_eq!(refused.sw, StatusWord::NO_SUCH_OBJECT, "{variant:?} {level:?}: an error, bare");
                continue;
            }
            let (initialize, answer) = bench.initialize(KeyVersion::INITIAL);
            let refused =
                initialize.check(default_provider(), &KeySet::TEST, level, &answer.data).unwrap_err();
            assert!(
                matches!(refused, HandshakeError::OtherProtocol { .. }),
                "{variant:?} {level:?}: {refused}"
            );
            // A terminal that asks all the same: of the form that the card expects, and of no level that it has.
            let mode = format!("{:02X}", 2 * variant.mode.bytes());
            let ask = format!("8482{:02X}00 {mode} {}", level.code(), "5A".repeat(2 * variant.mode.bytes()));
            assert_eq!(bench.sw(&ask), StatusWord::WRONG_P1P2, "{variant:?} {level:?}");
            assert_eq!(bench.sw(&ask), StatusWord::CONDITIONS, "the handshake is used up");
        }
    }
}

#[test]
fn a_challenge_of_the_other_mode_is_refused_for_its_length_and_counts_nothing() {
    for variant in Variant::all() {
        let mut bench = Bench::of(variant);
        let other = if variant.mode == Mode::S8 { Mode::S16 } else { Mode::S8 };
        let wrong = InitializeUpdate::new(&mut Counting(5), KeyVersion::INITIAL, other).command();
        assert_eq!(bench.send(&wrong.to_bytes().unwrap()).sw, StatusWord::WRONG_LENGTH, "{variant:?}");
        if variant.drawing == Drawing::PseudoRandom {
            assert_eq!(said(&mut bench)[13 + 2 * variant.mode.bytes()..], [0, 0, 1], "{variant:?}");
        }
    }
}

/// Two cards with the same keys draw other challenges; with a pseudo-random challenge, the same.
#[test]
fn a_random_challenge_is_the_cards_own_and_a_pseudo_random_one_follows_from_keys_and_counter() {
    for variant in Variant::all() {
        let mut other = Bench::of(variant);
        // One draw more of the card's random numbers, which the rig's count up.
        let _ = said(&mut other);
        let (one, other) = (said(&mut Bench::of(variant)), said(&mut other));
        let challenge = 13..13 + variant.mode.bytes();
        assert_ne!(one[challenge.clone()], other[challenge], "{variant:?}");
    }
    let usual = || said(&mut Bench::of(Variant::USUAL));
    assert_eq!(usual(), usual());
}

#[test]
fn a_card_of_every_variant_is_issued_and_keeps_it() {
    for variant in Variant::all() {
        let mut bench = Bench::of(variant);
        let level = variant.highest_level();
        bench.issue_at(level, &KeySet::TEST, Some(&own_keys(0x30))).unwrap();
        let mut bench = bench.restart();
        assert_eq!(bench.initialize(KeyVersion::FIRST).1.data[10..13], [0x30, 0x03, variant.code()]);
        let host = bench.channel(&own_keys(0x30), level);
        assert_eq!(bench.on(host, GET_STATUS).1.sw, StatusWord::OK, "{variant:?}");
    }
}

/// The most that is listed at once fits the short form in every variant.
#[test]
fn an_answer_with_the_longest_mac_fits_the_short_form() {
    for variant in Variant::all() {
        let mut bench = Bench::of(variant);
        let host = bench.channel(&KeySet::TEST, variant.highest_level());
        let (_, response) = bench.on(host, "80F24002 02 4F00 00");
        assert_eq!(response.sw, StatusWord::NO_SUCH_OBJECT, "{variant:?}: nothing is installed");
    }
}

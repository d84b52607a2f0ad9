//! Both ends against each other, and against somebody in between.

use onetap_apdu_spec::apdu::{CommandApdu, Form, ResponseApdu};
use onetap_apdu_spec::crypto::AesBits;
use onetap_apdu_spec::gp::scp03::{
    AuthenticationError, CardChallenge, CardHandshake, HandshakeError, InitializeUpdate, Mode, Offer,
    Responses, SecurityError, SecurityLevel, SequenceCounter,
};
use onetap_apdu_spec::gp::{ISD_AID, KeySet, KeyVersion};
use onetap_apdu_spec::sw::StatusWord;
use proptest::prelude::*;

use super::rig::{Counting, PROVIDERS, channel, key_set};

fn any_level() -> impl Strategy<Value = SecurityLevel> {
    (0..5usize).prop_map(|i| SecurityLevel::ALL[i])
}

fn any_bits() -> impl Strategy<Value = AesBits> {
    (0..3usize).prop_map(|i| AesBits::ALL[i])
}

/// Header, data and Ne of a plain command on any channel, short or extended.
fn any_command() -> impl Strategy<Value = ([u8; 4], Vec<u8>, Option<u32>)> {
    let class = prop_oneof![0x80..=0x83u8, 0x00..=0x03u8, 0xC0..=0xCFu8, 0x40..=0x4Fu8];
    let data = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => proptest::collection::vec(any::<u8>(), 200..700),
    ];
    let header = (class, any::<[u8; 3]>()).prop_map(|(cla, [ins, p1, p2])| [cla, ins, p1, p2]);
    (header, data, proptest::option::of(1..=70_000u32).prop_map(|ne| ne.map(|ne| ne.min(65_536))))
}

fn any_response() -> impl Strategy<Value = ResponseApdu> {
    let sw = prop_oneof![
        Just(StatusWord::OK),
        Just(StatusWord::from_bytes(0x62, 0x83)),
        Just(StatusWord::from_bytes(0x63, 0x10)),
        Just(StatusWord::WRONG_DATA),
        Just(StatusWord::CONDITIONS),
    ];
    (proptest::collection::vec(any::<u8>(), 0..300), sw).prop_map(|(data, sw)| ResponseApdu { data, sw })
}

fn apdu<'a>(header: &[u8; 4], data: &'a [u8], ne: Option<u32>) -> CommandApdu<'a> {
    let [cla, ins, p1, p2] = *header;
    CommandApdu { cla, ins, p1, p2, data, ne }
}

proptest! {
    /// Every level and key length, each end with another provider, several commands in one channel.
    #[test]
    fn what_one_end_wraps_the_other_unwraps(
        bits in any_bits(),
        level in any_level(),
        seed: u8,
        exchanges in proptest::collection::vec((any_command(), any_response()), 1..6),
    ) {
        let [fast, pure] = PROVIDERS;
        let (mut host, mut card) = channel([fast, pure], &key_set(seed, bits), level);
        for ((header, data, ne), response) in exchanges {
            let (waiting, wrapped) = host.wrap(&apdu(&header, &data, ne)).unwrap();
            let received = CommandApdu::parse(&wrapped).unwrap();
            if level.encrypts_commands() && data.len() >= 8 {
                prop_assert!(!wrapped.windows(8).any(|window| window == &data[..8]));
            }
            let (open, plain) = card.unwrap(&received).unwrap();
            card = open;
            prop_assert_eq!(plain.header, header);
            prop_assert_eq!(plain.data.as_slice(), &data[..]);
            prop_assert_eq!(plain.ne, ne);
            let secured = card.wrap(response.clone());
            let error = !matches!(response.sw.to_bytes(), [0x90 | 0x62 | 0x63, _]);
            let expected = if error { response.sw.into() } else { response };
            let (open, got) = waiting.unwrap(&secured).unwrap();
            host = open;
            prop_assert_eq!(got, expected);
        }
    }

    /// A terminal that sends short data in the extended form is understood.
    #[test]
    fn the_form_of_the_length_is_authenticated_as_sent(level in any_level(), len in 0..20usize) {
        let keys = key_set(1, AesBits::B128);
        let (host, card) = channel([PROVIDERS[0]; 2], &keys, level);
        let data = vec![9; len];
        let (_, wrapped) = host.wrap(&apdu(&[0x80, 0xE2, 0, 0], &data, Some(300))).unwrap();
        prop_assert_eq!(wrapped[4], 0, "extended");
        let (_, plain) = card.unwrap(&CommandApdu::parse(&wrapped).unwrap()).unwrap();
        prop_assert_eq!(plain.data.as_slice(), &data[..]);
    }
}

#[test]
fn a_command_altered_anywhere_is_refused() {
    let data = [0x5A; 21];
    let mut altered = 0;
    for level in SecurityLevel::ALL {
        for at in 0.. {
            let (host, card) = channel(PROVIDERS, &key_set(3, AesBits::B256), level);
            let (_, mut wrapped) = host.wrap(&apdu(&[0x80, 0xE2, 0x90, 0], &data, None)).unwrap();
            let Some(byte) = wrapped.get_mut(at) else { break };
            *byte ^= 0x10;
            // A length byte that no longer fits is malformed before it is anything else.
            let Ok(received) = CommandApdu::parse(&wrapped) else { continue };
            let error = card.unwrap(&received).unwrap_err();
            assert!(
                matches!(error, SecurityError::BadMac | SecurityError::NotSecured),
                "{level:?} byte {at}"
            );
            altered += 1;
        }
    }
    assert!(altered > 5 * 30, "{altered} alterations");
}

#[test]
fn a_response_altered_anywhere_is_refused() {
    for level in SecurityLevel::ALL.into_iter().filter(|level| level.authenticates_responses()) {
        for at in 0.. {
            let (host, card) = channel(PROVIDERS, &key_set(3, AesBits::B128), level);
            let (waiting, wrapped) = host.wrap(&apdu(&[0x80, 0xCA, 0, 0x66], &[], Some(256))).unwrap();
            let (card, _) = card.unwrap(&CommandApdu::parse(&wrapped).unwrap()).unwrap();
            let mut bytes = card.wrap(ResponseApdu::ok(vec![0xC3; 20])).to_bytes();
            let Some(byte) = bytes.get_mut(at) else { break };
            *byte ^= 0x01;
            assert!(waiting.unwrap(&ResponseApdu::parse(&bytes).unwrap()).is_err(), "{level:?} byte {at}");
        }
        let (host, card) = channel(PROVIDERS, &key_set(3, AesBits::B128), level);
        let (waiting, wrapped) = host.wrap(&apdu(&[0x80, 0xCA, 0, 0x66], &[], Some(256))).unwrap();
        let (card, _) = card.unwrap(&CommandApdu::parse(&wrapped).unwrap()).unwrap();
        let mut cut = card.wrap(ResponseApdu::ok(vec![0xC3; 20]));
        cut.data.truncate(7);
        assert_eq!(waiting.unwrap(&cut).unwrap_err(), SecurityError::NotSecured);
    }
}

#[test]
fn replay_and_another_order_are_refused() {
    let keys = key_set(5, AesBits::B192);
    for level in SecurityLevel::ALL {
        let (host, card) = channel(PROVIDERS, &keys, level);
        let (waiting, first) = host.wrap(&apdu(&[0x80, 0xE2, 0, 0], b"first", None)).unwrap();
        let (host, _) = waiting.unwrap(&StatusWord::CONDITIONS.into()).unwrap();
        let (_, second) = host.wrap(&apdu(&[0x80, 0xE2, 0, 1], b"second", None)).unwrap();
        let (card, _) = card.unwrap(&CommandApdu::parse(&first).unwrap()).unwrap();
        assert_eq!(card.unwrap(&CommandApdu::parse(&first).unwrap()).unwrap_err(), SecurityError::BadMac);
        let (_, card) = channel(PROVIDERS, &keys, level);
        assert_eq!(card.unwrap(&CommandApdu::parse(&second).unwrap()).unwrap_err(), SecurityError::BadMac);
    }
}

#[test]
fn what_is_not_secured_is_refused_by_either_end() {
    let keys = key_set(5, AesBits::B128);
    let plain = apdu(&[0x80, 0xCA, 0, 0x66], &[], Some(256));
    let (host, card) = channel(PROVIDERS, &keys, SecurityLevel::CMac);
    assert_eq!(card.unwrap(&plain).unwrap_err(), SecurityError::NotSecured);
    let short = apdu(&[0x84, 0xCA, 0, 0x66], &[1; 7], None);
    let (_, card) = channel(PROVIDERS, &keys, SecurityLevel::CMac);
    assert_eq!(card.unwrap(&short).unwrap_err(), SecurityError::NotSecured);
    let twice = apdu(&[0x84, 0xCA, 0, 0x66], &[], None);
    assert_eq!(host.wrap(&twice).unwrap_err(), SecurityError::CannotSecure);
    let (host, _) = channel(PROVIDERS, &keys, SecurityLevel::Full);
    let long = vec![0; 65_528];
    assert_eq!(host.wrap(&apdu(&[0x80, 0xE2, 0, 0], &long, None)).unwrap_err(), SecurityError::CannotSecure);
    let (host, _) = channel(PROVIDERS, &keys, SecurityLevel::Full);
    let (waiting, _) = host.wrap(&plain).unwrap();
    let error_with_data = ResponseApdu { data: vec![1], sw: StatusWord::CONDITIONS };
    assert_eq!(waiting.unwrap(&error_with_data).unwrap_err(), SecurityError::NotSecured);
}

#[test]
fn the_longest_data_of_a_level_fits_the_short_form() {
    for level in SecurityLevel::ALL {
        let most = vec![1; level.max_short_data(Mode::S8) + 1];
        for (len, form) in [(most.len() - 1, Form::Short), (most.len(), Form::Extended)] {
            let (host, _) = channel(PROVIDERS, &key_set(1, AesBits::B128), level);
            let (_, wrapped) = host.wrap(&apdu(&[0x80, 0xE2, 0, 0], &most[..len], None)).unwrap();
            assert_eq!(wrapped[4] == 0, form == Form::Extended, "{level:?}");
        }
    }
}

fn handshake(keys: &KeySet) -> (InitializeUpdate, CardHandshake, Vec<u8>) {
    let initialize = InitializeUpdate::new(&mut Counting(1), keys.version(), Mode::S8);
    let (sequence, responses) = (SequenceCounter::default(), Responses::Encrypted);
    let challenge = CardChallenge::PseudoRandom { sequence, aid: &ISD_AID };
    let offer = Offer { diversification: [9; 10], challenge, responses };
    let (card, answer) = CardHandshake::answer(PROVIDERS[0], keys, offer, initialize.host_challenge());
    (initialize, card, answer)
}

#[test]
fn the_terminal_refuses_another_card() {
    let keys = key_set(1, AesBits::B128);
    let check = |keys: &KeySet, level, answer: &[u8]| {
        handshake(keys).0.check(PROVIDERS[0], keys, level, answer).map(|open| open.diversification())
    };
    let (_, _, good) = handshake(&keys);
    assert_eq!(check(&keys, SecurityLevel::Full, &good), Ok([9; 10]));
    let altered = |at: usize, value: u8| {
        let mut answer = good.clone();
        answer[at] = value;
        answer
    };
    let refuse = |answer: &[u8]| check(&keys, SecurityLevel::Full, answer).unwrap_err();
    assert_eq!(refuse(&altered(10, 0x31)), HandshakeError::OtherKeyVersion(0x31));
    let other = |scp, variant| {
        let (level, mode) = (SecurityLevel::Full, Mode::S8);
        HandshakeError::OtherProtocol { scp, variant, level, mode }
    };
    assert_eq!(refuse(&altered(11, 2)), other(2, 0x70));
    for variant in [0x71, 0x30, 0x10, 0x50] {
        assert_eq!(refuse(&altered(12, variant)), other(3, variant));
    }
    assert_eq!(refuse(&altered(12, 0x60)), HandshakeError::Malformed, "random challenge, yet a counter");
    for (at, byte) in good.iter().enumerate().take(29).skip(13) {
        assert_eq!(refuse(&altered(at, byte ^ 1)), HandshakeError::WrongCardCryptogram, "byte {at}");
    }
    for len in (0..29).chain([30, 31]) {
        assert_eq!(refuse(&good[..len]), HandshakeError::Malformed, "{len} bytes");
    }
    assert_eq!(
        check(&key_set(2, AesBits::B128), SecurityLevel::CMac, &good),
        Err(HandshakeError::WrongCardCryptogram)
    );
    let authenticate = handshake(&keys).0.check(PROVIDERS[0], &keys, SecurityLevel::CMac, &good).unwrap();
    let refused = authenticate.confirm(StatusWord::AUTHENTICATION_FAILED).unwrap_err();
    assert_eq!(refused, HandshakeError::Refused(StatusWord::AUTHENTICATION_FAILED));
}

/// Cards with a random challenge (i = 60) and with less than all of R-MAC and R-ENC are cards too.
#[test]
fn the_terminal_takes_lesser_variants_for_lesser_levels() {
    let keys = key_set(1, AesBits::B128);
    for (variant, levels) in [(0x10, 2), (0x30, 4), (0x70, 5)] {
        let (_, _, mut answer) = handshake(&keys);
        answer[12] = variant;
        let accepted = SecurityLevel::ALL
            .into_iter()
            .filter(|level| handshake(&keys).0.check(PROVIDERS[0], &keys, *level, &answer).is_ok());
        assert_eq!(accepted.count(), levels, "variant {variant:02X}");
        answer[12] &= !0x10;
        answer.truncate(29);
        assert!(handshake(&keys).0.check(PROVIDERS[0], &keys, SecurityLevel::CMac, &answer).is_ok());
    }
}

#[test]
fn the_card_refuses_another_terminal() {
    let keys = key_set(1, AesBits::B128);
    let open = || {
        let (initialize, card, answer) = handshake(&keys);
        let authenticate = initialize.check(PROVIDERS[0], &keys, SecurityLevel::Full, &answer).unwrap();
        (card, authenticate.command().to_bytes().unwrap())
    };
    let refuse = |at: usize, value: u8| {
        let (card, mut command) = open();
        command[at] = value;
        card.authenticate(&CommandApdu::parse(&command).unwrap()).unwrap_err()
    };
    assert_eq!(refuse(0, 0x80), AuthenticationError::NotExpected);
    assert_eq!(refuse(1, 0x50), AuthenticationError::NotExpected);
    assert_eq!(refuse(2, 0x02), AuthenticationError::UnknownLevel);
    assert_eq!(refuse(3, 0x01), AuthenticationError::UnknownLevel);
    for at in 5..21 {
        let (_, command) = open();
        assert_eq!(refuse(at, command[at] ^ 1), AuthenticationError::BadMac, "byte {at}");
    }
    assert_eq!(refuse(2, 0x13), AuthenticationError::BadMac, "another level");
    let (card, command) = open();
    let mut cut = command[..20].to_vec();
    cut[4] = 15;
    let error = card.authenticate(&CommandApdu::parse(&cut).unwrap()).unwrap_err();
    assert_eq!((error, error.status()), (AuthenticationError::WrongLength, StatusWord::WRONG_LENGTH));
    assert_eq!(AuthenticationError::BadMac.status(), StatusWord::SECURITY_STATUS);
    assert_eq!(AuthenticationError::WrongHostCryptogram.status(), StatusWord::AUTHENTICATION_FAILED);
}

#[test]
fn the_sequence_counter_ends() {
    assert_eq!(SequenceCounter::new(0x0100_0000), None);
    let last = SequenceCounter::new(0x00FF_FFFF).unwrap();
    assert_eq!(last.next(), None);
    let (a, b) = (handshake(&KeySet::TEST).2, handshake(&KeySet::TEST).2);
    assert_eq!(a, b, "the challenge is pseudo-random: the same counter gives the same");
    assert_eq!(a[10], KeyVersion::INITIAL.get());
}

#[test]
fn nothing_secret_is_printed() {
    let keys = KeySet::TEST;
    let (host, card) = channel(PROVIDERS, &keys, SecurityLevel::Full);
    for text in [format!("{keys:?}"), format!("{host:?}"), format!("{card:?}")] {
        assert!(text.contains("redacted"), "{text}");
        assert!(!text.contains("64, 65, 66") && !text.to_lowercase().contains("404142"), "{text}");
    }
}

//! Somebody without the keys, somebody on the line, and any bytes at all.

use onetap_apdu_spec::apdu::{CommandApdu, Form};
use onetap_apdu_spec::crypto::default_provider;
use onetap_apdu_spec::gp::command::{GP_COMMANDS, GpCommand, IsdObject};
use onetap_apdu_spec::gp::install::Install;
use onetap_apdu_spec::gp::scp03::{InitializeUpdate, Mode, SecurityLevel, Variant};
use onetap_apdu_spec::gp::{self, ISD, KeySet, SIGNING_APPLET};
use onetap_apdu_spec::sw::StatusWord;
use proptest::prelude::*;

use crate::rig::{Bench, Counting, hex_bytes, own_keys};

const GET_STATUS: &str = "80F28002 02 4F00 00";
const SELECT_ISD: &str = "00A40400 08 A000000151000000 00";

#[test]
fn without_a_channel_the_card_tells_what_anybody_may_know_and_does_nothing() {
    let mut bench = Bench::new();
    let selected = bench.plain(&GpCommand::Select(ISD));
    assert_eq!(selected.data, gp::isd_fci());
    assert_eq!(bench.plain(&GpCommand::GetData(IsdObject::CardData)).data, gp::card_data(Variant::USUAL));
    assert_eq!(bench.plain(&GpCommand::GetData(IsdObject::KeyInformation)).sw, StatusWord::OK);
    for row in GP_COMMANDS.iter().filter(|row| !row.open) {
        let [plain, secured] =
            [0x80, 0x84].map(|cla| [cla, row.name.code(), 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bench.send(&plain).sw, StatusWord::SECURITY_STATUS, "{}", row.title);
        assert_eq!(bench.send(&secured).sw, StatusWord::SECURITY_STATUS, "{}", row.title);
    }
    assert_eq!(bench.sw("84CA0066 08 0102030405060708 00"), StatusWord::SECURITY_STATUS);
    assert_eq!(bench.sw("80CA9F7F 00"), StatusWord::NO_SUCH_OBJECT);
    assert_eq!(bench.sw("80320000 00"), StatusWord::WRONG_INS);
    assert_eq!(bench.sw("90E20000 01 00"), StatusWord::NO_CHAINING);
    assert_eq!(bench.sw("84823300 10 00112233445566778899AABBCCDDEEFF"), StatusWord::CONDITIONS);
}

#[test]
fn a_wrong_terminal_gets_one_try_for_each_challenge() {
    let mut bench = Bench::new();
    let keys = KeySet::TEST;
    let (initialize, answer) = bench.initialize(keys.version());
    let authenticate =
        initialize.check(default_provider(), &keys, SecurityLevel::Full, &answer.data).unwrap();
    let right = authenticate.command().to_bytes().unwrap();
    let mut wrong = right.clone();
    wrong[20] ^= 1;
    assert_eq!(bench.send(&wrong).sw, StatusWord::SECURITY_STATUS);
    assert_eq!(bench.send(&right).sw, StatusWord::CONDITIONS, "the challenge is used up");
    // Another command between the two ends the handshake.
    let (initialize, answer) = bench.initialize(keys.version());
    let authenticate =
        initialize.check(default_provider(), &keys, SecurityLevel::Full, &answer.data).unwrap();
    assert_eq!(bench.sw("80CA0066 00"), StatusWord::OK);
    assert_eq!(bench.send(&authenticate.command().to_bytes().unwrap()).sw, StatusWord::CONDITIONS);
}

#[test]
fn a_wrong_mac_closes_the_channel() {
    for level in SecurityLevel::ALL {
        let mut bench = Bench::new();
        let host = bench.channel(&KeySet::TEST, level);
        let (host, response) = bench.on(host, GET_STATUS);
        assert_eq!(response.sw, StatusWord::OK, "{level:?}");
        let apdu = hex_bytes(GET_STATUS);
        let (waiting, good) = host.wrap(&CommandApdu::parse(&apdu).unwrap()).unwrap();
        let mut bad = good.clone();
        bad[6] ^= 1;
        assert_eq!(bench.send(&bad).sw, StatusWord::SECURITY_STATUS);
        let answer = bench.send(&good);
        assert_eq!(answer.sw, StatusWord::SECURITY_STATUS, "the right one comes too late");
        drop(waiting);
    }
}

/// What somebody does to a card between two commands of an open channel.
type End<'a> = &'a dyn Fn(&mut Bench);

/// Plain commands end an open channel, too: nobody slips one in between.
#[test]
fn what_ends_a_channel() {
    let ends: [(&str, End); 6] = [
        ("a plain command", &|bench| assert_eq!(bench.sw(GET_STATUS), StatusWord::SECURITY_STATUS)),
        ("SELECT of the domain again", &|bench| assert_eq!(bench.sw(SELECT_ISD), StatusWord::OK)),
        ("INITIALIZE UPDATE", &|bench| {
            let command = InitializeUpdate::new(&mut Counting(8), KeySet::TEST.version(), Mode::S8).command();
            assert_eq!(bench.send(&command.to_bytes().unwrap()).sw, StatusWord::OK);
        }),
        ("INITIALIZE UPDATE, malformed", &|bench| {
            assert_eq!(bench.sw("80500000 07 01020304050607 00"), StatusWord::WRONG_LENGTH);
        }),
        ("a reset", &|bench| {
            bench.card.reset();
            assert_eq!(bench.sw(SELECT_ISD), StatusWord::OK);
        }),
        ("leaving the field", &|bench| {
            bench.card.leave_field();
            bench.enter();
            assert_eq!(bench.sw(SELECT_ISD), StatusWord::OK);
        }),
    ];
    for (what, end) in ends {
        let mut bench = Bench::new();
        let host = bench.channel(&KeySet::TEST, SecurityLevel::Full);
        let apdu = hex_bytes(GET_STATUS);
        let (_, wrapped) = host.wrap(&CommandApdu::parse(&apdu).unwrap()).unwrap();
        end(&mut bench);
        assert_eq!(bench.send(&wrapped).sw, StatusWord::SECURITY_STATUS, "{what}");
    }
}

#[test]
fn a_select_of_nothing_leaves_the_channel_open() {
    let mut bench = Bench::new();
    let host = bench.channel(&KeySet::TEST, SecurityLevel::Full);
    assert_eq!(bench.sw("00A40400 05 0102030405 00"), StatusWord::NOT_FOUND);
    assert_eq!(bench.on(host, GET_STATUS).1.sw, StatusWord::OK);
}

#[test]
fn blocks_come_to_the_application_that_was_named_in_their_order() {
    let mut bench = Bench::issued().0;
    let host = bench.channel(&own_keys(0x30), SecurityLevel::Full);
    let (host, response) = bench.on(host, "80E2B000 01 AA 00");
    assert_eq!(response.sw, StatusWord::CONDITIONS, "no application was named");
    let name = GpCommand::Install(Install::Personalization(SIGNING_APPLET)).encode();
    let name: String = name.to_bytes().unwrap().iter().map(|byte| format!("{byte:02X}")).collect();
    let (host, response) = bench.on(host, &name);
    assert_eq!(response.sw, StatusWord::OK);
    let (host, response) = bench.on(host, "80E23001 01 AA 00");
    assert_eq!(response.sw, StatusWord::WRONG_P1P2, "block 1 before block 0");
    let (host, response) = bench.on(host, "80E23000 01 AA 00");
    assert_eq!(response.sw, StatusWord::CONDITIONS, "a refusal ends it");
    let (host, _) = bench.on(host, &name);
    let (host, response) = bench.on(host, "80E23000 01 AA 00");
    assert_eq!(response.sw, StatusWord::OK);
    let (host, response) = bench.on(host, "80E2B001 01 BB 00");
    assert_eq!(response.sw, StatusWord::WRONG_DATA, "not an order");
    let (host, response) = bench.on(host, "80E62000 0C 0000 06 F04F54484552 000000 00");
    assert_eq!(response.sw, StatusWord::NO_SUCH_OBJECT);
    let (host, response) = bench.on(host, "80E62000 0E 0000 08 A000000151000000 000000 00");
    assert_eq!(response.sw, StatusWord::CONDITIONS, "the domain itself has no data to store");
    let (host, response) = bench.on(host, "80F28003 02 4F00 00");
    assert_eq!(response.sw, StatusWord::CONDITIONS, "the next entries without the first");
    assert_eq!(bench.on(host, GET_STATUS).1.sw, StatusWord::OK, "no refusal closed the channel");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any bytes on an open channel and around it: a status word, and a card that still works.
    #[test]
    fn any_commands_get_a_status_word(
        level in 0..5usize,
        commands in proptest::collection::vec(
            (any::<bool>(), 0..GP_COMMANDS.len(), any::<[u8; 2]>(), proptest::collection::vec(any::<u8>(), 0..40)),
            1..20,
        ),
    ) {
        let mut bench = Bench::new();
        let mut host = Some(bench.channel(&KeySet::TEST, SecurityLevel::ALL[level]));
        for (wrapped, row, [p1, p2], data) in commands {
            let row = &GP_COMMANDS[row];
            let apdu = CommandApdu { cla: row.cla, ins: row.name.code(), p1, p2, data: &data, ne: Some(256) };
            host = match host.take().filter(|_| wrapped) {
                None => {
                    bench.send(&apdu.encode(Form::Short).unwrap());
                    None
                }
                Some(host) => {
                    let (waiting, bytes) = host.wrap(&apdu).unwrap();
                    let response = bench.send(&bytes);
                    prop_assert_ne!(response.sw, StatusWord::INTERNAL);
                    waiting.unwrap(&response).ok().map(|(host, _)| host)
                }
            };
        }
        bench.card.reset();
        let sw = bench.sw(SELECT_ISD);
        prop_assert!(sw == StatusWord::OK || sw == StatusWord::CONDITIONS, "terminated, or alive: {}", sw);
    }
}

//! What a GlobalPlatform host does first: SELECT without a name, GET DATA, INITIALIZE UPDATE (GPCS §11.9, §6.6).

use onetap_apdu_spec::gp::install::NewApplication;
use onetap_apdu_spec::gp::life_cycle::{Privilege, Privileges};
use onetap_apdu_spec::gp::scp03::{SecurityLevel, Variant};
use onetap_apdu_spec::gp::{KeySet, card_data, isd_fci};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::runtime::Aid;

use crate::rig::{Bench, hex_bytes, own_keys};

/// The answer to these bytes: data and status word.
fn ask(bench: &mut Bench, apdu: &str) -> (Vec<u8>, String) {
    let response = bench.send(&hex_bytes(apdu));
    (response.data, response.sw.to_string())
}

fn is_the_domain(bench: &mut Bench, channel: u8) {
    let get = format!("{:02X}CA0066 00", 0x80 | channel);
    assert_eq!(ask(bench, &get), (card_data(Variant::USUAL), "9000".to_owned()), "channel {channel}");
    let update = format!("{:02X}500000 08 0102030405060708 00", 0x80 | channel);
    let (data, sw) = ask(bench, &update);
    assert_eq!((data.len(), sw.as_str()), (32, "9000"), "channel {channel}");
}

#[test]
fn after_power_up_and_reset_the_domain_is_there_without_any_select() {
    let mut bench = Bench::new();
    is_the_domain(&mut bench, 0);
    bench.card.reset();
    is_the_domain(&mut bench, 0);
    let (mut issued, _) = Bench::issued();
    issued.card.reset();
    is_the_domain(&mut issued, 0);
}

#[test]
fn select_without_a_name_finds_it_on_every_channel_with_and_without_le() {
    let (mut bench, _) = Bench::issued();
    for channel in 0..4_u8 {
        if channel > 0 {
            assert_eq!(ask(&mut bench, "00700000 01"), (vec![channel], "9000".to_owned()));
        }
        let select = format!("{channel:02X}A40400");
        assert_eq!(ask(&mut bench, &format!("{select} 00")), (isd_fci(), "9000".to_owned()));
        is_the_domain(&mut bench, channel);
        assert_eq!(ask(&mut bench, &select), (isd_fci(), "9000".to_owned()), "without Le as with Le = 00");
        is_the_domain(&mut bench, channel);
        assert_eq!(
            ask(&mut bench, &format!("{channel:02X}A4040C")),
            (vec![], "9000".to_owned()),
            "no data asked for"
        );
        let named = format!("{channel:02X}A40400 08 A000000151000000");
        assert_eq!(ask(&mut bench, &named).1, format!("61{:02X}", isd_fci().len()), "by its name: REQ-C-6");
    }
    // There is one: none comes after it or before it.
    assert_eq!(bench.sw("00A40402 00").to_string(), "6A82");
    assert_eq!(bench.sw("00A40401 00").to_string(), "9000");
}

#[test]
fn an_application_that_was_given_the_privilege_comes_first_and_the_domain_is_still_found() {
    let mut bench = Bench::new();
    let aid = |bytes: &[u8]| Aid::new(bytes).unwrap();
    let signing = NewApplication {
        package: aid(b"\xF0ONETAP"),
        module: aid(b"\xF0ONETAP\x01"),
        instance: aid(b"\xF0ONETAP\x01"),
        privileges: Privileges::NONE.with(Privilege::DefaultSelected),
        parameters: Vec::new(),
    };
    bench.with_keys(&KeySet::TEST, |issuer| issuer.install(&signing)).unwrap();
    bench.card.reset();
    assert_eq!(bench.sw("80CA0066 00"), StatusWord::WRONG_INS, "the application answers");
    assert_eq!(ask(&mut bench, "00A40400 00"), (isd_fci(), "9000".to_owned()));
    is_the_domain(&mut bench, 0);
}

/// A secure channel belongs to the logical channel that it was opened on.
#[test]
fn attack_use_a_secure_channel_from_another_logical_channel() {
    let (mut bench, _) = Bench::issued();
    assert_eq!(bench.sw("00700001 00"), StatusWord::OK);
    let host = bench.channel(&own_keys(0x30), SecurityLevel::Full);
    let get_status = hex_bytes("80F28002 02 4F00 00");
    let command = onetap_apdu_spec::apdu::CommandApdu::parse(&get_status).unwrap();
    let (waiting, wrapped) = host.wrap(&command).unwrap();
    let mut stolen = wrapped.clone();
    stolen[0] |= 1;
    assert_eq!(bench.send(&stolen).sw, StatusWord::SECURITY_STATUS, "nothing is open on channel 1");
    let response = bench.send(&wrapped);
    assert_eq!(waiting.unwrap(&response).unwrap().1.sw, StatusWord::OK, "and on channel 0 it goes on");
}

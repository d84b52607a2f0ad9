//! `fixtures/vectors/issuing.json`: personalisation orders that another program wrote, told to the card block by block.

use onetap_apdu_spec::gp::ceremony::signing_applet;
use onetap_apdu_spec::gp::install::Install;
use onetap_apdu_spec::gp::order::parse_statement;
use onetap_apdu_spec::gp::scp03::{HostSession, SecurityLevel};
use onetap_apdu_spec::gp::{GpCommand, KeySet};
use onetap_apdu_spec::sw::StatusWord;
use serde_json::Value;

use crate::rig::Bench;

fn orders() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/issuing.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let all = file["vectors"].as_array().unwrap().iter();
    all.filter(|vector| vector["id"].as_str().unwrap().starts_with("order")).cloned().collect()
}

/// A blank card with the signing applet, and a channel on which its personalisation has begun.
fn begun(install: &str) -> (Bench, HostSession) {
    let mut bench = Bench::new();
    bench.with_keys(&KeySet::TEST, |issuer| issuer.install(&signing_applet())).unwrap();
    let host = bench.channel(&KeySet::TEST, SecurityLevel::Full);
    let (host, response) = bench.on(host, install);
    assert_eq!(response.sw, StatusWord::OK);
    (bench, host)
}

#[test]
fn orders_make_a_card_or_are_refused_and_leave_the_application_as_it_was() {
    let (mut made, mut refused) = (0, 0);
    for vector in orders() {
        let (id, install) = (vector["id"].as_str().unwrap(), vector["install"].as_str().unwrap());
        let (mut bench, mut host) = begun(install);
        let blocks: Vec<&str> =
            vector["store_data"].as_array().unwrap().iter().map(|block| block.as_str().unwrap()).collect();
        let (last, first) = blocks.split_last().unwrap();
        for block in first {
            // No answer is asked for, and it comes with a MAC.
            let (open, response) = bench.on(host, &format!("{block}00"));
            assert_eq!((response.sw, response.data.len()), (StatusWord::OK, 0), "{id}");
            host = open;
        }
        let (host, response) = bench.on(host, last);
        if vector["expect"] == "valid" {
            made += 1;
            assert_eq!(response.sw, StatusWord::OK, "{id}");
            let statement = parse_statement(&response.data).unwrap();
            // DF30 stands first in the order, after the tags and lengths of the template and its own.
            let payload = vector["payload"].as_str().unwrap();
            let binding: String = response.data[3..29].iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(payload.contains(&format!("df301a{binding}")), "{id}: the binding comes back as it was");
            assert!(!statement.public_key.is_empty());
            let (_, again) = bench.on(host, install);
            assert_eq!(again.sw, StatusWord::OK, "{id}: for a new PIN");
        } else {
            refused += 1;
            assert_eq!(response.sw.to_string().to_lowercase(), vector["sw"].as_str().unwrap(), "{id}");
            let state = bench.on(host, "80F24002 02 4F00 00").1.data;
            assert!(state.windows(4).any(|window| window == [0x9F, 0x70, 1, 0x07]), "{id}: SELECTABLE");
        }
    }
    assert!(made >= 5 && refused >= 25, "{made} made, {refused} refused");
}

/// P1 of STORE DATA: the last block, secrets inside, BER-TLV, an answer; and nothing else (personalisation.md).
#[test]
fn p1_of_store_data_has_the_values_that_the_specification_lists() {
    let taken = [0x10, 0x11, 0x30, 0x31, 0x90, 0x91, 0xB0, 0xB1];
    let begin = GpCommand::Install(Install::Personalization(onetap_apdu_spec::gp::SIGNING_APPLET)).encode();
    let begin: String = begin.to_bytes().unwrap().iter().map(|byte| format!("{byte:02X}")).collect();
    for p1 in 0..=u8::MAX {
        let (mut bench, host) = begun(&begin);
        let (_, response) = bench.on(host, &format!("80E2{p1:02X}00 01 AA 00"));
        let expected = match (taken.contains(&p1), p1 & 0x80 != 0) {
            (false, _) => StatusWord::WRONG_P1P2,
            (true, false) => StatusWord::OK,
            (true, true) => StatusWord::WRONG_DATA,
        };
        assert_eq!(response.sw, expected, "P1 = {p1:02X}");
    }
}

/// Whatever comes between INSTALL [for personalization] and the blocks ends it, and a block that is missing or comes twice.
#[test]
fn blocks_follow_at_once_and_in_their_order() {
    let begin = "80E62000 0E 0000 08 F04F4E4554415001 000000 00";
    for between in ["80F28002 02 4F00 00", "80CA0066 00", "80320000 00", "80E40000 07 4F05F04F544845 00"] {
        let (mut bench, host) = begun(begin);
        let (host, _) = bench.on(host, between);
        let (host, response) = bench.on(host, "80E23000 01 AA 00");
        assert_eq!(response.sw, StatusWord::CONDITIONS, "{between}: not just before");
        let (host, _) = bench.on(host, begin);
        let (host, _) = bench.on(host, "80E23000 01 AA 00");
        let (host, _) = bench.on(host, between);
        let (_, response) = bench.on(host, "80E23001 01 AA 00");
        assert_eq!(response.sw, StatusWord::CONDITIONS, "{between}: nor between two blocks");
    }
    for (blocks, expected) in [
        (["80E23001 01 AA 00", "80E23000 01 AA 00"], [StatusWord::WRONG_P1P2, StatusWord::CONDITIONS]),
        (["80E23000 01 AA 00", "80E23000 01 AA 00"], [StatusWord::OK, StatusWord::WRONG_P1P2]),
        (["80E23000 01 AA 00", "80E23002 01 AA 00"], [StatusWord::OK, StatusWord::WRONG_P1P2]),
    ] {
        let (mut bench, mut host) = begun(begin);
        for (block, sw) in blocks.into_iter().zip(expected) {
            let (open, response) = bench.on(host, block);
            assert_eq!(response.sw, sw, "{blocks:?}");
            host = open;
        }
    }
}

//! GET STATUS: parts, names, formats, tag lists, and answers in pages (GPCS §11.4).

use onetap_apdu_spec::gp::KeySet;
use onetap_apdu_spec::gp::scp03::{HostSession, SecurityLevel, Variant};
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::gp;

use crate::content::Bench;

const MORE: &str = "6310";

/// A card with so many instances of the echo applet, and a channel.
fn with_instances(count: u8) -> (Bench, HostSession) {
    let mut bench = Bench::new();
    for number in 0..count {
        bench.install_echo(&[b"\xF0ECHO number ", &[number][..]].concat());
    }
    let host = bench.channel(&KeySet::TEST, SecurityLevel::Full);
    (bench, host)
}

fn ask(bench: &mut Bench, host: HostSession, apdu: &str) -> (HostSession, String, String) {
    let (host, response) = bench.on(host, apdu);
    let data = response.data.iter().map(|byte| format!("{byte:02X}")).collect();
    (host, data, response.sw.to_string())
}

/// A template E3.
fn entry(objects: &str) -> String {
    format!("E3{:02X}{objects}", objects.len() / 2)
}

const ECHO: &str = "F04543484F";
const PURSE: &str = "F05055525345";

#[test]
fn each_part_of_the_registry_in_each_format() {
    let (mut bench, mut host) = with_instances(1);
    let instance = "F04543484F206E756D6265722000";
    let domain = "A000000151000000";
    let whole = format!("4F0E{instance}9F700107C503000000C405{ECHO}");
    let rows = [
        ("80F28002 02 4F00 00", entry(&format!("4F08{domain}9F700101C503985C00"))),
        ("80F24002 02 4F00 00", entry(&whole)),
        (
            "80F22002 02 4F00 00",
            entry(&format!("4F05{ECHO}9F700101")) + &entry(&format!("4F06{PURSE}9F700101")),
        ),
        (
            "80F21002 02 4F00 00",
            entry(&format!("4F05{ECHO}9F7001018406{ECHO}01"))
                + &entry(&format!("4F06{PURSE}9F7001018407{PURSE}01")),
        ),
        // The older form: length, name, state, first privilege byte; of modules their number and names.
        ("80F28000 02 4F00 00", format!("08{domain}0198")),
        ("80F24000 02 4F00 00", format!("0E{instance}0700")),
        ("80F22000 02 4F00 00", format!("05{ECHO}010006{PURSE}0100")),
        ("80F21000 02 4F00 00", format!("05{ECHO}01000106{ECHO}0106{PURSE}01000107{PURSE}01")),
        // A tag list: those of the objects that there are, in the template's order; an empty one is all.
        ("80F24002 06 4F005C029F70 00", entry("9F700107")),
        ("80F24002 08 4F005C04C4C54F84 00", entry(&whole.replace("9F700107", ""))),
        ("80F28002 05 4F005C01C4 00", entry("")),
        ("80F24002 04 4F005C00 00", entry(&whole)),
        // By the first bytes of a name.
        ("80F22002 04 4F02F050 00", entry(&format!("4F06{PURSE}9F700101"))),
    ];
    for (apdu, expected) in rows {
        let (open, data, sw) = ask(&mut bench, host, apdu);
        assert_eq!((data, sw), (expected, "9000".to_owned()), "{apdu}");
        host = open;
    }
}

#[test]
fn what_cannot_be_listed_has_its_refusal() {
    let (mut bench, mut host) = with_instances(0);
    for (apdu, expected) in [
        ("80F24002 02 4F00 00", "6A88"),
        ("80F22002 07 4F05F04F544845 00", "6A88"),
        ("80F28002 07 4F05F04F544845 00", "6A88"),
        ("80F2C002 02 4F00 00", "6A86"),
        ("80F28004 02 4F00 00", "6A86"),
        ("80F28002 00", "6A80"),
        ("80F28000 04 4F005C00 00", "6A80"),
        ("80F28002 05 4F005C019F 00", "6A80"),
    ] {
        let (open, data, sw) = ask(&mut bench, host, apdu);
        assert_eq!((data.as_str(), sw.as_str()), ("", expected), "{apdu}");
        host = open;
    }
}

#[test]
fn pages_follow_one_another_until_the_last_and_are_the_whole_together() {
    for (first, next) in [
        ("80F24002 02 4F00 00", "80F24003 02 4F00 00"),
        ("80F24000 02 4F00 00", "80F24001 02 4F00 00"),
        ("80F24002 05 4F005C014F 00", "80F24003 05 4F005C014F 00"),
    ] {
        let (mut bench, host) = with_instances(20);
        let (mut host, mut listed, mut sw) = ask(&mut bench, host, first);
        let mut pages = 1;
        while sw == MORE {
            let (open, data, status) = ask(&mut bench, host, next);
            assert!(!data.is_empty() && data.len() <= 2 * 224, "{} bytes", data.len() / 2);
            listed.push_str(&data);
            (host, sw, pages) = (open, status, pages + 1);
        }
        assert_eq!(sw, "9000", "{first}");
        assert!(pages > 1, "{first}");
        for number in 0..20_u8 {
            let name = format!("F04543484F206E756D62657220{number:02X}");
            assert_eq!(listed.matches(&name).count(), 1, "{first}: {name}");
        }
        let (_, data, sw) = ask(&mut bench, host, next);
        assert_eq!((data.as_str(), sw.as_str()), ("", "6985"), "nothing follows the last page");
    }
}

/// What follows is asked for at once, in the same words, or not at all.
#[test]
fn a_page_is_forgotten_with_any_other_command() {
    let others = [
        ("the next of another part", "80F22003 02 4F00 00", "6985"),
        ("the next of another name", "80F24003 04 4F02F045 00", "6985"),
        ("the next in another format", "80F24001 02 4F00 00", "6985"),
        ("the next of other objects", "80F24003 05 4F005C014F 00", "6985"),
        ("GET DATA", "80CA0066 00", "9000"),
        ("GET STATUS that is malformed", "80F24003 02 4F01 00", "6A80"),
        ("an unknown command", "80320000 00", "6D00"),
        ("a refused DELETE", "80E40000 07 4F05F04F544845 00", "6A88"),
    ];
    for (what, other, sw) in others {
        let (mut bench, host) = with_instances(20);
        let (host, _, first) = ask(&mut bench, host, "80F24002 02 4F00 00");
        assert_eq!(first, MORE);
        let (host, _, status) = ask(&mut bench, host, other);
        assert_eq!(status, sw, "{what}");
        let (_, data, sw) = ask(&mut bench, host, "80F24003 02 4F00 00");
        assert_eq!((data.as_str(), sw.as_str()), ("", "6985"), "{what}");
    }
}

#[test]
fn a_page_belongs_to_its_channel_and_ends_with_it() {
    let (mut bench, host) = with_instances(20);
    let (_, _, first) = ask(&mut bench, host, "80F24002 02 4F00 00");
    assert_eq!(first, MORE);
    let host = bench.channel(&KeySet::TEST, SecurityLevel::Full);
    let (host, _, sw) = ask(&mut bench, host, "80F24003 02 4F00 00");
    assert_eq!(sw, "6985", "another secure channel");
    let (_, _, sw) = ask(&mut bench, host, "80F24003 02 4F00 00");
    assert_eq!(sw, "6985", "without a first page");
}

/// This card loads no code, and says so; not that the command is unknown (6D00).
#[test]
fn code_is_not_loaded_and_the_refusal_says_so() {
    let (mut bench, mut host) = with_instances(0);
    for apdu in [
        // INSTALL [for load], alone, and together with install and make selectable; LOAD.
        "80E60200 12 05F04F544845 08A000000151000000 000000 00",
        "80E60E00 12 05F04F544845 08A000000151000000 000000 00",
        "80E80000 07 C4050102030405 00",
        "80E88001 04 01020304 00",
    ] {
        let (open, _, sw) = ask(&mut bench, host, apdu);
        assert_eq!(sw, "6A81", "{apdu}");
        host = open;
    }
    bench.reset();
    for apdu in ["80E60200 00", "80E80000 00"] {
        assert_eq!(bench.sw(apdu), StatusWord::SECURITY_STATUS, "without a channel");
    }
}

#[test]
fn the_domains_parameters_name_a_variant_or_it_is_not_made() {
    for variant in Variant::all() {
        assert_eq!(gp::parameters(variant), [0x81, 0x02, 0x03, variant.code()]);
        assert!(Bench::made_with(&gp::parameters(variant)).is_ok(), "{variant:?}");
    }
    assert!(Bench::made_with(&[]).is_ok(), "i = 70");
    for bad in [&[0x81, 2, 3, 0x40][..], &[0x81, 2, 2, 0x55], &[0x81, 1, 3], &[0x70]] {
        assert_eq!(Bench::made_with(bad).err(), Some(StatusWord::WRONG_DATA), "{bad:02X?}");
    }
}

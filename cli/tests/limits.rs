//! Cards on chips with limits.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use onetap_pcsc_host::{Deadline, Reader as _};
use support::*;

#[test]
fn a_card_that_runs_within_limits_keeps_to_them_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ok(at, &["card", "blank", "--image", "a.img"]);
    // SELECT of the issuer's domain, with extended length and without.
    let (extended, short) = ([0, 0xA4, 4, 0, 0, 0, 0], [0, 0xA4, 4, 0, 0]);
    for (limits, atr, refused) in [
        ("none", "3b85018073c001db6d", false),
        ("real-card,fast", "3b85018073c0019b2d", true),
        ("real-card,t0,fast", "3b058073c0019b", true),
    ] {
        let run =
            ["--json", "card", "run", "--image", "a.img", "--listen", "127.0.0.1:0", "--limits", limits];
        let card = Running::start(at, &run);
        let mut reader = Vpcd::come(card.json()["listen"].as_str().unwrap());
        let mut contact = reader.connect(&Deadline::after(LONG)).unwrap();
        assert_eq!(hex::encode(contact.atr().bytes()), atr, "{limits}");
        assert_eq!(contact.transmit(&extended).unwrap() == [0x67, 0x00], refused, "{limits}");
        assert_ne!(contact.transmit(&short).unwrap(), [0x67, 0x00], "{limits}");
    }
}

#[test]
fn a_word_that_sets_no_limit_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for limits in ["real", "commit=1", "t0,,t1"] {
        let (code, message) = fails(folder.path(), &["card", "run", "--image", "a.img", "--limits", limits]);
        assert_eq!(code, 2, "{message}");
        assert!(message.contains("sets no limit"), "{message}");
    }
}

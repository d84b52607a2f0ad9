//! A client that we did not write: yubikit, from PyPI, drives the card (`yubikit_client.py`).
//! `ONETAP_YUBIKIT` names a Python interpreter that has it; without one the tests say so and end.
#![allow(clippy::print_stderr, reason = "a test that cannot run says why")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use onetap_apdu_spec::gp::scp03::{Drawing, Variant};

use crate::rig::Bench;

/// A client that sends more goes in circles.
const MOST: usize = 200;

/// Lets the client talk to a blank card of a variant to its end; how many commands it sent.
fn converse(form: &str, variant: Variant) -> Option<usize> {
    let Some(python) = std::env::var_os("ONETAP_YUBIKIT") else {
        eprintln!("not run: ONETAP_YUBIKIT names no Python interpreter with yubikey-manager");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gp/yubikit_client.py");
    let mut client = Command::new(python)
        .args([script, form, &format!("{:02x}", variant.code())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut to_client, from_client) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
    let mut bench = Bench::of(variant);
    let (mut commands, mut last) = (0, String::new());
    for line in BufReader::new(from_client).lines() {
        last = line.unwrap();
        let Ok(command) = hex_line(&last) else { break };
        commands += 1;
        if commands > MOST {
            client.kill().unwrap();
            panic!("{commands} commands without end: {last}");
        }
        let response: String =
            bench.card.transmit(&command).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(to_client, "{response}").unwrap();
    }
    drop(to_client);
    assert!(client.wait().unwrap().success(), "the client found fault, see above");
    assert_eq!(last, "done");
    Some(commands)
}

fn hex_line(line: &str) -> Result<Vec<u8>, std::num::ParseIntError> {
    (0..line.len()).step_by(2).map(|at| u8::from_str_radix(line.get(at..at + 2).unwrap_or("x"), 16)).collect()
}

#[test]
fn yubikit_in_the_short_form() {
    assert!(converse("short", Variant::USUAL).is_none_or(|commands| commands > 25));
}

/// It asks for protection of responses, always, and knows challenges of 8 bytes.
#[test]
fn yubikit_and_a_card_with_a_random_challenge() {
    let random = Variant { drawing: Drawing::Random, ..Variant::USUAL };
    assert!(converse("short", random).is_none_or(|commands| commands > 25));
}

#[test]
fn yubikit_in_the_extended_form() {
    assert!(converse("extended", Variant::USUAL).is_none_or(|commands| commands > 25));
}

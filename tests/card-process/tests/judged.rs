//! The judge on this card: the suite that kills the mutants of the card's core (scripts/mutants, docs/conformance.md).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::process::Command;

/// The judge is a program that was built from sources in which nothing was changed.
#[test]
fn the_card_passes_the_suite() {
    let Some(judge) = std::env::var_os("ONETAP_JUDGE") else {
        println!("not performed: scripts/mutants names a judge in ONETAP_JUDGE");
        return;
    };
    let judged = Command::new(judge).arg(env!("CARGO_BIN_EXE_onetap-card-process")).output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}

//! The judge on a card that is another process: what scripts/mutants does with a card that was changed, on one that was not.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::process::Command;

/// What cargo built of the other package beside this one's tests.
fn card() -> PathBuf {
    let judge = PathBuf::from(env!("CARGO_BIN_EXE_onetap-judge"));
    let card = judge.with_file_name("onetap-card-process");
    assert!(card.exists(), "{}: build the whole workspace, cargo test --workspace", card.display());
    card
}

#[test]
fn every_case_is_performed_and_passed() {
    let judged = Command::new(env!("CARGO_BIN_EXE_onetap-judge")).arg(card()).output().unwrap();
    let said = String::from_utf8(judged.stdout).unwrap();
    assert!(
        judged.status.success() && said.contains(" 0 failed") && said.contains(" 0 not performed"),
        "{said}"
    );
}

/// A card that says nothing, one that ends, and one that is not there.
#[test]
fn what_is_no_card_is_said() {
    for program in ["/bin/true", "/bin/cat", "/nowhere"] {
        let judged = Command::new(env!("CARGO_BIN_EXE_onetap-judge")).arg(program).output().unwrap();
        let said = String::from_utf8(judged.stdout).unwrap();
        assert!(!judged.status.success() && said.contains("cannot be made"), "{program}: {said}");
    }
}

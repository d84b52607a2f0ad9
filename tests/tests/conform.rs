//! The conformance suite against our card, and against our card with bugs.
//!
//! The second half proves the suite's strength as BoGo does: each bug below is switched on in a wrapper
//! around our right card, and the cases named for it must fail.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "the counts of a run are worth reading")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use onetap_apdu_spec::crypto::{CryptoError, Key256, default_provider};
use onetap_apdu_spec::suite::{SignatureAlgorithm, Suite};
use onetap_applet::front::vpcd::{Meeting, Stop, VpcdConfig, serve};
use onetap_conformance::conform::{self, Filter, Report, Verdict};
use onetap_conformance::target::{CardUnderTest as _, InProcess, Known, ReaderTarget, Vpcd};
use onetap_pcsc_host::Deadline;
use onetap_pcsc_host::pcsc::{Wanted, wait_for_card, wait_for_removal};

mod bugs;

use bugs::Buggy;

/// Our card in this process, with a bug.
fn buggy(bug: &'static bugs::Bug) -> Buggy {
    Buggy::new(InProcess::computing(Suite::default(), (bug.crypto)()).unwrap(), bug)
}

/// Everything the suite has, it performs on our card, and our card passes.
#[test]
fn our_card_conforms() {
    let mut card = InProcess::new().unwrap();
    let mut wrong = Vec::new();
    let summary = conform::run(&Filter::default(), &mut card, &mut |report| {
        if report.verdict != Verdict::Passed {
            wrong.push(report.to_string());
        }
    });
    println!("conformance, in-process: {summary}");
    assert!(summary.failed == 0, "{}", wrong.join("\n\n"));
    assert!(summary.is_conforming());
}

/// Each bug is caught by every case named for it.
#[test]
fn every_bug_is_caught() {
    let mut missed = Vec::new();
    for bug in bugs::all() {
        let mut card = buggy(bug);
        conform::run(&Filter::new(bug.caught_by).unwrap(), &mut card, &mut |report| {
            if !matches!(report.verdict, Verdict::Failed(_)) {
                missed.push(format!("{}: {report}", bug.name));
            }
        });
    }
    println!("conformance: {} bugs, each caught by the cases named for it", bugs::all().count());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Zero signatures, a wrong header, a counter that stands still, no limit of eight, in every suite.
#[test]
fn a_card_of_rubbish_fails_wherever_something_is_signed() {
    let mut card = buggy(&bugs::RUBBISH);
    let mut passed = Vec::new();
    let summary = conform::run(&Filter::default(), &mut card, &mut |report| {
        let signs = report.id.starts_with("signature/") || report.id.starts_with("password/");
        passed.extend((signs && report.verdict == Verdict::Passed).then(|| report.id.clone()));
    });
    println!("conformance, in-process, the card of rubbish: {summary}");
    assert!(passed.is_empty() && summary.failed > 200, "{passed:?}: {summary}");
}

/// A key off the curve, of another curve or of the other kind: nothing is judged by it.
#[test]
fn a_card_whose_public_key_is_none_is_not_judged() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/public-keys.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let ecdsa = |suite: &Suite| suite.signature() == SignatureAlgorithm::EcdsaP256Sha256;
    let card = InProcess::with(Suite::all().find(ecdsa).unwrap()).unwrap();
    let mut refused = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let public_key = hex::decode(vector["public_key"].as_str().unwrap()).unwrap();
        let (binding, card_key) = (card.statement().binding, Key256::new([0; 32]));
        let known = Known::new(default_provider(), binding, &public_key, card_key, None);
        let wanted = vector["kind"] == "p-256" && vector["expect"] == "valid";
        assert_eq!(known.is_ok(), wanted, "{}", vector["id"]);
        refused += usize::from(known.is_err_and(|why| why == CryptoError::BadKey));
    }
    assert!(refused > 40, "{refused}");
}

/// A failed case tells what was sent, what came, what was expected, the clause, and how to run it again.
#[test]
fn a_failure_tells_the_whole_story() {
    let bug = bugs::all().find(|bug| bug.caught_by.contains(&"alias/rotates")).unwrap();
    let mut card = buggy(bug);
    let mut told = Vec::new();
    conform::run(&Filter::new(&["alias/rotates"]).unwrap(), &mut card, &mut |report| {
        assert!(serde_json::to_string(report).unwrap().contains("\"verdict\":\"failed\""));
        told.push(report.to_string());
    });
    for part in [
        "→ GET DATA payer alias",
        "← 9000",
        "step      compare the aliases",
        "expected  another alias",
        "clause    REQ-T-7",
        "again     onetap conform run alias/rotates --target in-process",
    ] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
}

/// What is told to repeat a case can be pasted into a shell.
#[test]
fn the_command_that_runs_a_case_again_is_quoted_where_a_shell_needs_it() {
    let report = |target: &str| {
        let [id, title, clause] = ["select/unknown", "title", "clause"].map(str::to_owned);
        Report { id, title, clause, target: target.to_owned(), lent: Vec::new(), verdict: Verdict::Passed }
            .again()
    };
    assert_eq!(report("in-process"), "onetap conform run select/unknown --target in-process");
    assert_eq!(report("pcsc:00 00"), "onetap conform run select/unknown --target 'pcsc:00 00'");
    assert_eq!(report("pcsc:it's"), r"onetap conform run select/unknown --target 'pcsc:it'\''s'");
}

/// A typing error in a filter does not pass as a success.
#[test]
fn a_filter_that_fits_nothing_is_refused() {
    assert!(Filter::new(&["select/partial"]).is_ok(), "as the help says: ids or their beginnings");
    assert!(Filter::new(&["elect"]).is_err());
    assert!(Filter::new(&["select//"]).is_err());
    assert!(Filter::new(&["select/", "get-data/in-idle"]).is_ok());
}

/// The wrapper itself changes nothing: without a bug every case passes, so what fails above fails for
/// the bug.
#[test]
fn the_wrapper_without_a_bug_conforms() {
    let caught: Vec<_> = bugs::all().flat_map(|bug| bug.caught_by).copied().collect();
    let mut card = buggy(&bugs::NONE);
    let summary = conform::run(&Filter::new(&caught).unwrap(), &mut card, &mut |report| {
        assert_eq!(report.verdict, Verdict::Passed, "{report}");
    });
    assert_eq!(summary.failed, 0);
}

/// The virtual reader's second slot, one test at a time.
const READER: &str = "Virtual PCD 00 01";
static SLOT: Mutex<()> = Mutex::new(());

fn addr() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 35_964))
}

/// `None` outside of `scripts/with-pcscd`. Empty: pcscd notices late that the card of another test left, and
/// until then gives it to whoever asks.
fn slot() -> Option<std::sync::MutexGuard<'static, ()>> {
    if std::env::var_os("ONETAP_PCSCD").is_none() {
        println!("no pcscd of our own: run under scripts/with-pcscd");
        return None;
    }
    let slot = SLOT.lock().unwrap_or_else(PoisonError::into_inner);
    wait_for_removal(READER, &Deadline::after(Duration::from_secs(10))).unwrap();
    Some(slot)
}

/// One case of each kind through a real PC/SC stack, with new cards and their holder (P-03).
#[test]
fn p_03_our_card_conforms_through_pcsc() {
    let Some(_slot) = slot() else { return };
    let mut card = Vpcd::new(InProcess::new().unwrap(), READER, addr());
    let filter = Filter::new(&[
        "select/answer",
        "chain/mixed-lengths",
        "get-signature/le-extended",
        "get-enc-password/get-response-in-parts",
        "transaction/text-bidi",
        "transaction/too-long",
        "signature/a3+sha256+rsa-oaep+pkcs1",
        "password/b1+aes-cbc-cmac+pss",
        "contact/reset-voids-signed",
        "contact/over",
        "contact/re-tap-in-showing",
        "pin/blocked",
    ]);
    let summary = conform::run(&filter.unwrap(), &mut card, &mut |report| {
        assert_eq!(report.verdict, Verdict::Passed, "{report}");
    });
    println!("conformance, pcsc:{READER}, our card: {summary}");
    assert_eq!(summary.passed, 12);
}

/// A card that only a reader reaches: what needs more is not performed, each with its reason.
#[test]
fn a_card_in_a_reader_conforms_as_far_as_a_reader_reaches() {
    let Some(_slot) = slot() else { return };
    let (card, stop) = (InProcess::new().unwrap().card(), Stop::new());
    let (config, switch) =
        (VpcdConfig { meeting: Meeting::At(addr()), ..VpcdConfig::default() }, stop.clone());
    let served = std::thread::spawn(move || serve(&card, &config, &switch));
    let reader =
        wait_for_card(&Wanted::in_reader(READER), &Deadline::after(Duration::from_secs(10))).unwrap();
    let mut target = ReaderTarget::new(format!("pcsc:{READER}"), Box::new(reader));
    let mut wrong = Vec::new();
    let summary = conform::run(&Filter::default(), &mut target, &mut |report| match &report.verdict {
        Verdict::Passed => {}
        Verdict::NotPerformed { reason } | Verdict::NotApplicable { reason } => {
            assert!(!reason.is_empty(), "{}", report.id);
        }
        Verdict::Failed(_) => wrong.push(report.to_string()),
    });
    stop.stop();
    served.join().unwrap().unwrap();
    println!("conformance, pcsc:{READER}, reader only: {summary}");
    assert!(summary.is_conforming(), "{}", wrong.join("\n\n"));
    assert!(summary.passed > 200 && summary.not_performed > 100, "{summary}");
}

/// A run says beforehand what it will sign; a case that signed more would wear a card out unasked.
#[test]
fn no_case_signs_more_often_than_it_says() {
    for case in conform::cases() {
        let mut card = InProcess::new().unwrap();
        // A whole id may be the beginning of another one.
        let filter = Filter::new(&[&case.id]).unwrap();
        conform::run(&filter, &mut card, &mut |_| {});
        let cases = conform::cases();
        let said = cases.iter().rfind(|other| filter.wants(other)).unwrap().most_signatures(card.claims());
        let signed = card.spent().signatures;
        assert!(signed <= said, "{} signs {signed} times and says {said}", case.id);
    }
}

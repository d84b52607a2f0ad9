//! Recorded flows in `fixtures/traces`: replayed in-process and, under `scripts/with-pcscd`, through
//! pcscd and vpcd. `UPDATE_TRACES=1` records them anew.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests, with helpers of their own"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use onetap_apdu_spec::suite::{Profile, SignatureAlgorithm, Suite};
use onetap_conformance::traces::{Place, Scenario, TraceFailure, record, replay};
use onetap_pcsc_host::trace::{Event, Trace};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/traces")
}

/// Suites that sign with ECDSA, with either encryption.
const ECDSA: [&str; 2] = ["a3+sha256+aes-cbc-cmac+ecdsa", "b2+sha256+rsa-oaep+ecdsa"];

/// What must be there: a payment with every safe suite with pkcs1, with one suite of each profile and with two that sign with
/// ECDSA, and the other scenarios.
fn wanted() -> BTreeMap<String, (Scenario, Suite)> {
    let safe = Suite::all()
        .filter(|suite| suite.danger().is_none() && suite.signature() == SignatureAlgorithm::Pkcs1Sha256);
    let ecdsa = ECDSA.into_iter().map(|suite| suite.parse().unwrap());
    let payments = safe.chain(representatives()).chain(ecdsa).map(|suite| (Scenario::Payment, suite));
    let others = Scenario::ALL.into_iter().map(|scenario| (scenario, Suite::default()));
    payments
        .chain(others)
        .map(|(scenario, suite)| (format!("{scenario}-{suite}.jsonl"), (scenario, suite)))
        .collect()
}

/// One suite of each profile, safe where the profile has a safe one.
fn representatives() -> impl Iterator<Item = Suite> {
    let of = |profile: &Profile| {
        let suites = Suite::all().filter(|suite| suite.profile() == *profile);
        suites.min_by_key(|suite| suite.danger().is_some()).unwrap()
    };
    Profile::ALL.iter().map(of)
}

fn load(name: &str) -> Trace {
    let text = fs::read_to_string(folder().join(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
    Trace::parse(&text).unwrap_or_else(|why| panic!("{name}: {why}"))
}

#[test]
fn p_04_recorded_flows_replay_in_process() {
    for (name, (scenario, suite)) in wanted() {
        if std::env::var_os("UPDATE_TRACES").is_some() {
            let trace = record(scenario, suite, false).unwrap();
            fs::create_dir_all(folder()).unwrap();
            fs::write(folder().join(&name), trace.to_text().unwrap()).unwrap();
        }
        let trace = load(&name);
        assert_eq!(trace.header.suite, Some(suite), "{name}");
        let summary = replay(&trace, &Place::InProcess).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(summary.commands >= 4 && summary.contacts >= 1, "{name}: {summary:?}");
    }
}

#[test]
fn nothing_else_lies_in_the_folder() {
    let wanted = wanted();
    for file in fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(wanted.contains_key(&name) || name == "README.md", "{name} is no trace that is replayed");
    }
}

/// P-03: contact cards are reached through PC/SC.
#[test]
fn p_03_recorded_flows_replay_through_pcsc() {
    if std::env::var_os("ONETAP_PCSCD").is_none() {
        println!("no pcscd of our own: run under scripts/with-pcscd");
        return;
    }
    // The second slot: other test binaries use the first.
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 35_964));
    let place = Place::Vpcd { reader: "Virtual PCD 00 01".into(), addr };
    let payments = representatives().map(|suite| (Scenario::Payment, suite));
    let others = [Scenario::Lockout, Scenario::Tamper, Scenario::WrongOrder].map(|s| (s, Suite::default()));
    for (scenario, suite) in payments.chain(others) {
        let name = format!("{scenario}-{suite}.jsonl");
        replay(&load(&name), &place).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

/// Recording again gives the same trace: nothing random is pinned, nothing secret is in it.
#[test]
fn recording_again_gives_the_same_trace() {
    for scenario in Scenario::ALL {
        let again = record(scenario, Suite::default(), false).unwrap();
        let name = format!("{scenario}-{}.jsonl", Suite::default());
        assert_eq!(again.to_text().unwrap(), load(&name).to_text().unwrap(), "{name}");
    }
}

/// Every change to what the trace expects is found, at its line.
#[test]
fn a_changed_trace_diverges_with_a_useful_message() {
    let name = format!("{}-{}.jsonl", Scenario::Payment, Suite::default());
    let right = load(&name).to_text().unwrap();
    for (from, to, told) in [
        ("\"sw\":\"9000\"", "\"sw\":\"6985\"", "status word 6985"),
        ("\"executed\"", "\"refused\"", "refused"),
        ("as-shown", "tampered-amount", "executed"),
        ("as-shown", "no-such-request", "no request is named"),
        ("12.34 EUR", "99.99 EUR", "99.99 EUR"),
        ("signature-valid", "no-such-predicate", "no predicate is named"),
        ("{\"key\":\"confirm\"}", "{\"key\":\"cancel\"}", "joint-password"),
    ] {
        let changed = right.replacen(from, to, 1);
        assert_ne!(changed, right, "{from}");
        let trace = Trace::parse(&changed).unwrap();
        match replay(&trace, &Place::InProcess) {
            Err(TraceFailure::Diverged(divergence)) => {
                assert!(divergence.line > 1);
                assert!(divergence.to_string().contains(told), "{from}: {divergence}");
            }
            other => panic!("{from} → {to}: {other:?}"),
        }
    }
}

/// With what the card answered kept, a trace is the same to a replay, has all bytes, and no digest of a joint password.
#[test]
fn what_is_kept_is_not_compared_and_no_digest_of_a_password() {
    for (suite, digest) in [(Suite::default(), false), ("a2+sha256-cmac+pkcs1".parse().unwrap(), true)] {
        let trace = record(Scenario::Payment, suite, true).unwrap();
        let kept = trace.events.iter().filter_map(|event| match event {
            Event::Response(pattern) if pattern.data.is_none() && pattern.length.is_some() => {
                Some(pattern.recorded.is_some())
            }
            _ => None,
        });
        assert_eq!(kept.collect::<Vec<_>>(), [!digest], "GET ENC-PASSWORD of {suite}");
        assert_eq!(trace.made_up().len(), usize::from(digest), "{suite}");
        replay(&trace, &Place::InProcess).unwrap();
    }
}

/// The joint password and the PIN's digits are never written.
#[test]
fn no_secret_is_in_a_trace() {
    for name in wanted().keys() {
        let trace = load(name);
        let shown = trace.events.iter().filter_map(|event| match event {
            Event::Screen(lines) if lines.iter().any(|line| line.contains("Password")) => Some(lines),
            _ => None,
        });
        for lines in shown {
            assert!(lines.iter().all(|line| line.bytes().all(|b| !b.is_ascii_digit())), "{name}: {lines:?}");
        }
    }
}

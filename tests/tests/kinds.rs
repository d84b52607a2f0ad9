//! The suite on cards of an author's own kind, in the author's process: whatever else is in their ROM, whatever face they have.

#![allow(clippy::unwrap_used, reason = "tests")]

use onetap_applet::applets::Echo;
use onetap_applet::card::{Face, Product};
use onetap_applet::runtime::Runtime;
use onetap_applet::{Key, KeyRefused, Screen};
use onetap_conformance::conform::{self, Filter, Verdict};
use onetap_conformance::target::InProcess;

/// The signing card with an applet more in its ROM and on every card.
#[test]
fn a_card_with_another_applet_beside_the_signing_one_conforms() {
    let kind =
        Product::signing_card().module(Echo::module()).instance(Echo::name(), Echo::name(), [0; 3], &[]);
    let mut card = InProcess::of_kind(kind).unwrap();
    let mut failed = Vec::new();
    let summary = conform::run(&Filter::default(), &mut card, &mut |report| {
        failed.extend(matches!(report.verdict, Verdict::Failed(_)).then(|| report.to_string()));
    });
    assert!(summary.is_conforming(), "{summary}\n{}", failed.join("\n"));
}

/// A buffer of 261 bytes, no extended length, a small commit buffer: what cards in the field have.
#[test]
fn a_card_with_the_limits_of_a_real_one_conforms_to_what_it_claims() {
    let limits = "real-card,fast".parse().unwrap();
    let mut card = InProcess::limited(Product::signing_card(), limits).unwrap();
    let mut failed = Vec::new();
    let summary = conform::run(&Filter::default(), &mut card, &mut |report| {
        failed.extend(matches!(report.verdict, Verdict::Failed(_)).then(|| report.to_string()));
    });
    assert!(summary.is_conforming() && summary.not_applicable > 7, "{summary}\n{}", failed.join("\n"));
}

/// Takes every key, and shows nothing.
struct Dark;

impl Face for Dark {
    fn press(&mut self, _: Key, _: &mut Runtime) -> Result<(), KeyRefused> {
        Ok(())
    }

    fn screen(&mut self, _: &mut Runtime) -> Screen {
        Screen::blank()
    }
}

#[test]
fn a_card_whose_display_stays_dark_does_not() {
    let mut card = InProcess::of_kind(Product::signing_card().face(|| Dark)).unwrap();
    let summary = conform::run(&Filter::default(), &mut card, &mut |_| ());
    assert!(summary.failed > 50 && summary.not_performed == 0, "{summary}");
}

//! What each suite costs: signing on the card, verifying at the server, executing on SQLite.
#![allow(clippy::expect_used, reason = "what fails cannot be measured")]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with the other benchmark")]
mod support;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use onetap_apdu_spec::crypto::default_provider;
use onetap_apdu_spec::service::Answer;
use onetap_apdu_spec::suite::{SignatureAlgorithm, Suite};
use onetap_applet::Key;
use onetap_applet::front::vpcd::{Stop, VpcdConfig, serve};
use onetap_conformance::world::{Route, World};
use onetap_pcsc_host::pcsc::{Wanted, wait_for_card, wait_for_removal};
use onetap_pcsc_host::{Deadline, Reader as _, Transport};
use onetap_server_verifier::rules::verify::{Enrolled, Judged, Parsed, authenticate};
use support::{Fallible, LONG, Payer, WAIT, has_pcscd, server_key, session, virtual_readers};

/// One suite for each profile and method.
const SIGNED: [&str; 10] = [
    "danger-a1+pkcs1",
    "a2+sha256-cmac+pkcs1",
    "a3+sha256+rsa-oaep+pkcs1",
    "a3+sha256+rsa-oaep+pss",
    "a3+sha256-cbc+aes-cbc-cmac+pkcs1",
    "a4+sha256+aes-cbc-cmac+pkcs1",
    "b1+rsa-oaep+pkcs1",
    "b2+sha256+aes-cbc-cmac+pkcs1",
    "a3+sha256+aes-cbc-cmac+ecdsa",
    "a3+sha256+rsa-oaep+ecdsa",
];

fn main() -> Fallible<()> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tempfile::tempdir_in(scratch)?;
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20)
        .without_plots()
        .configure_from_args();
    for suite in SIGNED {
        sign_in_process(&mut criterion, folder.path(), suite.parse()?)?;
    }
    if has_pcscd() {
        sign_through_pcsc(&mut criterion, folder.path())?;
    }
    let pkcs1 = |suite: &Suite| suite.signature() == SignatureAlgorithm::Pkcs1Sha256;
    let others = ["a3+sha256+rsa-oaep+pss".parse()?, "a3+sha256+aes-cbc-cmac+ecdsa".parse()?];
    for suite in Suite::all().filter(pkcs1).chain(others) {
        verify(&mut criterion, suite)?;
    }
    authorise(&mut criterion, folder.path())?;
    criterion.final_summary();
    Ok(())
}

fn sign_in_process(criterion: &mut Criterion, folder: &Path, suite: Suite) -> Fallible<()> {
    let payer = Payer::new(folder, suite)?;
    let mut reader = payer.reader();
    let mut contact = reader.connect(&Deadline::after(LONG))?;
    sign(criterion, &format!("sign in-process/{suite}"), &payer, &mut contact);
    Ok(())
}

fn sign_through_pcsc(criterion: &mut Criterion, folder: &Path) -> Fallible<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let [reader, _] = virtual_readers()?;
    for suite in SIGNED {
        let payer = Payer::new(folder.path(), suite.parse()?)?;
        let stop = Stop::new();
        std::thread::scope(|scope| {
            let (card, inner) = (Arc::clone(&payer.card), stop.clone());
            scope.spawn(move || serve(&card, &VpcdConfig::default(), &inner));
            let result = sign_in_reader(criterion, &format!("sign through pcscd/{suite}"), &payer, &reader);
            stop.stop();
            result
        })?;
        wait_for_removal(&reader, &Deadline::after(WAIT))?;
    }
    Ok(())
}

fn sign_in_reader(criterion: &mut Criterion, name: &str, payer: &Payer, reader: &str) -> Fallible<()> {
    let mut reader = wait_for_card(&Wanted::in_reader(reader), &Deadline::after(WAIT))?;
    let mut contact = reader.connect(&Deadline::after(LONG))?;
    sign(criterion, name, payer, &mut contact);
    Ok(())
}

/// Whole transactions; getting the card ready for the next one does not count.
fn sign(criterion: &mut Criterion, name: &str, payer: &Payer, contact: &mut dyn Transport) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations)
                .map(|_| {
                    payer.again().expect("the card is ready again");
                    let start = Instant::now();
                    black_box(session(contact).expect("the card signs"));
                    start.elapsed()
                })
                .sum()
        });
    });
}

/// Pure verification: from the parsed request to the proof value.
fn verify(criterion: &mut Criterion, suite: Suite) -> Fallible<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let payer = Payer::new(folder.path(), suite)?;
    let request = payer.request()?;
    let crypto = default_provider();
    let (binding, card_key) = (payer.order.binding, payer.order.card_key.clone());
    let card = Enrolled::new(crypto, binding, &payer.statement.public_key, card_key)?;
    let server_key = crypto.rsa_private(server_key()?)?;
    criterion.bench_function(&format!("verify/{suite}"), |bencher| {
        bencher.iter(|| {
            let parsed = Parsed::new(black_box(&request)).expect("well formed");
            let authentic = authenticate(crypto, &card, Some(&*server_key), parsed).expect("authentic");
            let checked = authentic.judge(&request.verification_password);
            assert!(matches!(checked, Judged::Right(_)), "the right password is right");
        });
    });
    Ok(())
}

/// Verification, decision and a durable commit. For information: what a disk is worth.
fn authorise(criterion: &mut Criterion, folder: &Path) -> Fallible<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let mut world = World::new(folder.path(), Suite::default(), Route::InProcess)?;
    let mut sent = 0_u64;
    criterion.bench_function("authorise on SQLite", |bencher| {
        bencher.iter_custom(|iterations| {
            let once = |_| authorise_once(&mut world, &mut sent).expect("a payment is executed");
            (0..iterations).map(once).sum()
        });
    });
    Ok(())
}

fn authorise_once(world: &mut World, sent: &mut u64) -> Fallible<Duration> {
    let tapped = world.plain_tap(&world.draft(1)?)?;
    let shown = world.holder().confirm(&mut |_| {})?;
    world.card.lock().map_err(|_| "the card panicked")?.press(Key::Clear)?;
    let request = World::type_in(tapped, &shown)?;
    *sent += 1;
    let key = format!("payment-{sent}");
    let start = Instant::now();
    let outcome = world.send(&key, &request)?;
    let time = start.elapsed();
    if matches!(outcome, Answer::Executed { .. }) { Ok(time) } else { Err(format!("{outcome:?}").into()) }
}

//! Requests per second of one thread on an SQLite file, by suite.
//! Run: `cargo run --release -p onetap-server-verifier --example throughput`, beside `openssl speed rsa2048`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use onetap_server_verifier::Outcome;
use support::World;

const REQUESTS: u32 = 2_000;

fn main() {
    for suite in
        ["a3+sha256+rsa-oaep", "a3+sha256+aes-cbc-cmac", "a4+sha256+aes-cbc-cmac", "b2+sha256+rsa-oaep"]
    {
        let directory = tempfile::tempdir().unwrap();
        let world = World::on_disk(directory.path());
        let mut card = world.card(suite);
        let taps: Vec<_> = (0..REQUESTS).map(|_| card.tap(world.payment(1))).collect();
        let start = Instant::now();
        for tap in &taps {
            assert!(matches!(world.send(&tap.request), Outcome::Executed(_)));
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{suite}: {:.0} executed per second", f64::from(REQUESTS) / seconds);
        world.check_books();
    }
}

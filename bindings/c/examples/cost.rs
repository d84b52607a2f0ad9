//! What the calls that `bindings/bench` compares cost in Rust, without the face: nanoseconds for each, by name.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::hint::black_box;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use onetap_apdu_spec::txn::TransactionType;
use onetap_pcsc_host::{Control, Fields, LineKeyboard, VerificationPassword};

const CALLS: u32 = 200_000;

/// The best of five rounds.
fn measure(name: &str, mut call: impl FnMut()) {
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed()
    };
    let best = (0..5).map(|_| round(&mut call)).min().unwrap();
    println!("{name} {}", best.as_nanos() / u128::from(CALLS));
}

fn main() {
    let fields = Fields {
        kind: TransactionType::Payment,
        payee_account: "DE89370400440532013000".into(),
        payee_name: "Coffee Shop".into(),
        amount: "12.34".into(),
        currency: "EUR".into(),
        reference: "Order 17".into(),
        details: None,
    };
    measure("check", || {
        // The app has its own texts, as in every language.
        let draft = black_box(&fields).clone().draft().unwrap();
        black_box(Fields::from(&draft));
    });
    let control = Control::new();
    measure("type_in", || {
        let typed = VerificationPassword::type_in(&mut LineKeyboard(black_box(&b"12345678"[..]))).unwrap();
        black_box(control.type_in(typed));
    });
    let (_tell, told) = mpsc::channel::<u64>();
    measure("next", || {
        black_box(told.recv_timeout(Duration::ZERO).unwrap_err());
    });
}

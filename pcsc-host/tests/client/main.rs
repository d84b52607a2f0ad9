//! The client against servers that hang, lie, cut and are not who they should be. What it says may have arrived is
//! compared with what did.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod answers;
mod fake;
mod identity;
mod payments;
mod proxies;
mod repeating;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use onetap_apdu_spec::service::{AuthorisationRequest, IdempotencyKey, Timestamp};
use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::http::{Credentials, HttpConfig, HttpService};
use onetap_pcsc_host::{
    Atr, Attempt, Deadline, InProcessReader, LineKeyboard, Service as _, ServiceError, Terminal,
    VerificationPassword,
};
use support::{fields, formal_card};
use time::macros::datetime;

const TOKEN: &str = "till-1.fedcba9876543210";
const LONG: Duration = Duration::from_secs(60);
/// What the bar of every deadline allows.
const LATE: Duration = Duration::from_millis(100);
/// A busy machine may be late; a client that is late every time does not look at the clock.
const LOOKS: usize = 8;

fn config(url: &str) -> HttpConfig {
    let mut config = HttpConfig::new(url, Credentials::token(TOKEN).unwrap());
    config.proxy_from_environment = false;
    config
}

fn service(url: &str) -> HttpService {
    HttpService::new(config(url)).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(LONG)
}

/// A signed payment, and the request for it.
fn payment(suite: Suite) -> (Attempt, AuthorisationRequest) {
    let mut terminal = Terminal::new("TERM0001".parse().unwrap());
    let mut reader = InProcessReader::new("formal", Atr::default(), formal_card(suite));
    let tapped = terminal.tap(&mut reader, &fields().draft().unwrap(), &soon()).unwrap();
    let attempt = tapped.attempt("key-1".parse::<IdempotencyKey>().unwrap(), terminal.now()).unwrap();
    let typed = VerificationPassword::type_in(&mut LineKeyboard(b"12345678\n".as_slice())).unwrap();
    (attempt, tapped.authorise(typed))
}

/// Asks `service` once for a payment.
fn ask(
    service: &HttpService,
    deadline: &Deadline,
) -> Result<onetap_apdu_spec::service::Answer, ServiceError> {
    let (attempt, request) = payment(Suite::default());
    let answer = service.authorise(attempt.key(), &request, deadline);
    if let Err(error) = &answer {
        let told = format!("{error} {error:?} {}", error.advice());
        assert!(
            !told.contains("fedcba9876543210") && !told.contains("12345678"),
            "no secret is told: {told}"
        );
    }
    answer
}

/// The receipt of [`payment`], as the server writes it.
fn receipt() -> String {
    let id = payment(Suite::default()).0.id();
    format!(
        r#"{{"transaction": "{id}", "kind": "payment", "amount": 1234, "currency": "EUR",
            "payee": "DE89370400440532013000", "payee_name": "Coffee Shop", "reference": "Order 17",
            "executed_at": "2026-07-01T12:00:00Z"}}"#
    )
}

fn executed() -> Vec<u8> {
    fake::json(200, &format!(r#"{{"outcome": "executed", "receipt": {}}}"#, receipt()))
}

/// Whether `wait` ends no later than [`LATE`] after `limit`.
fn ends_in_time(limit: Duration, mut wait: impl FnMut()) -> bool {
    (0..LOOKS).any(|_| {
        let start = Instant::now();
        wait();
        start.elapsed() <= limit + LATE
    })
}

/// The server's clock that the tests go by.
fn moment() -> Timestamp {
    datetime!(2026-07-01 12:00:00).into()
}

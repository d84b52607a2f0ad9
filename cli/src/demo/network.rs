//! `onetap demo --network`: card, terminal and server as three processes, which meet over PC/SC and TLS.

mod crew;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use onetap_apdu_spec::suite::Suite;
use onetap_conformance::world::{PAYEE, PAYER, Route};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::output::Output;
use crate::stage::Stage;
use crate::verifier::balance;
use crew::{Crew, Process};

/// What the payment costs, in major units: it takes the key only.
const PRICE: &str = "4.20";
/// Between two looks at the card's display.
const GLANCE: Duration = Duration::from_millis(20);
/// How long the holder tries to read the display.
const HOLDER: Duration = Duration::from_secs(30);

/// One payment, told as it happens.
pub(super) fn run(suite: Suite, out: Output) -> Result<(), Failure> {
    let start = Instant::now();
    let reader = match Route::first_virtual_reader()? {
        Route::Pcsc(name, _) => name,
        Route::InProcess => return Err(Failure::Usage("there is no virtual reader".to_owned())),
    };
    let crew = Crew::gather()?;
    let stage = Stage::set(crew.folder(), suite, &["127.0.0.1".to_owned()])?;
    out.say(format!("Issuer    made {PAYER}'s card; the server has her account and that of {PAYEE}"))?;

    let _card = crew.start(&["--json", "card", "run", "--image", "card.img", "--tap"])?;
    let mut server = crew.start(&[
        "--json",
        "verifier",
        "serve",
        "--db",
        "bank",
        "--tls-cert",
        "server.pem",
        "--tls-key",
        "server.key",
        "--log",
        "error",
    ])?;
    out.say(format!("Card      is a process of its own and waits for {reader}"))?;
    let url = server.json()?["url"].as_str().unwrap_or_default().to_owned();
    out.say(format!("Server    is a process of its own and listens at {url}, TLS 1.3"))?;
    let mut terminal = crew.start(&[
        "pay",
        "--server",
        &url,
        "--ca",
        "ca.pem",
        "--token-file",
        "till.token",
        "--journal",
        "journal",
        "--reader",
        &reader,
        "--to",
        &stage.payee,
        "--name",
        PAYEE,
        "--amount",
        PRICE,
        "--reference",
        "Order 17",
    ])?;
    out.say("Terminal  is a process of its own")?;
    let executed = payment(&crew, &mut terminal, out)?;
    let took = start.elapsed();
    if !executed {
        return Err(Failure::NotAsExpected(format!(
            "the payment was not executed: {}",
            terminal.complaint()
        )));
    }
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let seconds = took.as_secs_f32();
    out.result(
        &json!({ "result": "executed", "milliseconds": millis }),
        format!("\nresult: executed, {seconds:.1} s after the command; {}", balances(crew.folder())?),
    )
}

/// Until the terminal's process ends; whether it ended well.
fn payment(crew: &Crew, terminal: &mut Process, out: Output) -> Result<bool, Failure> {
    while let Some(line) = terminal.line() {
        out.say(format!("Terminal  {line}"))?;
        if line.starts_with("read the card's display") {
            let password = holder_reads(crew, out)?;
            out.say(format!("Holder    types {password} at the terminal"))?;
            terminal.type_in(&password)?;
        }
    }
    terminal.ended_well()
}

fn balances(at: &Path) -> Result<String, Failure> {
    let bank = crate::verifier::keys::open(&at.join("bank"))?;
    let accounts = bank.accounts()?;
    let told = accounts.iter().map(|it| format!("{} has {}", it.holder, balance(it.balance, it.currency)));
    Ok(told.collect::<Vec<_>>().join(", "))
}

/// The finger of the holder: reads all pages and confirms, as soon as the card takes its keys.
fn holder_reads(crew: &Crew, out: Output) -> Result<String, Failure> {
    let start = Instant::now();
    while start.elapsed() < HOLDER {
        let pressed = crew.run(&["--json", "card", "press", "--image", "card.img", "read", "confirm"])?;
        let reply: Value = serde_json::from_str(pressed.trim()).unwrap_or_default();
        let shown = reply["shown"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(last) = shown.last().filter(|screen| screen["state"] == "revealed") {
            for screen in shown {
                out.say(screen["frame"].as_str().unwrap_or_default().trim_end())?;
            }
            return Ok(last["lines"][1].as_str().unwrap_or_default().to_owned());
        }
        thread::sleep(GLANCE);
    }
    Err(Failure::NotAsExpected("the card never showed a joint password".to_owned()))
}

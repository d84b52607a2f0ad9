//! `onetap pay`: a terminal with a PC/SC reader and a keyboard. One contact, then the holder, then the
//! server.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use onetap_apdu_spec::rng::{OsRng, Rng as _};
use onetap_apdu_spec::txn::TransactionType;
use onetap_pcsc_host::pcsc::{readers, wait_for_card};
use onetap_pcsc_host::{
    Draft, EpcQr, Fields, LineKeyboard, NetworkJson, ReaderError, Terminal, TransactionSource as _,
    VerificationPassword,
};
use onetap_server_verifier::{Environment, Outcome, Verifier};

use crate::args;
use crate::exit::Failure;
use crate::files;
use crate::output::Output;

pub(crate) fn run(options: &args::Pay, out: Output) -> Result<(), Failure> {
    let server = Verifier::open(&options.db, Environment::system())?;
    let client = server.client(options.terminal.clone())?;
    let draft = draft(options)?;
    out.say(format!("pay {} to {} ({})", draft.amount, draft.payee_name, draft.payee_account))?;
    out.say("put the card on the reader …")?;
    let name = options.reader.as_deref().map(reader_named).transpose()?;
    let mut reader = wait_for_card(name.as_deref(), Duration::from_secs(options.wait))?;
    let mut terminal = Terminal::new(options.terminal.clone());
    let tapped = terminal.tap(&mut reader, &draft)?;
    out.say("take the card away, read its display, confirm on its keys")?;
    let typed = ask_password()?;
    let request = tapped.authorise(typed);
    let outcome = server.authorise(&client, &idempotency_key(), &request)?;
    report(&outcome, out)
}

/// The one reader whose name has `part` in it.
pub(crate) fn reader_named(part: &str) -> Result<String, Failure> {
    let mut found = readers()?.into_iter().filter(|name| name.contains(part));
    match (found.next(), found.next()) {
        (Some(name), None) => Ok(name),
        (Some(_), Some(_)) => Err(Failure::Usage(format!("several readers have \"{part}\" in their name"))),
        (None, _) => Err(ReaderError::UnknownReader(part.to_owned()).into()),
    }
}

fn draft(options: &args::Pay) -> Result<Draft, Failure> {
    if let Some(path) = &options.scan {
        return Ok(EpcQr(&files::read_text(path)?).draft()?);
    }
    if let Some(path) = &options.from {
        return Ok(NetworkJson(files::read_text(path)?.as_bytes()).draft()?);
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let fields = Fields {
        kind: if options.top_up { TransactionType::TopUp } else { TransactionType::Payment },
        payee_account: text(&options.to),
        payee_name: text(&options.name),
        amount: text(&options.amount),
        currency: options.currency.clone(),
        reference: options.reference.clone(),
        details: options.details.clone(),
    };
    Ok(fields.draft()?)
}

/// Until it is one: a slip of the finger must not cost another tap. Nothing is sent meanwhile (P-16).
pub(crate) fn ask_password() -> Result<VerificationPassword, Failure> {
    let interactive = io::stdin().is_terminal();
    loop {
        let mut stderr = io::stderr().lock();
        write!(stderr, "joint password: ").and_then(|()| stderr.flush()).map_err(Failure::Output)?;
        match VerificationPassword::type_in(&mut LineKeyboard(io::stdin().lock())) {
            Err(error @ onetap_pcsc_host::KeyboardError::NotAPassword(_)) if interactive => {
                writeln!(stderr, "{error}").map_err(Failure::Output)?;
            }
            other => return Ok(other?),
        }
    }
}

/// One attempt, one key.
pub(crate) fn idempotency_key() -> String {
    let mut key = [0; 16];
    OsRng.fill(&mut key);
    hex::encode(key)
}

fn report(outcome: &Outcome, out: Output) -> Result<(), Failure> {
    match outcome {
        Outcome::Executed(receipt) => out.result(
            &serde_json::json!({ "result": "executed", "receipt": receipt }),
            format!("executed: {}", receipt.transaction.0),
        ),
        other => {
            let name = outcome_name(other);
            if out.is_json() {
                out.json_line(&serde_json::json!({ "result": name }))?;
            }
            Err(Failure::Refused(name))
        }
    }
}

/// An outcome in one word, for JSON.
pub(crate) fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Executed(_) => "executed",
        Outcome::Refused => "refused",
        Outcome::InsufficientFunds => "insufficient-funds",
        Outcome::LimitExceeded => "limit-exceeded",
        Outcome::Malformed(_) => "malformed",
        Outcome::Conflict => "conflict",
        Outcome::Busy => "busy",
    }
}

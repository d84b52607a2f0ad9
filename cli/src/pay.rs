//! `onetap pay`: a terminal with a PC/SC reader and a keyboard. One contact, then the holder, then the
//! server.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use onetap_apdu_spec::money::format_minor;
use onetap_apdu_spec::rng::{OsRng, Rng as _};
use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_pcsc_host::pcsc::{Wanted, readers, wait_for_card};
use onetap_pcsc_host::{Deadline, KeyboardError, LineKeyboard, ReaderError, Terminal, VerificationPassword};
use onetap_server_verifier::{Client, Outcome, Verifier};

use crate::args;
use crate::draft::draft;
use crate::exit::Failure;
use crate::files;
use crate::output::Output;
use crate::verifier;

/// How long a contact may take: a card needs a second, another program that holds it some more.
const CONTACT: Duration = Duration::from_secs(30);
/// How long the PC/SC service may take to name its readers.
pub(crate) const LISTING: Duration = Duration::from_secs(5);
/// How often a busy server is asked. Each time it waits some seconds for its database.
const ATTEMPTS: usize = 3;

pub(crate) fn run(options: &args::Pay, out: Output) -> Result<(), Failure> {
    let server = verifier::keys::open(&options.db)?;
    let client = server.client(options.terminal.clone())?;
    let draft = draft(options)?;
    out.say(format!("pay {} to {} ({})", draft.amount, draft.payee_name, draft.payee_account))?;
    out.say("put the card on the reader …")?;
    let name = options.reader.as_deref().map(reader_named).transpose()?;
    let wanted = name.map_or_else(Wanted::any, Wanted::in_reader);
    let mut reader = wait_for_card(&wanted, &Deadline::after(Duration::from_secs(options.wait)))?;
    let mut terminal = Terminal::new(options.terminal.clone()).for_operator(server.server_id());
    let tapped = terminal.tap(&mut reader, &draft, &Deadline::after(CONTACT))?;
    out.say("take the card away, read its display, confirm on its keys")?;
    let typed = ask_password()?;
    let request = tapped.authorise(typed);
    let outcome = send(&server, &client, &request)?;
    report(&outcome, out)
}

/// Asks the server; while it is busy, again with the same key, since the tap would be lost otherwise.
fn send(server: &Verifier, client: &Client, request: &AuthorisationRequest) -> Result<Outcome, Failure> {
    let key = idempotency_key();
    for _ in 1..ATTEMPTS {
        let outcome = server.authorise(client, &key, request)?;
        if outcome != Outcome::Busy {
            return Ok(outcome);
        }
    }
    Ok(server.authorise(client, &key, request)?)
}

/// The reader of this name, or else the one that has `part` in its name.
pub(crate) fn reader_named(part: &str) -> Result<String, Failure> {
    let found: Vec<String> =
        readers(&Deadline::after(LISTING))?.into_iter().filter(|name| name.contains(part)).collect();
    match found.as_slice() {
        [name] => Ok(name.clone()),
        [] => Err(ReaderError::UnknownReader(part.to_owned()).into()),
        several if several.iter().any(|name| name == part) => Ok(part.to_owned()),
        several => Err(Failure::Usage(format!(
            "several readers have \"{part}\" in their name, give more of it: {}",
            several.join(", ")
        ))),
    }
}

/// Until it is one: a slip of the finger must not cost another tap. Nothing is sent meanwhile (P-16).
pub(crate) fn ask_password() -> Result<VerificationPassword, Failure> {
    let interactive = io::stdin().is_terminal();
    loop {
        files::prompt("joint password: ")?;
        let typed = VerificationPassword::type_in(&mut LineKeyboard(io::stdin().lock()));
        files::end_prompt(matches!(typed, Err(KeyboardError::Io(_))))?;
        match typed {
            Err(error @ KeyboardError::NotAPassword(_)) if interactive => {
                files::prompt(&format!("{error}\n"))?;
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
            format!(
                "executed: {} {} to {}, receipt {}",
                format_minor(receipt.amount, receipt.currency),
                receipt.currency,
                receipt.payee_name,
                receipt.transaction.0
            ),
        ),
        other => {
            let name = other.name();
            if out.is_json() {
                out.json_line(&serde_json::json!({ "result": name }))?;
            }
            Err(refusal(other))
        }
    }
}

/// Why nothing was executed, as far as the server tells, and what to do.
fn refusal(outcome: &Outcome) -> Failure {
    let (what, advice) = match outcome {
        Outcome::InsufficientFunds => {
            ("the account holds too little", "pay less, or fill the account; tap again")
        }
        Outcome::LimitExceeded => ("the amount is over the server's limit", "pay less; tap again"),
        Outcome::Busy => ("the server is busy; nothing was decided", "tap again in a moment"),
        Outcome::Malformed(why) => {
            let what = format!("the server cannot read the request: {why}");
            return Failure::Refused { what, advice: "tap again; if it persists, test card and terminal" };
        }
        _ => (
            "the server refused the transaction",
            "`onetap verifier log` has the reason; `onetap verifier unlock` opens a locked account",
        ),
    };
    Failure::Refused { what: what.to_owned(), advice }
}

//! `onetap pay`: a terminal with a PC/SC reader and a keyboard. One contact, then the holder, then the
//! server, over the network.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use onetap_apdu_spec::money::format_minor;
use onetap_apdu_spec::service::{Answer, TransactionId};
use onetap_pcsc_host::payment::Happened;
use onetap_pcsc_host::{
    Control, Event, KeyboardError, Limits, LineKeyboard, Payment, Step, VerificationPassword,
};
use serde_json::json;

use crate::args;
use crate::draft::draft;
use crate::exit::Failure;
use crate::files;
use crate::interrupt;
use crate::online::{Online, shared};
use crate::output::Output;
use crate::resolve;

pub(crate) fn run(options: &args::Pay, out: Output) -> Result<(), Failure> {
    if options.resolve {
        return resolve::all(&Online::open(&options.online)?, out);
    }
    let draft = draft(options)?;
    let online = Online::open(&options.online)?;
    resolve::remind(&online, out)?;
    out.say(format!("pay {} to {} ({})", draft.amount, draft.payee_name, draft.payee_account))?;
    let limits = Limits { tap: Duration::from_secs(options.wait), ..Limits::default() };
    let till = shared(online.till(options.reader.as_deref(), limits)?);
    let payment = Payment::start(till, draft, options.idempotency_key.clone());
    let payment = payment.map_err(|source| Failure::System { what: "start a thread", source })?;
    let control = payment.control().clone();
    interrupt::watch(move || control.cancel())?;
    let (signed, answer) = follow(payment, out)?;
    let told = report(&answer, out);
    // Once it was told, nothing is left to be resolved.
    if let (Some(id), false) = (signed, matches!(told, Err(Failure::Output(_)))) {
        online.told(&id)?;
    }
    told
}

/// Why the keyboard gave no password, if it did not.
type Closed = Arc<Mutex<Option<KeyboardError>>>;

/// Shows each step, and asks for the password when it is time. What was signed, and what was decided.
fn follow(payment: Payment, out: Output) -> Result<(Option<TransactionId>, Answer), Failure> {
    let (control, closed) = (payment.control().clone(), Closed::default());
    let mut signed = None;
    for happened in payment {
        match happened {
            Happened::Event(event) => {
                show(&event, out)?;
                match event {
                    Event::Signed { id, .. } => signed = Some(id),
                    Event::Began { step: Step::Holder, .. } => ask_meanwhile(control.clone(), closed.clone()),
                    _ => {}
                }
            }
            Happened::Ended(Ok(answer)) => return Ok((signed, answer)),
            Happened::Ended(Err(error)) => {
                let closed = closed.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(closed) = closed {
                    return Err(closed.into());
                }
                let failure = Failure::from(error);
                if let (Failure::Unknown(_), Some(id), true) = (&failure, &signed, out.is_json()) {
                    out.json_line(&json!({ "result": "unknown", "transaction": id }))?;
                }
                return Err(failure);
            }
        }
    }
    Err(Failure::NotAsExpected("the payment ended without saying how; see `onetap pay --resolve`".to_owned()))
}

fn show(event: &Event, out: Output) -> Result<(), Failure> {
    match event {
        Event::Began { step, left } => match step {
            Step::Check => out.say("asking the server whether it is ready …"),
            Step::Tap => out.say(format!("put the card on the reader, within {} s …", left.as_secs())),
            Step::Removal => out.say("take the card away"),
            Step::Holder => out.say("read the card's display, confirm on its keys"),
            Step::Sending => out.say("asking the server to execute it …"),
        },
        Event::CardFound { reader } => out.say(format!("a card is in {reader}; hold it still …")),
        Event::TapAgain { why, left } => {
            out.say(format!("{why}: {}, within {} s …", why.advice(), left.as_secs()))
        }
        Event::Signed { id, .. } => out.say(format!("the card has signed transaction {id}")),
        Event::Retrying(retry) => {
            out.say(format!("{}; asking again for {} s", retry.why, retry.left.as_secs()))
        }
    }
}

/// Asks on a thread of its own, so that the payment can end without an answer.
fn ask_meanwhile(control: Control, closed: Closed) {
    thread::spawn(move || match ask_password() {
        Ok(typed) => drop(control.type_in(typed)),
        Err(error) => {
            *closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            control.cancel();
        }
    });
}

/// Asks until it is one, as long as lines come: a slip of the finger must not cost another tap. Nothing is sent
/// meanwhile (P-16, REQ-H-5).
pub(crate) fn ask_password() -> Result<VerificationPassword, KeyboardError> {
    loop {
        // Where questions cannot be shown, the answer may still come.
        let _ = files::prompt("joint password: ");
        let typed = VerificationPassword::type_in(&mut LineKeyboard(io::stdin().lock()));
        let _ = files::end_prompt(matches!(typed, Err(KeyboardError::Io(_))));
        match typed {
            Err(error @ KeyboardError::NotAPassword(_)) => {
                let _ = files::prompt(&format!("{error}\n"));
            }
            settled => return settled,
        }
    }
}

fn report(answer: &Answer, out: Output) -> Result<(), Failure> {
    if let Answer::Executed { receipt } = answer {
        return out.result(
            &json!({ "result": "executed", "receipt": receipt }),
            format!(
                "executed: {} {} to {}, receipt {}",
                format_minor(receipt.amount, receipt.currency),
                receipt.currency,
                receipt.payee_name,
                receipt.transaction
            ),
        );
    }
    if out.is_json() {
        out.json_line(&json!({ "result": answer.to_string() }))?;
    }
    Err(refusal(answer))
}

/// Why nothing was executed, as far as the server tells, and what to do.
fn refusal(answer: &Answer) -> Failure {
    let (what, advice) = match answer {
        Answer::InsufficientFunds => {
            ("the account holds too little", "pay less, or fill the account; tap again")
        }
        Answer::LimitExceeded => ("the amount is over the server's limit", "pay less; tap again"),
        Answer::Executed { .. } | Answer::Refused => (
            "the server refused the transaction",
            "tap again, and type what the display shows; the server's operator can see the reason and unlock \
             the account",
        ),
    };
    Failure::Refused { what: what.to_owned(), advice }
}

//! What was sent and not answered: the reminder, and `onetap pay --resolve`.

use onetap_apdu_spec::money::format_minor;
use onetap_apdu_spec::service::{Answer, TransactionId};
use onetap_pcsc_host::attempt::Unresolved;
use onetap_pcsc_host::deadline::Cancel;
use onetap_pcsc_host::journal::{Conclusion, Entry};
use onetap_pcsc_host::{Deadline, payment};
use serde_json::json;

use crate::exit::Failure;
use crate::interrupt;
use crate::online::Online;
use crate::output::Output;

/// Says how many payments wait to be resolved, if any does.
pub(crate) fn remind(online: &Online, out: Output) -> Result<(), Failure> {
    let waiting: Vec<TransactionId> = online.untold()?.iter().map(Entry::id).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = waiting.iter().map(ToString::to_string).collect();
    let prose = format!("nobody was told the outcome of earlier payments: {}", ids.join(", "));
    out.result(&json!({ "unresolved": waiting }), format!("{prose}\n  what to do: onetap pay --resolve"))
}

/// Resolves everything that the journal has, and says what became of each.
pub(crate) fn all(online: &Online, out: Output) -> Result<(), Failure> {
    let cancel = Cancel::new();
    let switch = cancel.clone();
    interrupt::watch(move || switch.cancel())?;
    let (mut resolved, mut left) = (0, 0);
    for entry in online.untold()? {
        let deadline = Deadline::after(online.patience()).cancelled_by(&cancel);
        match payment::resolve(&*online.service, &*online.journal, &entry, &deadline, &mut |_| {}) {
            Ok(conclusion) => {
                resolved += 1;
                tell(&entry.id(), &conclusion, out)?;
                online.told(&entry.id())?;
            }
            Err(why) => {
                left += 1;
                tell_open(&entry.id(), &why, out)?;
            }
        }
    }
    out.result(
        &json!({ "result": if left == 0 { "resolved" } else { "unknown" }, "resolved": resolved, "unresolved": left }),
        format!("{resolved} resolved, {left} not"),
    )?;
    if left == 0 { Ok(()) } else { Err(Failure::Unresolved(left)) }
}

fn tell(id: &TransactionId, conclusion: &Conclusion, out: Output) -> Result<(), Failure> {
    let (result, receipt) = match conclusion {
        Conclusion::Answered(Answer::Executed { receipt }) => ("executed", Some(receipt)),
        Conclusion::Answered(answer) => (answer.into(), None),
        Conclusion::Cancelled => ("cancelled", None),
    };
    let Some(receipt) = receipt else {
        let prose = match conclusion {
            Conclusion::Cancelled => format!("{id}: cancelled; it was not executed and never will be"),
            Conclusion::Answered(_) => format!("{id}: {result}; it was not executed"),
        };
        return out.result(&json!({ "transaction": id, "result": result }), prose);
    };
    let amount = format_minor(receipt.amount, receipt.currency);
    out.result(
        &json!({ "transaction": id, "result": result, "receipt": receipt }),
        format!("{id}: executed, {amount} {} to {}", receipt.currency, receipt.payee_name),
    )
}

fn tell_open(id: &TransactionId, why: &Unresolved, out: Output) -> Result<(), Failure> {
    let advice = why.advice();
    out.result(
        &json!({ "transaction": id, "result": "unknown", "error": why.to_string(), "advice": advice }),
        format!("{id}: not known yet: {why}\n  what to do: {advice}"),
    )
}

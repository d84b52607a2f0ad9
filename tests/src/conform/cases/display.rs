//! What the display shows: everything, whole, and only when the contact is over.

use onetap_apdu_spec::money::{Amount, CurrencyCode};
use onetap_apdu_spec::txn::{Transaction, TransactionType};

use crate::conform::case::Case;
use crate::conform::tester::{Outcome, Tester};
use crate::target::Capability::{Field, Fresh, Holder};
use crate::target::samples;

use super::states::OBSERVED;

pub(super) fn cases() -> Vec<Case> {
    let dark = OBSERVED.map(|state| {
        let run = |t: &mut Tester<'_>| t.expect_dark("look at the display in the field");
        let id = format!("display/dark-in-{state}");
        let title = format!("in the field the display is dark in {state:?}");
        Case::new(id, title, "REQ-K-8, P-20", run).refusing().in_state(state).needing(&[Holder])
    });
    type Shown = (&'static str, fn() -> Transaction);
    let shown: [Shown; 6] = [
        ("payment", samples::transaction),
        ("long-texts", samples::wordy),
        ("no-decimals", || samples::payment(1_234, "JPY")),
        ("three-decimals", || samples::payment(1_234, "KWD")),
        ("unknown-currency", unknown_currency),
        ("top-up", || Transaction { kind: TransactionType::TopUp, ..samples::transaction() }),
    ];
    let whole = shown.map(|(id, transaction)| {
        let run = move |t: &mut Tester<'_>| shows(t, &transaction());
        let title = format!("every field is shown whole ({id})");
        Case::new(format!("display/whole-{id}"), title, "REQ-K-10, P-20", run)
            .needing(&[Fresh, Field, Holder])
            .signing(1)
    });
    let types = Case::new(
        "display/types-differ",
        "a payment and a top-up do not look the same",
        "REQ-K-10, P-26",
        types_differ,
    )
    .needing(&[Fresh, Field, Holder])
    .signing(2);
    dark.into_iter().chain(whole).chain([types]).collect()
}

fn shows(t: &mut Tester<'_>, transaction: &Transaction) -> Outcome {
    t.tap_and_leave(transaction)?;
    // Where lines break is the card's business; what stands there is not.
    let shown = without_spaces(&t.read_all()?.concat().concat());
    let (date, (hour, minute, second)) = (transaction.at.date(), transaction.at.as_hms());
    let mut fields = vec![
        ("payee name", transaction.payee_name.to_string()),
        ("payee account", transaction.payee_account.to_string()),
        ("amount and currency", transaction.amount.to_string()),
        ("date", format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())),
        ("time", format!("{hour:02}:{minute:02}:{second:02}")),
        ("reference", transaction.reference.to_string()),
    ];
    fields.extend(transaction.details.as_ref().map(|details| ("details", details.to_string())));
    for (name, text) in fields {
        let there = shown.contains(&without_spaces(&text));
        t.check(&format!("look for the {name}"), there, &text, &shown)?;
    }
    Ok(())
}

/// In a currency whose number ISO 4217 has given to nobody, so that no card knows its exponent.
fn unknown_currency() -> Transaction {
    let amount = CurrencyCode::new(998).and_then(|code| Amount::new(1_234, code));
    let known = samples::transaction();
    Transaction { amount: amount.unwrap_or(known.amount), ..known }
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

fn types_differ(t: &mut Tester<'_>) -> Outcome {
    let mut shown = Vec::new();
    for kind in [TransactionType::Payment, TransactionType::TopUp] {
        t.tap_and_leave(&Transaction { kind, ..samples::transaction() })?;
        shown.push(t.read_all()?);
        t.press(onetap_pcsc_host::trace::Key::Cancel)?;
        t.come()?;
    }
    t.check("compare both", shown[0] != shown[1], "another text", "the same text")
}

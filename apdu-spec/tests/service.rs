//! docs/spec/http.md says what travels: each of its examples reads as the type that it is an example of, and is
//! written the same; each value that a field can have stands in it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::service::{
    Answer, AuthorisationRequest, Cancellation, IdempotencyKey, Problem, ProblemKind, Resolution, Role,
    Standing, TransactionId, TransactionRecord,
};
use onetap_apdu_spec::signed::SignatureMessage;
use onetap_apdu_spec::suite::Owed;
use onetap_apdu_spec::txn::TransactionMessage;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../docs/spec/http.md");

/// The examples of a type, as JSON text.
fn examples(of: &str) -> Vec<&'static str> {
    let marker = format!("<!-- example: {of} -->\n```json\n");
    let found: Vec<_> = PAGE.split(&marker).skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!found.is_empty(), "docs/spec/http.md has no example of {of}");
    found
}

fn reads_and_writes<T: Serialize + DeserializeOwned>(of: &str) -> Vec<T> {
    let both_ways = |text: &str| {
        let read: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{of}: {error}"));
        assert_eq!(
            serde_json::to_value(&read).unwrap(),
            serde_json::from_str::<Value>(text).unwrap(),
            "{of}"
        );
        read
    };
    examples(of).into_iter().map(both_ways).collect()
}

#[test]
fn every_example_reads_and_is_written_the_same() {
    reads_and_writes::<Answer>("Answer");
    reads_and_writes::<Resolution>("Resolution");
    reads_and_writes::<Standing>("Standing");
    reads_and_writes::<TransactionRecord>("TransactionRecord");
    for problem in reads_and_writes::<Problem>("Problem") {
        let kind = problem.kind().unwrap();
        assert_eq!((problem.status, problem.title.as_str()), (kind.status(), kind.title()));
    }
    assert_eq!(
        PAGE.matches("<!-- example: ").count(),
        8,
        "an example of a type that this test does not know"
    );
}

#[test]
fn the_example_of_a_request_is_a_signed_transaction_and_its_cancellation_is_it_without_the_password() {
    let request = &reads_and_writes::<AuthorisationRequest>("AuthorisationRequest")[0];
    let header = SignatureMessage::parse(&request.signature_message).unwrap().header;
    let message = TransactionMessage::parse(&request.transaction).unwrap();
    assert_eq!(header.binding.suite.owed(), request.password_object.as_ref().map(|object| object.kind));
    assert_eq!(reads_and_writes::<Cancellation>("Cancellation"), [request.cancellation()]);
    let answers = reads_and_writes::<Answer>("Answer");
    let Answer::Executed { receipt } = &answers[0] else { panic!("the first answer is a receipt") };
    assert_eq!(receipt.transaction, TransactionId::of(header.binding.card, header.counter));
    assert_eq!(receipt.amount, message.transaction().amount.minor());
    assert_eq!(receipt.payee, message.transaction().payee_account);
}

/// In a row of a table, or in the text, as code.
fn told(value: &Value) -> bool {
    PAGE.contains(&format!("`{}`", value.as_str().unwrap()))
}

#[test]
fn every_value_of_an_enumeration_stands_in_the_page() {
    for kind in [Owed::Encrypted, Owed::EncryptedDigest, Owed::PasswordDigest] {
        assert!(told(&json!(kind)), "{kind:?}");
    }
    for role in [Role::Terminal, Role::Operator, Role::Auditor, Role::Admin] {
        assert!(told(&json!(role)), "{role:?}");
    }
    for kind in ProblemKind::ALL.iter().copied() {
        assert!(PAGE.contains(&format!("| `{}` | {} |", kind.name(), kind.status())), "{kind:?}");
    }
    for outcome in ["executed", "refused", "insufficient-funds", "limit-exceeded", "cancelled"] {
        assert!(told(&json!(outcome)), "{outcome}");
    }
}

#[test]
fn what_somebody_typed_stands_in_no_error() {
    for secret in ["sEcReT-is-much-too-long", "se cRet", ""] {
        let request = json!({ "transaction": "", "signature_message": "", "verification_password": secret });
        let error = serde_json::from_value::<AuthorisationRequest>(request).unwrap_err().to_string();
        assert!(secret.is_empty() || !error.contains(secret), "{error}");
    }
    let number = json!({ "transaction": "", "signature_message": "", "verification_password": 48_213_907 });
    let error = serde_json::from_value::<AuthorisationRequest>(number).unwrap_err().to_string();
    assert!(!error.contains("48213907"), "{error}");
}

#[test]
fn a_request_has_no_field_that_is_not_listed_and_none_twice() {
    let good = examples("AuthorisationRequest")[0];
    let more = good.replacen('{', r#"{"pin": "2580","#, 1);
    let twice = good.replacen('{', r#"{"transaction": "","#, 1);
    for text in [more, twice] {
        assert!(serde_json::from_str::<AuthorisationRequest>(&text).is_err());
    }
}

#[test]
fn an_idempotency_key_has_1_to_64_printable_characters_and_no_spaces() {
    let longest = "k".repeat(64);
    for good in ["k", "!~", longest.as_str()] {
        assert_eq!(good.parse::<IdempotencyKey>().unwrap().as_str(), good);
    }
    for bad in ["", "a b", "é", "a\n", &"k".repeat(65)] {
        assert!(bad.parse::<IdempotencyKey>().is_err(), "{bad:?}");
    }
}

/// The texts of docs/data-model.md, as stored logs have them.
#[test]
fn an_id_of_a_transaction_is_one_of_five_texts() {
    let card: CardId = "0123456789abcdef".parse().unwrap();
    let capture = TransactionId::Capture { account: 17, sequence: 4 };
    for (text, id) in [
        ("0123456789abcdef00000001", TransactionId::of(card, 1)),
        ("0123456789abcdefffffffff", TransactionId::of(card, u32::MAX)),
        ("capture-17-4", capture.clone()),
        ("reversal-capture-17-4", capture.reversal().unwrap()),
        ("reversal-0123456789abcdef0000000a", TransactionId::of(card, 10).reversal().unwrap()),
        ("carried-17-4", TransactionId::Carried { account: 17, sequence: 4 }),
        ("opening-9223372036854775807", TransactionId::Opening { account: i64::MAX }),
    ] {
        assert_eq!(text.parse(), Ok(id.clone()), "{text}");
        assert_eq!(json!(id), json!(text));
        assert_eq!(serde_json::from_value::<TransactionId>(json!(text)).unwrap(), id);
    }
}

#[test]
fn a_text_that_is_no_id_of_a_transaction_is_refused() {
    for text in [
        "",
        "0123456789abcdef0000001",
        "0123456789abcdef000000001",
        "0123456789ABCDEF00000001",
        "0123456789abcdef0000000A",
        "0123456789abcdef+0000001",
        "capture-",
        "carried-17",
        "carried-17-04",
        "reversal-carried-17-4",
        "capture-17",
        "capture-0-4",
        "capture-17-04",
        "capture-+17-4",
        "capture-17-4-1",
        "opening-",
        "opening-0",
        "opening--1",
        "reversal-",
        "reversal-opening-17",
        "reversal-reversal-capture-17-4",
        " capture-17-4",
        "Capture-17-4",
    ] {
        assert!(text.parse::<TransactionId>().is_err(), "{text:?}");
    }
}

proptest::proptest! {
    #[test]
    fn every_id_of_a_transaction_reads_back(
        card: [u8; 8],
        counter: u32,
        account in 1..=i64::MAX,
        sequence in 1..=i64::MAX,
        kind in 0..6,
    ) {
        let (signed, capture) = (TransactionId::of(CardId(card), counter), TransactionId::Capture { account, sequence });
        let id = match kind {
            0 => signed,
            1 => capture,
            2 => signed.reversal().unwrap(),
            3 => capture.reversal().unwrap(),
            4 => TransactionId::Opening { account },
            _ => TransactionId::Carried { account, sequence },
        };
        proptest::prop_assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_text_that_is_read_is_written_as_it_was(text in "(reversal-|opening-|capture-|carried-)*[0-9a-f+-]{1,24}") {
        if let Ok(id) = text.parse::<TransactionId>() {
            proptest::prop_assert_eq!(id.to_string(), text);
        }
    }
}

//! Transactions in JSON (P-02) against the published schema, as another program reads it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use onetap_pcsc_host::source::json;
use serde_json::{Value, json};

const VALIDATE: &str = "
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
print(json.dumps([validator.is_valid(value) for value in json.load(sys.stdin)]))
";

fn schema() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec/transaction.schema.json"))
}

/// Which of the values Python's `jsonschema` finds valid.
fn valid(values: &[Value]) -> Vec<bool> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "/usr/bin/python3".into());
    let mut command = Command::new(python);
    command.args(["-c", VALIDATE]).arg(schema()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(values).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "python3-jsonschema is needed: scripts/setup test");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn taken(value: &Value) -> bool {
    json(&serde_json::to_vec(value).unwrap()).is_ok()
}

/// The first example of the schema with one member changed; `Null` takes it away.
fn with(examples: &[Value], key: &str, value: Value) -> Value {
    let mut changed = examples[0].clone();
    let members = changed.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(key)
    } else {
        members.insert(key.into(), value)
    };
    changed
}

#[test]
fn p_02_the_schema_and_the_terminal_agree() {
    let text = std::fs::read(schema()).unwrap();
    let examples: Vec<Value> =
        serde_json::from_slice::<Value>(&text).unwrap()["examples"].as_array().unwrap().clone();
    let with = |key: &str, value: Value| with(&examples, key, value);
    let mut good = examples.clone();
    good.extend([
        with("type", json!("payment")),
        with("details", json!("Two flat whites")),
        with("payee-account", json!("79927398713")),
        with("payee-account", json!("NO9386011117947")),
        with("amount", json!("12")),
        with("amount", json!("0.5")),
    ]);
    let mut bad = vec![json!([]), json!(null), json!("x"), json!({}), json!([examples[0]])];
    bad.extend(
        ["payee-account", "payee-name", "amount", "currency", "reference"].map(|key| with(key, Value::Null)),
    );
    bad.extend([
        with("payer", json!("x")),
        with("type", json!("refund")),
        with("payee-account", json!("DE89-3704")),
        with("payee-account", json!("1234567")),
        with("payee-name", json!("")),
        with("payee-name", json!("n".repeat(71))),
        with("amount", json!(12.34)),
        with("amount", json!("12,34")),
        with("amount", json!("-1")),
        with("amount", json!("1.")),
        with("currency", json!("eur")),
        with("currency", json!("EURO")),
        with("reference", json!("")),
        with("reference", json!("r".repeat(36))),
        with("details", json!("d".repeat(141))),
    ]);
    let judged = valid(&[good.clone(), bad.clone()].concat());
    for (value, valid) in good.iter().chain(&bad).zip(judged) {
        let expected = good.contains(value);
        assert_eq!((valid, taken(value)), (expected, expected), "{value}");
    }
}

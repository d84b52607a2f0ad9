//! The examples of docs/spec/http.md against the OpenAPI document that the service serves, as another program reads it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use onetap_server_verifier::http::openapi;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../docs/spec/http.md");
const VALIDATE: &str = "
import json, sys, jsonschema
cases = json.load(sys.stdin)
for case in cases['cases']:
    schema = {'$ref': '#/components/schemas/' + case['schema'], 'components': cases['components']}
    for error in jsonschema.Draft202012Validator(schema).iter_errors(case['example']):
        print(case['schema'], error.json_path, error.message)
";
/// Names of the examples, and of their schemas.
const NAMES: [(&str, &str); 7] = [
    ("AuthorisationRequest", "Authorisation"),
    ("Answer", "Outcome"),
    ("Cancellation", "Cancellation"),
    ("Resolution", "Resolution"),
    ("Standing", "Me"),
    ("TransactionRecord", "Transaction"),
    ("Problem", "Problem"),
];

#[test]
fn every_example_of_the_page_is_valid_by_the_served_document() {
    let document: Value = serde_json::from_str(&openapi().to_json().unwrap()).unwrap();
    let mut cases = Vec::new();
    for (name, schema) in NAMES {
        let marker = format!("<!-- example: {name} -->\n```json\n");
        for example in PAGE.split(&marker).skip(1) {
            let example: Value = serde_json::from_str(example.split("```").next().unwrap()).unwrap();
            cases.push(json!({ "schema": schema, "example": example }));
        }
    }
    assert_eq!(cases.len(), PAGE.matches("<!-- example: ").count(), "an example of no schema");
    let input = json!({ "components": document["components"], "cases": cases });
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "/usr/bin/python3".into());
    let mut command = Command::new(python);
    command.args(["-c", VALIDATE]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(&input).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "python3-jsonschema is needed: scripts/setup test");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
}

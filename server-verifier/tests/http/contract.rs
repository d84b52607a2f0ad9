//! The OpenAPI document as programs that we did not write read it: a validator, a generator of clients, a fuzzer.
//! `ONETAP_CONTRACT` names a Python interpreter that has them; `scripts/setup test` sees to that. Without one the tests say so and
//! end.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot run says why; the fuzzer says what it did"
)]

use std::ffi::OsString;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use onetap_server_verifier::http::openapi;
use serde_json::{Value, json};

use crate::scene::{SYMMETRIC, Scene, token};
use crate::wire::Request;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/contract");

/// The interpreter, and the folder of the programs beside it.
fn python() -> Option<(OsString, PathBuf)> {
    let Some(python) = std::env::var_os("ONETAP_CONTRACT") else {
        eprintln!("not run: ONETAP_CONTRACT names no Python interpreter with openapi-spec-validator");
        return None;
    };
    let folder = Path::new(&python).parent().unwrap().to_owned();
    Some((python, folder))
}

/// A program that finds those beside it.
fn program(name: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder.display()));
    command
}

/// Runs it to its end; all that it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

fn document(folder: &Path) -> PathBuf {
    let path = folder.join("openapi.json");
    std::fs::write(&path, openapi().to_json().unwrap()).unwrap();
    path
}

#[test]
fn the_document_is_valid_and_every_example_fits_its_schema() {
    let Some((python, _)) = python() else { return };
    let mut command = Command::new(python);
    command.arg(format!("{SCRIPTS}/check.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(openapi().to_json().unwrap().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
}

#[test]
fn a_client_that_is_generated_from_the_document_pays() {
    let Some((python, programs)) = python() else { return };
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let request = card.tap(scene.world.payment(1234)).request;
    let folder = tempfile::tempdir().unwrap();
    let files = [("request.json", json!(request)), ("cancellation.json", json!(request.cancellation()))];
    let files = files.map(|(name, body)| {
        let path = folder.path().join(name);
        std::fs::write(&path, body.to_string()).unwrap();
        path
    });
    let generated = folder.path().join("generated");
    let mut generate = program(programs.join("openapi-python-client"), &programs);
    generate.args([
        "generate",
        "--fail-on-warning",
        "--config",
        &format!("{SCRIPTS}/generator.yaml"),
        "--path",
    ]);
    generate.arg(document(folder.path()));
    run(generate.arg("--output-path").arg(&generated));
    run(Command::new(&python).args(["-m", "compileall", "-q"]).arg(&generated));
    let mut pay = Command::new(&python);
    pay.arg(format!("{SCRIPTS}/pay.py")).arg(&generated);
    run(pay.arg(format!("http://{}", scene.addr)).arg(token("pos").0).args(files));
    assert_eq!(scene.world.balances(), (100_000 - 1234, 1234));
    scene.world.check_books();
}

/// How many requests for an operation and phase; `make soak` asks for more.
fn examples() -> String {
    std::env::var("ONETAP_CONTRACT_EXAMPLES").unwrap_or_else(|_| "2".to_owned())
}

/// What is checked of each answer: that its status, media type, header fields and body are documented, and that nothing fails.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,missing_required_header";

#[test]
fn whatever_a_fuzzer_sends_is_answered_as_the_document_says() {
    let Some((_, programs)) = python() else { return };
    // The fuzzer leaves credentials out, too.
    let scene = Scene::with(|config| config.wrong_per_minute = NonZeroU32::MAX);
    let folder = tempfile::tempdir().unwrap();
    for role in ["pos", "op", "aud", "adm"] {
        let mut fuzzer = program(programs.join("schemathesis"), &programs);
        fuzzer.args(["run", &format!("http://{}/v1/openapi.json", scene.addr)]);
        fuzzer.args(["--header", &format!("Authorization: Bearer {}", token(role).0)]);
        fuzzer.args(["--checks", CHECKS, "--max-examples", &examples(), "--no-color"]);
        let text = run(fuzzer.args(["--suppress-health-check", "all"]).current_dir(folder.path()));
        println!("{role}: {text}");
    }
    scene.world.check_books();
}

/// The example of the body that an operation takes.
fn example(document: &Value, method: &str, path: &str) -> Value {
    let body = &document["paths"][path][method]["requestBody"]["content"]["application/json"];
    let reference = body["schema"]["$ref"].as_str().unwrap();
    document["components"]["schemas"][reference.rsplit('/').next().unwrap()]["example"].clone()
}

#[test]
fn every_example_of_a_request_is_taken() {
    let scene = Scene::new();
    let document: Value = serde_json::from_str(&openapi().to_json().unwrap()).unwrap();
    for (number, holder) in [("1000000000009", "Ada Lovelace"), ("2000000000008", "Coffee Shop")] {
        let account = json!({"number": number, "holder": holder, "currency": "EUR", "kind": "current",
            "opening_balance": 50_000, "reason": "test"});
        assert_eq!(scene.post("adm", "/v1/accounts", &account).status, 201);
    }
    let hold = |amount: u64| {
        let body = json!({"amount": amount, "reason": "test"});
        let held = scene.post("adm", "/v1/accounts/1000000000009/holds", &body);
        assert_eq!(held.status, 201, "{}", held.text());
        held.json()["hold"].as_str().unwrap().to_owned()
    };
    let card = scene.card(SYMMETRIC).order.binding.card.to_string();
    let other = scene.card(SYMMETRIC).order.binding.card.to_string();
    let stored = json!({"number": "3000000000007", "holder": "Ada Lovelace", "currency": "EUR", "kind": "stored-value"});
    assert_eq!(scene.post("op", "/v1/accounts", &stored).status, 201);
    let sent = [
        ("adm", "post", "/v1/accounts", "/v1/accounts".to_owned()),
        ("op", "post", "/v1/cards", "/v1/cards".to_owned()),
        ("adm", "post", "/v1/terminals", "/v1/terminals".to_owned()),
        ("adm", "post", "/v1/clients", "/v1/clients".to_owned()),
        ("adm", "post", "/v1/policy", "/v1/policy".to_owned()),
        ("adm", "post", "/v1/accounts/{number}/holds", "/v1/accounts/1000000000009/holds".to_owned()),
        ("adm", "put", "/v1/accounts/{number}/link", "/v1/accounts/3000000000007/link".to_owned()),
        ("adm", "post", "/v1/holds/{hold}/capture", format!("/v1/holds/{}/capture", hold(2500))),
        ("adm", "post", "/v1/holds/{hold}/release", format!("/v1/holds/{}/release", hold(2500))),
        ("op", "post", "/v1/cards/{card}/rotate", format!("/v1/cards/{card}/rotate")),
        ("op", "post", "/v1/cards/{card}/replace", format!("/v1/cards/{card}/replace")),
        ("op", "post", "/v1/cards/{card}/block", format!("/v1/cards/{other}/block")),
        ("adm", "post", "/v1/proposals", "/v1/proposals".to_owned()),
        ("adm", "post", "/v1/clients/{client}/tokens", "/v1/clients/till-1/tokens".to_owned()),
        (
            "adm",
            "put",
            "/v1/clients/{client}/terminals/{terminal}",
            "/v1/clients/till-1/terminals/TERM0001".to_owned(),
        ),
        ("adm", "post", "/v1/clients/{client}/withdraw", "/v1/clients/till-1/withdraw".to_owned()),
        ("adm", "post", "/v1/terminals/{terminal}/withdraw", "/v1/terminals/TERM0001/withdraw".to_owned()),
    ];
    for (who, method, path, address) in sent {
        let body = example(&document, method, path);
        let request = Request::new(&method.to_uppercase(), &address).token(&token(who).0).json(&body);
        let answer = scene.ask(&request);
        assert!((200..300).contains(&answer.status), "{method} {path}: {} for {body}", answer.text());
    }
}

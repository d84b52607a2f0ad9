//! `card run --panel`: the page's address is printed, the card answers there, and only there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

fn onetap(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onetap"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = onetap(folder, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A card's image in the folder.
fn card(folder: &Path) {
    ok(folder, &["verifier", "init", "--db", "bank"]);
    let account = ok(folder, &["verifier", "account", "--db", "bank", "--open", "Ada Lovelace"]);
    ok(folder, &["verifier", "enroll", "--db", "bank", "--account", &account, "--order", "order.json"]);
    let new = ["card", "new", "--image", "ada.img", "--order", "order.json", "--pin", "2580"];
    ok(folder, &[&new[..], &["--statement", "statement.json"]].concat());
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(address: &str, request: &str) -> (String, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap())
}

#[test]
fn a_running_card_prints_where_its_panel_is() {
    let folder = tempfile::tempdir().unwrap();
    card(folder.path());
    let run = ["--json", "card", "run", "--image", "ada.img", "--panel", "--no-vpcd"];
    let mut child = Running(onetap(folder.path(), &run).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let (address, token) = said["panel"].as_str().unwrap().split_once("/#token=").unwrap();
    let address = address.strip_prefix("http://").unwrap();
    assert!(said.get("vpcd").is_none() && address.starts_with("127.0.0.1:"), "{said}");

    let head = format!("Host: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n");
    let body = r#"{"on": true}"#;
    let (status, _) = ask(
        address,
        &format!(
            "POST /v1/field HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    assert!(status.starts_with("HTTP/1.1 200"), "{status}");
    let snapshot = format!("POST /v1/snapshot HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n");
    let (none, _) = ask(address, &snapshot);
    assert!(none.starts_with("HTTP/1.1 404"), "a real card is not wound back: {none}");
    let (_, card) = ask(address, &format!("GET /v1/card HTTP/1.1\r\n{head}\r\n"));
    assert_eq!((&card["reader"], &card["in_field"]), (&Value::from("panel"), &Value::from(true)));
    // The keys of `card press` are the same card's.
    let pressed = onetap(folder.path(), &["card", "press", "--image", "ada.img", "next"]).output().unwrap();
    assert!(String::from_utf8(pressed.stderr).unwrap().contains("dead in the field"));
}

#[test]
fn a_rehearsal_has_a_clock_a_seed_and_snapshots_and_leaves_the_image_alone() {
    let folder = tempfile::tempdir().unwrap();
    card(folder.path());
    let image = folder.path().join("ada.img");
    let before = std::fs::read(&image).unwrap();
    let run = ["--json", "card", "run", "--image", "ada.img", "--panel", "--no-vpcd", "--rehearse", "7"];
    let mut child = Running(onetap(folder.path(), &run).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let (address, token) = said["panel"].as_str().unwrap().split_once("/#token=").unwrap();
    let address = address.strip_prefix("http://").unwrap();
    let head = format!("Host: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n");
    let (_, seed) = ask(address, &format!("GET /v1/seed HTTP/1.1\r\n{head}\r\n"));
    assert_eq!(seed["seed"], 7, "{seed}");
    let (status, clock) = ask(address, &format!("GET /v1/clock HTTP/1.1\r\n{head}\r\n"));
    assert!(status.starts_with("HTTP/1.1 200"), "{status} {clock}");
    let body = r#"{"on": true}"#;
    let length = body.len();
    let json = "Content-Type: application/json";
    let switch = format!("POST /v1/field HTTP/1.1\r\n{head}{json}\r\nContent-Length: {length}\r\n\r\n{body}");
    assert!(ask(address, &switch).0.starts_with("HTTP/1.1 200"));
    drop(child);
    assert_eq!(std::fs::read(&image).unwrap(), before, "the image is as it was");
}

#[test]
fn a_panel_for_others_and_a_card_without_any_face_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    card(folder.path());
    for (arguments, word) in [
        (&["--panel", "0.0.0.0:0"][..], "this machine only"),
        (&["--panel", "nonsense"], "invalid"),
        (&["--no-vpcd"], "--panel"),
        (&["--no-vpcd", "--panel", "--tap"], "cannot be used with"),
    ] {
        let run = [&["card", "run", "--image", "ada.img"], arguments].concat();
        let output = onetap(folder.path(), &run).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
}

//! The template of an applet (`scripts/new-applet`): its own tests, then its program, as docs/write-an-applet.md has it: commands,
//! a torn write, an image that keeps what it held, a panel, and a reader under pcscd.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use onetap_pcsc_host::pcsc::{Wanted, readers, wait_for_card};
use onetap_pcsc_host::{Deadline, Disposition, Reader as _};
use serde_json::{Value, json};

/// Longer than anything here takes, but for the build.
const WAIT: Duration = Duration::from_secs(60);
/// The count goes up by one.
const UP: &str = "8010000004";
/// A card that leaves its socket alone takes 40 ms and more for each command.
const STALL: Duration = Duration::from_millis(20);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What a command that must succeed says on standard output.
fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{err}");
    out.into_owned()
}

/// A new crate; its tests pass; its program.
fn build(folder: &Path) -> PathBuf {
    let place = folder.join("coffee");
    said(Command::new(root().join("scripts/new-applet")).arg("coffee").arg(&place));
    // Kept from run to run. Not this checkout's own, which is locked while its tests run.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("template");
    let cargo = |what: &str| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&place).args([what, "--offline"]).env("CARGO_TARGET_DIR", &target);
        said(&mut cargo)
    };
    let tests = cargo("test");
    assert!(tests.contains("3 passed"), "{tests}");
    cargo("build");
    target.join("debug/coffee")
}

/// The program, at the image of one card.
struct Program {
    path: PathBuf,
    image: PathBuf,
}

impl Program {
    fn command(&self, task: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.arg(task).arg("--image").arg(&self.image);
        command
    }

    fn send(&self) -> String {
        said(self.command("send").arg(UP)).trim().to_owned()
    }
}

/// The program as long as it runs, and the lines that it writes.
struct Running(Child, std::io::Lines<BufReader<std::process::ChildStdout>>);

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self(child, lines)
    }
}

impl Drop for Running {
    /// As hard as it can be ended.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A request to the panel at this address, with its token behind the `#`.
fn ask(url: &str, method: &str, path: &str, body: &Value) -> Value {
    let (addr, token) = url.strip_prefix("http://").unwrap().split_once("/#").unwrap();
    let token = token.rsplit('=').next().unwrap();
    let body = if method == "GET" { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(addr).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

fn panel(program: &Program) {
    let mut running = Running::start(program.command("run").args(["--no-vpcd", "--panel"]));
    let line = running.1.next().unwrap().unwrap();
    let url = line.strip_prefix("its panel: ").unwrap();
    let glance = ask(url, "GET", "/v1/card", &json!(null));
    assert_eq!((&glance["face"], &glance["state"]), (&json!(false), &json!(null)));
    ask(url, "POST", "/v1/field", &json!({ "on": true }));
    let answer = ask(url, "POST", "/v1/apdu", &json!({ "apdu": UP }));
    assert_eq!(answer["apdu"], "000000039000");
}

/// Commands through pcscd and vpcd, without the stall of a card that was written by hand.
fn reader(program: &Program) {
    if std::env::var_os("ONETAP_PCSCD").is_none() {
        println!("not performed: needs a pcscd of its own, run it under scripts/with-pcscd");
        return;
    }
    let running = Running::start(&mut program.command("run"));
    let mut names = readers(&Deadline::after(WAIT)).unwrap();
    names.retain(|name| name.starts_with("Virtual PCD"));
    names.sort();
    let mut reader = wait_for_card(&Wanted::in_reader(&names[0]), &Deadline::after(WAIT)).unwrap();
    let mut card = reader.connect(&Deadline::after(WAIT)).unwrap();
    let up = hex::decode(UP).unwrap();
    let mut times: Vec<Duration> = Vec::new();
    for count in 5..=104_u32 {
        let start = Instant::now();
        let answer = card.transmit(&up).unwrap();
        times.push(start.elapsed());
        assert_eq!(answer, [&count.to_be_bytes()[..], &[0x90, 0x00]].concat());
    }
    times.sort_unstable();
    assert!(times[times.len() / 2] < STALL, "{:?}", times[times.len() / 2]);
    card.release(Disposition::Leave).unwrap();
    drop(running);
    assert_eq!(program.send(), "000000699000", "killed, and nothing is lost");
}

#[test]
fn a_new_applet_passes_its_tests_and_is_a_card_in_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program { path: build(folder.path()), image: folder.path().join("coffee.img") };
    assert_eq!(program.send(), "000000019000");

    // The power is cut before the first write: the count is the old one.
    let torn = said(program.command("tear").args(["--at", "0", "--how", "before", UP]));
    assert_eq!(torn, "the power was cut at write 0, before; the card opens again, with 1 instances\n");
    assert_eq!(program.send(), "000000029000");
    let whole = said(program.command("tear").args(["--at", "1000000", "80110000"]));
    assert_eq!(whole.lines().next(), Some("6D00"));
    assert!(whole.contains("nothing was cut"), "{whole}");

    // On a chip without extended length, nothing is executed.
    let limited =
        program.command("send").args(["--limits", "real-card,fast", "80100000000000"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&limited.stdout), "6700\n");
    let unknown = program.command("send").args(["--limits", "real", UP]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));

    panel(&program);
    assert_eq!(program.send(), "000000049000", "the panel's command is in the image");
    reader(&program);
}

#[test]
fn a_name_that_no_module_can_have_is_refused_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let script = root().join("scripts/new-applet");
        Command::new(script).arg(name).arg(folder.path().join("new")).output().unwrap().status.code()
    };
    for name in ["abc", "Coffee", "1coffee", "../coffee", "a-name-that-is-longer-than-15"] {
        assert_eq!(make(name), Some(2), "{name}");
    }
    assert!(!folder.path().join("new").exists());
    assert_eq!((make("coffee"), make("coffee")), (Some(0), Some(2)));
}

//! `onetap trace import` on logs that other programs wrote a moment ago, of a card that knows what it was sent.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use onetap_pcsc_host::Deadline;
use onetap_pcsc_host::pcsc::{Wanted, wait_for_card};
use serde_json::Value;
use support::*;

const READER: &str = "Virtual PCD 00 00";
const SCRIPT: &str = "\
# a comment
reset
00 A4 04 00 00
80 CA 00 66 00
80 50 30 00 08 01 02 03 \\
04 05 06 07 08 00
";
const PYSCARD: &str = r#"
from smartcard.System import readers
from smartcard.CardConnectionObserver import ConsoleCardConnectionObserver
connection = [r for r in readers() if "00 00" in str(r)][0].createConnection()
connection.addObserver(ConsoleCardConnectionObserver())
connection.connect()
for apdu in ([0, 0xA4, 4, 0, 0], [0x80, 0xCA, 0, 0x66, 0], [0, 0xEE, 0, 0]):
    connection.transmit(apdu)
connection.disconnect()
"#;
/// Linked to the library that libpcscspy stands in for, as most programs in C are.
const SPIED: &str = r#"
#include <winscard.h>
int main(void) {
    SCARDCONTEXT context; SCARDHANDLE card; DWORD protocol;
    unsigned char apdus[2][5] = {{0, 0xA4, 4, 0, 0}, {0x80, 0xCA, 0, 0x66, 0}}, answer[300];
    if (SCardEstablishContext(SCARD_SCOPE_SYSTEM, 0, 0, &context)) return 1;
    if (SCardConnect(context, "Virtual PCD 00 00", SCARD_SHARE_SHARED, SCARD_PROTOCOL_T1, &card, &protocol)) return 2;
    for (int i = 0; i < 2; i++) {
        DWORD length = sizeof answer; SCARD_IO_REQUEST received = *SCARD_PCI_T1;
        if (SCardTransmit(card, SCARD_PCI_T1, apdus[i], 5, &received, answer, &length)) return 3;
    }
    SCardDisconnect(card, SCARD_RESET_CARD);
    return SCardReleaseContext(context);
}
"#;

/// A card in the reader, and its panel, which has a log of its own.
struct Bench<'f> {
    folder: &'f Path,
    panel: String,
    token: String,
    seen: usize,
    _card: Running,
}

type Exchanges = Vec<(String, String)>;

impl<'f> Bench<'f> {
    fn new(folder: &'f Path) -> Self {
        ok(folder, &["card", "blank", "--image", "card.img"]);
        let run = ["--json", "card", "run", "--image", "card.img", "--panel", "--vpcd", "127.0.0.1:35963"];
        let card = Running::start(folder, &run);
        let said = until("the panel's address", || card.json()["panel"].as_str().map(str::to_owned));
        let (panel, token) = said.split_once("/#token=").unwrap();
        let (panel, token) = (panel.strip_prefix("http://").unwrap().to_owned(), token.to_owned());
        Self { folder, panel, token, seen: 0, _card: card }
    }

    /// What the card was sent since the last time, and answered.
    fn truth(&mut self) -> Exchanges {
        let mut stream = TcpStream::connect(&self.panel).unwrap();
        let (panel, token) = (&self.panel, &self.token);
        write!(
            stream,
            "GET /v1/log HTTP/1.1\r\nHost: {panel}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, log) = answer.split_once("\r\n\r\n").unwrap();
        let log: Vec<Value> = serde_json::from_str(log).unwrap();
        let apdu = |entry: &Value, part: &str| entry[part]["apdu"].as_str().unwrap().to_owned();
        let new = log.iter().skip(self.seen).map(|entry| (apdu(entry, "command"), apdu(entry, "response")));
        let new: Exchanges = new.collect();
        self.seen = log.len();
        new
    }

    /// Runs a program of the system, its output in that file.
    fn run(&self, output: &str, command: &mut Command) {
        let file = std::fs::File::create(self.folder.join(output)).unwrap();
        let both = file.try_clone().unwrap();
        let status = command.current_dir(self.folder).stdin(Stdio::null()).stdout(file).stderr(both).status();
        assert!(status.unwrap().success(), "{}", std::fs::read_to_string(self.folder.join(output)).unwrap());
    }

    /// The exchanges of the trace that an import makes of a log.
    fn imported(&self, format: &str, log: &Path) -> Exchanges {
        let text = ok(self.folder, &["trace", "import", "--from", format, log.to_str().unwrap()]);
        let events: Vec<Value> =
            text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut exchanges = Exchanges::new();
        for event in events {
            if let Some(command) = event["command"].as_str() {
                exchanges.push((command.to_owned(), String::new()));
            }
            if let Some(response) = event.get("response") {
                let data = response.get("recorded").or(response.get("data"));
                let data = data.and_then(Value::as_str).unwrap_or_default();
                exchanges.last_mut().unwrap().1 = format!("{data}{}", response["sw"].as_str().unwrap());
            }
        }
        exchanges
    }

    fn check(&mut self, format: &str, log: &str, least: usize) {
        let truth = self.truth();
        assert!(truth.len() >= least, "{format}: {truth:?}");
        assert_eq!(self.imported(format, &self.folder.join(log)), truth, "{format}");
    }
}

/// In a daemon's world of its own, so that its log has these programs' APDUs only.
#[test]
fn logs_of_real_programs_have_every_apdu_in_order_and_none_besides() {
    if !pcscd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("pcscd.log");
    let said = inside_a_world(&[("ONETAP_APDU_LOG", &log), ("ONETAP_IMPORTING", folder.path())]);
    assert!(said.contains("importing: programs=5"), "{said}");
}

#[test]
fn inside() {
    let Some(folder) = std::env::var_os("ONETAP_IMPORTING").map(PathBuf::from) else { return };
    let mut bench = Bench::new(&folder);
    drop(wait_for_card(&Wanted::in_reader(READER), &Deadline::after(LONG)).unwrap());
    std::fs::write(folder.join("script.txt"), SCRIPT).unwrap();
    std::fs::write(folder.join("observe.py"), PYSCARD).unwrap();
    std::fs::write(folder.join("spied.c"), SPIED).unwrap();

    let mut all = Exchanges::new();
    bench.run("scriptor.log", Command::new("scriptor").args(["-r", READER, "script.txt"]));
    bench.check("scriptor", "scriptor.log", 3);

    let mut opensc = Command::new("opensc-tool");
    bench.run("opensc.log", opensc.args(["-r", "0", "-s", "00:A4:04:00:00"]).env("OPENSC_DEBUG", "9"));
    bench.check("opensc", "opensc.log", 20);

    let python = std::env::var("PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    bench.run("pyscard.log", Command::new(python).arg("observe.py"));
    bench.check("pyscard", "pyscard.log", 3);

    bench.run(
        "cc.log",
        Command::new("cc").args(["-I/usr/include/PCSC", "spied.c", "-o", "spied", "-lpcsclite"]),
    );
    let fifo = folder.join("pcsc-spy");
    bench.run("mkfifo.log", Command::new("mkfifo").arg(&fifo));
    let spied = std::thread::spawn(move || std::fs::read(fifo).unwrap());
    let library = "/usr/lib/x86_64-linux-gnu/libpcscspy.so.0";
    bench.run("spied.log", Command::new("./spied").env("LD_PRELOAD", library).env("HOME", &folder));
    std::fs::write(folder.join("spy.log"), spied.join().unwrap()).unwrap();
    bench.check("pcsc-spy", "spy.log", 2);

    // The daemon has seen all of it.
    bench.seen = 0;
    all.extend(bench.truth());
    let daemons = until("the daemon's last words", || {
        let seen = bench.imported("pcscd", &folder.join("pcscd.log"));
        (seen.len() == all.len()).then_some(seen)
    });
    assert_eq!(daemons, all);
    println!("importing: programs=5");
}

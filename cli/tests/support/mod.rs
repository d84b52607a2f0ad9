//! What the tests of the program share: the program, a bank with cards, and vpcd's side of a virtual reader.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use onetap_pcsc_host::{Atr, Deadline, Disposition, Reader, ReaderError, Transport};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

/// Longer than anything here takes, on a busy machine too.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// Between two looks at something that takes a moment.
const MOMENT: Duration = Duration::from_millis(20);

pub(crate) fn onetap(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onetap"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for name in ["ONETAP_PIN", "ONETAP_SERVER", "ONETAP_CA", "ONETAP_TOKEN", "ONETAP_TOKEN_FILE"] {
        command.env_remove(name);
    }
    // Journals of payments stay in the test's own folder.
    command.env("ONETAP_REASON", "a test");
    command.env("XDG_STATE_HOME", folder.join("state"));
    command
}

/// Standard output of a command that must succeed.
pub(crate) fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = onetap(folder, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The last line of it, which is the result.
pub(crate) fn ok_json(folder: &Path, arguments: &[&str]) -> Value {
    let output = ok(folder, &[&["--json"], arguments].concat());
    serde_json::from_str(output.lines().last().unwrap()).unwrap()
}

/// The code and the message of a command that must fail, and say nothing else.
pub(crate) fn fails(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = onetap(folder, arguments).output().unwrap();
    let message = String::from_utf8(stderr).unwrap();
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(String::from_utf8(stdout).unwrap(), "", "{arguments:?}");
    (status.code().unwrap(), message)
}

/// Waits until `look` sees something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < LONG {
        if let Some(seen) = look() {
            return seen;
        }
        thread::sleep(MOMENT);
    }
    panic!("never: {what}");
}

/// A server with a terminal.
pub(crate) fn bank(folder: &Path) {
    ok(folder, &["verifier", "init", "--db", "bank"]);
    ok(folder, &["verifier", "account", "--db", "bank", "--terminal", "POS00001"]);
}

pub(crate) fn account(folder: &Path, holder: &str) -> String {
    ok(folder, &["verifier", "account", "--db", "bank", "--open", holder, "--balance", "500.00"])
}

/// Orders a card for the account into `NAME.order`; its id.
pub(crate) fn order(folder: &Path, account: &str, name: &str) -> String {
    let file = format!("{name}.order");
    let enroll = ["verifier", "enroll", "--db", "bank", "--account", account, "--order", &file];
    ok_json(folder, &enroll)["card"].as_str().unwrap().to_owned()
}

/// A card of the account, activated, PIN 2580: its image is `NAME.img`. Its id.
pub(crate) fn card(folder: &Path, account: &str, name: &str) -> String {
    let id = order(folder, account, name);
    let [image, order, statement] = ["img", "order", "statement"].map(|ending| format!("{name}.{ending}"));
    let new = ["card", "new", "--image", &image, "--order", &order, "--statement", &statement];
    ok(folder, &[&new[..], &["--pin", "2580"]].concat());
    ok(folder, &["verifier", "enroll", "--db", "bank", "--statement", &statement]);
    id
}

/// The bank of the folder as a service with TLS, and its URL. An authority made for it is in `ca.pem`, the token of
/// the terminal POS00001 in `till.token`.
pub(crate) fn served(folder: &Path) -> (Running, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.join("server.pem"), params.signed_by(&key, &authority).unwrap().pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    let add = ["verifier", "client", "add", "--db", "bank", "till-1", "--role", "terminal"];
    let client = ok_json(folder, &[&add[..], &["--terminal", "POS00001"]].concat());
    std::fs::write(folder.join("till.token"), client["token"].as_str().unwrap()).unwrap();
    serve(folder)
}

/// The same bank again, after an end of its service.
pub(crate) fn serve(folder: &Path) -> (Running, String) {
    let serve = ["--json", "verifier", "serve", "--db", "bank", "--tls-cert", "server.pem"];
    let running = Running::start(folder, &[&serve[..], &["--tls-key", "server.key"]].concat());
    let url = running.json()["url"].as_str().unwrap().to_owned();
    (running, url)
}

/// Presses keys until the card, which is being tapped meanwhile, shows the joint password.
pub(crate) fn read_off_the_display(folder: &Path, image: &str) -> String {
    until("the joint password on the display", || {
        let press = ["--json", "card", "press", "--image", image, "read", "confirm"];
        let output = onetap(folder, &press).output().unwrap();
        let reply: Value = serde_json::from_slice(&output.stdout).ok()?;
        let last = reply["shown"].as_array()?.last()?.clone();
        (last["state"] == "revealed").then(|| last["lines"][1].as_str().unwrap().to_owned())
    })
}

/// A program that runs, and its lines. It ends with the test.
pub(crate) struct Running {
    pub(crate) child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = onetap(folder, arguments);
        Self::of(command.env("TMPDIR", folder))
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        Self::with_errors(command, Stdio::piped())
    }

    /// With its standard error somewhere else.
    pub(crate) fn with_errors(command: &mut Command, errors: impl Into<Stdio>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = child.stderr.take().map_or_else(|| channel().1, lines);
        Self { child, out, err }
    }

    /// The next line of standard output.
    pub(crate) fn line(&self) -> String {
        self.out.recv_timeout(LONG).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// The next line of standard error.
    pub(crate) fn error_line(&self) -> String {
        self.err.recv_timeout(LONG).unwrap()
    }

    /// Ctrl-C is INT, the system's own wish is TERM.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        until("the end of the program", || self.child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = channel();
    thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
    });
    told
}

/// vpcd's side of a card: one that came to it, or, in reversed mode, one that it comes to.
pub(crate) struct Vpcd {
    pub(crate) stream: TcpStream,
}

impl Vpcd {
    pub(crate) fn come(addr: &str) -> Self {
        Self::with(TcpStream::connect(addr.parse::<SocketAddr>().unwrap()).unwrap())
    }

    /// Powers the card on.
    pub(crate) fn with(mut stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(&[0, 1, 1]).unwrap();
        Self { stream }
    }

    pub(crate) fn exchange(&mut self, message: &[u8]) -> std::io::Result<Vec<u8>> {
        let len = u16::try_from(message.len()).unwrap().to_be_bytes();
        self.stream.write_all(&[&len[..], message].concat())?;
        let mut len = [0; 2];
        self.stream.read_exact(&mut len)?;
        let mut answer = vec![0; u16::from_be_bytes(len).into()];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    pub(crate) fn atr(&mut self) -> Vec<u8> {
        self.exchange(&[4]).unwrap()
    }
}

impl Reader for Vpcd {
    fn name(&self) -> &str {
        "vpcd's side"
    }

    fn connect(&mut self, _: &Deadline) -> Result<Box<dyn Transport>, ReaderError> {
        let atr = Atr::new(self.atr());
        Ok(Box::new(Contact { vpcd: Self { stream: self.stream.try_clone().unwrap() }, atr }))
    }
}

struct Contact {
    vpcd: Vpcd,
    atr: Atr,
}

impl Transport for Contact {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.vpcd.exchange(command).map_err(|_| ReaderError::CardRemoved)
    }

    fn atr(&self) -> &Atr {
        &self.atr
    }

    fn release(self: Box<Self>, _: Disposition) -> Result<(), ReaderError> {
        Ok(())
    }
}

/// A way to the service that can be made to swallow what the service answers.
pub(crate) struct Way {
    addr: SocketAddr,
    swallows: Arc<AtomicBool>,
}

impl Way {
    pub(crate) fn to(url: &str) -> Self {
        let service = url.strip_prefix("https://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, swallows) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&swallows);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&service).unwrap();
                let (back, forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let flag = Arc::clone(&flag);
                thread::spawn(move || carry(forth, server, &AtomicBool::new(false)));
                thread::spawn(move || carry(back, client, &flag));
            }
        });
        Self { addr, swallows }
    }

    /// From here on nothing that the service answers arrives.
    pub(crate) fn swallow(&self) {
        self.swallows.store(true, Ordering::SeqCst);
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.addr)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, swallows: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if !swallows.load(Ordering::SeqCst) && to.write_all(&buffer[..len]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// True where `scripts/with-pcscd` gave the tests a pcscd of their own.
pub(crate) fn pcscd() -> bool {
    let there = std::env::var_os("ONETAP_PCSCD").is_some();
    if !there {
        println!("not performed: needs a pcscd of its own, run it under scripts/with-pcscd");
    }
    there
}

/// The virtual reader where there is a pcscd: there is one, so one test at a time has it.
pub(crate) fn reader() -> Option<MutexGuard<'static, ()>> {
    static READER: Mutex<()> = Mutex::new(());
    pcscd().then(|| READER.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What starts a daemon.
pub(crate) const WITH_PCSCD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/with-pcscd");

/// Runs this program's test `inside` in a daemon's world of its own, with `environment` besides; gives what it printed.
pub(crate) fn inside_a_world(environment: &[(&str, &Path)]) -> String {
    let output = Command::new(WITH_PCSCD)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "inside", "--nocapture"])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Runs a script in a network of its own, without pcscd, where this user may make one: `$ONETAP` is the program, `pcscd CMD…`
/// lets it do CMD with a pcscd that is started for it. What the script started in the background ends with it.
pub(crate) fn in_own_network(folder: &Path, script: &str) -> String {
    const PRELUDE: &str = r#"
        ip link set lo up
        trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
        pcscd() { "$WITH_PCSCD" --inside "$ONETAP" "$@"; }
    "#;
    let is_mount_point = Command::new("mountpoint").args(["-q", "/"]).status().unwrap().success();
    let propagation: &[&str] = if is_mount_point { &[] } else { &["--propagation", "unchanged"] };
    let output = Command::new("timeout")
        .args(["120", "unshare", "--net", "--mount"])
        .args(propagation)
        .args(["bash", "-euc", &format!("{PRELUDE}{script}")])
        .current_dir(folder)
        .env("ONETAP", env!("CARGO_BIN_EXE_onetap"))
        .env("WITH_PCSCD", WITH_PCSCD)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

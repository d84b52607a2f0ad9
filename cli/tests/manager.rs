//! `onetap verifier serve` under a service manager: what systemd hands over and is told (sd_notify(3),
//! sd_listen_fds(3), sd_watchdog_enabled(3)), here played by the test; signals; and places where little is allowed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use support::{LONG, Running, bank, fails, ok, ok_json, onetap, until};

const SERVE: [&str; 5] = ["--json", "verifier", "serve", "--db", "bank"];

/// The manager's end of the socket that a service tells.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        Self(socket)
    }

    /// The next message that is not a sign of life; how many of those came before.
    fn told(&self) -> (String, usize) {
        let mut alive = 0;
        loop {
            let mut buffer = [0; 1024];
            let len = self.0.recv(&mut buffer).unwrap();
            let message = std::str::from_utf8(&buffer[..len]).unwrap().to_owned();
            if message != "WATCHDOG=1\n" {
                return (message, alive);
            }
            alive += 1;
        }
    }
}

/// The status of the answer to a request.
fn answered(addr: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

fn status(addr: &str, path: &str) -> String {
    answered(addr, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
}

#[test]
fn the_manager_is_told_when_the_service_is_ready_lives_reads_again_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let manager = Manager::at(&folder.join("notify"));
    let mut command = onetap(folder, &SERVE);
    command.env("NOTIFY_SOCKET", folder.join("notify")).env("WATCHDOG_USEC", "60000");
    let mut running = Running::of(&mut command);
    assert_eq!(manager.told().0, "READY=1\n");
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    assert_eq!(status(&addr, "/readyz"), "200");
    until("three signs of life", || {
        let mut buffer = [0; 64];
        (0..3)
            .all(|_| manager.0.recv(&mut buffer).is_ok_and(|len| &buffer[..len] == b"WATCHDOG=1\n"))
            .then_some(())
    });
    running.signal("HUP");
    let (reloading, _) = manager.told();
    let moment = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(moment.trim().parse::<u64>().unwrap() > 0);
    assert_eq!(manager.told().0, "READY=1\n");
    assert_eq!(status(&addr, "/readyz"), "200");
    running.signal("TERM");
    assert_eq!(manager.told().0, "STOPPING=1\n");
    assert!(running.end().success());
}

#[test]
fn a_socket_that_the_manager_hands_over_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let program = onetap(folder, &SERVE);
    let handing = |sockets: &str| {
        let script = format!("exec 3<&0 0</dev/null; LISTEN_FDS={sockets} LISTEN_PID=$$ exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(program.get_program()).args(program.get_args());
        command.current_dir(folder).stdin(OwnedFd::from(listener.try_clone().unwrap()));
        command
    };
    let mut running = Running::of(&mut handing("1"));
    assert_eq!(running.json()["listening"].as_str(), Some(addr.as_str()));
    assert_eq!(status(&addr, "/readyz"), "200");
    running.signal("TERM");
    assert!(running.end().success());
    let many = handing("2").output().unwrap();
    assert_eq!(many.status.code(), Some(2), "{many:?}");
    let mut public = handing("1");
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let refused = public.stdin(OwnedFd::from(everywhere)).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "in the clear beyond this machine: {refused:?}");
}

/// timeout(1) sends SIGTERM to its child and to its group: the second one changes nothing.
#[test]
fn a_second_sigterm_cuts_no_request_off() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let mut running = Running::of(&mut onetap(folder, &[&SERVE[..], &["--log", "info"]].concat()));
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    let mut half = TcpStream::connect(&addr).unwrap();
    half.set_read_timeout(Some(LONG)).unwrap();
    // The head comes whole, so that the request is under way; its body comes later.
    let add = ["--json", "verifier", "client", "add", "--db", "bank", "desk", "--role", "operator"];
    let added: serde_json::Value = serde_json::from_str(&ok(folder, &add)).unwrap();
    let token = added["token"].as_str().unwrap();
    let kind = "content-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue";
    let head =
        format!("POST /v1/accounts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{kind}\r\n\r\n");
    half.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    half.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    running.signal("TERM");
    running.signal("TERM");
    until("it stops", || running.error_line().contains("stopping").then_some(()));
    running.signal("TERM");
    half.write_all(b"{}").unwrap();
    let mut rest = String::new();
    half.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("HTTP/1.1 400"), "{rest}");
    assert!(running.end().success());
}

#[test]
fn at_sighup_what_cannot_be_read_stays_as_it_was_and_the_log_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let mut running = Running::of(&mut onetap(folder, &SERVE));
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    let line = |running: &Running, what: &str| {
        until(what, || Some(running.error_line()).filter(|line| line.contains(what)))
    };
    running.signal("HUP");
    line(&running, "certificates and rates");
    assert!(line(&running, "\"keys\"").contains("read again"));
    std::fs::write(folder.join("pass"), "open sesame").unwrap();
    let chmod = Command::new("chmod").args(["600", "pass"]).current_dir(folder).status();
    assert!(chmod.unwrap().success());
    ok(folder, &["verifier", "keys", "seal", "--db", "bank", "--new-passphrase-file", "pass"]);
    assert_eq!(status(&addr, "/readyz"), "200", "it goes on");
    running.signal("HUP");
    let why = line(&running, "\"keys\"");
    assert!(why.contains("ERROR") && why.contains("ONETAP_PASSPHRASE_FILE"), "{why}");
    assert_eq!(status(&addr, "/readyz"), "200");
    running.signal("TERM");
    assert!(running.end().success());
}

/// As the first process of a container whose root cannot be written, as a user that the system has no name for, without a
/// terminal, a home or a folder for temporary files: the books alone can be written.
#[test]
fn it_runs_as_pid_1_on_a_read_only_root_as_any_user() {
    if !rustix::process::geteuid().is_root() {
        println!("not performed: needs root, to become another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let program = onetap(folder, &SERVE);
    // The program is put where that user may reach it.
    let script = "program=$1 && shift && mount --make-rprivate / && touch onetap && mount --bind \"$program\" onetap &&
        chown -R 54321:54321 bank && chmod 755 . && mount --bind bank bank && mount -o remount,bind,ro / &&
        exec setpriv --reuid 54321 --regid 54321 --clear-groups --no-new-privs env -i ./onetap \"$@\" </dev/null";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh"]);
    command.arg(program.get_program()).args(program.get_args()).current_dir(folder);
    let mut running = Running::of(&mut command);
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    assert_eq!(status(&addr, "/readyz"), "200");
    let unshare = running.child.id();
    let first = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap();
    let begun = Instant::now();
    assert!(Command::new("kill").args(["-s", "TERM", first.trim()]).status().unwrap().success());
    assert!(running.end().success());
    assert!(begun.elapsed() < LONG);
}

/// On a disk of its own, which fills up: the probe says so no later than the acts, and is ready again when there is room.
#[test]
fn a_full_disk_is_no_place_to_be_ready_at() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let token = ok_json(folder, &["verifier", "client", "add", "--db", "bank", "desk", "--role", "operator"]);
    let token = token["token"].as_str().unwrap();
    let program = onetap(folder, &["--json", "verifier", "serve", "--db", "small/bank"]);
    let script = "mkdir small && mount -t tmpfs -o size=3m tmpfs small && cp -a bank small && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(program.get_program()).args(program.get_args()).current_dir(folder);
    let mut running = Running::of(&mut command);
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    let healthy = |path: &str| status(&addr, path);
    assert_eq!(healthy("/readyz"), "200");
    let there = format!("/proc/{}/root{}/small/fill", running.child.id(), folder.display());
    let mut fill = std::fs::File::create(&there).unwrap();
    while fill.write_all(&[0; 4096]).is_ok() {}
    until("it is not ready", || (healthy("/readyz") == "503").then_some(()));
    assert_eq!(healthy("/healthz"), "200", "it lives");
    let open = r#"{"holder": "Grace Hopper", "currency": "EUR", "kind": "current"}"#;
    let kind = format!("content-type: application/json\r\ncontent-length: {}", open.len());
    let act = format!("POST /v1/accounts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{kind}\r\n");
    for _ in 0..5 {
        let (act, ready) =
            (answered(&addr, &format!("{act}connection: close\r\n\r\n{open}")), healthy("/readyz"));
        assert!(act == "201" || ready == "503", "an act {act}, ready {ready}");
    }
    drop(fill);
    std::fs::remove_file(&there).unwrap();
    until("it is ready again", || (healthy("/readyz") == "200").then_some(()));
    running.signal("TERM");
    assert!(running.end().success());
}

/// systemd's own judgement of the unit, where systemd is there.
#[test]
fn the_unit_is_one_that_systemd_takes_and_calls_safe() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd");
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).current_dir(&units).output();
        // `scripts/setup test` installs it.
        let output = output.unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let unit = "onetap-verifier.service";
    // The program is where the package puts it, not here; its manual too.
    let (_, said) = analyze(&["verify", "--man=no", unit, "onetap-verifier.socket"]);
    let about_us =
        said.lines().filter(|line| line.contains("onetap-verifier") && !line.contains("is not executable"));
    assert_eq!(about_us.collect::<Vec<_>>(), [""; 0], "{said}");
    let (safe, said) = analyze(&["security", "--offline=true", "--no-pager", "--threshold=15", unit]);
    assert!(safe, "{said}");
}

#[test]
fn a_certificate_that_is_none_is_named_before_anything_listens() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    std::fs::write(folder.join("c.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    std::fs::write(folder.join("c.key"), "").unwrap();
    let tls = ["--tls-cert", "c.pem", "--tls-key", "c.key"];
    let (code, message) = fails(folder, &[&SERVE[1..], &tls].concat());
    assert!(code == 9 && message.contains("c.pem holds a certificate that is not X.509"), "{code} {message}");
}

/// The certificate of a server, valid for so many days more, in `server.pem` with its key in `server.key`.
fn certificate(folder: &Path, days: i64) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(days);
    std::fs::write(folder.join("server.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

#[test]
fn a_certificate_that_expires_soon_is_told_at_the_start_and_at_sighup_and_an_expired_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let serve = [&SERVE[..], &["--tls-cert", "server.pem", "--tls-key", "server.key"]].concat();
    certificate(folder, -1);
    let (code, message) = fails(folder, &serve[1..]);
    assert!(code == 9 && message.contains("server.pem has expired at"), "{code} {message}");
    certificate(folder, 29);
    let mut running = Running::of(&mut onetap(folder, &serve));
    running.json();
    let line = |running: &Running, what: &str| {
        until(what, || Some(running.error_line()).filter(|line| line.contains(what)))
    };
    assert!(line(&running, "the server's certificate expires").contains("WARN"));
    certificate(folder, -1);
    running.signal("HUP");
    assert!(line(&running, "certificates and rates").contains("has expired"));
    certificate(folder, 29);
    running.signal("HUP");
    line(&running, "the server's certificate expires");
    assert!(line(&running, "certificates and rates").contains("read again"));
    running.signal("TERM");
    assert!(running.end().success());
}

#[test]
fn the_configuration_that_the_unit_names_is_one() {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    let unit = std::fs::read_to_string(packaging.join("systemd/onetap-verifier.service")).unwrap();
    assert!(unit.contains("--config /etc/onetap/onetap.toml"));
    let shown = ok(&packaging, &["--json", "verifier", "config", "show", "--config", "onetap.toml"]);
    let from_file = shown.lines().filter(|line| line.contains("\"source\":\"file\""));
    assert_eq!(from_file.count(), 4, "{shown}");
}

#[test]
fn at_sighup_rates_and_the_level_of_the_log_are_taken_from_the_file_as_it_is_now() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    bank(folder);
    let added = ok_json(folder, &["verifier", "client", "add", "--db", "bank", "desk", "--role", "operator"]);
    let token = added["token"].as_str().unwrap();
    let write = |settings: &str| {
        std::fs::write(folder.join("onetap.toml"), format!("db = \"bank\"\n{settings}")).unwrap();
    };
    write("client-rate = 1\nlog = \"warn\"\n");
    let mut running = Running::start(folder, &["--json", "verifier", "serve", "--config", "onetap.toml"]);
    let addr = running.json()["listening"].as_str().unwrap().to_owned();
    let ask = || {
        let head = format!("host: x\r\nconnection: close\r\nauthorization: Bearer {token}");
        answered(&addr, &format!("GET /v1/accounts HTTP/1.1\r\n{head}\r\n\r\n"))
    };
    assert!((0..5).any(|_| ask() == "429"), "one a second, two at once");
    write("client-rate = 0\nlog = \"debug\"\n");
    running.signal("HUP");
    let line = |what: &str| until(what, || Some(running.error_line()).filter(|line| line.contains(what)));
    line("certificates and rates");
    assert_eq!((0..20).map(|_| ask()).filter(|status| status == "200").count(), 20, "no limit");
    assert!(line("\"answered\"").contains("DEBUG"));
    write("client-rate = \"many\"\n");
    running.signal("HUP");
    assert!(line("configuration").contains("line 2"));
    assert_eq!(ask(), "200", "as it was");
    running.signal("TERM");
    assert!(running.end().success());
}

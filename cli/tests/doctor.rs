//! `onetap doctor`: each thing that it finds, made so, in a network of its own with programs of its own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::*;

/// What the scripts have besides: `DIR` for what is theirs, `alone` for a folder of the service without a service, `service …`
/// to start pcscd there, `doctor …` for the report and its code, `until CMD…`.
const TOOLS: &str = r#"
    alone() { mkdir -p /run/pcscd; mount -t tmpfs -o mode=755 tmpfs /run/pcscd; }
    until_so() { local n=0; until "$@" 2> /dev/null; do n=$((n + 1)); [ $n -lt 1000 ]; sleep 0.02; done; }
    listens() { grep -q "00010000 .* /run/pcscd/pcscd.comm\$" /proc/net/unix; }
    silent() { ! listens; }
    service() { command pcscd --foreground "$@" > service.log 2>&1 & service=$!; until_so listens; }
    doctor() { local code=0; "$ONETAP" --json doctor "$@" 2> /dev/null || code=$?; echo "{\"code\": $code}"; }
"#;

/// What the doctor said, line by line, and its exit code.
struct Report(Vec<Value>);

impl Report {
    fn read(text: &str) -> Self {
        Self(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    fn code(&self) -> i64 {
        self.0.iter().find_map(|line| line["code"].as_i64()).unwrap()
    }

    fn of<'a>(&'a self, check: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |line| line["check"] == check)
    }

    /// The only thing that is wrong, what it is and what cures it; in JSON `what` and `cure`.
    fn only(&self, check: &str) -> (&str, &str) {
        let wrong: Vec<_> = self.0.iter().filter(|line| line["found"] == "wrong").collect();
        let [one] = wrong.as_slice() else { panic!("{wrong:#?}") };
        assert_eq!(one["check"], check, "{one}");
        (one["what"].as_str().unwrap(), one["cure"].as_str().unwrap())
    }
}

/// What the doctor finds in the situation that the script makes; the script calls `doctor` once. `None` where there is no
/// room for such situations.
fn examined(script: &str) -> Option<Report> {
    let folder = tempfile::tempdir().unwrap();
    examined_in(folder.path(), script)
}

fn examined_in(folder: &Path, script: &str) -> Option<Report> {
    if !pcscd() {
        return None;
    }
    for image in ["a.img", "b.img"] {
        ok(folder, &["card", "blank", "--image", image]);
    }
    let out = in_own_network(folder, &format!("{TOOLS}{script}"));
    println!("{out}");
    Some(Report::read(&out))
}

/// The one thing that is wrong has these words in it, and these in its cure.
fn says(found: (&str, &str), what: &[&str], cure: &[&str]) {
    for word in what {
        assert!(found.0.contains(word), "{word:?} in {:?}", found.0);
    }
    for word in cure {
        assert!(found.1.contains(word), "{word:?} in {:?}", found.1);
    }
}

/// A card of ours in a reader of a pcscd: every check that can be made finds nothing.
#[test]
fn where_nothing_is_wrong_it_says_so_and_what_it_looked_at() {
    let Some(report) = examined(
        r#"
        alone; service
        "$ONETAP" card run --image a.img 2> told > /dev/null &
        until_so grep -q "in reader" told
        doctor
    "#,
    ) else {
        return;
    };
    assert_eq!(report.code(), 0, "{:#?}", report.0);
    let found = |check| report.of(check).map(|line| line["found"].clone()).collect::<Vec<_>>();
    for check in ["drivers", "service", "idle", "readers", "exposure"] {
        assert_eq!(found(check), ["fine"], "{check}");
    }
    assert_eq!(found("slots"), ["fine", "fine"]);
    assert_eq!(found("cards"), ["fine", "not-looked"]);
    assert_eq!(found("server"), ["not-looked"]);
    let slot = report.of("slots").next().unwrap()["what"].as_str().unwrap();
    assert!(slot.starts_with("onetap (pid ") && slot.ends_with("has its card there"), "{slot}");
    assert_eq!(report.0[report.0.len() - 2], serde_json::json!({ "result": "well", "wrong": 0 }));
}

/// For people: a line for each finding, and how many are wrong.
#[test]
fn people_read_one_line_for_each_finding() {
    let folder = tempfile::tempdir().unwrap();
    if !pcscd() {
        return;
    }
    let out =
        in_own_network(folder.path(), &format!("{TOOLS} alone; \"$ONETAP\" doctor 2>&1 || echo \"code $?\""));
    let wrong: Vec<_> = out.lines().filter(|line| line.starts_with("WRONG  ")).collect();
    assert_eq!(wrong.len(), 1, "{out}");
    assert!(
        wrong[0].contains("PC/SC service at /run/pcscd/pcscd.comm: ") && wrong[0].contains("; what to do: ")
    );
    assert!(out.contains("fine   driver of Virtual PCD: ") && out.contains("-      server: none is named"));
    assert!(out.contains("onetap: 1 thing is wrong, see above") && out.ends_with("code 4\n"), "{out}");
}

#[test]
fn no_service() {
    let Some(report) = examined("alone; doctor") else { return };
    says(report.only("service"), &["not running"], &["systemctl enable --now pcscd.socket"]);
    assert_eq!(report.code(), 4);
}

/// On a machine that is a container itself, the words are those of the next test.
#[test]
fn no_service_is_installed() {
    let Some(report) = examined("alone; mount -t tmpfs tmpfs /usr/sbin; doctor") else { return };
    says(report.only("service"), &["no PC/SC service"], &["apt install pcscd"]);
}

#[test]
fn a_container_without_the_hosts_service() {
    let script = "alone; mount -t tmpfs tmpfs /usr/sbin; container=podman doctor";
    let Some(report) = examined(script) else { return };
    let cure = ["--volume /run/pcscd:/run/pcscd", "apt install pcscd"];
    says(report.only("service"), &["this container has no PC/SC service"], &cure);
}

#[test]
fn a_socket_with_nobody_behind_it() {
    let Some(report) = examined("alone; service; kill -s KILL $service; until_so silent; doctor") else {
        return;
    };
    says(report.only("service"), &["nobody listens"], &["systemctl restart pcscd.socket pcscd.service"]);
}

#[test]
fn a_service_that_hangs() {
    let Some(report) = examined("alone; service; kill -s STOP $service; doctor; kill -s KILL $service")
    else {
        return;
    };
    says(report.only("service"), &["does not answer"], &["systemctl restart pcscd"]);
}

/// As systemd does it, by systemd's own program.
#[test]
fn a_service_that_only_its_socket_starts() {
    let Some(report) = examined(
        r#"
        alone
        systemd-socket-activate --listen /run/pcscd/pcscd.comm pcscd --foreground --auto-exit > log 2>&1 &
        until_so listens
        doctor
    "#,
    ) else {
        return;
    };
    says(
        report.only("idle"),
        &["did not run until"],
        &["systemctl edit pcscd.service", "systemctl enable --now"],
    );
}

#[test]
fn a_service_that_ends_when_it_is_idle() {
    let Some(report) = examined("alone; service --auto-exit; doctor") else { return };
    says(report.only("idle"), &["ends after a minute"], &["systemctl edit pcscd.service"]);
}

/// The socket is root's alone, and another user asks.
#[test]
fn a_socket_that_this_user_may_not_open() {
    let Some(report) = examined(
        r#"
        alone; service; chmod 600 /run/pcscd/pcscd.comm
        mount -t tmpfs -o mode=755 tmpfs /mnt; touch /mnt/onetap; mount --bind "$ONETAP" /mnt/onetap
        ONETAP="setpriv --reuid 65534 --regid 65534 --clear-groups env TMPDIR=/tmp /mnt/onetap"
        code=0; $ONETAP --json doctor || code=$?
        echo "{\"code\": $code}"
    "#,
    ) else {
        return;
    };
    says(report.only("service"), &["may not open the socket"], &["mode 666", "--user"]);
    assert_eq!(report.code(), 4);
}

/// A service at a socket of its own, in Python: what it does with a connection is up to `answer`.
fn other_service(answer: &str) -> String {
    format!(
        r#"
        cat > other.py <<'END'
import socket, struct
listener = socket.socket(socket.AF_UNIX)
listener.bind("other.comm")
listener.listen()
while True:
    client, _ = listener.accept()
    {answer}
    client.close()
END
        $PYTHON other.py &
        export PCSCLITE_CSOCK_NAME=$PWD/other.comm
        alone; until_so test -S other.comm; doctor
    "#,
        answer = answer,
    )
    .replace("$PYTHON", "/usr/bin/python3")
}

/// pcscd closes the door on whom polkit refuses. Debian's 1.9.9 is built without polkit (`pcscd --version`), so another
/// program does it here.
#[test]
fn a_service_that_turns_this_program_away() {
    let Some(report) = examined(&other_service("pass")) else { return };
    says(report.only("service"), &["refuses this program"], &["org.debian.pcsc-lite.access_pcsc", "polkit"]);
}

/// It answers the first message of pcsclite's protocol as pcscd does where versions differ: with its own, and
/// SCARD_E_SERVICE_STOPPED.
#[test]
fn a_service_of_another_version() {
    let answer =
        r#"client.recv(20, socket.MSG_WAITALL); client.sendall(struct.pack("=iiI", 4, 9, 2148532254))"#;
    let script = other_service(answer) + "\"$ONETAP\" --json readers 2>&1 || true";
    let Some(report) = examined(&script) else { return };
    let readers = report.0.iter().find(|line| line["error"].is_string()).unwrap();
    assert!(readers["error"].as_str().unwrap().contains("another version"), "{readers}");
    let what = ["libpcsclite here speaks version 4.4 ", "the service 4.9"];
    says(report.only("service"), &what, &["apt install --only-upgrade pcscd libpcsclite1"]);
}

/// pcscd does not start then at all, so the service is missing too.
#[test]
fn a_driver_that_is_missing() {
    let Some(report) = examined(
        r#"
        alone; mkdir readers
        sed 's/libifdvpcd/libifdvpcd-gone/' /etc/reader.conf.d/vpcd > readers/vpcd
        mount --bind readers /etc/reader.conf.d
        command pcscd --foreground > /dev/null 2>&1 || true
        doctor
    "#,
    ) else {
        return;
    };
    let driver = report.of("drivers").next().unwrap();
    let found = (driver["what"].as_str().unwrap(), driver["cure"].as_str().unwrap());
    says(found, &["libifdvpcd-gone.so is missing"], &["--reinstall vsmartcard-vpcd"]);
    assert_eq!(report.of("service").next().unwrap()["found"], "wrong");
}

#[test]
fn no_reader() {
    let Some(report) = examined("alone; mkdir readers; service --config \"$PWD/readers\"; doctor") else {
        return;
    };
    says(report.only("readers"), &["no smart card reader"], &["vsmartcard-vpcd"]);
}

/// Without libpcsclite the program does not start at all, and the system's loader says what it lacks.
#[test]
fn without_libpcsclite_the_loader_says_so() {
    let folder = tempfile::tempdir().unwrap();
    if !pcscd() {
        return;
    }
    let script = r#"
        library=$(ldd "$ONETAP" | awk '/libpcsclite/ { print $3 }')
        mount --bind /dev/null "$(readlink -f "$library")"
        "$ONETAP" doctor 2>&1 || echo "code $?"
    "#;
    let out = in_own_network(folder.path(), script);
    assert!(out.contains("libpcsclite.so.1") && out.ends_with("code 127\n"), "{out}");
}

#[test]
fn slots_that_others_reach() {
    let Some(report) = examined(
        r#"
        ip link add out type veth peer name there; ip addr add 192.0.2.1/24 dev out; ip link set out up
        alone; service; doctor
    "#,
    ) else {
        return;
    };
    let cure = ["tcp dport '{ 35963, 35964 }' drop", "DEVICENAME 127.0.0.1:PORT", "card run --listen"];
    says(report.only("exposure"), &["listens on all interfaces", "35963, 35964"], &cure);
}

/// Our own card and a second one. Both are named, and the second says so by itself within two seconds.
#[test]
fn a_slot_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let Some(report) = examined_in(
        folder.path(),
        r#"
        alone; service
        "$ONETAP" card run --image a.img 2> first > /dev/null & first=$!
        until_so grep -q "the card is in reader Virtual PCD 00 00" first
        began=$(date +%s%N)
        "$ONETAP" --json card run --image b.img 2> second > /dev/null & second=$!
        until_so test -s second
        echo "{\"first\": $first, \"second\": $second, \"milliseconds\": $((($(date +%s%N) - began) / 1000000))}"
        cat second
        doctor
    "#,
    ) else {
        return;
    };
    let pids = report.0.iter().find(|line| line["first"].is_u64()).unwrap();
    let (first, second) = (&pids["first"], &pids["second"]);
    let told = report.0.iter().find(|line| line["reader"] == "silent").unwrap();
    assert_eq!((&told["by"]["pid"], &told["by"]["name"]), (first, &"onetap".into()), "{told}");
    assert!(pids["milliseconds"].as_u64().unwrap() < 2000, "{pids}");
    let what =
        [&format!("onetap (pid {first}) has its card there")[..], &format!("onetap (pid {second}) waits")];
    says(report.only("slots"), &what, &[&format!("end onetap (pid {first})"), "--vpcd"]);
}

/// A program of pyscard's has a transaction with the card.
#[test]
fn a_card_that_another_program_has() {
    let Some(report) = examined(
        r#"
        cat > holder.py <<'END'
import time
from smartcard import scard
_, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
result = 1
while result:
    result, card, _ = scard.SCardConnect(context, "Virtual PCD 00 00", scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_ANY)
assert not scard.SCardBeginTransaction(card)
open("held", "w").close()
time.sleep(1000)
END
        alone; service
        "$ONETAP" card run --image a.img > /dev/null 2>&1 &
        /usr/bin/python3 holder.py & holder=$!
        until_so test -e held
        echo "{\"holder\": $holder}"
        doctor
    "#,
    ) else {
        return;
    };
    let holder = report.0.iter().find_map(|line| line["holder"].as_u64()).unwrap();
    let name = format!("python3 (pid {holder})");
    says(
        report.only("cards"),
        &["in use by another program", &name],
        &["end the one that has the card", &name],
    );
}

/// A card that reads and writes as it comes, without a thought for the system's delays.
#[test]
fn a_careless_card_that_stalls() {
    let Some(report) = examined(
        r#"
        cat > careless.py <<'END'
import socket
reader = socket.create_connection(("127.0.0.1", 35963))
while True:
    length = reader.recv(2, socket.MSG_WAITALL)
    message = reader.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
    answer = {b"\x00": None, b"\x01": None, b"\x02": None, b"\x04": bytes.fromhex("3b8580018073000040")}
    answer = answer.get(message, b"\x6d\x00")
    if answer and len(answer) > 2:
        check = 0
        for byte in answer[1:]:
            check ^= byte
        answer += bytes([check])
    if answer:
        reader.sendall(len(answer).to_bytes(2, "big") + answer)
END
        alone; service
        /usr/bin/python3 careless.py & card=$!
        echo "{\"card\": $card}"
        until_so eval '"$ONETAP" doctor | grep -q "a command takes"'
        doctor
    "#,
    ) else {
        return;
    };
    let card = report.0.iter().find_map(|line| line["card"].as_u64()).unwrap();
    let name = format!("python3 (pid {card})");
    says(
        report.only("cards"),
        &["a command takes ", &name, "acknowledgement"],
        &[&name, "TCP_QUICKACK", "card run"],
    );
}

/// The report of the machine that the tests run on; what is said of the service does not matter here.
fn asked(folder: &Path, arguments: &[&str]) -> Report {
    let output = onetap(folder, &[&["--json", "doctor"], arguments].concat()).output().unwrap();
    let mut report = Report::read(&String::from_utf8(output.stdout).unwrap());
    report.0.push(serde_json::json!({ "code": output.status.code() }));
    report
}

/// What is wrong with the server and all that hangs on it; the code says so, unless something else is wrong before.
fn wrong_server(report: &Report, check: &str) -> (String, String) {
    let of_server = ["server", "terminal", "clock"];
    let mut wrong = report.0.iter().filter(|line| line["found"] == "wrong");
    let wrong = wrong.find(|line| of_server.iter().any(|name| line["check"] == *name));
    let wrong = wrong.unwrap_or_else(|| panic!("{:#?}", report.0));
    assert_eq!(wrong["check"], check, "{wrong}");
    if report.0.iter().filter(|line| line["found"] == "wrong").count() == 1 {
        assert_eq!(report.code(), 7);
    }
    let text = |key: &str| wrong[key].as_str().unwrap().to_owned();
    (text("what"), text("cure"))
}

fn says_of_server(report: &Report, check: &str, what: &[&str], cure: &[&str]) {
    let (found, found_cure) = wrong_server(report, check);
    says((&found, &found_cure), what, cure);
}

#[test]
fn a_server_that_is_reached_trusted_and_knows_this_terminal_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let (service, url) = served(at);
    let to = ["--server", &url, "--token-file", "till.token"];
    let trusting = [&to[..], &["--ca", "ca.pem"]].concat();

    let report = asked(at, &trusting);
    for check in ["server", "terminal", "clock"] {
        assert!(report.of(check).all(|line| line["found"] == "fine"), "{:#?}", report.0);
    }
    let other = asked(at, &[&trusting[..], &["--terminal", "POS00009"]].concat());
    says_of_server(&other, "terminal", &["as terminal POS00001, not POS00009"], &["made for this terminal"]);

    // A certificate that nobody signed but who made it, and that is not the server's.
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(at.join("stranger.pem"), stranger.cert.pem()).unwrap();
    let untrusted = asked(at, &[&to[..], &["--ca", "stranger.pem"]].concat());
    says_of_server(&untrusted, "server", &["certificate is not trusted"], &["certificate of the authority"]);
    assert_eq!(untrusted.of("clock").next().unwrap()["found"], "not-looked");

    let add = ["verifier", "client", "add", "--db", "bank", "grace", "--role", "operator"];
    std::fs::write(at.join("grace.token"), ok_json(at, &add)["token"].as_str().unwrap()).unwrap();
    let operator = ["--server", &url, "--ca", "ca.pem", "--token-file", "grace.token"];
    says_of_server(&asked(at, &operator), "terminal", &["not as a terminal"], &["role `terminal`"]);

    let elsewhere = tempfile::tempdir().unwrap();
    bank(elsewhere.path());
    drop(served(elsewhere.path()));
    std::fs::copy(elsewhere.path().join("till.token"), at.join("other.token")).unwrap();
    let refused = asked(at, &["--server", &url, "--ca", "ca.pem", "--token-file", "other.token"]);
    says_of_server(&refused, "server", &["401"], &["token or certificate that the server's operator made"]);

    drop(service);
    let gone = asked(at, &trusting);
    says_of_server(&gone, "server", &["cannot be reached"], &["network, the proxy and the server's address"]);

    std::fs::remove_file(at.join("till.token")).unwrap();
    let without = asked(at, &trusting);
    says_of_server(&without, "server", &["cannot read", "till.token"], &["check that the path exists"]);
}

/// A server that gives one answer, whatever it is asked.
fn answering(status: &'static str, kind: &'static str, body: String) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 4096]);
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
            let _ = client.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}

#[test]
fn a_server_that_forbids_or_whose_clock_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    drop(served(at));
    let ask = |url: &str| asked(at, &["--server", url, "--token-file", "till.token"]);
    let problem = serde_json::json!({ "type": "urn:onetap:problem:not-allowed", "title": "The client's role does not allow this",
        "status": 403, "detail": "no", "instance": "urn:onetap:request:0" });
    let forbids = answering("403 Forbidden", "application/problem+json", problem.to_string());
    says_of_server(&ask(&forbids), "server", &["403"], &["a client of the role `terminal`"]);

    let standing = serde_json::json!({ "client": "till-1", "role": "terminal", "terminal": "POS00001", "server": "0123456789abcdef",
        "time": "2001-02-03T04:05:06Z", "max_age": 300, "max_ahead": 60 });
    let other_time = answering("200 OK", "application/json", standing.to_string());
    let what = ["clock", "2001-02-03T04:05:06"];
    says_of_server(&ask(&other_time), "clock", &what, &["set this terminal's clock"]);
}

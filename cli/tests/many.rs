//! `card run` with several cards in one process, in vpcd's usual and its reversed mode; readers that go and
//! come; an end in order.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use onetap_apdu_spec::atr::{ATR, CONTACTLESS_ATR};
use onetap_pcsc_host::{Deadline, Draft, Fields, Terminal};
use serde_json::Value;
use support::*;

fn draft(amount: &str) -> Draft {
    let fields = Fields {
        kind: onetap_apdu_spec::txn::TransactionType::Payment,
        payee_account: "DE89370400440532013000".to_owned(),
        payee_name: "Coffee Shop".to_owned(),
        amount: amount.to_owned(),
        currency: "EUR".to_owned(),
        reference: "-".to_owned(),
        details: None,
    };
    fields.draft().unwrap()
}

/// All pages of what the card shows once it has left the field.
fn read(folder: &Path, image: &str) -> String {
    until("the card shows something", || {
        let output = onetap(folder, &["--json", "card", "press", "--image", image, "read"]).output().unwrap();
        let reply: Value = serde_json::from_slice(&output.stdout).ok()?;
        let shown = reply["shown"].as_array()?;
        let showing = shown.last()?["state"] == "showing";
        showing.then(|| shown.iter().map(|screen| screen["frame"].as_str().unwrap()).collect())
    })
}

/// Three cards in one process, and a reader that comes to each at the same time.
#[test]
fn in_reversed_mode_each_card_answers_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let amounts = ["1.11", "2.22", "3.33"];
    let names = ["ada", "bob", "eve"];
    let images = names.map(|name| format!("{name}.img"));
    for name in names {
        card(at, &account(at, name), name);
    }
    let mut run = vec!["--json", "card", "run", "--listen", "127.0.0.1:0", "--tap"];
    images.iter().for_each(|image| run.extend(["--image", image]));
    let mut cards = Running::start(at, &run);
    let mut readers = images.each_ref().map(|image| {
        let said = cards.json();
        assert_eq!(said["image"], image.as_str());
        Vpcd::come(said["listen"].as_str().unwrap())
    });
    std::thread::scope(|scope| {
        for (reader, amount) in readers.iter_mut().zip(amounts) {
            scope.spawn(move || {
                Terminal::new("POS00001".parse().unwrap())
                    .tap(reader, &draft(amount), &Deadline::after(LONG))
                    .unwrap()
            });
        }
    });
    for (image, amount) in images.iter().zip(amounts) {
        let shown = read(at, image);
        for other in amounts {
            assert_eq!(shown.contains(other), other == amount, "{image}: {shown}");
        }
    }
    // Their holders put them away: the process ends with the last one.
    for image in &images {
        assert!(at.join(format!("{image}.keys")).exists());
        ok(at, &["card", "press", "--image", image, "cancel"]);
    }
    assert_eq!(cards.end().code(), Some(0));
    assert!(images.iter().all(|image| !at.join(format!("{image}.keys")).exists()));
}

/// People see which card it is.
#[test]
fn several_cards_speak_with_their_names_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ok(at, &["card", "blank", "--image", "a.img"]);
    ok(at, &["card", "blank", "--image", "b.img"]);
    let run = ["card", "run", "--listen", "127.0.0.1:0", "--image", "a.img"];
    let cards = Running::start(at, &[&run[..], &["--image", "b.img"]].concat());
    assert!(cards.line().starts_with("a.img: the card waits at 127.0.0.1:"));
    assert!(cards.line().starts_with("b.img: the card waits at 127.0.0.1:"));
    drop(cards);
    let card = Running::start(at, &run);
    assert!(card.line().starts_with("the card waits at 127.0.0.1:"));
}

/// One that cannot start is named, and none starts.
#[test]
fn a_card_that_fails_keeps_all_out_of_their_readers() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for image in ["a.img", "b.img", "c.img"] {
        ok(at, &["card", "blank", "--image", image]);
    }
    std::fs::write(at.join("broken.img"), [0; 100]).unwrap();
    let held = Running::start(at, &["card", "run", "--image", "c.img", "--listen", "127.0.0.1:0"]);
    held.line();
    let vpcd = TcpListener::bind("127.0.0.1:0").unwrap();
    vpcd.set_nonblocking(true).unwrap();
    let addr = vpcd.local_addr().unwrap().to_string();
    let first = ["card", "run", "--image", "a.img", "--vpcd", &addr, "--image"];
    for (second, code, word) in
        [("missing.img", 8, "missing.img: "), ("broken.img", 8, "broken.img: "), ("c.img", 8, "in use")]
    {
        let (got, message) = fails(at, &[&first[..], &[second, "--vpcd", "127.0.0.1:9"]].concat());
        assert_eq!(got, code, "{message}");
        assert!(message.contains(word) && message.contains(second), "{message}");
    }
    let listen =
        ["card", "run", "--image", "a.img", "--listen", "127.0.0.1:0", "--image", "b.img", "--listen"];
    let (code, message) = fails(at, &[&listen[..], &[&addr]].concat());
    assert_eq!(code, 4, "{message}");
    assert!(message.contains("b.img: ") && message.contains("free"), "{message}");
    assert_eq!(vpcd.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "no card came");
    assert!(!at.join("a.img.keys").exists() && !at.join("b.img.keys").exists());
}

#[test]
fn places_that_do_not_fit_the_cards_are_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let two = ["card", "run", "--image", "a.img", "--image", "b.img"];
    for (places, word) in [
        (&["--vpcd", "127.0.0.1:4", "--vpcd", "127.0.0.1:4"][..], "both"),
        (&["--vpcd", "127.0.0.1:65535"], "too few ports"),
        (&["--listen", "127.0.0.1:4", "--listen", "127.0.0.1:5", "--listen", "127.0.0.1:6"], "3 addresses"),
        (&["--listen", "127.0.0.1:4", "--vpcd", "127.0.0.1:5"], "cannot be used with"),
        (&["--tui"], "one card"),
    ] {
        let (code, message) = fails(folder.path(), &[&two[..], places].concat());
        assert_eq!(code, 2, "{message}");
        assert!(message.contains(word), "{places:?}: {message}");
    }
}

#[test]
fn the_answer_to_reset_says_how_the_card_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ok(at, &["card", "blank", "--image", "a.img"]);
    for (option, atr) in [(&[][..], &ATR[..]), (&["--contactless"], &CONTACTLESS_ATR)] {
        let run = ["--json", "card", "run", "--image", "a.img", "--listen", "127.0.0.1:0"];
        let card = Running::start(at, &[&run[..], option].concat());
        assert_eq!(Vpcd::come(card.json()["listen"].as_str().unwrap()).atr(), atr);
    }
}

/// pcscd stops and starts: the card waits, at leisure, and goes back in.
#[test]
fn a_reader_that_goes_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ok(at, &["card", "blank", "--image", "a.img"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let card = Running::start(at, &["--json", "card", "run", "--image", "a.img", "--vpcd", &addr]);
    assert_eq!(card.json()["vpcd"], addr.as_str());
    let mut reader = Vpcd::with(listener.accept().unwrap().0);
    assert_eq!(reader.atr(), ATR);
    drop(listener);
    let notice =
        |card: &Running| serde_json::from_str::<Value>(&card.error_line()).unwrap()["reader"].clone();
    assert_eq!(notice(&card), "here");
    for _ in 0..2 {
        drop(reader);
        assert_eq!(notice(&card), "away");
        let listener = until("the address is free", || TcpListener::bind(&addr).ok());
        reader = Vpcd::with(listener.accept().unwrap().0);
        assert_eq!(reader.atr(), ATR);
        assert_eq!(notice(&card), "here");
    }
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", card.child.id())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    assert!(ticks < 100, "{ticks} ticks of processor time: it spins");
}

#[test]
fn an_interrupted_program_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for image in ["a.img", "b.img"] {
        ok(at, &["card", "blank", "--image", image]);
    }
    let run = ["card", "run", "--image", "a.img", "--image", "b.img", "--listen", "127.0.0.1:0", "--panel"];
    for signal in ["INT", "TERM"] {
        let mut cards = Running::start(at, &run);
        for _ in 0..4 {
            cards.line();
        }
        assert!(at.join("a.img.keys").exists() && at.join("b.img.keys").exists());
        cards.signal(signal);
        assert_eq!(cards.end().code(), Some(0), "{signal}");
        let mut demo = Running::start(at, &["demo", "--web"]);
        demo.line();
        demo.signal(signal);
        assert_eq!(demo.end().code(), Some(130), "{signal}");
        let mut left: Vec<_> =
            std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.img", "b.img"], "{signal}");
    }
}

/// The bar: at most 1 MB for each further card.
#[test]
fn a_further_card_takes_little_memory() {
    const MORE: usize = 16;
    const BAR_KB: u64 = 1024;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    card(at, &account(at, "Ada Lovelace"), "one");
    let images: Vec<String> = (0..=MORE).map(|n| format!("{n}.img")).collect();
    for image in &images {
        std::fs::copy(at.join("one.img"), at.join(image)).unwrap();
    }
    let resident = |images: &[String]| -> u64 {
        let mut run = vec!["--json", "card", "run", "--listen", "127.0.0.1:0"];
        images.iter().for_each(|image| run.extend(["--image", image]));
        let cards = Running::start(at, &run);
        let mut readers: Vec<_> =
            images.iter().map(|_| Vpcd::come(cards.json()["listen"].as_str().unwrap())).collect();
        for reader in &mut readers {
            Terminal::new("POS00001".parse().unwrap())
                .tap(reader, &draft("1.11"), &Deadline::after(LONG))
                .unwrap();
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", cards.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (one, many) = (resident(&["one.img".to_owned()]), resident(&images));
    let each = many.saturating_sub(one) / u64::try_from(MORE).unwrap();
    println!("resident: {one} kB with one card, {many} kB with {}, {each} kB each", MORE + 1);
    assert!(each <= BAR_KB, "{each} kB each");
}

/// The card waits for a pcscd that is not there yet, and for one that stops and starts.
#[test]
fn a_real_pcscd_may_stop_and_start() {
    if !pcscd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    ok(folder.path(), &["card", "blank", "--image", "a.img"]);
    let script = r#"
        "$ONETAP" card run --image a.img > /dev/null 2> notices & card=$!
        pcscd --json card status --reader "Virtual PCD 00 00"
        pcscd --json card status --reader "Virtual PCD 00 00"
        kill -s TERM $card
        wait $card
        cat notices
    "#;
    let out = in_own_network(folder.path(), script);
    assert_eq!(out.matches(r#""blank":true"#).count(), 2, "{out}");
    assert!(out.matches("the card is in reader Virtual PCD 00 00").count() >= 2, "{out}");
}

/// In vpcd's reversed mode the real reader comes to the cards.
#[test]
fn a_real_reader_comes_to_each_card() {
    if !pcscd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for image in ["a.img", "b.img"] {
        ok(folder.path(), &["card", "blank", "--image", image]);
    }
    let script = r#"
        mkfifo said
        "$ONETAP" card run --image a.img --image b.img --listen 127.0.0.1:35979 > said & cards=$!
        head -n 2 said > /dev/null
        export ONETAP_REVERSED=1
        pcscd --json card status --reader "Reversed PCD 00 00"
        kill -s TERM $cards
        wait $cards
    "#;
    let out = in_own_network(folder.path(), script);
    assert_eq!(out.matches(r#""blank":true"#).count(), 1, "{out}");
}

/// Both slots of vpcd through a real pcscd, two terminals at once, two holders.
#[test]
fn two_cards_in_two_real_readers_pay_at_the_same_time() {
    let Some(_reader) = reader() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    let shop = account(at, "Coffee Shop");
    let (ada, bob) = (account(at, "Ada Lovelace"), account(at, "Bob Kahn"));
    card(at, &ada, "ada");
    card(at, &bob, "bob");
    let (_service, url) = served(at);
    let _cards = Running::start(at, &["card", "run", "--image", "ada.img", "--image", "bob.img", "--tap"]);
    std::thread::scope(|scope| {
        for (image, reader, amount) in
            [("ada.img", "Virtual PCD 00 00", "1.11"), ("bob.img", "Virtual PCD 00 01", "2.22")]
        {
            let (shop, url) = (&shop, &url);
            scope.spawn(move || pay(at, url, image, reader, shop, amount));
        }
    });
    for (account, cents) in [(&ada, 500_00 - 1_11), (&bob, 500_00 - 2_22), (&shop, 500_00 + 1_11 + 2_22)] {
        let all = ok(at, &["--json", "verifier", "account", "--db", "bank"]);
        let views = all.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let view = views.into_iter().find(|view| view["number"] == account.as_str()).unwrap();
        assert_eq!(view["balance"], cents, "{view}");
    }
}

fn pay(at: &Path, url: &str, image: &str, reader: &str, to: &str, amount: &str) {
    let server = ["--server", url, "--ca", "ca.pem", "--token-file", "till.token"];
    let pay = [&["--json", "pay", "--reader", reader][..], &server].concat();
    let what = ["--to", to, "--name", "Coffee Shop", "--amount", amount];
    let mut terminal = onetap(at, &[&pay[..], &what].concat());
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    assert!(read(at, image).contains(amount));
    let password = until("the joint password", || {
        let output = onetap(at, &["--json", "card", "press", "--image", image, "confirm"]).output().unwrap();
        let reply: Value = serde_json::from_slice(&output.stdout).ok()?;
        let last = reply["shown"].as_array()?.last()?.clone();
        (last["state"] == "revealed").then(|| last["lines"][1].as_str().unwrap().to_owned())
    });
    writeln!(terminal.stdin.take().unwrap(), "{password}").unwrap();
    let output = terminal.wait_with_output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["result"], "executed", "{result}");
}

/// As vpcd with a card in its slot: the system takes the second connection, and nobody speaks until the first has left.
#[test]
fn a_card_whose_slot_is_taken_says_so_and_comes_in_when_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    ok(folder.path(), &["card", "blank", "--image", "a.img"]);
    let slot = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = slot.local_addr().unwrap().to_string();
    let mut running = Running::start(folder.path(), &["card", "run", "--image", "a.img", "--vpcd", &addr]);
    assert!(running.error_line().contains("the slot is taken: another card is in the reader"));
    let mut vpcd = Vpcd::with(slot.accept().unwrap().0);
    assert_eq!(vpcd.atr(), ATR);
    assert!(running.error_line().contains("the reader is there"));
    running.signal("TERM");
    assert!(running.end().success());
}

/// Whatever it is: in the background, in a session of its own, deaf to its end. What others run is left alone.
#[test]
fn leaving_with_pcscd_ends_what_runs_in_it_and_nothing_else() {
    if !pcscd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        sleep 300 & echo $! > child
        setsid sleep 300 & echo $! > session
        (trap '' TERM; setsid sleep 300 & echo $! > deaf)
    "#;
    let mut mine = Command::new("sleep").arg("300").spawn().unwrap();
    let mut with_pcscd = Command::new(WITH_PCSCD);
    let status = with_pcscd.args(["bash", "-c", script]).current_dir(folder.path()).status().unwrap();
    assert!(status.success());
    for name in ["child", "session", "deaf"] {
        let pid = std::fs::read_to_string(folder.path().join(name)).unwrap();
        // A process that has ended may wait for its parent to take note.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{name}: {stat}");
    }
    assert!(mine.try_wait().unwrap().is_none());
    mine.kill().unwrap();
    mine.wait().unwrap();
}

/// The name that PC/SC has for it, by the port of the card.
#[test]
fn a_card_names_the_real_reader_that_it_is_in() {
    let Some(_reader) = reader() else { return };
    let folder = tempfile::tempdir().unwrap();
    for image in ["a.img", "b.img"] {
        ok(folder.path(), &["card", "blank", "--image", image]);
    }
    let cards = Running::start(folder.path(), &["card", "run", "--image", "a.img", "--image", "b.img"]);
    let mut said = [cards.error_line(), cards.error_line()];
    said.sort();
    let names = ["Virtual PCD 00 00", "Virtual PCD 00 01"];
    let wanted = [("a.img", names[0]), ("b.img", names[1])];
    assert_eq!(said, wanted.map(|(image, name)| format!("{image}: the card is in reader {name}")));
}

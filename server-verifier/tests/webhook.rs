//! The outbox over HTTP(S): a receiver that is well, slow, silent, broken, talks garbage, or is somebody else.

#![cfg(feature = "webhook")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "test code")]

mod support;

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use onetap_apdu_spec::crypto::Key256;
use onetap_server_verifier::outbox::webhook::{Webhook, secret_text, signature};
use onetap_server_verifier::outbox::*;
use onetap_server_verifier::*;
use support::*;

const SUITE: &str = "b2+sha256+aes-cbc-cmac";
const PATIENCE: Duration = Duration::from_millis(500);

/// One request: headers in lower case, body.
type Seen = (Vec<(String, String)>, Vec<u8>);

/// What the receiver does with a connection once it has read the request.
type Behaviour = Arc<dyn Fn(&mut dyn Write) + Send + Sync>;

/// An HTTP server as small as can be, of this test's own port.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Server {
    fn start(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/onetap", listener.local_addr().unwrap().port());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let behaviour: Arc<Mutex<Behaviour>> = Arc::new(Mutex::new(Arc::new(says("200 OK", "{}"))));
        let (keep, does) = (Arc::clone(&seen), Arc::clone(&behaviour));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (keep, does, tls) = (Arc::clone(&keep), Arc::clone(&does), tls.clone());
                std::thread::spawn(move || {
                    let connection = connection.unwrap();
                    match tls {
                        None => serve(connection, &keep, &does),
                        Some(tls) => {
                            let session = rustls::ServerConnection::new(tls).unwrap();
                            serve(rustls::StreamOwned::new(session, connection), &keep, &does);
                        }
                    }
                });
            }
        });
        Self { url, seen, behaviour }
    }

    fn behaves(&self, how: impl Fn(&mut dyn Write) + Send + Sync + 'static) {
        *self.behaviour.lock().unwrap() = Arc::new(how);
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn says(status: &'static str, body: &'static str) -> impl Fn(&mut dyn Write) + Send + Sync {
    move |out| {
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        out.write_all(head.as_bytes()).and_then(|()| out.write_all(body.as_bytes())).unwrap();
    }
}

/// Reads one request; a peer that gives up first is not kept.
fn serve(connection: impl Read + Write, keep: &Mutex<Vec<Seen>>, behaviour: &Mutex<Behaviour>) {
    let mut reader = BufReader::new(connection);
    let (mut headers, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some((name, value)) = line.trim().split_once(": ") {
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        line.clear();
    }
    let Some(length) = header(&headers, "content-length") else { return };
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    keep.lock().unwrap().push((headers, body));
    let does = Arc::clone(&behaviour.lock().unwrap());
    does(reader.get_mut());
    let _gone = reader.get_mut().flush();
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

fn config(world: &World, url: &str) -> WebhookConfig {
    let mut config = WebhookConfig::new(url, world.verifier.webhook_keys().unwrap());
    config.rules = DeliveryRules { patience: PATIENCE, ..DeliveryRules::default() };
    config
}

/// A world with one message in its outbox: Ada's account is locked.
fn locked() -> World {
    let world = World::new();
    lock(&world);
    world
}

fn lock(world: &World) {
    let tap = world.card(SUITE).tap(world.payment(1));
    for _ in 0..3 {
        world.send(&tap.typed("wrongpass"));
    }
    assert_eq!(world.verifier.backlog().unwrap().waiting, 1);
}

fn deliverer(world: &World, config: &WebhookConfig) -> Deliverer<Webhook> {
    let rules = config.rules.clone();
    Deliverer::new(Arc::clone(&world.verifier), Webhook::new(config).unwrap(), rules)
}

fn assert_signed(seen: &Seen, key: &Key256) {
    let (headers, body) = seen;
    let id = header(headers, "webhook-id").unwrap();
    let at = Timestamp(header(headers, "webhook-timestamp").unwrap().parse().unwrap());
    assert_eq!(header(headers, "webhook-signature").unwrap(), signature(key, id, at, body));
    let message: serde_json::Value = serde_json::from_slice(body).unwrap();
    assert_eq!((message["id"].as_str(), message["topic"].as_str()), (Some(id), Some("account-locked")));
}

#[test]
fn whatever_a_receiver_does_wrong_the_message_comes_again_with_the_same_id() {
    let server = Server::start(None);
    let world = locked();
    let deliverer = deliverer(&world, &config(&world, &server.url));
    type Wrong = fn(&mut dyn Write);
    let wrongs: [Wrong; 6] = [
        |out| says("500 Internal Server Error", "{\"state\":\"settled\"}")(out),
        |out| says("404 Not Found", "")(out),
        |out| says("307 Temporary Redirect", "")(out),
        |out| out.write_all(b"\0\xFF\xFEgarbage, not HTTP\r\n\r\n").unwrap(),
        |_| (),
        |out| {
            // Slower than anybody waits: one byte now and then, until the other side gives up.
            while out.write_all(b"H").and_then(|()| out.flush()).is_ok() {
                std::thread::park_timeout(PATIENCE / 4);
            }
        },
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        server.behaves(wrong);
        let begun = Instant::now();
        assert_eq!(deliverer.round().unwrap(), Round { delivered: 0, failed: 1 }, "{number}");
        assert!(begun.elapsed() < PATIENCE * 6, "{number}: nobody is waited for that long");
        world.clock.advance(3_600);
    }
    server.behaves(says("204 No Content", ""));
    assert_eq!(deliverer.round().unwrap(), Round { delivered: 1, failed: 0 });
    let seen = server.seen();
    assert_eq!(seen.len(), 7);
    for request in &seen {
        assert_signed(request, &world.verifier.webhook_keys().unwrap()[0]);
        assert_eq!(request.1, seen[0].1, "the same to the byte");
    }
    assert_eq!(world.verifier.backlog().unwrap().waiting, 0);
}

#[test]
fn garbage_with_a_good_status_takes_the_message_and_settles_nothing() {
    let server = Server::start(None);
    let world = locked();
    server.behaves(says("200 OK", "\u{1F600} not JSON"));
    let deliverer = deliverer(&world, &config(&world, &server.url));
    assert_eq!(deliverer.round().unwrap(), Round { delivered: 1, failed: 0 });
    world.check_books();
}

#[test]
fn a_thread_of_its_own_delivers_and_stops_when_told() {
    let server = Server::start(None);
    let world = locked();
    let handle = spawn(Arc::clone(&world.verifier), config(&world, &server.url)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while world.verifier.backlog().unwrap().waiting > 0 {
        assert!(Instant::now() < deadline, "not delivered");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    handle.stop();
    assert_eq!(server.seen().len(), 1);
    assert_eq!(Arc::strong_count(&world.verifier), 1, "the thread is gone");
}

/// A certificate for `localhost` of an authority of its own, and that authority as a PEM file.
fn authority(directory: &Path) -> (PathBuf, Arc<rustls::ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = directory.join("ca.pem");
    std::fs::write(&path, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth();
    (path, Arc::new(config.with_single_cert(vec![made.cert.der().clone()], key).unwrap()))
}

#[test]
fn over_tls_only_a_receiver_whom_the_authority_vouches_for_is_told() {
    let (right, wrong) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ca, tls) = authority(right.path());
    let (other_ca, _) = authority(wrong.path());
    let server = Server::start(Some(tls));
    let world = locked();
    for ca in [None, Some(other_ca)] {
        let config = WebhookConfig { ca, ..config(&world, &server.url) };
        assert_eq!(deliverer(&world, &config).round().unwrap(), Round { delivered: 0, failed: 1 });
        world.clock.advance(3_600);
    }
    assert_eq!(server.seen().len(), 0, "nothing was told to a stranger");
    let config = WebhookConfig { ca: Some(ca), ..config(&world, &server.url) };
    assert_eq!(deliverer(&world, &config).round().unwrap(), Round { delivered: 1, failed: 0 });
    assert_signed(&server.seen()[0], &world.verifier.webhook_keys().unwrap()[0]);
}

#[test]
fn an_authority_that_cannot_be_read_is_named() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    for path in [empty, directory.path().join("none.pem")] {
        let config = WebhookConfig { ca: Some(path.clone()), ..config(&world, "https://bank.example") };
        assert!(matches!(Webhook::new(&config), Err(WebhookError::Authority { path: p }) if p == path));
    }
}

const RECEIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/webhook_receiver.py");

/// The receiver of docs/webhook.md, which verifies by the library of Standard Webhooks; it ends when it is dropped.
struct Receiver {
    process: std::process::Child,
    told: std::io::Lines<BufReader<std::process::ChildStdout>>,
    url: String,
}

impl Receiver {
    /// None where no Python with the library is named (`scripts/setup test`).
    fn start(folder: &Path, secrets: &[&str]) -> Option<Self> {
        let Some(python) = std::env::var_os("ONETAP_CONTRACT") else {
            eprintln!("not run: ONETAP_CONTRACT names no Python interpreter with standardwebhooks");
            return None;
        };
        let mut command = std::process::Command::new(python);
        command.arg(RECEIVER).arg("--port=0").arg(format!("--seen={}", folder.join("seen.db").display()));
        command.env("ONETAP_WEBHOOK_SECRETS", secrets.join(" ")).stdout(std::process::Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut told = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = told.next().unwrap().unwrap().strip_prefix("listening at ").unwrap().to_owned();
        Some(Self { process, told, url })
    }
}

/// The library takes what was signed within the last five minutes only.
fn set_to_today(world: &World) {
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    world.clock.advance(i64::try_from(today).unwrap() - world.verifier.now().0);
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn standard_webhooks_own_library_verifies_what_is_sent_and_refuses_another_secret() {
    let (world, folder) = (locked(), tempfile::tempdir().unwrap());
    set_to_today(&world);
    let secret = secret_text(&world.verifier.webhook_keys().unwrap()[0]);
    let other = secret_text(&Key256::new([7; 32]));
    let Some(stranger) = Receiver::start(folder.path(), &[&other]) else { return };
    let send = |receiver: &Receiver| {
        let webhook = Webhook::new(&config(&world, &receiver.url)).unwrap();
        Deliverer::new(Arc::clone(&world.verifier), webhook, DeliveryRules::default()).round().unwrap()
    };
    assert_eq!(send(&stranger), Round { delivered: 0, failed: 1 });
    let mut receiver = Receiver::start(folder.path(), &[&secret]).unwrap();
    world.clock.advance(10);
    assert_eq!(send(&receiver), Round { delivered: 1, failed: 0 });
    assert!(receiver.told.next().unwrap().unwrap().contains("account-locked"));
}

#[test]
fn the_secret_rotates_and_both_sign_while_one_follows_the_other() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let rotate = || world.verifier.desk(Act::of_program("test", "yearly")).rotate_webhook_key(60).unwrap();
    let [first, second] = [rotate(), rotate()];
    assert_ne!(first.expose(), second.expose());
    let keys = || -> Vec<[u8; 32]> {
        world.verifier.webhook_keys().unwrap().iter().map(|key| *key.expose()).collect()
    };
    assert_eq!(keys(), [*second.expose(), *first.expose()]);
    world.clock.advance(60);
    assert_eq!(keys(), [*second.expose()]);
    world.check_books();
    set_to_today(&world);
    let both = vec![second.clone(), first.clone()];
    for secret in [&first, &second] {
        let Some(receiver) = Receiver::start(folder.path(), &[&secret_text(secret)]) else { return };
        let webhook = Webhook::new(&WebhookConfig::new(&receiver.url, both.clone())).unwrap();
        webhook.test(&world.verifier).unwrap();
        let webhook = Webhook::new(&WebhookConfig::new(&receiver.url, vec![Key256::new([7; 32])])).unwrap();
        assert!(webhook.test(&world.verifier).is_err());
    }
}

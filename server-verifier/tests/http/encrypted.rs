//! TLS, clients' certificates, and what the log does not say.

use std::fs;
use std::io::{self, Read as _, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use onetap_server_verifier::Timestamp;
use onetap_server_verifier::domain::client::Role;
use onetap_server_verifier::http::{Config, ServeError, Server, TlsError, TlsFiles, certificate_fingerprint};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::scene::{SYMMETRIC, Scene, add_with, authorisation, token};
use crate::support::World;
use crate::wire::{Answer, Conn, Request, tcp};

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A certification authority, a server's certificate, and clients' certificates.
struct Pki {
    folder: TempDir,
    issuer: Issuer,
}

fn issuer() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Pki {
    fn new() -> Self {
        let pki = Self { folder: tempfile::tempdir().unwrap(), issuer: issuer() };
        fs::write(pki.path("ca.pem"), pki.issuer.pem()).unwrap();
        pki.issue(&pki.issuer, "server");
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn issue(&self, issuer: &Issuer, name: &str) {
        self.issue_until(issuer, name, rcgen::date_time_ymd(4096, 1, 1));
    }

    fn issue_until(&self, issuer: &Issuer, name: &str, end: time::OffsetDateTime) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = end;
        fs::write(self.path(&format!("{name}.pem")), params.signed_by(&key, issuer).unwrap().pem()).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn files(&self, require_client_certificate: bool) -> TlsFiles {
        TlsFiles {
            certificates: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: Some(self.path("ca.pem")),
            require_client_certificate,
        }
    }

    fn fingerprint(&self, name: &str) -> [u8; 32] {
        let crypto = onetap_apdu_spec::crypto::default_provider();
        certificate_fingerprint(crypto, &self.path(&format!("{name}.pem"))).unwrap()
    }

    /// A client's configuration, with the certificate of that name if one is given.
    fn client(&self, name: Option<&str>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(pem(&self.path("ca.pem"))).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let builder = builder.with_root_certificates(roots);
        let Some(name) = name else { return builder.with_no_client_auth() };
        let chain = vec![pem(&self.path(&format!("{name}.pem")))];
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
        builder.with_client_auth_cert(chain, key).unwrap()
    }

    /// None if the server ends the connection without an answer.
    fn ask(&self, addr: SocketAddr, name: Option<&str>, request: &Request) -> Option<Answer> {
        let client = ClientConnection::new(Arc::new(self.client(name)), "localhost".try_into().unwrap());
        let mut stream = StreamOwned::new(client.unwrap(), tcp(addr));
        stream.write_all(&request.bytes()).ok()?;
        Conn::over(stream).receive()
    }
}

/// How often certificates are read again under load: few times in `make test`, a thousand in `make soak`.
fn reloads() -> usize {
    std::env::var("ONETAP_RELOADS").map_or(40, |count| count.parse().unwrap())
}

/// Every request is answered, over connections that stay and over new ones, while the certificates are read again and again. In
/// the end new connections are shown the new certificate.
#[test]
fn certificates_are_read_again_under_load_and_no_request_is_cut_off() {
    let pki = Pki::new();
    let scene = Scene::with(|config| config.tls = Some(TlsFiles { client_ca: None, ..pki.files(false) }));
    let over = AtomicBool::new(false);
    let client = Arc::new(pki.client(None));
    let connect = || {
        let client = ClientConnection::new(Arc::clone(&client), "localhost".try_into().unwrap()).unwrap();
        StreamOwned::new(client, tcp(scene.addr))
    };
    let tls = Some(TlsFiles { client_ca: None, ..pki.files(false) });
    let config = Config { tls, client_rate: None, card_rate: None, ..Config::default() };
    let server = scene.server.as_ref().unwrap();
    let answered: usize = thread::scope(|scope| {
        let ask = |requests: usize| {
            let mut conn = Conn::over(connect());
            let request = accounts().token(&token("op").0);
            (0..requests).for_each(|_| assert_eq!(conn.exchange(&request).status, 200));
            requests
        };
        let load = |requests| {
            let over = &over;
            move || {
                let mut answered = 0;
                while !over.load(Ordering::SeqCst) {
                    answered += ask(requests);
                }
                answered
            }
        };
        let clients = [scope.spawn(load(1)), scope.spawn(load(50))];
        for _ in 0..reloads() {
            pki.issue(&pki.issuer, "server");
            server.reload(&config).unwrap();
        }
        over.store(true, Ordering::SeqCst);
        clients.map(|client| client.join().unwrap()).iter().sum()
    });
    println!("reloads: count={} answered={answered}", reloads());
    assert!(answered > 0);
    let mut last = connect();
    last.write_all(&Request::new("GET", "/healthz").bytes()).unwrap();
    assert_eq!(Conn::over(&mut last).receive().unwrap().status, 200);
    assert_eq!(last.conn.peer_certificates().unwrap()[0], pem(&pki.path("server.pem")));
}

#[test]
fn certificates_that_cannot_be_used_are_not_taken_and_the_old_ones_stay() {
    let pki = Pki::new();
    let files = TlsFiles { client_ca: None, ..pki.files(false) };
    let scene = Scene::with(|config| config.tls = Some(files.clone()));
    let server = scene.server.as_ref().unwrap();
    let config = Config { tls: Some(files), ..Config::default() };
    let day = time::Duration::DAY;
    let spoil: [(&str, &dyn Fn()); 3] = [
        ("expired", &|| {
            pki.issue_until(&pki.issuer, "server", moment(scene.world.verifier.now()) - day);
        }),
        ("private key", &|| fs::write(pki.path("server.key"), "nothing").unwrap()),
        ("certificate", &|| fs::remove_file(pki.path("server.pem")).unwrap()),
    ];
    for (says, spoil) in spoil {
        pki.issue(&pki.issuer, "server");
        spoil();
        let error = server.reload(&config).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        let health = Request::new("GET", "/healthz");
        assert_eq!(pki.ask(scene.addr, None, &health).unwrap().status, 200, "{says}");
    }
    let error = server.reload(&Config::default()).unwrap_err().to_string();
    assert!(error.contains("start it again"), "{error}");
}

fn moment(at: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.0).unwrap()
}

/// A client's clock that agrees with the bank's.
#[derive(Debug)]
struct BankTime(time::OffsetDateTime);

impl rustls::time_provider::TimeProvider for BankTime {
    fn current_time(&self) -> Option<UnixTime> {
        let since_1970 = u64::try_from(self.0.unix_timestamp()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(since_1970)))
    }
}

#[test]
fn a_service_whose_certificate_has_expired_does_not_start_and_one_that_ends_soon_is_told() {
    let pki = Pki::new();
    let files = TlsFiles { client_ca: None, ..pki.files(false) };
    let now = moment(World::new().verifier.now());
    pki.issue_until(&pki.issuer, "server", now - time::Duration::SECOND);
    let world = World::new();
    let config = Config { tls: Some(files.clone()), ..Config::default() };
    let started = Server::start(Arc::clone(&world.verifier), config);
    assert!(matches!(started, Err(ServeError::Tls(TlsError::Expired { .. }))), "{started:?}");
    let end = now + time::Duration::days(29);
    pki.issue_until(&pki.issuer, "server", end);
    let scene = Scene::with(|config| config.tls = Some(files));
    let mut client = pki.client(None);
    client.time_provider = Arc::new(BankTime(now));
    let client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
    let mut conn = Conn::over(StreamOwned::new(client, tcp(scene.addr)));
    let metrics = conn.exchange(&Request::new("GET", "/metrics").token(&token("aud").0)).text();
    let told = format!("onetap_certificate_expiry_timestamp_seconds {}", end.unix_timestamp());
    assert!(metrics.contains(&told), "{metrics}");
}

fn pem(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

fn accounts() -> Request {
    Request::new("GET", "/v1/accounts")
}

#[test]
fn a_payment_over_tls_with_a_token() {
    let pki = Pki::new();
    let scene = Scene::with(|config| config.tls = Some(TlsFiles { client_ca: None, ..pki.files(false) }));
    let tap = scene.card(SYMMETRIC).tap(scene.world.payment(3_00));
    let answer = pki.ask(scene.addr, None, &authorisation("tls", &tap.request)).unwrap();
    assert_eq!(answer.json()["outcome"], "executed");

    let mut plain = scene.conn();
    plain.send(&Request::new("GET", "/healthz").bytes());
    assert!(plain.receive().is_none_or(|answer| answer.status != 200), "no HTTP beside TLS");
}

/// A TLS 1.2 client's hello (RFC 5246 §7.4.1.2), with suites that AWS-LC has and without `supported_versions` (RFC 8446 §4.2.1).
/// The answer is the alert `protocol_version` (RFC 8446 §6.2): fatal 2, description 70.
#[test]
fn a_client_that_knows_no_tls_1_3_is_refused() {
    let pki = Pki::new();
    let scene = Scene::with(|config| config.tls = Some(TlsFiles { client_ca: None, ..pki.files(false) }));
    let extensions: &[u8] = &[
        0x00, 0x0A, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17, // supported_groups: secp256r1
        0x00, 0x0B, 0x00, 0x02, 0x01, 0x00, // ec_point_formats: uncompressed
        0x00, 0x0D, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03, // signature_algorithms: ecdsa_secp256r1_sha256
    ];
    let random = [7; 32];
    let suites: &[u8] = &[0x00, 0x02, 0xC0, 0x2B]; // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    let body = [&[0x03, 0x03], &random[..], &[0], suites, &[1, 0], &[0, extensions.len() as u8], extensions]
        .concat();
    let hello = [&[0x01, 0x00, 0x00, body.len() as u8], &body[..]].concat();
    let record = [&[0x16, 0x03, 0x01, 0x00, hello.len() as u8], &hello[..]].concat();
    let mut stream = tcp(scene.addr);
    stream.write_all(&record).unwrap();
    let mut alert = Vec::new();
    stream.read_to_end(&mut alert).unwrap();
    assert_eq!(alert, [0x15, 0x03, 0x03, 0x00, 0x02, 2, 70]);
}

#[test]
fn a_certificate_is_the_client_that_it_was_registered_for() {
    let pki = Pki::new();
    let scene = Scene::with(|config| config.tls = Some(pki.files(false)));
    for name in ["operator", "unregistered", "with-token"] {
        pki.issue(&pki.issuer, name);
    }
    let verifier = &scene.world.verifier;
    add_with(verifier, "cert-op", Role::Operator, None, Some(pki.fingerprint("operator")));
    let (secret, certificate) = (token("careful").1, pki.fingerprint("with-token"));
    add_with(verifier, "careful", Role::Operator, Some(secret), Some(certificate));
    let status = |name, request: &Request| pki.ask(scene.addr, name, request).map(|answer| answer.status);

    assert_eq!(status(Some("operator"), &accounts()), Some(200));
    assert_eq!(status(None, &accounts()), Some(401));
    assert_eq!(status(Some("unregistered"), &accounts()), Some(401));
    assert_eq!(
        status(None, &accounts().token(&token("op").0)),
        Some(200),
        "a token alone, where it is enough"
    );
    let careful = accounts().token(&token("careful").0);
    assert_eq!(status(Some("with-token"), &careful), Some(200), "both");
    assert_eq!(status(Some("with-token"), &accounts()), Some(401), "certificate without token");
    assert_eq!(status(None, &careful), Some(401), "token without certificate");
    assert_eq!(status(Some("operator"), &careful), Some(401), "token with another's certificate");

    let stranger = issuer();
    pki.issue(&stranger, "stranger");
    assert_eq!(status(Some("stranger"), &accounts()), None, "another CA's certificate gets no answer at all");
}

#[test]
fn a_certificate_can_be_required_of_everybody() {
    let pki = Pki::new();
    let scene = Scene::with(|config| config.tls = Some(pki.files(true)));
    pki.issue(&pki.issuer, "any");
    assert_eq!(pki.ask(scene.addr, None, &Request::new("GET", "/healthz")), None);
    let known = pki.ask(scene.addr, Some("any"), &Request::new("GET", "/healthz"));
    assert_eq!(known.map(|answer| answer.status), Some(200));
    let metrics = pki.ask(scene.addr, Some("any"), &Request::new("GET", "/metrics").token(&token("aud").0));
    assert!(metrics.unwrap().text().contains("onetap_tls_failures_total 1\n"));
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let pki = Pki::new();
    pki.issue(&pki.issuer, "other");
    fs::write(pki.path("empty.pem"), "").unwrap();
    let start = |change: &dyn Fn(&mut TlsFiles)| {
        let mut files = pki.files(false);
        change(&mut files);
        let config = Config { tls: Some(files), ..Config::default() };
        let verifier = Arc::clone(&crate::support::World::new().verifier);
        match onetap_server_verifier::http::Server::start(verifier, config) {
            Err(onetap_server_verifier::http::ServeError::Tls(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let missing = start(&|files| files.certificates = pki.path("none.pem"));
    assert!(missing.to_string().contains("none.pem"), "{missing}");
    let empty = start(&|files| files.client_ca = Some(pki.path("empty.pem")));
    assert!(empty.to_string().contains("empty.pem"), "{empty}");
    assert!(matches!(start(&|files| files.key = pki.path("other.key")), TlsError::Rustls(_)));
}

/// What is logged, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_holds_no_secrets_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    // For the whole test program: the service logs in threads of its own.
    tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let scene = Scene::new();
    let mut card = scene.card(SYMMETRIC);
    let tap = card.tap(scene.world.payment(1_00));
    scene.authorise(&tap.typed("WRONG234"));
    assert_eq!(scene.authorise(&tap.request).json()["outcome"], "executed");
    // E beside S: a terminal could have put it together of two contacts.
    let mut crossed = scene.card("b1+rsa-oaep").tap(scene.world.payment(1_00)).request;
    crossed.password_object.as_mut().unwrap().bytes[3] ^= 1;
    assert_eq!(scene.authorise(&crossed).json()["outcome"], "refused");
    let mut broken = authorisation("k", &tap.typed("BROKEN99"));
    broken.body.truncate(broken.body.len() - 2);
    assert_eq!(scene.ask(&broken).status, 400);
    let added = scene
        .post(
            "adm",
            "/v1/clients",
            &serde_json::json!({"client": "new", "role": "auditor", "reason": "an audit"}),
        )
        .json();
    let new = added["token"].as_str().unwrap();
    let order =
        scene.post("op", "/v1/cards", &serde_json::json!({"account": scene.world.ada.as_str()})).json();

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for known in ["client added", "card ordered", "answered", "does not open"] {
        assert!(logged.contains(known), "{known} is logged");
    }
    let alarm = logged.lines().find(|line| line.contains("does not open")).unwrap();
    for told in [scene.world.ada.as_str(), "TERM0001", r#""WARN""#] {
        assert!(alarm.contains(told), "{told}: {alarm}");
    }
    assert!(scene.get("op", "/metrics").text().contains("onetap_alarms_total 1\n"));
    let secrets = [
        tap.password.expose(),
        crossed.verification_password.expose(),
        "WRONG234",
        "BROKEN99",
        order["card_key"].as_str().unwrap(),
    ];
    let tokens =
        [new, &token("pos").0, &token("adm").0].map(|token| token.split('.').nth(1).unwrap().to_owned());
    for secret in secrets.into_iter().chain(tokens.iter().map(String::as_str)) {
        assert!(!secret.is_empty() && !logged.contains(secret), "a secret is logged");
    }
}

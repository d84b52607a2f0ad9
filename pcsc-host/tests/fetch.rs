//! A transaction from a URL (P-02), from servers that behave and from servers that do not, on this machine.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use onetap_pcsc_host::Draft;
use onetap_pcsc_host::http::Roots;
use onetap_pcsc_host::source::{FetchError, Fetcher, JsonError, SourceError};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

const JSON: &str = r#"{"payee-account":"DE89370400440532013000","payee-name":"Coffee Shop",
    "amount":"12.34","currency":"EUR","reference":"Order 17"}"#;

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// Answers one request; how, says `answer`.
fn server(answer: impl FnOnce(&mut dyn Connection) -> io::Result<()> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        // The client may have gone by then.
        let _ = answer(&mut stream);
    });
    address
}

fn read_request(stream: &mut dyn Read) {
    let mut lines = BufReader::new(stream).lines();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn text(answer: impl Into<String>) -> SocketAddr {
    let answer = answer.into();
    server(move |stream| stream.write_all(answer.as_bytes()))
}

fn fetch(address: SocketAddr) -> Result<Draft, SourceError> {
    let fetcher = Fetcher::new(Roots::System).within(Duration::from_secs(1));
    fetcher.fetch(&format!("http://{address}/order/17"))
}

fn refused(address: SocketAddr) -> FetchError {
    match fetch(address) {
        Err(SourceError::Fetch(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn p_02_a_transaction_is_fetched() {
    assert_eq!(fetch(text(ok(JSON))).unwrap().amount.to_string(), "12.34 EUR");
    let framed = format!("\u{FEFF}{JSON}\r\n\r\n");
    assert_eq!(fetch(text(ok(&framed))).unwrap().payee_name.as_str(), "Coffee Shop");
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let fetcher = Fetcher::new(Roots::System).within(Duration::from_millis(1));
    let refused = |url: &str| match fetcher.fetch(url) {
        Err(SourceError::Fetch(error)) => error,
        other => panic!("{url}: {other:?}"),
    };
    for url in [
        "http://shop.example/17",
        "http://192.0.2.1/",
        "http://127.0.0.1.example/",
        "http://localhost@shop.example/",
    ] {
        assert_eq!(refused(url), FetchError::Plain, "{url}");
    }
    for url in
        ["", "/17", "ftp://shop.example/", "file:///etc/passwd", "shop.example", "https://", "https:///17"]
    {
        assert_eq!(refused(url), FetchError::Url, "{url}");
    }
}

#[test]
fn a_server_that_hangs_or_drips_costs_no_more_than_the_deadline() {
    let hangs: fn(&mut dyn Connection) -> io::Result<()> = |stream| stream.read(&mut [0]).map(drop);
    let drips: fn(&mut dyn Connection) -> io::Result<()> = |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")?;
        loop {
            stream.write_all(b" ")?;
            thread::sleep(Duration::from_millis(20));
        }
    };
    for answer in [hangs, drips] {
        let start = Instant::now();
        let error = refused(server(answer));
        assert!(matches!(error, FetchError::TooSlow { .. }), "{error:?}");
        assert!(start.elapsed() < Duration::from_millis(1_100), "{:?}", start.elapsed());
    }
}

#[test]
fn a_server_that_answers_ten_gigabytes_is_left_after_64_kib() {
    let endless = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")?;
        let chunk = [b' '; 1 << 16];
        for _ in 0..10_000_000_000_u64 / (1 << 16) {
            stream.write_all(&chunk)?;
        }
        Ok(())
    });
    assert!(matches!(fetch(endless), Err(SourceError::Json(JsonError::TooLong))));
}

#[test]
fn half_an_answer_another_status_and_other_json_are_told_apart() {
    let half = ok(JSON);
    let half = half[..half.len() - 10].to_owned();
    assert!(matches!(refused(text(half)), FetchError::Broken { .. }));
    assert!(matches!(refused(text("")), FetchError::Broken { .. }));
    let gone = text("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(refused(gone), FetchError::Status { status: 404, .. }));
    let to = "HTTP/1.1 302 Found\r\nLocation: https://evil.example/\u{9b}2J\r\nContent-Length: 0\r\n\r\n";
    let error = refused(text(to));
    assert!(
        matches!(&error, FetchError::Redirected { to, .. } if to.starts_with("https://evil.example/")),
        "{error:?}"
    );
    assert!(!error.to_string().contains(char::is_control), "{error}");
    for other in ["[]", "<html>", "{}"] {
        assert!(matches!(fetch(text(ok(other))), Err(SourceError::Json(_))), "{other}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(refused(closed), FetchError::Broken { .. }));
}

#[test]
fn https_takes_the_named_authority_and_no_other() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.into()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/order/17", listener.local_addr().unwrap().port());
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, stream.unwrap());
            read_request(&mut tls);
            let _ = tls.write_all(ok(JSON).as_bytes());
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    });
    let trusting = Fetcher::new(Roots::from_pem(pem.as_bytes()).unwrap());
    assert_eq!(trusting.fetch(&url).unwrap().payee_name.as_str(), "Coffee Shop");
    let strange = Fetcher::new(Roots::System).fetch(&url).unwrap_err();
    assert!(matches!(strange, SourceError::Fetch(FetchError::Broken { .. })), "{strange}");
}

//! A proxy from the environment. A process has one environment, so each case is a process of its own.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use onetap_pcsc_host::http::{HttpService, Roots};

use crate::fake::{Fake, Pki};
use crate::{ask, config, executed, soon};

const URL: &str = "ONETAP_TEST_URL";
const AUTHORITY: &str = "ONETAP_TEST_CA";

/// Not a test of its own: the process that has a proxy. It says how its payment ended.
#[test]
fn the_child_behind_a_proxy() {
    let Ok(url) = std::env::var(URL) else { return };
    let mut config = config(&url);
    config.proxy_from_environment = true;
    config.roots = Roots::from_pem(std::env::var(AUTHORITY).unwrap().as_bytes()).unwrap();
    let told = match ask(&HttpService::new(config).unwrap(), &soon()) {
        Ok(_) => "executed".to_owned(),
        Err(error) => format!("arrived={} {error:?}", error.may_have_arrived()),
    };
    std::fs::write(std::env::var("ONETAP_TEST_TOLD").unwrap(), told).unwrap();
}

/// How a payment ends at `server` with this environment.
fn behind(environment: &[(&str, &str)], pki: &Pki, server: &Fake) -> String {
    let told = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "proxies::the_child_behind_a_proxy"]);
    for name in [
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "NO_PROXY",
        "no_proxy",
    ] {
        child.env_remove(name);
    }
    child.env(URL, server.url()).env(AUTHORITY, pki.pem()).env("ONETAP_TEST_TOLD", told.path());
    assert!(child.envs(environment.iter().copied()).output().unwrap().status.success());
    std::fs::read_to_string(told.path()).unwrap()
}

fn bank(pki: &Pki) -> Fake {
    Fake::tls(pki.server(&pki.issue("localhost", |_| ()), false), |peer| {
        while peer.request().is_some() {
            peer.send(&executed());
        }
    })
}

/// A proxy that joins the two sides, and cuts after so many bytes to the server.
fn tunnel(cut: u64) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let head = head(&mut client);
            let port: u16 = head.split([':', ' ']).nth(2).unwrap().parse().unwrap();
            let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            io::Write::write_all(&mut client, b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut answers, &mut back));
            let _ = io::copy(&mut io::Read::take(&mut client, cut), &mut server);
            let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        }
    });
    format!("http://{address}")
}

fn head(client: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        io::Read::read_exact(client, &mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn a_proxy_of_the_environment_is_used_and_sees_no_byte_of_the_request() {
    let pki = Pki::new();
    let server = bank(&pki);
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        assert_eq!(behind(&[(name, &tunnel(u64::MAX))], &pki, &server), "executed", "{name}");
    }
    let dead = "http://127.0.0.1:1";
    let exempt = [("HTTPS_PROXY", dead), ("NO_PROXY", "localhost")];
    assert_eq!(behind(&exempt, &pki, &server), "executed", "NO_PROXY is followed");
    assert_eq!(server.seen().requests.len(), 4);
}

#[test]
fn a_proxy_that_is_gone_refuses_or_hangs_up_lets_nothing_through() {
    let pki = Pki::new();
    let server = bank(&pki);
    let refusing = Fake::plain(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    });
    for proxy in ["http://127.0.0.1:1".to_owned(), refusing.url(), tunnel(0)] {
        let told = behind(&[("HTTPS_PROXY", &proxy)], &pki, &server);
        assert!(told.starts_with("arrived=false Unreachable"), "{proxy}: {told}");
        assert!(!server.was_asked(), "{proxy}");
    }
    assert!(
        !refusing.seen().requests[0].to_ascii_lowercase().contains("authorization"),
        "the token is not for the proxy"
    );
}

#[test]
fn a_proxy_that_cuts_leaves_it_open_whether_the_request_arrived() {
    let pki = Pki::new();
    let server = bank(&pki);
    // The first flight of TLS passes, the request does in part or as a whole: the server may have it.
    for cut in [1_000, 1_500, 2_500, 4_000] {
        let before = server.seen().bytes.len();
        let told = behind(&[("HTTPS_PROXY", &tunnel(cut))], &pki, &server);
        let arrived = server.seen().bytes.len() > before;
        assert!(told == "executed" || !arrived || told.starts_with("arrived=true"), "{cut}: {told}");
    }
}

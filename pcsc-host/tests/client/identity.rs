//! Who the server is, and who the terminal is to it.

use onetap_pcsc_host::ServiceError;
use onetap_pcsc_host::http::{BadUrl, Credentials, CredentialsError, HttpConfig, HttpService, Roots};

use crate::fake::{Fake, Pair, Pki};
use crate::{TOKEN, ask, config, executed, soon};

fn encrypted(pki: &Pki, pair: &Pair, demanding: bool) -> Fake {
    Fake::tls(pki.server(pair, demanding), |peer| {
        while peer.request().is_some() {
            peer.send(&executed());
        }
    })
}

fn trusting(server: &Fake, pki: &Pki, credentials: Credentials) -> HttpService {
    let mut config = HttpConfig { credentials, ..config(&server.url()) };
    config.roots = Roots::from_pem(pki.pem().as_bytes()).unwrap();
    HttpService::new(config).unwrap()
}

fn token() -> Credentials {
    Credentials::token(TOKEN).unwrap()
}

#[test]
fn a_server_with_a_certificate_of_the_given_authority_is_asked() {
    let pki = Pki::new();
    let server = encrypted(&pki, &pki.issue("localhost", |_| ()), false);
    let service = trusting(&server, &pki, token());
    for _ in 0..3 {
        ask(&service, &soon()).unwrap();
    }
    let seen = server.seen();
    assert_eq!((seen.connections, seen.requests.len()), (1, 3), "one connection, kept");
}

#[test]
fn nothing_is_sent_to_a_server_that_cannot_prove_who_it_is() {
    let pki = Pki::new();
    let other = Pki::new();
    let expired = pki.issue("localhost", |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    let early = pki.issue("localhost", |params| params.not_before = rcgen::date_time_ymd(2100, 1, 1));
    for (name, server) in [
        ("another authority", encrypted(&other, &other.issue("localhost", |_| ()), false)),
        ("another name", encrypted(&pki, &pki.issue("bank.example", |_| ()), false)),
        ("expired", encrypted(&pki, &expired, false)),
        ("not yet valid", encrypted(&pki, &early, false)),
    ] {
        let error = ask(&trusting(&server, &pki, token()), &soon()).unwrap_err();
        assert!(matches!(error, ServiceError::Untrusted(_)), "{name}: {error:?}");
        assert!(!error.may_have_arrived() && !error.is_transient(), "{name}");
        assert!(!server.was_asked(), "{name}");
        assert_eq!(server.seen().connections, 1, "{name}");
    }
}

#[test]
fn the_systems_authorities_do_not_vouch_for_a_private_one() {
    let pki = Pki::new();
    let server = encrypted(&pki, &pki.issue("localhost", |_| ()), false);
    let service = HttpService::new(config(&server.url())).unwrap();
    let error = ask(&service, &soon()).unwrap_err();
    assert!(matches!(error, ServiceError::Untrusted(_) | ServiceError::Unreachable(_)), "{error:?}");
    assert!(!server.was_asked());
}

#[test]
fn a_terminal_proves_itself_by_certificate() {
    let pki = Pki::new();
    let server = encrypted(&pki, &pki.issue("localhost", |_| ()), true);
    let terminal = pki.issue("till-1", |_| ());
    let identity = Credentials::certificate(terminal.chain.as_bytes(), terminal.key.as_bytes()).unwrap();
    ask(&trusting(&server, &pki, identity), &soon()).unwrap();
    assert!(
        !server.seen().requests[0].to_ascii_lowercase().contains("authorization"),
        "without a token none is sent"
    );

    let before = server.seen().requests.len();
    let error = ask(&trusting(&server, &pki, token()), &soon()).unwrap_err();
    assert!(matches!(error, ServiceError::Lost(_)), "the server ends the connection: {error:?}");
    assert_eq!(server.seen().requests.len(), before);
}

#[test]
fn token_and_certificate_go_together() {
    let pki = Pki::new();
    let server = encrypted(&pki, &pki.issue("localhost", |_| ()), true);
    let terminal = pki.issue("till-1", |_| ());
    let identity = Credentials::certificate(terminal.chain.as_bytes(), terminal.key.as_bytes()).unwrap();
    ask(&trusting(&server, &pki, identity.and(token())), &soon()).unwrap();
    assert!(server.seen().requests[0].contains(TOKEN));
}

#[test]
fn credentials_that_are_none_are_told_from_each_other() {
    assert_eq!(Credentials::token("two words").err(), Some(CredentialsError::Token));
    assert_eq!(Credentials::token("a\r\nx-more: b").err(), Some(CredentialsError::Token));
    assert_eq!(Credentials::token("").err(), Some(CredentialsError::Token));
    assert!(Credentials::token("\u{feff}till-1.abc\r\n\n").is_ok(), "as an editor on Windows leaves it");
    let pair = Pki::new().issue("till-1", |_| ());
    let (chain, key) = (pair.chain.as_bytes(), pair.key.as_bytes());
    assert_eq!(Credentials::certificate(key, key).err(), Some(CredentialsError::NoCertificate));
    assert_eq!(Credentials::certificate(chain, chain).err(), Some(CredentialsError::NoKey));
    assert_eq!(Roots::from_pem(b"").err(), Some(CredentialsError::NoCertificate));
}

#[test]
fn a_url_names_a_server_and_no_more_and_plain_http_stays_on_this_machine() {
    for (url, bad) in [
        ("http://bank.example", BadUrl::Plain),
        ("http://127.0.0.1.bank.example", BadUrl::Plain),
        ("http://localhost.bank.example", BadUrl::Plain),
        ("ftp://bank.example", BadUrl::Form),
        ("bank.example", BadUrl::Form),
        ("https://", BadUrl::Form),
        ("https://bank.example/v1", BadUrl::Form),
        ("https://bank.example?x=1", BadUrl::Form),
        ("https://till:secret@bank.example", BadUrl::Form),
        ("", BadUrl::Form),
    ] {
        assert_eq!(HttpService::new(config(url)).err(), Some(bad), "{url}");
    }
    for url in [
        "https://bank.example",
        "https://bank.example:8443/",
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "http://localhost:1",
    ] {
        assert!(HttpService::new(config(url)).is_ok(), "{url}");
    }
}

//! What a server may send instead of an answer.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use onetap_apdu_spec::service::{Answer, ProblemKind};
use onetap_pcsc_host::{Cancel, Deadline, ServiceError, Stopped};

use crate::fake::{Fake, answer, json, problem};
use crate::{ask, config, ends_in_time, executed, service, soon};

/// A server that answers each request with these bytes and ends the connection.
fn answering(bytes: Vec<u8>) -> Fake {
    Fake::plain(move |peer| {
        if peer.request().is_some() {
            peer.send(&bytes);
        }
    })
}

fn error(bytes: Vec<u8>) -> ServiceError {
    ask(&service(&answering(bytes).url()), &soon()).unwrap_err()
}

#[test]
fn a_server_that_hangs_is_left_by_the_deadline_and_may_have_decided() {
    let server = Fake::plain(|peer| {
        peer.request();
        peer.hang();
    });
    let (service, limit) = (service(&server.url()), Duration::from_millis(200));
    for cancel in [None, Some(Cancel::new())] {
        let deadline = || match &cancel {
            Some(cancel) => Deadline::after(limit).cancelled_by(cancel),
            None => Deadline::after(limit),
        };
        let ended = ends_in_time(limit, || {
            let error = ask(&service, &deadline()).unwrap_err();
            assert!(error.may_have_arrived(), "{error}");
        });
        assert!(ended, "within the deadline and 100 ms");
    }
    assert!(server.was_asked());
}

#[test]
fn a_cancellation_from_another_thread_ends_a_request_at_once() {
    let (asked, was_asked) = mpsc::channel();
    let server = Fake::plain(move |peer| {
        if peer.request().is_some() {
            let _ = asked.send(());
        }
        peer.hang();
    });
    let service = service(&server.url());
    let cancel = Cancel::new();
    let deadline = soon().cancelled_by(&cancel);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&service, &deadline));
        was_asked.recv().unwrap();
        let start = Instant::now();
        cancel.cancel();
        let error = asking.join().unwrap().unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(5), "long before the server is given up");
        assert!(
            matches!(error, ServiceError::Stopped(Stopped::Cancelled)) && error.may_have_arrived(),
            "{error}"
        );
    });
}

#[test]
fn a_server_that_accepts_and_says_nothing_of_tls_ends_with_the_time_to_connect() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut config = config(&format!("https://localhost:{}", silent.local_addr().unwrap().port()));
    config.connect = Duration::from_millis(200);
    let service = onetap_pcsc_host::http::HttpService::new(config).unwrap();
    let ended = ends_in_time(Duration::from_millis(200), || {
        let error = ask(&service, &soon()).unwrap_err();
        assert!(matches!(error, ServiceError::Unreachable(_)) && !error.may_have_arrived(), "{error:?}");
    });
    assert!(ended);
}

#[test]
fn ten_gigabytes_are_not_read() {
    for head in ["content-length: 10000000000\r\n", "transfer-encoding: chunked\r\n"] {
        let written = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&written);
        let server = Fake::plain(move |peer| {
            peer.request();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}\r\n");
            let chunk = if head.contains("chunked") {
                format!("10000\r\n{}\r\n", " ".repeat(0x10000))
            } else {
                " ".repeat(0x10000)
            };
            let mut more = peer.send(head.as_bytes());
            while more {
                more = peer.send(chunk.as_bytes());
                counted.fetch_add(chunk.len(), Ordering::SeqCst);
            }
        });
        let error = ask(&service(&server.url()), &soon()).unwrap_err();
        assert!(matches!(error, ServiceError::NotTheService(_)) && error.may_have_arrived(), "{error:?}");
        assert!(written.load(Ordering::SeqCst) < 50_000_000, "no more than what sockets hold");
    }
}

#[test]
fn a_head_without_end_is_not_read_for_ever() {
    let server = Fake::plain(|peer| {
        peer.request();
        let mut more = peer.send(b"HTTP/1.1 200 OK\r\n");
        while more {
            more = peer.send(&b"x-more: more\r\n".repeat(1_000));
        }
    });
    let error = ask(&service(&server.url()), &soon()).unwrap_err();
    assert!(error.may_have_arrived(), "{error:?}");
}

#[test]
fn an_answer_cut_at_any_byte_is_no_answer() {
    let whole = executed();
    let cut = Arc::new(Mutex::new(0));
    let (told, bytes) = (Arc::clone(&cut), whole.clone());
    let server = Fake::plain(move |peer| {
        if peer.request().is_some() {
            peer.send(&bytes[..*told.lock().unwrap()]);
        }
    });
    let service = service(&server.url());
    for length in 0..whole.len() {
        *cut.lock().unwrap() = length;
        let error = ask(&service, &soon()).unwrap_err();
        assert!(matches!(error, ServiceError::Lost(_)) && error.may_have_arrived(), "{length}: {error:?}");
    }
    *cut.lock().unwrap() = whole.len();
    assert!(matches!(ask(&service, &soon()), Ok(Answer::Executed { .. })));
    assert_eq!(server.seen().requests.len(), whole.len() + 1, "each was asked once");
}

#[test]
fn what_is_no_answer_of_the_service_decides_nothing() {
    let html = "<html>Bad Gateway</html>";
    for (name, bytes) in [
        ("other JSON", json(200, "[1, 2]")),
        ("an outcome without receipt", json(200, r#"{"outcome": "executed"}"#)),
        ("an unknown outcome", json(200, r#"{"outcome": "perhaps"}"#)),
        ("nothing", json(200, "")),
        ("two answers", json(200, r#"{"outcome": "refused"}{"outcome": "refused"}"#)),
        ("a page", answer(200, "content-type: text/html\r\n", html)),
        ("no media type", answer(200, "", r#"{"outcome": "refused"}"#)),
        ("a refusal with another status", json(201, r#"{"outcome": "refused"}"#)),
        ("a proxy's 502", answer(502, "content-type: text/html\r\n", html)),
        ("a proxy's 404", answer(404, "content-type: text/html\r\n", html)),
        ("a problem in another status", problem(400, "busy", 503, "")),
        ("a problem in status 200", problem(200, "malformed", 400, "")),
        ("half a problem", answer(400, "content-type: application/problem+json\r\n", r#"{"status": 400}"#)),
    ] {
        let error = error(bytes);
        assert!(matches!(error, ServiceError::NotTheService(_)), "{name}: {error:?}");
        assert!(error.may_have_arrived() && error.is_transient(), "{name}: {error}");
    }
}

#[test]
fn bytes_that_are_not_http_are_a_lost_answer() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/9 200 x\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "HTTP/1.1 200\r\ncontent-length: x\r\n\r\n",
    ] {
        let error = error(bytes.as_bytes().to_vec());
        assert!(error.may_have_arrived(), "{bytes:?}: {error:?}");
    }
}

#[test]
fn a_redirection_is_not_followed() {
    let other = answering(executed());
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}/v1/authorisations\r\n", other.url());
        let error = error(answer(status, &location, ""));
        assert!(error.may_have_arrived(), "{status}: {error:?}");
    }
    assert_eq!(other.seen().connections, 0);
}

#[test]
fn problems_say_whether_anything_was_decided_and_whether_to_ask_again() {
    for (kind, arrived, transient) in [
        (ProblemKind::Malformed, false, false),
        (ProblemKind::NotAuthenticated, false, false),
        (ProblemKind::NotAllowed, false, false),
        (ProblemKind::TooSlow, false, true),
        (ProblemKind::Conflict, false, false),
        (ProblemKind::TooMany, false, true),
        (ProblemKind::Internal, true, true),
        (ProblemKind::Busy, true, true),
    ] {
        let error = error(problem(kind.status(), kind.name(), kind.status(), "retry-after: 7\r\n"));
        assert_eq!(error.problem(), Some(kind));
        assert_eq!((error.may_have_arrived(), error.is_transient()), (arrived, transient), "{kind:?}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
}

#[test]
fn a_problem_of_an_unknown_kind_may_hide_a_decision() {
    for (status, transient) in [(418, false), (500, true)] {
        let error = error(problem(status, "teapot", status, ""));
        assert_eq!(error.problem(), None);
        assert!(error.may_have_arrived(), "{error}");
        assert_eq!(error.is_transient(), transient);
    }
    let stranger = error(problem(500, "malformed", 500, ""));
    assert!(stranger.may_have_arrived(), "this server sends that kind with another status");
}

#[test]
fn what_a_server_says_is_shown_without_its_control_characters() {
    let body = r#"{"type": "urn:onetap:problem:busy", "title": "\u001b[2J", "status": 503, "detail": "\u202eevil", "instance": ""}"#;
    let told = error(answer(503, "content-type: application/problem+json\r\n", body)).to_string();
    assert!(told.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{told:?}");
}

#[test]
fn retry_after_is_believed_for_an_hour_at_most_and_only_as_seconds() {
    for (told, believed) in
        [("86400", Some(3600)), ("0", Some(0)), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)]
    {
        let error = error(problem(503, "busy", 503, &format!("retry-after: {told}\r\n")));
        assert_eq!(error.retry_after(), believed.map(Duration::from_secs), "{told}");
    }
}

#[test]
fn nothing_is_sent_where_nobody_listens_and_where_no_name_leads() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    for url in [format!("http://{address}"), "https://no-such-host.invalid".to_owned()] {
        let error = ask(&service(&url), &soon()).unwrap_err();
        assert!(
            matches!(error, ServiceError::Unreachable(_)) && !error.may_have_arrived(),
            "{url}: {error:?}"
        );
    }
}

#[test]
fn a_connection_is_kept_and_one_that_the_server_dropped_is_replaced() {
    let server = Fake::plain(|peer| {
        // Two answers, then the server ends the connection without a word.
        for _ in 0..2 {
            if peer.request().is_some() {
                peer.send(&executed());
            }
        }
    });
    let service = service(&server.url());
    for asked in 1..=6 {
        assert!(ask(&service, &soon()).is_ok(), "request {asked}");
        while server.seen().ended < asked / 2 {
            std::thread::yield_now();
        }
    }
    let seen = server.seen();
    assert_eq!((seen.connections, seen.requests.len()), (3, 6));
}

#[test]
fn a_request_has_the_specified_head_and_nothing_of_the_token_is_shown() {
    let server = answering(executed());
    let service = service(&server.url());
    ask(&service, &soon()).unwrap();
    let request = server.seen().requests[0].to_ascii_lowercase();
    for line in [
        "post /v1/authorisations http/1.1\r\n",
        "\r\nauthorization: bearer till-1.fedcba9876543210\r\n",
        "\r\nidempotency-key: key-1\r\n",
        "\r\ncontent-type: application/json\r\n",
    ] {
        assert!(request.contains(line), "{line:?} in {request}");
    }
    let shown = format!("{service:?}");
    assert!(!shown.contains("fedcba9876543210"), "{shown}");
}

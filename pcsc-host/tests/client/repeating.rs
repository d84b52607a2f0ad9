//! Requests that are repeated until the server decides, and attempts that are resolved.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use onetap_apdu_spec::header::ServerId;
use onetap_apdu_spec::service::{Answer, Timestamp};
use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::attempt::{End, Place, Retry, Undecided, Unresolved, look_up, resolve, send};
use onetap_pcsc_host::{Cancel, Deadline, ServiceError};

use crate::fake::{Fake, json, problem};
use crate::{LATE, executed, moment, payment, receipt, service, soon};

/// A server that gives these answers in turn, each on a connection of its own; an empty one ends the connection.
fn script(answers: Vec<Vec<u8>>) -> Fake {
    let mut answers = answers.into_iter();
    Fake::plain(move |peer| {
        if peer.request().is_some() {
            let answer = answers.next().unwrap();
            peer.send(&with_end(&answer));
        }
    })
}

/// The same answer, which announces that the connection ends.
fn with_end(answer: &[u8]) -> Vec<u8> {
    String::from_utf8(answer.to_vec()).unwrap().replacen("\r\n", "\r\nconnection: close\r\n", 1).into_bytes()
}

fn busy(retry_after: &str) -> Vec<u8> {
    problem(503, "busy", 503, &format!("retry-after: {retry_after}\r\n"))
}

fn paid(server: &Fake, deadline: &Deadline, told: &mut dyn FnMut(&Retry)) -> Result<Answer, Undecided> {
    let (attempt, request) = payment(Suite::default());
    send(&service(&server.url()), &attempt, &request, deadline, told)
}

#[test]
fn repetitions_are_the_same_bytes_under_the_same_key() {
    let server = script(vec![vec![], busy("0"), json(200, "[]"), executed()]);
    let mut retries = Vec::new();
    let answer = paid(&server, &soon(), &mut |retry| retries.push(retry.clone())).unwrap();
    assert!(matches!(answer, Answer::Executed { .. }));
    let requests = &server.seen().requests;
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| *request == requests[0] && request.contains("key-1")));
    let whys: Vec<_> = retries.iter().map(|retry| retry.why.to_string()).collect();
    assert_eq!(whys.len(), 3);
    assert!(
        whys[0].contains("lost") && whys[1].contains("503") && whys[2].contains("something else"),
        "{whys:?}"
    );
}

#[test]
fn pauses_double_from_a_tenth_of_a_second_and_have_jitter() {
    let server = script(vec![vec![]; 5]);
    let mut pauses = Vec::new();
    let cancel = Cancel::new();
    let deadline = soon().cancelled_by(&cancel);
    let start = Instant::now();
    let outcome = paid(&server, &deadline, &mut |retry| {
        pauses.push(retry.pause);
        if pauses.len() == 4 {
            cancel.cancel();
        }
    });
    assert!(matches!(outcome, Err(Undecided::Unknown(ServiceError::Lost(_)))), "{outcome:?}");
    for (pause, least) in pauses.iter().zip([100, 200, 400, 800]) {
        let least = Duration::from_millis(least);
        assert!(*pause >= least && *pause < least * 3 / 2, "{pauses:?}");
    }
    assert!(start.elapsed() >= pauses[..3].iter().sum::<Duration>(), "they are waited for");

    let mut first = Vec::new();
    for _ in 0..16 {
        let cancel = Cancel::new();
        let server = script(vec![vec![]]);
        let _ = paid(&server, &soon().cancelled_by(&cancel), &mut |retry| {
            first.push(retry.pause);
            cancel.cancel();
        });
    }
    first.sort();
    first.dedup();
    assert!(first.len() > 4, "terminals do not return as one: {first:?}");
}

#[test]
fn a_server_is_left_alone_as_long_as_it_asks() {
    let server = script(vec![busy("1"), executed()]);
    let mut pauses = Vec::new();
    let start = Instant::now();
    paid(&server, &soon(), &mut |retry| pauses.push(retry.pause)).unwrap();
    assert_eq!(pauses, [Duration::from_secs(1)]);
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_server_that_is_busy_for_an_hour_ends_the_payment_by_its_deadline() {
    let server = script(vec![busy("3600")]);
    let limit = Duration::from_secs(2);
    let start = Instant::now();
    let outcome = paid(&server, &Deadline::after(limit), &mut |_| panic!("there is no time to repeat it"));
    assert!(start.elapsed() < limit + LATE);
    let Err(Undecided::Unknown(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
}

#[test]
fn what_cannot_have_arrived_is_not_executed_and_what_may_have_is_unknown() {
    let too_many = || problem(429, "too-many-requests", 429, "retry-after: 3600\r\n");
    let conflict = || problem(409, "conflict", 409, "");
    let stranger = || problem(418, "teapot", 418, "");
    for (answers, known) in [
        (vec![too_many()], true),
        (vec![conflict()], true),
        (vec![problem(401, "not-authenticated", 401, "")], true),
        (vec![stranger()], false),
        (vec![vec![], too_many()], false),
        (vec![busy("0"), conflict()], false),
    ] {
        let server = script(answers);
        match paid(&server, &Deadline::after(Duration::from_secs(10)), &mut |_| ()) {
            Err(Undecided::NotExecuted(error)) => assert!(known, "{error}"),
            Err(Undecided::Unknown(error)) => assert!(!known, "{error}"),
            Ok(answer) => panic!("{answer:?}"),
        }
    }
}

#[test]
fn a_refusal_is_an_answer() {
    let server = script(vec![json(200, r#"{"outcome": "refused"}"#)]);
    assert_eq!(paid(&server, &soon(), &mut |_| ()).unwrap(), Answer::Refused);
}

#[test]
fn a_receipt_of_another_transaction_is_no_receipt() {
    let id = payment(Suite::default()).0.id().to_string();
    let other = receipt().replace(&id, "00000000000000ff00000001");
    let lie = json(200, &format!(r#"{{"outcome": "executed", "receipt": {other}}}"#));
    let cancel = Cancel::new();
    let outcome = paid(&script(vec![lie.clone()]), &soon().cancelled_by(&cancel), &mut |_| cancel.cancel());
    assert!(matches!(outcome, Err(Undecided::Unknown(ServiceError::NotTheService(_)))), "{outcome:?}");

    let cancel = Cancel::new();
    let server = script(vec![lie]);
    let (attempt, _) = payment(Suite::default());
    let deadline = soon().cancelled_by(&cancel);
    let resolved = resolve(&service(&server.url()), &attempt, &deadline, &mut |_| cancel.cancel());
    assert!(matches!(resolved, Err(Unresolved::Service(ServiceError::NotTheService(_)))), "{resolved:?}");
}

#[test]
fn an_attempt_is_resolved_by_cancelling_it_without_the_password() {
    let (attempt, request) = payment(Suite::default());
    let executed = json(200, &format!(r#"{{"outcome": "executed", "receipt": {}}}"#, receipt()));
    let cancelled = json(200, r#"{"outcome": "cancelled"}"#);
    let server = script(vec![vec![], busy("0"), executed, cancelled]);
    let service = service(&server.url());
    let resolved = || resolve(&service, &attempt, &soon(), &mut |_| ());
    assert!(matches!(resolved(), Ok(End::Executed(receipt)) if receipt.transaction == attempt.id()));
    assert_eq!(resolved().unwrap(), End::Cancelled);
    let requests = &server.seen().requests;
    assert!(requests.iter().all(|request| request.starts_with("POST /v1/cancellations ")));
    assert!(!requests.concat().contains(request.verification_password.expose()));
}

/// A server that refuses cancellations, whose clock says `time`, and that has such a record of the transaction.
fn clerk(time: i64, record: Option<String>) -> Fake {
    let me = format!(
        r#"{{"client": "till-1", "role": "terminal", "terminal": "TERM0001", "server": "0101010101010101",
            "time": "{}", "max_age": 600, "max_ahead": 120}}"#,
        Timestamp(time)
    );
    let record = record.map_or_else(
        || problem(404, "not-found", 404, ""),
        |receipt| json(200, &format!(r#"{{"receipt": {receipt}, "terminal": "TERM0001"}}"#)),
    );
    Fake::plain(move |peer| {
        while let Some(request) = peer.request() {
            let answer = match request.split(' ').nth(1) {
                Some("/v1/me") => json(200, &me),
                Some("/v1/cancellations") => json(200, r#"{"outcome": "refused"}"#),
                _ => record.clone(),
            };
            peer.send(&answer);
        }
    })
}

#[test]
fn where_the_server_does_not_cancel_time_ends_the_attempt() {
    for suite in ["danger-a1+pkcs1".parse().unwrap(), Suite::default()] {
        let (attempt, _) = payment(suite);
        let dated = attempt.transaction().at.assume_utc().unix_timestamp();
        let ask =
            |time, record| resolve(&service(&clerk(time, record).url()), &attempt, &soon(), &mut |_| ());
        // Ten minutes of age are allowed; a minute more is waited.
        let Err(Unresolved::NotYet { from }) = ask(dated + 600, None) else { panic!("too early to say") };
        assert!(from.0 > dated + 600 && from.0 <= dated + 700, "{from}");
        assert!(matches!(ask(from.0 - 1, None), Err(Unresolved::NotYet { .. })));
        assert_eq!(ask(from.0, None).unwrap(), End::Cancelled);
        assert!(matches!(ask(dated, Some(receipt())), Ok(End::Executed(_))), "a receipt is certain at once");
    }
}

#[test]
fn a_signature_that_only_the_password_verifies_is_not_sent_for_a_cancellation() {
    let (attempt, _) = payment("danger-a1+pkcs1".parse().unwrap());
    let server = clerk(attempt.transaction().at.assume_utc().unix_timestamp(), None);
    let _ = resolve(&service(&server.url()), &attempt, &soon(), &mut |_| ());
    assert!(server.seen().requests.iter().all(|request| request.starts_with("GET ")));
}

#[test]
fn another_server_or_terminal_tells_nothing_of_an_attempt() {
    let (attempt, _) = payment(Suite::default());
    let Place { server, terminal, id } = attempt.place();
    let now = attempt.transaction().at.assume_utc().unix_timestamp();
    for place in [
        Place { server: ServerId([9; 8]), terminal: terminal.clone(), id: id.clone() },
        Place { server, terminal: "TERM0002".parse().unwrap(), id },
    ] {
        let clerk = clerk(now + 10_000, None);
        let told = look_up(&service(&clerk.url()), &place, Timestamp(now), &soon(), &mut |_| ());
        assert!(matches!(told, Err(Unresolved::Elsewhere(elsewhere)) if elsewhere == place));
    }
}

#[test]
fn of_a_damaged_entry_the_id_and_the_moment_it_was_written_are_enough() {
    let place = payment(Suite::default()).0.place();
    let written = moment();
    let ask =
        |time, record| look_up(&service(&clerk(time, record).url()), &place, written, &soon(), &mut |_| ());
    assert!(matches!(ask(written.0, None), Err(Unresolved::NotYet { .. })));
    assert_eq!(ask(written.0 + 700, None).unwrap(), End::Cancelled);
    assert!(
        matches!(ask(written.0, Some(receipt())), Ok(End::Executed(receipt)) if receipt.transaction == place.id)
    );
    let other = receipt().replace(&place.id.to_string(), "00000000000000ff00000001");
    let cancel = Cancel::new();
    let server = clerk(written.0, Some(other));
    let deadline = soon().cancelled_by(&cancel);
    let lied = look_up(&service(&server.url()), &place, written, &deadline, &mut |_| cancel.cancel());
    assert!(matches!(lied, Err(Unresolved::Service(ServiceError::NotTheService(_)))), "{lied:?}");
}

#[test]
fn a_resolution_ends_by_its_deadline_while_the_server_is_down() {
    let requests = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&requests);
    let server = Fake::plain(move |peer| {
        if peer.request().is_some() {
            *counted.lock().unwrap() += 1;
        }
    });
    let (attempt, _) = payment(Suite::default());
    let service = service(&server.url());
    let limit = Duration::from_millis(400);
    let ended = crate::ends_in_time(limit, || {
        let resolved = resolve(&service, &attempt, &Deadline::after(limit), &mut |_| ());
        assert!(matches!(resolved, Err(Unresolved::Service(ServiceError::Lost(_)))), "{resolved:?}");
    });
    assert!(ended);
    assert!(*requests.lock().unwrap() >= 2, "it was asked again");
}

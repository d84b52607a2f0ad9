//! What operators see and do.

use fantoccini::key::Key;
use onetap_server_verifier::{Act, Actor, Event};

use super::desk::{Desk, says};

const REASON: &str = "holder came to the desk with a passport";

#[test]
fn an_account_locked_by_wrong_passwords_appears_without_reload_and_pays_again_once_unlocked() {
    let Some(mut desk) = Desk::open_as("olga") else { return };
    says(&desk.browser, "locked-count", "None.");
    desk.browser.script("window.same_page = true");
    let number = desk.lock(0);
    says(&desk.browser, "locked", &number.to_string());
    says(&desk.browser, "locked", "Wrong passwords in a row");
    says(&desk.browser, "said", &format!("Locked now: {number}"));
    assert_eq!(desk.browser.script("return window.same_page"), true, "without reload");
    assert!(!desk.pays(0), "while it is locked");

    desk.browser.click(&format!("#unlock-row-{number}"));
    says(&desk.browser, "dialog-title", &format!("Unlock account {number}?"));
    says(&desk.browser, "dialog-about", "The holder is Holder 0.");
    desk.browser.keys(REASON);
    desk.browser.click("#dialog-confirm");
    says(&desk.browser, "said", &format!("Account {number} is unlocked"));
    says(&desk.browser, "locked-count", "None.");
    says(&desk.browser, "account", REASON);
    assert!(desk.pays(0));
    let log = desk.verifier.log(Some(&number)).unwrap();
    let mut unlocked = log.iter().filter(|entry| matches!(entry.event, Event::Unlocked { .. }));
    let entry = unlocked.next().unwrap();
    assert_eq!(entry.by, Some(Actor::Operator("olga".into())));
    assert_eq!(entry.reason.as_deref(), Some(REASON));
    assert_eq!(unlocked.next(), None);
}

#[test]
fn nothing_is_unlocked_without_a_reason() {
    let Some(mut desk) = Desk::open_as("olga") else { return };
    let number = desk.lock(0);
    says(&desk.browser, "locked", &number.to_string());
    desk.browser.click(&format!("#unlock-row-{number}"));
    for blank in ["", "   "] {
        desk.browser.keys(blank);
        desk.browser.click("#dialog-confirm");
        says(&desk.browser, "reason-wrong", "Give a reason");
        assert_eq!(desk.browser.script("return document.activeElement.id"), "reason");
        assert_eq!(desk.browser.script("return document.getElementById('reason').ariaInvalid"), "true");
    }
    desk.browser.click("#dialog-cancel");
    desk.browser.until("!document.getElementById('dialog').open");
    assert!(desk.verifier.account(&number).unwrap().locked.is_some());
}

/// Keys only, from the first to the last.
#[test]
fn an_account_is_unlocked_by_keyboard_alone() {
    let Some(mut desk) = Desk::open() else { return };
    let number = desk.lock(1);
    tab_to(&desk, "token");
    desk.browser.keys(desk.token("olga"));
    desk.browser.key(Key::Enter);
    let unlock = format!("unlock-row-{number}");
    desk.browser.until(&format!("document.getElementById('{unlock}') !== null"));
    tab_to(&desk, &unlock);
    desk.browser.key(Key::Enter);
    desk.browser.until("document.activeElement.id === 'reason'");
    desk.browser.key(Key::Escape);
    desk.browser.until(&format!("document.activeElement.id === '{unlock}'"));
    desk.browser.key(Key::Enter);
    desk.browser.until("document.activeElement.id === 'reason'");
    desk.browser.keys(REASON);
    // The keyboard stays within the dialog.
    for stop in ["dialog-cancel", "dialog-confirm"] {
        desk.browser.key(Key::Tab);
        assert_eq!(desk.browser.script("return document.activeElement.id"), stop);
    }
    desk.browser.key(Key::Enter);
    says(&desk.browser, "said", &format!("Account {number} is unlocked"));
    assert_eq!(desk.browser.script("return document.activeElement.id"), "account-name");
    assert!(desk.verifier.account(&number).unwrap().locked.is_none());
}

fn tab_to(desk: &Desk, id: &str) {
    let arrived = (0..40).any(|_| {
        desk.browser.key(Key::Tab);
        desk.browser.script("return document.activeElement.id") == id
    });
    assert!(arrived, "no way to #{id} by keyboard");
}

#[test]
fn an_account_is_found_with_its_cards_and_a_card_is_blocked_with_a_reason() {
    let Some(mut desk) = Desk::open_as("olga") else { return };
    let number = desk.number(2);
    assert!(desk.pays(2));
    desk.find(&number);
    let card = desk.verifier.account(&number).unwrap().cards[0].card;
    for text in ["999999.99 EUR", "executed", "card-ordered", "aes-cbc-cmac", &card.to_string()] {
        says(&desk.browser, "account", text);
    }
    desk.browser.click(&format!("#block-{card}"));
    says(&desk.browser, "dialog-title", &card.to_string());
    desk.browser.keys("reported as stolen");
    desk.browser.click("#dialog-confirm");
    says(&desk.browser, "said", "is blocked");
    says(&desk.browser, "account", "reported as stolen");
    assert!(!desk.pays(2));
    assert_eq!(
        desk.browser.script(&format!("return document.getElementById('block-{card}')")),
        serde_json::Value::Null
    );
}

#[test]
fn an_account_that_is_not_there_is_a_sentence_with_the_requests_id() {
    let Some(desk) = Desk::open_as("arno") else { return };
    desk.browser.click("#number");
    desk.browser.keys("1000000000009");
    desk.browser.key(Key::Enter);
    says(&desk.browser, "problem", "There is no such thing. There is no such account");
    desk.browser.until("/ Request [0-9a-f]{24}\\.$/.test(document.getElementById('problem').textContent)");
}

#[test]
fn verify_now_shows_that_the_books_hold_and_after_tampering_where_they_do_not() {
    let Some(desk) = Desk::open_as("arno") else { return };
    says(&desk.browser, "books", "None since this server was started");
    says(&desk.browser, "books", "None yet");
    let mut file = Vec::new();
    let chains = desk.verifier.desk(Act::of_program("test", "set-up")).checkpoint(&mut file).unwrap().chains;
    says(&desk.browser, "books", &format!("{chains} chains, root"));
    // However often it is pressed, one verification is asked for.
    desk.browser.script("const b = document.getElementById('verify'); b.click(); b.click(); b.click();");
    says(&desk.browser, "said", "The books hold.");
    says(&desk.browser, "books", "started by arno");
    let asked =
        "return performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/verify')).length";
    assert_eq!(desk.browser.script(asked), 1);

    let number = desk.number(1);
    let sql = "UPDATE audit SET at = at + 1 WHERE sequence = 2
        AND account_id = (SELECT account_id FROM accounts WHERE number = ?1)";
    desk.tamper(sql, &number.to_string());
    desk.browser.click("#verify");
    says(&desk.browser, "said", "The books do NOT hold");
    says(&desk.browser, "books", "is broken at entry 2");
    says(&desk.browser, "books", &format!("account {number}, entry 2"));
}

/// Rows that were changed, with the log left as it was.
#[test]
fn verify_now_shows_rows_that_are_not_as_the_log_tells() {
    let Some(mut desk) = Desk::open_as("olga") else { return };
    let number = desk.lock(0);
    let sql = "UPDATE accounts SET locked_at = NULL, lock_cause = NULL WHERE number = ?1";
    desk.tamper(sql, &number.to_string());
    desk.browser.click("#verify");
    says(&desk.browser, "books", "the accounts of account row");
    says(&desk.browser, "books", &format!("Whereaccount {number}"));
}

#[test]
fn the_live_rate_moves_with_what_is_decided() {
    let Some(mut desk) = Desk::open_as("adam") else { return };
    let line = "document.querySelector('.spark polyline').getAttribute('points')";
    desk.browser.until(&format!("{line}?.includes(',100')"));
    for _ in 0..5 {
        assert!(desk.pays(0));
    }
    desk.lock(1);
    desk.browser.until("document.querySelector('[data-value=executed]').textContent === '5'");
    desk.browser.until("document.querySelector('[data-value=refused]').textContent === '3'");
    desk.browser.until("Number(document.querySelector('[data-value=highest]').textContent) > 0");
    desk.browser.until(&format!("/,4(\\.0+)?( |$)/.test({line})"));
    // … and ends with it.
    desk.browser.until("document.querySelector('[data-value=\"all/s\"]').textContent === '0.0'");
}

#[test]
fn a_message_that_nobody_took_appears_and_is_sent_again_or_discarded() {
    for (act, left) in
        [("requeue", "Messages that wait: 1; dead letters among them: 0."), ("discard", "Nothing waits.")]
    {
        let Some(mut desk) = Desk::open_as("olga") else { return };
        says(&desk.browser, "outbox-count", "Nothing waits.");
        desk.lock(0);
        says(&desk.browser, "outbox-count", "Messages that wait: 1; dead letters among them: 0.");
        let letter = desk.nobody_takes_it();
        says(&desk.browser, "outbox", "the receiver answers 500");
        says(&desk.browser, "said", &format!("Not taken: message {letter}."));
        desk.browser.click(&format!("#{act}-{letter}"));
        says(&desk.browser, "dialog-title", &letter.to_string());
        desk.browser.keys("told them by telephone");
        desk.browser.click("#dialog-confirm");
        says(&desk.browser, "outbox-count", left);
        says(&desk.browser, "outbox", "No dead letters.");
        says(&desk.browser, "said", "your reason is in the audit log");
        assert_eq!(desk.verifier.dead_letters(1).unwrap(), []);
        let last = desk.verifier.log_tail(None, 1).unwrap().remove(0);
        assert!(matches!(last.event, Event::MessageRequeued { .. } | Event::MessageDiscarded { .. }));
        assert_eq!(last.by, Some(Actor::Operator("olga".into())));
        assert_eq!(last.reason.as_deref(), Some("told them by telephone"));
    }
}

#[test]
fn an_auditor_sees_a_dead_letter_and_cannot_touch_it() {
    let Some(mut desk) = Desk::open_as("arno") else { return };
    desk.lock(0);
    let letter = desk.nobody_takes_it();
    says(&desk.browser, "outbox", &letter.to_string());
    assert_eq!(desk.browser.script("return document.querySelectorAll('#outbox button').length"), 0);
}

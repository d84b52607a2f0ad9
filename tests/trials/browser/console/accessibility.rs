//! What people get who see little, use no mouse, or hear the console.

use fantoccini::key::Key;
use serde_json::{Value, json};

use super::desk::{Desk, says};
use crate::accessibility::tree;
use crate::browser::{DESK, Look};
use crate::checks::CHECKS;

/// An operator's console with everything in it: a locked account, an account in full, a finding, a dead letter.
fn full() -> Option<Desk> {
    let mut desk = Desk::open_as("olga")?;
    let number = desk.lock(0);
    says(&desk.browser, "locked", &number.to_string());
    let letter = desk.nobody_takes_it();
    says(&desk.browser, "outbox", &letter.to_string());
    desk.find(&number);
    desk.tamper("UPDATE audit SET at = at + 1 WHERE account_id = ?1 AND sequence = 2", "2");
    desk.browser.click("#verify");
    says(&desk.browser, "books", "NOT hold");
    desk.browser.until("document.getElementById('verifying').hidden");
    Some(desk)
}

#[test]
fn a_screen_reader_finds_landmarks_headings_and_every_control_by_name() {
    let Some(desk) = full() else { return };
    let number = desk.number(0);
    let tree = tree(&desk.browser);
    let named = |role: &str| -> Vec<&str> {
        tree.iter().filter(|(known, _)| known == role).map(|(_, name)| name.as_str()).collect()
    };
    assert_eq!((named("main").len(), named("banner").len()), (1, 1));
    assert_eq!((named("navigation"), named("search")), (vec!["Sections"], vec!["Find an account"]));
    assert_eq!(named("region"), ["Locked accounts", "Account", "Audit", "Outbox", "Live rate"]);
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    let found = |role: &str| sorted(named(role).into_iter().map(str::to_owned).collect());
    let titles = ["OneTap verifier console", "Locked accounts", "Account", "Audit", "Outbox", "Live rate"];
    let mut headings = titles.map(str::to_owned).to_vec();
    headings.push(format!("{number}, Holder 0"));
    assert_eq!(found("heading"), sorted(headings));
    let card = desk.verifier.account(&number).unwrap().cards[0].card;
    let unlock = format!("Unlock {number}");
    let mut buttons = ["Sign out", "Show", "Verify now", &unlock, &unlock].map(str::to_owned).to_vec();
    buttons.extend([format!("Show {number}"), format!("Block card {card}")]);
    let letter = desk.verifier.dead_letters(1).unwrap()[0].message;
    buttons.extend([format!("Send again: {letter}"), format!("Discard: {letter}")]);
    assert_eq!(found("button"), sorted(buttons));
    assert_eq!(named("textbox"), ["Account number"]);
    for role in ["status", "alert"] {
        assert!(!named(role).is_empty(), "{role}");
    }
    desk.browser.click(&format!("#unlock-row-{number}"));
    let tree = crate::accessibility::tree(&desk.browser);
    let dialog = format!("Unlock account {number}?");
    assert!(tree.contains(&("dialog".to_owned(), dialog)), "{tree:?}");
    assert!(tree.iter().any(|(role, name)| role == "textbox" && name.starts_with("Reason")));
    assert_eq!(desk.browser.script("return document.documentElement.lang"), "en");
}

#[test]
fn the_focus_reaches_everything_in_reading_order_and_is_seen() {
    let Some(desk) = full() else { return };
    let all =
        "[...document.querySelectorAll('a, button, input, textarea')].filter((e) => e.checkVisibility())";
    let count = desk.browser.script(&format!("return {all}.length")).as_u64().unwrap();
    assert!(count >= 12, "{count}");
    desk.browser.script("document.activeElement.blur(); document.getSelection().empty(); scrollTo(0, 0)");
    desk.browser.script("document.body.tabIndex = -1; document.body.focus()");
    for at in 0..count {
        desk.browser.key(Key::Tab);
        let focus = desk.browser.script(&format!(
            "const e = document.activeElement, s = getComputedStyle(e);
             return [{all}.indexOf(e), s.outlineStyle, parseFloat(s.outlineWidth)]"
        ));
        assert_eq!(focus[0], at, "in reading order");
        assert!(focus[1] == "solid" && focus[2].as_f64().unwrap() >= 2.0, "control {at}: {focus}");
    }
}

/// WCAG 2.2: 1.4.3 (contrast 4.5 : 1), 2.5.8 (targets of 24 pixels), 1.4.10 (no scrolling sideways at 320 pixels),
/// 1.4.4 (zoom of 200 %, which halves the width).
#[test]
fn text_has_contrast_and_fits_in_every_look() {
    let Some(desk) = full() else { return };
    let number = desk.number(0);
    for dialog in [false, true] {
        if dialog {
            desk.browser.click(&format!("#unlock-row-{number}"));
            desk.browser.click("#dialog-confirm");
            says(&desk.browser, "reason-wrong", "Give a reason");
        }
        for (width, height) in [(DESK.width, DESK.height), (DESK.width / 2, DESK.height / 2), (320, 640)] {
            for dark in [false, true] {
                let look = Look { dark, width, height };
                desk.browser.set_look(look);
                assert_eq!(desk.browser.script(CHECKS), json!([]), "{look:?}, dialog: {dialog}");
            }
        }
    }
}

#[test]
fn nothing_moves_for_who_wants_no_motion() {
    let Some(desk) = full() else { return };
    let features = json!([{ "name": "prefers-reduced-motion", "value": "reduce" }]);
    desk.browser.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    let moving = "return [...document.querySelectorAll('*')].filter((e) => {
        const s = getComputedStyle(e);
        return s.animationName !== 'none' || s.transitionDuration !== '0s' || s.scrollBehavior === 'smooth';
    }).length";
    assert_eq!(desk.browser.script(moving), 0);
}

/// The rules of axe-core, where scripts/setup has fetched it.
#[test]
fn axe_finds_nothing() {
    let Some(path) = std::env::var_os("ONETAP_AXE") else {
        println!("not performed: needs axe-core: scripts/setup test, then ONETAP_AXE=target/axe/axe.min.js");
        return;
    };
    let axe = std::fs::read_to_string(path).unwrap();
    let Some(desk) = full() else { return };
    // The page's policy forbids what axe does to learn about it.
    desk.browser.devtools("Page.setBypassCSP", &json!({ "enabled": true }));
    for dark in [false, true] {
        desk.browser.set_look(Look { dark, ..DESK });
        assert_eq!(run_axe(&desk, &axe), json!([]), "dark: {dark}");
    }
    desk.browser.click(&format!("#unlock-row-{}", desk.number(0)));
    assert_eq!(run_axe(&desk, &axe), json!([]), "dialog");
    desk.browser.key(Key::Escape);
    desk.browser.click("#sign-out");
    assert_eq!(run_axe(&desk, &axe), json!([]), "signed out");
}

fn run_axe(desk: &Desk, axe: &str) -> Value {
    desk.browser.script(&format!("if (!window.axe) {{ {axe} }}"));
    desk.browser.script("window.found = null; axe.run().then((all) => { window.found = all; })");
    desk.browser.until("window.found !== null");
    let checked = desk.browser.script("return window.found.passes.length").as_u64().unwrap();
    assert!(checked > 10, "axe has checked {checked} rules only");
    desk.browser.script(
        "return window.found.violations.map((rule) => [rule.id, rule.help, rule.nodes.map((node) => node.html)])",
    )
}

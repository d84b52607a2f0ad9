//! What people get who see little, use no mouse, or hear the page.

use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::browser::{Browser, DESK, Look};
use crate::checks::CHECKS;
use crate::scene::{Scene, shows};

/// A page that shows a payment.
fn page() -> Option<(Browser, Scene)> {
    let browser = Browser::start()?;
    let mut scene = Scene::new();
    scene.tap();
    scene.open(&browser);
    shows(&browser, "Page 1 of");
    browser.until("document.querySelectorAll('#log li').length === 5");
    Some((browser, scene))
}

/// Role and name of every node of the accessibility tree that is not left out of it.
pub(crate) fn tree(browser: &Browser) -> Vec<(String, String)> {
    let tree = browser.devtools("Accessibility.getFullAXTree", &json!({}));
    let text = |node: &Value, of: &str| node[of]["value"].as_str().unwrap_or_default().to_owned();
    let nodes = tree["nodes"].as_array().unwrap().iter();
    nodes
        .filter(|node| node["ignored"] == false)
        .map(|node| (text(node, "role"), text(node, "name")))
        .collect()
}

#[test]
fn a_screen_reader_finds_every_control_by_name_and_is_told_the_screen() {
    let Some((browser, _scene)) = page() else { return };
    let tree = tree(&browser);
    let named = |role: &str| -> Vec<&str> {
        tree.iter().filter(|(known, _)| known == role).map(|(_, name)| name.as_str()).collect()
    };
    let mut buttons = named("button");
    buttons.sort_unstable();
    let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    assert_eq!(buttons, [&digits[..], &["Cancel", "Clear", "Confirm", "Next", "Previous"]].concat());
    assert!(
        named("switch").iter().all(|name| name.starts_with("Reader’s field")) && named("switch").len() == 1
    );
    assert_eq!(named("checkbox"), ["Keyboard shortcuts"]);
    assert_eq!(named("group").iter().filter(|name| **name == "Keypad").count(), 1);
    assert!(named("RootWebArea").iter().all(|title| *title == "OneTap virtual card"));
    assert_eq!((named("main").len(), named("banner").len(), named("navigation").len()), (1, 1, 1));
    for role in ["button", "link", "switch", "checkbox", "heading"] {
        assert!(named(role).iter().all(|name| !name.is_empty()), "a {role} without a name");
    }
    assert!(tree.iter().any(|(role, _)| role == "status") && tree.iter().any(|(role, _)| role == "alert"));
    let said = browser.text("screen");
    assert!(said.starts_with("Payment: 99.00 EUR. To: Café Łódź 咖啡店. Account: DE8937"), "{said}");
    assert_eq!(browser.script("return document.documentElement.lang"), "en");
}

#[test]
fn the_focus_reaches_everything_in_reading_order_and_is_seen() {
    let Some((browser, _scene)) = page() else { return };
    let controls = "document.querySelectorAll('a, button, input, summary')";
    let count = browser.script(&format!("return {controls}.length")).as_u64().unwrap();
    for at in 0..count {
        browser.key(Key::Tab);
        let focus = browser.script(&format!(
            "const e = document.activeElement, s = getComputedStyle(e);
             return [[...{controls}].indexOf(e), s.outlineStyle, parseFloat(s.outlineWidth)]"
        ));
        assert_eq!(focus[0], at, "in reading order");
        assert!(
            focus[1] == "solid" && focus[2].as_f64().unwrap() >= 2.0,
            "control {at} shows its focus: {focus}"
        );
    }
}

#[test]
fn shortcuts_can_be_switched_off() {
    let Some((browser, _scene)) = page() else { return };
    browser.click("#shortcuts");
    browser.keys("f");
    browser.key(Key::Right);
    browser.click("[data-key=next]");
    shows(&browser, "Page 2 of");
    assert_eq!(browser.script("return document.getElementById('field').ariaChecked"), "false");
}

/// WCAG 2.2: 1.4.3 (contrast 4.5 : 1), 2.5.8 (targets of 24 pixels), 1.4.10 (no scrolling sideways).
#[test]
fn text_has_contrast_and_keys_have_room_in_every_look() {
    let Some((browser, _scene)) = page() else { return };
    for look in [
        DESK,
        Look { dark: true, ..DESK },
        Look { width: 320, height: 640, dark: false },
        Look { width: 320, height: 640, dark: true },
    ] {
        browser.set_look(look);
        let wrong = browser.script(CHECKS);
        assert_eq!(wrong, json!([]), "{look:?}");
    }
}

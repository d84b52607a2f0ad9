//! How the page looks, beside pictures that people have reviewed.

use onetap_applet::{DEAD_TIME_MS, Key};

use crate::browser::{Browser, DESK, Look};
use crate::compare::compare;
use crate::scene::{Scene, shows};

/// Where those pictures are.
const REFERENCE: &str = "tests/trials/browser/reference";

#[test]
fn the_page_looks_as_it_was_reviewed() {
    let Some(browser) = Browser::start() else { return };
    let mut scene = Scene::new();
    scene.open(&browser);
    shows(&browser, "The display is off");
    compare(&browser, REFERENCE, "off-light", DESK);

    scene.tap();
    shows(&browser, "Page 1 of");
    browser.until("document.querySelectorAll('#log li').length === 5");
    compare(&browser, REFERENCE, "payment-light", DESK);
    compare(&browser, REFERENCE, "payment-dark", Look { dark: true, ..DESK });
    compare(&browser, REFERENCE, "payment-phone", Look { dark: false, width: 360, height: 800 });

    {
        let mut card = scene.card.lock().unwrap();
        for _ in 1..card.screen().pages() {
            card.press(Key::Next).unwrap();
        }
        scene.clock.advance(DEAD_TIME_MS);
        card.press(Key::Digit(2)).unwrap();
    }
    shows(&browser, "PIN: *");
    compare(&browser, REFERENCE, "pin-dark", Look { dark: true, ..DESK });
}

//! Whole payments: tapped at the terminal, confirmed on the page, booked by the server.

use fantoccini::key::Key;
use onetap_apdu_spec::service::Answer;
use onetap_applet::front::panel::{Panel, PanelConfig};
use onetap_applet::{DEAD_TIME_MS, DEBOUNCE_MS};
use onetap_conformance::world::{BALANCE, PIN, Route, World};
use onetap_pcsc_host::Tapped;

use crate::browser::Browser;
use crate::scene::shows;

/// Takes the PIN.
const PRICE: u64 = 80_00;

/// A world, its card's panel, and a browser that shows it.
struct Shop {
    world: World,
    panel: Panel,
    browser: Browser,
    _folder: tempfile::TempDir,
}

impl Shop {
    fn open() -> Option<Self> {
        let browser = Browser::start()?;
        let folder = tempfile::tempdir().unwrap();
        let world =
            World::new(folder.path(), onetap_apdu_spec::suite::Suite::default(), Route::InProcess).unwrap();
        let config = PanelConfig { clock: Some(world.clock.clone()), ..PanelConfig::default() };
        let panel = Panel::serve(world.card.clone(), config).unwrap();
        browser.open(&panel.url());
        shows(&browser, "The display is off");
        Some(Self { world, panel, browser, _folder: folder })
    }

    /// The card is tapped and its display wakes.
    fn tap(&mut self) -> Tapped {
        let tapped = self.world.plain_tap(&self.world.draft(PRICE).unwrap()).unwrap();
        self.world.clock.advance(DEBOUNCE_MS);
        shows(&self.browser, "Payment: 80.00 EUR");
        tapped
    }

    /// How many pages the display has.
    fn pages(&self) -> usize {
        self.world.card.lock().unwrap().screen().pages()
    }

    /// Reads the joint password off the page and has the server decide.
    fn send(&self, tapped: Tapped) {
        shows(&self.browser, "Password:");
        let said = self.browser.text("screen");
        let password: String = said.split_once(": ").unwrap().1.split('.').next().unwrap().replace(' ', "");
        let request = World::type_in(tapped, &password).unwrap();
        let outcome = self.world.send("first", &request).unwrap();
        assert!(matches!(outcome, Answer::Executed { .. }), "{outcome:?}");
        let left = self.world.server.account(&self.world.payer).unwrap().balance;
        assert_eq!(left, i64::try_from(BALANCE - PRICE).unwrap());
    }
}

#[test]
fn a_payment_by_mouse() {
    let Some(mut shop) = Shop::open() else { return };
    let tapped = shop.tap();
    assert!(!shop.browser.script("return location.href").to_string().contains(shop.panel.token()));
    let pages = shop.pages();
    for page in 2..=pages {
        shop.browser.click("[data-key=next]");
        shows(&shop.browser, &format!("Page {page} of {pages}"));
    }
    // Too early: the page says why nothing happened.
    shop.browser.click("[data-key=confirm]");
    shop.browser.until("document.getElementById('notice').textContent.includes('read all pages first')");
    shop.world.clock.advance(DEAD_TIME_MS);
    for (typed, digit) in PIN.chars().enumerate() {
        shop.browser.click(&format!("[data-key='{digit}']"));
        shows(&shop.browser, &format!("PIN: {}", "*".repeat(typed + 1)));
    }
    shop.browser.click("[data-key=confirm]");
    shop.send(tapped);
    shop.browser.click("[data-key=clear]");
    shows(&shop.browser, "The display is off");
}

#[test]
fn a_payment_by_keyboard_alone() {
    let Some(mut shop) = Shop::open() else { return };
    let tapped = shop.tap();
    let pages = shop.pages();
    // By shortcut …
    shop.browser.key(Key::Right);
    shows(&shop.browser, &format!("Page 2 of {pages}"));
    shop.browser.key(Key::Left);
    shows(&shop.browser, &format!("Page 1 of {pages}"));
    // … and by moving the focus to the button.
    while shop.browser.script("return document.activeElement.dataset.key") != "next" {
        shop.browser.key(Key::Tab);
    }
    for page in 2..=pages {
        shop.browser.key(Key::Enter);
        shows(&shop.browser, &format!("Page {page} of {pages}"));
    }
    shop.world.clock.advance(DEAD_TIME_MS);
    for (typed, digit) in PIN.chars().enumerate() {
        shop.browser.keys(&digit.to_string());
        shows(&shop.browser, &format!("PIN: {}", "*".repeat(typed + 1)));
    }
    while shop.browser.script("return document.activeElement.dataset.key") != "confirm" {
        shop.browser.key(Key::Tab);
    }
    shop.browser.key(Key::Enter);
    shop.send(tapped);
    shop.browser.key(Key::Escape);
    shows(&shop.browser, "The display is off");
}

#[test]
fn the_field_is_switched_on_the_page_and_the_card_knows() {
    let Some(shop) = Shop::open() else { return };
    let present = || shop.world.card.lock().unwrap().in_field();
    shop.browser.click("#field");
    shop.browser.until("document.getElementById('field').ariaChecked === 'true'");
    assert!(present());
    shop.browser.click("[data-key=next]");
    shop.browser.until("document.getElementById('notice').textContent.includes('take the card away first')");
    shop.browser.keys("f");
    shop.browser.until("document.getElementById('field').ariaChecked === 'false'");
    assert!(!present());
}

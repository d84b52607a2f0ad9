//! `demo --web` in headless Chromium: an honest terminal, and two that lie.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

#[allow(dead_code, reason = "the panel's tests use all of it")]
#[path = "../../tests/trials/browser/browser.rs"]
mod browser;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use browser::Browser;
use serde_json::Value;

/// The demonstration and a browser that shows it.
struct Demo {
    browser: Browser,
    program: Child,
}

impl Demo {
    fn open() -> Option<Self> {
        let browser = Browser::start()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_onetap"));
        let mut program = command.args(["--json", "demo", "--web"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        browser.open(said["demo"].as_str().unwrap());
        let demo = Self { browser, program };
        demo.until_text("accounts", "500.00 EUR");
        Some(demo)
    }

    fn until_text(&self, id: &str, text: &str) {
        self.browser.until(&format!("document.getElementById('{id}').textContent.includes({text:?})"));
    }

    /// The card is tapped by a terminal that lies at that time, if at all; its display wakes by itself.
    fn tap(&self, tamper: &str) {
        self.browser.click(&format!("[name=tamper][value={tamper}]"));
        self.browser.click("#order button");
        self.until_text("asks", "12.34 EUR");
        self.until_text("screen", "Payment:");
    }

    /// The holder reads all pages, confirms, and types at the terminal what the card shows.
    fn confirm_and_send(&self) {
        self.browser.script(
            "return import('/client.js').then((client) =>
               client.post('/v1/keys', { keys: ['read', 'confirm'], patience_ms: 20000 }))",
        );
        self.until_text("screen", "Password:");
        let said = self.browser.text("screen");
        let password = said.split_once(": ").unwrap().1.split('.').next().unwrap();
        self.browser.click("#password");
        self.browser.keys(password);
        self.browser.click("#send");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn the_card_shows_the_truth_and_the_server_refuses_what_it_did_not_sign() {
    let Some(demo) = Demo::open() else { return };
    demo.tap("no");
    demo.confirm_and_send();
    demo.until_text("outcome", "Executed");
    demo.until_text("accounts", "487.66 EUR");

    // Altered after the tap: the card shows what it signed, the server refuses what it did not.
    demo.tap("after");
    assert!(demo.browser.text("screen").starts_with("Payment: 12.34 EUR"));
    demo.confirm_and_send();
    demo.until_text("outcome", "Refused: nothing was booked");
    demo.until_text("accounts", "487.66 EUR");

    // Altered before the tap: the card's own display gives it away, and the holder cancels.
    demo.tap("before");
    assert!(demo.browser.text("screen").starts_with("Payment: 99.34 EUR"));
    demo.browser.click("[data-key=cancel]");
    demo.until_text("screen", "The display is off");
    // What is typed at the terminal presses no key of the card.
    demo.browser.click("#password");
    demo.browser.keys("12");
    assert_eq!(demo.browser.script("return document.getElementById('password').value"), "12");
    demo.browser.click("#send");
    demo.until_text("terminal-notice", "type the password");
    demo.until_text("accounts", "487.66 EUR");
}

#[test]
fn every_control_of_the_demonstration_has_a_name_and_its_page_fits_a_phone() {
    let Some(demo) = Demo::open() else { return };
    let nameless = demo.browser.script(
        "return [...document.querySelectorAll('input, button, select')]
           .filter((e) => !(e.labels?.length || e.textContent.trim() || e.ariaLabel)).map((e) => e.outerHTML)",
    );
    assert_eq!(nameless, serde_json::json!([]));
    demo.browser.set_look(browser::Look { dark: true, width: 320, height: 640 });
    let wide = "return document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth";
    assert_eq!(demo.browser.script(wide), 0);
}

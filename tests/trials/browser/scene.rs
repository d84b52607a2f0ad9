//! One card, one terminal, one payment, the same each time: so that two pictures of them can be compared.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use onetap_apdu_spec::crypto::{Key256, RsaBits, SigningKeyType, default_provider};
use onetap_apdu_spec::header::{Binding, CardId, ServerId};
use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::password::PasswordPolicy;
use onetap_apdu_spec::personal::Personalisation;
use onetap_apdu_spec::rng::Rng;
use onetap_apdu_spec::text::DisplayText;
use onetap_apdu_spec::txn::TransactionType;
use onetap_applet::card::{Millis, VirtualClock};
use onetap_applet::front::panel::{Panel, PanelConfig};
use onetap_applet::nvm::MemoryImage;
use onetap_applet::{Card, DEBOUNCE_MS, Environment, SharedCard};
use onetap_conformance::reader::InProcessReader;
use onetap_conformance::target::samples;
use onetap_pcsc_host::{Deadline, Draft, Terminal};
use time::macros::datetime;

use crate::browser::Browser;

const CARD_KEY: &[u8] = include_bytes!("../../../applet/tests/data/card-key.pk8");

/// SplitMix64: the same numbers each time, for tests only.
struct Seeded(u64);

impl Rng for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            *byte = (z >> 56) as u8;
        }
    }
}

pub(crate) struct Scene {
    pub(crate) panel: Panel,
    pub(crate) card: SharedCard,
    pub(crate) clock: VirtualClock,
    terminal: Terminal,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let clock = VirtualClock::at(Millis(1_000_000));
        let env = Environment {
            crypto: default_provider(),
            rng: Box::new(Seeded(1)),
            clock: Box::new(clock.clone()),
            ..Environment::default()
        };
        let pin = samples::PIN.parse().unwrap();
        let nvm = Box::new(MemoryImage::default());
        let card = Card::personalise_with_key(order(), pin, CARD_KEY, nvm, env).unwrap().0;
        let card: SharedCard = Arc::new(Mutex::new(card));
        let config = PanelConfig { clock: Some(clock.clone()), ..PanelConfig::default() };
        let panel = Panel::serve(Arc::clone(&card), config).unwrap();
        let id = "POS00001".parse().unwrap();
        let terminal = Terminal::with(id, || datetime!(2026-07-01 12:00:00).into(), Seeded(2));
        Self { panel, card, clock, terminal }
    }

    /// A payment that takes the PIN, up to its first page.
    pub(crate) fn tap(&mut self) {
        let mut reader = InProcessReader::new(Arc::clone(&self.card));
        self.terminal.tap(&mut reader, &draft(), &Deadline::after(Duration::from_secs(10))).unwrap();
        self.clock.advance(DEBOUNCE_MS);
    }

    /// The page, once it shows what this card shows.
    pub(crate) fn open(&self, browser: &Browser) {
        browser.open(&self.panel.url());
        browser.until("document.getElementById('screen').textContent !== ''");
    }
}

/// Waits until the page shows this page of the display.
pub(crate) fn shows(browser: &Browser, said: &str) {
    browser.until(&format!("document.getElementById('screen').textContent.includes({said:?})"));
}

fn order() -> Personalisation {
    let suite = "a3+sha256+aes-cbc-cmac+pkcs1".parse().unwrap();
    let (server, card) = (ServerId(*b"testbank"), CardId(*b"card0001"));
    Personalisation {
        binding: Binding { server, card, suite, signing_key: 1, server_key: 0, issuer_key: 1 },
        key_type: SigningKeyType::of(suite.signature(), RsaBits::B2048),
        card_key: Key256::new([7; 32]),
        server_public_key: Vec::new(),
        password: PasswordPolicy::default(),
        confirmation: samples::confirmation(),
    }
}

fn draft() -> Draft {
    Draft {
        kind: TransactionType::Payment,
        payee_account: "DE89370400440532013000".parse().unwrap(),
        payee_name: DisplayText::new("Café Łódź 咖啡店").unwrap(),
        amount: Amount::parse("99.00", "EUR".parse().unwrap()).unwrap(),
        reference: DisplayText::new("Order 17").unwrap(),
        details: Some(DisplayText::new("Two flat whites, one croissant").unwrap()),
    }
}

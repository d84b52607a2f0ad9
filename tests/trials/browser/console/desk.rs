//! A service with accounts, cards and one client of each role, and a browser that shows its console.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fantoccini::key::Key;
use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_conformance::load::api::authorise;
use onetap_server_verifier::EntryId;
use onetap_server_verifier::domain::client::{NewClient, Role};
use onetap_server_verifier::http::{Config, Server};
use onetap_server_verifier::outbox::{Deliverer, DeliveryRules, Reply as Answered, Transport, Undelivered};
use onetap_server_verifier::{Act, Environment, InitOptions, Message, Timestamp, Verifier};
use onetap_trials::fire::client::{Client, Reply};
use onetap_trials::fire::scene::SYMMETRIC;
use onetap_trials::fire::town::Town;

use crate::browser::Browser;

/// Everything between the operator's eyes and the books.
pub(crate) struct Desk {
    pub(crate) browser: Browser,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) town: Town,
    tokens: HashMap<&'static str, String>,
    addr: SocketAddr,
    keys: u64,
    _server: Server,
    folder: tempfile::TempDir,
}

impl Desk {
    /// A console that nobody has signed in to. None where there is no browser.
    pub(crate) fn open() -> Option<Self> {
        let browser = Browser::start()?;
        let folder = tempfile::tempdir().unwrap();
        let options = InitOptions::new("Example Bank");
        let verifier = Verifier::init(&folder.path().join("bank"), options, Environment::system()).unwrap();
        let verifier = Arc::new(verifier);
        let town = Town::found(&verifier, SYMMETRIC.parse().unwrap(), 3, 1, &mut |_| Ok(())).unwrap();
        let terminal = Role::terminal(town.terminals()[0].clone());
        let roles =
            [("pos", terminal), ("olga", Role::Operator), ("arno", Role::Auditor), ("adam", Role::Admin)];
        let tokens = roles.into_iter().map(|(name, role)| (name, add(&verifier, name, role))).collect();
        let config = Config { client_rate: None, card_rate: None, ..Config::default() };
        let server = Server::start(Arc::clone(&verifier), config).unwrap();
        let addr = server.addr();
        let desk = Self { browser, verifier, town, tokens, addr, keys: 0, _server: server, folder };
        desk.browser.open(&desk.url("/console"));
        desk.browser.until("document.activeElement !== null && document.readyState === 'complete'");
        Some(desk)
    }

    /// The same, signed in to.
    pub(crate) fn open_as(name: &str) -> Option<Self> {
        let desk = Self::open()?;
        desk.sign_in(desk.token(name));
        desk.browser.until(&format!("document.getElementById('who').textContent.includes('{name}')"));
        desk.browser.until("document.querySelector('#rate [data-value=executed]')?.textContent === '0'");
        Some(desk)
    }

    pub(crate) fn token(&self, name: &str) -> &str {
        &self.tokens[name]
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn sign_in(&self, token: &str) {
        self.browser.click("#token");
        self.browser.keys(token);
        self.browser.key(Key::Enter);
    }

    pub(crate) fn number(&self, holder: usize) -> AccountNumber {
        self.town.holders()[holder].account.clone()
    }

    /// Types three wrong passwords.
    pub(crate) fn lock(&mut self, holder: usize) -> AccountNumber {
        let payment = self.town.payment(holder, |_| ()).unwrap();
        let wrong = payment.mistyped(0).unwrap();
        for _ in 0..3 {
            assert_eq!(self.send(&wrong).body, onetap_conformance::load::api::REFUSED);
        }
        self.number(holder)
    }

    /// Whether this holder can pay.
    pub(crate) fn pays(&mut self, holder: usize) -> bool {
        let payment = self.town.payment(holder, |_| ()).unwrap();
        self.send(&payment.request).body.starts_with(onetap_conformance::load::api::EXECUTED)
    }

    fn send(&mut self, request: &AuthorisationRequest) -> Reply {
        self.keys += 1;
        let bytes = authorise(self.token("pos"), &format!("key-{}", self.keys), request);
        let address = || Some(self.addr);
        let mut client = Client::new(&address, Duration::from_secs(10), Duration::from_secs(30));
        client.ask(&bytes).unwrap()
    }

    /// Tries once to tell of what happened, in vain: returns the dead letter.
    pub(crate) fn nobody_takes_it(&self) -> EntryId {
        let rules = DeliveryRules { attempts: 1, ..DeliveryRules::default() };
        Deliverer::new(Arc::clone(&self.verifier), Deaf, rules).round().unwrap();
        self.verifier.dead_letters(1).unwrap()[0].message
    }

    /// Searches for an account and waits until it is shown.
    pub(crate) fn find(&self, number: &AccountNumber) {
        self.browser.click("#number");
        self.browser.keys(&number.to_string());
        self.browser.key(Key::Enter);
        self.browser
            .until(&format!("document.getElementById('account-name')?.textContent.includes('{number}')"));
    }

    /// Changes the database past the server.
    pub(crate) fn tamper(&self, sql: &str, value: &str) {
        let database = rusqlite::Connection::open(self.folder.path().join("bank/verifier.db")).unwrap();
        assert_eq!(database.execute(sql, [value]).unwrap(), 1, "{sql}");
    }
}

/// A receiver that takes nothing.
struct Deaf;

impl Transport for Deaf {
    fn send(&self, _message: &Message, _now: Timestamp) -> Result<Answered, Undelivered> {
        Err(Undelivered("the receiver answers 500".into()))
    }
}

fn add(verifier: &Verifier, name: &str, role: Role) -> String {
    let (client, token) = NewClient::with_token(name.parse().unwrap(), role).make(verifier.now());
    verifier.desk(Act::of_program("test", "set-up")).add_client(&client).unwrap();
    token.unwrap().expose().to_owned()
}

/// Waits until the element with this id says so.
pub(crate) fn says(browser: &Browser, id: &str, what: &str) {
    browser.until(&format!("document.getElementById('{id}')?.textContent.includes({what:?})"));
}

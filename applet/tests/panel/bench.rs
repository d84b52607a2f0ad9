//! A card with its panel, and a client that says exactly what it is told to.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onetap_apdu_spec::apdu::{Form, ResponseApdu};
use onetap_apdu_spec::command::{AID, Name};
use onetap_apdu_spec::crypto::{Key256, RsaBits, SigningKeyType};
use onetap_apdu_spec::header::{Binding, CardId, ServerId};
use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::password::PasswordPolicy;
use onetap_apdu_spec::personal::{ConfirmationPolicy, Personalisation};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::text::DisplayText;
use onetap_apdu_spec::tlv::Tag;
use onetap_apdu_spec::txn::{Transaction, TransactionType};
use onetap_applet::card::{Millis, VirtualClock};
use onetap_applet::front::panel::{Field, MemoryMachine, Panel, PanelConfig};
use onetap_applet::nvm::MemoryImage;
use onetap_applet::{Card, DEBOUNCE_MS, Environment, SharedCard};
use serde_json::{Value, json};

const CARD_KEY: &[u8] = include_bytes!("../data/card-key.pk8");
pub(crate) const PIN: &str = "2468";
pub(crate) const START: u64 = 1_000_000;
/// What needs no PIN.
pub(crate) const SMALL: &str = "12.34 EUR";
/// What needs one.
pub(crate) const LARGE: &str = "99.00 EUR";

/// Nothing here takes so long unless something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Bench {
    pub(crate) panel: Panel,
    pub(crate) card: SharedCard,
}

/// A response, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// The code of a refusal, whose shape is checked on the way.
    pub(crate) fn refusal(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 5), "{problem}");
        problem["code"].as_str().unwrap().to_owned()
    }
}

fn environment(clock: &VirtualClock) -> Environment {
    Environment { clock: Box::new(clock.clone()), ..Environment::default() }
}

fn order() -> Personalisation {
    let server = ServerId(*b"testbank");
    let (card, suite): (_, Suite) = (CardId(*b"card0001"), "a3+sha256+aes-cbc-cmac+pkcs1".parse().unwrap());
    Personalisation {
        binding: Binding { server, card, suite, signing_key: 1, server_key: 0, issuer_key: 1 },
        key_type: SigningKeyType::of(suite.signature(), RsaBits::B2048),
        card_key: Key256::new([7; 32]),
        server_public_key: Vec::new(),
        password: PasswordPolicy::default(),
        confirmation: ConfirmationPolicy {
            currency: "EUR".parse().unwrap(),
            key_up_to: 5_000,
            pin_up_to: 100_000,
            key_only_count: 3,
            key_only_sum: 10_000,
        },
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut PanelConfig)) -> Self {
        let (nvm, clock) = (MemoryImage::default(), VirtualClock::at(Millis(START)));
        let pin = PIN.parse().unwrap();
        let made =
            Card::personalise_with_key(order(), pin, CARD_KEY, Box::new(nvm.clone()), environment(&clock));
        let card: SharedCard = Arc::new(Mutex::new(made.unwrap().0));
        let own = clock.clone();
        let machine = MemoryMachine::new(nvm, clock.clone(), move |image| {
            Card::open(Box::new(image), environment(&own))
        });
        let mut config = PanelConfig {
            clock: Some(clock.clone()),
            seed: Some(7),
            machine: Some(Box::new(machine)),
            field: Field::Panel,
            ..PanelConfig::default()
        };
        change(&mut config);
        let panel = Panel::serve(Arc::clone(&card), config).unwrap();
        Self { panel, card }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.panel.addr()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The start of a request, with all it takes to be let in.
    pub(crate) fn head(&self, method: &str, path: &str) -> String {
        let (addr, token) = (self.addr(), self.panel.token());
        format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\n")
    }

    /// Sends a request as it stands and reads the answer up to the end of the connection.
    pub(crate) fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that has read enough may close before all is sent.
        let _ = stream.write_all(request);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let at = bytes
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no head: {bytes:?}"));
        let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = bytes[at + 4..].to_vec();
        Answer { status, head, body }
    }

    pub(crate) fn send(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> Answer {
        let head = self.head(method, path);
        let length = body.len();
        let head = format!(
            "{head}Content-Type: {media_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        self.raw(&[head.as_bytes(), body].concat())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.raw(format!("{}Connection: close\r\n\r\n", self.head("GET", path)).as_bytes())
    }

    pub(crate) fn get_json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, "application/json", body.to_string().as_bytes())
    }

    /// Posts what must succeed.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.ask("POST", path, body);
        assert_eq!(answer.status, 200, "{path} {body}: {answer:?}");
        answer.json()
    }

    pub(crate) fn screen(&self) -> Value {
        self.get_json("/v1/screen")
    }

    pub(crate) fn pass(&self, millis: u64) {
        self.post("/v1/clock", &json!({ "advance_ms": millis }));
    }

    fn exchange(&self, name: Name, tag: Option<Tag>, data: &[u8]) -> Vec<u8> {
        let apdu = name.spec().apdu(tag, data).encode(Form::Extended).unwrap();
        let answer = self.post("/v1/apdu", &json!({ "apdu": hex::encode(apdu) }));
        let response = ResponseApdu::parse(&hex::decode(answer["apdu"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!(response.sw, StatusWord::OK, "{name:?}");
        response.data
    }

    /// One whole contact, over the panel, up to a display that is awake.
    pub(crate) fn tap(&self, amount: &str) {
        self.deliver(amount);
        self.post("/v1/field", &json!({ "on": false }));
        self.pass(DEBOUNCE_MS);
    }

    /// One contact, the card still in the field.
    pub(crate) fn deliver(&self, amount: &str) {
        self.post("/v1/field", &json!({ "on": true }));
        self.exchange(Name::Select, None, &AID);
        let alias = self.exchange(Name::GetData, Some(objects::PAYER_ALIAS), &[]);
        let alias = String::from_utf8(alias[3..].to_vec()).unwrap();
        let message = transaction(&alias, amount).encode().unwrap();
        self.exchange(Name::PutTxn, None, message.bytes());
        self.exchange(Name::GetSignature, None, &[]);
        self.exchange(Name::GetEncPassword, None, &[]);
    }
}

fn transaction(alias: &str, amount: &str) -> Transaction {
    let (value, currency) = amount.split_once(' ').unwrap();
    Transaction {
        kind: TransactionType::Payment,
        payer: alias.parse().unwrap(),
        payee_account: "DE89370400440532013000".parse().unwrap(),
        payee_name: DisplayText::new("Coffee Shop 咖啡店").unwrap(),
        amount: Amount::parse(value, currency.parse().unwrap()).unwrap(),
        at: time::macros::datetime!(2026-01-02 03:04:05),
        terminal: "TERM0001".parse().unwrap(),
        unpredictable_number: [1, 2, 3, 4],
        reference: DisplayText::new("Order 4711").unwrap(),
        details: None,
    }
}

//! A running service with a client of each role, and what terminals send.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use onetap_apdu_spec::service::{AUTHORISATIONS, AuthorisationRequest, IDEMPOTENCY_KEY};
use onetap_server_verifier::domain::client::{ClientRecord, Fingerprint, Role, Secret, Token, TokenRecord};
use onetap_server_verifier::http::{Config, Server};
use onetap_server_verifier::{Act, Verifier};
use serde_json::Value;

use crate::support::{Card, World};
use crate::wire::{Answer, Conn, Request};

/// The cheapest suite that the default policy admits.
pub const SYMMETRIC: &str = "a3+sha256+aes-cbc-cmac+pkcs1";
pub const RSA: &str = "a3+sha256+rsa-oaep+pkcs1";

pub struct Scene {
    pub world: World,
    pub server: Option<Server>,
    pub addr: SocketAddr,
    keys: AtomicU64,
}

/// The token of a client of this name, the same in all scenes of a test run.
pub fn token(id: &str) -> (String, Secret) {
    static MADE: OnceLock<std::sync::Mutex<std::collections::HashMap<String, (String, Secret)>>> =
        OnceLock::new();
    let mut made = MADE.get_or_init(Default::default).lock().unwrap();
    let make = || {
        let (token, secret) = Token::make(&id.parse().unwrap());
        (token.expose().to_owned(), secret)
    };
    made.entry(id.to_owned()).or_insert_with(make).clone()
}

pub fn add(verifier: &Verifier, id: &str, role: Role) {
    add_with(verifier, id, role, Some(token(id).1), None);
}

pub fn add_with(
    verifier: &Verifier,
    id: &str,
    role: Role,
    secret: Option<Secret>,
    certificate: Option<Fingerprint>,
) {
    let id = id.parse().unwrap();
    let added_at = verifier.now();
    let tokens = secret.map(|secret| TokenRecord::first(secret, added_at)).into_iter().collect();
    let client = ClientRecord { id, role, tokens, certificate, added_at, withdrawn_at: None };
    verifier.desk(Act::of_program("test", "set-up")).add_client(&client).unwrap();
}

impl Scene {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    /// Without rate limits, unless `change` sets them.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::around(World::new(), change)
    }

    /// The service of that world.
    pub fn around(world: World, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { client_rate: None, card_rate: None, ..Config::default() };
        change(&mut config);
        let verifier: Arc<Verifier> = Arc::clone(&world.verifier);
        add(&verifier, "pos", Role::terminal("TERM0001".parse().unwrap()));
        add(&verifier, "op", Role::Operator);
        add(&verifier, "aud", Role::Auditor);
        add(&verifier, "adm", Role::Admin);
        let server = Server::start(verifier, config).unwrap();
        let addr = server.addr();
        Self { world, server: Some(server), addr, keys: AtomicU64::new(0) }
    }

    pub fn conn(&self) -> Conn {
        Conn::open(self.addr)
    }

    pub fn ask(&self, request: &Request) -> Answer {
        self.conn().exchange(request)
    }

    pub fn get(&self, who: &str, path: &str) -> Answer {
        self.ask(&Request::new("GET", path).token(&token(who).0))
    }

    pub fn post(&self, who: &str, path: &str, body: &Value) -> Answer {
        self.ask(&Request::new("POST", path).token(&token(who).0).json(body))
    }

    /// A key that was not used before.
    pub fn key(&self) -> String {
        format!("http-{}", self.keys.fetch_add(1, Ordering::SeqCst))
    }

    pub fn authorise(&self, request: &AuthorisationRequest) -> Answer {
        self.ask(&authorisation(&self.key(), request))
    }

    pub fn card(&self, suite: &str) -> Card {
        self.world.card(suite)
    }
}

pub fn authorisation(key: &str, request: &AuthorisationRequest) -> Request {
    let request_body = body(request);
    Request::new("POST", AUTHORISATIONS)
        .token(&token("pos").0)
        .header(IDEMPOTENCY_KEY, key)
        .json(&request_body)
}

pub fn body(request: &AuthorisationRequest) -> Value {
    serde_json::to_value(request).unwrap()
}

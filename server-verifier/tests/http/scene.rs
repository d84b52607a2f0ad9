//! A running service with a client of each role, and what terminals send.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use onetap_apdu_spec::service::{AUTHORISATIONS, AuthorisationRequest, IDEMPOTENCY_KEY};
use onetap_server_verifier::http::clients::{
    ClientId, ClientRecord, Clients, Credential, MemoryClients, Role, Token,
};
use onetap_server_verifier::http::{Config, Server};
use onetap_server_verifier::{Timestamp, Verifier};
use serde_json::Value;

use crate::support::{Card, World};
use crate::wire::{Answer, Conn, Request};

/// The cheapest suite that the default policy admits.
pub const SYMMETRIC: &str = "a3+sha256+aes-cbc-cmac+pkcs1";
pub const RSA: &str = "a3+sha256+rsa-oaep+pkcs1";

pub struct Scene {
    pub world: World,
    pub clients: Arc<MemoryClients>,
    pub server: Option<Server>,
    pub addr: SocketAddr,
    keys: AtomicU64,
}

/// A token of a client of each name, its secret hashed once in a test run.
pub fn token(id: &str) -> (String, String) {
    static MADE: OnceLock<std::sync::Mutex<std::collections::HashMap<String, (String, String)>>> =
        OnceLock::new();
    let mut made = MADE.get_or_init(Default::default).lock().unwrap();
    let make = || {
        let (token, hash) = Token::make(&id.parse().unwrap()).unwrap();
        (token.expose().to_owned(), hash)
    };
    made.entry(id.to_owned()).or_insert_with(make).clone()
}

pub fn add(clients: &dyn Clients, id: &str, role: Role) {
    add_with(clients, id, role, Credential::Token(token(id).1));
}

pub fn add_with(clients: &dyn Clients, id: &str, role: Role, credential: Credential) {
    let id: ClientId = id.parse().unwrap();
    let record = ClientRecord { id, role, credential, added_at: Timestamp(0), withdrawn_at: None };
    assert!(clients.add(&record).unwrap());
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
        let clients = Arc::new(MemoryClients::default());
        add(&*clients, "pos", Role::Terminal("TERM0001".parse().unwrap()));
        add(&*clients, "op", Role::Operator);
        add(&*clients, "aud", Role::Auditor);
        add(&*clients, "adm", Role::Admin);
        let verifier: Arc<Verifier> = Arc::clone(&world.verifier);
        let server = Server::start(verifier, Arc::clone(&clients) as Arc<dyn Clients>, config).unwrap();
        let addr = server.addr();
        Self { world, clients, server: Some(server), addr, keys: AtomicU64::new(0) }
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

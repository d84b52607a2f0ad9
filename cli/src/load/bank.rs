//! The service under load, as its admin reaches it: what is made there, and what is left.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::clock::Timestamp;
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::personal::{CardOrder, EnrolmentStatement};
use onetap_apdu_spec::rng::{OsRng, Rng as _};
use onetap_apdu_spec::service::{ProblemKind, Role};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::TerminalId;
use onetap_pcsc_host::http::{Credentials, HttpConfig, HttpService};
use onetap_pcsc_host::service::{NotReady, ServiceError};
use onetap_pcsc_host::{Deadline, Service as _};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::progress::Progress;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause before an act that came too soon is repeated, where the server does not name one.
const MOMENT: Duration = Duration::from_secs(1);
/// The tokens that are made are good for so many seconds, should nobody come to withdraw them.
const GOOD_FOR: i64 = 24 * 60 * 60;

/// The service, and what was made there.
pub(super) struct Bank<'a> {
    url: String,
    config: HttpConfig,
    admin: HttpService,
    desk: HttpService,
    reason: String,
    /// How the names of all begin that is made.
    name: String,
    terminal: TerminalId,
    till: Zeroizing<String>,
    /// Seconds that a payment may be old when it comes.
    max_age: u32,
    /// Numbers the idempotency keys.
    acts: AtomicU64,
    made: Mutex<Made>,
    stop: &'a AtomicBool,
}

/// What was made.
#[derive(Default)]
struct Made {
    accounts: u64,
    /// What they were given, in all.
    cents: u64,
    /// Those that can pay.
    cards: Vec<CardId>,
}

/// An account as its holder's card needs it.
pub(super) struct Opened {
    pub(super) number: AccountNumber,
    pub(super) holder: String,
    pub(super) order: CardOrder,
}

#[derive(Deserialize)]
struct AccountBody {
    number: AccountNumber,
    balance: i64,
}

#[derive(Deserialize)]
struct ClientBody {
    token: Option<String>,
}

impl<'a> Bank<'a> {
    /// Makes a terminal there, a client that speaks for it, and one that orders cards. Once `stop` is set nothing more is made.
    pub(super) fn enter(mut config: HttpConfig, reason: &str, stop: &'a AtomicBool) -> Result<Self, Failure> {
        // What is measured is the server, not a proxy on the way to it.
        config.proxy_from_environment = false;
        let url = config.url.trim_end_matches('/').to_owned();
        let admin = HttpService::new(HttpConfig { url: url.clone(), ..again(&config) })?;
        let standing = admin.standing(&Deadline::after(PATIENCE)).map_err(NotReady::from)?;
        if standing.role != Role::Admin {
            let (client, role) = (&standing.client, standing.role);
            return Err(Failure::Usage(format!(
                "the server knows this client, {client}, as {role}: a load makes accounts and money, so give an admin's token"
            )));
        }
        let mut random = [0; 2];
        OsRng.fill(&mut random);
        let drawn = hex::encode_upper(random);
        let terminal = format!("LOAD{drawn}").parse().map_err(|_| strange("a terminal's id"))?;
        let mut bank = Self {
            url,
            desk: HttpService::new(again(&config))?,
            config,
            admin,
            reason: reason.to_owned(),
            name: format!("load-{}", drawn.to_lowercase()),
            terminal,
            till: Zeroizing::default(),
            max_age: standing.max_age,
            acts: AtomicU64::new(0),
            made: Mutex::default(),
            stop,
        };
        bank.hire(standing.time)?;
        Ok(bank)
    }

    /// Makes the terminal and the clients.
    fn hire(&mut self, now: Timestamp) -> Result<(), Failure> {
        let terminal = self.terminal.as_str();
        self.act("/v1/terminals", &json!({ "terminal": terminal, "reason": self.reason }))?;
        let expires = Timestamp(now.0.saturating_add(GOOD_FOR));
        let client = |role: Role, terminals: &[&str]| -> Result<Zeroizing<String>, Failure> {
            let body = json!({ "client": format!("{}-{role}", self.name), "role": role, "terminals": terminals,
                "token": false, "expires_at": expires, "reason": self.reason });
            let made: ClientBody = self.ask(&self.admin, "/v1/clients", &body)?;
            made.token.map(Zeroizing::new).ok_or_else(|| strange("a client's token"))
        };
        let (till, desk) = (client(Role::Terminal, &[terminal])?, client(Role::Operator, &[])?);
        let token = Credentials::token(&desk).map_err(|_| strange("a token"))?;
        let credentials = token.and(self.config.credentials.clone());
        self.desk = HttpService::new(HttpConfig { credentials, ..again(&self.config) })?;
        self.till = till;
        Ok(())
    }

    /// # Errors
    /// All is to end.
    pub(super) fn go_on(&self) -> Result<(), Failure> {
        if self.stop.load(Ordering::SeqCst) {
            return Err(Failure::Interrupted);
        }
        Ok(())
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The server's name and port, as requests have it.
    pub(super) fn host(&self) -> &str {
        self.url.split_once("://").map_or(self.url.as_str(), |(_, host)| host)
    }

    pub(super) fn terminal(&self) -> &TerminalId {
        &self.terminal
    }

    /// The token of the client that speaks for the terminal.
    pub(super) fn till(&self) -> &str {
        &self.till
    }

    /// An idempotency key that was not used before.
    pub(super) fn key(&self, of: &str) -> String {
        format!("{}-{of}-{}", self.name, self.acts.fetch_add(1, Ordering::Relaxed))
    }

    /// What a connection of one's own needs.
    pub(super) fn tls(&self) -> Result<rustls::ClientConfig, rustls::Error> {
        self.config.tls()
    }

    /// Opens an account with so many cents, and orders a card for it.
    pub(super) fn open(&self, number: u32, cents: u64, suite: Suite) -> Result<Opened, Failure> {
        let holder = format!("{} {number}", self.name);
        let body = json!({ "holder": holder, "currency": "EUR", "kind": "current", "opening_balance": cents,
            "reason": self.reason });
        let account: AccountBody = self.ask(&self.admin, "/v1/accounts", &body)?;
        let mut made = self.made();
        (made.accounts, made.cents) = (made.accounts + 1, made.cents + cents);
        drop(made);
        let order =
            self.ask(&self.desk, "/v1/cards", &json!({ "account": account.number, "suite": suite }))?;
        Ok(Opened { number: account.number, holder, order })
    }

    /// Has a card that was made take up its work.
    pub(super) fn activate(&self, statement: &EnrolmentStatement) -> Result<(), Failure> {
        let _active: IgnoredAny = self.ask(&self.desk, "/v1/cards/activate", statement)?;
        self.made().cards.push(statement.binding.card);
        Ok(())
    }

    /// Refuses to begin to send what is so old now, and takes so long to send, that the server would find the last too old.
    pub(super) fn still_good(&self, old: Duration, sending: Duration) -> Result<(), Failure> {
        let age = (old + sending).as_secs_f64();
        if age < f64::from(self.max_age) {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "the last payment would be {age:.0} s old, and the server takes none older than {} s: sign fewer, or raise max-age \
             there (`onetap verifier policy set`)",
            self.max_age
        )))
    }

    /// What the accounts hold, in their order.
    pub(super) fn balances<'n>(
        &self,
        accounts: impl ExactSizeIterator<Item = &'n AccountNumber>,
    ) -> Result<Vec<i64>, Failure> {
        let (all, progress) = (accounts.len() as u64, Progress::begin("reading the balances"));
        let balance = |number: &AccountNumber| {
            progress.one_of(all);
            let path = format!("/v1/accounts/{number}");
            let found = self.patiently(|| self.desk.get::<AccountBody>(&path, &Deadline::after(PATIENCE)));
            found.map(|account| account.balance)
        };
        accounts.map(balance).collect()
    }

    /// Withdraws clients and terminal and blocks the cards; says what stays.
    pub(super) fn leave(&self) -> Result<String, Failure> {
        let made = self.made();
        let (reason, progress) = (json!({ "reason": self.reason }), Progress::begin("blocking the cards"));
        for card in &made.cards {
            let _blocked: IgnoredAny = self.ask(&self.desk, &format!("/v1/cards/{card}/block"), &reason)?;
            progress.one_of(made.cards.len() as u64);
        }
        for role in [Role::Terminal, Role::Operator] {
            self.act(&format!("/v1/clients/{}-{role}/withdraw", self.name), &reason)?;
        }
        self.act(&format!("/v1/terminals/{}/withdraw", self.terminal.as_str()), &reason)?;
        Ok(format!(
            "{} accounts, \"{} 0\" and so on, with {}.{:02} EUR in all; their cards are blocked, terminal and clients \
             withdrawn",
            made.accounts,
            self.name,
            made.cents / 100,
            made.cents % 100
        ))
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An act of the admin, whose answer does not matter.
    fn act(&self, path: &str, body: &Value) -> Result<(), Failure> {
        let _done: IgnoredAny = self.ask(&self.admin, path, body)?;
        Ok(())
    }

    fn ask<T: DeserializeOwned + Send + 'static>(
        &self,
        who: &HttpService,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Failure> {
        let key = self.key("act").parse().map_err(|_| strange("an idempotency key"))?;
        self.patiently(|| who.post(path, Some(&key), body, &Deadline::after(PATIENCE)))
    }

    /// Waits where the server asks for it.
    fn patiently<T>(&self, ask: impl Fn() -> Result<T, ServiceError>) -> Result<T, Failure> {
        loop {
            match ask() {
                Err(error) if error.problem() == Some(ProblemKind::TooMany) => {
                    std::thread::sleep(error.retry_after().unwrap_or(MOMENT));
                }
                answered => return answered.map_err(|error| NotReady::from(error).into()),
            }
        }
    }
}

/// The same way to the same server.
fn again(config: &HttpConfig) -> HttpConfig {
    HttpConfig {
        provider: Arc::clone(&config.provider),
        url: config.url.clone(),
        roots: config.roots.clone(),
        credentials: config.credentials.clone(),
        ..*config
    }
}

fn strange(what: &str) -> Failure {
    Failure::NotAsExpected(format!("the server did not answer with {what}"))
}

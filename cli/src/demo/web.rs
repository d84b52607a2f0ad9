//! `onetap demo --web`: card, terminal and server side by side on one page. The terminal can be told to
//! lie: before the tap, the card's own display shows it; after the tap, the server refuses.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::service::Answer;
use onetap_applet::card::VirtualClock;
use onetap_applet::front::panel::{File, Panel, PanelConfig, Stage};
use onetap_conformance::world::{Route, World};
use onetap_pcsc_host::Tapped;
use onetap_server_verifier::AccountView;
use onetap_server_verifier::{Act, Actor};
use serde::Deserialize;
use serde_json::{Value, json};

use super::lie::alter_amount;
use crate::act::act;
use crate::args;
use crate::exit::Failure;
use crate::files;
use crate::output::Output;
use crate::verifier::balance;

/// How often the card's clock is set to the time that has passed.
const TICK: Duration = Duration::from_millis(20);
/// Highest price, in cents.
const MOST: u64 = 50_00;
/// What a lying terminal gives the card in place of the price, besides its cents.
const STOLEN: u64 = 99_00;
const FILES: [File; 3] = [
    File { path: "/demo", media_type: "text/html; charset=utf-8", content: include_str!("web/demo.html") },
    File { path: "/demo.css", media_type: "text/css; charset=utf-8", content: include_str!("web/demo.css") },
    File {
        path: "/demo.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("web/demo.js"),
    },
];

/// Serves the page until the program is ended.
pub(super) fn serve(options: &args::Demo, out: Output) -> Result<(), Failure> {
    let folder = files::temporary_folder()?;
    let world = World::by(&act(None, "set-up"), folder.path(), options.profile, Route::InProcess)?;
    let (card, clock) = (world.card.clone(), world.clock.clone());
    let shop = Shop { world: Mutex::new(Counter { world, open: None, attempts: 0 }) };
    let config =
        PanelConfig { stage: Some(Box::new(shop)), clock: Some(clock.clone()), ..PanelConfig::default() };
    let panel = Panel::serve(card, config)?;
    let url = panel.url_of("/demo");
    out.result(&json!({ "demo": url }), format!("open {url}\nend with Ctrl-C"))?;
    keep_time(&clock)
}

/// The card's clock runs as fast as the machine's.
fn keep_time(clock: &VirtualClock) -> ! {
    let mut last = Instant::now();
    loop {
        thread::sleep(TICK);
        let passed = last.elapsed();
        let millis = u64::try_from(passed.as_millis()).unwrap_or(0);
        last += Duration::from_millis(millis);
        clock.advance(millis);
    }
}

/// The shop and the bank, as the page moves them.
struct Shop {
    world: Mutex<Counter>,
}

/// What stands at the counter.
struct Counter {
    world: World,
    /// The payment that was tapped and not yet sent.
    open: Option<Payment>,
    attempts: u32,
}

struct Payment {
    tapped: Tapped,
    tamper: Tamper,
}

/// When the terminal lies about the amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Tamper {
    /// Never.
    No,
    /// Before the tap: the card is given more than the customer was told.
    Before,
    /// After the tap: the server is sent more than the card signed.
    After,
}

/// A price and what the terminal does with it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tap {
    cents: u64,
    tamper: Tamper,
}

/// What the holder typed at the terminal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    password: String,
}

impl Stage for Shop {
    fn files(&self) -> Vec<File> {
        FILES.to_vec()
    }

    fn act(&self, action: &str, body: &Value) -> Result<Value, String> {
        let mut counter = self.counter();
        match action {
            "look" => counter.look(None),
            "tap" => counter.tap(&read(body)?),
            "send" => counter.send(&read(body)?),
            "unlock" => counter.unlock(),
            _ => Err("the demonstration knows look, tap, send and unlock".to_owned()),
        }
    }
}

impl Shop {
    fn counter(&self) -> MutexGuard<'_, Counter> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<'de, T: Deserialize<'de>>(body: &'de Value) -> Result<T, String> {
    T::deserialize(body).map_err(|why| why.to_string())
}

impl Counter {
    /// One contact; the card has the payment in it, and the terminal waits for the password.
    fn tap(&mut self, order: &Tap) -> Result<Value, String> {
        if order.cents == 0 || order.cents > MOST {
            return Err("give a price from 0.01 to 50.00".to_owned());
        }
        let cents = if order.tamper == Tamper::Before { STOLEN + order.cents % 100 } else { order.cents };
        let draft = self.world.draft(cents).map_err(told)?;
        let tapped = self.world.plain_tap(&draft).map_err(told)?;
        self.open = Some(Payment { tapped, tamper: order.tamper });
        self.look(None)
    }

    /// The terminal sends what it has, with the password that was typed.
    fn send(&mut self, typed: &Typed) -> Result<Value, String> {
        // A slip of the finger does not cost the payment.
        let right_form = typed.password.split_whitespace().collect::<String>().parse::<Password>();
        right_form.map_err(|_| "type the password that the card's display shows")?;
        let payment = self.open.take().ok_or("tap the card first")?;
        let mut request = World::type_in(payment.tapped, &typed.password).map_err(told)?;
        if payment.tamper == Tamper::After {
            alter_amount(&mut request);
        }
        self.attempts += 1;
        let outcome = self.world.send(&format!("attempt-{}", self.attempts), &request).map_err(told)?;
        self.look(Some(&outcome))
    }

    /// The operator unlocks the payer's account.
    fn unlock(&mut self) -> Result<Value, String> {
        self.world
            .server
            .desk(Act::new(Actor::Operator("operator".into()), "demonstration"))
            .unlock(&self.world.payer)
            .map_err(told)?;
        self.look(None)
    }

    /// What terminal and server show.
    fn look(&self, outcome: Option<&Answer>) -> Result<Value, String> {
        let [payer, payee] = [&self.world.payer, &self.world.payee]
            .map(|number| self.world.server.account(number).map_err(told));
        let (payer, payee) = (payer?, payee?);
        let line = |account: &AccountView| json!({ "holder": account.holder, "balance": balance(account.balance, account.currency) });
        Ok(json!({
            "waits": self.open.is_some(),
            "outcome": outcome.map(Answer::to_string),
            "locked": payer.locked.is_some(),
            "accounts": [line(&payer), line(&payee)],
        }))
    }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

//! `onetap demo`: a whole payment, told as it happens, and what becomes of those who cheat.

mod interactive;
mod lie;
mod narrate;
mod network;
mod report;
mod web;

use std::path::Path;

use onetap_apdu_spec::service::{Answer, AuthorisationRequest};
use onetap_apdu_spec::suite::Suite;
use onetap_conformance::world::{BALANCE, PAYEE, PAYER, Route, WAIT, World, WorldError};
use onetap_pcsc_host::service::NotReady;
use onetap_pcsc_host::{Deadline, Tapped};

use crate::act::act;
use crate::args;
use crate::exit::Failure;
use crate::files;
use crate::output::Output;
use crate::verifier::balance;
use lie::alter_amount;
use narrate::Narrating;
use onetap_server_verifier::{Act, Actor};
use report::{Entry, Report};

/// What the story's payments cost, in cents. The first takes the PIN, the later ones the key only.
const LARGE: u64 = 80_00;
const SMALL: u64 = 4_20;

pub(crate) fn run(options: &args::Demo, out: Output) -> Result<(), Failure> {
    if options.list_profiles {
        return Suite::all().try_for_each(|suite| {
            let danger = suite.danger().map(|danger| danger.to_string());
            let note =
                danger.as_ref().map_or_else(String::new, |why| format!("   refused by default: {why}"));
            out.result(&serde_json::json!({ "suite": suite, "danger": danger }), format!("{suite}{note}"))
        });
    }
    if options.web {
        return web::serve(options, out);
    }
    if options.network {
        return network::run(options.profile, out);
    }
    let route = if options.pcsc { Route::first_virtual_reader()? } else { Route::InProcess };
    let suites: Vec<Suite> =
        if options.all_profiles { Suite::all().collect() } else { vec![options.profile] };
    let folder = files::temporary_folder()?;
    let mut report = Report::default();
    for suite in suites {
        let folder = folder.path().join(suite.to_string());
        std::fs::create_dir(&folder).map_err(|source| Failure::file("make", &folder, source))?;
        let mut story = Story::new(suite, route.clone(), &folder, options, out)?;
        let entry = if options.all_profiles { story.payment()? } else { story.whole()? };
        report.add(entry);
    }
    report.finish(out)
}

/// One suite's story.
struct Story<'o> {
    suite: Suite,
    world: World,
    options: &'o args::Demo,
    out: Output,
    attempts: u32,
}

impl<'o> Story<'o> {
    fn new(
        suite: Suite,
        route: Route,
        folder: &Path,
        options: &'o args::Demo,
        out: Output,
    ) -> Result<Self, Failure> {
        let way = match &route {
            Route::InProcess => "in this process".to_owned(),
            Route::Pcsc(name, _) => format!("through pcscd, reader {name}"),
        };
        let world = World::by(&act(None, "set-up"), folder, suite, route)?;
        let story = Self { suite, world, options, out, attempts: 0 };
        if options.all_profiles {
            return Ok(story);
        }
        story.title(&format!("The stage: profile {suite}, card {way}"))?;
        if let Some(danger) = suite.danger() {
            story.tell(&format!("NOTE    a server refuses this profile by default: {danger}"))?;
        }
        story.tell(&format!(
            "Server  {PAYER} has account {} with {}",
            story.world.payer,
            story.money(BALANCE)
        ))?;
        story.tell(&format!("Server  {PAYEE} has account {}", story.world.payee))?;
        story
            .tell("Issuer  made Ada's card: it drew its own RSA key, the server enrolled the public half")?;
        Ok(story)
    }

    /// A payment, a lying terminal, three wrong passwords, the operator.
    fn whole(&mut self) -> Result<Entry, Failure> {
        let mut entry = self.payment()?;
        entry.tampered = Some(self.tampered()?);
        entry.wrong_passwords = self.three_wrong()?;
        entry.locked = Some(self.is_locked()?);
        entry.while_locked = Some(self.right_password_while_locked()?);
        entry.after_unlock = Some(self.unlocked()?);
        Ok(entry)
    }

    fn payment(&mut self) -> Result<Entry, Failure> {
        self.title("One tap: the card signs and leaves")?;
        let tapped = self.tap(LARGE)?;
        self.title("Off line: only now the card's own display shows what was signed")?;
        let password = self.holder_confirms()?;
        self.title("The holder types the joint password; only now the terminal asks the server")?;
        let outcome = self.send(tapped, &password)?;
        self.tell(&format!("Server  {}", self.balances()?))?;
        Ok(Entry::new(self.suite, outcome))
    }

    fn tampered(&mut self) -> Result<&'static str, Failure> {
        self.title("A terminal that lies: it alters the amount after the tap")?;
        let tapped = self.tap(SMALL)?;
        let password = self.holder_confirms()?;
        let mut request = World::type_in(tapped, &password)?;
        alter_amount(&mut request);
        self.tell("Terminal alters 4.20 to 99.20 in the signed transaction and sends it")?;
        self.decide(&request)
    }

    fn three_wrong(&mut self) -> Result<Vec<&'static str>, Failure> {
        self.title("Three wrong passwords: after the third the account is locked")?;
        (1..=3)
            .map(|_| {
                let tapped = self.tap(SMALL)?;
                let shown = self.holder_confirms()?;
                if self.options.interactive {
                    self.tell("Now type a password that the card does not show, such as 12345678")?;
                }
                self.send(tapped, &other_than(&shown))
            })
            .collect()
    }

    fn is_locked(&self) -> Result<bool, Failure> {
        let locked = self.world.server.account(&self.world.payer)?.locked.is_some();
        self.tell(&format!("Server  {PAYER}'s account is {}", if locked { "LOCKED" } else { "open" }))?;
        Ok(locked)
    }

    fn right_password_while_locked(&mut self) -> Result<&'static str, Failure> {
        self.title("Locked means locked: the right password is refused as well")?;
        self.pay_small()
    }

    fn unlocked(&mut self) -> Result<&'static str, Failure> {
        self.title("The operator unlocks the account, on record; everything signed before is void")?;
        let account = self.world.payer.clone();
        self.world
            .server
            .desk(Act::new(Actor::Operator("operator".into()), "holder identified at the counter"))
            .unlock(&account)?;
        self.tell("Operator unlocks the account")?;
        let outcome = self.pay_small()?;
        self.world.server.audit_verify()?;
        self.world.server.ledger_check()?;
        self.tell(&format!("Server  {}; the audit chains and the ledger hold", self.balances()?))?;
        Ok(outcome)
    }

    fn pay_small(&mut self) -> Result<&'static str, Failure> {
        let tapped = self.tap(SMALL)?;
        let password = self.holder_confirms()?;
        self.send(tapped, &password)
    }

    /// Exactly one contact, told APDU by APDU the first time.
    fn tap(&mut self, cents: u64) -> Result<Tapped, Failure> {
        let draft = self.world.draft(cents)?;
        self.tell(&format!("Terminal wants {} for {}", draft.amount, draft.payee_name))?;
        let told = (self.attempts == 0 && !self.options.all_profiles).then_some(self.out);
        let tapped = self.world.tap(&draft, &mut |reader, terminal, draft| {
            terminal.tap(&mut Narrating::new(reader, told), draft, &Deadline::after(WAIT))
        })?;
        self.tell("Card    has given signature and encrypted password, and leaves the field")?;
        Ok(tapped)
    }

    fn holder_confirms(&self) -> Result<String, Failure> {
        if self.options.interactive {
            return interactive::confirm(&self.world, self.out);
        }
        let first = self.attempts == 0 && !self.options.all_profiles;
        let mut frames = Vec::new();
        let password = self.world.holder().confirm(&mut |screen| frames.push(screen.to_string()))?;
        for frame in frames.iter().filter(|_| first) {
            self.tell(frame.trim_end())?;
        }
        self.tell("Holder  reads the display, confirms on the card's keys, reads the joint password")?;
        Ok(password)
    }

    fn send(&mut self, tapped: Tapped, password: &str) -> Result<&'static str, Failure> {
        let request = if self.options.interactive {
            interactive::type_in(tapped)?
        } else {
            self.tell(&format!("Holder  types {password} at the terminal"))?;
            World::type_in(tapped, password)?
        };
        self.decide(&request)
    }

    fn decide(&mut self, request: &AuthorisationRequest) -> Result<&'static str, Failure> {
        self.attempts += 1;
        let outcome = self.world.send(&format!("attempt-{}", self.attempts), request)?;
        let name: &'static str = (&outcome).into();
        match &outcome {
            Answer::Executed { receipt } => {
                let paid = self.money(receipt.amount);
                self.tell(&format!(
                    "Server  EXECUTED: {paid} to {}, receipt {}",
                    receipt.payee_name, receipt.transaction
                ))?;
            }
            _ => self.tell(&format!("Server  {}", name.to_uppercase()))?,
        }
        Ok(name)
    }

    fn balances(&self) -> Result<String, Failure> {
        let [payer, payee] =
            [&self.world.payer, &self.world.payee].map(|number| self.world.server.account(number));
        let (payer, payee) = (payer?, payee?);
        Ok(format!(
            "{} now has {}, {} has {}",
            payer.holder,
            balance(payer.balance, payer.currency),
            payee.holder,
            balance(payee.balance, payee.currency)
        ))
    }

    fn money(&self, cents: u64) -> String {
        self.world.draft(cents).map_or_else(|_| String::new(), |draft| draft.amount.to_string())
    }

    fn title(&self, text: &str) -> Result<(), Failure> {
        if self.options.all_profiles { Ok(()) } else { self.out.say(format!("\n── {text}")) }
    }

    fn tell(&self, text: &str) -> Result<(), Failure> {
        if self.options.all_profiles {
            return Ok(());
        }
        let indented: Vec<_> = text.lines().map(|line| format!("   {line}")).collect();
        self.out.say(indented.join("\n"))
    }
}

/// A guess of the right form that is wrong.
fn other_than(password: &str) -> String {
    let guess = "12345678";
    if password == guess { "87654321".to_owned() } else { guess.to_owned() }
}

impl From<WorldError> for Failure {
    fn from(error: WorldError) -> Self {
        match error {
            WorldError::Server(error) => error.into(),
            WorldError::Card(error) => error.into(),
            WorldError::Host(error) => error.into(),
            WorldError::NoAnswer(error) => NotReady::from(error).into(),
            WorldError::Keyboard(error) => error.into(),
            WorldError::Scenario(why) => Self::NotAsExpected(why),
        }
    }
}

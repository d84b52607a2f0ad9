//! The issuer's side of `onetap card`, over GlobalPlatform: makes cards, issues them, and manages them later.

use std::path::Path;

use onetap_apdu_spec::gp::ceremony::Issue;
use onetap_apdu_spec::gp::life_cycle::{ApplicationState, CardLifeCycle};
use onetap_apdu_spec::gp::registry::{Entry, RegistryEntry, Scope, SetStatus};
use onetap_apdu_spec::gp::scp03::SecurityLevel;
use onetap_apdu_spec::gp::{Ins, KeySet, KeyVersion, SIGNING_APPLET};
use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::personal::{CardOrder, EnrolmentStatement};
use onetap_apdu_spec::rng::OsRng;
use onetap_applet::nvm::ImageFile;
use onetap_applet::{Card, Environment, Pin};
use onetap_pcsc_host::Transport;
use onetap_pcsc_host::gp::{self, Issuer, IssuerError};
use serde::Serialize;
use serde_json::json;

use super::place::{expect, issuer, issuer_keys, key_information, with_card};
use super::press::DURABLE;
use crate::args;
use crate::exit::Failure;
use crate::files::{self, NewFile, Secrecy};
use crate::output::Output;

const PIN_QUESTION: &str = "PIN for the new card (4 to 12 digits): ";
const NEW_PIN_QUESTION: &str = "new PIN for the card (4 to 12 digits): ";

/// A card as it leaves its manufacturer.
pub(super) fn blank(made: &args::Made, out: Output) -> Result<(), Failure> {
    manufacture(made)?;
    let image = &made.image;
    let prose = format!("blank card made in {}; issue it with `onetap card issue`", image.display());
    out.result(&json!({ "image": image.to_string_lossy(), "blank": true }), prose)
}

/// Makes a card and issues it. If that fails, no image is left.
pub(super) fn new(made: &args::Made, options: &args::IssueOrder, out: Output) -> Result<(), Failure> {
    let ready = Ready::new(options)?;
    manufacture(made)?;
    let image = &made.image;
    let place = args::Place { image: Some(image.clone()), reader: None };
    let issued = with_card(&place, |card| ready.issue(card, made.scp03.highest_level()));
    let issued = issued.and_then(|statement| ready.record(&statement, out)).inspect_err(|_| {
        // The file was made here, a moment ago, and holds no card, or one whose statement is lost.
        let _ = std::fs::remove_file(image);
    });
    match issued? {
        Some((card, path)) => {
            let result = json!({
                "card": card,
                "image": image.to_string_lossy(),
                "statement": path.to_string_lossy(),
            });
            out.result(&result, format!("card {card} made; activate it with its statement"))
        }
        None => Ok(()),
    }
}

/// Issues a blank card.
pub(super) fn issue(
    place: &args::Place,
    channel: args::Channel,
    options: &args::IssueOrder,
    out: Output,
) -> Result<(), Failure> {
    let ready = Ready::new(options)?;
    let statement = with_card(place, |card| ready.issue(card, channel.security_level))?;
    match ready.record(&statement, out)? {
        Some((card, path)) => {
            let result = json!({ "card": card, "statement": path.to_string_lossy() });
            out.result(&result, format!("card {card} issued; activate it with its statement"))
        }
        None => Ok(()),
    }
}

fn manufacture(made: &args::Made) -> Result<(), Failure> {
    let nvm = ImageFile::create(&made.image, DURABLE)?;
    let card = Card::manufacture_with(made.scp03, Box::new(nvm), Environment::default());
    card.map(drop).map_err(|error| {
        // Made here, a moment ago.
        let _ = std::fs::remove_file(&made.image);
        error.into()
    })
}

/// All that it takes to issue a card, before anything is done to one.
struct Ready<'o> {
    order: CardOrder,
    pin: Pin,
    file: Option<NewFile<'o>>,
    path: Option<&'o Path>,
}

impl<'o> Ready<'o> {
    fn new(options: &'o args::IssueOrder) -> Result<Self, Failure> {
        let order = files::read_json(&options.order, "a card order")?;
        let pin = files::pin(options.pin.as_deref(), PIN_QUESTION)?;
        let path = options.statement.as_deref();
        let file = path.map(|path| NewFile::create(path, Secrecy::Public)).transpose()?;
        Ok(Self { order, pin, file, path })
    }

    /// The card makes its key, takes order and PIN, and from then on knows its issuer by the order's keys.
    fn issue(&self, card: &mut dyn Transport, level: SecurityLevel) -> Result<EnrolmentStatement, Failure> {
        expect(&key_information(card)?, KeyVersion::INITIAL)?;
        let forgotten = KeySet::draw(KeyVersion::FIRST, &mut OsRng);
        let new_keys = self.order.management.as_ref().unwrap_or(&forgotten);
        let order = &self.order.personalisation;
        let issue = Issue { keys: &KeySet::TEST, level, order, pin: &self.pin, new_keys: Some(new_keys) };
        Ok(gp::personalise(card, &issue, &mut OsRng)?)
    }

    /// Writes the statement: to its file, whose name is given then, or to standard output.
    fn record(
        self,
        statement: &EnrolmentStatement,
        out: Output,
    ) -> Result<Option<(CardId, &'o Path)>, Failure> {
        match self.file {
            Some(file) => file.write_json(statement)?,
            None => out.json_line(statement)?,
        }
        Ok(self.path.map(|path| (statement.binding.card, path)))
    }
}

/// Gives the holder a new PIN with all its tries.
pub(super) fn unblock(
    place: &args::Place,
    channel: args::Channel,
    by: &args::Issuer,
    pin: Option<&str>,
    out: Output,
) -> Result<(), Failure> {
    let keys = issuer_keys(&by.db, by.card)?;
    let pin = files::pin(pin, NEW_PIN_QUESTION)?;
    with_card(place, |card| issuer(card, &keys, channel, |issuer| issuer.unblock_pin(&pin)))?;
    out.result(
        &json!({ "unblocked": by.card }),
        format!("card {} has a new PIN, with all its tries", by.card),
    )
}

/// Locks the card, or its signing application.
pub(super) fn lock(options: &args::Lock, out: Output) -> Result<(), Failure> {
    set_lock(options, true)?;
    let (what, card) = (what(options), options.issuer.card);
    out.result(&json!({ "locked": what, "card": card }), format!("{what} locked on card {card}"))
}

/// Unlocks what [`lock`] locked.
pub(super) fn unlock(options: &args::Lock, out: Output) -> Result<(), Failure> {
    set_lock(options, false)?;
    let (what, card) = (what(options), options.issuer.card);
    out.result(&json!({ "unlocked": what, "card": card }), format!("{what} unlocked on card {card}"))
}

/// What is locked or unlocked.
fn what(options: &args::Lock) -> &'static str {
    if options.application { "application" } else { "all" }
}

fn set_lock(options: &args::Lock, lock: bool) -> Result<(), Failure> {
    let keys = issuer_keys(&options.issuer.db, options.issuer.card)?;
    with_card(&options.place, |card| {
        issuer(card, &keys, options.channel, |issuer| match (options.application, lock) {
            (true, _) => issuer.set_status(SetStatus::Application { aid: SIGNING_APPLET, lock }),
            (false, true) => lock_card(issuer),
            (false, false) => issuer.set_status(SetStatus::Card(CardLifeCycle::Secured)),
        })
    })
}

/// Only a card that is SECURED can be locked; one that is not yet is taken there first, step by step.
fn lock_card(issuer: &mut Issuer<'_>) -> Result<(), IssuerError> {
    let now = card_state(&issuer.list(Scope::IssuerDomain)?)?;
    for next in [CardLifeCycle::Initialized, CardLifeCycle::Secured] {
        if now < next {
            issuer.set_status(SetStatus::Card(next))?;
        }
    }
    issuer.set_status(SetStatus::Card(CardLifeCycle::Locked))
}

fn card_state(domain: &[RegistryEntry]) -> Result<CardLifeCycle, IssuerError> {
    match domain {
        [RegistryEntry { entry: Entry::IssuerDomain(state), .. }] => Ok(*state),
        _ => Err(IssuerError::BadAnswer(Ins::GetStatus)),
    }
}

/// What the issuer sees of a card.
#[derive(Debug, Serialize)]
struct Status {
    /// False once it has keys of an issuer.
    blank: bool,
    state: CardLifeCycle,
    applications: Vec<Application>,
    packages: Vec<String>,
    keys: Vec<Key>,
}

#[derive(Debug, Serialize)]
struct Application {
    aid: String,
    state: ApplicationState,
    locked: bool,
    privileges: String,
    package: Option<String>,
}

#[derive(Debug, Serialize)]
struct Key {
    version: u8,
    id: u8,
    bits: usize,
}

/// Reads a card's registry and key information.
pub(super) fn status(
    place: &args::Place,
    channel: args::Channel,
    by: Option<(&Path, CardId)>,
    out: Output,
) -> Result<(), Failure> {
    let keys = match by {
        Some((db, card)) => issuer_keys(db, card)?,
        None => KeySet::TEST,
    };
    let status = with_card(place, |card| issuer(card, &keys, channel, read_status))?;
    out.result(&status, status.prose())
}

fn read_status(issuer: &mut Issuer<'_>) -> Result<Status, IssuerError> {
    let keys = issuer.key_information()?;
    let applications = issuer.list(Scope::Applications)?;
    let packages = issuer.list(Scope::Packages)?;
    Ok(Status {
        blank: keys.iter().any(|key| key.version == KeyVersion::INITIAL),
        state: card_state(&issuer.list(Scope::IssuerDomain)?)?,
        applications: applications.iter().filter_map(Application::of).collect(),
        packages: packages.iter().map(|entry| entry.aid.to_string()).collect(),
        keys: keys
            .iter()
            .map(|key| Key { version: key.version.get(), id: key.id, bits: 8 * key.bits.bytes() })
            .collect(),
    })
}

impl Application {
    fn of(entry: &RegistryEntry) -> Option<Self> {
        let Entry::Application(life_cycle) = entry.entry else { return None };
        Some(Self {
            aid: entry.aid.to_string(),
            state: life_cycle.state,
            locked: life_cycle.locked,
            privileges: hex::encode_upper(entry.privileges.to_bytes()),
            package: entry.package.as_ref().map(ToString::to_string),
        })
    }
}

impl Status {
    fn prose(&self) -> String {
        let blank = if self.blank { ", blank: well-known keys" } else { "" };
        let mut lines = vec![format!("card         {}{blank}", self.state)];
        for application in &self.applications {
            let locked = if application.locked { ", locked" } else { "" };
            let state = application.state;
            lines.push(format!("application  {}  {state}{locked}", application.aid));
        }
        for package in &self.packages {
            lines.push(format!("package      {package}"));
        }
        for key in &self.keys {
            lines.push(format!("key          version {:02X}, id {}, AES-{}", key.version, key.id, key.bits));
        }
        lines.join("\n")
    }
}

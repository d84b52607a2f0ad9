//! `onetap verifier`: the operator's side.

mod books;
mod client;
mod config;
mod housekeeping;
pub(crate) mod keys;
mod ledger;
mod log;
mod manager;
mod policy;
mod quickstart;
mod serve;
mod settings;

use std::path::Path;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::{Currency, MoneyError, format_minor, parse_minor};
use onetap_apdu_spec::personal::EnrolmentStatement;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::PayeeName;
use onetap_server_verifier::{
    AccountKind, AccountOptions, AccountView, CardOptions, CardState, InitOptions, Lock, LockCause, LogEntry,
    Policy, Roles, Verifier,
};
use serde_json::json;

use crate::act::act;
use crate::args;
use crate::exit::Failure;
use crate::files;
use crate::output::Output;
use keys::{open, open_to_read};

pub(crate) fn run(command: &args::Verifier, out: Output) -> Result<(), Failure> {
    match command {
        args::Verifier::Init { db, name, danger_allow_weak_profiles, postgres, owner, role, shard, keys } => {
            let policy =
                Policy { danger_allow_weak_suites: *danger_allow_weak_profiles, ..Policy::default() };
            let roles = Roles { owner: owner.clone(), service: role.clone() };
            let options = InitOptions { policy, shard: *shard, roles, ..InitOptions::new(name) };
            init(db, options, postgres.as_deref(), keys, out)
        }
        args::Verifier::Upgrade { db, postgres, role } => {
            Verifier::upgrade_postgres(db, postgres, role.clone(), keys::environment_of(db)?)?;
            out.result(
                &json!({ "upgraded": db.to_string_lossy() }),
                "the tables are up to date, and who serves has its rights",
            )
        }
        args::Verifier::Audit(command) => books::audit(command, out),
        args::Verifier::Backup { db, to } => books::backup(db, to, out),
        args::Verifier::Restore { from, db } => books::restore(from, db, out),
        args::Verifier::Rebuild { from, db } => books::rebuild(from, db, out),
        args::Verifier::Copy { db, to, into } => books::copy(db, to.as_deref(), into, out),
        args::Verifier::Move { account, db, to, why } => books::carry(account, db, to, why.reason(), out),
        args::Verifier::Keys(command) => keys::run(command, out),
        args::Verifier::Enroll { db, account, profile, order, statement } => match (account, statement) {
            (Some(account), _) => order_card(&open(db)?, account, *profile, order.as_deref(), out),
            (None, Some(statement)) => activate(&open(db)?, statement, out),
            (None, None) => {
                Err(Failure::Usage("give --account to order a card, --statement to activate it".into()))
            }
        },
        args::Verifier::Account(options) => account(options, out),
        args::Verifier::Unlock { db, account, operator, why } => {
            open(db)?.desk(act(operator.as_deref(), why.reason())).unlock(account)?;
            out.result(&json!({ "unlocked": account }), format!("{account} is unlocked"))
        }
        args::Verifier::Quickstart { into, listen, host } => quickstart::run(into, *listen, host, out),
        args::Verifier::Serve(given) => serve::run(given, out),
        args::Verifier::Config(command) => config::run(command, out),
        args::Verifier::Policy(command) => policy::run(command, out),
        args::Verifier::Client(command) => client::run(command, out),
        args::Verifier::Ledger(command) => ledger::run(command, out),
        args::Verifier::Outbox(command) => ledger::outbox(command, out),
        args::Verifier::Log { db, account } => log_entries(&open_to_read(db)?, account.as_ref(), out),
    }
}

fn init(
    db: &Path,
    options: InitOptions,
    postgres: Option<&str>,
    keys: &args::NewKeys,
    out: Output,
) -> Result<(), Failure> {
    let env = keys::for_new(keys)?;
    let server = match postgres {
        Some(url) => Verifier::init_postgres(db, url, options, env)?,
        None => Verifier::init(db, options, env)?,
    };
    let id = server.server_id();
    out.result(
        &json!({ "server": id, "db": db.to_string_lossy() }),
        format!("server {id} made in {}", db.display()),
    )
}

fn order_card(
    server: &Verifier,
    account: &AccountNumber,
    suite: Suite,
    path: Option<&Path>,
    out: Output,
) -> Result<(), Failure> {
    let file = path.map(|path| files::NewFile::create(path, files::Secrecy::OwnerOnly)).transpose()?;
    let currency = server.account(account)?.currency;
    let order = server
        .desk(act(None, ""))
        .order_card(account, &CardOptions { suite, ..CardOptions::new(currency) })?;
    let (Some(file), Some(path)) = (file, path) else {
        return out.json_line(&order);
    };
    file.write_json(&order)?;
    let card = order.personalisation.binding.card;
    let prose =
        format!("card {card} ordered; make it with `onetap card new`, then delete {}", path.display());
    out.result(&json!({ "card": card, "order": path.to_string_lossy() }), prose)
}

fn activate(server: &Verifier, statement: &Path, out: Output) -> Result<(), Failure> {
    let statement: EnrolmentStatement = files::read_json(statement, "an enrolment statement")?;
    let card = server.desk(act(None, "")).activate_card(&statement)?;
    out.result(&json!({ "active": card }), format!("card {card} is active"))
}

fn account(options: &args::Account, out: Output) -> Result<(), Failure> {
    if let Some(terminal) = &options.terminal {
        open(&options.db)?.desk(act(None, options.why.reason())).register_terminal(terminal.clone())?;
        return out
            .result(&json!({ "terminal": terminal }), format!("terminal {} may ask", terminal.as_str()));
    }
    if let Some(holder) = &options.open {
        let opened = open(&options.db)?
            .desk(act(None, options.why.reason()))
            .open_account(&account_options(options, holder)?)?;
        return out.result(&json!({ "account": opened }), opened.to_string());
    }
    for account in open_to_read(&options.db)?.accounts()? {
        out.result(&account, describe(&account))?;
    }
    Ok(())
}

fn account_options(options: &args::Account, holder: &str) -> Result<AccountOptions, Failure> {
    let holder = PayeeName::new(holder).map_err(|error| Failure::Usage(format!("holder: {error}")))?;
    let balance = |error: MoneyError| Failure::Usage(format!("balance: {error}"));
    Ok(AccountOptions {
        holder,
        currency: options.currency,
        kind: match options.kind {
            args::Kind::Current => AccountKind::Current,
            args::Kind::StoredValue => AccountKind::StoredValue,
        },
        opening_balance: parse_minor(&options.balance, options.currency).map_err(balance)?,
        number: options.number.clone(),
    })
}

fn describe(account: &AccountView) -> String {
    let state = match account.locked {
        Some(Lock { cause: LockCause::Moved, .. }) => "moved",
        Some(_) => "locked",
        None if account.open => "open",
        None => "closed",
    };
    let balance = balance(account.balance, account.currency);
    let mut line = format!("{}  {:<24} {balance:>16}  {state}", account.number, account.holder);
    for card in &account.cards {
        let state = match card.state {
            CardState::Ordered => "ordered",
            CardState::Active => "active",
            CardState::Blocked => "blocked",
        };
        line.push_str(&format!("\n    card {}  {}  {state}", card.card, card.suite));
    }
    line
}

/// A balance as text.
pub(crate) fn balance(minor: i64, currency: Currency) -> String {
    format!("{} {currency}", format_minor(minor.unsigned_abs(), currency))
}

/// The log first, then whether it and the ledger hold.
fn log_entries(server: &Verifier, account: Option<&AccountNumber>, out: Output) -> Result<(), Failure> {
    for entry in server.log(account)? {
        out.result(&entry, entry_line(&entry)?)?;
    }
    server.audit_verify()?;
    server.ledger_check()?;
    out.result(&json!({ "result": "holds" }), "the audit chains and the ledger hold")
}

fn entry_line(entry: &LogEntry) -> Result<String, Failure> {
    let event = serde_json::to_string(&entry.event).map_err(std::io::Error::from).map_err(Failure::Output)?;
    let account = entry.account.as_ref().map_or_else(|| "operator".to_owned(), ToString::to_string);
    Ok(format!("{}  {account}  {event}", entry.at))
}

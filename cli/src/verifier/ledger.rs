//! `onetap verifier ledger` and `outbox`: money that is held or goes back, and what others were not told yet.

use onetap_apdu_spec::money::{Currency, MoneyError, parse_minor};
use onetap_server_verifier::Verdict;
use onetap_server_verifier::outbox::WebhookConfig;
use onetap_server_verifier::outbox::webhook::{Webhook, secret_text};
use serde_json::json;

use super::keys::{open, open_to_read};
use crate::act::act;
use crate::args;
use crate::exit::Failure;
use crate::output::Output;

pub(super) fn run(command: &args::Ledger, out: Output) -> Result<(), Failure> {
    match command {
        args::Ledger::Check { db } => {
            open_to_read(db)?.ledger_check()?;
            out.result(&json!({ "result": "holds" }), "the ledger holds")
        }
        args::Ledger::Hold { act, account, amount } => {
            let server = open(&act.db)?;
            let amount = minor(amount, server.account(account)?.currency)?;
            let hold = server.desk(act.act()).place_hold(account, amount)?;
            out.result(&json!({ "hold": hold }), hold.to_string())
        }
        args::Ledger::Release { act, hold } => {
            open(&act.db)?.desk(act.act()).release_hold(*hold)?;
            out.result(&json!({ "released": hold }), format!("{hold} is released"))
        }
        args::Ledger::Capture { act, hold, payee, amount } => {
            let server = open(&act.db)?;
            let amount = minor(amount, server.account(payee)?.currency)?;
            let transaction = server.desk(act.act()).capture_hold(*hold, payee, amount)?;
            out.result(&json!({ "transaction": transaction }), transaction.to_string())
        }
        args::Ledger::Reverse { act, transaction } => {
            let reversal = open(&act.db)?.desk(act.act()).reverse(transaction)?;
            out.result(&json!({ "transaction": reversal }), reversal.to_string())
        }
        args::Ledger::Link { act, account, system } => {
            open(&act.db)?.desk(act.act()).link_account(account, system)?;
            let prose = format!("{account} is kept by {}", system.as_str());
            out.result(&json!({ "account": account, "system": system }), prose)
        }
        args::Ledger::Settle { act, transaction, failed } => {
            let verdict = match failed {
                Some(reason) => Verdict::Failed { reason: reason.clone() },
                None => Verdict::Settled,
            };
            let server = open(&act.db)?;
            server.desk(act.act()).settle(transaction, &verdict)?;
            out.result(&server.settlement(transaction)?, format!("recorded for {transaction}"))
        }
    }
}

pub(super) fn outbox(command: &args::Outbox, out: Output) -> Result<(), Failure> {
    match command {
        args::Outbox::List { db } => {
            let server = open_to_read(db)?;
            let backlog = server.backlog()?;
            out.result(&backlog, format!("{} messages wait, {} are dead", backlog.waiting, backlog.dead))?;
            for letter in server.dead_letters(onetap_server_verifier::MAX_PAGE)? {
                let failure = &letter.failure;
                let line = format!("{}  {}  {:<14}  {failure}", letter.message, letter.account, letter.topic);
                out.result(&letter, line)?;
            }
            Ok(())
        }
        args::Outbox::Requeue { act, message } => {
            open(&act.db)?.desk(act.act()).requeue(*message)?;
            out.result(&json!({ "requeued": message }), format!("{message} is sent again"))
        }
        args::Outbox::Discard { act, message } => {
            open(&act.db)?.desk(act.act()).discard(*message)?;
            out.result(&json!({ "discarded": message }), format!("{message} is given up"))
        }
        args::Outbox::Secret { act, overlap } => {
            let key = open(&act.db)?.desk(act.act()).rotate_webhook_key(*overlap)?;
            let secret = secret_text(&key);
            let prose = format!("the webhook's secret, shown this once:\n{}", secret.as_str());
            out.result(&json!({ "secret": secret.as_str(), "overlap": overlap }), prose)
        }
        args::Outbox::Test { db, url, ca } => {
            let server = open_to_read(db)?;
            let config = WebhookConfig { ca: ca.clone(), ..WebhookConfig::new(url, server.webhook_keys()?) };
            let sent = Webhook::new(&config)?.test(&server);
            let id =
                sent.map_err(|error| Failure::NotAsExpected(format!("{url} does not take it: {error}")))?;
            out.result(&json!({ "taken": id }), format!("{url} has taken {id}"))
        }
        args::Outbox::Announce { db, off } => {
            let changed = open(db)?.desk(act(None, "")).announce(!off)?;
            let state = if *off { "off" } else { "on" };
            let prose = if changed { "from the server's next start on" } else { "as it was" };
            out.result(&json!({ "announce": !off, "changed": changed }), format!("{state}, {prose}"))
        }
    }
}

/// Minor units of an amount in major units.
fn minor(amount: &str, currency: Currency) -> Result<u64, Failure> {
    parse_minor(amount, currency).map_err(|error: MoneyError| Failure::Usage(format!("amount: {error}")))
}

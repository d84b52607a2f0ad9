//! `onetap verifier audit`, `backup`, `restore`, `rebuild`, `copy` and `move`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::format_minor;
use onetap_server_verifier::keys::sealed_by;
use onetap_server_verifier::{KeyFileError, ServiceError, rebuild as make_anew, restore as put_back};
use serde_json::json;

use super::keys::environment_of;
use super::{open, open_to_read};
use crate::act::act;
use crate::args;
use crate::exit::Failure;
use crate::files::{NewFile, Secrecy};
use crate::output::Output;
use crate::progress::Progress;

/// Bytes of a log that are read at a time.
const PIECE: usize = 1 << 16;

pub(super) fn audit(command: &args::Audit, out: Output) -> Result<(), Failure> {
    match command {
        args::Audit::Verify { db, checkpoint } => verify(db, checkpoint.as_deref(), out),
        args::Audit::Checkpoint { db, out: path } => {
            let server = open(db)?;
            let file = NewFile::create(path, Secrecy::Public)?;
            let written = file.fill(|out| Ok(server.desk(act(None, "")).checkpoint(out)?))?;
            let prose =
                format!("{} chains at {}; keep {} elsewhere", written.chains, written.at, path.display());
            out.result(&written, prose)
        }
        args::Audit::Export { db, out: None } => {
            let progress = Progress::shared("writing the log");
            open_to_read(db)?.watched(progress.watch()).export_log(&mut std::io::stdout().lock())?;
            Ok(())
        }
        args::Audit::Export { db, out: Some(path) } => {
            let progress = Progress::shared("writing the log");
            let server = open_to_read(db)?.watched(progress.watch());
            let file = NewFile::create(path, Secrecy::OwnerOnly)?;
            let entries = file.fill(|out| Ok(server.export_log(out)?))?;
            progress.end();
            out.result(&json!({ "entries": entries }), format!("{entries} entries in {}", path.display()))
        }
    }
}

fn verify(db: &Path, checkpoint: Option<&Path>, out: Output) -> Result<(), Failure> {
    let progress = Progress::shared("checking the log");
    let server = open_to_read(db)?.watched(progress.watch());
    let audited = server.audit_verify()?;
    server.ledger_check()?;
    let since = match checkpoint {
        Some(path) => {
            let file = File::open(path).map_err(ServiceError::File)?;
            Some(server.checkpoint_verify(&mut BufReader::new(file))?.at)
        }
        None => None,
    };
    progress.end();
    let mut prose = match since {
        Some(at) => format!("the log, the rows and the ledger hold, and nothing was taken back since {at}"),
        None => "the log, the rows and the ledger hold".to_owned(),
    };
    if let Some(at) = audited.taken_over_at {
        let rows = audited.taken_over;
        prose.push_str(&format!("; {rows} rows are told as they stood when they were taken over at {at}"));
    }
    for card in &audited.unusable_keys {
        prose.push_str(&format!(
            "; the stored public key of card {card} is none that a card may have, so what it signed proves nothing: block the card, order another, and look through what it has paid"
        ));
    }
    let found = json!({
        "result": "holds",
        "checkpoint": since,
        "chains": audited.chains,
        "entries": audited.entries,
        "taken_over": audited.taken_over,
        "taken_over_at": audited.taken_over_at,
        "unusable_keys": audited.unusable_keys,
    });
    out.result(&found, prose)
}

pub(super) fn backup(db: &Path, to: &Path, out: Output) -> Result<(), Failure> {
    let progress = Progress::shared("copying");
    open_to_read(db)?.watched(progress.watch()).backup(to)?;
    progress.end();
    let prose = format!("copied to {}; the keys are not in it: keep a copy of keys.json, too", to.display());
    out.result(&json!({ "backup": to.to_string_lossy() }), prose)
}

pub(super) fn restore(from: &Path, db: &Path, out: Output) -> Result<(), Failure> {
    let progress = Progress::shared("copying");
    put_back(from, db, &progress.watch())?;
    progress.end();
    let keys = match sealed_by(db) {
        Err(KeyFileError::Missing { .. }) => false,
        found => found.map(|_| true)?,
    };
    let prose = match keys {
        true => format!("{} has the copy, and keys", db.display()),
        false => format!(
            "{} has the copy, and no keys: put the keys.json there that was saved with it, else it cannot be opened",
            db.display()
        ),
    };
    out.result(&json!({ "restored": db.to_string_lossy(), "keys": keys }), prose)
}

pub(super) fn rebuild(from: &Path, db: &Path, out: Output) -> Result<(), Failure> {
    let progress = Progress::begin("making the database anew");
    let mut log: Box<dyn BufRead> = if from == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let failed = |source| Failure::file("read", from, source);
        let file = File::open(from).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Box::new(BufReader::with_capacity(PIECE, progress.reading(file, length)))
    };
    let made = make_anew(&mut log, db, &environment_of(db)?)?;
    progress.end();
    let prose = format!(
        "{} entries of {} chains: {} is made anew. No message waits in its outbox, since the log does not tell which were delivered",
        made.entries,
        made.chains,
        db.display()
    );
    out.result(&made, prose)
}

pub(super) fn copy(db: &Path, to: Option<&str>, into: &Path, out: Output) -> Result<(), Failure> {
    let progress = Progress::shared("copying");
    let server = open_to_read(db)?.watched(progress.watch());
    let rows = match to {
        Some(url) => server.copy_to_postgres(into, url)?,
        None => server.copy_to_sqlite(into)?,
    };
    progress.end();
    let prose = format!(
        "{rows} rows copied; serve {} from now on, and {} no more: what is paid there is not in the copy",
        into.display(),
        db.display()
    );
    out.result(&json!({ "rows": rows, "into": into.to_string_lossy() }), prose)
}

pub(super) fn carry(
    account: &AccountNumber,
    db: &Path,
    to: &Path,
    reason: &str,
    out: Output,
) -> Result<(), Failure> {
    let progress = Progress::shared("carrying the account's log");
    let (server, destination) = (open(db)?.watched(progress.watch()), open(to)?);
    let moved = server.desk(act(None, reason)).move_account(account, &destination)?;
    progress.end();
    let currency = destination.account(account)?.currency;
    let prose = format!(
        "{account} is at home in {} ({}): {} entries of its log and {} {currency} carried",
        to.display(),
        moved.shard,
        moved.entries,
        format_minor(moved.amount, currency)
    );
    out.result(&moved, prose)
}

//! A database made anew from an exported log: every chain is checked while it is read, and the rows are what it tells.
//!
//! Not in the log, and so not in the new database: which messages were delivered (none waits), and answers older than
//! [`KEEP_ANSWERS`](super::backup::KEEP_ANSWERS). Credits are gathered.

use std::io::{BufRead, Read as _};
use std::path::Path;

use crate::books::replay::{Replay, Unfit};
use crate::domain::{Shard, StoreError};
use crate::keys::environment::Environment;
use crate::keys::{KeyFileError, ServerKeys};
use crate::service::checkpoint::Roots;
use crate::service::error::ServiceError;
use crate::service::export::{FORMAT, Line, Totals};
use crate::service::part::Part;
use crate::service::rows::Rows;
use crate::service::sealer;
use crate::store::sqlite;

/// Longest line that is read: far longer than any that is written.
const MAX_LINE: u64 = 16 << 20;

/// What was made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Rebuilt {
    /// Chains, the operator's own included.
    pub chains: u64,
    /// Entries of all chains.
    pub entries: u64,
}

/// Makes a database anew in `directory`, which has the server's key file and no database, from the log that
/// [`Verifier::export_log`](crate::Verifier::export_log) wrote. It is there whole, or not at all.
///
/// # Errors
/// [`ServiceError::BadLog`] with the first line that does not fit; [`ServiceError::AlreadyInitialised`];
/// [`KeyFileError::OtherServer`]; [`ServiceError`] of store, keys or files.
pub fn rebuild(log: &mut dyn BufRead, directory: &Path, env: &Environment) -> Result<Rebuilt, ServiceError> {
    let keys = ServerKeys::load(directory, env)?;
    let part = Part::begin(directory)?;
    let rebuilt = sqlite::build(part.path(), |db| {
        let mut lines = Lines { log, number: 0 };
        lines.first(&keys, directory)?;
        let rows = Rows::into(db, env.clock.now());
        Rebuild { env, keys: &keys, rows, roots: Roots::new(env.crypto), entries: 0 }.run(lines)
    })?;
    part.publish()?;
    Ok(rebuilt)
}

/// The lines of a log, counted.
struct Lines<'a> {
    log: &'a mut dyn BufRead,
    number: u64,
}

impl Lines<'_> {
    fn bad(&self, what: &'static str) -> ServiceError {
        ServiceError::BadLog { line: self.number, what }
    }

    /// The next line; what is there after the end of a file is the lack of it.
    fn next<'t>(&mut self, text: &'t mut Vec<u8>) -> Result<Option<Line<'t>>, ServiceError> {
        self.number += 1;
        text.clear();
        (&mut *self.log).take(MAX_LINE).read_until(b'\n', text).map_err(ServiceError::File)?;
        if text.is_empty() {
            return Ok(None);
        }
        if text.last() != Some(&b'\n') {
            return Err(self.bad("is cut short"));
        }
        let line = serde_json::from_slice(text);
        line.map(Some).map_err(|_| self.bad("is damaged, or of a newer version"))
    }

    /// The first line: of a form that this program knows, and of the server that the keys are of.
    fn first(&mut self, keys: &ServerKeys, directory: &Path) -> Result<(), ServiceError> {
        let mut text = Vec::new();
        match self.next(&mut text)? {
            Some(Line::Log { format: FORMAT, server }) if server == keys.server => Ok(()),
            Some(Line::Log { format: FORMAT, .. }) => {
                Err(KeyFileError::OtherServer { path: directory.join("keys.json") }.into())
            }
            Some(Line::Log { .. }) => Err(self.bad("is of a newer version; install a newer program")),
            None => Err(self.bad("is missing: the file is empty")),
            Some(_) => Err(self.bad("is not the beginning of a log")),
        }
    }
}

struct Rebuild<'a> {
    env: &'a Environment,
    keys: &'a ServerKeys,
    rows: Rows<'a>,
    roots: Roots<'a>,
    entries: u64,
}

impl Rebuild<'_> {
    fn run(mut self, mut lines: Lines<'_>) -> Result<Rebuilt, ServiceError> {
        let sealer = sealer(self.keys, self.env);
        let (mut text, mut chain, mut last) = (Vec::new(), None, None);
        let mut shard = Shard::default();
        loop {
            match lines.next(&mut text)? {
                Some(Line::Entry(entry)) => {
                    let account = entry.entry().place.account;
                    if last.is_some_and(|last| account <= last) {
                        return Err(lines.bad("is of a chain that has ended before"));
                    }
                    let chain = chain.get_or_insert_with(|| Replay::begin(account, shard));
                    let rows = &mut self.rows;
                    let grown = &mut |table, row| rows.grow(table, row);
                    let fits = chain.next(self.env.crypto, &sealer, &entry.entry(), &entry.seal, grown);
                    fits.map_err(|unfit| why(&lines, unfit))?;
                    self.rows.entry(&entry)?;
                    self.entries += 1;
                }
                Some(Line::Chain(head)) => {
                    let ended = chain.take().filter(|chain: &Replay| {
                        (chain.account, chain.sequence, chain.seal)
                            == (head.account, head.sequence, head.seal)
                            && chain.may_end()
                    });
                    let ended = ended.ok_or_else(|| lines.bad("is not where its chain ends"))?;
                    (last, shard) = (Some(ended.account), ended.shard);
                    self.roots.add(&head);
                    self.rows.end(&ended.model, &ended.end(&sealer), None)?;
                }
                Some(Line::End(told)) => {
                    let found = Totals::new(self.env, &sealer, self.keys.server, &self.roots, self.entries);
                    if chain.is_some() || told != found {
                        return Err(lines.bad("does not fit: chains or entries before it are missing"));
                    }
                    return match lines.next(&mut text)? {
                        None => self.finish(),
                        Some(_) => Err(lines.bad("comes after the end of the log")),
                    };
                }
                Some(Line::Log { .. }) => return Err(lines.bad("begins another log")),
                None => return Err(lines.bad("is missing: the log is cut short")),
            }
        }
    }

    fn finish(self) -> Result<Rebuilt, ServiceError> {
        self.rows.finish_whole()?;
        Ok(Rebuilt { chains: self.roots.chains, entries: self.entries })
    }
}

fn why(lines: &Lines<'_>, unfit: Unfit) -> ServiceError {
    match unfit {
        Unfit::Seal => lines.bad("breaks its chain: an entry was changed, is missing, or stands twice"),
        Unfit::Event => lines.bad("has an event of a newer version; install a newer program"),
        Unfit::Rows(StoreError::BadRow { .. }) => lines.bad("tells what cannot follow from the lines before"),
        Unfit::Rows(error) => error.into(),
    }
}

//! An account carried from one shard to another (decision 30): its chain, whole, and the money after it.
//!
//! One commit in the shard that it leaves ends the chain there, and with it all deciding; one in the shard to which it moves takes up
//! the chain and all that it tells. Whoever is killed in between repeats the command. What is paid to the account where it was before
//! waits there until the command is repeated.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::service::SystemName;

use crate::books;
use crate::books::accounts::{RowLock, shard};
use crate::books::chain::{End, Place};
use crate::books::ledger::equity_account;
use crate::books::moving::{Sent, has_come, sent, take_up};
use crate::books::outbox;
use crate::books::replay::{Replay, Unfit};
use crate::books::sql::{Sql, Statement, Value, params};
use crate::books::tables::{ACCOUNTS, CARD_KEYS, CARDS, REQUESTS, Table, WRONG_PASSWORDS};
use crate::books::write::{Telling, delete, set};
use crate::domain::{Account, Carried, Cell, Event, MoveError, Shard, StoreError, Watch};
use crate::service::Verifier;
use crate::service::accounts::locked_row;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;
use crate::service::export::{self, Written};
use crate::service::rows::Rows;

/// What was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Moved {
    /// Where the account is at home now.
    pub shard: Shard,
    /// Entries of the log that were carried; none if that was done before.
    pub entries: u64,
    /// Minor units that have come to the account there.
    pub amount: u64,
}

impl Desk<'_> {
    /// Carries an account to the shard of `to`, with its chain and all that it has, or finishes what was interrupted; and sends after
    /// it what was paid to it here since. It needs a reason.
    ///
    /// A payment is decided here before that and carried along, or fails with [`StoreError::AccountMoved`] and is decided there. On
    /// SQLite nobody else writes to the destination meanwhile.
    ///
    /// # Errors
    /// [`MoveError`], [`ServiceError::NoSuchAccount`], [`ServiceError::ReasonNeeded`]; [`ServiceError::AuditBroken`] if its chain is
    /// torn; [`ServiceError`] of either store: then repeat it.
    pub fn move_account(&self, number: &AccountNumber, to: &Verifier) -> Result<Moved, ServiceError> {
        self.reasoned()?;
        let route = self.route(to)?;
        let find = |db: &mut dyn Sql| books::account_by_number(db, number, RowLock::None);
        let account = self.verifier.store.read(find)?.ok_or(ServiceError::NoSuchAccount)?;
        let mut moved = Moved { shard: route.to, entries: 0, amount: 0 };
        if !self.has_arrived(&account, to)? {
            self.carry(&account, &route, &mut moved)?;
        }
        let sent = self.write(|here| {
            let account = locked_row(here, number)?;
            self.send(here, &account, &route)
        })?;
        to.store.write(|there| self.receive(there, &account, &sent, &route, &mut moved))?;
        Ok(moved)
    }

    fn route<'v>(&self, to: &'v Verifier) -> Result<Route<'v>, ServiceError> {
        if to.server_id() != self.verifier.server_id() {
            return Err(MoveError::OtherBank.into());
        }
        let (from, there) = (self.verifier.store.read(shard)?, to.store.read(shard)?);
        if from == there {
            return Err(MoveError::SameShard(from).into());
        }
        Ok(Route { from, to: there, verifier: to })
    }

    /// Whether the destination has all of the account's chain that is here, and more.
    fn has_arrived(&self, account: &Account, to: &Verifier) -> Result<bool, ServiceError> {
        let last = |db: &mut dyn Sql| {
            let sql = "SELECT max(sequence) AS last FROM audit WHERE account_id = ?1";
            Ok::<_, StoreError>(db.first(sql, &params![account.id], |row| row.opt_int("last"))?.flatten())
        };
        let (here, there) = (self.verifier.store.read(last)?, to.store.read(last)?);
        Ok(there > here)
    }

    /// Carries the chain: most of it while the account still pays, the rest, and all that could fail, before it leaves.
    fn carry(&self, account: &Account, route: &Route<'_>, moved: &mut Moved) -> Result<(), ServiceError> {
        let to = route.verifier;
        to.store.write(|there| {
            let mut arrival = Arrival::begin(there, account, route)?;
            self.verifier.store.read_long(|here| arrival.read(here, &self.verifier.env.watch))?;
            let (carried, sent, (there, replay)) = self.write(|here| {
                let account = locked_row(here, &account.number)?;
                let carried = self.leave(here, &account, route)?;
                let sent = self.send(here, &account, route)?;
                arrival.read(here, &Watch::default())?;
                arrival.check(here, self.verifier)?;
                moved.entries = arrival.new_entries();
                Ok::<_, ServiceError>((carried, sent, arrival.settle()?))
            })?;
            self.arrive(there, &replay, carried, route)?;
            self.receive(there, account, &sent, route, moved)
        })
    }

    /// Ends the account's chain here, if that was not done before.
    fn leave(
        &self,
        here: &mut dyn Sql,
        account: &Account,
        route: &Route<'_>,
    ) -> Result<Carried, ServiceError> {
        if !account.is_here() {
            return moved_away(here, account, route.to);
        }
        let carried = take_up(here, account.id, account.lock)?;
        if account.system.is_some() && carried.holds.iter().any(|hold| hold.system.is_some()) {
            return Err(MoveError::AwaitsSystem.into());
        }
        let event = Event::MovedAway { to: route.to, carried: carried.clone() };
        self.tell(here, account.id, self.now(), &event)?;
        Ok(carried)
    }

    /// Goes on with the chain there, and sends what nobody took yet.
    fn arrive(
        &self,
        there: &mut dyn Sql,
        replay: &Replay,
        carried: Carried,
        route: &Route<'_>,
    ) -> Result<(), StoreError> {
        let at = route.verifier.now();
        let mut waiting = Vec::new();
        for sequence in carried.messages.iter().copied() {
            let told = books::event_at(there, replay.account, sequence)?;
            let topic =
                told.as_ref().and_then(outbox::topic_of).ok_or(StoreError::BadRow { what: "topic" })?;
            waiting.push(outbox::message(Place { account: replay.account, sequence, at }, topic));
        }
        let event = Event::MovedIn { from: route.from, to: route.to, carried };
        let sealer = &route.verifier.sealer;
        Telling::new(replay.account, at, &self.act, &event).tell_after(there, sealer, &replay.end(sealer))?;
        there.execute_all(&waiting)
    }

    /// Sends the money that an account has here after it. Returns all that was ever sent.
    fn send(
        &self,
        here: &mut dyn Sql,
        account: &Account,
        route: &Route<'_>,
    ) -> Result<Vec<Sent>, ServiceError> {
        moved_away(here, account, route.to)?;
        let amount = account.balance + books::gather_credits(here, account.id)?;
        if amount > 0 {
            let (at, system) = (self.now(), system(route.to)?);
            let settling = equity_account(here, &self.verifier.sealer, at, account.currency, Some(&system))?;
            let amount = amount.unsigned_abs();
            let event = Event::MoneySent { to: route.to, account: account.id, amount };
            self.tell(here, settling, at, &event)?;
        }
        Ok(sent(here, account.id, route.to)?)
    }

    /// Books there what has not come yet.
    fn receive(
        &self,
        there: &mut dyn Sql,
        account: &Account,
        sent: &[Sent],
        route: &Route<'_>,
        moved: &mut Moved,
    ) -> Result<(), ServiceError> {
        if sent.is_empty() {
            return Ok(());
        }
        let (at, sealer) = (route.verifier.now(), &route.verifier.sealer);
        locked_row(there, &account.number)?;
        let settling = equity_account(there, sealer, at, account.currency, Some(&system(route.from)?))?;
        for Sent { entry, amount } in sent {
            if !has_come(there, account.id, *entry)? {
                let (from, account, amount) = (route.from, account.id, *amount);
                let event = Event::MoneyCame { from, sent: *entry, account, amount };
                Telling::new(settling, at, &self.act, &event).tell(there, sealer)?;
                books::gather_credits(there, account)?;
                moved.amount += amount;
            }
        }
        Ok(())
    }
}

/// From which shard to which.
struct Route<'v> {
    from: Shard,
    to: Shard,
    /// The destination.
    verifier: &'v Verifier,
}

/// What the account took along when it left for `to`.
///
/// # Errors
/// [`MoveError::MovedElsewhere`].
fn moved_away(here: &mut dyn Sql, account: &Account, to: Shard) -> Result<Carried, ServiceError> {
    let last = "SELECT max(sequence) FROM audit WHERE account_id = ?1";
    let last = here.count(last, &params![account.id])?;
    match books::event_at(here, account.id, last)? {
        Some(Event::MovedAway { to: gone_to, carried }) if gone_to == to => Ok(carried),
        Some(Event::MovedAway { to: gone_to, .. }) => Err(MoveError::MovedElsewhere(gone_to).into()),
        _ => Err(StoreError::BadRow { what: "move between shards" }.into()),
    }
}

fn system(shard: Shard) -> Result<SystemName, StoreError> {
    shard.system().map_err(|_| StoreError::BadRow { what: "shard" })
}

/// A chain on its way into the destination.
struct Arrival<'a> {
    rows: Rows<'a>,
    to: &'a Verifier,
    replay: Replay,
    /// Where the chain ends that the destination has, if the account comes back.
    known: Option<End>,
}

impl<'a> Arrival<'a> {
    /// # Errors
    /// [`MoveError::AccountThere`].
    fn begin(there: &'a mut dyn Sql, account: &Account, route: &Route<'a>) -> Result<Self, ServiceError> {
        let (to, by_number) = (route.verifier, RowLock::Change.by_number(there));
        let found = there.first(by_number, &params![account.number.as_str()], |row| {
            Ok((books::account(row)?, books::chain_end(row)?))
        })?;
        let row = "SELECT count(*) FROM accounts WHERE account_id = ?1";
        let known = match found {
            Some((found, end)) if found.id == account.id && !found.is_here() => Some(end),
            None if there.count(row, &params![account.id])? == 0 => None,
            _ => return Err(MoveError::AccountThere.into()),
        };
        let rows = Rows::into(there, to.now());
        Ok(Self { rows, to, replay: Replay::begin(account.id, route.to), known })
    }

    /// Takes up the entries that have been added since, and tells `watch`.
    fn read(&mut self, here: &mut dyn Sql, watch: &Watch) -> Result<(), ServiceError> {
        let last = "SELECT coalesce(max(sequence), 0) FROM audit WHERE account_id = ?1";
        let last = here.count(last, &params![self.replay.account])?;
        let count = |sequence| u64::try_from(sequence).unwrap_or(0);
        loop {
            watch.at(count(self.replay.sequence), count(last));
            let page = export::page(here, self.replay.account, self.replay.sequence, None)?;
            if page.is_empty() {
                return Ok(());
            }
            page.iter().try_for_each(|entry| self.take(entry))?;
        }
    }

    fn take(&mut self, written: &Written<'_>) -> Result<(), ServiceError> {
        let Self { rows, to, replay, known } = self;
        let entry = written.entry();
        let Place { account, sequence, .. } = entry.place;
        let is_new = known.is_none_or(|known| sequence > known.sequence);
        let mut same_key = false;
        let grown = &mut |table: &'static Table, row: Vec<Cell>| {
            let taken = is_new && *table == REQUESTS && rows.is_kept(&row) && is_taken(rows.db, &row)?;
            same_key |= taken;
            if is_new && !taken { rows.grow(table, row) } else { Ok(()) }
        };
        let fits = replay.next(to.env.crypto, &to.sealer, &entry, &written.seal, grown);
        fits.map_err(|unfit| match unfit {
            Unfit::Event => MoveError::NewerEvent.into(),
            Unfit::Seal | Unfit::Rows(StoreError::BadRow { .. }) => {
                ServiceError::AuditBroken { account, sequence }
            }
            Unfit::Rows(error) => error.into(),
        })?;
        if same_key {
            return Err(MoveError::SameKey.into());
        }
        if known.is_some_and(|known| known.sequence == sequence && known.seal != written.seal) {
            return Err(MoveError::AccountThere.into());
        }
        if is_new {
            rows.entry(written)?;
        }
        Ok(())
    }

    /// Whether all of the chain was read, and the cards can be served.
    fn check(&self, here: &mut dyn Sql, from: &Verifier) -> Result<(), ServiceError> {
        let (account, ours) = (self.replay.account, self.replay.end(&self.to.sealer));
        let by_row = RowLock::None.by_row(here);
        let end = here.first(by_row, &params![account], books::chain_end)?;
        if end != Some(ours) {
            return Err(ServiceError::AuditBroken { account, sequence: ours.sequence + 1 });
        }
        for row in self.replay.model.rows(&CARD_KEYS) {
            let [_, _, _, Cell::Text(binding), ..] = row.as_slice() else { continue };
            let binding = books::from_json(binding, "card")?;
            if from.bound_card_key(&binding)?.is_some() && self.to.bound_card_key(&binding)?.is_none() {
                return Err(MoveError::KeyMissing.into());
            }
        }
        Ok(())
    }

    /// How many entries the destination did not have.
    fn new_entries(&self) -> u64 {
        let known = self.known.map_or(0, |known| known.sequence);
        u64::try_from(self.replay.sequence - known).unwrap_or(0)
    }

    /// Writes the rows that the chain tells, in the place of those that an account which comes back has left. Gives the
    /// destination's transaction and the chain.
    fn settle(mut self) -> Result<(&'a mut dyn Sql, Replay), StoreError> {
        let (replay, rows) = (self.replay, &mut self.rows);
        let end = replay.end(&self.to.sealer);
        let mut there: Option<&Table> = None;
        if self.known.is_some() {
            let key = [Cell::from(replay.account)];
            for table in [&WRONG_PASSWORDS, &CARD_KEYS, &CARDS] {
                execute(rows.db, &delete(table, &key))?;
            }
            let own = replay.model.row(&ACCOUNTS, &key).ok_or(StoreError::BadRow { what: "account" })?;
            let to: Vec<_> = ACCOUNTS.told().zip(own.iter().cloned()).skip(ACCOUNTS.key).collect();
            execute(rows.db, &set(&ACCOUNTS, &key, &to))?;
            there = Some(&ACCOUNTS);
        }
        rows.end(&replay.model, &end, there)?;
        Ok((self.rows.finish()?, replay))
    }
}

/// Whether the destination has another answer under the key of this one.
fn is_taken(there: &mut dyn Sql, request: &[Cell]) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM requests WHERE terminal_id = ?1 AND idempotency_key = ?2";
    Ok(there.count(sql, &[Value::from(&request[0]), Value::from(&request[1])])? > 0)
}

fn execute(db: &mut dyn Sql, statement: &Statement<'_>) -> Result<(), StoreError> {
    db.execute(statement.sql, &statement.params).map(drop)
}

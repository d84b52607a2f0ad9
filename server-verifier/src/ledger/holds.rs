//! Holds: money that stays in an account but cannot be spent, until it is released or captured for a payee.

use std::fmt;
use std::str::FromStr;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::MAX_MINOR;
use onetap_apdu_spec::service::{SystemName, TransactionId};

use super::{LedgerError, Posting, pay};
use crate::admin::{on_record, open_account};
use crate::audit::Event;
use crate::environment::Timestamp;
use crate::error::{ServiceError, StoreError};
use crate::outbox::Topic;
use crate::service::Verifier;
use crate::store::books::{self, RowLock};
use crate::store::rows::Account;
use crate::store::sql::{Row, Sql, params};
use crate::views::MAX_PAGE;

/// Names an audit entry by its account's row and its place in the chain, such as `17-4`, and with it the hold
/// or the message that it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    pub(crate) account: i64,
    pub(crate) sequence: i64,
}

/// A hold, named by the entry that placed it.
pub type HoldId = EntryId;

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.account, self.sequence)
    }
}

impl FromStr for EntryId {
    type Err = LedgerError;
    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let number = |digits: &str| digits.parse().ok().filter(|number| *number > 0);
        let (account, sequence) = text.split_once('-').ok_or(LedgerError::NoSuchHold)?;
        let id = number(account).zip(number(sequence)).map(|(account, sequence)| Self { account, sequence });
        id.filter(|id| id.to_string() == text).ok_or(LedgerError::NoSuchHold)
    }
}

impl serde::Serialize for EntryId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for EntryId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What became of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldState {
    /// The money is held.
    Open,
    /// It, or a part, was paid.
    Captured,
    /// It is free again.
    Released,
}

/// A hold, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HoldView {
    /// Names it to [`Verifier::release_hold`] and [`Verifier::capture_hold`].
    pub hold: HoldId,
    /// Minor units that are, or were, held.
    pub amount: u64,
    /// What became of it.
    pub state: HoldState,
    /// Minor units that were paid out of it.
    pub captured: u64,
    /// Who is or was paid; none if that is not known, or is nobody's account.
    pub payee: Option<AccountNumber>,
    /// The other system whose answer it waits or waited for.
    pub system: Option<SystemName>,
    /// Since when.
    pub placed_at: Timestamp,
    /// Until when.
    pub closed_at: Option<Timestamp>,
}

/// A row of `holds`.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) amount: i64,
    pub(crate) state: HoldState,
    /// Who is paid, once it is known.
    pub(crate) payee: Option<i64>,
    /// Who must book it, if not this server.
    pub(crate) system: Option<SystemName>,
    pub(crate) closed_at: Option<Timestamp>,
}

/// The id of the transaction that capturing a hold posts.
pub(crate) fn capture_id(hold: HoldId) -> TransactionId {
    TransactionId(format!("capture-{hold}"))
}

impl Verifier {
    /// Holds `amount` minor units of an account, which cannot be spent until the hold is released or captured.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`], [`ServiceError::AccountClosed`], [`ServiceError::ReasonNeeded`],
    /// [`LedgerError::Amount`], [`LedgerError::InsufficientFunds`], [`LedgerError::KeptElsewhere`].
    pub fn place_hold(
        &self,
        number: &AccountNumber,
        amount: u64,
        operator: &str,
        reason: &str,
    ) -> Result<HoldId, ServiceError> {
        let (operator, reason) = on_record(operator, reason)?;
        let (minor, at) = (minor_units(amount)?, self.env.clock.now());
        self.store.write(|db| {
            let account = open_account(db, number)?;
            if account.system.is_some() {
                return Err(LedgerError::KeptElsewhere.into());
            }
            let gathered = books::gather_credits(db, account.id)?;
            if minor > account.balance + gathered - account.held {
                return Err(LedgerError::InsufficientFunds.into());
            }
            let event = Event::HoldPlaced { amount, operator, reason };
            let sequence = books::append_audit(db, &self.sealer, account.id, at, &event)?;
            db.execute(PLACE, &params![account.id, sequence, minor, None::<i64>, None::<&str>, at.0])?;
            let held = "UPDATE accounts SET held = held + ?2 WHERE account_id = ?1";
            db.execute(held, &params![account.id, minor])?;
            Ok(HoldId { account: account.id, sequence })
        })
    }

    /// The holds of an account that were placed after `after`, oldest first, `limit` of them at most and never more
    /// than [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn holds(
        &self,
        number: &AccountNumber,
        after: Option<HoldId>,
        limit: u32,
    ) -> Result<Vec<HoldView>, ServiceError> {
        let sql = "SELECT h.account_id, h.sequence, h.amount, h.state, h.captured, p.number, h.system,
            h.placed_at, h.closed_at FROM holds h LEFT JOIN accounts p ON p.account_id = h.payee_id
            WHERE h.account_id = ?1 AND h.sequence > ?2 ORDER BY h.sequence LIMIT ?3";
        let after = after.map_or(0, |hold| hold.sequence);
        self.store.read(|db| {
            let account = books::account_by_number(db, number, RowLock::None)?;
            let account = account.ok_or(ServiceError::NoSuchAccount)?.id;
            Ok(db.all(sql, &params![account, after, limit.min(MAX_PAGE)], view)?)
        })
    }

    /// Sets all that is held free again.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchHold`], [`LedgerError::HoldClosed`], [`LedgerError::AwaitsSystem`],
    /// [`ServiceError::ReasonNeeded`].
    pub fn release_hold(&self, hold: HoldId, operator: &str, reason: &str) -> Result<(), ServiceError> {
        let (operator, reason) = on_record(operator, reason)?;
        let at = self.env.clock.now();
        self.store.write(|db| {
            let (_, found) = open_hold(db, hold)?;
            close(db, hold, &found, HoldState::Released, None, at)?;
            Ok(self.audit(db, hold.account, at, &Event::HoldReleased { hold, operator, reason })?)
        })
    }

    /// Pays `amount` minor units of what is held to `payee`; the rest is free again. Returns the id of the
    /// transaction.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchHold`], [`LedgerError::HoldClosed`], [`LedgerError::AwaitsSystem`],
    /// [`LedgerError::MoreThanHeld`], [`LedgerError::Payee`], [`ServiceError::NoSuchAccount`],
    /// [`ServiceError::ReasonNeeded`].
    pub fn capture_hold(
        &self,
        hold: HoldId,
        payee: &AccountNumber,
        amount: u64,
        operator: &str,
        reason: &str,
    ) -> Result<TransactionId, ServiceError> {
        let (operator, reason) = on_record(operator, reason)?;
        let (minor, at) = (minor_units(amount)?, self.env.clock.now());
        self.store.write(|db| {
            let (payer, found) = open_hold(db, hold)?;
            if minor > found.amount {
                return Err(LedgerError::MoreThanHeld.into());
            }
            let to = books::account_by_number(db, payee, RowLock::Use)?.ok_or(ServiceError::NoSuchAccount)?;
            if to.id == payer.id || to.currency != payer.currency || !to.open || to.system.is_some() {
                return Err(LedgerError::Payee.into());
            }
            let transaction = capture_id(hold);
            close(db, hold, &found, HoldState::Captured, Some((minor, to.id)), at)?;
            let posting =
                Posting { transaction: &transaction.0, from: payer.id, to: to.id, amount: minor, at };
            pay(db, &posting)?;
            let event = Event::HoldCaptured { hold, payee: payee.clone(), amount, operator, reason };
            self.announce_event(db, payer.id, at, &event, Topic::Captured)?;
            Ok(transaction)
        })
    }
}

/// Account, sequence, amount, payee, system, moment.
pub(crate) const PLACE: &str =
    "INSERT INTO holds (account_id, sequence, amount, state, payee_id, system, placed_at)
    VALUES (?1, ?2, ?3, 'open', ?4, ?5, ?6)";

/// An amount that an account can have.
pub(crate) fn minor_units(amount: u64) -> Result<i64, LedgerError> {
    let fits = (1..=MAX_MINOR).contains(&amount);
    i64::try_from(amount).ok().filter(|_| fits).ok_or(LedgerError::Amount)
}

/// A hold that an operator may close, and its account, which is locked.
fn open_hold(db: &mut dyn Sql, id: HoldId) -> Result<(Account, Hold), ServiceError> {
    let account = lock_account(db, id.account)?.ok_or(LedgerError::NoSuchHold)?;
    let hold = hold(db, id)?.ok_or(LedgerError::NoSuchHold)?;
    match (&hold.system, hold.state) {
        (Some(_), _) => Err(LedgerError::AwaitsSystem.into()),
        (None, HoldState::Open) => Ok((account, hold)),
        (None, _) => Err(LedgerError::HoldClosed.into()),
    }
}

/// A holder's account, which nobody else may decide on until the transaction ends; others may still credit it.
pub(crate) fn lock_account(db: &mut dyn Sql, account: i64) -> Result<Option<Account>, StoreError> {
    books::account_by_row(db, account, RowLock::Decide)
}

pub(crate) fn hold(db: &mut dyn Sql, id: HoldId) -> Result<Option<Hold>, StoreError> {
    let sql = "SELECT amount, state, payee_id, system, closed_at FROM holds
        WHERE account_id = ?1 AND sequence = ?2";
    db.first(sql, &params![id.account, id.sequence], |row: &dyn Row| {
        let system = row.opt_text(3)?.map(|name| books::parse(name, "system"));
        Ok(Hold {
            amount: row.int(0)?,
            state: books::from_name(row.text(1)?, "hold")?,
            payee: row.opt_int(2)?,
            system: system.transpose()?,
            closed_at: row.opt_int(4)?.map(Timestamp),
        })
    })
}

fn view(row: &dyn Row) -> Result<HoldView, StoreError> {
    let payee = row.opt_text(5)?.map(|number| books::parse(number, "account number"));
    let system = row.opt_text(6)?.map(|name| books::parse(name, "system"));
    Ok(HoldView {
        hold: HoldId { account: row.int(0)?, sequence: row.int(1)? },
        amount: row.int(2)?.unsigned_abs(),
        state: books::from_name(row.text(3)?, "hold")?,
        captured: row.int(4)?.unsigned_abs(),
        payee: payee.transpose()?,
        system: system.transpose()?,
        placed_at: Timestamp(row.int(7)?),
        closed_at: row.opt_int(8)?.map(Timestamp),
    })
}

/// Closes a hold: with what was paid to whom if it is captured. The account must be locked.
pub(crate) fn close(
    db: &mut dyn Sql,
    id: HoldId,
    hold: &Hold,
    state: HoldState,
    paid: Option<(i64, i64)>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (captured, payee) = (paid.map_or(0, |paid| paid.0), paid.map(|paid| paid.1).or(hold.payee));
    db.execute(
        "UPDATE holds SET state = ?3, captured = ?4, payee_id = ?5, closed_at = ?6
         WHERE account_id = ?1 AND sequence = ?2",
        &params![id.account, id.sequence, &books::to_name(&state)?, captured, payee, at.0],
    )?;
    let free = "UPDATE accounts SET held = held - ?2 WHERE account_id = ?1";
    db.execute(free, &params![id.account, hold.amount])?;
    Ok(())
}

//! Whether the log is whole, and whether the rows are what it tells.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use onetap_apdu_spec::header::{Binding, CardId, KeyId};
use onetap_apdu_spec::service::{SystemName, TransactionId};
use onetap_apdu_spec::signed::SignatureMessage;
use subtle::ConstantTimeEq as _;

use crate::books;
use crate::books::accounts::OPERATOR;
use crate::books::chain::{End, ORIGIN, Sealed};
use crate::books::replay::{Replayed, ReplayedCard};
use crate::books::sql::{Row, Sql, params};
use crate::domain::{CardState, Event, Lock, MAX_PAGE, Mark, StoreError, Timestamp};
use crate::rules::verify::{Enrolled, signature_holds};
use crate::service::Verifier;
use crate::service::accounts::enrolled_digest;
use crate::service::error::ServiceError;

/// An account's row, as far as the chain tells it.
struct AccountRow {
    id: i64,
    end: End,
    open: bool,
    lock: Option<Lock>,
    wrong_in_a_row: u32,
}

impl Verifier {
    /// Checks that no entry of the log was changed, removed or moved, and that the rows of accounts, cards,
    /// keys, tries and executed transactions are what the log tells.
    ///
    /// # Errors
    /// [`ServiceError::AuditBroken`] with the first entry that does not fit, [`ServiceError::RowsBroken`] with
    /// what is not as the log tells.
    pub fn audit_verify(&self) -> Result<(), ServiceError> {
        let sql = "SELECT account_id, audit_sequence, audit_seal, audit_head, is_open, locked_at, lock_cause,
            wrong_in_a_row FROM accounts WHERE account_id >= ?1 ORDER BY account_id LIMIT ?2";
        self.store.read(|db| {
            let mut from = OPERATOR;
            loop {
                let accounts = db.all(sql, &params![from, MAX_PAGE], account_row)?;
                let Some(last) = accounts.last() else {
                    return Ok(());
                };
                from = last.id + 1;
                for account in &accounts {
                    let told = self.verify_chain(db, account)?;
                    self.verify_rows(db, account, &told)?;
                }
            }
        })
    }

    /// The chain alone; returns what it tells.
    fn verify_chain(&self, db: &mut dyn Sql, account: &AccountRow) -> Result<Replayed, ServiceError> {
        let sql = "SELECT sequence, at, event, seal FROM audit WHERE account_id = ?1 ORDER BY sequence";
        let (id, end) = (account.id, account.end);
        let (mut expected, mut before, mut broken) = (1, ORIGIN, None);
        let mut told = Replayed::default();
        db.query(sql, &params![id], &mut |row| {
            let (sequence, at, text) = (row.int(0)?, Timestamp(row.int(1)?), row.text(2)?);
            let entry = Sealed { account: id, sequence, at, event: text };
            let (computed, stored) = (self.sealer.seal(&before, &entry), row.array(3)?);
            let fits = sequence == expected && bool::from(computed.ct_eq(&stored)) && {
                let event: Event = books::from_json(text, "audit entry")?;
                told.apply(sequence, at, &event)
            };
            if !fits && broken.is_none() {
                broken = Some(expected);
            }
            (expected, before) = (expected + 1, stored);
            Ok(())
        })?;
        let whole = self.sealer.holds(id, &end) && end.sequence == expected - 1 && end.seal == before;
        match broken.or((!whole).then_some(expected)) {
            Some(sequence) => Err(ServiceError::AuditBroken { account: id, sequence }),
            None => Ok(told),
        }
    }

    fn verify_rows(
        &self,
        db: &mut dyn Sql,
        account: &AccountRow,
        told: &Replayed,
    ) -> Result<(), ServiceError> {
        let id = account.id;
        let checks = [
            (account.open != told.closed, "state"),
            (account.lock == told.lock, "lock"),
            (account.wrong_in_a_row == told.wrong_in_a_row, "tries in a row"),
            (wrong_passwords(db, id)? == told.wrong, "windowed tries"),
            (cards_fit(&cards(db, id)?, told), "cards"),
            (self.keys_fit(db, id, told)?, "card keys"),
            (executed(db, id)? == told_executed(told), "executed transactions"),
            (debits_fit(db, id, told)?, "entries"),
            (holds_fit(db, id, told)?, "holds"),
        ];
        let broken = |what| Err(ServiceError::RowsBroken { account: id, what });
        match checks.into_iter().find(|(fits, _)| !fits) {
            Some((_, what)) => broken(what),
            // Last, since it takes keys that fit.
            None if !self.signatures_hold(db, id)? => broken("signatures of executed transactions"),
            None => Ok(()),
        }
    }

    /// S of each executed transaction still verifies under the key that was enrolled then. (Where the signed
    /// bytes hold the joint password, which is kept nowhere, it cannot be checked again; nor can it where the
    /// server's keys that the card was bound to are retired.)
    fn signatures_hold(&self, db: &mut dyn Sql, account: i64) -> Result<bool, ServiceError> {
        let sql = "SELECT card_id, counter, message, signature, object FROM transactions
            WHERE account_id = ?1 AND object IS NOT NULL AND (card_id, counter) > (?2, ?3)
            ORDER BY card_id, counter LIMIT ?4";
        let mut cards: BTreeMap<(CardId, KeyId), Option<Enrolled>> = BTreeMap::new();
        let mut after = (String::new(), 0);
        loop {
            let page = db.all(sql, &params![account, &after.0, after.1, MAX_PAGE], stored)?;
            let Some(last) = page.last() else {
                return Ok(true);
            };
            after = (last.card.clone(), last.counter);
            for stored in page {
                let Ok(SignatureMessage { header, .. }) = SignatureMessage::parse(&stored.signature) else {
                    return Ok(false);
                };
                let Binding { card, signing_key, .. } = header.binding;
                if (card.to_string(), i64::from(header.counter)) != (stored.card, stored.counter) {
                    return Ok(false);
                }
                let known = match cards.entry((card, signing_key)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => place.insert(self.enrolled(db, card, signing_key)?),
                };
                let [message, signature, object] = [&stored.message, &stored.signature, &stored.object];
                let holds = |card| signature_holds(self.env.crypto, card, message, signature, object);
                if !known.as_ref().is_none_or(holds) {
                    return Ok(false);
                }
            }
        }
    }

    fn enrolled(&self, db: &mut dyn Sql, card: CardId, key: KeyId) -> Result<Option<Enrolled>, ServiceError> {
        let Some(row) = books::enrolled(db, card, key)? else {
            return Ok(None);
        };
        let Some(card_key) = self.bound_card_key(&row.binding)? else {
            return Ok(None);
        };
        Ok(Some(Enrolled::new(self.env.crypto, row.binding, &row.public_key, card_key)?))
    }

    /// Each key that was enrolled is the one whose digest the chain has.
    fn keys_fit(&self, db: &mut dyn Sql, account: i64, told: &Replayed) -> Result<bool, StoreError> {
        let sql = "SELECT card_id, signing_key, binding, public_key FROM card_keys WHERE account_id = ?1";
        let mut found: BTreeMap<(CardId, KeyId), _> = BTreeMap::new();
        db.query(sql, &params![account], &mut |row| {
            let digest = match row.opt_bytes(3)? {
                Some(key) => {
                    let binding: Binding = books::from_json(row.text(2)?, "card")?;
                    Some(enrolled_digest(self.env.crypto, &binding, key)?)
                }
                None => None,
            };
            let key = KeyId::try_from(row.int(1)?).map_err(|_| StoreError::BadRow { what: "card key" })?;
            found.insert((books::parse(row.text(0)?, "card")?, key), digest);
            Ok(())
        })?;
        let keys = |(id, card): (&CardId, &ReplayedCard)| {
            let id = *id;
            card.keys.iter().map(move |(key, digest)| ((id, *key), *digest)).collect::<Vec<_>>()
        };
        Ok(found == told.cards.iter().flat_map(keys).collect())
    }
}

/// The evidence of an executed transaction.
struct Stored {
    card: String,
    counter: i64,
    message: Vec<u8>,
    signature: Vec<u8>,
    object: Vec<u8>,
}

fn stored(row: &dyn Row) -> Result<Stored, StoreError> {
    Ok(Stored {
        card: row.text(0)?.to_owned(),
        counter: row.int(1)?,
        message: row.bytes(2)?.to_owned(),
        signature: row.bytes(3)?.to_owned(),
        object: row.bytes(4)?.to_owned(),
    })
}

fn account_row(row: &dyn Row) -> Result<AccountRow, StoreError> {
    Ok(AccountRow {
        id: row.int(0)?,
        end: books::chain_end(row, 1)?,
        open: row.flag(4)?,
        lock: books::lock(row, 5)?,
        wrong_in_a_row: row.count(7)?,
    })
}

fn wrong_passwords(db: &mut dyn Sql, account: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    let sql = "SELECT at, sequence FROM wrong_passwords WHERE account_id = ?1 ORDER BY sequence";
    db.all(sql, &params![account], |row| Ok((row.int(0)?, row.int(1)?)))
}

/// Card, state, newest key, end of the older ones, mark.
type CardRow = (CardId, CardState, i64, Option<Timestamp>, Option<Mark>);

fn cards(db: &mut dyn Sql, account: i64) -> Result<Vec<CardRow>, StoreError> {
    let sql = "SELECT card_id, newest_key, older_until, state, mark_counter, mark_fingerprint, mark_life,
        mark_wrong FROM cards WHERE account_id = ?1 ORDER BY card_id";
    db.all(sql, &params![account], |row| {
        let (state, mark) = books::card_state(row, 3)?;
        let card = books::parse(row.text(0)?, "card")?;
        Ok((card, state, row.int(1)?, row.opt_int(2)?.map(Timestamp), mark))
    })
}

fn cards_fit(found: &[CardRow], told: &Replayed) -> bool {
    let row = |(id, card): (&CardId, &ReplayedCard)| {
        (*id, card.state, i64::from(card.newest_key), card.older_until, card.mark)
    };
    found.iter().copied().eq(told.cards.iter().map(row))
}

/// The executed transactions in the order of their ids, each with its place in the chain.
fn executed(db: &mut dyn Sql, account: i64) -> Result<Vec<(TransactionId, i64)>, StoreError> {
    let sql = "SELECT card_id, counter, sequence FROM transactions WHERE account_id = ?1
        ORDER BY card_id, counter";
    db.all(sql, &params![account], |row| {
        let card = books::parse(row.text(0)?, "card")?;
        Ok((TransactionId::of(card, row.count(1)?), row.int(2)?))
    })
}

fn told_executed(told: &Replayed) -> Vec<(TransactionId, i64)> {
    told.executed.iter().map(|(id, (sequence, _))| (id.clone(), *sequence)).collect()
}

/// The holds, and who keeps the account, are those that the chain tells of.
fn holds_fit(db: &mut dyn Sql, account: i64, told: &Replayed) -> Result<bool, StoreError> {
    let sql = "SELECT sequence, amount, state, captured FROM holds WHERE account_id = ?1 ORDER BY sequence";
    let minor = |value: i64| u64::try_from(value).map_err(|_| StoreError::BadRow { what: "hold" });
    let found: BTreeMap<i64, _> = db
        .all(sql, &params![account], |row| {
            Ok((
                row.int(0)?,
                (minor(row.int(1)?)?, books::from_name(row.text(2)?, "hold")?, minor(row.int(3)?)?),
            ))
        })?
        .into_iter()
        .collect();
    let sql = "SELECT system FROM accounts WHERE account_id = ?1 AND kind <> 'equity'";
    let system = db.first(sql, &params![account], |row| Ok(row.opt_text(0)?.map(str::to_owned)))?.flatten();
    Ok(found == told.holds && system.as_deref() == told.system.as_ref().map(SystemName::as_str))
}

/// Each transaction that was paid has taken its amount from this account.
fn debits_fit(db: &mut dyn Sql, account: i64, told: &Replayed) -> Result<bool, StoreError> {
    let sql = "SELECT amount FROM entries WHERE account_id = ?1 AND transaction_id = ?2";
    for (id, amount) in &told.paid {
        let booked = db.first(sql, &params![account, &id.0], |row| row.int(0))?;
        if booked.and_then(i64::checked_neg).and_then(|paid| u64::try_from(paid).ok()) != Some(*amount) {
            return Ok(false);
        }
    }
    let opening = format!("opening-{account}");
    let opened = db.first(sql, &params![account, &opening], |row| row.int(0))?.unwrap_or(0);
    Ok(u64::try_from(opened).ok() == Some(told.opening_balance))
}

//! What the operator reads: accounts, the log, and whether the books hold.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::header::{Binding, CardId};
use onetap_apdu_spec::service::{TransactionId, TransactionRecord};

use crate::books;
use crate::books::accounts::{OPERATOR, RowLock, select_accounts};
use crate::books::check::check;
use crate::books::decision;
use crate::books::lines::lines;
use crate::books::log::{LogPage, log_columns, log_entry};
use crate::books::search::search;
use crate::books::sql::{Row, Sql, params};
use crate::domain::{Account, Chain, Event, EventName, LogEntry, Sought, StoreError, TimePlace};
use crate::domain::{AccountView, CardView, MAX_PAGE, StatementLine, StatementPlace};
use crate::service::Verifier;
use crate::service::error::ServiceError;

impl Verifier {
    /// One account.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn account(&self, number: &AccountNumber) -> Result<AccountView, ServiceError> {
        self.store.read(|db| {
            let account = find_account(db, number)?;
            Ok(self.view(db, account)?)
        })
    }

    /// All accounts, oldest first. For a few; many are read in pages.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn accounts(&self) -> Result<Vec<AccountView>, ServiceError> {
        let mut all: Vec<AccountView> = Vec::new();
        loop {
            let page = self.accounts_page(all.last().map(|account| &account.number), MAX_PAGE)?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// The accounts that were opened after the one with number `after`, oldest first, `limit` of them
    /// at most and never more than [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn accounts_page(
        &self,
        after: Option<&AccountNumber>,
        limit: u32,
    ) -> Result<Vec<AccountView>, ServiceError> {
        self.accounts_of("", after, limit)
    }

    /// The same of holders whose names contain `holder`; whether letters are capital does not count, as far as the store can
    /// tell.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn accounts_of(
        &self,
        holder: &str,
        after: Option<&AccountNumber>,
        limit: u32,
    ) -> Result<Vec<AccountView>, ServiceError> {
        self.store.read(|db| {
            let after = after.map(|number| find_account(db, number)).transpose()?;
            let after = after.map_or(OPERATOR, |account| account.id);
            let accounts = match holder {
                "" => books::accounts_after(db, after, limit.min(MAX_PAGE))?,
                name => books::accounts_of(db, name, after, limit.min(MAX_PAGE))?,
            };
            let accounts = accounts.into_iter();
            Ok(accounts.map(|account| self.view(db, account)).collect::<Result<_, StoreError>>()?)
        })
    }

    /// The accounts that are locked, longest first, `limit` of them at most and never more than
    /// [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn locked_accounts(&self, limit: u32) -> Result<Vec<AccountView>, ServiceError> {
        let sql = select_accounts!(
            "locked_at IS NOT NULL AND lock_cause <> 'moved' ORDER BY locked_at, account_id LIMIT ?1"
        );
        self.store.read(|db| {
            let accounts = db.all(sql, &params![limit.min(MAX_PAGE)], books::account)?.into_iter();
            Ok(accounts.map(|account| self.view(db, account)).collect::<Result<_, StoreError>>()?)
        })
    }

    /// A card with the number of its account.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchCard`].
    pub fn card(&self, card: CardId) -> Result<(AccountNumber, CardView), ServiceError> {
        self.store.read(|db| {
            let (account, number) = books::account_of_card(db, card)?.ok_or(ServiceError::NoSuchCard)?;
            let view = cards(db, account)?.into_iter().find(|view| view.card == card);
            Ok((number, view.ok_or(ServiceError::NoSuchCard)?))
        })
    }

    fn view(&self, db: &mut dyn Sql, account: Account) -> Result<AccountView, StoreError> {
        let since = self.policy().window_start(self.now());
        Ok(AccountView {
            wrong_in_window: books::wrong_since(db, account.id, since)?,
            cards: cards(db, account.id)?,
            balance: account.balance + books::credits(db, account.id)?,
            held: account.held,
            number: account.number,
            holder: account.holder,
            currency: account.currency,
            kind: account.kind,
            system: account.system,
            open: account.open,
            locked: account.lock,
            wrong_in_a_row: account.wrong_in_a_row,
        })
    }

    /// What became of one transaction, by its id: what a terminal asks that lost the answer.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchTransaction`] if it was not executed.
    pub fn transaction(&self, id: &TransactionId) -> Result<TransactionRecord, ServiceError> {
        let (card, counter) = id.signed().ok_or(ServiceError::NoSuchTransaction)?;
        self.store.read(|db| {
            let found = books::account_of_card(db, card)?;
            let (account, payer) = found.ok_or(ServiceError::NoSuchTransaction)?;
            let entry = decision::executed_entry(db, account, card, counter)?;
            let event = books::event_at(db, account, entry.ok_or(ServiceError::NoSuchTransaction)?)?;
            match event {
                Some(Event::Executed { receipt, terminal, .. }) => {
                    let reversal = reversal(db, &receipt.transaction, account)?;
                    Ok(TransactionRecord { receipt, terminal, payer: Some(payer), reversal })
                }
                _ => Err(StoreError::BadRow { what: "receipt" }.into()),
            }
        })
    }

    /// What was executed and is `sought`, after a place in the order of time, `limit` of them at most and never more than
    /// [`MAX_PAGE`], with their places.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn transactions(
        &self,
        sought: &Sought,
        after: TimePlace,
        limit: u32,
    ) -> Result<Vec<(TimePlace, TransactionRecord)>, ServiceError> {
        let sought = Sought { event: Some(EventName::executed()), ..sought.clone() };
        self.store.read_long(|db| {
            let chain = sought_chain(db, &sought)?;
            let mut found = Vec::new();
            for (place, entry) in search(db, chain, &sought, after, limit)? {
                let (Event::Executed { receipt, terminal, .. }, payer) = (entry.event, entry.account) else {
                    return Err(StoreError::BadRow { what: "receipt" }.into());
                };
                let reversal = reversal(db, &receipt.transaction, place.account)?;
                found.push((place, TransactionRecord { receipt, terminal, payer, reversal }));
            }
            Ok(found)
        })
    }

    /// The entries of the log that are `sought`, after a place in the order of time, `limit` of them at most and never more
    /// than [`MAX_PAGE`], with their places.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn search_log(
        &self,
        sought: &Sought,
        after: TimePlace,
        limit: u32,
    ) -> Result<Vec<(TimePlace, LogEntry)>, ServiceError> {
        self.store.read_long(|db| {
            let chain = sought_chain(db, sought)?;
            Ok(search(db, chain, sought, after, limit)?)
        })
    }

    /// The lines of an account's statement after a place, in the order of time, `limit` of them at most and never more
    /// than [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn statement(
        &self,
        number: &AccountNumber,
        after: &StatementPlace,
        limit: u32,
    ) -> Result<Vec<StatementLine>, ServiceError> {
        self.store.read(|db| {
            let account = find_account(db, number)?;
            Ok(lines(db, account.id, after, limit.min(MAX_PAGE) as usize)?)
        })
    }

    /// The log of one account, or of all accounts and the operator, oldest entry first. For a few; much is read
    /// in pages.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn log(&self, number: Option<&AccountNumber>) -> Result<Vec<LogEntry>, ServiceError> {
        let mut all: Vec<LogEntry> = Vec::new();
        if number.is_none() {
            let mut page = LogPage::default();
            self.store.read_long(|db| {
                while let entries @ [_, ..] = page.next(db)?.as_mut_slice() {
                    all.extend_from_slice(entries);
                }
                Ok::<(), ServiceError>(())
            })?;
            all.sort_by_key(|entry| entry.at);
            return Ok(all);
        }
        loop {
            let after = all.last().map_or(0, |entry| entry.sequence);
            let page = self.log_page(number, after, MAX_PAGE)?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// The entries of one chain after place `after`, oldest first, `limit` of them at most and never more
    /// than [`MAX_PAGE`]: an account's, or the operator's own if no number is given.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn log_page(
        &self,
        number: Option<&AccountNumber>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<LogEntry>, ServiceError> {
        let sql = concat!(
            "SELECT ",
            log_columns!(),
            " FROM audit a JOIN accounts c ON c.account_id = a.account_id
            WHERE a.account_id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3"
        );
        self.store.read(|db| {
            let account = chain(db, number)?;
            Ok(db.all(sql, &params![account, after, limit.min(MAX_PAGE)], log_entry)?)
        })
    }

    /// The last entries of one chain, oldest first, `limit` of them at most and never more than [`MAX_PAGE`]: an
    /// account's, or the operator's own if no number is given.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`].
    pub fn log_tail(
        &self,
        number: Option<&AccountNumber>,
        limit: u32,
    ) -> Result<Vec<LogEntry>, ServiceError> {
        let sql = concat!(
            "SELECT ",
            log_columns!(),
            " FROM audit a JOIN accounts c ON c.account_id = a.account_id
            WHERE a.account_id = ?1 ORDER BY sequence DESC LIMIT ?2"
        );
        self.store.read(|db| {
            let account = chain(db, number)?;
            let mut entries = db.all(sql, &params![account, limit.min(MAX_PAGE)], log_entry)?;
            entries.reverse();
            Ok(entries)
        })
    }

    /// How many accounts are locked now.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn locked_count(&self) -> Result<u64, ServiceError> {
        let sql = "SELECT count(*) FROM accounts WHERE locked_at IS NOT NULL AND lock_cause <> 'moved'";
        self.store.read(|db| Ok(db.count(sql, &[])?.unsigned_abs()))
    }

    /// The number of the account in this row; none for the operator's own, and for rows that nobody holds.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    #[cfg(feature = "http")]
    pub(crate) fn number_of(&self, row: i64) -> Result<Option<AccountNumber>, ServiceError> {
        let sql = "SELECT number FROM accounts WHERE account_id = ?1";
        let number = |row: &Row<'_>| {
            row.opt_text("number")?.map(|number| books::parse(number, "account number")).transpose()
        };
        self.store.read(|db| Ok(db.first(sql, &params![row], number)?.flatten()))
    }

    /// Checks that the ledger balances: every transaction, every account, every currency.
    ///
    /// # Errors
    /// [`ServiceError::LedgerBroken`].
    pub fn ledger_check(&self) -> Result<(), ServiceError> {
        match self.store.read_long(check)? {
            Some(what) => Err(ServiceError::LedgerBroken { what }),
            None => Ok(()),
        }
    }
}

fn find_account(db: &mut dyn Sql, number: &AccountNumber) -> Result<Account, ServiceError> {
    books::account_by_number(db, number, RowLock::None)?.ok_or(ServiceError::NoSuchAccount)
}

/// The row of the chain that is searched; none for all chains.
fn sought_chain(db: &mut dyn Sql, sought: &Sought) -> Result<Option<i64>, ServiceError> {
    match &sought.chain {
        Chain::All => Ok(None),
        Chain::Operator => Ok(Some(OPERATOR)),
        Chain::Account(number) => Ok(Some(find_account(db, number)?.id)),
    }
}

/// The id of the reversal of a transaction that `account` paid; none if it was not reversed.
fn reversal(
    db: &mut dyn Sql,
    transaction: &TransactionId,
    account: i64,
) -> Result<Option<TransactionId>, StoreError> {
    let Some(reversal) = transaction.reversal() else { return Ok(None) };
    Ok(books::is_reversed(db, &reversal, account)?.then_some(reversal))
}

/// The row whose chain is meant: the operator's own if no number is given.
fn chain(db: &mut dyn Sql, number: Option<&AccountNumber>) -> Result<i64, ServiceError> {
    number.map_or(Ok(OPERATOR), |number| Ok(find_account(db, number)?.id))
}

fn cards(db: &mut dyn Sql, account: i64) -> Result<Vec<CardView>, StoreError> {
    let sql = "SELECT k.binding, c.state FROM cards c JOIN card_keys k
        ON k.account_id = c.account_id AND k.card_id = c.card_id AND k.signing_key = c.newest_key
        WHERE c.account_id = ?1 ORDER BY c.card_id";
    db.all(sql, &params![account], |row| {
        let Binding { card, suite, signing_key, .. } = books::from_json(row.text("binding")?, "card")?;
        Ok(CardView { card, suite, state: books::parse(row.text("state")?, "card state")?, signing_key })
    })
}

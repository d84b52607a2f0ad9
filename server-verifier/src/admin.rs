//! What the operator does: accounts, terminals, cards, unlocking, and reading the books.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::RsaBits;
use onetap_apdu_spec::gp::KeySet;
use onetap_apdu_spec::header::{Binding, CardId};
use onetap_apdu_spec::money::{Currency, MAX_MINOR};
use onetap_apdu_spec::password::PasswordPolicy;
use onetap_apdu_spec::personal::{CardOrder, ConfirmationPolicy, EnrolmentStatement, Personalisation};
use onetap_apdu_spec::suite::{EncryptionMethod, Suite};
use onetap_apdu_spec::txn::{PayeeName, TerminalId};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::audit::Event;
use crate::environment::Timestamp;
use crate::error::{ServiceError, StoreError};
use crate::keys::FIRST;
use crate::ledger::{self, Posting};
use crate::service::{Client, Verifier};
use crate::store::Store as _;
use crate::store::books::{self, OPERATOR};
use crate::store::rows::{Account, AccountKind, CardState};

/// How an account is opened.
#[derive(Debug, Clone)]
pub struct AccountOptions {
    /// The holder's name, as it must stand in transactions that pay this account.
    pub holder: PayeeName,
    /// Its currency.
    pub currency: Currency,
    /// What it is for.
    pub kind: AccountKind,
    /// Minor units, out of the operator's equity.
    pub opening_balance: u64,
    /// Its number; a random one is made if none is given.
    pub number: Option<AccountNumber>,
}

/// How a card is ordered.
#[derive(Debug, Clone)]
pub struct CardOptions {
    /// What it signs.
    pub suite: Suite,
    /// Size of the key that it makes.
    pub rsa_bits: RsaBits,
    /// How it draws joint passwords.
    pub password: PasswordPolicy,
    /// When the holder needs what.
    pub confirmation: ConfirmationPolicy,
}

impl CardOptions {
    /// The default suite: the key up to 50 major units, the PIN up to 1000, both above; five key-only
    /// payments or 150 major units before the PIN is asked for.
    #[must_use]
    pub fn new(currency: Currency) -> Self {
        let major = 10_u64.pow(u32::from(currency.exponent()));
        Self {
            suite: Suite::default(),
            rsa_bits: RsaBits::B2048,
            password: PasswordPolicy::default(),
            confirmation: ConfirmationPolicy {
                currency,
                key_up_to: 50 * major,
                pin_up_to: 1_000 * major,
                key_only_count: 5,
                key_only_sum: 150 * major,
            },
        }
    }
}

impl Verifier {
    /// Opens an account and returns its number.
    ///
    /// # Errors
    /// [`ServiceError::AccountExists`], [`ServiceError::BalanceTooLarge`].
    pub fn open_account(&self, options: &AccountOptions) -> Result<AccountNumber, ServiceError> {
        let balance =
            i64::try_from(options.opening_balance).ok().filter(|_| options.opening_balance <= MAX_MINOR);
        let balance = balance.ok_or(ServiceError::BalanceTooLarge)?;
        let number = options.number.clone().map_or_else(|| self.new_number(), Ok)?;
        let now = self.env.clock.now();
        self.store.write(|db| {
            if books::account_by_number(db, &number)?.is_some() {
                return Err(ServiceError::AccountExists);
            }
            db.execute(
                "INSERT INTO accounts (number, holder, currency, kind) VALUES (?1, ?2, ?3, ?4)",
                params![
                    number.as_str(),
                    options.holder.as_str(),
                    options.currency.code(),
                    books::to_name(&options.kind)?
                ],
            )?;
            let id = db.last_insert_rowid();
            self.store.begin_audit(db, id)?;
            self.open_balance(db, id, options.currency, balance, now)?;
            let opening_balance = options.opening_balance;
            self.store.audit(db, id, now, &Event::AccountOpened { kind: options.kind, opening_balance })?;
            Ok(number)
        })
    }

    fn open_balance(
        &self,
        db: &Connection,
        account: i64,
        currency: Currency,
        amount: i64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if amount == 0 {
            return Ok(());
        }
        let transaction = hex::encode(self.env.random::<16>());
        let from = ledger::equity_account(db, currency)?;
        ledger::post(db, &Posting { transaction: &transaction, from, to: account, amount, at })
    }

    /// Twelve random digits and their check digit.
    fn new_number(&self) -> Result<AccountNumber, ServiceError> {
        let random = u64::from_be_bytes(self.env.random()) % 900_000_000_000 + 100_000_000_000;
        AccountNumber::from_payload(&random.to_string()).map_err(|_| ServiceError::NoSuchAccount)
    }

    /// Closes an account, which must be empty.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`], [`ServiceError::AccountNotEmpty`], [`ServiceError::AccountClosed`].
    pub fn close_account(&self, number: &AccountNumber) -> Result<(), ServiceError> {
        let now = self.env.clock.now();
        self.store.write(|db| {
            let account = open_account(db, number)?;
            if account.balance != 0 {
                return Err(ServiceError::AccountNotEmpty);
            }
            db.execute("UPDATE accounts SET is_open = 0 WHERE account_id = ?1", [account.id])?;
            self.store.audit(db, account.id, now, &Event::AccountClosed)?;
            Ok(())
        })
    }

    /// Registers a terminal, or finds it registered.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn register_terminal(&self, terminal: TerminalId) -> Result<Client, ServiceError> {
        let now = self.env.clock.now();
        self.store.write(|db| {
            let sql =
                "INSERT INTO terminals (terminal_id, registered_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            if db.execute(sql, params![terminal.as_str(), now.0])? > 0 {
                let event = Event::TerminalRegistered { terminal: terminal.clone() };
                self.store.audit(db, OPERATOR, now, &event)?;
            }
            Ok(Client { terminal })
        })
    }

    /// The client of a terminal that is registered already.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchTerminal`].
    pub fn client(&self, terminal: TerminalId) -> Result<Client, ServiceError> {
        let found = self.store.has_terminal(&terminal)?;
        if found { Ok(Client { terminal }) } else { Err(ServiceError::NoSuchTerminal) }
    }

    /// Orders a card for an account. The order holds the card's keys: hand it to the card and forget it.
    ///
    /// # Errors
    /// [`ServiceError::DangerRefused`], [`ServiceError::NoSuchAccount`],
    /// [`ServiceError::ConfirmationCurrency`].
    pub fn order_card(
        &self,
        number: &AccountNumber,
        options: &CardOptions,
    ) -> Result<CardOrder, ServiceError> {
        let suite = options.suite;
        self.policy.admits(suite).map_err(|danger| ServiceError::DangerRefused { suite, danger })?;
        let binding = self.new_binding(suite);
        let now = self.env.clock.now();
        self.store.write(|db| {
            let account = open_account(db, number)?;
            if account.currency != options.confirmation.currency {
                return Err(ServiceError::ConfirmationCurrency);
            }
            db.execute(
                "INSERT INTO cards (account_id, card_id, binding, rsa_bits, state)
                 VALUES (?1, ?2, ?3, ?4, 'ordered')",
                params![
                    account.id,
                    binding.card.to_string(),
                    books::to_json(&binding)?,
                    u16::from(options.rsa_bits)
                ],
            )?;
            self.store.audit(db, account.id, now, &Event::CardOrdered { card: binding.card, suite })?;
            Ok(())
        })?;
        let management = Some(self.management_keys(binding.card));
        Ok(CardOrder { personalisation: self.personalisation(binding, options), management })
    }

    /// The keys by which the issuer reaches a card that it ordered: to unblock its PIN, to lock it.
    #[must_use]
    pub fn management_keys(&self, card: CardId) -> KeySet {
        self.keys.management(&self.env, card)
    }

    fn new_binding(&self, suite: Suite) -> Binding {
        let uses_rsa = suite.encryption() == EncryptionMethod::RsaOaep;
        Binding {
            server: self.keys.server,
            card: CardId(self.env.random()),
            suite,
            signing_key: FIRST,
            server_key: if uses_rsa { FIRST } else { 0 },
            issuer_key: FIRST,
        }
    }

    fn personalisation(&self, binding: Binding, options: &CardOptions) -> Personalisation {
        let uses_rsa = binding.server_key != 0;
        Personalisation {
            binding,
            rsa_bits: options.rsa_bits,
            card_key: self.keys.card_key(&self.env, binding.card, binding.issuer_key),
            server_public_key: if uses_rsa { self.keys.public_key.clone() } else { Vec::new() },
            password: options.password,
            confirmation: options.confirmation,
        }
    }

    /// Enrols the key of an ordered card, which must have signed the statement with it.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchCard`], [`ServiceError::CardNotOrdered`],
    /// [`ServiceError::StatementForged`], [`ServiceError::StatementMismatch`].
    pub fn activate_card(&self, statement: &EnrolmentStatement) -> Result<CardId, ServiceError> {
        let crypto = self.env.crypto;
        statement.verify(crypto).map_err(|_| ServiceError::StatementForged)?;
        let modulus_bits = crypto.rsa_public(&statement.public_key)?.modulus_len() * 8;
        let card = statement.binding.card;
        let now = self.env.clock.now();
        self.store.write(|db| {
            let (account, state) = card_row(db, card)?;
            if state != CardState::Ordered {
                return Err(ServiceError::CardNotOrdered);
            }
            let sql = "SELECT binding, rsa_bits FROM cards WHERE card_id = ?1";
            let (binding, bits): (String, u16) =
                db.query_row(sql, [card.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let binding: Binding = books::from_json(&binding, "card")?;
            if binding != statement.binding || usize::from(bits) != modulus_bits {
                return Err(ServiceError::StatementMismatch);
            }
            let sql = "UPDATE cards SET state = 'active', public_key = ?2 WHERE card_id = ?1";
            db.execute(sql, params![card.to_string(), statement.public_key])?;
            self.store.audit(db, account, now, &Event::CardActivated { card })?;
            Ok(card)
        })
    }

    /// Blocks a card for good.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchCard`], [`ServiceError::CardBlocked`], [`ServiceError::ReasonNeeded`].
    pub fn block_card(&self, card: CardId, operator: &str, reason: &str) -> Result<(), ServiceError> {
        let (operator, reason) = on_record(operator, reason)?;
        let now = self.env.clock.now();
        self.store.write(|db| {
            let (account, state) = card_row(db, card)?;
            if state == CardState::Blocked {
                return Err(ServiceError::CardBlocked);
            }
            db.execute("UPDATE cards SET state = 'blocked' WHERE card_id = ?1", [card.to_string()])?;
            self.store.audit(db, account, now, &Event::CardBlocked { card, operator, reason })?;
            Ok(())
        })
    }

    /// Unlocks an account. Voids every counter value up to the marks of its cards, so that nothing
    /// signed before can be tried again.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAccount`], [`ServiceError::NotLocked`], [`ServiceError::ReasonNeeded`].
    pub fn unlock(&self, number: &AccountNumber, operator: &str, reason: &str) -> Result<(), ServiceError> {
        let (operator, reason) = on_record(operator, reason)?;
        let now = self.env.clock.now();
        self.store.write(|db| {
            let account = books::account_by_number(db, number)?.ok_or(ServiceError::NoSuchAccount)?;
            if account.lock.is_none() {
                return Err(ServiceError::NotLocked);
            }
            for sql in [
                "UPDATE accounts SET locked_at = NULL, lock_cause = NULL, wrong_in_a_row = 0
                 WHERE account_id = ?1",
                "DELETE FROM wrong_passwords WHERE account_id = ?1",
                "UPDATE cards SET mark_life = 'dead' WHERE account_id = ?1 AND mark_counter IS NOT NULL",
            ] {
                db.execute(sql, [account.id])?;
            }
            self.store.audit(db, account.id, now, &Event::Unlocked { operator, reason })?;
            Ok(())
        })
    }
}

/// Who and why, neither empty.
fn on_record(operator: &str, reason: &str) -> Result<(String, String), ServiceError> {
    let (operator, reason) = (operator.trim(), reason.trim());
    if operator.is_empty() || reason.is_empty() {
        return Err(ServiceError::ReasonNeeded);
    }
    Ok((operator.to_owned(), reason.to_owned()))
}

fn open_account(db: &Connection, number: &AccountNumber) -> Result<Account, ServiceError> {
    let account = books::account_by_number(db, number)?.ok_or(ServiceError::NoSuchAccount)?;
    if account.open { Ok(account) } else { Err(ServiceError::AccountClosed) }
}

/// The account row and the state of a card.
fn card_row(db: &Connection, card: CardId) -> Result<(i64, CardState), ServiceError> {
    let sql = "SELECT account_id, state FROM cards WHERE card_id = ?1";
    let row: Option<(i64, String)> =
        db.query_row(sql, [card.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (account, state) = row.ok_or(ServiceError::NoSuchCard)?;
    Ok((account, books::from_name(&state, "card state")?))
}

//! What the operator does: accounts, terminals, cards, unlocking, and reading the books.

use std::sync::Arc;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::{Digest, RsaBits};
use onetap_apdu_spec::editions;
use onetap_apdu_spec::gp::KeySet;
use onetap_apdu_spec::header::{Binding, CardId, KeyId};
use onetap_apdu_spec::money::{Currency, MAX_MINOR};
use onetap_apdu_spec::password::PasswordPolicy;
use onetap_apdu_spec::personal::{CardOrder, ConfirmationPolicy, EnrolmentStatement, Personalisation};
use onetap_apdu_spec::suite::{EncryptionMethod, Suite};
use onetap_apdu_spec::txn::{PayeeName, TerminalId};

use crate::books;
use crate::books::accounts::{OPERATOR, RowLock};
use crate::books::ledger;
use crate::books::ledger::{NewAccount, Posting};
use crate::books::sql::{Sql, params};
use crate::domain::{Account, AccountKind, CardState, Event, StoreError, Timestamp};
use crate::keys::KeyRing;
use crate::service::error::ServiceError;
use crate::service::{Client, Verifier};

/// Version of the signing key that a card makes first.
const FIRST: KeyId = 1;

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
                currency: currency.into(),
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
    /// [`ServiceError::AccountExists`], [`ServiceError::BalanceTooLarge`], [`ServiceError::Edition`].
    pub fn open_account(&self, options: &AccountOptions) -> Result<AccountNumber, ServiceError> {
        let balance =
            i64::try_from(options.opening_balance).ok().filter(|_| options.opening_balance <= MAX_MINOR);
        let balance = balance.ok_or(ServiceError::BalanceTooLarge)?;
        let number = options.number.clone().map_or_else(|| self.new_number(), Ok)?;
        editions::check_account(&number)?;
        editions::check_currency(options.currency.into())?;
        let now = self.env.clock.now();
        let AccountOptions { kind, opening_balance, currency, .. } = *options;
        self.store.write(|db| {
            if books::account_by_number(db, &number, RowLock::None)?.is_some() {
                return Err(ServiceError::AccountExists);
            }
            let new = NewAccount {
                number: Some(number.as_str()),
                holder: options.holder.as_str(),
                currency,
                kind: &books::to_name(&kind)?,
                system: None,
            };
            let id = ledger::new_account(db, &self.sealer, &new)?;
            self.open_balance(db, id, currency, balance, now)?;
            self.audit(db, id, now, &Event::AccountOpened { kind, opening_balance })?;
            Ok(number)
        })
    }

    fn open_balance(
        &self,
        db: &mut dyn Sql,
        account: i64,
        currency: Currency,
        amount: i64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if amount == 0 {
            return Ok(());
        }
        let transaction = format!("opening-{account}");
        let from = ledger::equity_account(db, &self.sealer, currency)?;
        ledger::post(db, &Posting { transaction: &transaction, from, to: account, amount, at })
    }

    /// Adds to an account's audit chain, inside the caller's transaction.
    pub(crate) fn audit(
        &self,
        db: &mut dyn Sql,
        account: i64,
        at: Timestamp,
        event: &Event,
    ) -> Result<(), StoreError> {
        books::append_audit(db, &self.sealer, account, at, event).map(drop)
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
            if account.balance + account.held + books::credits(db, account.id)? != 0 {
                return Err(ServiceError::AccountNotEmpty);
            }
            db.execute("UPDATE accounts SET is_open = 0 WHERE account_id = ?1", &params![account.id])?;
            Ok(self.audit(db, account.id, now, &Event::AccountClosed)?)
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
            if db.execute(sql, &params![terminal.as_str(), now.0])? > 0 {
                let event = Event::TerminalRegistered { terminal: terminal.clone() };
                self.audit(db, OPERATOR, now, &event)?;
            }
            Ok(Client { terminal })
        })
    }

    /// The client of a terminal that is registered already.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchTerminal`].
    pub fn client(&self, terminal: TerminalId) -> Result<Client, ServiceError> {
        let sql = "SELECT count(*) FROM terminals WHERE terminal_id = ?1 AND withdrawn_at IS NULL";
        let found = self.store.read(|db| db.count(sql, &params![terminal.as_str()]))?;
        if found == 1 { Ok(Client { terminal }) } else { Err(ServiceError::NoSuchTerminal) }
    }

    /// Withdraws a terminal: no client can be made for it any more.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchTerminal`], also if it was withdrawn before.
    pub fn withdraw_terminal(&self, terminal: &TerminalId) -> Result<(), ServiceError> {
        let now = self.env.clock.now();
        self.store.write(|db| {
            let sql =
                "UPDATE terminals SET withdrawn_at = ?2 WHERE terminal_id = ?1 AND withdrawn_at IS NULL";
            if db.execute(sql, &params![terminal.as_str(), now.0])? == 0 {
                return Err(ServiceError::NoSuchTerminal);
            }
            Ok(self.audit(db, OPERATOR, now, &Event::TerminalWithdrawn { terminal: terminal.clone() })?)
        })
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
        let ring = self.newest_ring()?;
        let binding = self.new_binding(&ring, CardId(self.env.random()), options.suite, FIRST)?;
        let order = self.order(&ring, binding, options)?;
        let now = self.env.clock.now();
        self.store.write(|db| {
            let account = open_account(db, number)?;
            self.write_card(db, &account, binding, options, now)
        })?;
        Ok(order)
    }

    /// Blocks a card and orders another for its account.
    ///
    /// # Errors
    /// Those of [`Verifier::block_card`] and [`Verifier::order_card`].
    pub fn replace_card(
        &self,
        card: CardId,
        options: &CardOptions,
        operator: &str,
        reason: &str,
    ) -> Result<CardOrder, ServiceError> {
        let (operator, reason) = on_record(operator, reason)?;
        let ring = self.newest_ring()?;
        let binding = self.new_binding(&ring, CardId(self.env.random()), options.suite, FIRST)?;
        let order = self.order(&ring, binding, options)?;
        let now = self.env.clock.now();
        self.store.write(|db| {
            let account = account_of_card(db, card)?;
            self.block(db, card, now, operator, reason)?;
            self.write_card(db, &account, binding, options, now)
        })?;
        Ok(order)
    }

    /// Orders new keys for a card that has some: the card is personalised again, under the newest keys of the
    /// server. Once the new key is activated, the old one stays good for [`crate::Policy::key_overlap`].
    /// Counter and mark go on.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchCard`], [`ServiceError::CardNotActive`], [`ServiceError::DangerRefused`],
    /// [`ServiceError::ConfirmationCurrency`].
    pub fn rotate_card_key(&self, card: CardId, options: &CardOptions) -> Result<CardOrder, ServiceError> {
        let now = self.env.clock.now();
        let ring = self.newest_ring()?;
        self.store.write(|db| {
            let account = account_of_card(db, card)?;
            if card_state(db, account.id, card)? != CardState::Active {
                return Err(ServiceError::CardNotActive);
            }
            let last = "SELECT max(signing_key) FROM card_keys WHERE account_id = ?1 AND card_id = ?2";
            let last = db.count(last, &params![account.id, &card.to_string()])?;
            let next = KeyId::try_from(last + 1).map_err(|_| ServiceError::CardNotActive)?;
            let binding = self.new_binding(&ring, card, options.suite, next)?;
            self.write_key(db, &account, binding, options, now)?;
            self.order(&ring, binding, options)
        })
    }

    fn write_card(
        &self,
        db: &mut dyn Sql,
        account: &Account,
        binding: Binding,
        options: &CardOptions,
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        let sql = "INSERT INTO cards (account_id, card_id, state, newest_key) VALUES (?1, ?2, 'ordered', ?3)";
        let key = u32::from(binding.signing_key);
        db.execute(sql, &params![account.id, &binding.card.to_string(), key])?;
        self.write_key(db, account, binding, options, now)
    }

    fn write_key(
        &self,
        db: &mut dyn Sql,
        account: &Account,
        binding: Binding,
        options: &CardOptions,
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        if options.confirmation.currency != account.currency {
            return Err(ServiceError::ConfirmationCurrency);
        }
        // A version that was retired since must not come back by a card that is bound to it.
        if !self.newest_ring()?.serves(&binding) {
            return Err(ServiceError::KeyRetired);
        }
        let Binding { card, suite, signing_key, .. } = binding;
        db.execute(
            "INSERT INTO card_keys (account_id, card_id, signing_key, binding, rsa_bits)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            &params![
                account.id,
                &card.to_string(),
                u32::from(signing_key),
                &books::to_json(&binding)?,
                u32::from(u16::from(options.rsa_bits))
            ],
        )?;
        Ok(self.audit(db, account.id, now, &Event::CardOrdered { card, suite, signing_key })?)
    }

    /// The server's keys, with what another process may have added.
    fn newest_ring(&self) -> Result<Arc<KeyRing>, ServiceError> {
        self.keys.refresh(&self.env)?;
        Ok(self.keys.ring())
    }

    fn order(
        &self,
        ring: &KeyRing,
        binding: Binding,
        options: &CardOptions,
    ) -> Result<CardOrder, ServiceError> {
        let Binding { card, issuer_key, .. } = binding;
        let card_key = ring.card_key(card, issuer_key)?.ok_or(ServiceError::NoSuchCard)?;
        let uses_rsa = binding.server_key != 0;
        let personalisation = Personalisation {
            binding,
            rsa_bits: options.rsa_bits,
            card_key,
            server_public_key: if uses_rsa { ring.newest_server_key().1.to_vec() } else { Vec::new() },
            password: options.password,
            confirmation: options.confirmation,
        };
        Ok(CardOrder { personalisation, management: ring.management(card, issuer_key)? })
    }

    /// The keys by which the issuer reaches a card that it ordered: to unblock its PIN, to lock it.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchCard`], also if the issuer key that the card was made with is retired.
    pub fn management_keys(&self, card: CardId) -> Result<KeySet, ServiceError> {
        let sql = "SELECT k.binding FROM cards c JOIN card_keys k USING (account_id, card_id)
            WHERE c.card_id = ?1 AND k.signing_key = c.newest_key";
        let read = |row: &dyn crate::books::sql::Row| books::from_json::<Binding>(row.text(0)?, "card");
        let id = card.to_string();
        let binding = self.store.read(|db| db.first(sql, &params![&id], read))?;
        let issuer_key = binding.ok_or(ServiceError::NoSuchCard)?.issuer_key;
        self.newest_ring()?.management(card, issuer_key)?.ok_or(ServiceError::NoSuchCard)
    }

    fn new_binding(
        &self,
        ring: &KeyRing,
        card: CardId,
        suite: Suite,
        signing_key: KeyId,
    ) -> Result<Binding, ServiceError> {
        self.policy.admits(suite).map_err(|danger| ServiceError::DangerRefused { suite, danger })?;
        let uses_rsa = suite.encryption() == EncryptionMethod::RsaOaep;
        Ok(Binding {
            server: self.keys.server,
            card,
            suite,
            signing_key,
            server_key: if uses_rsa { ring.newest_server_key().0 } else { 0 },
            issuer_key: ring.newest_issuer_key(),
        })
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
        let Binding { card, signing_key, .. } = statement.binding;
        let now = self.env.clock.now();
        self.store.write(|db| {
            let account = account_of_card(db, card)?;
            let state = card_state(db, account.id, card)?;
            let (binding, bits) = ordered_key(db, account.id, card, signing_key)?;
            if binding != statement.binding || bits != modulus_bits {
                return Err(ServiceError::StatementMismatch);
            }
            let older_until = match state {
                CardState::Blocked => return Err(ServiceError::CardBlocked),
                CardState::Ordered => None,
                CardState::Active => Some(Timestamp(now.0.saturating_add(self.policy.key_overlap))),
            };
            let enrolled = enrolled_digest(crypto, &binding, &statement.public_key)?;
            let (id, key) = (card.to_string(), u32::from(signing_key));
            db.execute(
                "UPDATE card_keys SET public_key = ?4
                 WHERE account_id = ?1 AND card_id = ?2 AND signing_key = ?3",
                &params![account.id, &id, key, &statement.public_key],
            )?;
            db.execute(
                "UPDATE cards SET state = 'active', newest_key = ?3, older_until = ?4
                 WHERE account_id = ?1 AND card_id = ?2",
                &params![account.id, &id, key, older_until.map(|until| until.0)],
            )?;
            let event = Event::CardActivated { card, signing_key, enrolled, older_until };
            self.audit(db, account.id, now, &event)?;
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
        self.store.write(|db| self.block(db, card, now, operator, reason))
    }

    fn block(
        &self,
        db: &mut dyn Sql,
        card: CardId,
        now: Timestamp,
        operator: String,
        reason: String,
    ) -> Result<(), ServiceError> {
        let account = account_of_card(db, card)?;
        if card_state(db, account.id, card)? == CardState::Blocked {
            return Err(ServiceError::CardBlocked);
        }
        let sql = "UPDATE cards SET state = 'blocked' WHERE account_id = ?1 AND card_id = ?2";
        db.execute(sql, &params![account.id, &card.to_string()])?;
        Ok(self.audit(db, account.id, now, &Event::CardBlocked { card, operator, reason })?)
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
            let account = locked_row(db, number)?;
            if account.lock.is_none() {
                return Err(ServiceError::NotLocked);
            }
            for sql in [
                "UPDATE accounts SET locked_at = NULL, lock_cause = NULL, wrong_in_a_row = 0
                 WHERE account_id = ?1",
                "DELETE FROM wrong_passwords WHERE account_id = ?1",
                "UPDATE cards SET mark_life = 'dead' WHERE account_id = ?1 AND mark_counter IS NOT NULL",
            ] {
                db.execute(sql, &params![account.id])?;
            }
            Ok(self.audit(db, account.id, now, &Event::Unlocked { operator, reason })?)
        })
    }
}

/// Who and why, neither empty.
pub(crate) fn on_record(operator: &str, reason: &str) -> Result<(String, String), ServiceError> {
    let (operator, reason) = (operator.trim(), reason.trim());
    if operator.is_empty() || reason.is_empty() {
        return Err(ServiceError::ReasonNeeded);
    }
    Ok((operator.to_owned(), reason.to_owned()))
}

/// An account that nobody else may change until the transaction ends.
pub(crate) fn locked_row(db: &mut dyn Sql, number: &AccountNumber) -> Result<Account, ServiceError> {
    books::account_by_number(db, number, RowLock::Change)?.ok_or(ServiceError::NoSuchAccount)
}

pub(crate) fn open_account(db: &mut dyn Sql, number: &AccountNumber) -> Result<Account, ServiceError> {
    let account = locked_row(db, number)?;
    if account.open { Ok(account) } else { Err(ServiceError::AccountClosed) }
}

/// The account of a card, which nobody else may change until the transaction ends.
fn account_of_card(db: &mut dyn Sql, card: CardId) -> Result<Account, ServiceError> {
    let (_, number) = books::account_of_card(db, card)?.ok_or(ServiceError::NoSuchCard)?;
    locked_row(db, &number)
}

fn card_state(db: &mut dyn Sql, account: i64, card: CardId) -> Result<CardState, ServiceError> {
    let sql = "SELECT state FROM cards WHERE account_id = ?1 AND card_id = ?2";
    let read = |row: &dyn crate::books::sql::Row| books::from_name(row.text(0)?, "card state");
    db.first(sql, &params![account, &card.to_string()], read)?.ok_or(ServiceError::NoSuchCard)
}

/// Binding and modulus bits of a key that waits to be activated.
fn ordered_key(
    db: &mut dyn Sql,
    account: i64,
    card: CardId,
    signing_key: KeyId,
) -> Result<(Binding, usize), ServiceError> {
    let sql = "SELECT binding, rsa_bits, public_key FROM card_keys
        WHERE account_id = ?1 AND card_id = ?2 AND signing_key = ?3";
    let card = card.to_string();
    let row = db.first(sql, &params![account, &card, u32::from(signing_key)], |row| {
        let bits = usize::try_from(row.int(1)?).unwrap_or(0);
        Ok((books::from_json(row.text(0)?, "card")?, bits, row.opt_bytes(2)?.is_some()))
    })?;
    match row {
        None => Err(ServiceError::StatementMismatch),
        Some((_, _, true)) => Err(ServiceError::CardNotOrdered),
        Some((binding, bits, false)) => Ok((binding, bits)),
    }
}

/// What the audit chain keeps of an enrolled key.
pub(crate) fn enrolled_digest(
    crypto: &dyn onetap_apdu_spec::crypto::Crypto,
    binding: &Binding,
    public_key: &[u8],
) -> Result<Digest, StoreError> {
    Ok(crypto.sha256(&[books::to_json(binding)?.as_bytes(), b"\0", public_key]))
}

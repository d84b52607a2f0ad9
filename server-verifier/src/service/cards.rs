//! Cards: ordering, activating, blocking, new keys.

use std::sync::Arc;

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::{CryptoError, Digest, Key256, RsaBits, RsaPrivate, SigningKeyType};
use onetap_apdu_spec::gp::KeySet;
use onetap_apdu_spec::header::{Binding, CardId, KeyId};
use onetap_apdu_spec::money::Currency;
use onetap_apdu_spec::password::PasswordPolicy;
use onetap_apdu_spec::personal::{CardOrder, ConfirmationPolicy, EnrolmentStatement, Personalisation};
use onetap_apdu_spec::suite::{EncryptionMethod, Suite};

use crate::books;
use crate::books::sql::{Row, Sql, params};
use crate::domain::{Account, CardState, Event, Ordered, StoreError, Timestamp};
use crate::keys::KeyRing;
use crate::service::Verifier;
use crate::service::accounts::{locked_row, open_account};
use crate::service::desk::Desk;
use crate::service::error::ServiceError;

/// Version of the signing key that a card makes first.
const FIRST: KeyId = 1;

/// How a card is ordered.
#[derive(Debug, Clone)]
pub struct CardOptions {
    /// What it signs.
    pub suite: Suite,
    /// Size of the key that it makes, where that is an RSA key.
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

    fn key_type(&self) -> SigningKeyType {
        SigningKeyType::of(self.suite.signature(), self.rsa_bits)
    }
}

impl Desk<'_> {
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
        let ring = self.verifier.newest_ring()?;
        let binding = self.verifier.new_binding(&ring, options.suite)?;
        let order = self.verifier.order(&ring, binding, options)?;
        let now = self.now();
        self.write(|db| {
            let account = open_account(db, number)?;
            self.write_key(db, &account, binding, options, now)
        })?;
        Ok(order)
    }

    /// Blocks a card and orders another for its account.
    ///
    /// # Errors
    /// Those of [`Desk::block_card`] and [`Desk::order_card`].
    pub fn replace_card(&self, card: CardId, options: &CardOptions) -> Result<CardOrder, ServiceError> {
        self.reasoned()?;
        let ring = self.verifier.newest_ring()?;
        let binding = self.verifier.new_binding(&ring, options.suite)?;
        let order = self.verifier.order(&ring, binding, options)?;
        let now = self.now();
        self.write(|db| {
            let account = account_of_card(db, card)?;
            self.block(db, card, now)?;
            self.write_key(db, &account, binding, options, now)
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
        let now = self.now();
        let ring = self.verifier.newest_ring()?;
        self.write(|db| {
            let account = account_of_card(db, card)?;
            if card_state(db, account.id, card)? != CardState::Active {
                return Err(ServiceError::CardNotActive);
            }
            let last = "SELECT max(signing_key) FROM card_keys WHERE account_id = ?1 AND card_id = ?2";
            let last = db.count(last, &params![account.id, &card.to_string()])?;
            let next = KeyId::try_from(last + 1).map_err(|_| ServiceError::CardNotActive)?;
            let binding = self.verifier.bind(&ring, card, options.suite, next)?;
            self.write_key(db, &account, binding, options, now)?;
            self.verifier.order(&ring, binding, options)
        })
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
        if !self.verifier.newest_ring()?.serves(&binding) {
            return Err(ServiceError::KeyRetired);
        }
        let Binding { card, suite, signing_key, .. } = binding;
        let order = Some(Ordered { binding, key_type: options.key_type(), new: signing_key == FIRST });
        self.tell(db, account.id, now, &Event::CardOrdered { card, suite, signing_key, order })?;
        Ok(())
    }

    /// Enrols the key of an ordered card, which must have signed the statement with it.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchCard`], [`ServiceError::CardNotOrdered`],
    /// [`ServiceError::StatementForged`], [`ServiceError::StatementMismatch`], [`ServiceError::UnusableKey`],
    /// [`ServiceError::ServersKey`].
    pub fn activate_card(&self, statement: &EnrolmentStatement) -> Result<CardId, ServiceError> {
        let crypto = self.verifier.env.crypto;
        statement.verify(crypto).map_err(|error| match error {
            CryptoError::BadSignature => ServiceError::StatementForged,
            unusable => ServiceError::UnusableKey(unusable),
        })?;
        self.verifier.keys.refresh(&self.verifier.env)?;
        if self.verifier.keys.own(&statement.public_key) {
            return Err(ServiceError::ServersKey);
        }
        let Binding { card, signing_key, suite, .. } = statement.binding;
        let key_type = crypto.verifying_key(suite.signature(), &statement.public_key)?.key_type();
        let now = self.now();
        self.write(|db| {
            let account = account_of_card(db, card)?;
            let state = card_state(db, account.id, card)?;
            if ordered_key(db, account.id, card, signing_key)? != (statement.binding, key_type) {
                return Err(ServiceError::StatementMismatch);
            }
            let older_until = match state {
                CardState::Blocked => return Err(ServiceError::CardBlocked),
                CardState::Ordered => None,
                CardState::Active => {
                    Some(Timestamp(now.0.saturating_add(self.verifier.policy().key_overlap)))
                }
            };
            let enrolled = enrolled_digest(crypto, &statement.binding, &statement.public_key)?;
            let public_key = statement.public_key.clone();
            let event = Event::CardActivated { card, signing_key, enrolled, older_until, public_key };
            self.tell(db, account.id, now, &event)?;
            Ok(card)
        })
    }

    /// Blocks a card for good.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchCard`], [`ServiceError::CardBlocked`], [`ServiceError::ReasonNeeded`].
    pub fn block_card(&self, card: CardId) -> Result<(), ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| self.block(db, card, now))
    }

    fn block(&self, db: &mut dyn Sql, card: CardId, now: Timestamp) -> Result<(), ServiceError> {
        let account = account_of_card(db, card)?;
        if card_state(db, account.id, card)? == CardState::Blocked {
            return Err(ServiceError::CardBlocked);
        }
        self.tell(db, account.id, now, &Event::CardBlocked { card })?;
        Ok(())
    }
}

impl Verifier {
    /// The binding of a new card.
    fn new_binding(&self, ring: &KeyRing, suite: Suite) -> Result<Binding, ServiceError> {
        self.bind(ring, CardId(self.env.random()), suite, FIRST)
    }

    fn bind(
        &self,
        ring: &KeyRing,
        card: CardId,
        suite: Suite,
        signing_key: KeyId,
    ) -> Result<Binding, ServiceError> {
        self.policy().admits(suite).map_err(|danger| ServiceError::DangerRefused { suite, danger })?;
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

    /// The server's keys, with what another process may have added.
    fn newest_ring(&self) -> Result<Arc<KeyRing>, ServiceError> {
        self.keys.refresh(&self.env)?;
        Ok(self.keys.ring())
    }

    /// The order that an entry of the log tells once more, or, where a card was replaced, the entry after it.
    ///
    /// # Errors
    /// [`ServiceError::KeyRetired`] if the server's keys are other ones by now.
    #[cfg(feature = "http")]
    pub(crate) fn order_again(&self, entry: crate::domain::EntryId) -> Result<CardOrder, ServiceError> {
        let Ordered { binding, key_type, .. } = self.store.read(|db| {
            for sequence in [entry.sequence, entry.sequence + 1] {
                if let Some(Event::CardOrdered { order: Some(order), .. }) =
                    books::event_at(db, entry.account, sequence)?
                {
                    return Ok(order);
                }
            }
            Err(ServiceError::NoSuchCard)
        })?;
        let ring = self.newest_ring()?;
        if ![0, ring.newest_server_key().0].contains(&binding.server_key) {
            return Err(ServiceError::KeyRetired);
        }
        let account = self.number_of(entry.account)?.ok_or(ServiceError::NoSuchAccount)?;
        let mut options =
            CardOptions { suite: binding.suite, ..CardOptions::new(self.account(&account)?.currency) };
        if let SigningKeyType::Rsa(bits) = key_type {
            options.rsa_bits = bits;
        }
        self.order(&ring, binding, &options)
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
            key_type: options.key_type(),
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
        let issuer_key = self.store.read(|db| newest_binding(db, card))?.issuer_key;
        self.newest_ring()?.management(card, issuer_key)?.ok_or(ServiceError::NoSuchCard)
    }

    /// All that it takes to judge what an enrolled card gives, as the server does. Secret: hand it to who judges the card,
    /// and forget it.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchCard`], also if it was never enrolled, or if a key of the server that it was made with is retired.
    pub fn keys_of_card(&self, card: CardId) -> Result<KeysOfCard, ServiceError> {
        let enrolled = self.store.read(|db| {
            let key = newest_binding(db, card)?.signing_key;
            Ok::<_, ServiceError>(books::enrolled(db, card, key)?)
        })?;
        let enrolled = enrolled.ok_or(ServiceError::NoSuchCard)?;
        let (ring, binding) = (self.newest_ring()?, enrolled.binding);
        if !ring.serves(&binding) {
            return Err(ServiceError::NoSuchCard);
        }
        let card_key = ring.card_key(card, binding.issuer_key)?.ok_or(ServiceError::NoSuchCard)?;
        Ok(KeysOfCard {
            binding,
            public_key: enrolled.public_key,
            card_key,
            server_key: ring.decryption_to_keep(binding.server_key),
            management: ring.management(card, binding.issuer_key)?,
        })
    }
}

/// The keys of an enrolled card, and the server's for it.
#[derive(Debug)]
pub struct KeysOfCard {
    /// Suite and key versions.
    pub binding: Binding,
    /// The card's public key, SubjectPublicKeyInfo in DER.
    pub public_key: Vec<u8>,
    /// The key that the card shares with the server.
    pub card_key: Key256,
    /// Opens E; none where the suite does not encrypt for the server's key.
    pub server_key: Option<Arc<dyn RsaPrivate>>,
    /// The keys by which the issuer reaches the card (GlobalPlatform).
    pub management: Option<KeySet>,
}

/// The binding of a card's newest key.
fn newest_binding(db: &mut dyn Sql, card: CardId) -> Result<Binding, ServiceError> {
    let sql = "SELECT k.binding FROM cards c JOIN card_keys k USING (account_id, card_id)
        WHERE c.card_id = ?1 AND k.signing_key = c.newest_key";
    let read = |row: &Row<'_>| books::from_json::<Binding>(row.text("binding")?, "card");
    db.first(sql, &params![&card.to_string()], read)?.ok_or(ServiceError::NoSuchCard)
}

/// The account of a card, which nobody else may change until the transaction ends.
fn account_of_card(db: &mut dyn Sql, card: CardId) -> Result<Account, ServiceError> {
    let (_, number) = books::account_of_card(db, card)?.ok_or(ServiceError::NoSuchCard)?;
    locked_row(db, &number)
}

fn card_state(db: &mut dyn Sql, account: i64, card: CardId) -> Result<CardState, ServiceError> {
    let sql = "SELECT state FROM cards WHERE account_id = ?1 AND card_id = ?2";
    let read = |row: &Row<'_>| books::parse(row.text("state")?, "card state");
    db.first(sql, &params![account, &card.to_string()], read)?.ok_or(ServiceError::NoSuchCard)
}

/// Binding and kind of a key that waits to be activated.
fn ordered_key(
    db: &mut dyn Sql,
    account: i64,
    card: CardId,
    signing_key: KeyId,
) -> Result<(Binding, SigningKeyType), ServiceError> {
    let sql = "SELECT binding, rsa_bits, public_key FROM card_keys
        WHERE account_id = ?1 AND card_id = ?2 AND signing_key = ?3";
    let card = card.to_string();
    let row = db.first(sql, &params![account, &card, u32::from(signing_key)], |row| {
        let binding = books::from_json(row.text("binding")?, "card")?;
        Ok((binding, row.int("rsa_bits")?, row.opt_bytes("public_key")?.is_some()))
    })?;
    match row {
        None => Err(ServiceError::StatementMismatch),
        Some((_, _, true)) => Err(ServiceError::CardNotOrdered),
        Some((binding, bits, false)) => {
            let key_type = u16::try_from(bits).ok().and_then(|bits| bits.try_into().ok());
            Ok((binding, key_type.ok_or(StoreError::BadRow { what: "card" })?))
        }
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

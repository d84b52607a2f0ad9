//! A bank with a shop and a holder, and a card made of `apdu-spec` pieces only.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "test code; each test file uses its part")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::crypto::{RsaPublic, SigningKey, SigningKeyType, default_provider};
use onetap_apdu_spec::envelope::Envelope;
use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::keys::CardKeys;
use onetap_apdu_spec::money::{Amount, Currency};
use onetap_apdu_spec::password::Password;
use onetap_apdu_spec::personal::{EnrolmentStatement, Personalisation};
use onetap_apdu_spec::rng::OsRng;
use onetap_apdu_spec::service::{AuthorisationRequest, PasswordObject};
use onetap_apdu_spec::signed::{SignatureMessage, SignedParts};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::{PayeeName, Reference, Transaction, TransactionType};
use onetap_server_verifier::*;
use time::OffsetDateTime;

pub const START: i64 = 1_790_000_000;
pub const OPENING: u64 = 100_000;

#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A copy of the stored database of an older version.
pub fn stored(version: &str) -> tempfile::TempDir {
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/databases").join(version);
    let directory = tempfile::tempdir().unwrap();
    for file in ["keys.json", "verifier.db"] {
        fs::copy(stored.join(file), directory.path().join(file)).unwrap();
        fs::set_permissions(directory.path().join(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
    directory
}

pub fn environment(clock: &TestClock) -> Environment {
    Environment::new(default_provider(), Arc::new(clock.clone()), Box::new(OsRng))
}

pub fn options(change: impl FnOnce(&mut Policy)) -> InitOptions {
    let mut options = InitOptions::new("Example Bank");
    change(&mut options.policy);
    options
}

/// One operator with a payer, a payee and a terminal.
pub struct World {
    pub verifier: Arc<Verifier>,
    pub clock: TestClock,
    pub ada: AccountNumber,
    pub shop: AccountNumber,
    pub client: Client,
    keys: AtomicU64,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Policy)) -> Self {
        let clock = TestClock::new();
        let verifier = Verifier::in_memory(options(change), environment(&clock)).unwrap();
        Self::around(verifier, clock)
    }

    pub fn on_disk(directory: &Path) -> Self {
        let clock = TestClock::new();
        let verifier = Verifier::init(directory, options(|_| ()), environment(&clock)).unwrap();
        Self::around(verifier, clock)
    }

    pub fn around(verifier: Verifier, clock: TestClock) -> Self {
        let ada = account(&verifier, "Ada Lovelace", AccountKind::Current, OPENING);
        let shop = account(&verifier, "Coffee Shop", AccountKind::Current, 0);
        let client = verifier
            .desk(Act::of_program("test", "set-up"))
            .register_terminal("TERM0001".parse().unwrap())
            .unwrap();
        Self { verifier: Arc::new(verifier), clock, ada, shop, client, keys: AtomicU64::new(0) }
    }

    pub fn card(&self, suite: &str) -> Card {
        self.card_of(&self.ada, suite.parse().unwrap())
    }

    pub fn card_of(&self, account: &AccountNumber, suite: Suite) -> Card {
        let mut options = CardOptions::new(eur());
        options.suite = suite;
        let card = Card::make(
            self.verifier
                .desk(Act::of_program("test", "set-up"))
                .order_card(account, &options)
                .unwrap()
                .personalisation,
        );
        self.verifier.desk(Act::of_program("test", "set-up")).activate_card(&card.statement()).unwrap();
        card
    }

    /// A payment of `minor` cents to the shop, now.
    pub fn payment(&self, minor: u64) -> Transaction {
        Transaction {
            kind: TransactionType::Payment,
            payer: "MZXW6YTBOJTG633C".parse().unwrap(),
            payee_account: self.shop.clone(),
            payee_name: PayeeName::new("Coffee Shop").unwrap(),
            amount: Amount::new(minor, eur()).unwrap(),
            at: moment(self.clock.now().0),
            terminal: "TERM0001".parse().unwrap(),
            unpredictable_number: [1, 2, 3, 4],
            reference: Reference::new("order 7").unwrap(),
            details: None,
        }
    }

    /// Sends a request under a key of its own.
    pub fn send(&self, request: &AuthorisationRequest) -> Outcome {
        let key = format!("key-{}", self.keys.fetch_add(1, Ordering::SeqCst));
        self.verifier.authorise(&self.client, &key, request).unwrap()
    }

    pub fn balances(&self) -> (i64, i64) {
        let balance = |number| self.verifier.account(number).unwrap().balance;
        (balance(&self.ada), balance(&self.shop))
    }

    /// The last reason that the operator sees for Ada's account.
    pub fn why(&self) -> Option<Why> {
        match self.verifier.log(Some(&self.ada)).unwrap().pop()?.event {
            Event::Refused { why, .. } => Some(why),
            _ => None,
        }
    }

    pub fn wrong_passwords(&self) -> usize {
        let log = self.verifier.log(Some(&self.ada)).unwrap();
        log.iter().filter(|entry| matches!(entry.event, Event::WrongPassword { .. })).count()
    }

    pub fn locked(&self) -> bool {
        self.verifier.account(&self.ada).unwrap().locked.is_some()
    }

    pub fn check_books(&self) {
        self.verifier.ledger_check().unwrap();
        self.verifier.audit_verify().unwrap();
    }
}

pub fn eur() -> Currency {
    "EUR".parse().unwrap()
}

pub fn moment(seconds: i64) -> time::PrimitiveDateTime {
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    time::PrimitiveDateTime::new(at.date(), at.time())
}

pub fn account(verifier: &Verifier, holder: &str, kind: AccountKind, opening_balance: u64) -> AccountNumber {
    let holder = PayeeName::new(holder).unwrap();
    let options = AccountOptions { holder, currency: eur(), kind, opening_balance, number: None };
    verifier.desk(Act::of_program("test", "set-up")).open_account(&options).unwrap()
}

pub fn password(text: &str) -> Password {
    text.parse().unwrap()
}

/// The card's side of the protocol, without card, contact or display.
pub struct Card {
    pub order: Personalisation,
    pub keys: CardKeys,
    pub key: Box<dyn SigningKey>,
    server: Option<Box<dyn RsaPublic>>,
    pub counter: u32,
}

/// One signed transaction.
pub struct Tap {
    pub request: AuthorisationRequest,
    pub header: Header,
    /// What the card shows to its holder.
    pub password: Password,
}

impl Tap {
    /// The same request with another password typed.
    pub fn typed(&self, text: &str) -> AuthorisationRequest {
        AuthorisationRequest { verification_password: password(text), ..self.request.clone() }
    }
}

impl Card {
    pub fn make(order: Personalisation) -> Self {
        let crypto = default_provider();
        // One RSA key for all cards of a test run: making one takes longer than all else.
        static KEY: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let make = || crypto.generate_key(order.key_type).unwrap().to_vec();
        let pkcs8 = match order.key_type {
            SigningKeyType::Rsa(_) => KEY.get_or_init(make).clone(),
            SigningKeyType::P256 => make(),
        };
        let key = crypto.signing_key(order.binding.suite.signature(), &pkcs8).unwrap();
        let server = (!order.server_public_key.is_empty())
            .then(|| crypto.rsa_public(&order.server_public_key).unwrap());
        let keys = CardKeys::new(crypto, order.card_key.clone());
        Self { order, keys, key, server, counter: 0 }
    }

    pub fn statement(&self) -> EnrolmentStatement {
        EnrolmentStatement::make(self.order.binding, self.key.as_ref()).unwrap()
    }

    /// Takes the next counter value and signs.
    pub fn tap(&mut self, transaction: Transaction) -> Tap {
        self.counter += 1;
        self.sign_at(self.counter, self.order.binding.suite, transaction)
    }

    /// Signs for any counter value under any suite.
    pub fn sign_at(&self, counter: u32, suite: Suite, transaction: Transaction) -> Tap {
        let crypto = default_provider();
        let mut binding = self.order.binding;
        binding.suite = suite;
        let payer = self.keys.alias(crypto, counter);
        let message = Transaction { payer, ..transaction }.encode().unwrap();
        let pw = self.order.password.draw(&mut OsRng);
        self.sign_bytes(Header { binding, counter }, message.bytes(), &pw)
    }

    /// Signs any bytes as T.
    pub fn sign_bytes(&self, header: Header, t: &[u8], pw: &Password) -> Tap {
        let suite = header.binding.suite;
        let e = self.envelope(header, t, pw);
        let parts = SignedParts::compose(default_provider(), &self.keys, &header, t, pw, e);
        let signature = self.key.sign(suite.signature(), &parts.signed_bytes()).unwrap();
        let request = AuthorisationRequest {
            transaction: t.to_vec(),
            signature_message: SignatureMessage { header, signature }.encode(),
            verification_password: pw.clone(),
            password_object: parts.owed().map(|(kind, bytes)| PasswordObject { kind, bytes }),
        };
        Tap { request, header, password: pw.clone() }
    }

    pub fn envelope(&self, header: Header, t: &[u8], pw: &Password) -> Vec<u8> {
        if !header.binding.suite.profile().encrypts() {
            return Vec::new();
        }
        let envelope = Envelope::new(default_provider(), &self.keys, &header, t);
        envelope.seal(pw, self.server.as_deref(), &mut OsRng).unwrap()
    }
}

/// The RSA keys in the plain key file of a directory, as PKCS#8: the one that opens E, and the one that signs checkpoints.
pub fn private_keys(directory: &Path) -> Vec<Vec<u8>> {
    let file: serde_json::Value =
        serde_json::from_slice(&fs::read(directory.join("keys.json")).unwrap()).unwrap();
    let keys = &file["keys"]["plain"];
    let hex = [&keys["decryption"][0]["key"]["pkcs8"], &keys["checkpoint"]];
    hex.map(|key| hex::decode(key.as_str().unwrap()).unwrap()).to_vec()
}

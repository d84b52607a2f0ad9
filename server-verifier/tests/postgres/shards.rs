//! Accounts in two databases, one account in one of them: docs/postgres.md, "Sharding".
//!
//! A decision touches the payer's shard only. There a payee of another shard has a stand-in, whose `credits` are money
//! in transit; the payee's shard fetches them over postgres_fdw and books each once, by its transaction id.

use onetap_apdu_spec::account::AccountNumber;
use onetap_apdu_spec::money::Amount;
use onetap_apdu_spec::txn::{PayeeName, Reference, TerminalId, Transaction, TransactionType};
use onetap_server_verifier::*;
use tempfile::TempDir;

use crate::home::{cluster, url};
use crate::support::*;

const SUITE: &str = "a3+sha256+aes-cbc-cmac";

/// Two shards of one operator: the same keys, the same server id.
struct Shards {
    shards: [Shard; 2],
    clock: TestClock,
    client: Client,
    _keys: TempDir,
}

struct Shard {
    database: String,
    verifier: Verifier,
}

impl Shard {
    fn sql(&self, sql: &str) -> String {
        cluster().sql(&self.database, sql).unwrap()
    }

    /// Sees the other's accounts and credits as tables of its own schema.
    fn look_at(&self, other: &Self) {
        let (host, database) = (cluster().host().display(), &other.database);
        self.sql(&format!(
            "CREATE EXTENSION postgres_fdw;
             CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', dbname '{database}');
             CREATE USER MAPPING FOR CURRENT_USER SERVER other OPTIONS (user 'postgres');
             CREATE SCHEMA other;
             IMPORT FOREIGN SCHEMA public LIMIT TO (accounts, credits, entries) FROM SERVER other INTO other"
        ));
    }

    /// Books what is in transit to this shard, once each: as often as one likes.
    fn fetch(&self) {
        self.sql(BOOK);
    }

    /// Takes back what the other shard has booked out of its transit.
    fn settle(&self) {
        self.sql(SETTLE);
    }
}

/// In the payee's shard. The equity account is the other side, as for opening balances: minus what the other shard owes.
const BOOK: &str = "
    WITH transit AS (
        SELECT mine.account_id, c.transaction_id, c.amount, e.at
        FROM other.credits c JOIN other.accounts a USING (account_id)
            JOIN other.entries e USING (account_id, transaction_id)
            JOIN accounts mine ON mine.number = a.number
        WHERE EXISTS
            (SELECT FROM routes.homes WHERE homes.number = mine.number)
    ), booked AS (
        INSERT INTO entries (account_id, transaction_id, amount, at)
        SELECT account_id, transaction_id, amount, at FROM transit
        ON CONFLICT (account_id, at, transaction_id) DO NOTHING
        RETURNING account_id, transaction_id, amount, at
    ), credited AS (
        INSERT INTO credits (account_id, transaction_id, amount)
        SELECT account_id, transaction_id, amount FROM booked
    ), against AS (
        INSERT INTO entries (account_id, transaction_id, amount, at)
        SELECT equity.account_id, b.transaction_id, -b.amount, b.at FROM booked b JOIN accounts payee USING (account_id)
            JOIN accounts equity ON equity.kind = 'equity' AND equity.currency = payee.currency
    )
    UPDATE accounts SET balance = balance - sums.amount FROM (
        SELECT payee.currency, sum(b.amount)::bigint AS amount FROM booked b JOIN accounts payee USING (account_id)
        GROUP BY payee.currency) AS sums
    WHERE kind = 'equity' AND accounts.currency = sums.currency";

/// In the payer's shard.
const SETTLE: &str = "
    WITH booked AS (
        DELETE FROM credits c USING accounts a, other.accounts home, other.entries e
        WHERE a.account_id = c.account_id AND home.number = a.number AND e.account_id = home.account_id
            AND e.transaction_id = c.transaction_id AND NOT EXISTS (SELECT FROM routes.homes WHERE homes.number = a.number)
        RETURNING c.account_id, c.amount
    )
    UPDATE accounts SET balance = balance + sums.amount FROM (
        SELECT account_id, sum(amount)::bigint AS amount FROM booked GROUP BY account_id) AS sums
    WHERE accounts.account_id = sums.account_id";

impl Shards {
    fn new() -> Self {
        let (keys, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
        let make = || {
            let database = cluster().database(None).unwrap();
            let url = url(&[cluster().host()], &database);
            let options = options(|_| ());
            let verifier = Verifier::init_postgres(keys.path(), &url, options, environment(&clock)).unwrap();
            let shard = Shard { database, verifier };
            shard.sql("CREATE SCHEMA routes; CREATE TABLE routes.homes (number TEXT PRIMARY KEY)");
            // The operator's equity in euros, the other side of what comes from the other shard.
            account(&shard.verifier, "House", AccountKind::Current, 1);
            shard
        };
        let shards = [make(), make()];
        let [one, other] = &shards;
        one.look_at(other);
        other.look_at(one);
        let terminal: TerminalId = "TERM0001".parse().unwrap();
        let client =
            one.verifier.desk(Act::of_program("test", "set-up")).register_terminal(terminal.clone()).unwrap();
        other.verifier.desk(Act::of_program("test", "set-up")).register_terminal(terminal).unwrap();
        Self { shards, clock, client, _keys: keys }
    }

    /// The directory: which shard an account is at home in.
    fn home_of(number: &AccountNumber) -> usize {
        usize::from(number.as_str().bytes().map(u32::from).sum::<u32>() % 2 == 1)
    }

    /// Opens an account in shard `home`.
    fn open(&self, home: usize, holder: &str, balance: u64) -> AccountNumber {
        let numbers =
            (100_000_000_000_u64..).map(|payload| AccountNumber::from_payload(&payload.to_string()));
        let number = numbers.flatten().find(|number| Self::home_of(number) == home).unwrap();
        self.open_in(home, &number, holder, balance);
        self.shards[home].sql(&format!("INSERT INTO routes.homes VALUES ('{}')", number.as_str()));
        number
    }

    fn open_in(&self, shard: usize, number: &AccountNumber, holder: &str, opening_balance: u64) {
        let number = Some(number.clone());
        let holder = PayeeName::new(holder).unwrap();
        let options =
            AccountOptions { holder, currency: eur(), kind: AccountKind::Current, opening_balance, number };
        self.shards[shard].verifier.desk(Act::of_program("test", "set-up")).open_account(&options).unwrap();
    }

    /// What the payer's shard knows of a payee at home elsewhere, as the payee's shard says over postgres_fdw.
    fn stand_in(&self, shard: usize, payee: &AccountNumber) {
        let asked = format!("SELECT holder FROM other.accounts WHERE number = '{}'", payee.as_str());
        let holder = self.shards[shard].sql(&asked);
        self.open_in(shard, payee, &holder, 0);
    }

    fn pay(&self, card: &mut Card, payer: &AccountNumber, payee: &AccountNumber, name: &str) -> Outcome {
        let transaction = Transaction {
            kind: TransactionType::Payment,
            payer: "MZXW6YTBOJTG633C".parse().unwrap(),
            payee_account: payee.clone(),
            payee_name: PayeeName::new(name).unwrap(),
            amount: Amount::new(100, eur()).unwrap(),
            at: moment(self.clock.now().0),
            terminal: self.client.terminal().clone(),
            unpredictable_number: [1, 2, 3, 4],
            reference: Reference::new("order 7").unwrap(),
            details: None,
        };
        let tap = card.tap(transaction);
        let verifier = &self.shards[Self::home_of(payer)].verifier;
        verifier.authorise(&self.client, &format!("key-{}", card.counter), &tap.request).unwrap()
    }

    fn card(&self, account: &AccountNumber) -> Card {
        let mut options = CardOptions::new(eur());
        options.suite = SUITE.parse().unwrap();
        let verifier = &self.shards[Self::home_of(account)].verifier;
        let card = Card::make(
            verifier
                .desk(Act::of_program("test", "set-up"))
                .order_card(account, &options)
                .unwrap()
                .personalisation,
        );
        verifier.desk(Act::of_program("test", "set-up")).activate_card(&card.statement()).unwrap();
        card
    }

    fn balance(&self, shard: usize, number: &AccountNumber) -> i64 {
        self.shards[shard].verifier.account(number).unwrap().balance
    }

    fn check(&self) {
        for shard in &self.shards {
            shard.verifier.ledger_check().unwrap();
            // What came over postgres_fdw is told by the other shard's log only.
            match shard.verifier.audit_verify() {
                Ok(_) | Err(ServiceError::RowsBroken { what: "entries", .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        for shard in &self.shards {
            let _ = cluster().sql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", shard.database));
        }
    }
}

#[test]
fn a_payee_of_another_shard_is_credited_once_whatever_breaks_in_between() {
    let shards = Shards::new();
    let (ada, shop) = (shards.open(0, "Ada", OPENING), shards.open(1, "Shop", 0));
    shards.stand_in(0, &shop);
    let mut card = shards.card(&ada);
    let [payers, payees] = &shards.shards;

    // The decision needs the payer's shard only: the other one lets nobody in meanwhile.
    let allow = |yes: bool| {
        let database = &payees.database;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname";
        let sql = format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {yes}");
        cluster().sql("postgres", &sql).unwrap();
        cluster().sql("postgres", &format!("{end} = '{database}'")).unwrap();
    };
    allow(false);
    for _ in 0..3 {
        let outcome = shards.pay(&mut card, &ada, &shop, "Shop");
        assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}");
    }
    assert!(cluster().sql(&payees.database, "SELECT 1").is_err(), "it is away");
    assert_eq!((shards.balance(0, &ada), shards.balance(0, &shop)), (99_700, 300));
    allow(true);

    // Booked, and the connection breaks before it is committed: nothing. Then booked, twice, before it is settled.
    let broken = cluster().sql(&payees.database, &format!("BEGIN; {BOOK}; SELECT 1 / 0"));
    assert!(broken.is_err());
    assert_eq!(shards.balance(1, &shop), 0);
    payees.fetch();
    payees.fetch();
    assert_eq!(shards.balance(1, &shop), 300);
    shards.check();

    // Settled, and the connection breaks before it is committed: again; then for good, twice.
    assert!(cluster().sql(&payers.database, &format!("BEGIN; {SETTLE}; SELECT 1 / 0")).is_err());
    payees.fetch();
    payers.settle();
    payers.settle();
    assert_eq!(
        payers
            .sql("SELECT count(*) FROM credits c JOIN accounts USING (account_id) WHERE number IS NOT NULL"),
        "0"
    );
    assert!(matches!(shards.pay(&mut card, &ada, &shop, "Shop"), Outcome::Executed(_)));
    payees.fetch();
    payers.settle();
    payees.fetch();
    assert_eq!((shards.balance(0, &ada), shards.balance(1, &shop)), (99_600, 400));

    // What the payers' shard owes is what the payees' shard has booked against its equity.
    let owed = payers.sql(&format!("SELECT balance FROM accounts WHERE number = '{}'", shop.as_str()));
    let booked = payees.sql(
        "SELECT -sum(amount) FROM entries JOIN accounts USING (account_id) WHERE kind = 'equity'
        AND transaction_id NOT LIKE 'opening-%'",
    );
    assert_eq!((owed.as_str(), booked.as_str()), ("400", "400"));
    shards.check();
}

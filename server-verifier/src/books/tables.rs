//! The tables, as data: what the log tells of each, and what it does not, with the reason.
//!
//! Projection, checking, rebuilding and copying all read this list. `docs/data-model.md` explains each table.

use std::sync::OnceLock;

use crate::books::sql::kept;

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// In the order of the schema; those of the key come first.
    pub(crate) columns: &'static [Column],
    /// How many columns make the key.
    pub(crate) key: usize,
    pub(crate) home: Home,
    /// Whether the service removes rows.
    pub(crate) loses: bool,
    /// The statement that adds a row of what the log tells, once it was needed.
    pub(crate) inserted: OnceLock<&'static str>,
}

/// A column.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Why the log does not tell it; none if it does.
    pub(crate) untold: Option<&'static str>,
}

/// Which chains tell a table's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// The chain of the account in the first column. Rows change.
    Account,
    /// The operator's own chain. Rows change.
    Operator,
    /// Any chain. Rows are added, and never change.
    Grows,
    /// The log itself.
    Log,
    /// Any chain tells what a row may be; whether it is still there is not told, for this reason.
    Passes(&'static str),
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Table {}

/// A column that the log tells.
const fn told(name: &'static str) -> Column {
    Column { name, untold: None }
}

/// A column that it does not, and why.
const fn untold(name: &'static str, why: &'static str) -> Column {
    Column { name, untold: Some(why) }
}

const SUM: &str = "what is gathered of it is not told; with the credits it is the sum of what the account's chain and entries tell";
const CHAIN: &str = "the end of the account's own chain, under its own seal";
const DELIVERY: &str = "attempts of delivery are not events";

pub(crate) static SERVER: Table = Table {
    name: "server",
    columns: &[
        told("one"),
        told("server_id"),
        told("operator"),
        told("policy"),
        told("announces"),
        told("webhook_key"),
        told("webhook_until"),
    ],
    key: 1,
    home: Home::Operator,
    loses: false,
    inserted: OnceLock::new(),
};

pub(crate) static TERMINALS: Table = Table {
    name: "terminals",
    columns: &[told("terminal_id"), told("registered_at"), told("withdrawn_at")],
    key: 1,
    home: Home::Operator,
    loses: false,
    inserted: OnceLock::new(),
};

pub(crate) static CLIENTS: Table = Table {
    name: "clients",
    columns: &[told("client_id"), told("role"), told("certificate"), told("added_at"), told("withdrawn_at")],
    key: 1,
    home: Home::Operator,
    loses: false,
    inserted: OnceLock::new(),
};

pub(crate) static TOKENS: Table = Table {
    name: "tokens",
    columns: &[told("client_id"), told("token"), told("secret_hash"), told("made_at"), told("expires_at")],
    key: 2,
    home: Home::Operator,
    loses: false,
    inserted: OnceLock::new(),
};

pub(crate) static CLIENT_TERMINALS: Table = Table {
    name: "client_terminals",
    columns: &[told("client_id"), told("terminal_id"), told("linked_at")],
    key: 2,
    home: Home::Operator,
    loses: true,
    inserted: OnceLock::new(),
};

pub(crate) static PROPOSALS: Table = Table {
    name: "proposals",
    columns: &[told("proposal"), told("state"), told("asked_at"), told("decided_at")],
    key: 1,
    home: Home::Operator,
    loses: false,
    inserted: OnceLock::new(),
};

pub(crate) static ACCOUNTS: Table = Table {
    name: "accounts",
    columns: &[
        told("account_id"),
        told("number"),
        told("holder"),
        told("currency"),
        told("kind"),
        told("system"),
        told("is_open"),
        told("locked_at"),
        told("lock_cause"),
        told("wrong_in_a_row"),
        told("held"),
        untold("balance", SUM),
        untold("audit_sequence", CHAIN),
        untold("audit_seal", CHAIN),
        untold("audit_head", CHAIN),
    ],
    key: 1,
    home: Home::Account,
    loses: false,
    inserted: OnceLock::new(),
};

pub(crate) static CARDS: Table = Table {
    name: "cards",
    columns: &[
        told("account_id"),
        told("card_id"),
        told("state"),
        told("newest_key"),
        told("older_until"),
        told("mark_counter"),
        told("mark_fingerprint"),
        told("mark_life"),
        told("mark_wrong"),
    ],
    key: 2,
    home: Home::Account,
    loses: true,
    inserted: OnceLock::new(),
};

pub(crate) static CARD_KEYS: Table = Table {
    name: "card_keys",
    columns: &[
        told("account_id"),
        told("card_id"),
        told("signing_key"),
        told("binding"),
        told("rsa_bits"),
        told("public_key"),
    ],
    key: 3,
    home: Home::Account,
    loses: true,
    inserted: OnceLock::new(),
};

pub(crate) static WRONG_PASSWORDS: Table = Table {
    name: "wrong_passwords",
    columns: &[told("account_id"), told("at"), told("sequence")],
    key: 3,
    home: Home::Account,
    loses: true,
    inserted: OnceLock::new(),
};

pub(crate) static HOLDS: Table = Table {
    name: "holds",
    columns: &[
        told("account_id"),
        told("sequence"),
        told("amount"),
        told("state"),
        told("captured"),
        told("payee_id"),
        told("system"),
        told("placed_at"),
        told("closed_at"),
    ],
    key: 2,
    home: Home::Account,
    loses: true,
    inserted: OnceLock::new(),
};

pub(crate) static TRANSACTIONS: Table = Table {
    name: "transactions",
    columns: &[told("account_id"), told("card_id"), told("counter"), told("sequence")],
    key: 3,
    home: Home::Grows,
    loses: false,
    inserted: OnceLock::new(),
};

pub(crate) static ENTRIES: Table = Table {
    name: "entries",
    columns: &[told("account_id"), told("at"), told("transaction_id"), told("amount")],
    key: 3,
    home: Home::Grows,
    loses: false,
    inserted: OnceLock::new(),
};

pub(crate) static REVERSALS: Table = Table {
    name: "reversals",
    columns: &[told("account_id"), told("transaction_id")],
    key: 2,
    home: Home::Grows,
    loses: false,
    inserted: OnceLock::new(),
};

pub(crate) static CREDITS: Table = Table {
    name: "credits",
    columns: &[told("account_id"), told("transaction_id"), told("amount")],
    key: 2,
    home: Home::Passes("a credit goes when it is gathered into the balance, which is no event"),
    loses: true,
    inserted: OnceLock::new(),
};

pub(crate) static REQUESTS: Table = Table {
    name: "requests",
    columns: &[
        told("terminal_id"),
        told("idempotency_key"),
        told("account_id"),
        told("sequence"),
        told("at"),
        told("body"),
    ],
    key: 2,
    home: Home::Passes("answers are forgotten after a day, which is no event"),
    loses: true,
    inserted: OnceLock::new(),
};

pub(crate) static OUTBOX: Table = Table {
    name: "outbox",
    columns: &[
        told("account_id"),
        told("sequence"),
        told("topic"),
        untold("attempts", DELIVERY),
        untold("due_at", DELIVERY),
        untold("dead_at", DELIVERY),
        untold("failure", DELIVERY),
    ],
    key: 3,
    home: Home::Passes("a message goes when it was taken, which is no event"),
    loses: true,
    inserted: OnceLock::new(),
};

pub(crate) static AUDIT: Table = Table {
    name: "audit",
    columns: &[
        told("account_id"),
        told("sequence"),
        told("at"),
        told("actor"),
        told("reason"),
        told("event"),
        told("idempotency_key"),
        told("body"),
        told("message"),
        told("signature"),
        told("object"),
        told("seal"),
    ],
    key: 2,
    home: Home::Log,
    loses: false,
    inserted: OnceLock::new(),
};

/// All tables, those first that others refer to.
pub(crate) static TABLES: [&Table; 18] = [
    &SERVER,
    &TERMINALS,
    &CLIENTS,
    &TOKENS,
    &CLIENT_TERMINALS,
    &PROPOSALS,
    &ACCOUNTS,
    &CARDS,
    &CARD_KEYS,
    &WRONG_PASSWORDS,
    &HOLDS,
    &TRANSACTIONS,
    &ENTRIES,
    &REVERSALS,
    &CREDITS,
    &REQUESTS,
    &OUTBOX,
    &AUDIT,
];

/// Something in the database that the log does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotInTheLog {
    /// In which table.
    pub table: &'static str,
    /// Which column; none if it is whether a row is still there.
    pub column: Option<&'static str>,
    /// Why the log does not tell it.
    pub why: &'static str,
}

/// All that the log does not tell.
#[must_use]
pub fn not_in_the_log() -> Vec<NotInTheLog> {
    let rows = TABLES.into_iter().filter_map(|table| match table.home {
        Home::Passes(why) => Some(NotInTheLog { table: table.name, column: None, why }),
        _ => None,
    });
    let columns = TABLES.into_iter().flat_map(|table| {
        table.columns.iter().filter_map(|column| {
            column.untold.map(|why| NotInTheLog { table: table.name, column: Some(column.name), why })
        })
    });
    rows.chain(columns).collect()
}

impl Table {
    /// What the service does with the rows, as SQL names it: rows that only grow are never changed.
    #[cfg(feature = "postgres")]
    pub(crate) fn rights(&self) -> &'static str {
        match (self.home, self.loses) {
            (Home::Grows | Home::Log, _) => "SELECT, INSERT",
            (_, false) => "SELECT, INSERT, UPDATE",
            (_, true) => "SELECT, INSERT, UPDATE, DELETE",
        }
    }

    /// The columns that the log tells.
    pub(crate) fn told(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().filter(|column| column.untold.is_none()).map(|column| column.name)
    }

    /// The place of a column among those that the log tells.
    pub(crate) fn place(&self, column: &str) -> Option<usize> {
        self.told().position(|name| name == column)
    }

    /// A query for the columns that the log tells, which ends in `tail`.
    pub(crate) fn select(&self, tail: &str) -> &'static str {
        let names: Vec<_> = self.told().collect();
        kept(&format!("SELECT {} FROM {} {tail}", names.join(", "), self.name))
    }
}

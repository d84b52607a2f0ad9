//! Writing an entry: the entry itself, the changes of rows that its event tells, and the end of the chain, in one exchange
//! with the database.

use std::fmt::Write as _;

use crate::books::chain::{End, Entry, Place, Sealer};
use crate::books::outbox;
use crate::books::project::{Change, Payment, project, request};
use crate::books::sql::{Sql, Statement, Value, kept, params};
use crate::books::tables::{ACCOUNTS, Table};
use crate::books::{end_of_chain, to_json};
use crate::domain::{Act, Cell, Event, StoreError, Timestamp, Topic};

/// How who is paid gets the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Incoming {
    /// Into the balance.
    Balance,
    /// As a credit, to be gathered into the balance later: the row of who is paid need not be locked.
    Credit,
}

impl Incoming {
    /// Where rows are locked one by one, many pay to one account at the same time.
    fn at(db: &dyn Sql) -> Self {
        if db.locks_rows() { Self::Credit } else { Self::Balance }
    }
}

/// What is to be told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telling<'a> {
    /// Row of the account whose chain tells it.
    pub(crate) account: i64,
    pub(crate) at: Timestamp,
    pub(crate) act: &'a Act,
    pub(crate) event: &'a Event,
    /// The request that it answers.
    pub(crate) request: Option<Request<'a>>,
    /// What the card signed of what it executes.
    pub(crate) evidence: Option<Signed<'a>>,
    /// What others are told of it as.
    pub(crate) topic: Option<Topic>,
}

/// A request by its idempotency key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// Whose key it is: the terminal whose holder signed, or who acts.
    pub(crate) of: &'a str,
    pub(crate) key: &'a str,
    /// Keyed tag of its body.
    pub(crate) body: &'a [u8],
}

/// What a card signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) signature: &'a [u8],
    pub(crate) object: Option<&'a [u8]>,
}

impl<'a> Telling<'a> {
    /// An event alone.
    pub(crate) fn new(account: i64, at: Timestamp, act: &'a Act, event: &'a Event) -> Self {
        Self { account, at, act, event, request: None, evidence: None, topic: None }
    }

    /// Adds the entry alone: the rows that it tells are there.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is to be committed then.
    pub(crate) fn note(&self, db: &mut dyn Sql, sealer: &Sealer) -> Result<(), StoreError> {
        let last = end_of_chain(db, self.account)?.ok_or(StoreError::BadRow { what: "audit chain" })?;
        let (actor, json) = (self.act.by().to_string(), to_json(self.event)?);
        let entry = self.entry(&last, &actor, &json);
        let end = sealer.append(&last, &entry)?;
        let row = statements_of(&[], self.account, &end, Incoming::Balance);
        db.execute_all(&[vec![entry.insert(&end.seal)], row].concat())
    }

    fn entry<'e>(&self, last: &End, actor: &'e str, event: &'e str) -> Entry<'e>
    where
        'a: 'e,
    {
        Entry {
            place: Place { account: self.account, sequence: last.sequence + 1, at: self.at },
            actor: Some(actor),
            reason: self.act.reason(),
            event,
            key: self.request.map(|request| request.key),
            body: self.request.map(|request| request.body),
            message: self.evidence.map(|evidence| evidence.message),
            signature: self.evidence.map(|evidence| evidence.signature),
            object: self.evidence.and_then(|evidence| evidence.object),
        }
    }

    /// Adds the entry to the account's chain, which is locked by this, and returns its place.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is to be committed then.
    pub(crate) fn tell(&self, db: &mut dyn Sql, sealer: &Sealer) -> Result<i64, StoreError> {
        let last = end_of_chain(db, self.account)?;
        self.tell_after(db, sealer, &last.unwrap_or_else(|| sealer.begin(self.account)))
    }

    /// The same where the chain is known to end at `last`.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is to be committed then.
    pub(crate) fn tell_after(
        &self,
        db: &mut dyn Sql,
        sealer: &Sealer,
        last: &End,
    ) -> Result<i64, StoreError> {
        let (actor, json) = (self.act.by().to_string(), to_json(self.event)?);
        let entry = self.entry(last, &actor, &json);
        let place = entry.place;
        let end = sealer.append(last, &entry)?;
        let mut changes = project(place, self.event)?;
        let opens = |change: &Change| matches!(change, Change::Insert { table, .. } if **table == ACCOUNTS);
        if end.sequence == 1 && !changes.iter().any(opens) {
            return Err(StoreError::BadRow { what: "audit chain" });
        }
        changes.extend(self.request.map(|asked| request(place, asked.of, asked.key, asked.body)));
        let mut statements = vec![entry.insert(&end.seal)];
        statements.extend(statements_of(&changes, self.account, &end, Incoming::at(db)));
        statements.extend(self.topic.map(|topic| outbox::message(place, topic)));
        db.execute_all(&statements)?;
        Ok(end.sequence)
    }
}

/// The statements for `changes`. What changes in the account's own row, and the end of its chain, is one statement.
fn statements_of<'a>(
    changes: &'a [Change],
    account: i64,
    end: &'a End,
    incoming: Incoming,
) -> Vec<Statement<'a>> {
    let mut own = Update::default();
    let mut opened = None;
    let mut statements = Vec::with_capacity(changes.len() + 1);
    for change in changes {
        match change {
            Change::Insert { table, row } if **table == ACCOUNTS => opened = Some(row),
            Change::Set { table, key, to } if **table == ACCOUNTS && key[0] == Cell::Int(account) => {
                own.set(to);
            }
            Change::Add { table, key, column, amount }
                if **table == ACCOUNTS && key[0] == Cell::Int(account) =>
            {
                own.add(column, *amount);
            }
            Change::Pay(payment) => {
                for (row, amount) in payment.legs() {
                    if row == account {
                        own.add("balance", amount);
                    } else {
                        statements.extend(leg(payment, row, amount, incoming));
                    }
                }
            }
            Change::Insert { table, row } => statements.push(insert_told(table, row)),
            Change::Set { table, key, to } => statements.push(set(table, key, to)),
            Change::Add { table, key, column, amount } => {
                let mut update = Update::default();
                update.add(column, *amount);
                statements.push(update.statement(table, &key.iter().map(Value::from).collect::<Vec<_>>()));
            }
            Change::Delete { table, key } => statements.push(delete(table, key)),
        }
    }
    let chain: [(&'static str, Value<'a>); 3] = [
        ("audit_sequence", end.sequence.into()),
        ("audit_seal", (&end.seal).into()),
        ("audit_head", (&end.head).into()),
    ];
    let row = match opened {
        Some(row) => {
            let told = ACCOUNTS.told().zip(row.iter().map(Value::from));
            insert(&ACCOUNTS, told.chain([("balance", own.sum("balance").into())]).chain(chain))
        }
        None => {
            own.0.extend(chain.map(|(column, value)| (column, Assign::To(value))));
            own.statement(&ACCOUNTS, &[Value::Int(account)])
        }
    };
    // The account's own row first: others may refer to it.
    statements.insert(0, row);
    statements
}

/// What a payment gives an account whose own chain does not tell it.
fn leg(payment: &Payment, account: i64, amount: i64, incoming: Incoming) -> [Statement<'_>; 2] {
    let entry = Statement::new(
        "INSERT INTO entries (account_id, at, transaction_id, amount) VALUES (?1, ?2, ?3, ?4)",
        &params![account, payment.at.0, &payment.transaction, amount],
    );
    let money = match incoming {
        Incoming::Credit if amount > 0 => Statement::new(
            "INSERT INTO credits (account_id, transaction_id, amount) VALUES (?1, ?2, ?3)",
            &params![account, &payment.transaction, amount],
        ),
        _ => Statement::new(
            "UPDATE accounts SET balance = balance + ?2 WHERE account_id = ?1",
            &params![account, amount],
        ),
    };
    [entry, money]
}

/// A row with the columns that the log tells.
fn insert_told<'a>(table: &Table, row: &'a [Cell]) -> Statement<'a> {
    let sql = table.inserted.get_or_init(|| insert(table, table.told().map(|name| (name, Value::Null))).sql);
    Statement { sql, params: row.iter().map(Value::from).collect() }
}

/// New values in the row with this key.
pub(crate) fn set<'a>(table: &Table, key: &'a [Cell], to: &'a [(&'static str, Cell)]) -> Statement<'a> {
    let mut update = Update::default();
    update.set(to);
    update.statement(table, &key.iter().map(Value::from).collect::<Vec<_>>())
}

/// No more rows whose keys begin so.
pub(crate) fn delete<'a>(table: &Table, key: &'a [Cell]) -> Statement<'a> {
    let sql = format!("DELETE FROM {} WHERE {}", table.name, matches(table, key.len()));
    Statement { sql: kept(&sql), params: key.iter().map(Value::from).collect() }
}

/// A row with these columns.
pub(crate) fn insert<'a>(
    table: &Table,
    columns: impl Iterator<Item = (&'static str, Value<'a>)>,
) -> Statement<'a> {
    let (mut names, mut places, mut params) = (String::with_capacity(256), String::new(), Vec::new());
    for (name, param) in columns {
        params.push(param);
        let (comma, place) = (if params.len() > 1 { ", " } else { "" }, params.len());
        // Writing to a string does not fail.
        let _ = write!(names, "{comma}{name}");
        let _ = write!(places, "{comma}?{place}");
    }
    let sql = format!("INSERT INTO {} ({names}) VALUES ({places})", table.name);
    Statement { sql: kept(&sql), params }
}

/// What becomes of a column.
#[derive(Debug, Clone, Copy)]
enum Assign<'a> {
    To(Value<'a>),
    Plus(i64),
}

/// New values in one row. What is set last holds; what is added is summed.
#[derive(Debug, Default)]
struct Update<'a>(Vec<(&'static str, Assign<'a>)>);

impl<'a> Update<'a> {
    fn set(&mut self, to: &'a [(&'static str, Cell)]) {
        for (column, value) in to {
            self.0.retain(|(set, _)| set != column);
            self.0.push((column, Assign::To(value.into())));
        }
    }

    fn add(&mut self, column: &'static str, amount: i64) {
        let sum = self.sum(column).saturating_add(amount);
        self.0.retain(|(set, _)| *set != column);
        self.0.push((column, Assign::Plus(sum)));
    }

    /// What is added to a column.
    fn sum(&self, column: &str) -> i64 {
        let added = self.0.iter().find(|(set, _)| *set == column);
        added.map_or(0, |(_, assign)| if let Assign::Plus(amount) = assign { *amount } else { 0 })
    }

    fn statement(self, table: &Table, key: &[Value<'a>]) -> Statement<'a> {
        let mut sql = String::with_capacity(256);
        let mut params = key.to_vec();
        // Writing to a string does not fail.
        let _ = write!(sql, "UPDATE {} SET ", table.name);
        for (column, assign) in self.0 {
            let comma = if params.len() > key.len() { ", " } else { "" };
            let place = params.len() + 1;
            let (_, param) = match assign {
                Assign::To(value) => (write!(sql, "{comma}{column} = ?{place}"), value),
                Assign::Plus(amount) => {
                    (write!(sql, "{comma}{column} = {column} + ?{place}"), Value::Int(amount))
                }
            };
            params.push(param);
        }
        let _ = write!(sql, " WHERE {}", matches(table, key.len()));
        Statement { sql: kept(&sql), params }
    }
}

/// That the first columns of the key are the first parameters.
fn matches(table: &Table, columns: usize) -> String {
    let names = table.columns.iter().take(columns).enumerate();
    names.map(|(place, column)| format!("{} = ?{}", column.name, place + 1)).collect::<Vec<_>>().join(" AND ")
}

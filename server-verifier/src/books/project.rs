//! The projection: from an event to the changes of rows that it tells. Pure: deciding writes by it, checking and
//! rebuilding read by it.

use onetap_apdu_spec::header::{CardId, KeyId, ServerId};
use onetap_apdu_spec::service::{Receipt, TransactionId};
use onetap_apdu_spec::txn::TerminalId;

use crate::books::chain::{Entry, Place};
use crate::books::holds::capture_id;
use crate::books::tables::{
    ACCOUNTS, AUDIT, CARD_KEYS, CARDS, CLIENT_TERMINALS, CLIENTS, HOLDS, PROPOSALS, REQUESTS, REVERSALS,
    SERVER, TABLES, TERMINALS, TOKENS, TRANSACTIONS, Table, WRONG_PASSWORDS,
};
use crate::books::to_json;
use crate::domain::client::{ClientId, FIRST_TOKEN};
use crate::domain::{
    AccountKind, CardState, Carried, Cell, EntryId, Event, HoldState, Legs, Life, LockCause, Mark, Opened,
    Ordered, Policy, ProposalState, Settled, StoreError, Timestamp,
};

/// One change of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A new row: its columns that the log tells, in the order of the table.
    Insert { table: &'static Table, row: Vec<Cell> },
    /// New values in the row with this key.
    Set { table: &'static Table, key: Vec<Cell>, to: Vec<(&'static str, Cell)> },
    /// So much more, or less, in a column of the row with this key.
    Add { table: &'static Table, key: Vec<Cell>, column: &'static str, amount: i64 },
    /// All rows whose keys begin so are gone.
    Delete { table: &'static Table, key: Vec<Cell> },
    /// Money moves from one account to another.
    Pay(Payment),
}

/// Money that moves between two accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payment {
    /// Id of the transaction.
    pub(crate) transaction: String,
    pub(crate) at: Timestamp,
    legs: Legs,
    amount: i64,
}

impl Payment {
    /// What each account gets, in minor units; negative for who pays.
    pub(crate) fn legs(&self) -> [(i64, i64); 2] {
        [(self.legs.from, -self.amount), (self.legs.to, self.amount)]
    }

    /// What `account` gets; none if it takes no part.
    pub(crate) fn leg(&self, account: i64) -> Option<i64> {
        self.legs().into_iter().find_map(|(row, amount)| (row == account).then_some(amount))
    }
}

const UNTOLD: StoreError = StoreError::BadRow { what: "event that lacks what it changes" };

/// What the entry at `place` changes.
///
/// # Errors
/// [`StoreError::BadRow`] if the event does not tell it, or tells what cannot be.
pub(crate) fn project(place: Place, event: &Event) -> Result<Vec<Change>, StoreError> {
    let mut changes = Changes { place, list: Vec::with_capacity(8) };
    changes.tell(event)?;
    Ok(changes.list)
}

/// The row that an entry's request has left, if it answers one. A key belongs to the terminal whose holder signed, or to who acted.
pub(crate) fn answered(entry: &Entry<'_>, event: &Event) -> Option<Change> {
    let of = event.terminal().map(TerminalId::as_str).or(entry.actor)?;
    Some(request(entry.place, of, entry.key?, entry.body?))
}

/// The row that a request leaves, besides what its entry's event tells.
pub(crate) fn request(place: Place, of: &str, key: &str, body: &[u8]) -> Change {
    let Place { account, sequence, at } = place;
    let row = vec![of.into(), key.into(), account.into(), sequence.into(), at.0.into(), body.into()];
    Change::Insert { table: &REQUESTS, row }
}

struct Changes {
    place: Place,
    list: Vec<Change>,
}

impl Changes {
    fn tell(&mut self, event: &Event) -> Result<(), StoreError> {
        let at = Cell::from(self.place.at.0);
        match event {
            Event::Initialised { operator, server, policy, .. } => {
                self.initialise(operator, server.ok_or(UNTOLD)?, policy.as_ref().ok_or(UNTOLD)?)?;
            }
            Event::TakenOver { table, columns, rows } => self.take_over(table, columns, rows)?,
            Event::PolicyChanged { policy } => {
                self.set(&SERVER, [1_i64.into()], [("policy", to_json(policy)?.into())]);
            }
            Event::Announcing { on } => self.set(&SERVER, [1_i64.into()], [("announces", (*on).into())]),
            Event::Proposed { .. } => {
                let open = ProposalState::Open.to_string().into();
                self.insert(&PROPOSALS, vec![self.place.sequence.into(), open, at, Cell::Null]);
            }
            Event::ProposalApproved { proposal } => self.decide(*proposal, ProposalState::Approved),
            Event::ProposalRejected { proposal } => self.decide(*proposal, ProposalState::Rejected),
            Event::WebhookKeyRotated { version, older_until } => {
                let to = [("webhook_key", (*version).into()), ("webhook_until", older_until.0.into())];
                self.set(&SERVER, [1_i64.into()], to);
            }
            Event::TerminalRegistered { terminal } => {
                self.insert(&TERMINALS, vec![terminal.as_str().into(), at, Cell::Null]);
            }
            Event::TerminalWithdrawn { terminal } => {
                self.set(&TERMINALS, [terminal.as_str().into()], [("withdrawn_at", at)]);
            }
            Event::ClientAdded { client, role, terminals, secret, certificate, expires_at } => {
                let certificate = certificate.as_ref().map(hex::decode).transpose().map_err(|_| UNTOLD)?;
                let role = role.to_string();
                let row = [client.as_str().into(), role.into(), certificate.as_deref().into()];
                self.insert(&CLIENTS, [&row[..], &[at, Cell::Null]].concat());
                if let Some(secret) = secret {
                    self.token(client, FIRST_TOKEN, secret, *expires_at);
                }
                terminals.iter().for_each(|terminal| self.link(client, terminal));
            }
            Event::TokenAdded { client, token, secret, expires_at } => {
                self.token(client, *token, secret, *expires_at);
            }
            Event::TokenExpires { client, token, expires_at } => {
                let key = [client.as_str().into(), (*token).into()];
                self.set(&TOKENS, key, [("expires_at", expires_at.0.into())]);
            }
            Event::ClientLinked { client, terminal } => self.link(client, terminal),
            Event::ClientUnlinked { client, terminal } => {
                let key = vec![client.as_str().into(), terminal.as_str().into()];
                self.list.push(Change::Delete { table: &CLIENT_TERMINALS, key });
            }
            Event::ClientWithdrawn { client } => {
                self.set(&CLIENTS, [client.as_str().into()], [("withdrawn_at", at)]);
            }
            Event::AccountOpened { kind, opening_balance, opened } => {
                self.account(*kind, minor(*opening_balance)?, opened.as_ref().ok_or(UNTOLD)?);
            }
            Event::EquityOpened { holder, currency, system } => {
                let system = system.as_ref().map(|system| system.as_str()).into();
                self.open(Cell::Null, holder, currency.code().into(), "equity", system);
            }
            Event::AccountClosed => self.own([("is_open", false.into())]),
            Event::AccountLinked { system } => self.own([("system", system.as_str().into())]),
            Event::Unlocked { voided } => self.unlock(voided),
            Event::CardOrdered { card, order, .. } => self.order(*card, order.ok_or(UNTOLD)?)?,
            Event::CardActivated { card, signing_key, older_until, public_key, .. } => {
                self.activate(*card, *signing_key, *older_until, public_key);
            }
            Event::CardBlocked { card } => {
                self.card(*card, [("state", CardState::Blocked.to_string().into())]);
            }
            Event::Executed { receipt, mark, payee, .. } => self.execute(receipt, mark, *payee)?,
            Event::Refused { card, why, mark, .. } => {
                if why.follows_right_password() {
                    self.own([("wrong_in_a_row", 0_i64.into())]);
                }
                self.marks(*card, mark.as_ref());
            }
            Event::WrongPassword { card, in_a_row, locked, mark, .. } => {
                self.marks(*card, mark.as_ref());
                self.mistake(*in_a_row, *locked);
            }
            Event::Cancelled { card, mark, .. } => self.mark(*card, mark),
            Event::HoldPlaced { amount } => self.hold(minor(*amount)?, Cell::Null, Cell::Null),
            Event::HoldReleased { hold, held } => {
                self.close(*hold, minor(*held)?, HoldState::Released, None);
            }
            Event::HoldCaptured { hold, amount, held, to, .. } => {
                let (amount, legs) = (minor(*amount)?, Legs { from: self.place.account, to: *to });
                self.close(*hold, minor(*held)?, HoldState::Captured, Some((amount, *to)));
                self.pay(&capture_id(*hold), legs, amount);
            }
            Event::ExecutionSettled { transaction, settled } => {
                let Settled { hold, amount, legs } = settled.ok_or(UNTOLD)?;
                let amount = minor(amount)?;
                self.close(hold, amount, HoldState::Captured, Some((amount, legs.to)));
                self.pay(transaction, legs, amount);
            }
            Event::ExecutionFailed { hold, held, .. } => {
                self.close(hold.ok_or(UNTOLD)?, minor(*held)?, HoldState::Released, None);
            }
            Event::Reversed { transaction, amount, legs: Some(legs) } => {
                let reversal = transaction.reversal().ok_or(UNTOLD)?;
                self.insert(&REVERSALS, vec![legs.to.into(), reversal.to_string().into()]);
                self.pay(&reversal, *legs, minor(*amount)?);
            }
            Event::MovedAway { carried, .. } => self.move_away(carried)?,
            Event::MovedIn { carried, .. } => self.move_in(carried)?,
            Event::MoneySent { account, amount, .. } => {
                let Place { account: settling, sequence, .. } = self.place;
                let id = TransactionId::Carried { account: settling, sequence };
                self.pay(&id, Legs { from: *account, to: settling }, minor(*amount)?);
            }
            Event::MoneyCame { sent, account, amount, .. } => {
                let id = TransactionId::Carried { account: sent.account, sequence: sent.sequence };
                self.pay(&id, Legs { from: self.place.account, to: *account }, minor(*amount)?);
            }
            Event::Reversed { legs: None, .. }
            | Event::Repeated { .. }
            | Event::CancellationRefused { .. }
            | Event::KeyRotated { .. }
            | Event::KeyRetired { .. }
            | Event::Checkpointed { .. }
            | Event::MessageRequeued { .. }
            | Event::MessageDiscarded { .. } => {}
        }
        Ok(())
    }

    /// Nothing is held here any more, and nobody decides on it here.
    fn move_away(&mut self, carried: &Carried) -> Result<(), StoreError> {
        self.own([
            ("locked_at", self.place.at.0.into()),
            ("lock_cause", LockCause::Moved.to_string().into()),
        ]);
        let account = self.place.account;
        for hold in &carried.holds {
            let key = vec![account.into(), hold.sequence.into()];
            self.list.push(Change::Delete { table: &HOLDS, key });
            self.hold_more(account, -minor(hold.amount)?);
        }
        Ok(())
    }

    /// The account as it was before it moved.
    fn move_in(&mut self, carried: &Carried) -> Result<(), StoreError> {
        let (since, cause) = (
            carried.locked.map(|lock| lock.since.0).into(),
            carried.locked.map(|lock| lock.cause.to_string()).as_deref().into(),
        );
        self.own([("locked_at", since), ("lock_cause", cause)]);
        let account = self.place.account;
        for hold in &carried.holds {
            let amount = minor(hold.amount)?;
            let open =
                vec![account.into(), hold.sequence.into(), amount.into(), HoldState::Open.to_string().into()];
            let system = hold.system.as_ref().map(|system| system.as_str()).into();
            let rest = vec![0_i64.into(), hold.payee.into(), system, hold.placed_at.0.into(), Cell::Null];
            self.insert(&HOLDS, [open, rest].concat());
            self.hold_more(account, amount);
        }
        Ok(())
    }

    fn initialise(&mut self, operator: &str, server: ServerId, policy: &Policy) -> Result<(), StoreError> {
        let named = vec![1_i64.into(), server.to_string().into(), operator.into()];
        let begun = vec![to_json(policy)?.into(), false.into(), 0_i64.into(), 0_i64.into()];
        self.insert(&SERVER, [named, begun].concat());
        self.open(Cell::Null, operator, Cell::Null, "operator", Cell::Null);
        Ok(())
    }

    fn account(&mut self, kind: AccountKind, opening_balance: i64, opened: &Opened) {
        let (number, currency) = (opened.number.as_str().into(), opened.currency.code().into());
        self.open(number, &opened.holder, currency, &kind.to_string(), Cell::Null);
        if let Some(from) = opened.equity {
            let to = self.place.account;
            self.pay(&TransactionId::Opening { account: to }, Legs { from, to }, opening_balance);
        }
    }

    fn unlock(&mut self, voided: &[CardId]) {
        let none = Cell::Null;
        self.own([("locked_at", none.clone()), ("lock_cause", none), ("wrong_in_a_row", 0_i64.into())]);
        self.list.push(Change::Delete { table: &WRONG_PASSWORDS, key: vec![self.place.account.into()] });
        for card in voided {
            self.card(*card, [("mark_life", Life::Dead.to_string().into())]);
        }
    }

    fn activate(&mut self, card: CardId, key: KeyId, older_until: Option<Timestamp>, public_key: &[u8]) {
        let row = [self.place.account.into(), card.to_string().into(), key.into()];
        self.set(&CARD_KEYS, row, [("public_key", public_key.into())]);
        let to = [
            ("state", CardState::Active.to_string().into()),
            ("newest_key", key.into()),
            ("older_until", older_until.map(|until| until.0).into()),
        ];
        self.card(card, to);
    }

    /// Booked, or held until another system has booked it.
    fn execute(&mut self, receipt: &Receipt, mark: &Mark, payee: i64) -> Result<(), StoreError> {
        let Place { account, sequence, .. } = self.place;
        let (card, counter) = receipt.transaction.signed().ok_or(UNTOLD)?;
        self.mark(card, mark);
        self.own([("wrong_in_a_row", 0_i64.into())]);
        let row = vec![account.into(), card.to_string().into(), counter.into(), sequence.into()];
        self.insert(&TRANSACTIONS, row);
        let amount = minor(receipt.amount)?;
        match &receipt.accepted_for {
            Some(system) => self.hold(amount, payee.into(), system.as_str().into()),
            None => self.pay(&receipt.transaction, Legs { from: account, to: payee }, amount),
        }
        Ok(())
    }

    /// One more wrong password, which perhaps locks the account.
    fn mistake(&mut self, in_a_row: u32, locked: Option<LockCause>) {
        let Place { account, sequence, at } = self.place;
        self.own([("wrong_in_a_row", in_a_row.into())]);
        if let Some(cause) = locked {
            self.own([("locked_at", at.0.into()), ("lock_cause", cause.to_string().into())]);
        }
        self.insert(&WRONG_PASSWORDS, vec![account.into(), at.0.into(), sequence.into()]);
    }

    /// A proposal is decided.
    fn decide(&mut self, proposal: i64, state: ProposalState) {
        let to = [("state", state.to_string().into()), ("decided_at", self.place.at.0.into())];
        self.set(&PROPOSALS, [proposal.into()], to);
    }

    /// A token of a client, with the digest of its secret in hexadecimal.
    fn token(&mut self, client: &ClientId, token: u32, secret: &str, expires_at: Option<Timestamp>) {
        let named = vec![client.as_str().into(), token.into(), secret.into()];
        let lasts = vec![self.place.at.0.into(), expires_at.map(|at| at.0).into()];
        self.insert(&TOKENS, [named, lasts].concat());
    }

    /// A terminal that a client speaks for.
    fn link(&mut self, client: &ClientId, terminal: &TerminalId) {
        let row = vec![client.as_str().into(), terminal.as_str().into(), self.place.at.0.into()];
        self.insert(&CLIENT_TERMINALS, row);
    }

    fn insert(&mut self, table: &'static Table, row: Vec<Cell>) {
        self.list.push(Change::Insert { table, row });
    }

    fn set<const K: usize, const N: usize>(
        &mut self,
        table: &'static Table,
        key: [Cell; K],
        to: [(&'static str, Cell); N],
    ) {
        self.list.push(Change::Set { table, key: key.into(), to: to.into() });
    }

    /// New values in the account's own row.
    fn own<const N: usize>(&mut self, to: [(&'static str, Cell); N]) {
        self.set(&ACCOUNTS, [self.place.account.into()], to);
    }

    /// The account's own row.
    fn open(&mut self, number: Cell, holder: &str, currency: Cell, kind: &str, system: Cell) {
        let account = self.place.account.into();
        let named = vec![account, number, holder.into(), currency, kind.into(), system];
        let begun = vec![true.into(), Cell::Null, Cell::Null, 0_i64.into(), 0_i64.into()];
        self.insert(&ACCOUNTS, [named, begun].concat());
    }

    fn order(&mut self, card: CardId, order: Ordered) -> Result<(), StoreError> {
        let (account, id) = (Cell::from(self.place.account), Cell::from(card.to_string()));
        let key: Cell = order.binding.signing_key.into();
        if order.new {
            let ordered =
                vec![account.clone(), id.clone(), CardState::Ordered.to_string().into(), key.clone()];
            let unmarked = vec![Cell::Null, Cell::Null, Cell::Null, Cell::Null, 0_i64.into()];
            self.insert(&CARDS, [ordered, unmarked].concat());
        }
        let (binding, bits) = (to_json(&order.binding)?, u16::from(order.key_type));
        self.insert(&CARD_KEYS, vec![account, id, key, binding.into(), bits.into(), Cell::Null]);
        Ok(())
    }

    fn card<const N: usize>(&mut self, card: CardId, to: [(&'static str, Cell); N]) {
        self.set(&CARDS, [self.place.account.into(), card.to_string().into()], to);
    }

    fn mark(&mut self, card: CardId, mark: &Mark) {
        let to = [
            ("mark_counter", mark.counter.into()),
            ("mark_fingerprint", mark.fingerprint.as_slice().into()),
            ("mark_life", mark.life.to_string().into()),
            ("mark_wrong", mark.wrong.into()),
        ];
        self.card(card, to);
    }

    fn marks(&mut self, card: CardId, mark: Option<&Mark>) {
        if let Some(mark) = mark {
            self.mark(card, mark);
        }
    }

    fn pay(&mut self, transaction: &TransactionId, legs: Legs, amount: i64) {
        let (transaction, at) = (transaction.to_string(), self.place.at);
        self.list.push(Change::Pay(Payment { transaction, at, legs, amount }));
    }

    fn hold_more(&mut self, account: i64, amount: i64) {
        let key = vec![account.into()];
        self.list.push(Change::Add { table: &ACCOUNTS, key, column: "held", amount });
    }

    /// So much is held from now on; this entry names the hold.
    fn hold(&mut self, amount: i64, payee: Cell, system: Cell) {
        let Place { account, sequence, at } = self.place;
        let open = vec![account.into(), sequence.into(), amount.into(), HoldState::Open.to_string().into()];
        let rest = vec![0_i64.into(), payee, system, at.0.into(), Cell::Null];
        self.insert(&HOLDS, [open, rest].concat());
        self.hold_more(account, amount);
    }

    /// A hold ends, with what was paid to which row if it was captured.
    fn close(&mut self, hold: EntryId, held: i64, state: HoldState, paid: Option<(i64, i64)>) {
        let mut to = vec![("state", state.to_string().into()), ("closed_at", self.place.at.0.into())];
        if let Some((amount, payee)) = paid {
            to.extend([("captured", amount.into()), ("payee_id", payee.into())]);
        }
        let key = vec![hold.account.into(), hold.sequence.into()];
        self.list.push(Change::Set { table: &HOLDS, key, to });
        self.hold_more(hold.account, -held);
    }

    /// Rows as they stood; their columns by name, so that a later schema may have more.
    fn take_over(&mut self, table: &str, columns: &[String], rows: &[Vec<Cell>]) -> Result<(), StoreError> {
        let table = TABLES.into_iter().find(|known| known.name == table).ok_or(UNTOLD)?;
        if *table == AUDIT {
            // The evidence of entries before, which is no row of its own.
            return Ok(());
        }
        let places: Option<Vec<usize>> =
            table.told().map(|name| columns.iter().position(|column| column == name)).collect();
        let places = places.ok_or(UNTOLD)?;
        for row in rows {
            let row: Option<Vec<Cell>> = places.iter().map(|place| row.get(*place).cloned()).collect();
            self.insert(table, row.ok_or(UNTOLD)?);
        }
        Ok(())
    }
}

fn minor(amount: u64) -> Result<i64, StoreError> {
    i64::try_from(amount).map_err(|_| UNTOLD)
}

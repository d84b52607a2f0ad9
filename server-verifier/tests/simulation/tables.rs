//! The rows, as a database holds them, and what one decision writes.

use std::collections::BTreeMap;

use onetap_apdu_spec::crypto::Block;
use onetap_apdu_spec::header::KeyId;
use onetap_server_verifier::Event;
use onetap_server_verifier::rules::cancel::{CounterRows, ProvenCancellation};
use onetap_server_verifier::rules::decide::{Answered, Rows};
use onetap_server_verifier::rules::decide::{Attempt, Commit, Tries};
use onetap_server_verifier::rules::verify::Judged;
use onetap_server_verifier::{Account, Life, Mark};
use onetap_server_verifier::{CardState, Lock, Timestamp, TransactionId};

use crate::cast::{CAST, HOLDERS, eur, kind};
use crate::defect::Defect;

/// The other side of the opening balances.
const EQUITY: usize = HOLDERS.len();

/// All tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    pub accounts: Vec<Account>,
    pub cards: Vec<CardRow>,
    /// Account, transaction if it is one, amount.
    pub entries: Vec<(usize, Option<TransactionId>, i64)>,
    /// Account, transaction, amount.
    pub credits: Vec<(usize, TransactionId, i64)>,
    pub executed: Vec<Executed>,
    /// By terminal and idempotency key: the body, the account, and the place of the answer in its chain.
    pub requests: BTreeMap<(String, String), (Block, usize, usize)>,
    /// By account.
    pub audit: Vec<Vec<(Timestamp, Event)>>,
    /// Wrong passwords since the last unlock, by account.
    pub wrong: Vec<Vec<Timestamp>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardRow {
    pub state: CardState,
    pub mark: Option<Mark>,
    pub newest_key: KeyId,
    pub older_until: Option<Timestamp>,
}

/// A row of `transactions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    pub card: usize,
    pub counter: u32,
    /// Place in the chain of the card's account.
    pub place: usize,
}

/// What a decision read, and the credits that it gathered.
#[derive(Debug, Clone)]
pub struct Read {
    pub rows: Rows,
    gathered: Vec<TransactionId>,
}

/// What one decision or one act of the administrator writes.
#[derive(Debug, Clone)]
pub enum Write {
    Decision(Box<Decided>),
    /// What the cancellation of a card's counter value tells.
    Cancel(Timestamp, Box<Event>),
    Unlock(usize, Timestamp),
    Block(usize, Timestamp),
    /// A card's next key, and until when the older one is good.
    Rotate(usize, Timestamp, Timestamp),
}

#[derive(Debug, Clone)]
pub struct Decided {
    payer: Account,
    gathered: Vec<TransactionId>,
    at: Timestamp,
    event: Event,
    request: (String, String, Block),
    card: usize,
    mark: Option<Mark>,
    wrong: bool,
    /// Payee, amount.
    execution: Option<(usize, TransactionId, i64)>,
}

impl Tables {
    pub fn new() -> Self {
        let account = |(i, (holder, balance)): (usize, &(&str, i64))| Account {
            id: i64::try_from(i).unwrap(),
            number: CAST.numbers[i].clone(),
            holder: (*holder).to_owned(),
            currency: eur(),
            kind: kind(i),
            balance: *balance,
            held: 0,
            open: true,
            lock: None,
            wrong_in_a_row: 0,
            system: None,
        };
        let opening =
            |(i, (_, balance)): (usize, &(&str, i64))| [(i, None, *balance), (EQUITY, None, -*balance)];
        let card = CardRow { state: CardState::Active, mark: None, newest_key: 1, older_until: None };
        Self {
            accounts: HOLDERS.iter().enumerate().map(account).collect(),
            cards: vec![card; CAST.cards.len()],
            entries: HOLDERS.iter().enumerate().flat_map(opening).collect(),
            credits: Vec::new(),
            executed: Vec::new(),
            requests: BTreeMap::new(),
            audit: vec![Vec::new(); HOLDERS.len()],
            wrong: vec![Vec::new(); HOLDERS.len()],
        }
    }

    /// The balance with what has come in.
    pub fn balance(&self, account: usize) -> i64 {
        let credits = self.credits.iter().filter(|credit| credit.0 == account);
        self.accounts[account].balance + credits.map(|credit| credit.2).sum::<i64>()
    }

    /// Reads what a decision rests on.
    pub fn read(&self, attempt: &Attempt) -> Read {
        let account = usize::try_from(attempt.account).unwrap();
        let header = attempt.evidence().header();
        let transaction = attempt.evidence().message().transaction();
        let card = CAST.card(header.binding.card);
        let row = &self.cards[card];
        let key = (attempt.terminal.as_str().to_owned(), attempt.key.clone());
        let answered = self.requests.get(&key).map(|(body, account, place)| Answered {
            body: *body,
            answer: self.audit[*account][*place].1.answer().unwrap(),
        });
        let counted = matches!(attempt.judged, Judged::Wrong(_));
        let in_window = self.wrong[account].iter().filter(|at| counted && **at > attempt.window_start);
        let at_mark =
            row.mark.is_some_and(|mark| mark.counter == header.counter && mark.life == Life::Executed);
        let mut rows = Rows {
            account: self.accounts[account].clone(),
            wrong_in_window: u32::try_from(in_window.count()).unwrap(),
            card: row.state,
            key_current: header.binding.signing_key == row.newest_key
                || row.older_until.is_some_and(|until| attempt.now < until),
            mark: row.mark,
            payee: self.accounts.iter().find(|payee| payee.number == transaction.payee_account).cloned(),
            executed: at_mark.then(|| self.receipt(account, card, header.counter)).flatten(),
            answered,
        };
        let mut gathered = Vec::new();
        if transaction.amount.minor() > u64::try_from(rows.account.balance).unwrap_or(0)
            && rows.answered.is_none()
        {
            rows.account.balance = self.balance(account);
            gathered.extend(self.credits.iter().filter(|credit| credit.0 == account).map(|c| c.1.clone()));
        }
        Read { rows, gathered }
    }

    /// Reads what the decision on a cancellation rests on.
    pub fn read_counter(&self, cancellation: &ProvenCancellation) -> CounterRows {
        let (card, counter) = (CAST.card(cancellation.card()), cancellation.counter());
        let account = CAST.cards[card].account;
        let executed = self.place(card, counter).map(|place| match &self.audit[account][place].1 {
            Event::Executed { receipt, mark, .. } => (receipt.clone(), mark.fingerprint),
            other => unreachable!("{other:?} executed something"),
        });
        CounterRows { mark: self.cards[card].mark, executed }
    }

    /// The account of the answer under the key of `attempt`.
    pub fn account_of_key(&self, attempt: &Attempt) -> Option<i64> {
        let key = (attempt.terminal.as_str().to_owned(), attempt.key.clone());
        self.requests.get(&key).map(|(_, account, _)| i64::try_from(*account).unwrap())
    }

    /// Whether there is an answer already under the key of what is to be written.
    pub fn has_key_of(&self, write: &Write) -> bool {
        match write {
            Write::Decision(decided) => {
                let (terminal, key, _) = &decided.request;
                self.requests.contains_key(&(terminal.clone(), key.clone()))
            }
            _ => false,
        }
    }

    fn place(&self, card: usize, counter: u32) -> Option<usize> {
        self.executed.iter().find(|row| (row.card, row.counter) == (card, counter)).map(|row| row.place)
    }

    fn receipt(&self, account: usize, card: usize, counter: u32) -> Option<onetap_server_verifier::Receipt> {
        match &self.audit[account][self.place(card, counter)?].1 {
            Event::Executed { receipt, .. } => Some(receipt.clone()),
            _ => None,
        }
    }

    /// Writes.
    pub fn apply(&mut self, write: &Write, defect: Option<Defect>) {
        match write {
            Write::Decision(decided) => self.apply_decision(decided, defect),
            Write::Cancel(at, event) => {
                let (Event::Cancelled { card, .. } | Event::CancellationRefused { card, .. }) = &**event
                else {
                    unreachable!("{event:?} is no cancellation's")
                };
                let card = CAST.card(*card);
                if let Some(mark) = event.mark() {
                    self.cards[card].mark = Some(*mark);
                }
                if defect != Some(Defect::CancellationUnlogged) {
                    self.audit[CAST.cards[card].account].push((*at, Event::clone(event)));
                }
            }
            Write::Unlock(account, at) => {
                let row = &mut self.accounts[*account];
                (row.lock, row.wrong_in_a_row) = (None, 0);
                self.wrong[*account].clear();
                let mut voided = Vec::new();
                let cards = self.cards.iter_mut().zip(&CAST.cards);
                for (row, card) in cards.filter(|(_, card)| card.account == *account) {
                    voided.extend(row.mark.map(|_| card.id));
                    if defect != Some(Defect::UnlockVoidsNothing) {
                        row.mark = row.mark.map(Mark::dead);
                    }
                }
                let event = Event::Unlocked { voided };
                self.audit[*account].push((*at, event));
            }
            Write::Block(card, at) => {
                self.cards[*card].state = CardState::Blocked;
                let id = CAST.cards[*card].id;
                let event = Event::CardBlocked { card: id };
                self.audit[CAST.cards[*card].account].push((*at, event));
            }
            Write::Rotate(card, at, until) => {
                let row = &mut self.cards[*card];
                (row.newest_key, row.older_until) = (row.newest_key + 1, Some(*until));
                let event = Event::CardActivated {
                    card: CAST.cards[*card].id,
                    signing_key: row.newest_key,
                    enrolled: [0; 32],
                    older_until: Some(*until),
                    public_key: Vec::new(),
                };
                self.audit[CAST.cards[*card].account].push((*at, event));
            }
        }
    }

    fn apply_decision(&mut self, decided: &Decided, defect: Option<Defect>) {
        let account = usize::try_from(decided.payer.id).unwrap();
        self.accounts[account] = decided.payer.clone();
        if defect != Some(Defect::CreditsGatheredTwice) {
            self.credits.retain(|credit| credit.0 != account || !decided.gathered.contains(&credit.1));
        }
        let place = self.audit[account].len();
        let answer = match &decided.event {
            Event::Repeated { card, counter, .. } => self.place(CAST.card(*card), *counter).unwrap_or(place),
            _ => place,
        };
        self.audit[account].push((decided.at, decided.event.clone()));
        let (terminal, key, body) = decided.request.clone();
        if !(decided.wrong && defect == Some(Defect::WrongPasswordForgotten)) {
            self.requests.insert((terminal, key), (body, account, answer));
        }
        if let Some(mark) = decided.mark {
            self.cards[decided.card].mark = Some(mark);
        }
        if decided.wrong {
            self.wrong[account].push(decided.at);
        }
        if let Some((payee, id, amount)) = &decided.execution {
            let (_, counter) = id.signed().unwrap();
            self.executed.push(Executed { card: decided.card, counter, place });
            self.entries.push((account, Some(id.clone()), -amount));
            self.entries.push((*payee, Some(id.clone()), *amount));
            self.credits.push((*payee, id.clone(), *amount));
        }
    }
}

/// What `commit` writes, after `read`.
pub fn writes(read: Read, attempt: &Attempt, commit: &Commit<'_>) -> Write {
    let mut payer = read.rows.account;
    let wrong = matches!(commit.tries, Tries::Wrong { .. });
    match commit.tries {
        Tries::Unchanged => {}
        Tries::Right => payer.wrong_in_a_row = 0,
        Tries::Wrong { lock } => {
            payer.wrong_in_a_row += 1;
            payer.lock = payer.lock.or(lock.map(|cause| Lock { since: attempt.now, cause }));
        }
    }
    let execution = match &commit.event {
        Event::Executed { receipt, payee, .. } => {
            let amount = i64::try_from(receipt.amount).unwrap();
            payer.balance -= amount;
            Some((usize::try_from(*payee).unwrap(), receipt.transaction.clone(), amount))
        }
        _ => None,
    };
    Write::Decision(Box::new(Decided {
        payer,
        gathered: read.gathered,
        at: attempt.now,
        event: commit.event.clone(),
        request: (attempt.terminal.as_str().to_owned(), attempt.key.clone(), attempt.body),
        card: CAST.card(attempt.evidence().header().binding.card),
        mark: commit.mark().copied(),
        wrong,
        execution,
    }))
}

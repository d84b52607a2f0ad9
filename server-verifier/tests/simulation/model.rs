//! What should have happened: the rules of docs/spec/server.md once more, as simply as they can be said, over who tapped
//! and typed what. Knows nothing of the core, of bytes, or of rows.

use std::collections::HashMap;

use onetap_apdu_spec::suite::Profile;
use onetap_server_verifier::Life;
use onetap_server_verifier::{CardState, Outcome};

use crate::cast::{CAST, Deal, Flaw, HOLDERS};
use crate::history::{Content, History, Request, Violation, What};
use crate::tables::Tables;

/// What a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// Card, counter, when.
    Executed(usize, u32, i64),
    Cancelled,
    Refused,
    Funds,
    Limit,
    Conflict,
    /// What is never said here.
    Nonsense,
}

impl From<&Outcome> for Said {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Executed(receipt) => {
                let (card, counter) = receipt.transaction.signed().unwrap();
                Self::Executed(CAST.card(card), counter, receipt.executed_at.0)
            }
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Refused => Self::Refused,
            Outcome::InsufficientFunds => Self::Funds,
            Outcome::LimitExceeded => Self::Limit,
            Outcome::Conflict => Self::Conflict,
            Outcome::Malformed(_) | Outcome::Busy => Self::Nonsense,
        }
    }
}

#[derive(Debug, Default)]
struct Account {
    balance: i64,
    locked: bool,
    in_a_row: u32,
    /// When.
    wrong: Vec<i64>,
}

#[derive(Debug, Default)]
struct Card {
    blocked: bool,
    rotated: Option<i64>,
    mark: Option<Mark>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    counter: u32,
    tap: usize,
    fate: Fate,
    wrong: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Alive,
    /// When.
    Executed(i64),
    Dead,
}

struct Model<'h> {
    history: &'h History,
    accounts: Vec<Account>,
    cards: Vec<Card>,
    /// By terminal and key.
    answered: HashMap<(usize, u32), (usize, Said)>,
    /// By card and counter value: which tap, and when.
    executed: HashMap<(usize, u32), (usize, i64)>,
    /// What is paid to whom by a transaction that others do not see yet.
    unseen: HashMap<usize, (usize, i64)>,
}

/// Replays everything that is durable, in the order in which it was decided and seen, and compares each answer and
/// what is left in the end.
pub fn check(history: &History, tables: &Tables) -> Result<(), Violation> {
    let mut moments = Vec::new();
    for (i, record) in history.records.iter().enumerate() {
        if let Some(durable) = record.durable {
            moments.push((record.decided, i, false));
            moments.push((durable, i, true));
        }
    }
    moments.sort_unstable();
    let mut model = Model::new(history);
    for (_, i, durable) in moments {
        if durable {
            model.show(i);
        } else {
            model.replay(i)?;
        }
    }
    model.compare(tables)
}

impl<'h> Model<'h> {
    fn new(history: &'h History) -> Self {
        let account = |(_, balance): &(&str, i64)| Account { balance: *balance, ..Account::default() };
        Self {
            history,
            accounts: HOLDERS.iter().map(account).collect(),
            cards: CAST.cards.iter().map(|_| Card::default()).collect(),
            answered: HashMap::new(),
            executed: HashMap::new(),
            unseen: HashMap::new(),
        }
    }

    fn replay(&mut self, i: usize) -> Result<(), Violation> {
        let record = &self.history.records[i];
        let now = record.now.0;
        match &record.what {
            What::Judged { request, outcome, .. } => {
                let expected = self.answer(*request, now, i);
                let said = Said::from(outcome);
                if said != expected {
                    return Err(Violation(format!(
                        "{request:?} was told {said:?}; the model says {expected:?}"
                    )));
                }
                if self.history.grouped {
                    self.show(i);
                }
            }
            What::Ended(request, outcome) => {
                let expected = self.end(*request);
                let said = Said::from(outcome);
                if said != expected {
                    return Err(Violation(format!(
                        "the cancellation {request:?} was told {said:?}; the model says {expected:?}"
                    )));
                }
            }
            What::Unlock(account, did) => {
                let state = &mut self.accounts[*account];
                if state.locked != *did {
                    return Err(Violation(format!("account {account} locked: {}, not {did}", state.locked)));
                }
                if *did {
                    (state.locked, state.in_a_row) = (false, 0);
                    state.wrong.clear();
                    for (card, _) in
                        self.cards.iter_mut().zip(&CAST.cards).filter(|c| c.1.account == *account)
                    {
                        card.mark = card.mark.map(|mark| Mark { fate: Fate::Dead, ..mark });
                    }
                }
            }
            What::Block(card) => self.cards[*card].blocked = true,
            What::Rotate(card) => {
                let until = now + self.history.policy.key_overlap;
                self.cards[*card].rotated.get_or_insert(until);
            }
        }
        Ok(())
    }

    /// Others see what a transaction has paid.
    fn show(&mut self, i: usize) {
        if let Some((payee, amount)) = self.unseen.remove(&i) {
            self.accounts[payee].balance += amount;
        }
    }

    /// A cancellation: what was executed stays so; all else is over, whatever account, card and key have become.
    fn end(&mut self, request: Request) -> Said {
        let deal = self.history.tap(request);
        let tap = self.history.letters[request.letter].tap;
        if request.terminal != deal.terminal || deal.flaw == Some(Flaw::OtherPayer) {
            return Said::Refused;
        }
        if let Some((executed, at)) = self.executed.get(&(deal.card, deal.counter)) {
            let same = same_bytes(self.history, tap, *executed);
            return if same { Said::Executed(deal.card, deal.counter, *at) } else { Said::Refused };
        }
        let mark = &mut self.cards[deal.card].mark;
        match mark {
            Some(mark) if deal.counter < mark.counter => {}
            Some(mark) if deal.counter == mark.counter => {
                if !same_bytes(self.history, tap, mark.tap) {
                    return Said::Refused;
                }
                mark.fate = Fate::Dead;
            }
            _ => *mark = Some(Mark { counter: deal.counter, tap, fate: Fate::Dead, wrong: 0 }),
        }
        Said::Cancelled
    }

    fn answer(&mut self, request: Request, now: i64, i: usize) -> Said {
        let key = (request.terminal, request.key);
        if let Some((letter, said)) = self.answered.get(&key) {
            return if *letter == request.letter { *said } else { Said::Conflict };
        }
        let said = self.judge(request, now, i);
        self.answered.insert(key, (request.letter, said));
        said
    }

    fn judge(&mut self, request: Request, now: i64, i: usize) -> Said {
        let deal = self.history.tap(request);
        let tap = self.history.letters[request.letter].tap;
        let fresh = Mark { counter: deal.counter, tap, fate: Fate::Alive, wrong: 0 };
        let mark = match self.cards[deal.card].mark {
            Some(mark) if deal.counter < mark.counter => return Said::Refused,
            Some(mark) if deal.counter == mark.counter => {
                if mark.fate == Fate::Dead || !same_bytes(self.history, tap, mark.tap) {
                    return Said::Refused;
                }
                mark
            }
            _ => fresh,
        };
        let (said, mark) = match mark.fate {
            Fate::Executed(at) => self.again(request, deal, now, mark, at),
            _ => self.first(request, deal, now, mark, i),
        };
        self.cards[deal.card].mark = Some(mark);
        said
    }

    fn stands(&self, request: Request, deal: &Deal, now: i64) -> bool {
        let card = &self.cards[deal.card];
        let newest = if card.rotated.is_some() { 2 } else { 1 };
        let key = deal.key == newest || card.rotated.is_some_and(|until| now < until);
        !card.blocked && key && request.terminal == deal.terminal && deal.flaw != Some(Flaw::OtherPayer)
    }

    /// What was executed comes again.
    fn again(&mut self, request: Request, deal: &Deal, now: i64, mark: Mark, at: i64) -> (Said, Mark) {
        let account = CAST.cards[deal.card].account;
        if !self.stands(request, deal, now) || self.accounts[account].locked {
            return (Said::Refused, mark);
        }
        match self.history.content(request) {
            Content::Right => (Said::Executed(deal.card, deal.counter, at), mark),
            Content::Wrong(_) => (Said::Refused, self.wrong(account, now, mark)),
            Content::BrokenEnvelope => (Said::Refused, mark),
            Content::Forged | Content::Cancellation => (Said::Nonsense, mark),
        }
    }

    /// What was not executed yet.
    fn first(&mut self, request: Request, deal: &Deal, now: i64, mark: Mark, i: usize) -> (Said, Mark) {
        let account = CAST.cards[deal.card].account;
        let dead = Mark { fate: Fate::Dead, ..mark };
        let policy = &self.history.policy;
        let timely = (now - policy.max_age..=now + policy.max_ahead).contains(&deal.dated);
        if !self.stands(request, deal, now) || deal.flaw.is_some() || deal.payee == account || !timely {
            return (Said::Refused, mark);
        }
        if self.accounts[account].locked {
            return (Said::Refused, dead);
        }
        match self.history.content(request) {
            Content::Right => {}
            Content::Wrong(_) => return (Said::Refused, self.wrong(account, now, mark)),
            Content::BrokenEnvelope => return (Said::Refused, dead),
            Content::Forged | Content::Cancellation => return (Said::Nonsense, mark),
        }
        let payer = &mut self.accounts[account];
        payer.in_a_row = 0;
        if deal.amount > policy.transaction_limit {
            return (Said::Limit, dead);
        }
        let amount = i64::try_from(deal.amount).unwrap();
        if amount > payer.balance {
            return (Said::Funds, dead);
        }
        payer.balance -= amount;
        self.unseen.insert(i, (deal.payee, amount));
        let tap = self.history.letters[request.letter].tap;
        self.executed.insert((deal.card, deal.counter), (tap, now));
        (Said::Executed(deal.card, deal.counter, now), Mark { fate: Fate::Executed(now), ..mark })
    }

    /// One try less.
    fn wrong(&mut self, account: usize, now: i64, mut mark: Mark) -> Mark {
        let policy = &self.history.policy;
        let account = &mut self.accounts[account];
        mark.wrong += 1;
        if mark.wrong >= 3 {
            mark.fate = Fate::Dead;
        }
        account.in_a_row += 1;
        account.wrong.push(now);
        let recent = account.wrong.iter().filter(|at| **at > now - policy.window).count();
        let many = u32::try_from(recent).unwrap() >= policy.wrong_in_window;
        account.locked = account.in_a_row >= 3 || many;
        mark
    }

    /// What is durable is what the model has.
    fn compare(&self, tables: &Tables) -> Result<(), Violation> {
        for (i, account) in self.accounts.iter().enumerate() {
            let row = &tables.accounts[i];
            let found = (tables.balance(i), row.lock.is_some(), row.wrong_in_a_row, tables.wrong[i].len());
            let expected = (account.balance, account.locked, account.in_a_row, account.wrong.len());
            if found != expected {
                return Err(Violation(format!("account {i} ends as {found:?}; the model says {expected:?}")));
            }
        }
        for (i, card) in self.cards.iter().enumerate() {
            let row = &tables.cards[i];
            let found = row.mark.map(|mark| (mark.counter, mark.life, mark.wrong));
            let expected = card.mark.map(|mark| (mark.counter, life(mark.fate), mark.wrong));
            if found != expected || (row.state == CardState::Blocked) != card.blocked {
                return Err(Violation(format!("card {i} ends as {found:?}; the model says {expected:?}")));
            }
        }
        Ok(())
    }
}

fn life(fate: Fate) -> Life {
    match fate {
        Fate::Alive => Life::Alive,
        Fate::Executed(_) => Life::Executed,
        Fate::Dead => Life::Dead,
    }
}

/// Whether a card has signed the same bytes twice. Under B2 the password is not among them.
pub fn same_bytes(history: &History, tap: usize, other: usize) -> bool {
    let deal = &history.taps[tap].deal;
    let unsigned_password = CAST.cards[deal.card].suite.profile() == Profile::B2;
    tap == other || (unsigned_password && *deal == history.taps[other].deal)
}

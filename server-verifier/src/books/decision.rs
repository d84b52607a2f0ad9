//! One decision on a store: lock the account, read everything that the decision rests on, decide, write. The
//! same on either store; committing is the store's own business.

use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::service::Receipt;

use crate::books;
use crate::books::accounts::RowLock;
use crate::books::chain::{End, Sealer};
use crate::books::notice::{Notice, Notices};
use crate::books::outbox::topic_of;
use crate::books::policy::{CurrentPolicy, stored};
use crate::books::sql::{Sql, Statement, Value, params};
use crate::books::write::{Request, Signed, Telling};
use crate::domain::{Act, CardState, Event, Life, Mark, StoreError, Topic};
use crate::rules::cancel::ProvenCancellation;
use crate::rules::decide::{Answered, Attempt, Commit, Decision, Outcome, Rows, decide};
use crate::rules::verify::{Judged, Verified};

/// What a decision answers.
#[derive(Debug)]
pub(crate) enum Question {
    /// Whether a transaction is executed.
    Execute(Attempt),
    /// Whether it was, and that otherwise it never will be.
    Cancel(ProvenCancellation),
}

/// What decisions need besides the store.
#[derive(Debug, Clone)]
pub(crate) struct Decider {
    pub(crate) policy: CurrentPolicy,
    pub(crate) sealer: Sealer,
    /// Whether others are told of each transaction.
    pub(crate) announces: bool,
    /// Counts refusals.
    pub(crate) notices: Notices,
}

/// What a question came to.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) outcome: Outcome,
    /// To be given once the decision is committed.
    pub(crate) notice: Option<Notice>,
}

impl Decider {
    /// Answers `question` and writes what the answer says, inside the caller's transaction.
    pub(crate) fn run(&self, db: &mut dyn Sql, question: &Question) -> Result<Decided, StoreError> {
        match question {
            Question::Execute(attempt) => self.decide(db, attempt),
            Question::Cancel(cancellation) => {
                Ok(Decided { outcome: self.cancel(db, cancellation)?, notice: None })
            }
        }
    }

    fn decide(&self, db: &mut dyn Sql, attempt: &Attempt) -> Result<Decided, StoreError> {
        let (rows, end) = gather(db, attempt)?;
        let policy = self.policy.recent(attempt.now, || stored(db))?;
        let decision = decide(&policy, &rows, attempt);
        let mut notice = None;
        if let Decision::Commit(commit) = &decision {
            self.apply(db, attempt, &end, commit)?;
            notice = Notice::of(&commit.event, &rows.account.number, &self.notices);
        }
        Ok(Decided { outcome: decision.outcome(), notice })
    }

    /// Writes what a decision says: one entry of the log, and what it changes.
    fn apply(
        &self,
        db: &mut dyn Sql,
        attempt: &Attempt,
        last: &End,
        commit: &Commit<'_>,
    ) -> Result<(), StoreError> {
        let executed = commit.executed.map(Verified::evidence);
        let signature = executed.map(|evidence| evidence.signature().encode());
        let evidence = executed.zip(signature.as_deref()).map(|(evidence, signature)| Signed {
            message: evidence.message().bytes(),
            signature,
            object: evidence.object(),
        });
        let telling = Telling {
            account: attempt.account,
            at: attempt.now,
            act: &Act::of_terminal(&attempt.terminal),
            event: &commit.event,
            request: Some(Request { of: attempt.terminal.as_str(), key: &attempt.key, body: &attempt.body }),
            evidence,
            topic: self.topic(&commit.event),
        };
        telling.tell_after(db, &self.sealer, last).map(drop)
    }

    /// The holder learns that the account is locked (RTS SCA art. 4); the operator, of an alarm (REQ-V-22); another
    /// system, what it is to book; and who asked to be told, what was executed.
    fn topic(&self, event: &Event) -> Option<Topic> {
        topic_of(event).filter(|topic| self.announces || !topic.is_announcement())
    }
}

/// The place in the chain of what was executed for a card and counter value.
pub(crate) fn executed_entry(
    db: &mut dyn Sql,
    account: i64,
    card: CardId,
    counter: u32,
) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT sequence FROM transactions WHERE account_id = ?1 AND card_id = ?2 AND counter = ?3";
    db.first(sql, &params![account, &card.to_string(), counter], |row| row.int("sequence"))
}

/// The receipt of what was executed for a card and counter value.
pub(crate) fn executed(
    db: &mut dyn Sql,
    account: i64,
    card: CardId,
    counter: u32,
) -> Result<Option<Receipt>, StoreError> {
    let Some(sequence) = executed_entry(db, account, card, counter)? else {
        return Ok(None);
    };
    books::receipt_at(db, account, sequence).map(Some)
}

/// Locks the account, then reads all rows that concern `attempt`, and where its chain ends. What only some
/// decisions need is read for those only: the payer's row is locked by then.
fn gather(db: &mut dyn Sql, attempt: &Attempt) -> Result<(Rows, End), StoreError> {
    let (mut rows, end, answered_by) = always(db, attempt)?;
    let account = attempt.account;
    if let Some((body, asked, sequence)) = answered_by {
        let event = books::event_at(db, asked, sequence)?;
        let answer = event.and_then(|event| event.answer()).ok_or(StoreError::BadRow { what: "answer" })?;
        rows.answered = Some(Answered { body, answer });
    }
    let header = attempt.evidence().header();
    if rows.mark.is_some_and(|mark| mark.counter == header.counter && mark.life == Life::Executed) {
        rows.executed = executed(db, account, header.binding.card, header.counter)?;
    }
    if matches!(attempt.judged, Judged::Wrong(_)) {
        rows.wrong_in_window = books::wrong_since(db, account, attempt.window_start)?;
    }
    let amount = attempt.evidence().message().transaction().amount;
    if !rows.account.has_free(amount) && rows.answered.is_none() {
        rows.account.balance += books::gather_credits(db, account)?;
    }
    Ok((rows, end))
}

const CARD: &str =
    "SELECT state, mark_counter, mark_fingerprint, mark_life, mark_wrong, newest_key, older_until
    FROM cards WHERE account_id = ?1 AND card_id = ?2";
const REQUEST: &str = "SELECT body, account_id, sequence FROM requests
    WHERE terminal_id = ?1 AND idempotency_key = ?2";

/// The answer stored under a request's key: its body's tag, and the account and place of its entry.
type AnsweredBy = Option<([u8; 16], i64, i64)>;

/// What every decision reads. The payer comes first: it is the lock.
fn always(db: &mut dyn Sql, attempt: &Attempt) -> Result<(Rows, End, AnsweredBy), StoreError> {
    let header = attempt.evidence().header();
    let card_id = header.binding.card.to_string();
    let payee_number = attempt.evidence().message().transaction().payee_account.as_str();
    let account = Value::from(attempt.account);
    let queries = [
        Statement::new(RowLock::Decide.by_row(db), &[account]),
        Statement::new(CARD, &[account, Value::from(&card_id)]),
        Statement::new(RowLock::Use.by_number(db), &params![payee_number]),
        Statement::new(REQUEST, &params![attempt.terminal.as_str(), &attempt.key]),
    ];
    let (mut payer, mut card, mut payee, mut answered) = (None, None, None, None);
    db.query_all(&queries, &mut |query, row| {
        match query {
            0 => payer = Some((books::account(row)?, books::chain_end(row)?)),
            1 => {
                let older_until = row.opt_int("older_until")?;
                let newest = row.int("newest_key")? == i64::from(header.binding.signing_key);
                let current = newest || older_until.is_some_and(|until| attempt.now.0 < until);
                card = Some((books::card_state(row)?, current));
            }
            2 => payee = Some(books::account(row)?),
            _ => answered = Some((row.array("body")?, row.int("account_id")?, row.int("sequence")?)),
        }
        Ok(())
    })?;
    let (account, end) = payer.ok_or(StoreError::BadRow { what: "account" })?;
    if !account.is_here() {
        return Err(StoreError::AccountMoved);
    }
    let ((card, mark), key_current): ((CardState, Option<Mark>), bool) =
        card.ok_or(StoreError::BadRow { what: "card" })?;
    let rows =
        Rows { account, wrong_in_window: 0, card, key_current, mark, payee, executed: None, answered: None };
    Ok((rows, end, answered))
}

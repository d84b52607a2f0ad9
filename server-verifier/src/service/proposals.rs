//! Money moved by hand by two people: one asks, another approves, and both are in the log.

use onetap_apdu_spec::txn::PayeeName;

use crate::books;
use crate::books::OPERATOR;
use crate::books::log::{log_columns, log_entry};
use crate::books::sql::{Row, Sql, params};
use crate::domain::{
    ByHand, Event, LogEntry, MAX_PAGE, ProposalState, ProposalView, StoreError, Timestamp, Verdict,
};
use crate::service::Verifier;
use crate::service::accounts::AccountOptions;
use crate::service::desk::Desk;
use crate::service::error::ServiceError;

/// A query for proposals with their entries, ending in what is given; `?1` is the operator's row.
macro_rules! select_proposals {
    ($tail:literal) => {
        concat!(
            "SELECT ",
            log_columns!(),
            ", p.state, p.decided_at FROM proposals p JOIN audit a ON a.account_id = ?1 AND a.sequence = p.proposal
            JOIN accounts c ON c.account_id = a.account_id WHERE ",
            $tail
        )
    };
}

impl Desk<'_> {
    /// Asks that money be moved by hand; returns the number of the proposal. Nothing is checked but its form: what can be done
    /// shows when it is approved.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`], [`ServiceError::HolderName`].
    pub fn propose(&self, asks: &ByHand) -> Result<i64, ServiceError> {
        self.reasoned()?;
        if let ByHand::OpenAccount { holder, .. } = asks {
            name(holder)?;
        }
        let now = self.now();
        self.write(|db| Ok(self.tell(db, OPERATOR, now, &Event::Proposed { asks: asks.clone() })?))
    }

    /// Approves what somebody else has asked for, and does it in the same commit.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`], [`ServiceError::NoSuchProposal`], [`ServiceError::OwnProposal`]; those of the act itself, and
    /// then the proposal stays open.
    pub fn approve(&self, proposal: i64) -> Result<(), ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| {
            let found = open(db, proposal)?;
            if found.by == *self.act.by() {
                return Err(ServiceError::OwnProposal);
            }
            let desk = self.within(db);
            match &found.asks {
                ByHand::PlaceHold { account, amount } => desk.place_hold(account, *amount).map(drop),
                ByHand::ReleaseHold { hold } => desk.release_hold(*hold),
                ByHand::CaptureHold { hold, payee, amount } => {
                    desk.capture_hold(*hold, payee, *amount).map(drop)
                }
                ByHand::OpenAccount { holder, currency, kind, opening_balance, number } => {
                    let (holder, number) = (name(holder)?, number.clone());
                    let (currency, kind, opening_balance) = (*currency, *kind, *opening_balance);
                    let options = AccountOptions { holder, currency, kind, opening_balance, number };
                    desk.open_account(&options).map(drop)
                }
                ByHand::Reverse { transaction } => desk.reverse(transaction).map(drop),
                ByHand::LinkAccount { account, system } => desk.link_account(account, system),
                ByHand::Settle { transaction } => desk.settle(transaction, &Verdict::Settled),
                ByHand::Fail { transaction, said } => {
                    desk.settle(transaction, &Verdict::Failed { reason: said.clone() })
                }
            }?;
            drop(desk);
            self.tell(db, OPERATOR, now, &Event::ProposalApproved { proposal })?;
            Ok(())
        })
    }

    /// Says that what was asked for is not to be done; whoever asked may say so, too.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`], [`ServiceError::NoSuchProposal`].
    pub fn reject(&self, proposal: i64) -> Result<(), ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| {
            open(db, proposal)?;
            self.tell(db, OPERATOR, now, &Event::ProposalRejected { proposal })?;
            Ok(())
        })
    }
}

impl Verifier {
    /// One proposal.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchProposal`].
    pub fn proposal(&self, proposal: i64) -> Result<ProposalView, ServiceError> {
        self.store.read(|db| find(db, proposal))
    }

    /// The proposals after this one, oldest first, `limit` of them at most and never more than [`MAX_PAGE`]; of one state, if it is
    /// given.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn proposals(
        &self,
        state: Option<ProposalState>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<ProposalView>, ServiceError> {
        let sql =
            select_proposals!("p.proposal > ?2 AND (?3 = '' OR p.state = ?3) ORDER BY p.proposal LIMIT ?4");
        let state = state.map(|state| state.to_string()).unwrap_or_default();
        let params = params![OPERATOR, after, &state, limit.min(MAX_PAGE)];
        self.store.read(|db| Ok(db.all(sql, &params, view)?))
    }
}

fn name(holder: &str) -> Result<PayeeName, ServiceError> {
    PayeeName::new(holder).map_err(|_| ServiceError::HolderName)
}

/// A proposal that nobody has decided. The end of the operator's chain is locked by this.
fn open(db: &mut dyn Sql, proposal: i64) -> Result<ProposalView, ServiceError> {
    books::end_of_chain(db, OPERATOR)?;
    let found = find(db, proposal)?;
    if found.state == ProposalState::Open { Ok(found) } else { Err(ServiceError::NoSuchProposal) }
}

fn find(db: &mut dyn Sql, proposal: i64) -> Result<ProposalView, ServiceError> {
    db.first(select_proposals!("p.proposal = ?2"), &params![OPERATOR, proposal], view)?
        .ok_or(ServiceError::NoSuchProposal)
}

/// Reads the columns of the entry, then state and moment of the decision.
fn view(row: &Row<'_>) -> Result<ProposalView, StoreError> {
    const BAD: StoreError = StoreError::BadRow { what: "proposal" };
    let LogEntry { sequence, at, by, reason, event, .. } = log_entry(row)?;
    let (Event::Proposed { asks }, Some(by)) = (event, by) else { return Err(BAD) };
    Ok(ProposalView {
        proposal: sequence,
        asks,
        state: books::parse(row.text("state")?, "proposal")?,
        by,
        reason,
        asked_at: at,
        decided_at: row.opt_int("decided_at")?.map(Timestamp),
    })
}

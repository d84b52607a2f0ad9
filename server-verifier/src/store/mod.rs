//! Where accounts, cards, marks, answers, the ledger and the audit chains live.
//!
//! [`Store`] is what the decision needs of a store: read one card without a lock, and, under the
//! account's lock, read every row, decide, write and commit. SQLite is the first store.

pub(crate) mod books;
pub mod rows;
mod schema;
pub(crate) mod sqlite;

use onetap_apdu_spec::header::CardId;
use onetap_apdu_spec::txn::TerminalId;

use crate::decide::{Attempt, Decision};
use crate::error::StoreError;
use rows::{EnrolledCard, Rows};

/// What the decision needs of a store.
pub trait Store {
    /// The enrolled card, if there is one; read without any lock, so that only what never changes
    /// once a card is enrolled may be used of it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn enrolled(&self, card: CardId) -> Result<Option<EnrolledCard>, StoreError>;

    /// Locks the account, reads all rows that concern `attempt`, lets `decide` decide, writes what it
    /// says, and returns after the commit is durable. On an error nothing has been written.
    ///
    /// # Errors
    /// [`StoreError`].
    fn transact<'a, F>(&self, attempt: Attempt<'a>, decide: F) -> Result<Decision, StoreError>
    where
        F: FnOnce(&Rows, Attempt<'a>) -> Decision;

    /// Whether a terminal is registered.
    ///
    /// # Errors
    /// [`StoreError`].
    fn has_terminal(&self, terminal: &TerminalId) -> Result<bool, StoreError>;
}

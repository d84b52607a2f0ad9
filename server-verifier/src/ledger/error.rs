//! What can go wrong with money. Each message says what to do next.

/// An error of the ledger: nothing was booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Less is free than asked for.
    #[error("the account has too little that is not held; choose a smaller amount")]
    InsufficientFunds,
    /// Zero, or more than an account can have.
    #[error("the amount must be 1 to 999999999999 minor units")]
    Amount,
    /// No such hold.
    #[error("there is no such hold; the account's log names its holds")]
    NoSuchHold,
    /// Captured or released before.
    #[error("the hold is closed; nothing was changed")]
    HoldClosed,
    /// More than is held.
    #[error("more than is held cannot be captured; place another hold for the rest")]
    MoreThanHeld,
    /// The hold waits for another system.
    #[error("the hold is for another system's answer; record that answer instead")]
    AwaitsSystem,
    /// Payer and payee are one, or have different currencies.
    #[error("the payee must be another open account in the same currency")]
    Payee,
    /// Another system keeps the account.
    #[error("another system keeps this account; only it can do that")]
    KeptElsewhere,
    /// Not a stored value, not empty, or linked before.
    #[error("only an open, empty stored value that no other system keeps can be linked; open a new one")]
    CannotLink,
    /// Reversed before.
    #[error("the transaction was reversed before; nothing was changed")]
    AlreadyReversed,
    /// Accepted or failed: no money has moved.
    #[error("the other system has not settled this transaction; there is nothing to reverse")]
    NotSettled,
    /// A reversal, or an opening balance.
    #[error("only executed transactions and captured holds can be reversed")]
    CannotReverse,
    /// The other system said the opposite before.
    #[error("the transaction was settled or has failed before; reverse it, or sign a new one")]
    AlreadyAnswered,
    /// No message with this id waits.
    #[error("no such message waits; list the dead letters to see their ids")]
    NoSuchMessage,
}

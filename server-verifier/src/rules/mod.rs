//! The rules, pure: what a card's signature and a holder's password are worth, and what follows.

pub mod cancel;
pub mod decide;
pub mod verify;

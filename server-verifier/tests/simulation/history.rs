//! What happened in one simulation: what was asked, what was decided, when that was durable, what was answered.

use std::fmt;

use onetap_apdu_spec::service::{AuthorisationRequest, Cancellation};
use onetap_server_verifier::{Outcome, Policy, Timestamp};

use crate::cast::Deal;

/// A transaction that a card has signed. Its place in [`History::taps`] is its name.
#[derive(Debug)]
pub struct Tap {
    pub deal: Deal,
    /// With the right password.
    pub request: AuthorisationRequest,
}

/// What is done to a tap before it is sent. Its place in [`History::letters`] is its name, and equal letters have
/// one name: equal letters are equal bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter {
    pub tap: usize,
    pub content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The password that the card shows.
    Right,
    /// One of a number of others.
    Wrong(u8),
    /// The right one, beside a changed E (only where S does not cover E).
    BrokenEnvelope,
    /// Another signature.
    Forged,
    /// Nothing is typed: a cancellation.
    Cancellation,
}

/// One letter under one idempotency key from one terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    pub terminal: usize,
    pub key: u32,
    pub letter: usize,
}

/// What the core says it has looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// Not at the password.
    Elsewhere,
    /// At a wrong password.
    Wrong,
    /// At a right password, for the first time.
    Right,
}

/// Something that was decided, in the order in which it was.
#[derive(Debug)]
pub struct Record {
    pub what: What,
    pub now: Timestamp,
    /// When, on the simulation's own count.
    pub decided: usize,
    /// When it was reported durable, if it was.
    pub durable: Option<usize>,
    pub answered: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Judged {
        request: Request,
        outcome: Outcome,
        looked: Looked,
    },
    /// A cancellation, with its answer.
    Ended(Request, Outcome),
    /// An account; false if it was not locked.
    Unlock(usize, bool),
    Block(usize),
    Rotate(usize),
}

/// All of it.
#[derive(Debug)]
pub struct History {
    pub policy: Policy,
    /// Whether one commit holds many decisions, made one after another; else transactions go side by side.
    pub grouped: bool,
    pub taps: Vec<Tap>,
    pub letters: Vec<Letter>,
    pub records: Vec<Record>,
    /// Answers that left a verifier, in the order in which they did.
    pub answers: Vec<(Request, Outcome)>,
    /// Requests that a client has sent.
    pub sent: Vec<Request>,
    /// The telling, if it was wanted.
    pub story: Option<Vec<String>>,
    pub steps: usize,
    /// Requests whose client never learned what became of them.
    pub open: usize,
}

impl History {
    /// The tap of a request.
    pub fn tap(&self, request: Request) -> &Deal {
        &self.taps[self.letters[request.letter].tap].deal
    }

    pub fn content(&self, request: Request) -> Content {
        self.letters[request.letter].content
    }

    /// What is sent.
    pub fn request(&self, request: Request) -> AuthorisationRequest {
        let letter = self.letters[request.letter];
        let mut sent = self.taps[letter.tap].request.clone();
        match letter.content {
            Content::Right | Content::Cancellation => {}
            Content::Wrong(which) => sent.verification_password = format!("wrong-{which}").parse().unwrap(),
            Content::BrokenEnvelope => sent.password_object.as_mut().unwrap().bytes[0] ^= 1,
            Content::Forged => *sent.signature_message.last_mut().unwrap() ^= 1,
        }
        sent
    }

    /// What is sent where nothing is typed.
    pub fn cancellation(&self, request: Request) -> Cancellation {
        self.request(request).cancellation()
    }

    /// The account that a request would debit.
    pub fn account(&self, request: Request) -> usize {
        crate::cast::CAST.cards[self.tap(request).card].account
    }
}

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

//! Books, a town, and the terminals' tokens: all that a load needs.

use onetap_apdu_spec::service::AuthorisationRequest;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::txn::TerminalId;
use onetap_server_verifier::{InitOptions, Policy};

use super::Fallible;
use super::serve::{Books, Program, Serving, Tokens};
use super::town::{Payment, Town};
use onetap_conformance::load::api::authorise;

/// A symmetric suite: A3 with AES, which costs the server one signature to verify and nothing else worth naming.
pub const SYMMETRIC: &str = "a3+sha256+aes-cbc-cmac";

/// Everything and everyone.
pub struct Scene {
    /// The verifier's books.
    pub books: Books,
    /// Who pays.
    pub town: Town,
    /// With what they are let in.
    pub tokens: Tokens,
    program: Program,
    keys: u64,
}

/// A request ready to be sent, with what it was made of.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What is asked for.
    pub payment: Payment,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Scene {
    /// Opens new books with so many accounts, each with a card of `suite`, under a policy of one's own. Served by
    /// `program`.
    ///
    /// # Errors
    /// Whatever the verifier says.
    pub fn found(
        books: Books,
        program: Program,
        suite: &str,
        accounts: usize,
        policy: Policy,
    ) -> Fallible<Self> {
        Self::found_among(books, program, suite, accounts, policy, &mut |_| Ok(()))
    }

    /// The same; `before` is called before each account is opened, with its number.
    ///
    /// # Errors
    /// Whatever the verifier or `before` says.
    pub fn found_among(
        books: Books,
        program: Program,
        suite: &str,
        accounts: usize,
        policy: Policy,
        before: &mut dyn FnMut(usize) -> Fallible<()>,
    ) -> Fallible<Self> {
        let suite: Suite = suite.parse()?;
        let verifier = books.init(InitOptions { policy, ..InitOptions::new("Example Bank") })?;
        let town = Town::found(&verifier, suite, accounts, 1, before)?;
        let tokens = Tokens::make(&verifier, town.terminals())?;
        Ok(Self { books, town, tokens, program, keys: 0 })
    }

    /// A process that serves these books.
    ///
    /// # Errors
    /// It does not start.
    pub fn serve(&self) -> Fallible<Serving> {
        Serving::start(&self.program, &self.books)
    }

    /// What serves these books.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The bytes of a request under a key of its own.
    pub fn bytes(&mut self, terminal: &TerminalId, request: &AuthorisationRequest) -> Vec<u8> {
        self.keys += 1;
        authorise(self.tokens.of(terminal), &format!("key-{}", self.keys), request)
    }

    /// So many payments, in an order in which they can all be executed.
    ///
    /// # Errors
    /// Whatever cryptography says.
    pub fn payments(&mut self, count: usize) -> Fallible<Vec<Asked>> {
        let payments = self.town.payments(count)?;
        let asked = payments.into_iter().map(|payment| {
            let bytes = self.bytes(&payment.terminal, &payment.request);
            Asked { payment, bytes }
        });
        Ok(asked.collect())
    }
}

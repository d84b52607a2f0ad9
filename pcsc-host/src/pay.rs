//! One contact, then the holder, then the server: [`Terminal::tap`] takes everything from the card in
//! one contact (P-04) and lets it go; [`Tapped::authorise`] makes the request once the holder has
//! typed the verification password (P-16).
//!
//! A password that was not typed does not do:
//!
//! ```compile_fail,E0308
//! # use onetap_apdu_spec::password::Password;
//! # fn p_16(tapped: onetap_pcsc_host::Tapped) {
//! let guessed: Password = "12345678".parse().unwrap();
//! tapped.authorise(guessed);
//! # }
//! ```
//!
//! A verification password cannot be made from anything but a keyboard:
//!
//! ```compile_fail,E0423
//! # use onetap_apdu_spec::password::Password;
//! # use onetap_pcsc_host::VerificationPassword;
//! # fn p_16(guessed: Password) {
//! VerificationPassword(guessed);
//! # }
//! ```
//!
//! And what the card gave cannot be taken out to build a request by hand:
//!
//! ```compile_fail,E0616
//! # fn p_16(tapped: onetap_pcsc_host::Tapped) -> Vec<u8> {
//! tapped.signature_message
//! # }
//! ```

use std::io::{self, BufRead};

use onetap_apdu_spec::header::{Header, ServerId};
use onetap_apdu_spec::password::{MAX_LEN, NotAPassword, Password};
use onetap_apdu_spec::rng::{OsRng, Rng};
use onetap_apdu_spec::service::{
    AuthorisationRequest, Cancellation, IdempotencyKey, PasswordObject, Timestamp, TransactionId,
};
use onetap_apdu_spec::txn::{TerminalId, Transaction, TransactionMessage};
use time::{OffsetDateTime, PrimitiveDateTime};
use zeroize::Zeroizing;

use crate::attempt::{Attempt, BadAttempt};
use crate::deadline::Deadline;
use crate::error::{Error, ProtocolError};
use crate::session::Session;
use crate::source::Draft;
use crate::transport::{Disposition, Reader, Transport};

/// Where the time in a transaction comes from.
pub trait Clock: Send {
    /// Now, UTC.
    fn now(&self) -> PrimitiveDateTime;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> PrimitiveDateTime {
        let now = OffsetDateTime::now_utc();
        PrimitiveDateTime::new(now.date(), now.time())
    }
}

impl<F: Fn() -> PrimitiveDateTime + Send> Clock for F {
    fn now(&self) -> PrimitiveDateTime {
        self()
    }
}

/// A terminal: its identification, its clock, its randomness.
pub struct Terminal {
    id: TerminalId,
    operator: Option<ServerId>,
    clock: Box<dyn Clock>,
    rng: Box<dyn Rng>,
}

impl Terminal {
    /// With the operating system's clock and randomness.
    #[must_use]
    pub fn new(id: TerminalId) -> Self {
        Self::with(id, SystemClock, OsRng)
    }

    /// With a clock and randomness of the caller's, so that a run can be repeated.
    pub fn with(id: TerminalId, clock: impl Clock + 'static, rng: impl Rng + 'static) -> Self {
        Self { id, operator: None, clock: Box::new(clock), rng: Box::new(rng) }
    }

    /// Takes only cards of this operator.
    #[must_use]
    pub fn for_operator(mut self, operator: ServerId) -> Self {
        self.operator = Some(operator);
        self
    }

    /// Takes only cards of this operator from now on.
    pub(crate) fn take_cards_of(&mut self, operator: ServerId) {
        self.operator = Some(operator);
    }

    /// Its terminal id.
    #[must_use]
    pub fn id(&self) -> &TerminalId {
        &self.id
    }

    /// Now, by its clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now().assume_utc().into()
    }

    /// Exactly one contact, over by the deadline: connects, lets the card sign `draft`, takes all it owes, and releases
    /// it at once. After success the card keeps its power and may go; after a failure it is powered
    /// off, so that it voids what was loaded.
    ///
    /// # Errors
    /// [`Error`]. A card that failed after it had signed wants a new tap.
    pub fn tap(
        &mut self,
        reader: &mut dyn Reader,
        draft: &Draft,
        deadline: &Deadline,
    ) -> Result<Tapped, Error> {
        draft.check_editions()?;
        let mut contact = reader.connect(deadline)?;
        match self.session(&mut *contact, draft) {
            Ok(tapped) => {
                // The card has delivered everything: a failure to let go of it changes nothing.
                let _ = contact.release(Disposition::Leave);
                Ok(tapped)
            }
            Err(error) => {
                // The first error is the one that tells.
                let _ = contact.release(Disposition::Unpower);
                Err(error)
            }
        }
    }

    fn session(&mut self, transport: &mut dyn Transport, draft: &Draft) -> Result<Tapped, Error> {
        let mut session = Session::select(transport)?;
        let payer = session.alias()?;
        let transaction = self.complete(draft, payer).encode()?;
        let session = session.put_txn(transaction)?.get_signature()?;
        let operator = session.header().binding.server;
        if self.operator.is_some_and(|ours| ours != operator) {
            return Err(ProtocolError::WrongOperator.into());
        }
        session.finish()
    }

    fn complete(&mut self, draft: &Draft, payer: onetap_apdu_spec::account::Alias) -> Transaction {
        let mut unpredictable_number = [0; 4];
        self.rng.fill(&mut unpredictable_number);
        draft.complete(payer, self.clock.now(), self.id.clone(), unpredictable_number)
    }
}

/// Everything that the card gave for one transaction. All that is missing for a request is what the
/// holder reads off the card and types.
#[derive(Debug)]
pub struct Tapped {
    transaction: TransactionMessage,
    signature_message: Vec<u8>,
    header: Header,
    password_object: Option<PasswordObject>,
}

impl Tapped {
    pub(crate) fn new(
        transaction: TransactionMessage,
        signature_message: Vec<u8>,
        header: Header,
        password_object: Option<PasswordObject>,
    ) -> Self {
        Self { transaction, signature_message, header, password_object }
    }

    /// The transaction that the card signed.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        self.transaction.transaction()
    }

    /// H: card, operator, suite, counter.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The id that the transaction has, or will have, at the server.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        TransactionId::of(self.header.binding.card, self.header.counter)
    }

    /// What may be stored before the request is sent: everything but the password.
    ///
    /// # Errors
    /// [`BadAttempt`], if the card's answers do not read back.
    pub fn attempt(&self, key: IdempotencyKey, begun: Timestamp) -> Result<Attempt, BadAttempt> {
        let signed = Cancellation {
            transaction: self.transaction.bytes().to_vec(),
            signature_message: self.signature_message.clone(),
            password_object: self.password_object.clone(),
        };
        Attempt::new(key, begun, signed)
    }

    /// The request to the server (P-17): transaction message, signature message, verification
    /// password, and what the profile adds.
    #[must_use]
    pub fn authorise(self, typed: VerificationPassword) -> AuthorisationRequest {
        AuthorisationRequest {
            transaction: self.transaction.bytes().to_vec(),
            signature_message: self.signature_message,
            verification_password: typed.0,
            password_object: self.password_object,
        }
    }
}

/// A keyboard, as a person uses it: one line at a time.
pub trait Keyboard {
    /// Reads one line, without its end. Blocks until the person is done.
    ///
    /// # Errors
    /// [`io::Error`] if there is no keyboard or it was closed.
    fn read_line(&mut self) -> io::Result<Zeroizing<String>>;
}

/// Anything that gives lines, such as standard input.
#[derive(Debug)]
pub struct LineKeyboard<R>(pub R);

/// Longest line that a keyboard takes, end included.
const MAX_LINE: usize = 128;

impl<R: BufRead> Keyboard for LineKeyboard<R> {
    fn read_line(&mut self) -> io::Result<Zeroizing<String>> {
        let mut line = Zeroizing::new(String::with_capacity(MAX_LINE));
        let mut limited = io::Read::take(&mut self.0, MAX_LINE as u64);
        if limited.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.len() == MAX_LINE && !line.ends_with('\n') {
            // The rest must not pass for the next line, which may be sent as a password.
            self.0.skip_until(b'\n')?;
        }
        let typed = line.trim_end_matches(['\r', '\n']).len();
        line.truncate(typed);
        Ok(line)
    }
}

/// What the holder typed into the terminal. Comes from a [`Keyboard`] and from nowhere else.
#[derive(Debug)]
pub struct VerificationPassword(Password);

/// No verification password came from the keyboard.
#[derive(Debug, thiserror::Error)]
pub enum KeyboardError {
    /// The keyboard failed or was closed.
    #[error("nothing can be read from the keyboard: {0}")]
    Io(#[from] io::Error),
    /// It cannot be a joint password.
    #[error(transparent)]
    NotAPassword(#[from] NotAPassword),
}

impl KeyboardError {
    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Io(_) => "type the password at the terminal; nothing was sent to the server".into(),
            Self::NotAPassword(_) => {
                format!("type what the card's display shows, at most {MAX_LEN} characters; nothing was sent")
            }
        }
    }
}

impl VerificationPassword {
    /// Reads the password that the card's display shows. Spaces do not count: the display groups the
    /// characters, and no joint password has one.
    ///
    /// # Errors
    /// [`KeyboardError`]; the caller may ask again.
    pub fn type_in(keyboard: &mut dyn Keyboard) -> Result<Self, KeyboardError> {
        let line = keyboard.read_line()?;
        let mut typed = Zeroizing::new(String::with_capacity(line.len()));
        typed.extend(line.split_whitespace());
        Ok(Self(typed.parse()?))
    }
}

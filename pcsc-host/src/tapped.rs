//! What the card gave in its one contact, what the holder typed, and the request that both make (P-16).
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

use onetap_apdu_spec::header::Header;
use onetap_apdu_spec::password::{MAX_LEN, NotAPassword, Password};
use onetap_apdu_spec::service::{
    AuthorisationRequest, Cancellation, IdempotencyKey, PasswordObject, Timestamp, TransactionId,
};
use onetap_apdu_spec::txn::{Transaction, TransactionMessage};
use zeroize::Zeroizing;

use crate::attempt::{Attempt, BadAttempt};

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

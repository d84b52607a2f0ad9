//! What can go wrong, by where it went wrong: reader, card, protocol, or the transaction itself. Each
//! error says what happened; `advice` says what to do next.

use std::time::Duration;

use onetap_apdu_spec::command::{APPLICATION_VERSION, Name};
use onetap_apdu_spec::editions::EditionError;
use onetap_apdu_spec::signed::SignatureMessageError;
use onetap_apdu_spec::suite::Owed;
use onetap_apdu_spec::sw::StatusWord;
use onetap_apdu_spec::tlv::{Tag, TlvError};
use onetap_apdu_spec::txn::TransactionError;

use crate::attempt::BadAttempt;

use crate::deadline::Stopped;

/// Any failure of a tap.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader, its service, or the contact with the card.
    #[error(transparent)]
    Reader(ReaderError),
    /// The card refused a command.
    #[error(transparent)]
    Card(#[from] CardStatusError),
    /// The card answered something that this specification does not allow.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The payee's account or the currency is not one of today's.
    #[error("the transaction cannot be sent: {0}")]
    Edition(#[from] EditionError),
    /// What the card gave cannot be kept.
    #[error("the card's answers cannot be kept: {0}")]
    Attempt(#[from] BadAttempt),
    /// The transaction cannot be encoded.
    #[error("the transaction cannot be sent: {0}")]
    Transaction(#[from] TransactionError),
}

impl From<ReaderError> for Error {
    /// An answer without a status word comes from the card, not from its reader (REQ-H-11).
    fn from(error: ReaderError) -> Self {
        match error {
            ReaderError::NotAResponse(length) => Self::Protocol(ProtocolError::NotAResponse(length)),
            error => Self::Reader(error),
        }
    }
}

impl Error {
    /// Whether the holder has but to tap again: the card left, was disturbed or was not understood, and nothing else
    /// stands in the way.
    #[must_use]
    pub fn wants_another_tap(&self) -> bool {
        use ReaderError as R;
        matches!(self, Self::Reader(R::NoCard | R::CardRemoved | R::CardReset | R::Unresponsive))
    }

    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> &str {
        match self {
            Self::Reader(error) => error.advice(),
            Self::Card(error) => error.advice(),
            Self::Protocol(error) => error.advice(),
            Self::Attempt(_) => "do not send anything on; check card and reader with another terminal",
            Self::Edition(_) | Self::Transaction(_) => {
                "correct the transaction and start again; the card has not signed"
            }
        }
    }
}

/// The reader, its service, or the contact with the card failed. Names of readers are printed with everything escaped
/// that is not a plain character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// The PC/SC service cannot be reached.
    #[error("the PC/SC service is not running")]
    NoService,
    /// The PC/SC service went away in the middle.
    #[error("the PC/SC service ended in the middle of it")]
    ServiceEnded,
    /// The PC/SC service and the library by which it is reached do not understand each other.
    #[error("the PC/SC service is of another version than this program's libpcsclite")]
    OtherVersion,
    /// The PC/SC service takes calls and does not return from them.
    #[error("the PC/SC service does not answer")]
    ServiceSilent,
    /// The PC/SC service closes the door before it has said a word.
    #[error("the PC/SC service refuses this program")]
    Denied,
    /// The service has no readers.
    #[error("no smart card reader is connected")]
    NoReaders,
    /// No reader of this name.
    #[error("no reader is named {0:?}")]
    UnknownReader(String),
    /// More than one card could be meant; these are their readers.
    #[error("more than one reader has a card that could be meant: {}", quoted(.0))]
    Ambiguous(Vec<String>),
    /// The reader is empty.
    #[error("there is no card in the reader")]
    NoCard,
    /// No card that was wanted came before the deadline.
    #[error("no card came in time")]
    NoCardCame,
    /// The card was not taken away before the deadline.
    #[error("the card is still in the reader")]
    CardStays,
    /// The card left in the middle of the contact.
    #[error("the card was removed")]
    CardRemoved,
    /// Something else reset the card: what was loaded is void.
    #[error("another program reset the card during the contact")]
    CardReset,
    /// The card does not answer to power.
    #[error("the card does not answer to power")]
    Unresponsive,
    /// The card got a command and gave no answer before the deadline. The command was given up; the service may still
    /// wait for the card.
    #[error("the card in {reader:?} did not answer within {}", milliseconds(*.after))]
    NoAnswer {
        /// Its reader.
        reader: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The card's answer has no status word.
    #[error("the card answered with {0} bytes, which is no response")]
    NotAResponse(usize),
    /// Something else has the card of this reader to itself, until the deadline.
    #[error("the card in {0:?} is in use by another program, or by another contact of this one")]
    InUse(String),
    /// This reader does not come back from a command that was given up.
    #[error("the reader {0:?} is still busy with an earlier command that was given up")]
    Stuck(String),
    /// The deadline passed.
    #[error("the time was up before it was done")]
    Timeout,
    /// It was cancelled.
    #[error("it was cancelled")]
    Cancelled,
    /// The contact is over: it failed before.
    #[error("the contact with the card is over")]
    Over,
    /// The reader did not pass the command on, so the card has not seen it.
    #[error("the reader does not accept a command of {0} bytes")]
    NotAccepted(usize),
    /// Fewer than the four bytes of a command header; never sent.
    #[error("a command of {0} bytes is too short to be sent")]
    CommandTooShort(usize),
    /// The card's response is longer than any APDU. The command has been executed.
    #[error("the response is longer than a response APDU can be")]
    ResponseTooLong,
    /// Anything else that the reader's driver or service reports.
    #[error("the reader failed: {0}")]
    Other(String),
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// For people: finer parts of a time are noise.
fn milliseconds(time: Duration) -> String {
    let whole = Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    format!("{whole:?}")
}

impl From<Stopped> for ReaderError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::TimedOut => Self::Timeout,
            Stopped::Cancelled => Self::Cancelled,
        }
    }
}

impl ReaderError {
    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoService => {
                "start it (Debian: apt install pcscd, then systemctl start pcscd.socket) and try again"
            }
            Self::ServiceEnded => {
                "start the PC/SC service again if it does not restart by itself, and tap again"
            }
            Self::OtherVersion => {
                "bring both to one version (Debian: apt install --only-upgrade pcscd libpcsclite1, then systemctl \
                 restart pcscd); in a container take an image of the host's release"
            }
            Self::ServiceSilent => {
                "restart the PC/SC service (Debian: systemctl restart pcscd) and try again"
            }
            Self::Denied => {
                "allow this user to use smart cards (polkit: org.debian.pcsc-lite.access_pcsc), or restart the service"
            }
            Self::NoReaders => {
                "plug in a reader; for a virtual one install vsmartcard-vpcd and restart pcscd"
            }
            Self::UnknownReader(_) => "list the readers (`onetap readers`) and name one of them",
            Self::Ambiguous(_) => "take the other card away, or name the reader",
            Self::NoCard | Self::NoCardCame => "put the card on the reader and hold it there",
            Self::CardStays => "take the card out of the reader",
            Self::CardRemoved | Self::Over => {
                "hold the card still until the terminal says that it may go, and tap again"
            }
            Self::CardReset => "close other programs that use smart cards, and tap again",
            Self::InUse(_) => {
                "close other programs that use smart cards; if there are none, one ended in the middle of a command: \
                 restart the PC/SC service"
            }
            Self::Unresponsive => "turn the card round or clean its contacts, and tap again",
            Self::NoAnswer { .. } => "take the card out and tap again; if it persists, replace the card",
            Self::Stuck(_) => "take the card out; if that does not help, restart the PC/SC service",
            Self::NotAResponse(_) => {
                "tap again; if it persists, test card and reader with another one of each"
            }
            Self::Timeout => "allow more time, and try again",
            Self::Cancelled => "start again when ready",
            Self::NotAccepted(_) => "update the reader's driver, or use a reader that knows extended length",
            Self::CommandTooShort(_) => "send a whole command APDU",
            Self::ResponseTooLong => "tap again; if it persists, replace the card",
            Self::Other(_) => "unplug the reader and plug it in again; the service's log says more",
        }
    }
}

/// The card answered a command with a status word other than 9000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardStatusError {
    /// Which command.
    pub command: Name,
    /// The answer.
    pub sw: StatusWord,
}

impl CardStatusError {
    /// What the terminal does about it, from the table of status words.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        self.sw.meaning().map_or("this is not such a card, or it is damaged", |row| row.advice)
    }
}

impl std::fmt::Display for CardStatusError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let meaning = self.sw.meaning().map_or("a status word of no meaning here", |row| row.meaning);
        write!(f, "the card answered {} with {}: {meaning}", self.command.spec().title, self.sw)
    }
}

impl std::error::Error for CardStatusError {}

/// The card's answers do not follow the specification, or a command cannot be carried to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The card's answer has no status word (REQ-C-11).
    #[error("the card answered with {0} bytes, which is no response")]
    NotAResponse(usize),
    /// The card answered with a status word that the specification does not have.
    #[error("the card answered {} with {sw}, a status word of no meaning here", .command.spec().title)]
    UnknownStatus {
        /// Which command.
        command: Name,
        /// The answer.
        sw: StatusWord,
    },
    /// The answer to SELECT is not the application's.
    #[error("the answer to SELECT is not that of the signing application")]
    NotTheApplication,
    /// The card has another version of the application than this terminal.
    #[error("the card has version {} of the application; this terminal knows version {}",
            u16::from_be_bytes(*.0), u16::from_be_bytes(APPLICATION_VERSION))]
    OtherVersion([u8; 2]),
    /// A chain of 61xx that leads nowhere.
    #[error("the card announces more and more response data without end")]
    EndlessResponse,
    /// 6Cxx again after the command was repeated with that very Le.
    #[error("the card asks for another Le after it got the one it asked for")]
    LeNotSettled,
    /// Too much data for this transport, and the command cannot be chained.
    #[error("{0} bytes of command data fit neither one APDU nor a chain")]
    CommandTooLong(usize),
    /// A response that is not the expected data object.
    #[error("the response is not the data object {expected}: {why}")]
    NotTheObject {
        /// Which was expected.
        expected: Tag,
        /// What is wrong.
        why: TlvError,
    },
    /// A data object whose value is out of its format.
    #[error("the value of data object {0} is out of its format")]
    BadValue(Tag),
    /// GET SIGNATURE answered something else.
    #[error("the signature message is wrong: {0}")]
    SignatureMessage(#[from] SignatureMessageError),
    /// The header names another operator than this terminal's.
    #[error("the card signs for another operator than this terminal's")]
    WrongOperator,
    /// The header's counter is zero, which no card signs with.
    #[error("the signature's counter is zero")]
    CounterZero,
    /// The card owes a data object by its profile and gave an empty one.
    #[error("the card owes {} and gave nothing", owed_name(*.0))]
    NothingOwed(Owed),
}

fn owed_name(owed: Owed) -> &'static str {
    match owed {
        Owed::Encrypted => "the encrypted joint password",
        Owed::EncryptedDigest => "the digest of the encrypted joint password",
        Owed::PasswordDigest => "the keyed digest of the joint password",
    }
}

impl ProtocolError {
    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotAResponse(_) => {
                "tap again; if it persists, test card and reader with another one of each"
            }
            Self::UnknownStatus { .. } | Self::NotTheApplication => {
                "use another card: this one is none of ours, or damaged"
            }
            Self::OtherVersion(_) => "update the terminal's software, or ask for a card of its version",
            Self::WrongOperator => "use a card of this operator, or a terminal of the card's",
            Self::CommandTooLong(_) => "shorten the details, or use a reader that knows extended length",
            _ => "do not send anything on; check card and reader with another terminal",
        }
    }
}

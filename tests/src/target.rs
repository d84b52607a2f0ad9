//! Cards under test: what the conformance suite and the traces act on.
//!
//! A card is reached in two ways: through its contacts (the field and APDUs), and through its holder's
//! hands (keys, display, clock), if it is ours or somebody lends a holder. What a target cannot do it
//! says as [`CardUnderTest::lacks`]; a case that needs it is then not performed, with that reason.

use std::time::Duration;

use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::trace::{Stage, StageError};
use serde::Serialize;

mod claims;
mod in_process;
mod known;
mod reader;
pub mod samples;
mod vpcd;

pub use claims::{BadClaims, Claims, IssuerDomain, Times};
pub use in_process::{CannotMake, InProcess, SampleKeys};
pub use known::{Known, Tap, owed_tag, value_of};
pub use reader::ReaderTarget;
pub use vpcd::Vpcd;

/// What a case may need beyond sending APDUs to a card and resetting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// A card that may sign, at the beginning of its counts: a new one for each case, or one whose holder
    /// brings it there. Without it nothing may be signed: each signature counts as unconfirmed, and the
    /// eighth would be the last.
    Fresh,
    /// The card can be taken out of the field.
    Field,
    /// Its keys can be pressed, its display read, its clock advanced.
    Holder,
    /// Its public key and the server's keys are known.
    Keys,
}

/// The product's own times (docs/spec, card: "Parameters"). Zero where [`Capability::Holder`] is lacking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// How long absence lasts before the contact is over.
    pub debounce: Duration,
    /// How long the confirm key does nothing once the last page is shown.
    pub dead_time: Duration,
    /// Time-out of Showing, counted from delivery.
    pub showing: Duration,
    /// Time-out of Revealed.
    pub revealed: Duration,
}

/// A card under test: a [`Stage`] that also says what it is.
pub trait CardUnderTest: Stage {
    /// As `--target` names it.
    fn name(&self) -> &str;

    /// Why it lacks `capability`; `None` if it has it.
    fn lacks(&self, capability: Capability) -> Option<&'static str>;

    /// What it is lent, as words of the command line that runs a case again.
    fn lent(&self) -> &[String] {
        &[]
    }

    /// What it claims.
    fn claims(&self) -> &Claims;

    /// Puts a card as wanted beside the reader: a new one, or the one there is, brought to its beginning.
    /// Asked only of targets that have [`Capability::Fresh`].
    ///
    /// # Errors
    /// [`StageError`]; [`StageError::Unsupported`] if the card cannot be brought there from here.
    fn fresh(&mut self, wanted: &Start) -> Result<(), StageError>;

    /// A case is over. What follows begins with [`CardUnderTest::fresh`] or with a new contact.
    fn rest(&mut self) {
        // Whatever became of this contact, the next one is new.
        let _ = self.field_out();
    }

    /// What is known of the card; `None` for targets without [`Capability::Keys`].
    fn known(&self) -> Option<&Known>;

    /// What was done with the card so far.
    fn spent(&mut self) -> &mut Spent;

    /// How exactly the holder keeps times. Moments that are no further apart cannot be told from each other.
    fn grain(&self) -> Duration {
        Duration::from_millis(1)
    }
}

/// The card that a case begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// What it is personalised for.
    pub suite: Suite,
    /// Most signatures that the case makes.
    pub signatures: u32,
    /// Whether the case looks at counts that begin at 0: unconfirmed signatures, payments by the key alone.
    pub counts_at_zero: bool,
    /// Whether the case confirms.
    pub confirms: bool,
}

/// What was done with a card. Counted by who sends, whatever the card says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Signatures made.
    pub signatures: u32,
    /// Most signatures that may be made.
    pub most: Option<u32>,
    /// C of the last signature, if it is known; 0 for a new card.
    pub counter: Option<u32>,
    /// How often the confirm key was pressed without a PIN, since a PIN was last known to be taken.
    pub confirmed_by_key: u64,
    /// A transaction was taken and not signed yet.
    pub loaded: bool,
}

impl Spent {
    /// By a new card.
    #[must_use]
    pub fn nothing() -> Self {
        Self { counter: Some(0), ..Self::default() }
    }
}

//! Cards under test: what the conformance suite and the traces act on.
//!
//! A card is reached in two ways: through its contacts (the field and APDUs), and, if it is ours,
//! through its holder's hands (keys, display, clock). What a target cannot do it says as
//! [`CardUnderTest::lacks`]; a case that needs it is then not performed, with that reason.

use std::time::Duration;

use onetap_apdu_spec::suite::Suite;
use onetap_pcsc_host::trace::{Stage, StageError};
use serde::Serialize;

mod in_process;
mod known;
mod reader;
pub mod samples;
mod vpcd;

pub use in_process::{CannotMake, InProcess};
pub use known::{Known, Tap, owed_tag, value_of};
pub use reader::ReaderTarget;
pub use vpcd::Vpcd;

/// What a case may need beyond sending APDUs to a card and resetting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// A new card for each case, personalised as the case says. Without it nothing may be signed:
    /// each signature counts as unconfirmed, and the eighth would be the last.
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

    /// Puts a new card of this suite beside the reader. Asked only of targets that have
    /// [`Capability::Fresh`].
    ///
    /// # Errors
    /// [`StageError`].
    fn fresh(&mut self, suite: Suite) -> Result<(), StageError>;

    /// What is known of the card; `None` for targets without [`Capability::Keys`].
    fn known(&self) -> Option<&Known>;

    /// Its times.
    fn timing(&self) -> Timing;

    /// How many digits its PIN has.
    fn pin_digits(&self) -> usize;
}

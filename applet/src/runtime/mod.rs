//! What every applet on the card needs around it and no applet does itself: APDUs in and out,
//! chaining, GET RESPONSE, selection, and keeping a failure inside from becoming a dead card.

mod chain;
mod intake;

use onetap_apdu_spec::command::{Command, CommandSpec};
use onetap_apdu_spec::sw::StatusWord;

pub(crate) use intake::Runtime;

/// An application on the card.
pub(crate) trait Applet {
    /// What [`Applet::restore`] needs to undo a command that failed inside.
    type Snapshot;

    /// True if `aid`, whole or partial, names this applet.
    fn answers_to(&self, aid: &[u8]) -> bool;

    /// Selects the applet and gives the FCI.
    ///
    /// # Errors
    /// A status word, if it refuses.
    fn select(&mut self) -> Result<Vec<u8>, StatusWord>;

    /// Power went, or the card was reset.
    fn deselect(&mut self);

    /// Judges whether the applet accepts the command now, before its content is looked at.
    ///
    /// # Errors
    /// The one right status word.
    fn admit(&self, row: &CommandSpec) -> Result<(), StatusWord>;

    /// Executes a command that [`Applet::admit`] let through.
    ///
    /// # Errors
    /// The one right status word.
    fn process(&mut self, command: Command<'_>) -> Result<Vec<u8>, StatusWord>;

    /// Remembers the state before a command.
    fn snapshot(&self) -> Self::Snapshot;

    /// Goes back to it after a panic.
    fn restore(&mut self, before: Self::Snapshot);
}

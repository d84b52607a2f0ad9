//! What a card may have beside its chip: a display and keys.

use crate::runtime::{Fault, Runtime};
use crate::signing::controller::KeyRefused;
use crate::signing::display::Screen;
use crate::signing::keys::Key;

/// A display and keys with a controller of their own, as the signing card has them. No reader reaches it; it reaches
/// an applet directly, with [`Runtime::with`].
pub trait Face: Send {
    /// The card came into a reader's field.
    fn enter_field(&mut self, _chip: &mut Runtime) {}

    /// The card left the field, and its power is gone.
    fn leave_field(&mut self, _chip: &mut Runtime) {}

    /// Time passed. It is also called before each command.
    ///
    /// # Errors
    /// [`Fault`]: what time demands could not be done; it is tried again at the next tick.
    fn tick(&mut self, _chip: &mut Runtime) -> Result<(), Fault> {
        Ok(())
    }

    /// The holder pressed a key.
    ///
    /// # Errors
    /// [`KeyRefused`]: why the key did nothing, and what to do.
    fn press(&mut self, key: Key, chip: &mut Runtime) -> Result<(), KeyRefused>;

    /// What the display shows.
    fn screen(&mut self, chip: &mut Runtime) -> Screen;

    /// True once the terminal has all it needs of this contact: then a card that was held to a reader for one tap
    /// may go.
    fn is_done(&self, _chip: &Runtime) -> bool {
        false
    }
}

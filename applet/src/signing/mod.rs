//! The signing applet (in modules as P-25 names them) and the display controller beside it.
//!
//! On a real Java Card the applet sees neither field, keys nor clock: a display controller owns those
//! and talks to the applet over a local channel. So it is here: [`controller`] reaches the applet
//! through the [`controller::LocalChannel`] trait only.
//!
//! | module | P-25 |
//! |---|---|
//! | `transceiver` | transceiver: commands in, data objects out |
//! | `password` | password generation, and keeping it encrypted (P-23) |
//! | `encryption` | encryption: E (B profiles and the others) |
//! | `signature` | signature |
//! | `display` | display |
//! | `keys` | keys |

mod applet;
pub(crate) mod confirm;
pub(crate) mod controller;
pub(crate) mod display;
mod encryption;
mod face;
pub(crate) mod format_1;
pub(crate) mod keys;
mod local;
mod memory;
pub(crate) mod order_check;
mod orders;
mod password;
mod personalise;
pub(crate) mod pin;
mod signature;
mod signer;
mod state;
mod tools;
mod transceiver;

pub(crate) use applet::{NAME, SigningApplet, module};

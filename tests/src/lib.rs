//! The conformance suite and trace replay for any OneTap card, and the world in which they run.
//!
//! | module | what lives there |
//! |---|---|
//! | [`conform`], [`target`] | the conformance suite and the cards that it runs against |
//! | [`judge`] | what a card that is not ours is lent, so that every case can be performed on it, and reports |
//! | [`traces`] | scenarios recorded and replayed |
//! | [`world`], [`reader`], [`holder`] | an operator, a terminal, a card and its holder, to pay in |
//! | [`embedded`] | the server in the terminal's process |
//! | [`bank`] | a bank to try a terminal with; [`tutorial`]: how to make one |
//! | [`render`] | tables of the specification from the code's own tables |
//! | [`load`] | the load generator |
//! | [`plot`], [`html`] | plots, and pages of them |
//! | [`wireshark`] | a dissector from the same tables |
//! | [`dice`] | randomness that a seed decides |

#[cfg(feature = "bank")]
pub mod bank;
pub mod conform;
pub mod dice;
pub mod embedded;
pub mod holder;
pub mod html;
pub mod judge;
#[cfg(feature = "load")]
pub mod load;
#[cfg(feature = "load")]
pub mod plot;
pub mod reader;
pub mod render;
pub mod target;
pub mod traces;
#[cfg(feature = "bank")]
pub mod tutorial;
pub mod wireshark;
pub mod world;

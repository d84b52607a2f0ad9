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
//! | [`fuzz`] | properties that hold for any bytes |
//! | [`tear`] | the power cut at every write |
//! | [`kill`] | the process of a card killed at any instant |
//! | [`cut`] | the power cut at every access to the verifier's files |
//! | [`model`] | random operations against a model of the card |
//! | [`load`] | the load generator |
//! | [`plot`] | plots, and pages of them |
//! | [`fire`] | the verifier under load, killed, and behind a network that fails |
//! | [`crowd`] | strangers at the verifier's door, and honest clients among them |
//! | [`losses`] | payments lost between terminal and server, and resolved |
//! | [`rig`] | a card at hand for these: memory, clock, keys |

#[cfg(feature = "service")]
pub mod bank;
pub mod conform;
#[cfg(feature = "service")]
pub mod crowd;
#[cfg(feature = "service")]
pub mod cut;
mod dice;
pub mod embedded;
#[cfg(feature = "service")]
pub mod fire;
pub mod fuzz;
pub mod holder;
pub mod html;
pub mod judge;
pub mod kill;
#[cfg(feature = "load")]
pub mod load;
#[cfg(feature = "service")]
pub mod losses;
pub mod model;
#[cfg(feature = "load")]
pub mod plot;
pub mod reader;
pub mod render;
pub mod rig;
pub mod target;
pub mod tear;
pub mod traces;
#[cfg(feature = "service")]
pub mod tutorial;
pub mod world;

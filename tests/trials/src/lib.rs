//! What only we try on our own card, terminal and verifier. Nothing here ships: the suite for any card is `onetap-conformance`.
//!
//! | module | what lives there |
//! |---|---|
//! | [`fuzz`] | properties that hold for any bytes |
//! | [`tear`] | the power cut at every write |
//! | [`kill`] | the process of a card killed at any instant |
//! | [`cut`] | the power cut at every access to the verifier's files |
//! | [`model`] | random operations against a model of the card |
//! | [`fire`] | the verifier under load, killed, and behind a network that fails |
//! | [`crowd`] | strangers at the verifier's door, and honest clients among them |
//! | [`losses`] | payments lost between terminal and server, and resolved |
//! | [`process`] | a card in another process, for the judge of mutants |
//! | [`rig`] | a card at hand for these: memory, clock, keys |

#[cfg(feature = "service")]
pub mod crowd;
#[cfg(feature = "service")]
pub mod cut;
#[cfg(feature = "service")]
pub mod fire;
pub mod fuzz;
pub mod kill;
#[cfg(feature = "service")]
pub mod losses;
pub mod model;
pub mod process;
pub mod rig;
pub mod tear;

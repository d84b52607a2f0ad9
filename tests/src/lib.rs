//! The conformance suite and trace replay for any OneTap card, and the world in which they run.
//!
//! | module | what lives there |
//! |---|---|
//! | [`conform`], [`target`] | the conformance suite and the cards that it runs against |
//! | [`traces`] | scenarios recorded and replayed |
//! | [`world`], [`reader`], [`holder`] | an operator, a terminal, a card and its holder, to pay in |
//! | [`render`] | tables of the specification from the code's own tables |
//! | [`fuzz`] | properties that hold for any bytes |

pub mod conform;
pub mod fuzz;
pub mod holder;
pub mod reader;
pub mod render;
pub mod target;
pub mod traces;
pub mod world;

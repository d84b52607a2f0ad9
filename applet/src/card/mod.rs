//! The hardware: clock, power, and the [`Card`] that holds all together; and kinds of cards.

mod environment;
mod event;
mod facade;
mod face;
mod making;
mod power;
mod product;
mod time;

pub use environment::{Environment, KeyMaker, NewKeys, PreparedKey};
pub use event::{Event, KeyName, Observer};
pub use facade::{Card, SharedCard};
pub use face::Face;
pub use making::CardError;
pub use power::Interface;
pub use product::{Owner, Product};
pub use time::{CardTime, Millis, VirtualClock};

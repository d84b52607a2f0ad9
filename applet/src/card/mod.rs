//! The hardware: clock, power, and the [`Card`] that holds all together; and kinds of cards.

mod environment;
mod error;
mod event;
mod facade;
mod face;
mod making;
mod meter;
mod power;
mod product;
mod time;

pub use environment::{Environment, KeyMaker, NewKeys, PreparedKey};
pub use error::{CardError, Owner};
pub use event::{Event, KeyName, Observer};
pub use facade::{Card, SharedCard};
pub use face::Face;
pub(crate) use meter::Meter;
pub use power::Interface;
pub use product::Product;
pub use time::{CardTime, Millis, VirtualClock};

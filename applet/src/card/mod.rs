//! The hardware: clock, power, and the [`Card`] that holds all together.

mod environment;
mod event;
mod facade;
mod making;
mod power;
mod time;

pub use environment::{Environment, KeyMaker, NewKeys, PreparedKey};
pub use event::{Event, KeyName, Observer};
pub use facade::{Card, SharedCard};
pub use making::CardError;
pub use power::Interface;
pub use time::{CardTime, Millis, VirtualClock};

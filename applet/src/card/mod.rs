//! The hardware: clock, power, and the [`Card`] that holds all together.

mod clock;
mod environment;
mod event;
mod facade;
mod making;
mod power;

pub use clock::{Clock, Millis, SystemClock, VirtualClock};
pub use environment::{Environment, KeyMaker, NewKeys, PreparedKey};
pub use event::{Event, KeyName, Observer};
pub use facade::{Card, SharedCard};
pub use making::CardError;
pub use power::Interface;

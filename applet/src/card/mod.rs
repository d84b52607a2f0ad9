//! The hardware: non-volatile memory, clock, power, and the [`Card`] that holds all together.

mod clock;
mod facade;
mod image_file;
mod nvm;
mod power;

pub use clock::{Clock, Millis, SystemClock, VirtualClock};
pub use facade::{Card, CardError, Environment, SharedCard};
pub use image_file::{ImageFile, ImageOptions};
pub use nvm::{MAX_IMAGE, MemoryNvm, Nvm, NvmError};

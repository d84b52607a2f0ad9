//! The card's operating system: Java Card's semantics for applets written in Rust.
//!
//! | part | what it does |
//! |---|---|
//! | `intake`, `own`, `commands`, `chain`, `outgoing` | APDUs in and out: classes, chaining, SELECT, MANAGE CHANNEL, GET RESPONSE, T=0 and T=1 |
//! | `system`, `registry`, `channels`, `life_cycle` | which applets there are, which is selected where, who runs |
//! | `memory`, `pin` | persistent and transient objects, transactions, PINs |
//! | `sharing` | interfaces that one applet shares with others |
//! | `limits` | what the chip has room and time for |
//! | `manager` | what a security domain may do with all of these |

mod applet;
mod chain;
mod channels;
mod commands;
mod context;
mod fault;
mod intake;
mod life_cycle;
mod limits;
mod manager;
mod memory;
mod outgoing;
mod own;
mod pin;
mod registry;
mod reply;
mod sharing;
mod system;

pub use onetap_apdu_spec::aid::{AID_MAX, AID_MIN, Aid};

pub use applet::{Applet, Asked, Context, MAX_CHAIN, Module};
pub use fault::Fault;
pub use intake::Runtime;
pub(crate) use limits::Work;
pub use limits::{Costs, Limits, MAX_APDU, MAX_SHORT_APDU, NoLimits};
pub use manager::Manager;
pub use memory::{Clear, Field, Transient};
pub use onetap_apdu_spec::gp::life_cycle::CardLifeCycle;
pub use outgoing::Protocol;
pub use pin::{OwnerPin, PinRecord};
pub use registry::{DEFAULT_SELECTED, Instance, LOCKED, PERSONALISED, SECURITY_DOMAIN, SELECTABLE};
pub use reply::{MAX_REPLY, Reply};
pub use sharing::{Server, Shareable};

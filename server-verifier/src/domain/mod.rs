//! The nouns: accounts, cards, events and what they are made of. Everything else rests on them.

mod account;
mod actor;
mod background;
mod card;
mod cell;
pub mod client;
mod error;
mod event;
mod hold;
mod ids;
mod key;
mod message;
mod policy;
mod proposal;
mod search;
mod settlement;
mod shard;
mod view;

pub use account::{Account, AccountKind, Lock, LockCause};
pub use actor::{Act, Actor, BadActor, ReasonNeeded};
pub use background::Background;
pub use card::{CardState, EnrolledCard, Life, Mark};
pub use cell::Cell;
pub use error::{LedgerError, StoreError, causes};
pub use event::{Event, Legs, LogEntry, Opened, Ordered, Settled, Why};
pub use hold::{HoldState, HoldView};
pub use ids::{EntryId, HoldId};
pub use key::KeyKind;
pub use message::{Backlog, DeadLetter, Message, MessageState, MessageView, Topic};
pub use onetap_apdu_spec::clock::{Clock, SystemClock, Timestamp};
pub use policy::{BadPolicy, Policy, PolicyChange};
pub use proposal::{ByHand, ProposalState, ProposalView};
pub use search::{Chain, EventName, NotAnEvent, Sought, TimePlace};
pub use settlement::{Settlement, Verdict};
pub use shard::{Carried, CarriedHold, MoveError, NotAShard, Shard};
pub use view::{AccountView, CardView, MAX_PAGE, NotAPlace, StatementLine, StatementPlace, TerminalView};

//! Two small applets that show how one is written, each of them whole: [`Echo`] and [`Purse`].

mod echo;
mod purse;

pub use echo::Echo;
pub use purse::Purse;

//! A judge for any card: what a card in a reader is lent, so that every case that its claims demand can be performed on it,
//! and what is reported.
//!
//! | module | what lives there |
//! |---|---|
//! | [`Lent`] | a card in a reader with keys and a holder: a card under test like any other |
//! | [`Hands`] | the holder's hands: [`PanelHands`], [`PersonHands`], [`RobotHands`] |
//! | [`probe`] | a first version of a card's claims |
//! | [`Grade`], [`Judgement`] | what a run showed, and what it did not |
//! | [`junit`], [`page`] | reports for programs and people |

mod grade;
mod hands;
mod known_failures;
mod lent;
mod panel;
mod person;
mod probe;
mod report;
mod robot;
mod settle;

pub use grade::{Grade, Judgement};
pub use hands::{HandKey, Hands};
pub use known_failures::{BadKnownFailures, KnownFailures};
pub use lent::{BadPin, Lent, Loan};
pub use panel::{BadAddress, PanelHands};
pub use person::PersonHands;
pub use probe::probe;
pub use report::{junit, page};
pub use robot::{NoRobot, RobotHands};

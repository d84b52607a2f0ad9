//! The conformance suite: is this a OneTap card?
//!
//! Cases with stable ids such as `select/partial-aid` (an id is never used again for something else),
//! each with its clause. Most are generated from the command table [`onetap_apdu_spec::command::COMMANDS`];
//! the others are written by hand, one module per subject. What a target cannot do makes a case *not
//! performed*, what its card does not have makes it *not applicable*, each with the reason: never a
//! weaker case.
//!
//! ```
//! use onetap_conformance::conform::{self, Filter, Verdict};
//! use onetap_conformance::target::InProcess;
//!
//! let mut card = InProcess::new()?;
//! let filter = Filter::new(&["chain"])?;
//! let summary = conform::run(&filter, &mut card, &mut |report| {
//!     assert_eq!(report.verdict, Verdict::Passed, "{report}");
//! });
//! assert!(summary.passed > 10 && summary.is_conforming());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A card that an author makes on the runtime is played in the author's own tests, made anew and issued for each case:
//!
//! ```
//! use onetap_applet::applets::Echo;
//! use onetap_applet::card::Product;
//! use onetap_conformance::conform::{self, Filter};
//! use onetap_conformance::target::InProcess;
//!
//! let kind = Product::signing_card().module(Echo::module()).instance(Echo::name(), Echo::name(), [0; 3], &[]);
//! let summary = conform::run(&Filter::new(&["select"])?, &mut InProcess::of_kind(kind)?, &mut |_| ());
//! assert_eq!(summary.failed, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod case;
mod cases;
mod command;
pub mod coverage;
mod holder;
mod precondition;
mod report;
mod runner;
mod tester;

pub use case::{Case, Shows};
pub use cases::cases;
pub use command::CommandBuilder;
pub use precondition::Precondition;
pub use report::{Exchange, Failure, Report, Summary, Verdict};
pub use runner::{Filter, NoSuchCase, Plan, run, run_plan};
pub use tester::{Outcome, Stop, Tester};

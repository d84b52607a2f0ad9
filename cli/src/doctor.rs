//! `onetap doctor`: looks at everything between a card and the server, and says what is wrong and what cures it. Each
//! check is a function of its own in [`CHECKS`]; docs/doctor.md has a row for each.

mod cards;
mod door;
mod finding;
mod server;
mod service;
mod slots;
mod world;

use serde::Serialize;

use crate::args;
use crate::exit::Failure;
use crate::output::Output;
use finding::Finding;
use world::World;

/// One look at the world.
struct Check {
    /// Its name for programs.
    name: &'static str,
    /// The exit code if it finds something wrong.
    code: u8,
    look: fn(&World) -> Vec<Finding>,
}

/// In the order of the way from the card to the server: what is found first is often the cause of what follows.
const CHECKS: &[Check] = &[
    Check { name: "drivers", code: READER, look: service::drivers },
    Check { name: "service", code: READER, look: service::service },
    Check { name: "idle", code: READER, look: service::idle },
    Check { name: "readers", code: READER, look: service::readers },
    Check { name: "exposure", code: READER, look: slots::exposure },
    Check { name: "slots", code: READER, look: slots::slots },
    Check { name: "cards", code: READER, look: cards::cards },
    Check { name: "server", code: SERVER, look: server::server },
    Check { name: "terminal", code: SERVER, look: server::terminal },
    Check { name: "clock", code: SERVER, look: server::clock },
];

/// Exit codes, see [`crate::exit::HELP`].
const READER: u8 = 4;
const SERVER: u8 = 7;

/// A finding, for programs.
#[derive(Serialize)]
struct Line<'a> {
    check: &'static str,
    #[serde(flatten)]
    finding: &'a Finding,
}

pub(crate) fn run(options: &args::Doctor, out: Output) -> Result<(), Failure> {
    let world = World::look(options);
    let mut code = None;
    let mut wrong = 0;
    for check in CHECKS {
        for finding in (check.look)(&world) {
            out.result(&Line { check: check.name, finding: &finding }, finding.line())?;
            if finding.is_wrong() {
                code = code.or(Some(check.code));
                wrong += 1;
            }
        }
    }
    match code {
        None => out.result(&serde_json::json!({ "result": "well", "wrong": 0 }), "nothing is wrong"),
        Some(code) => {
            if out.is_json() {
                out.json_line(&serde_json::json!({ "result": "wrong", "wrong": wrong }))?;
            }
            Err(Failure::NotWell { wrong, code })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CHECKS;

    #[test]
    fn each_check_has_its_row_in_the_documentation() {
        let page = include_str!("../../docs/doctor.md");
        let rows: Vec<_> =
            page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(rows, CHECKS.iter().map(|check| check.name).collect::<Vec<_>>());
    }
}

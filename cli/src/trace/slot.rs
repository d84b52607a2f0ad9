//! A virtual reader, and what is put into it until it is interrupted.

use std::io::Write as _;
use std::time::Duration;

use onetap_applet::front::vpcd::{self, Meeting, Notice, Occupant, Stop, VpcdConfig};
use serde_json::json;

use crate::args;
use crate::card::resolve;
use crate::exit::Failure;
use crate::interrupt;
use crate::output::Output;

/// How long a reader that is not there is looked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves `occupant` to the reader until it is interrupted.
pub(super) fn occupy(
    slot: &args::Slot,
    occupant: &dyn Occupant,
    stop: &Stop,
    out: Output,
) -> Result<(), Failure> {
    let meeting = match &slot.listen {
        Some(addr) => Meeting::listen(resolve(addr)?)?,
        None => Meeting::At(resolve(&slot.vpcd)?),
    };
    let switch = stop.clone();
    interrupt::watch(move || switch.stop())?;
    let addr = meeting.addr().map_err(Failure::Input)?;
    match &meeting {
        Meeting::At(_) => out.result(&json!({ "vpcd": addr }), format!("in the virtual reader at {addr}"))?,
        Meeting::Here(_) => {
            out.result(&json!({ "listen": addr }), format!("waits at {addr} for its reader"))?;
        }
    }
    let config = VpcdConfig { meeting, leave_when_delivered: false, give_up_after: Some(PATIENCE) };
    vpcd::serve_telling(occupant, &config, stop, &mut |notice| tell(notice, out))?;
    Ok(())
}

/// What became of the reader, on standard error.
fn tell(notice: Notice, out: Output) {
    let word = match notice {
        Notice::Away => "away",
        Notice::Here => "here",
        Notice::Silent => "silent",
    };
    let line = if out.is_json() { json!({ "reader": word }).to_string() } else { notice.to_string() };
    // Where nobody reads it, nobody misses it.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

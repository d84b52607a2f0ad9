//! `onetap card`: make and manage cards, put them into virtual readers, look at their displays, press their
//! keys, cut their power.

mod control;
mod issuer;
mod place;
mod press;
mod run;
pub(crate) use seat::resolve;
mod seat;
mod tear;
mod told;

use std::path::Path;

use onetap_applet::Press;

use crate::args;
use crate::exit::Failure;
use crate::output::Output;
use press::{open, parse_keys, patiently};

pub(crate) fn run(command: &args::Card, out: Output) -> Result<(), Failure> {
    match command {
        args::Card::New { made, order } => issuer::new(made, order, out),
        args::Card::Blank(made) => issuer::blank(made, out),
        args::Card::Issue { place, channel, order } => issuer::issue(place, *channel, order, out),
        args::Card::Unblock { place, channel, issuer, pin } => {
            issuer::unblock(place, *channel, issuer, pin.as_deref(), out)
        }
        args::Card::Lock(lock) => issuer::lock(lock, out),
        args::Card::Unlock(lock) => issuer::unlock(lock, out),
        args::Card::Status { place, channel, db, card } => {
            issuer::status(place, *channel, db.as_deref().zip(*card), out)
        }
        args::Card::Run(options) => run::run(options, out),
        args::Card::Show { image } => keys(image, &[], out),
        args::Card::Press { image, keys: pressed } => {
            let pressed = parse_keys(pressed)?;
            keys(image, &pressed, out)
        }
        args::Card::Tear(options) => tear::run(options, out),
    }
}

/// Presses keys on the running card, or on one that lies in a drawer.
fn keys(image: &Path, pressed: &[Press], out: Output) -> Result<(), Failure> {
    let reply = patiently(|| match control::ask(image, pressed)? {
        Some(reply) => Ok(reply),
        None => Ok(press::press(&open(image)?, pressed)),
    })?;
    reply.print(out)
}

//! Strangers at the door: what they cost in memory, and who is served among them.

use onetap_trials::crowd::{Crowd, try_tokens};
use onetap_trials::fire::Fallible;
use onetap_trials::fire::scene::SYMMETRIC;

use crate::row::Row;
use crate::{Place, scene};

/// Clients that come at once after a restart.
const CLIENTS: usize = 250;
const WRONG_TOKENS: usize = 100_000;
const ADDRESSES: usize = 10_000;
const SILENT: usize = 3_000;
const REQUESTS: usize = 2_000;
/// Megabytes.
const MEMORY: f64 = 60.0;
/// Megabytes before anybody has asked, the program's own pages included.
const IDLE: f64 = 15.0;
/// Per cent of the honest requests.
const SERVED: f64 = 99.0;

pub(crate) fn measure(place: &Place) -> Fallible<Vec<Row>> {
    let scene = scene(place.sqlite("crowd"), SYMMETRIC, 2)?;
    let crowd = Crowd::gather(&scene.books.open()?, CLIENTS)?;
    let serving = scene.serve()?;
    let [idle, _] = serving.resident()?.map(|kib| f64::from(kib) * 1.024e-3);
    crowd.come_at_once(serving.address())?;
    try_tokens(serving.address(), WRONG_TOKENS, ADDRESSES)?;
    let [_, most] = serving.resident()?.map(|kib| f64::from(kib) * 1.024e-3);
    let memory =
        "memory: 250 first requests after a restart, then 100 000 wrong tokens from 10 000 addresses";
    let served = crowd.served_among_strangers(serving.address(), SILENT, REQUESTS)?;
    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    let share = served as f64 * 100.0 / REQUESTS as f64;
    println!("  {idle:.1} MB idle, {most:.1} MB, {served} of {REQUESTS} served within 50 ms");
    let name = "honest requests served within 50 ms beside 3 000 silent sockets and wrong tokens";
    let served = Row::of_service(name, "%", share, "all", 100.0).of_issue(10);
    let (bar, holds) = (Some(format!("≥ {SERVED} %")), Some(share >= SERVED));
    Ok(vec![
        Row::within("memory: a service that nobody has asked yet", "MB", idle, IDLE).of_issue(11),
        Row::within(memory, "MB", most, MEMORY).of_issue(10),
        Row { bar, holds, ..served },
    ])
}

//! The card in each reader: whether it can be had, and how fast it answers.

use std::time::{Duration, Instant};

use onetap_pcsc_host::pcsc::PcscReader;
use onetap_pcsc_host::{Deadline, Disposition, Reader as _, ReaderError, Transport};

use super::finding::Finding;
use super::world::World;
use crate::neighbours::{Slot, clients, name};

/// How long a card is waited for that another program has.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long all commands together may take.
const CONTACT: Duration = Duration::from_secs(10);
/// A command of no meaning, which every card refuses at once and which changes nothing.
const UNKNOWN: [u8; 4] = [0, 2, 0, 0];
/// The system acknowledges the first segments of a connection at once, whatever the programs set.
const FIRST: usize = 20;
/// So many commands after those are measured.
const MEASURED: usize = 9;
/// The least time by which Linux delays an acknowledgement is 40 ms. What takes much longer has another reason.
const STALL: std::ops::Range<Duration> = Duration::from_millis(35)..Duration::from_millis(100);

/// Each reader's card can be had, and answers in good time.
pub(super) fn cards(world: &World) -> Vec<Finding> {
    world.readers.iter().flatten().map(|reader| card(world, reader)).collect()
}

fn card(world: &World, reader: &str) -> Finding {
    let of = format!("card in {reader}");
    let measured =
        PcscReader::open(reader, &Deadline::after(PATIENCE)).and_then(|mut reader| measure(&mut reader));
    match measured {
        Ok(time) => speed(world, reader, time),
        Err(ReaderError::NoCard) => Finding::not_looked(of, "there is none"),
        Err(error @ (ReaderError::InUse(_) | ReaderError::Stuck(_))) => {
            let others: Vec<_> = clients(&world.socket).iter().map(ToString::to_string).collect();
            if others.is_empty() {
                return Finding::wrong(of, error.to_string(), error.advice());
            }
            let others = others.join(", ");
            let what = format!("{error}; the service's clients: {others}");
            Finding::wrong(of, what, format!("end the one that has the card: {others}"))
        }
        Err(error) => Finding::wrong(of, error.to_string(), error.advice()),
    }
}

/// The median of some commands.
fn measure(reader: &mut PcscReader) -> Result<Duration, ReaderError> {
    // The time for waiting and that for commands are one, so the wait is tried first.
    let contact = reader.connect(&Deadline::after(PATIENCE))?;
    contact.release(Disposition::Leave)?;
    let mut contact = reader.connect(&Deadline::after(CONTACT))?;
    let times = (0..FIRST + MEASURED).map(|_| once(&mut *contact)).collect::<Result<Vec<_>, _>>();
    contact.release(Disposition::Leave)?;
    let mut last = times?.split_off(FIRST);
    last.sort();
    Ok(last.get(MEASURED / 2).copied().unwrap_or_default())
}

fn once(contact: &mut dyn Transport) -> Result<Duration, ReaderError> {
    let start = Instant::now();
    contact.transmit(&UNKNOWN)?;
    Ok(start.elapsed())
}

fn speed(world: &World, reader: &str, time: Duration) -> Finding {
    let of = format!("card in {reader}");
    let took = format!("a command takes {:.1} ms", time.as_secs_f64() * 1000.0);
    let Some(driver) = world.virtual_driver(reader).filter(|_| STALL.contains(&time)) else {
        return Finding::fine(of, took);
    };
    let slot = driver.port_of(reader).and_then(Slot::look);
    let card = slot.as_ref().and_then(Slot::card).map_or_else(|| "the card's program".to_owned(), name);
    Finding::wrong(
        of,
        format!("{took}: vpcd sends it in two pieces, and {card} delays its acknowledgement of the first"),
        format!(
            "have {card} set TCP_QUICKACK before each read and TCP_NODELAY once, as `onetap card run` does"
        ),
    )
}

//! Cards that the suite and the traces run against, by the names of `--target`.

use std::time::Duration;

use onetap_conformance::target::{CardUnderTest, InProcess, ReaderTarget};
use onetap_pcsc_host::pcsc::{Wanted, wait_for_card};
use onetap_pcsc_host::{Deadline, Disposition, Reader};

use crate::args::Target;
use crate::exit::Failure;
use crate::readers::reader_named;

/// How long a card is waited for.
const WAIT: Duration = Duration::from_secs(60);

/// Does `work` with the card of that name.
pub(crate) fn with(
    target: &Target,
    work: impl FnOnce(&mut dyn CardUnderTest) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match target {
        Target::InProcess => {
            let mut card = InProcess::new().map_err(|error| Failure::NotAsExpected(error.to_string()))?;
            work(&mut card)
        }
        Target::Pcsc(part) => {
            let mut card = ReaderTarget::new(format!("pcsc:{part}"), reader(part)?);
            let done = work(&mut card);
            let released = card.release(Disposition::Unpower);
            done.and(released.map_err(Failure::from))
        }
    }
}

/// The reader that has `part` in its name, once a card is in it.
pub(crate) fn reader(part: &str) -> Result<Box<dyn Reader>, Failure> {
    Ok(Box::new(wait_for_card(&Wanted::in_reader(reader_named(part)?), &Deadline::after(WAIT))?))
}

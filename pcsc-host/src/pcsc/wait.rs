//! Waiting for a card, and for its removal.

use std::sync::Arc;
use std::time::Duration;

use ::pcsc::{Context, Error as E, PNP_NOTIFICATION, ReaderState, State};

use onetap_apdu_spec::command::Name;
use onetap_apdu_spec::sw::StatusWord;

use super::report::service_error;
use super::{PcscReader, list, watched, with_context};
use crate::deadline::{Deadline, Stopped};
use crate::error::{Error, ReaderError};
use crate::exchange::Exchange;
use crate::transport::{Disposition, Reader as _};

/// Waits look up so often whether they were cancelled.
const LOOK_UP: Duration = Duration::from_millis(200);
/// Pause before the service is tried again after it ended.
const RETRY: Duration = Duration::from_millis(100);
/// How long a service may take to restart that was not there at first.
const RESTART: Duration = Duration::from_secs(1);
/// How long one card may take to say whether it has an application.
const PROBE: Duration = Duration::from_secs(3);

/// Which card is waited for. What is not said may be anything; all that is said must hold.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    reader: Option<String>,
    atr: Option<AtrMask>,
    application: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
struct AtrMask {
    atr: Vec<u8>,
    mask: Vec<u8>,
}

impl Wanted {
    /// Any card in any reader.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// A card in the reader of this name.
    pub fn in_reader(name: impl Into<String>) -> Self {
        Self { reader: Some(name.into()), ..Self::default() }
    }

    /// A card whose answer to reset is `atr` in the bits that are set in `mask`. Both have the answer's length; where
    /// `mask` is shorter its missing bytes count as `FF`.
    #[must_use]
    pub fn with_atr(mut self, atr: impl Into<Vec<u8>>, mask: impl Into<Vec<u8>>) -> Self {
        self.atr = Some(AtrMask { atr: atr.into(), mask: mask.into() });
        self
    }

    /// A card that has the application of this name: SELECT by it, whole or its first bytes, answers 9000. Each card
    /// that could be the one is connected to and asked.
    #[must_use]
    pub fn with_application(mut self, aid: impl Into<Vec<u8>>) -> Self {
        self.application = Some(aid.into());
        self
    }

    fn wants_atr(&self, atr: &[u8]) -> bool {
        self.atr.as_ref().is_none_or(|wanted| wanted.fits(atr))
    }
}

impl AtrMask {
    fn fits(&self, atr: &[u8]) -> bool {
        let masks = self.mask.iter().copied().chain(std::iter::repeat(u8::MAX));
        atr.len() == self.atr.len()
            && atr.iter().zip(&self.atr).zip(masks).all(|((got, wanted), mask)| (got ^ wanted) & mask == 0)
    }
}

/// A card in a reader, and the count of insertions and removals by which it is told from the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lying {
    reader: String,
    count: u32,
}

/// Waits until a card that is wanted lies in a reader, and opens that reader. Readers may be plugged in while it
/// waits, and the service may restart.
///
/// # Errors
/// [`ReaderError::Ambiguous`] if more than one card could be meant; [`ReaderError::NoCardCame`],
/// [`ReaderError::NoReaders`] or [`ReaderError::UnknownReader`] at the deadline; [`ReaderError::Cancelled`];
/// [`ReaderError::NoService`] and other failures of PC/SC.
pub fn wait_for_card(wanted: &Wanted, deadline: &Deadline) -> Result<PcscReader, ReaderError> {
    let mut refused = Vec::new();
    loop {
        let lying = cards_besides(&refused, wanted, deadline)?;
        refused.clear();
        let mut fitting = Vec::new();
        for card in lying {
            match has_application(&card, wanted.application.as_deref(), deadline)? {
                Answer::Yes => fitting.push(card.reader),
                Answer::No => refused.push(card),
                Answer::AskAgain => {}
            }
        }
        match fitting.as_slice() {
            [] => {}
            [reader] => return Ok(PcscReader::named(reader)),
            _ => return Err(ReaderError::Ambiguous(fitting)),
        }
    }
}

enum Answer {
    Yes,
    No,
    /// The card was busy, or left.
    AskAgain,
}

fn has_application(card: &Lying, aid: Option<&[u8]>, deadline: &Deadline) -> Result<Answer, ReaderError> {
    let Some(aid) = aid else {
        return Ok(Answer::Yes);
    };
    let asked = PcscReader::named(&card.reader).connect(&deadline.within(PROBE)).and_then(|mut contact| {
        let selected = Exchange::new(&mut *contact).send(Name::Select.spec(), None, aid);
        contact.release(Disposition::Leave).and(Ok(selected))
    });
    match asked {
        Ok(Ok(response)) if response.sw == StatusWord::OK => Ok(Answer::Yes),
        Ok(Err(Error::Reader(error))) | Err(error) => match error {
            ReaderError::Cancelled | ReaderError::NoService | ReaderError::ServiceSilent => Err(error),
            ReaderError::NoAnswer { .. } | ReaderError::Unresponsive => Ok(Answer::No),
            _ => deadline.sleep(RETRY).map(|()| Answer::AskAgain).or_else(|stopped| match stopped {
                Stopped::TimedOut => Ok(Answer::AskAgain),
                Stopped::Cancelled => Err(ReaderError::Cancelled),
            }),
        },
        Ok(_) => Ok(Answer::No),
    }
}

/// Waits until the cards that fit reader and answer to reset are others than those.
fn cards_besides(refused: &[Lying], wanted: &Wanted, deadline: &Deadline) -> Result<Vec<Lying>, ReaderError> {
    let (known, fitting) = (refused.to_vec(), wanted.clone());
    let look = move |states: &[ReaderState]| {
        let fits = |state: &&ReaderState| has_card(state.event_state()) && fitting.wants_atr(state.atr());
        let lying: Vec<_> = states.iter().filter(fits).map(Lying::of).collect();
        lying.iter().any(|card| !known.contains(card)).then_some(lying)
    };
    match watch(wanted, deadline, &(Arc::new(look) as Look<_>))? {
        Seen::Found(lying) => Ok(lying),
        Seen::NotInTime { readers: true } => Err(ReaderError::NoCardCame),
        Seen::NotInTime { readers: false } => {
            Err(wanted.reader.clone().map_or(ReaderError::NoReaders, ReaderError::UnknownReader))
        }
    }
}

/// Waits until the reader has noticed that no card lies in it. Polling readers take a moment, and take
/// a card that comes back within it for the one that left.
///
/// # Errors
/// [`ReaderError::CardStays`] at the deadline, [`ReaderError::Cancelled`], [`ReaderError::NoService`] and other
/// failures of PC/SC.
pub fn wait_for_removal(reader: &str, deadline: &Deadline) -> Result<(), ReaderError> {
    // With the reader the card is gone as well.
    let empty = |states: &[ReaderState]| {
        states.iter().all(|state| !state.event_state().contains(State::PRESENT)).then_some(())
    };
    match watch(&Wanted::in_reader(reader), deadline, &(Arc::new(empty) as Look<_>))? {
        Seen::Found(()) => Ok(()),
        Seen::NotInTime { .. } => Err(ReaderError::CardStays),
    }
}

/// What came of watching.
enum Seen<T> {
    Found(T),
    NotInTime {
        /// There were readers to watch.
        readers: bool,
    },
}

/// What is looked for in the states of the readers.
type Look<T> = Arc<dyn Fn(&[ReaderState]) -> Option<T> + Send + Sync>;

/// Looks at the readers at each change, also over a restart of the service.
fn watch<T: Send + 'static>(
    wanted: &Wanted,
    deadline: &Deadline,
    look: &Look<T>,
) -> Result<Seen<T>, ReaderError> {
    // A service that was there once is waited for; one that never was is told soon.
    let mut patience = deadline.within(RESTART);
    loop {
        let (reader, until, look) = (wanted.reader.clone(), deadline.clone(), Arc::clone(look));
        let seen = with_context(deadline, move |context| Watch::new(context, reader).until(&until, &*look));
        match seen {
            Err(error @ (ReaderError::ServiceEnded | ReaderError::NoService | ReaderError::Denied)) => {
                if error == ReaderError::ServiceEnded {
                    patience = deadline.clone();
                }
                patience.sleep(RETRY).map_err(|stopped| match stopped {
                    Stopped::TimedOut => error,
                    Stopped::Cancelled => ReaderError::Cancelled,
                })?;
            }
            seen => return seen,
        }
    }
}

/// The readers that are watched, and what is known of them.
struct Watch<'c> {
    context: &'c Context,
    reader: Option<String>,
    /// The first one stands for readers that come.
    states: Vec<ReaderState>,
}

impl<'c> Watch<'c> {
    fn new(context: &'c Context, reader: Option<String>) -> Self {
        Self { context, reader, states: vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)] }
    }

    fn until<T>(
        mut self,
        deadline: &Deadline,
        look: &dyn Fn(&[ReaderState]) -> Option<T>,
    ) -> Result<Seen<T>, ReaderError> {
        loop {
            self.update_readers()?;
            match self.context.get_status_change(deadline.remaining().min(LOOK_UP), watched(&mut self.states))
            {
                // A reader that was unplugged in between: look at the list again.
                Ok(()) | Err(E::Timeout | E::UnknownReader) => {}
                Err(error) => return Err(service_error(error)),
            }
            let readers = self.states.get(1..).unwrap_or_default();
            if let Some(found) = look(readers) {
                return Ok(Seen::Found(found));
            }
            match deadline.check() {
                Ok(()) => {}
                Err(Stopped::TimedOut) => return Ok(Seen::NotInTime { readers: !readers.is_empty() }),
                Err(Stopped::Cancelled) => return Err(ReaderError::Cancelled),
            }
            self.states.iter_mut().for_each(ReaderState::sync_current_state);
        }
    }

    /// Brings the list of watched readers up to date, keeping what is known of those that stay.
    fn update_readers(&mut self) -> Result<(), ReaderError> {
        let mut names = list(self.context)?;
        names.retain(|name| self.reader.as_ref().is_none_or(|wanted| wanted.as_bytes() == name.to_bytes()));
        let pnp = PNP_NOTIFICATION();
        self.states
            .retain(|state| state.name() == pnp || names.iter().any(|name| name.as_c_str() == state.name()));
        for name in names {
            if self.states.iter().all(|state| state.name() != name.as_c_str()) {
                self.states.push(ReaderState::new(name, State::UNAWARE));
            }
        }
        Ok(())
    }
}

fn has_card(state: State) -> bool {
    state.contains(State::PRESENT) && !state.contains(State::MUTE)
}

impl Lying {
    fn of(state: &ReaderState) -> Self {
        Self { reader: state.name().to_string_lossy().into_owned(), count: state.event_count() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_reset_fits_in_the_bits_of_the_mask() {
        let atr = [0x3B, 0x85, 0x80, 0x01];
        for (wanted, mask, fits) in [
            (&[0x3B, 0x85, 0x80, 0x01][..], &[][..], true),
            (&[0x3B, 0x85, 0x81, 0x01], &[], false),
            (&[0x3B, 0x80, 0x00, 0x01], &[0xFF, 0xF0, 0x00], true),
            (&[0x3B, 0x90, 0x00, 0x01], &[0xFF, 0xF0, 0x00], false),
            (&[0x3B, 0x85, 0x80], &[0xFF, 0xFF, 0xFF], false),
            (&[], &[], false),
        ] {
            assert_eq!(
                Wanted::any().with_atr(wanted, mask).wants_atr(&atr),
                fits,
                "{wanted:02X?} {mask:02X?}"
            );
        }
        assert!(Wanted::any().wants_atr(&atr));
    }
}

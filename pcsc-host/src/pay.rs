//! One contact, then the holder, then the server: [`Terminal::tap`] takes everything from the card in
//! one contact (P-04) and lets it go; [`Tapped::authorise`] makes the request once the holder has
//! typed the verification password (P-16).

use onetap_apdu_spec::account::Alias;
use onetap_apdu_spec::clock::{Clock, SystemClock, Timestamp};
use onetap_apdu_spec::header::ServerId;
use onetap_apdu_spec::objects;
use onetap_apdu_spec::rng::{OsRng, Rng};
use onetap_apdu_spec::txn::{FieldError, TerminalId, Transaction, TransactionError, check_year};
use time::PrimitiveDateTime;

use crate::deadline::Deadline;
use crate::error::{Error, ProtocolError};
use crate::session::Session;
use crate::source::Draft;
use crate::tapped::Tapped;
use crate::transport::{Disposition, Reader, Transport};

/// A terminal: its identification, its clock, its randomness.
pub struct Terminal {
    id: TerminalId,
    operator: Option<ServerId>,
    clock: Box<dyn Clock>,
    rng: Box<dyn Rng>,
}

impl Terminal {
    /// With the operating system's clock and randomness.
    #[must_use]
    pub fn new(id: TerminalId) -> Self {
        Self::with(id, SystemClock, OsRng)
    }

    /// With a clock and randomness of the caller's, so that a run can be repeated.
    pub fn with(id: TerminalId, clock: impl Clock + 'static, rng: impl Rng + 'static) -> Self {
        Self { id, operator: None, clock: Box::new(clock), rng: Box::new(rng) }
    }

    /// Takes only cards of this operator.
    #[must_use]
    pub fn for_operator(mut self, operator: ServerId) -> Self {
        self.operator = Some(operator);
        self
    }

    /// Takes only cards of this operator from now on.
    pub(crate) fn take_cards_of(&mut self, operator: ServerId) {
        self.operator = Some(operator);
    }

    /// Its terminal id.
    #[must_use]
    pub fn id(&self) -> &TerminalId {
        &self.id
    }

    /// Now, by its clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Exactly one contact, over by the deadline: connects, lets the card sign `draft`, takes all it owes, and releases
    /// it at once. After success the card keeps its power and may go; after a failure it is powered
    /// off, so that it voids what was loaded.
    ///
    /// # Errors
    /// [`Error`]. A card that failed after it had signed wants a new tap. A clock that shows a year which no transaction can
    /// have is told before the tap.
    pub fn tap(
        &mut self,
        reader: &mut dyn Reader,
        draft: &Draft,
        deadline: &Deadline,
    ) -> Result<Tapped, Error> {
        draft.check_editions()?;
        let at = self.moment()?;
        let mut contact = reader.connect(deadline)?;
        match self.session(&mut *contact, draft, at) {
            Ok(tapped) => {
                // The card has delivered everything: a failure to let go of it changes nothing.
                let _ = contact.release(Disposition::Leave);
                Ok(tapped)
            }
            Err(error) => {
                // The first error is the one that tells.
                let _ = contact.release(Disposition::Unpower);
                Err(error)
            }
        }
    }

    /// Now, as a transaction can have it.
    fn moment(&self) -> Result<PrimitiveDateTime, TransactionError> {
        let unknown = TransactionError::Field { tag: objects::DATE, why: FieldError::Moment };
        let at = self.now().date_time().ok_or(unknown)?;
        check_year(at).map(|()| at)
    }

    fn session(
        &mut self,
        transport: &mut dyn Transport,
        draft: &Draft,
        at: PrimitiveDateTime,
    ) -> Result<Tapped, Error> {
        let mut session = Session::select(transport)?;
        let payer = session.alias()?;
        let transaction = self.complete(draft, payer, at).encode()?;
        let session = session.put_txn(transaction)?.get_signature()?;
        let operator = session.header().binding.server;
        if self.operator.is_some_and(|ours| ours != operator) {
            return Err(ProtocolError::WrongOperator.into());
        }
        session.finish()
    }

    fn complete(&mut self, draft: &Draft, payer: Alias, at: PrimitiveDateTime) -> Transaction {
        let mut unpredictable_number = [0; 4];
        self.rng.fill(&mut unpredictable_number);
        draft.complete(payer, at, self.id.clone(), unpredictable_number)
    }
}

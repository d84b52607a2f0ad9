//! A card in a reader, with all that somebody lends the judge for it.

use std::time::{Duration, Instant};

use onetap_apdu_spec::gp::KeySet;
use onetap_apdu_spec::gp::scp03::SecurityLevel;
use onetap_apdu_spec::personal::Pin;
use onetap_apdu_spec::rng::OsRng;
use onetap_pcsc_host::gp::{Issuer, with_issuer};
use onetap_pcsc_host::trace::{Key, Screen, Stage, StageError};
use onetap_pcsc_host::{Disposition, Reader, ReaderError};

use super::hands::{HandKey, Hands};
use crate::conform::{CommandBuilder, Stop, Tester};
use crate::target::{Capability, CardUnderTest, Claims, Known, ReaderTarget, Spent, Start};

/// How long a reader may take to notice that a card came back.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to find it there.
const PAUSE: Duration = Duration::from_millis(20);
/// A card that was used before may have confirmed any number of payments by the key.
const UNKNOWN: u64 = u64::MAX / 2;

const GIVEN_UP: &str = "the card could not be brought to the beginning, see the case that failed so, and was left alone from then on";

/// What is lent. What is missing makes cases not performed.
pub struct Loan {
    /// What the card claims.
    pub claims: Claims,
    /// The card's public key and the server's keys for it.
    pub known: Option<Known>,
    /// Who holds it.
    pub hands: Option<Box<dyn Hands>>,
    /// The holder's PIN.
    pub pin: Option<Pin>,
    /// The issuer's keys, to unblock the PIN after cases that block it.
    pub issuer: Option<KeySet>,
    /// Most signatures of the run.
    pub signatures: u32,
    /// Most time of one case.
    pub case_time: Duration,
    /// The same as words of the command line, without what is secret.
    pub words: Vec<String>,
}

/// The PIN does not go with the claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the PIN has {got} digits and the claims say {claimed}: correct \"pin-digits\"")]
pub struct BadPin {
    got: usize,
    claimed: usize,
}

/// A card in a reader that is lent keys and a holder.
pub struct Lent {
    reader: ReaderTarget,
    loan: Loan,
    in_field: bool,
    /// The reader may not have noticed yet that it is there.
    returned: bool,
    pin_at: usize,
    spent: Spent,
    /// The card could not be brought to the beginning; nothing more is risked on it.
    given_up: bool,
}

impl Lent {
    /// The card in `reader`, where it lies now; `name` is what `--target` calls it.
    ///
    /// # Errors
    /// [`BadPin`].
    pub fn new(name: &str, reader: Box<dyn Reader>, loan: Loan) -> Result<Self, BadPin> {
        if let Some(pin) = &loan.pin
            && pin.expose().len() != loan.claims.pin_digits
        {
            return Err(BadPin { got: pin.expose().len(), claimed: loan.claims.pin_digits });
        }
        let reader = ReaderTarget::new(name, reader).within(loan.case_time).claiming(loan.claims.clone());
        let most = Some(loan.signatures);
        let spent = Spent { confirmed_by_key: UNKNOWN, most, ..Spent::default() };
        Ok(Self { reader, loan, in_field: true, returned: true, pin_at: 0, spent, given_up: false })
    }

    /// Leaves the card as its holder may have it back: nothing on it waits.
    ///
    /// # Errors
    /// [`StageError`].
    pub fn give_back(&mut self) -> Result<(), StageError> {
        if self.loan.hands.is_some() && !self.given_up {
            let suite = self.loan.claims.suite();
            let start = Start { suite, signatures: 0, counts_at_zero: false, confirms: false };
            self.bring_to(&start)?;
        } else if !self.in_field {
            self.key(Key::Cancel)?;
            self.hands()?.hold_in_field(true)?;
            self.in_field = true;
        }
        Ok(self.reader.release(Disposition::Unpower)?)
    }

    fn hands(&mut self) -> Result<&mut (dyn Hands + 'static), StageError> {
        self.loan.hands.as_deref_mut().ok_or(StageError::Unsupported("do anything by its holder's hands"))
    }

    /// Connects, once the reader has noticed the card. What was connected before may be listed for a moment after that
    /// card has left, and does not answer any more.
    fn connect(&mut self) -> Result<Vec<u8>, StageError> {
        let returned = self.returned;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let met = self.reader.field_in().and_then(|atr| {
                if returned {
                    // Without effect on any card: nothing is selected yet.
                    self.reader.transmit(&CommandBuilder::status().bytes())?;
                }
                Ok(atr)
            });
            match met {
                Ok(atr) => {
                    self.returned = false;
                    return Ok(atr);
                }
                Err(why) if !returned || Instant::now() > deadline => return Err(why),
                Err(_) => {
                    let _ = self.reader.release(Disposition::Unpower);
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    /// A PIN of no more tries is given new ones by the issuer: over its channel, or in whichever way the holder has it done.
    pub(super) fn unblock(&mut self) -> Result<(), StageError> {
        let (Some(keys), Some(pin)) = (&self.loan.issuer, &self.loan.pin) else {
            self.rest();
            self.hands()?.have_unblocked()?;
            return self.field_in().map(drop);
        };
        let contact = self.reader.contact().ok_or(ReaderError::NoCard)?;
        let (level, unblock) = (SecurityLevel::Full, |issuer: &mut Issuer<'_>| issuer.unblock_pin(pin));
        let done = with_issuer(contact, keys, level, &mut OsRng, unblock);
        done.map_err(|why| StageError::Other(format!("the issuer cannot unblock the PIN: {why}")))
    }

    pub(super) fn has_pin(&self) -> bool {
        self.loan.pin.is_some()
    }

    pub(super) fn is_in_field(&self) -> bool {
        self.in_field
    }

    pub(super) fn claims_of(&self) -> &Claims {
        &self.loan.claims
    }

    fn bring_to(&mut self, start: &Start) -> Result<(), StageError> {
        self.settle(start).map_err(|stop| match stop {
            Stop::NotPerformed(_) | Stop::NotApplicable(_) => StageError::Unsupported(
                "be brought to the beginning: the PIN, or the issuer's keys to unblock it, are not lent",
            ),
            Stop::Failed { step, expected, got } => {
                StageError::Other(format!("{step}: expected {expected}, got {got}"))
            }
        })
    }

    /// For what is done between cases.
    pub(super) fn tester(&mut self) -> Tester<'_> {
        let suite = self.loan.claims.suite();
        Tester::new(self, suite)
    }
}

impl Stage for Lent {
    fn field_in(&mut self) -> Result<Vec<u8>, StageError> {
        if !self.in_field {
            self.hands()?.hold_in_field(true)?;
            (self.in_field, self.returned) = (true, true);
        }
        self.connect()
    }

    fn field_out(&mut self) -> Result<(), StageError> {
        if !self.in_field {
            return Ok(());
        }
        self.hands()?.hold_in_field(false)?;
        self.in_field = false;
        // The card is gone: how its reader takes that is of no interest.
        let _ = self.reader.release(Disposition::Leave);
        Ok(())
    }

    fn reset(&mut self) -> Result<Vec<u8>, StageError> {
        self.reader.reset()
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, ReaderError> {
        self.reader.transmit(command)
    }

    fn key(&mut self, key: Key) -> Result<(), StageError> {
        let digits = self.loan.pin.as_ref().map(|pin| pin.expose().as_bytes().to_vec()).unwrap_or_default();
        let digit = digits.get(self.pin_at % digits.len().max(1)).map(|byte| byte - b'0');
        let (pressed, at) = match key {
            Key::Confirm => (HandKey::Confirm, 0),
            Key::Cancel => (HandKey::Cancel, 0),
            Key::Clear => (HandKey::Clear, 0),
            Key::Next => (HandKey::Next, self.pin_at),
            Key::Previous => (HandKey::Previous, self.pin_at),
            Key::Digit | Key::WrongDigit => {
                let digit = digit.ok_or(StageError::Unsupported("take its PIN, which is not lent"))?;
                let wrong = u8::from(key == Key::WrongDigit);
                (HandKey::Digit((digit + wrong) % 10), self.pin_at + 1)
            }
        };
        self.pin_at = at;
        self.hands()?.press(pressed)
    }

    fn tick(&mut self, time: Duration) -> Result<(), StageError> {
        self.hands()?.wait(time)
    }

    fn screen(&mut self) -> Result<Screen, StageError> {
        let lines = self.hands()?.look()?;
        Ok(self.loan.claims.screen(&lines))
    }
}

impl CardUnderTest for Lent {
    fn name(&self) -> &str {
        self.reader.name()
    }

    fn lent(&self) -> &[String] {
        &self.loan.words
    }

    fn lacks(&self, capability: Capability) -> Option<&'static str> {
        let (hands, known) = (self.loan.hands.is_some(), self.loan.known.is_some());
        let has = if capability == Capability::Keys { known } else { hands };
        match capability {
            Capability::Fresh | Capability::Field | Capability::Holder if self.given_up => Some(GIVEN_UP),
            _ if has => None,
            Capability::Fresh => {
                Some("no holder is lent, and each signature counts as unconfirmed until one presses a key")
            }
            Capability::Field => Some("no holder is lent who takes the card out of the field"),
            Capability::Holder => Some("no holder is lent who reaches keys and display of the card"),
            Capability::Keys => Some("neither order nor statement of the card is lent"),
        }
    }

    fn claims(&self) -> &Claims {
        &self.loan.claims
    }

    /// The card there is, brought to its beginning by its holder.
    fn fresh(&mut self, start: &Start) -> Result<(), StageError> {
        // The payment that settles how often the key alone confirmed is one more.
        let most = start.signatures.saturating_add(u32::from(start.confirms));
        if self.spent.signatures.saturating_add(most) > self.loan.signatures {
            return Err(StageError::Unsupported("sign more often: the signatures of the run are spent"));
        }
        let done = self.bring_to(start);
        // A wrong PIN tried again and again would block the card.
        self.given_up = matches!(done, Err(StageError::Other(_) | StageError::Reader(_)));
        done
    }

    /// Unpowered, where it is.
    fn rest(&mut self) {
        // Whatever became of this contact, the next one is new.
        let _ = self.reader.release(Disposition::Unpower);
    }

    fn known(&self) -> Option<&Known> {
        self.loan.known.as_ref()
    }

    fn spent(&mut self) -> &mut Spent {
        &mut self.spent
    }

    fn grain(&self) -> Duration {
        self.loan.hands.as_ref().map_or(Duration::ZERO, |hands| hands.grain())
    }
}

//! A card that is being made: installation and personalisation, all or nothing.

use onetap_apdu_spec::command::{AID, Name};
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::card::Millis;
use onetap_applet::nvm::{Image, MemoryImage, TearingImage};

use super::engine::{Case, Subject};
use super::memory::Watched;
use super::observe;
use crate::rig::{Rig, START, Signatures, Spy, Surprise, fresh};

/// Memory that becomes a card.
pub(super) struct Making {
    suite: Suite,
    spy: &'static Spy,
}

impl Making {
    pub(super) fn new() -> Self {
        Self { suite: Suite::default(), spy: Spy::new() }
    }

    fn open(&self, memory: impl Image + 'static, moment: u64) -> Result<Rig, Surprise> {
        Rig::open(memory, self.spy, Millis(moment), 3)
    }
}

/// What the memory holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No card that opens, and why.
    Nothing(String),
    /// A card that was never personalised: it does nothing.
    Blank,
    /// A card for real.
    Card(Box<observe::State>),
}

impl Subject for Making {
    type Live = Option<TearingImage>;
    type Past = ();
    type State = State;
    type Future = [Signatures; 2];

    fn name(&self) -> String {
        "a card in the making".to_owned()
    }

    fn situations(&self) -> Vec<&'static str> {
        vec!["fresh memory"]
    }

    fn steps(&self) -> Vec<String> {
        vec!["installation and personalisation".to_owned()]
    }

    fn base(&self, _: usize) -> Result<Vec<u8>, Surprise> {
        Ok(fresh().bytes().to_vec())
    }

    fn ready(&self, _: usize, image: TearingImage) -> Result<Self::Live, Surprise> {
        Ok(Some(image))
    }

    /// The order fails when the power is gone.
    fn perform(&self, live: &mut Self::Live, _: usize) -> Result<(), Surprise> {
        live.take().into_iter().for_each(|image| drop(Rig::new(self.suite, image, self.spy)));
        Ok(())
    }

    fn end(&self, _: Self::Live) {}

    fn moment(&self, (): &()) -> u64 {
        START.0
    }

    /// What was never finished need not open, but must not change any more.
    fn recover(&self, image: Watched, moment: u64) -> Result<(), Surprise> {
        match self.open(image, moment) {
            Ok(_) | Err(Surprise::Card(_)) => Ok(()),
            Err(why) => Err(why),
        }
    }

    fn wake(&self, memory: &[u8], moment: u64) -> Result<(State, Self::Future), Surprise> {
        let mut rig = match self.open(MemoryImage::from_bytes(memory.to_vec()), moment) {
            Ok(rig) => rig,
            Err(why) => return Ok((State::Nothing(why.to_string()), Default::default())),
        };
        rig.card.enter_field();
        rig.card.power_on();
        let selected = rig.send(Name::Select, None, &AID)?.sw;
        let sw = rig.send(Name::GetData, None, &[])?.sw;
        if (selected, sw) == (StatusWord::OK, StatusWord::OK) {
            let (state, future) = observe::observe(memory, self.spy, moment, &Signatures::default())?;
            return Ok((State::Card(Box::new(state)), future));
        }
        match (selected, sw) {
            // Installed and not personalised, or not even installed: then the issuer's domain answers.
            (StatusWord::OK, StatusWord::CONDITIONS)
            | (StatusWord::NOT_FOUND, StatusWord::NO_SUCH_OBJECT) => Ok((State::Blank, Default::default())),
            _ => Err(Surprise::Refused { command: Name::GetData.spec().title, sw }),
        }
    }

    fn judge(&self, _: &Case<'_, Self>) -> Result<(), String> {
        Ok(())
    }
}

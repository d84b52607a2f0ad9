//! The signing card under the sweep.

use onetap_apdu_spec::command::{COMMANDS, Name};
use onetap_apdu_spec::objects;
use onetap_apdu_spec::suite::Suite;
use onetap_apdu_spec::tlv::Tag;
use onetap_applet::nvm::TearingImage;
use onetap_applet::{DEBOUNCE_MS, Key, PENDING_MS, PIN_TRIES, REVEALED_MS};

use super::engine::{Case, Subject};
use super::memory::Watched;
use super::observe::{State, observe, shows};
use crate::rig::{Rig, START, Secrets, Signatures, Spy, Surprise, fresh};
use onetap_conformance::target::samples;

/// A card of one suite.
pub(super) struct SigningCard {
    suite: Suite,
    spy: &'static Spy,
    situations: Vec<&'static Situation>,
    steps: Vec<Step>,
}

/// Where a card is when the step comes.
struct Situation {
    name: &'static str,
    /// What is in its memory.
    base: Base,
    /// What brings it there from its memory.
    play: fn(&mut Rig) -> Result<(), Surprise>,
}

/// What happened to a card before it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    /// One payment by the key alone.
    Used,
    /// So many wrong PINs.
    Wrong(u8),
    /// So many contacts without a holder.
    Unconfirmed(u8),
}

const BY_KEY: u64 = samples::KEY_UP_TO;
const BY_PIN: u64 = samples::PIN_UP_TO;
const BY_BOTH: u64 = samples::PIN_UP_TO + 1;
const WRONG_PIN: &str = "1357";

const SITUATIONS: &[Situation] = &[
    Situation { name: "idle", base: Base::Used, play: Rig::contact },
    Situation { name: "loaded", base: Base::Used, play: |rig| rig.contact().and_then(|()| rig.load(BY_KEY)) },
    Situation { name: "signed", base: Base::Used, play: |rig| rig.sign(BY_KEY) },
    Situation { name: "delivered", base: Base::Used, play: |rig| rig.deliver(BY_KEY) },
    Situation {
        name: "leaving",
        base: Base::Used,
        play: |rig| rig.deliver(BY_KEY).map(|()| rig.card.leave_field()),
    },
    Situation { name: "awake", base: Base::Used, play: |rig| rig.tap(BY_KEY) },
    Situation { name: "showing, key awaited", base: Base::Used, play: |rig| shown(rig, BY_KEY, "") },
    Situation { name: "showing, PIN awaited", base: Base::Used, play: |rig| shown(rig, BY_PIN, "") },
    Situation {
        name: "showing, right PIN typed",
        base: Base::Used,
        play: |rig| shown(rig, BY_PIN, samples::PIN),
    },
    Situation {
        name: "showing, wrong PIN typed",
        base: Base::Used,
        play: |rig| shown(rig, BY_PIN, WRONG_PIN),
    },
    Situation {
        name: "showing, right PIN typed after a wrong one",
        base: Base::Wrong(1),
        play: |rig| shown(rig, BY_PIN, samples::PIN),
    },
    Situation {
        name: "showing, right PIN typed as the last try",
        base: Base::Wrong(PIN_TRIES - 1),
        play: |rig| shown(rig, BY_PIN, samples::PIN),
    },
    Situation {
        name: "showing, wrong PIN typed as the last try",
        base: Base::Wrong(PIN_TRIES - 1),
        play: |rig| shown(rig, BY_PIN, WRONG_PIN),
    },
    Situation {
        name: "showing, right PIN typed, key comes next",
        base: Base::Used,
        play: |rig| shown(rig, BY_BOTH, samples::PIN),
    },
    Situation { name: "showing, PIN accepted, key awaited", base: Base::Wrong(1), play: accepted },
    Situation {
        name: "showing, in the field again",
        base: Base::Used,
        play: |rig| rig.tap(BY_KEY).and_then(|()| rig.contact()),
    },
    Situation {
        name: "revealed",
        base: Base::Used,
        play: |rig| shown(rig, BY_PIN, "").and_then(|()| rig.confirm().map(drop)),
    },
    Situation { name: "PIN blocked", base: Base::Wrong(PIN_TRIES), play: Rig::contact },
    Situation { name: "PIN blocked, away", base: Base::Wrong(PIN_TRIES), play: |_| Ok(()) },
    Situation {
        name: "8 unconfirmed",
        base: Base::Unconfirmed(onetap_apdu_spec::command::MAX_UNCONFIRMED),
        play: Rig::contact,
    },
    Situation {
        name: "8 unconfirmed, away",
        base: Base::Unconfirmed(onetap_apdu_spec::command::MAX_UNCONFIRMED),
        play: |_| Ok(()),
    },
];

/// All pages read, digits typed, the dead time over.
fn shown(rig: &mut Rig, cents: u64, pin: &str) -> Result<(), Surprise> {
    rig.tap(cents)?;
    rig.read()?;
    rig.type_pin(pin)
}

fn accepted(rig: &mut Rig) -> Result<(), Surprise> {
    shown(rig, BY_BOTH, samples::PIN)?;
    rig.card.press(Key::Confirm)?;
    rig.pass(onetap_applet::DEAD_TIME_MS);
    Ok(())
}

/// What is done to the card.
#[derive(Debug, Clone, Copy)]
enum Step {
    Command(Name, Option<Tag>),
    /// A first part of a chain.
    Chained,
    OpenChannel,
    CloseChannel,
    Malformed,
    Key(Key),
    FieldIn,
    FieldOut,
    Reset,
    PowerOff,
    /// So many milliseconds pass.
    Time(u64),
    BatteryLost,
}

const KEYS: [Key; 6] = [Key::Confirm, Key::Cancel, Key::Next, Key::Previous, Key::Clear, Key::Digit(1)];
const MANAGE_CHANNEL: u8 = 0x70;

fn steps() -> Vec<Step> {
    let commands = COMMANDS.iter().map(|row| Step::Command(row.name, None));
    let status = [Step::Command(Name::GetData, Some(objects::CARD_STATUS))];
    let more = [Step::Chained, Step::OpenChannel, Step::CloseChannel, Step::Malformed];
    let around = [Step::FieldIn, Step::FieldOut, Step::Reset, Step::PowerOff, Step::BatteryLost];
    let times = [DEBOUNCE_MS, REVEALED_MS, PENDING_MS].map(Step::Time);
    commands.chain(status).chain(more).chain(KEYS.map(Step::Key)).chain(around).chain(times).collect()
}

impl Step {
    fn name(self) -> String {
        match self {
            Self::Command(name, None) => name.spec().title.to_owned(),
            Self::Command(name, Some(tag)) => format!("{} of {:04X}", name.spec().title, tag.0),
            Self::Key(key) => format!("key {key:?}"),
            Self::Time(millis) => format!("{millis} ms pass"),
            other => format!("{other:?}"),
        }
    }

    fn perform(self, rig: &mut Rig) -> Result<(), Surprise> {
        match self {
            Self::Command(Name::PutTxn, _) => match rig.put(BY_KEY) {
                // Where the card gives no alias it takes no transaction either.
                Ok(_) | Err(Surprise::Refused { .. }) => {}
                Err(why) => return Err(why),
            },
            Self::Command(name, tag) => {
                let data: &[u8] = if name == Name::Select { &onetap_apdu_spec::command::AID } else { &[] };
                rig.send(name, tag, data)?;
            }
            Self::Chained => drop(rig.raw(&[0x90, Name::PutTxn.spec().ins, 0, 0, 1, 0])?),
            Self::OpenChannel => drop(rig.raw(&[0x00, MANAGE_CHANNEL, 0, 0, 1])?),
            Self::CloseChannel => {
                rig.raw(&[0x00, MANAGE_CHANNEL, 0, 0, 1])?;
                rig.raw(&[0x00, MANAGE_CHANNEL, 0x80, 1])?;
            }
            Self::Malformed => drop(rig.raw(&[0x80])?),
            Self::Key(key) => drop(rig.card.press(key)),
            Self::FieldIn => {
                rig.card.enter_field();
                rig.card.power_on();
            }
            Self::FieldOut => rig.card.leave_field(),
            Self::Reset => rig.card.reset(),
            Self::PowerOff => rig.card.power_off(),
            Self::Time(millis) => rig.pass(millis),
            Self::BatteryLost => {
                rig.clock.lose();
                rig.card.tick();
            }
        }
        Ok(())
    }
}

/// What is known of a card whose power is gone.
pub(super) struct Past {
    signed: Signatures,
    secrets: Secrets,
    now: u64,
}

impl SigningCard {
    pub(super) fn new(suite: Suite) -> Self {
        let at_once = suite.owed().is_none();
        // Without an owed object the signature is delivery.
        let situations = SITUATIONS.iter().filter(|situation| !(at_once && situation.name == "signed"));
        Self { suite, spy: Spy::new(), situations: situations.collect(), steps: steps() }
    }

    fn situation(&self, at: usize) -> Result<&'static Situation, Surprise> {
        self.situations.get(at).copied().ok_or(Surprise::Harness("a situation"))
    }
}

impl Subject for SigningCard {
    type Live = Rig;
    type Past = Past;
    type State = State;
    type Future = [Signatures; 2];

    fn name(&self) -> String {
        self.suite.to_string()
    }

    fn situations(&self) -> Vec<&'static str> {
        self.situations.iter().map(|situation| situation.name).collect()
    }

    fn steps(&self) -> Vec<String> {
        self.steps.iter().map(|step| step.name()).collect()
    }

    fn base(&self, situation: usize) -> Result<Vec<u8>, Surprise> {
        let image = fresh();
        let mut rig = Rig::new(self.suite, image.clone(), self.spy)?;
        rig.pay(BY_KEY)?;
        match self.situation(situation)?.base {
            Base::Used => {}
            Base::Wrong(wrong) => {
                shown(&mut rig, BY_PIN, "")?;
                for _ in 0..wrong {
                    rig.type_pin(WRONG_PIN)?;
                    // It is refused: that is what it is for.
                    let _ = rig.card.press(Key::Confirm);
                }
                rig.card.press(Key::Cancel)?;
            }
            Base::Unconfirmed(times) => (0..times).try_for_each(|_| {
                rig.sign(BY_KEY)?;
                // Without a holder the time-out takes away what the card would show.
                rig.leave();
                rig.pass(PENDING_MS);
                Ok::<(), Surprise>(())
            })?,
        }
        drop(rig);
        Ok(image.bytes().to_vec())
    }

    fn ready(&self, situation: usize, image: TearingImage) -> Result<Rig, Surprise> {
        self.spy.take();
        let mut rig = Rig::open(image, self.spy, START, 2)?;
        (self.situation(situation)?.play)(&mut rig)?;
        // PINs that were compared before the step are no business of the step's.
        self.spy.forget_pins();
        Ok(rig)
    }

    fn perform(&self, rig: &mut Rig, step: usize) -> Result<(), Surprise> {
        self.steps.get(step).map_or(Ok(()), |step| step.perform(rig))
    }

    fn end(&self, rig: Rig) -> Past {
        let now = rig.now().0;
        Past { signed: rig.signed, secrets: self.spy.take(), now }
    }

    fn moment(&self, past: &Past) -> u64 {
        past.now
    }

    fn recover(&self, image: Watched, moment: u64) -> Result<(), Surprise> {
        Rig::open(image, self.spy, onetap_applet::card::Millis(moment), 3).map(drop)
    }

    fn wake(&self, memory: &[u8], moment: u64) -> Result<(State, [Signatures; 2]), Surprise> {
        observe(memory, self.spy, moment, &Signatures::default())
    }

    fn judge(&self, case: &Case<'_, Self>) -> Result<(), String> {
        for future in case.future {
            case.past.signed.clone().extend(future).map_err(|why| why.to_string())?;
        }
        let text = String::from_utf8_lossy(case.memory);
        let Secrets { passwords, pins } = &case.past.secrets;
        if passwords.iter().any(|password| shows(&text, password)) {
            return Err("a joint password can be read in the image".to_owned());
        }
        let (before, tries) = (case.before.tries, case.state.tries);
        let given_back =
            tries == PIN_TRIES && pins.iter().all(|pin| pin.as_slice() == samples::PIN.as_bytes());
        if pins.is_empty() || tries < before || given_back {
            Ok(())
        } else {
            Err(format!("a PIN was compared, and {tries} tries are left of {before}"))
        }
    }
}

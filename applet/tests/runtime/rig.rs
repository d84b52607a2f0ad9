//! A runtime with memory that can be looked at and torn.

use onetap_apdu_spec::apdu::{CommandApdu, Form};
use onetap_apdu_spec::class::Class;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::Environment;
use onetap_applet::nvm::{MemoryImage, Nvm, TearSwitch, TearingImage};
use onetap_applet::runtime::{Aid, Context, Limits, Protocol, Runtime};

use crate::probe::{Probe, modules};

/// What the card answered. The status word as four digits, as people read it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) data: Vec<u8>,
    pub(crate) sw: String,
}

/// A runtime, its memory, and the switch that tears it.
pub(crate) struct Rig {
    pub(crate) card: Runtime,
    pub(crate) image: MemoryImage,
    pub(crate) switch: TearSwitch,
    limits: Limits,
}

pub(crate) const T0: Limits = Limits { protocol: Protocol::T0, ..Limits::NONE };
pub(crate) const TWENTY_CHANNELS: Limits = Limits { channels: 20, ..Limits::NONE };

impl Rig {
    /// A card without applets.
    pub(crate) fn empty(limits: Limits) -> Self {
        Self::with_environment(Environment { limits, ..Environment::default() })
    }

    /// A card without applets in this environment; in another one when it is opened again, but for its limits.
    pub(crate) fn with_environment(env: Environment) -> Self {
        let limits = env.limits;
        let image = MemoryImage::default();
        let (torn, switch) = TearingImage::new(image.clone());
        let nvm = Nvm::format(Box::new(torn)).unwrap();
        let card = Runtime::format(nvm, &modules(), env).unwrap();
        Self { card, image, switch, limits }
    }

    /// A card with one plain probe, number 1, selected.
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let mut rig = Self::empty(limits);
        rig.install(Probe::PLAIN, 1);
        assert_eq!(rig.select(0, &name(1)), "9000");
        rig
    }

    /// Installs a probe under [`name`] `n`.
    pub(crate) fn install(&mut self, module: Aid, n: u8) {
        self.card.install(&module, aid(n), [0; 3], &[]).unwrap();
    }

    /// What a new process finds in the same memory.
    pub(crate) fn restart(self) -> Self {
        let Self { card, image, limits, .. } = self;
        drop(card);
        Self::open(&image, limits)
    }

    /// A card opened from a copy of the memory, as it is now.
    pub(crate) fn reopened(&self) -> Self {
        Self::open(&self.image.copy(), self.limits)
    }

    fn open(image: &MemoryImage, limits: Limits) -> Self {
        let (torn, switch) = TearingImage::new(image.clone());
        let nvm = Nvm::open(Box::new(torn)).unwrap();
        let card = Runtime::open(nvm, &modules(), Environment { limits, ..Environment::default() }).unwrap();
        Self { card, image: image.clone(), switch, limits }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Answer {
        let mut out = Vec::new();
        self.card.transmit(bytes, &mut out);
        let (data, &[sw1, sw2]) = out.split_last_chunk::<2>().expect("a status word");
        Answer { data: data.to_vec(), sw: StatusWord::from_bytes(sw1, sw2).to_string() }
    }

    /// A short command: header, data, Ne.
    pub(crate) fn send(&mut self, header: [u8; 4], data: &[u8], ne: Option<u32>) -> Answer {
        self.raw(&encode(header, data, ne, Form::Short))
    }

    pub(crate) fn extended(&mut self, header: [u8; 4], data: &[u8], ne: Option<u32>) -> Answer {
        self.raw(&encode(header, data, ne, Form::Extended))
    }

    /// SELECT by a name, first occurrence, no answer wanted: the status word.
    pub(crate) fn select(&mut self, channel: u8, name: &[u8]) -> String {
        self.select_as(channel, name, 0x0C).sw
    }

    pub(crate) fn select_as(&mut self, channel: u8, name: &[u8], p2: u8) -> Answer {
        self.send([on(0x00, channel), 0xA4, 0x04, p2], name, Some(256))
    }

    /// Opens a logical channel from another: its number.
    pub(crate) fn open_channel(&mut self, origin: u8) -> u8 {
        let answer = self.send([on(0x00, origin), 0x70, 0, 0], &[], Some(1));
        assert_eq!((answer.data.len(), answer.sw.as_str()), (1, "9000"));
        answer.data[0]
    }

    /// The number of the probe that is selected on a channel; none if nothing is.
    pub(crate) fn selected(&mut self, channel: u8) -> Option<u8> {
        let answer = self.send([on(0x80, channel), Probe::WHO, 0, 0], &[], Some(7));
        match answer.sw.as_str() {
            "9000" => answer.data.last().copied(),
            sw => {
                assert!(["6985", "6881"].contains(&sw), "{sw}");
                None
            }
        }
    }

    /// Lets probe `n` do something with its context.
    pub(crate) fn within<R>(&mut self, n: u8, work: impl FnOnce(&mut Context<'_>) -> R) -> R {
        self.probe(n, |_, cx| work(cx))
    }

    pub(crate) fn probe<R>(&mut self, n: u8, work: impl FnOnce(&mut Probe, &mut Context<'_>) -> R) -> R {
        self.card.with(&aid(n), work).expect("the probe is there")
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.card.instances().map(|instance| instance.aid.to_string()).collect()
    }

    /// True if the memory holds these bytes anywhere.
    pub(crate) fn stores(&self, bytes: &[u8]) -> bool {
        self.image.bytes().windows(bytes.len()).any(|window| window == bytes)
    }
}

/// The instance names of probes; all begin with [`FAMILY`].
pub(crate) fn name(n: u8) -> [u8; 7] {
    [0xF0, b'P', b'R', b'O', b'B', b'E', n]
}

/// A partial name of all probes.
pub(crate) const FAMILY: &[u8] = b"\xF0PROBE";

pub(crate) fn aid(n: u8) -> Aid {
    Aid::new(&name(n)).unwrap()
}

/// A class byte on a channel.
pub(crate) fn on(base: u8, channel: u8) -> u8 {
    Class::on_channel(base, channel).unwrap()
}

pub(crate) fn encode([cla, ins, p1, p2]: [u8; 4], data: &[u8], ne: Option<u32>, form: Form) -> Vec<u8> {
    CommandApdu { cla, ins, p1, p2, data, ne }.encode(form).unwrap()
}

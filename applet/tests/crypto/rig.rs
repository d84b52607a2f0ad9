//! An applet that lends its context to a test.

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::Environment;
use onetap_applet::nvm::{MemoryImage, Nvm, TearSwitch, TearingImage};
use onetap_applet::runtime::{Aid, Applet, Context, Fault, Module, Reply, Runtime};

/// Does what the test does.
pub(crate) struct Keeper;

impl Applet for Keeper {
    fn install(_: &mut Context<'_>, _: &[u8]) -> Result<Self, StatusWord> {
        Ok(Self)
    }

    fn load(_: &mut Context<'_>) -> Result<Self, StatusWord> {
        Ok(Self)
    }

    fn process(&mut self, _: &mut Context<'_>, _: &CommandApdu<'_>, _: &mut Reply) -> Result<(), StatusWord> {
        Ok(())
    }
}

const MODULE: Aid = Aid::new(b"\xF0KEEPER").unwrap();

fn name(n: u8) -> Aid {
    Aid::new(&[MODULE.as_bytes(), &[n]].concat()).unwrap()
}

/// A card with instances 1 and 2.
pub(crate) struct Rig {
    pub(crate) card: Runtime,
    pub(crate) image: MemoryImage,
    pub(crate) switch: TearSwitch,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Environment::default())
    }

    pub(crate) fn with(env: Environment) -> Self {
        let image = MemoryImage::default();
        let (torn, switch) = TearingImage::new(image.clone());
        let nvm = Nvm::format(Box::new(torn)).unwrap();
        let mut card = Runtime::format(nvm, &[Module::new::<Keeper>(MODULE)], env).unwrap();
        for n in [1, 2] {
            card.install(&MODULE, name(n), [0; 3], &[]).unwrap();
        }
        Self { card, image, switch }
    }

    /// What a new process finds in a memory.
    pub(crate) fn open(image: &MemoryImage) -> Self {
        let (torn, switch) = TearingImage::new(image.clone());
        let (nvm, env) = (Nvm::open(Box::new(torn)).unwrap(), Environment::default());
        let card = Runtime::open(nvm, &[Module::new::<Keeper>(MODULE)], env).unwrap();
        Self { card, image: image.clone(), switch }
    }

    /// Works in the context of instance `n`.
    pub(crate) fn within<R>(&mut self, n: u8, work: impl FnOnce(&mut Context<'_>) -> R) -> R {
        self.card.with(&name(n), |_: &mut Keeper, cx| work(cx)).unwrap()
    }

    pub(crate) fn select(&mut self, n: u8) {
        let mut answer = Vec::new();
        let name = name(n);
        let length = u8::try_from(name.as_bytes().len()).unwrap();
        self.card.transmit(&[&[0, 0xA4, 4, 0, length], name.as_bytes()].concat(), &mut answer);
        assert_eq!(answer, [0x90, 0x00]);
    }

    /// True if the memory holds these bytes anywhere.
    pub(crate) fn stores(&self, bytes: &[u8]) -> bool {
        self.image.bytes().windows(bytes.len()).any(|window| window == bytes)
    }
}

/// Instance 1 of a card that is used once.
pub(crate) fn once<R>(work: impl FnOnce(&mut Context<'_>) -> R) -> R {
    Rig::new().within(1, work)
}

/// The reason of a `CryptoException`; none if that is not what it is.
#[allow(clippy::needless_pass_by_value, reason = "a call's result, as it comes")]
pub(crate) fn reason<T>(result: Result<T, Fault>) -> Option<onetap_applet::crypto::Reason> {
    match result {
        Err(Fault::CryptoException(reason)) => Some(reason),
        _ => None,
    }
}

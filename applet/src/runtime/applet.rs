//! What an applet is to the runtime, what it sees of the card, and the system that holds both: types that know each
//! other. What context and system do is in modules of their own.

use std::any::Any;

use onetap_apdu_spec::aid::Aid;
use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::gp::DataKey;
use onetap_apdu_spec::gp::life_cycle::CardLifeCycle;
use onetap_apdu_spec::gp::store_data::StoreData;
use onetap_apdu_spec::sw::StatusWord;

use super::channels::Channels;
use super::memory::{Memory, TransientMemory};
use super::registry::Instance;
use super::reply::Reply;
use crate::card::{Environment, Meter};

/// Most bytes that a command chain may carry, unless the applet allows fewer.
pub const MAX_CHAIN: usize = u16::MAX as usize;

/// An application on the card.
///
/// An applet keeps its persistent state in [`Field`](super::Field)s and an [`OwnerPin`](super::OwnerPin),
/// its transient state in [`Transient`](super::Transient)s, all of them reached through the [`Context`].
/// What it keeps in fields of its own struct is lost when the process ends or the applet panics; then
/// [`Applet::load`] makes it anew.
///
/// Whatever it returns with, a transaction that is still open is aborted, and a panic becomes 6F00.
pub trait Applet: Any + Send {
    /// Makes the applet on the card. All it writes is one transaction with the registry's entry: on an
    /// error or a panic nothing remains. `parameters` come from INSTALL.
    ///
    /// # Errors
    /// The status word of INSTALL.
    fn install(cx: &mut Context<'_>, parameters: &[u8]) -> Result<Self, StatusWord>
    where
        Self: Sized;

    /// Takes the applet up again from what it stored: when the card is opened, or after a panic.
    ///
    /// # Errors
    /// A status word, if what is stored cannot be used; then the applet can no longer be selected.
    fn load(cx: &mut Context<'_>) -> Result<Self, StatusWord>
    where
        Self: Sized;

    /// Selected on [`Context::channel`]. What it puts into `reply` is the answer to SELECT.
    ///
    /// # Errors
    /// Any: the applet refuses, SELECT answers 6999, and nothing is selected on the channel.
    fn select(&mut self, _cx: &mut Context<'_>, _reply: &mut Reply) -> Result<(), StatusWord> {
        Ok(())
    }

    /// Executes a command. Its class byte is without the channel, and without chaining unless the module
    /// takes chains in parts itself ([`Module::own_transport`]).
    ///
    /// # Errors
    /// The status word of the response. A warning (62xx, 63xx) goes out with the data of `reply`.
    fn process(
        &mut self,
        cx: &mut Context<'_>,
        command: &CommandApdu<'_>,
        reply: &mut Reply,
    ) -> Result<(), StatusWord>;

    /// Deselected: another applet is selected on the channel, or the channel is closed. Not called at
    /// power-off and reset, as no card can: see [`Applet::reset`].
    fn deselect(&mut self, _cx: &mut Context<'_>) {}

    /// About to be deleted. Its memory goes in any case.
    fn uninstall(&mut self, _cx: &mut Context<'_>) {}

    /// Power went or the card was reset. An applet that keeps transient state in its own struct drops it
    /// here; it can do nothing else.
    fn reset(&mut self) {}

    /// Judges one part of a command chain before the whole is there, and says how many bytes the whole may
    /// have.
    ///
    /// # Errors
    /// The status word that refuses this part; the chain is dropped.
    fn admit(&mut self, _cx: &mut Context<'_>, _part: &CommandApdu<'_>) -> Result<usize, StatusWord> {
        Ok(MAX_CHAIN)
    }

    /// Takes one block of personalisation data that the issuer sent over its secure channel
    /// (GlobalPlatform, INSTALL for personalization and STORE DATA). `data_key` opens what is sealed inside.
    ///
    /// # Errors
    /// The status word of STORE DATA.
    fn store_data(
        &mut self,
        _cx: &mut Context<'_>,
        _block: &StoreData,
        _data_key: &DataKey,
        _reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        Err(StatusWord::CONDITIONS)
    }

    /// Another applet, [`Context::client`], asks for an interface (`Applet.getShareableInterfaceObject`). What is given
    /// to [`Asked::answer`] it uses before that returns; an applet that does not answer refuses.
    fn share(&mut self, _cx: &mut Context<'_>, _asked: &mut Asked<'_>) {}
}

/// Which interface another applet asks for.
pub struct Asked<'a> {
    /// A boxed errand of the interface.
    pub(super) errand: &'a mut dyn Any,
    pub(super) answered: bool,
}

/// Code from which instances of one applet are made.
#[derive(Debug, Clone, Copy)]
pub struct Module {
    pub(super) aid: Aid,
    pub(super) install: Maker,
    pub(super) load: fn(&mut Context<'_>) -> Result<Box<dyn Applet>, StatusWord>,
    pub(super) traits: Traits,
}

type Maker = fn(&mut Context<'_>, &[u8]) -> Result<Box<dyn Applet>, StatusWord>;

/// What a module asks of the runtime beyond the usual.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traits {
    pub(super) multiselectable: bool,
    pub(super) own_transport: bool,
    pub(super) secure_messaging: bool,
    /// Number of the object that outlives an instance.
    pub(super) heirloom: Option<u8>,
}

impl Module {
    /// The module `aid` of applets of type `A`.
    #[must_use]
    pub fn new<A: Applet>(aid: Aid) -> Self {
        Self {
            aid,
            install: |cx, parameters| Ok(Box::new(A::install(cx, parameters)?)),
            load: |cx| Ok(Box::new(A::load(cx)?)),
            traits: Traits::default(),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn aid(&self) -> Aid {
        self.aid
    }

    /// One instance may be selected on several logical channels at once.
    #[must_use]
    pub const fn multiselectable(mut self) -> Self {
        self.traits.multiselectable = true;
        self
    }

    /// The applet does command chaining and GET RESPONSE itself.
    #[must_use]
    pub const fn own_transport(mut self) -> Self {
        self.traits.own_transport = true;
        self
    }

    /// There is one instance at a time, and object `number` of it outlives it: the next one reads it with
    /// [`Context::inherited`]. What a static field is to the applets of a Java Card package.
    #[must_use]
    pub const fn heirloom(mut self, number: u8) -> Self {
        self.traits.heirloom = Some(number);
        self
    }

    /// The applet takes commands whose class byte announces secure messaging; for others it is 6882.
    #[must_use]
    pub const fn secure_messaging(mut self) -> Self {
        self.traits.secure_messaging = true;
        self
    }
}

/// The card as one applet instance sees it on one channel. It names only that instance's memory: this is
/// the firewall between applets, and the compiler holds it up. The runtime makes contexts; nobody else can:
///
/// ```compile_fail,E0451
/// use onetap_applet::runtime::Context;
///
/// fn forge<'a>(mine: Context<'a>) -> Context<'a> {
///     Context { owner: 2, ..mine }
/// }
/// ```
///
/// Nor does one outlive the call that it was made for:
///
/// ```compile_fail,E0521
/// use onetap_applet::runtime::{Context, Runtime};
/// use onetap_applet::applets::Echo;
///
/// fn keep(card: &mut Runtime) {
///     let mut kept: Option<&mut Context<'_>> = None;
///     card.with(&Echo::name(), |_: &mut Echo, cx| kept = Some(cx));
///     kept.unwrap().free();
/// }
/// ```
pub struct Context<'a> {
    pub(super) system: &'a mut System,
    pub(super) owner: u8,
    pub(super) channel: u8,
    /// Whose call this is, if it is another applet's.
    pub(super) client: Option<Aid>,
}

/// An instance and, unless it runs at this moment or cannot be loaded, its applet.
pub(super) struct Slot {
    pub(super) instance: Instance,
    pub(super) module: Module,
    pub(super) applet: Option<Box<dyn Applet>>,
    /// It runs at this moment.
    pub(super) running: bool,
}

/// All of the card but the APDU in hand: memory, registry, applets, channels.
pub(super) struct System {
    pub(super) memory: Memory,
    pub(super) transient: TransientMemory,
    pub(super) env: Environment,
    pub(super) meter: Meter,
    pub(super) channels: Channels,
    pub(super) modules: Vec<Module>,
    pub(super) life: CardLifeCycle,
    /// Slot n is owner n + 1. Empty where an instance was deleted.
    pub(super) slots: Vec<Option<Slot>>,
}

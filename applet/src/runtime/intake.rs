//! From command bytes to response bytes, in one order of refusal: form (6700), class (6E00, 6882, 6881), the
//! runtime's own commands, then whatever the selected applet says.

use onetap_apdu_spec::aid::Aid;
use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::class::Class;
use onetap_apdu_spec::gp::life_cycle::CardLifeCycle;
use onetap_apdu_spec::sw::StatusWord;

use super::applet::{Applet, Context, MAX_CHAIN, Module, System};
use super::chain::{Chain, Head};
use super::channels::BASIC;
use super::fault::Fault;
use super::limits::Limits;
use super::outgoing::{Outgoing, Protocol, is_extended};
use super::own::{Own, meant, own_command};
use super::registry::Instance;
use crate::card::Environment;
use crate::nvm::Nvm;

/// The card's operating system.
pub struct Runtime {
    pub(super) system: System,
    pub(super) out: Outgoing,
    chain: Chain,
    protocol: Protocol,
}

impl Runtime {
    /// A card without applets, in empty memory.
    ///
    /// # Errors
    /// [`Fault::Nvm`].
    pub fn format(nvm: Nvm, modules: &[Module], env: Environment) -> Result<Self, Fault> {
        let system = System::format(nvm, modules, env)?;
        Ok(Self::with_system(system))
    }

    /// The card that the memory holds. An applet whose module is not among `modules`, or that cannot be
    /// loaded, cannot be selected.
    ///
    /// # Errors
    /// [`Fault`], if the registry cannot be read.
    pub fn open(nvm: Nvm, modules: &[Module], env: Environment) -> Result<Self, Fault> {
        let system = System::open(nvm, modules, env)?;
        Ok(Self::with_system(system))
    }

    fn with_system(system: System) -> Self {
        let protocol = system.env.limits.protocol;
        let mut runtime = Self { system, out: Outgoing::default(), chain: Chain::default(), protocol };
        runtime.reset();
        runtime
    }

    /// Makes an instance as the manufacturer does, without a security domain: all or nothing.
    ///
    /// # Errors
    /// 6A88 no such module, 6985 the name is taken, 6A84 no room, or what the applet answered.
    pub fn install(
        &mut self,
        module: &Aid,
        aid: Aid,
        privileges: [u8; 3],
        parameters: &[u8],
    ) -> Result<(), StatusWord> {
        self.system.install(module, aid, privileges, parameters)
    }

    /// Names of the modules in the card's ROM.
    pub fn modules(&self) -> impl Iterator<Item = Aid> {
        self.system.modules.iter().map(|module| module.aid)
    }

    /// All instances, in the order of the registry.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.system.instances()
    }

    /// Lets something on the card (its display controller) call an applet directly, past all APDUs. `None`
    /// if there is no such instance, it is not an `A`, or it panics.
    pub fn with<A: Applet, R>(
        &mut self,
        aid: &Aid,
        work: impl FnOnce(&mut A, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let at = self.system.position(aid)?;
        let result = self.system.run(at, BASIC, |applet, cx| {
            let applet: &mut dyn std::any::Any = applet;
            Ok(applet.downcast_mut::<A>().map(|applet| work(applet, cx)))
        });
        result.ok().flatten()
    }

    /// What the card's chip has room and time for.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.system.env.limits
    }

    /// Speaks another protocol from now on.
    pub(crate) fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// True if there is such an instance, and neither it nor the card is locked.
    #[must_use]
    pub fn in_service(&self, aid: &Aid) -> bool {
        self.system.position(aid).is_some_and(|at| self.system.in_service(at))
    }

    /// Looks at an applet without letting it run.
    #[must_use]
    pub fn peek<A: Applet, R>(&self, aid: &Aid, look: impl FnOnce(&A) -> R) -> Option<R> {
        let applet: &dyn std::any::Any = self.system.applet(self.system.position(aid)?)?;
        applet.downcast_ref::<A>().map(look)
    }

    /// Power gone, or reset: channels, selections and all that is transient go. Then the default applet, if
    /// there is one, is selected.
    pub fn reset(&mut self) {
        self.chain.drop_parts();
        self.out.clear();
        self.system.reset();
        if let Some(at) = self.system.default_instance() {
            // If it refuses, nothing is selected.
            let _ = self.system.select(at, BASIC, &mut self.out.reply);
            self.out.clear();
        }
    }

    /// True if part of a response waits for GET RESPONSE.
    #[must_use]
    pub fn response_waits(&self) -> bool {
        self.out.waits()
    }

    /// One command, one response of at least two bytes, whatever the bytes are. `out` is overwritten.
    #[inline]
    pub fn transmit(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.clear();
        let sw = self.respond(bytes, out);
        out.extend_from_slice(&sw.to_bytes());
    }

    #[inline]
    fn respond(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> StatusWord {
        let parsed = CommandApdu::parse(bytes);
        let Some(apdu) = parsed.ok().filter(|apdu| self.takes(bytes, apdu)) else {
            self.forget();
            return StatusWord::WRONG_LENGTH;
        };
        let apdu = if self.protocol == Protocol::T1 { meant(apdu) } else { apdu };
        if self.out.is_again(&apdu) {
            return self.out.give(&apdu, self.protocol, out);
        }
        let sw = match self.execute(&apdu) {
            Ok(()) => self.out.ready(StatusWord::OK),
            Err(warning) if warning.is_warning() => self.out.ready(warning),
            Err(sw) => {
                self.out.clear();
                return sw;
            }
        };
        if sw == StatusWord::INTERNAL { sw } else { self.out.give(&apdu, self.protocol, out) }
    }

    /// True if the card can take a command of this form and length.
    #[inline]
    fn takes(&self, bytes: &[u8], apdu: &CommandApdu<'_>) -> bool {
        let limits = &self.system.env.limits;
        bytes.len() <= limits.apdu && (limits.takes_extended(self.protocol) || !is_extended(bytes, apdu))
    }

    fn forget(&mut self) {
        self.chain.drop_parts();
        self.out.clear();
    }

    /// Executes one APDU. Its response is in `self.out`. A chain that is open and not continued is dropped.
    fn execute(&mut self, apdu: &CommandApdu<'_>) -> Result<(), StatusWord> {
        let was_open = self.chain.is_open();
        let result = self.route(apdu);
        if result.is_err() && was_open {
            self.chain.drop_parts();
        }
        result
    }

    #[inline]
    fn route(&mut self, apdu: &CommandApdu<'_>) -> Result<(), StatusWord> {
        let class = Class::parse(apdu.cla)?;
        let selected = self.system.channels.selected(class.channel);
        let traits = selected.map(|at| self.system.traits(at)).unwrap_or_default();
        if class.secure && !traits.secure_messaging {
            return Err(StatusWord::NO_SECURE_MESSAGING);
        }
        if !self.system.channels.is_open(class.channel) {
            return Err(StatusWord::NO_CHANNELS);
        }
        if self.system.life == CardLifeCycle::Terminated {
            return Err(StatusWord::CONDITIONS);
        }
        if let Some(own) = own_command(class, apdu, selected.is_some(), traits.own_transport) {
            return self.execute_own(own, class, apdu);
        }
        // It may have been locked since it was selected.
        let Some(at) = selected.filter(|at| self.system.in_service(*at)) else {
            return Err(StatusWord::CONDITIONS);
        };
        if traits.own_transport {
            if self.chain.is_open() {
                return Err(StatusWord::CHAIN_BROKEN);
            }
            let cla = class.base | (apdu.cla & onetap_apdu_spec::apdu::CLA_CHAINING);
            return self.process(at, class.channel, &CommandApdu { cla, ..*apdu });
        }
        let command = CommandApdu { cla: class.base, ..*apdu };
        if class.chaining || self.chain.is_open() {
            self.chained(at, class, &command)
        } else {
            self.process(at, class.channel, &command)
        }
    }

    fn execute_own(&mut self, own: Own, class: Class, apdu: &CommandApdu<'_>) -> Result<(), StatusWord> {
        if class.chaining {
            return Err(StatusWord::NO_CHAINING);
        }
        if self.chain.is_open() {
            return Err(StatusWord::CHAIN_BROKEN);
        }
        match own {
            Own::Select => self.select(class.channel, apdu),
            Own::ManageChannel => self.manage_channel(class.channel, apdu),
            Own::GetResponse => self.get_response(class.channel, apdu),
        }
    }

    #[inline]
    fn process(&mut self, at: usize, channel: u8, command: &CommandApdu<'_>) -> Result<(), StatusWord> {
        self.out.start(channel);
        let reply = &mut self.out.reply;
        self.system.run(at, channel, |applet, cx| applet.process(cx, command, reply))
    }

    /// One part of a chain, or a command that comes while one is open.
    fn chained(&mut self, at: usize, class: Class, part: &CommandApdu<'_>) -> Result<(), StatusWord> {
        let head = Head::of(class, part);
        // An applet sees in the class byte that it is asked about a part.
        let cla = part.cla | if class.chaining { onetap_apdu_spec::apdu::CLA_CHAINING } else { 0 };
        let asked = CommandApdu { cla, ..*part };
        let admitted = self.system.run(at, class.channel, |applet, cx| applet.admit(cx, &asked));
        if self.chain.is_open() && !self.chain.continues_with(head) {
            return Err(broken(admitted));
        }
        self.out.clear();
        self.chain.push(head, part.data, admitted?.min(MAX_CHAIN))?;
        if class.chaining {
            return Ok(());
        }
        let data = zeroize::Zeroizing::new(self.chain.take());
        self.process(at, class.channel, &CommandApdu { data: &data, ..*part })
    }
}

/// Another command than the chain's next part: 6883, unless the applet does not even know the command.
fn broken(admitted: Result<usize, StatusWord>) -> StatusWord {
    match admitted {
        Err(sw @ (StatusWord::WRONG_CLA | StatusWord::WRONG_INS | StatusWord::NO_CHAINING)) => sw,
        _ => StatusWord::CHAIN_BROKEN,
    }
}

//! An applet that does what a test tells it to, and says what was done to it.

use std::cell::RefCell;

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::applets::{Echo, Purse};
use onetap_applet::runtime::{
    Aid, Applet, Asked, CardLifeCycle, Context, Field, Module, Reply, Server, Transient,
};

thread_local! {
    /// What the runtime called, in order. A test and its card share one thread.
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What was called since the last time this was asked.
pub(crate) fn calls() -> Vec<String> {
    LOG.take()
}

fn log(what: &str, cx: &Context<'_>) {
    let n = cx.aid().and_then(|aid| aid.as_bytes().last().copied()).unwrap_or_default();
    LOG.with_borrow_mut(|log| log.push(format!("{what} {n} on {}", cx.channel())));
}

type Act = fn(&mut Context<'_>, &mut Reply) -> Result<(), StatusWord>;

/// The probe. What it does when called is nothing, until a test says otherwise; a panic forgets that.
pub(crate) struct Probe {
    pub(crate) on_select: Act,
    pub(crate) on_deselect: Act,
    pub(crate) on_process: Act,
    pub(crate) on_uninstall: Act,
    pub(crate) on_share: fn(&mut Context<'_>, &mut Asked<'_>),
    pub(crate) panics_on_reset: bool,
    /// What [`Applet::admit`] answers.
    pub(crate) admits: Result<usize, StatusWord>,
}

/// How the next [`Applet::load`] goes: [`PANIC`] or [`REFUSE`].
pub(crate) const LOAD: Field<u8> = Field::new(200);
pub(crate) const PANIC: u8 = 1;
pub(crate) const REFUSE: u8 = 2;

/// A number that tests write.
pub(crate) const NUMBER: Field<u32> = Field::new(0);
pub(crate) const OTHER: Field<u32> = Field::new(1);
pub(crate) const BYTES: Field<Vec<u8>> = Field::new(2);
pub(crate) const UNTIL_RESET: Transient<u32> = Transient::on_reset(0);
pub(crate) const UNTIL_DESELECT: Transient<u32> = Transient::on_deselect(0);

const fn module(n: u8) -> Aid {
    Aid::new(&[0xF0, b'M', b'O', b'D', b'U', b'L', b'E', n]).unwrap()
}

impl Probe {
    pub(crate) const PLAIN: Aid = module(0);
    pub(crate) const MULTI: Aid = module(1);
    pub(crate) const OWN_TRANSPORT: Aid = module(2);
    pub(crate) const SECURE: Aid = module(3);

    /// Answers with its name.
    pub(crate) const WHO: u8 = 0x02;
    /// Answers with the data field.
    pub(crate) const ECHO: u8 = 0x10;
    /// Answers with [`pattern`] of P1-P2 bytes.
    pub(crate) const GIVE: u8 = 0x12;
    /// Answers with CLA, channel, and the length of the data field in three bytes.
    pub(crate) const TELL: u8 = 0x14;
    /// Answers with a byte and a warning.
    pub(crate) const WARN: u8 = 0x16;
    /// Calls `on_process`.
    pub(crate) const ACT: u8 = 0x18;
    /// As a security domain, does to the card what P1 says; the data field is a name.
    pub(crate) const MANAGE: u8 = 0x1A;
}

/// What [`Probe::MANAGE`] can do, in P1.
pub(crate) const DELETE: u8 = 0;
pub(crate) const SET_STATE: u8 = 1;
pub(crate) const CARD_LOCK: u8 = 2;
pub(crate) const CARD_TERMINATE: u8 = 3;
pub(crate) const CARD_SECURE: u8 = 4;

/// Bytes that show where they come from.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// All modules in the ROM of a test's card.
pub(crate) fn modules() -> [Module; 6] {
    [
        Module::new::<Probe>(Probe::PLAIN),
        Module::new::<Probe>(Probe::MULTI).multiselectable(),
        Module::new::<Probe>(Probe::OWN_TRANSPORT).own_transport(),
        Module::new::<Probe>(Probe::SECURE).secure_messaging(),
        Echo::module(),
        Purse::module(),
    ]
}

impl Default for Probe {
    fn default() -> Self {
        let nothing: Act = |_, _| Ok(());
        Self {
            on_select: nothing,
            on_deselect: nothing,
            on_process: nothing,
            on_uninstall: nothing,
            on_share: |_, _| (),
            panics_on_reset: false,
            admits: Ok(usize::MAX),
        }
    }
}

impl Applet for Probe {
    /// The parameters say how it goes wrong.
    fn install(cx: &mut Context<'_>, parameters: &[u8]) -> Result<Self, StatusWord> {
        if parameters.is_empty() {
            return Ok(Self::default());
        }
        cx.set(&NUMBER, &7)?;
        cx.set(&BYTES, &b"left by a failed installation".to_vec())?;
        cx.set_transient(&UNTIL_RESET, &7)?;
        match parameters {
            b"stores" => return Ok(Self::default()),
            b"panics" => panic!("as the test asks"),
            b"commits" => cx.commit()?,
            b"ignores a refused commit" => assert!(cx.commit().is_err()),
            b"ignores a refused abort" => assert!(cx.abort().is_err()),
            b"aborts" => cx.abort()?,
            b"begins" => cx.begin()?,
            b"calls" => {
                let server: Server<crate::sharing::DeskInterface> = Server::new(crate::rig::aid(2));
                cx.call::<_, _, StatusWord>(&server, |_| Ok(()))?;
            }
            b"writes now" => cx.set_now(&OTHER, &8)?,
            b"fills the buffer" => {
                for number in 10..=100 {
                    cx.set(&Field::<u8>::new(number), &number)?;
                }
            }
            other => panic!("no such way to fail: {other:?}"),
        }
        match parameters {
            b"ignores a refused commit" | b"ignores a refused abort" => Ok(Self::default()),
            _ => Err(StatusWord::WRONG_DATA),
        }
    }

    fn load(cx: &mut Context<'_>) -> Result<Self, StatusWord> {
        match cx.find(&LOAD)? {
            Some(PANIC) => panic!("as the test asks"),
            Some(REFUSE) => Err(StatusWord::MEMORY_FAILURE),
            _ => Ok(Self::default()),
        }
    }

    fn select(&mut self, cx: &mut Context<'_>, reply: &mut Reply) -> Result<(), StatusWord> {
        log("select", cx);
        reply.send(cx.aid().unwrap().as_bytes());
        (self.on_select)(cx, reply)
    }

    fn process(
        &mut self,
        cx: &mut Context<'_>,
        command: &CommandApdu<'_>,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        match command.ins {
            Self::WHO => reply.send(cx.aid().unwrap().as_bytes()),
            Self::ECHO => reply.send(command.data),
            Self::GIVE => reply.send(&pattern(usize::from(u16::from_be_bytes([command.p1, command.p2])))),
            Self::TELL => {
                reply.send(&[command.cla, cx.channel()]);
                reply.send(&u32::try_from(command.data.len()).unwrap().to_be_bytes()[1..]);
            }
            Self::WARN => {
                reply.send(&[7]);
                return Err(StatusWord::tries_left(2));
            }
            Self::ACT => return (self.on_process)(cx, reply),
            Self::MANAGE => return manage(cx, command),
            _ => return Err(StatusWord::WRONG_INS),
        }
        Ok(())
    }

    fn deselect(&mut self, cx: &mut Context<'_>) {
        log("deselect", cx);
        let _ = (self.on_deselect)(cx, &mut Reply::default());
    }

    fn uninstall(&mut self, cx: &mut Context<'_>) {
        log("uninstall", cx);
        let _ = (self.on_uninstall)(cx, &mut Reply::default());
    }

    fn reset(&mut self) {
        LOG.with_borrow_mut(|log| log.push("reset".to_owned()));
        assert!(!self.panics_on_reset, "as the test asks");
    }

    fn admit(&mut self, _: &mut Context<'_>, _: &CommandApdu<'_>) -> Result<usize, StatusWord> {
        self.admits
    }

    fn share(&mut self, cx: &mut Context<'_>, asked: &mut Asked<'_>) {
        (self.on_share)(cx, asked);
    }
}

fn manage(cx: &mut Context<'_>, command: &CommandApdu<'_>) -> Result<(), StatusWord> {
    let aid = Aid::new(command.data);
    let mut manager = cx.manager().ok_or(StatusWord::SECURITY_STATUS)?;
    match command.p1 {
        DELETE => manager.delete(&aid.unwrap()),
        SET_STATE => manager.set_state(&aid.unwrap(), command.p2),
        CARD_LOCK => manager.set_card_life(CardLifeCycle::Locked),
        CARD_TERMINATE => manager.set_card_life(CardLifeCycle::Terminated),
        CARD_SECURE => manager.set_card_life(CardLifeCycle::Secured),
        other => panic!("no such thing to manage: {other}"),
    }
}

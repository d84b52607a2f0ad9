//! The card in the virtual reader of vsmartcard (`vpcd`), as its TCP client: each message is a length
//! of two bytes, most significant first, and so many bytes; the reader always speaks first.
//!
//! vpcd sends length and payload apart, so that Nagle's algorithm waits for a delayed
//! acknowledgement, 40 ms for each command. The cure is here, on the card's side: quick
//! acknowledgement is armed again before each read, and each answer is one write.

mod connection;
mod socket;
mod stop;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use socket::Socket;
pub use stop::Stop;

use super::lock;
use crate::card::SharedCard;
use connection::Connection;

/// Where vpcd listens for the card in its first slot.
pub const DEFAULT_ADDR: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 35_963);

/// Messages of one byte are not APDUs.
const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const GET_ATR: u8 = 4;

/// Shortest and longest wait before connecting again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(2));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a card stays away that left by itself: readers look every 400 ms.
const ABSENCE: Duration = Duration::from_secs(1);
/// How long a reader may be silent before that is told: vpcd asks the card in a slot several times a second.
const SILENCE: Duration = Duration::from_secs(1);

/// What goes into the reader: a card, or something that stands for one.
pub trait Occupant: Sync {
    /// It comes into the field, and has power.
    fn come(&self);
    /// It is taken away.
    fn leave(&self);
    /// The reader takes its power.
    fn power_off(&self);
    /// The reader gives it power.
    fn power_on(&self);
    /// The reader resets it.
    fn reset(&self);
    /// Its answer to reset.
    fn atr(&self) -> Vec<u8>;
    /// The response to a command; nothing at all if it leaves instead of answering.
    fn transmit(&self, command: &[u8]) -> Vec<u8>;
    /// The terminal now has all that it needs.
    fn is_done(&self) -> bool {
        false
    }
}

impl Occupant for SharedCard {
    fn come(&self) {
        let mut card = lock(self);
        card.enter_field();
        card.power_on();
    }

    fn leave(&self) {
        lock(self).leave_field();
    }

    fn power_off(&self) {
        lock(self).power_off();
    }

    fn power_on(&self) {
        lock(self).power_on();
    }

    fn reset(&self) {
        lock(self).reset();
    }

    fn atr(&self) -> Vec<u8> {
        lock(self).atr().to_vec()
    }

    fn transmit(&self, command: &[u8]) -> Vec<u8> {
        lock(self).transmit(command)
    }

    fn is_done(&self) -> bool {
        lock(self).is_done()
    }
}

/// Where the card and its reader meet.
#[derive(Debug, Clone)]
pub enum Meeting {
    /// vpcd listens there, one port for each of its slots: the usual way.
    At(SocketAddr),
    /// vpcd's reversed mode: the card listens, and a reader whose DEVICENAME is `host:port` comes to it.
    Here(Arc<TcpListener>),
}

impl Meeting {
    /// Listens for a reader in reversed mode. Port 0: any that is free.
    ///
    /// # Errors
    /// [`VpcdError::Listen`].
    pub fn listen(addr: SocketAddr) -> Result<Self, VpcdError> {
        let listener = TcpListener::bind(addr).map_err(|source| VpcdError::Listen { addr, source })?;
        Ok(Self::Here(Arc::new(listener)))
    }

    /// The address of it.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::At(addr) => Ok(*addr),
            Self::Here(listener) => listener.local_addr(),
        }
    }

    fn wait_for_reader(&self) -> io::Result<TcpStream> {
        match self {
            Self::At(addr) => TcpStream::connect_timeout(addr, CONNECT_TIMEOUT),
            Self::Here(listener) => listener.accept().map(|(stream, _)| stream),
        }
    }

    fn is_reversed(&self) -> bool {
        matches!(self, Self::Here(_))
    }
}

/// How to serve.
#[derive(Debug, Clone)]
pub struct VpcdConfig {
    /// Where the reader is.
    pub meeting: Meeting,
    /// One tap: leave the field by itself once the terminal has all it needs.
    pub leave_when_delivered: bool,
    /// Give up if no reader was there for so long from the start; never, if `None`. Once one was there, the
    /// card waits for it to come back for ever.
    pub give_up_after: Option<Duration>,
}

impl Default for VpcdConfig {
    fn default() -> Self {
        Self { meeting: Meeting::At(DEFAULT_ADDR), leave_when_delivered: false, give_up_after: None }
    }
}

/// Why the card is no longer in the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// [`Stop::stop`] was called.
    Stopped,
    /// One tap is done; call [`serve`] again for the next one.
    Delivered,
}

/// What became of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It is not there, or has gone; the card waits for it.
    Away,
    /// It is there, and talks to the card.
    Here,
    /// The connection stands and the reader is silent: it has another card.
    Silent,
}

impl fmt::Display for Notice {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Away => "the reader is not there; the card waits for it",
            Self::Here => "the reader is there",
            Self::Silent => "the slot is taken: another card is in the reader; this one waits for its turn",
        })
    }
}

/// Why the card never got into the reader.
#[derive(Debug, thiserror::Error)]
pub enum VpcdError {
    /// No connection.
    #[error("no virtual reader at {addr}: {source}; install vsmartcard-vpcd and start pcscd")]
    Unreachable {
        /// Where it was looked for.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The address is taken, or none of this machine's.
    #[error("cannot wait for a reader at {addr}: {source}; give an address of this machine that is free")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Puts the card into the virtual reader and answers until it is stopped or, if so configured, until
/// one transaction is delivered. Whenever the reader goes away, waits for it to come back, looking ever
/// more rarely.
///
/// # Errors
/// [`VpcdError::Unreachable`], only with [`VpcdConfig::give_up_after`].
pub fn serve(card: &dyn Occupant, config: &VpcdConfig, stop: &Stop) -> Result<Left, VpcdError> {
    serve_telling(card, config, stop, &mut |_| ())
}

/// As [`serve`], and tells when the reader comes and goes.
///
/// # Errors
/// As [`serve`].
pub fn serve_telling(
    card: &dyn Occupant,
    config: &VpcdConfig,
    stop: &Stop,
    tell: &mut dyn FnMut(Notice),
) -> Result<Left, VpcdError> {
    let reversed = config.meeting.is_reversed();
    let mut patience = Patience::new();
    let mut reader = Presence { last: None, tell };
    stop.listen_at(&config.meeting);
    while !stop.is_stopped() {
        // In reversed mode a reader that comes meanwhile is sent away, see `Stop::guard`: one that is not
        // answered would wait.
        if !reversed && stop.wait_while_held() {
            patience = Patience::new();
            continue;
        }
        let met = config.meeting.wait_for_reader();
        match met.map(|stream| contact(card, config, stop, stream, &mut reader)) {
            Ok(Ended::Delivered) => return Ok(Left::Delivered),
            // It comes back by itself, once the reader has seen that it was away.
            Ok(Ended::Left) => {
                stop.sleep(ABSENCE);
                continue;
            }
            // Taken out, not left.
            Ok(Ended::Closed { .. }) if stop.is_stopped() || stop.is_held() => continue,
            Ok(Ended::Closed { spoke }) => {
                reader.is(Notice::Away);
                // In reversed mode it comes again by itself.
                if reversed {
                    continue;
                }
                patience.met(spoke);
            }
            Err(source) => {
                reader.is(Notice::Away);
                patience.missed(config, source)?;
            }
        }
        stop.sleep(patience.next_wait());
    }
    Ok(Left::Stopped)
}

/// What was told of the reader last: told again when it changes.
struct Presence<'t> {
    last: Option<Notice>,
    tell: &'t mut dyn FnMut(Notice),
}

impl Presence<'_> {
    fn is(&mut self, notice: Notice) {
        if self.last.replace(notice) != Some(notice) {
            (self.tell)(notice);
        }
    }
}

/// How long to wait for a reader that is not there.
struct Patience {
    since: Instant,
    met: bool,
    wait: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { since: Instant::now(), met: false, wait: BACK_OFF.0 }
    }

    /// There was a connection. If the reader spoke, the next one may come soon.
    fn met(&mut self, spoke: bool) {
        self.met = true;
        if spoke {
            self.wait = BACK_OFF.0;
        }
    }

    fn missed(&self, config: &VpcdConfig, source: io::Error) -> Result<(), VpcdError> {
        let over = config.give_up_after.is_some_and(|limit| self.since.elapsed() >= limit);
        match config.meeting {
            Meeting::At(addr) if over && !self.met => Err(VpcdError::Unreachable { addr, source }),
            _ => Ok(()),
        }
    }

    fn next_wait(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = (wait * 2).min(BACK_OFF.1);
        wait
    }
}

enum Ended {
    Delivered,
    /// By itself, in the middle of a command.
    Left,
    Closed {
        spoke: bool,
    },
}

/// One contact: the card is in the field from the connection to its end.
fn contact(
    card: &dyn Occupant,
    config: &VpcdConfig,
    stop: &Stop,
    stream: TcpStream,
    reader: &mut Presence<'_>,
) -> Ended {
    let mut spoke = false;
    if stop.guard(&stream).and_then(|()| stream.set_nodelay(true)).is_err() {
        return Ended::Closed { spoke };
    }
    if is_silent(&stream) {
        reader.is(Notice::Silent);
    }
    card.come();
    let ended = converse(card, config, &mut Connection::new(stream), &mut || {
        spoke = true;
        reader.is(Notice::Here);
    });
    stop.unguard();
    card.leave();
    // However the connection ended, the card is out.
    ended.ok().flatten().unwrap_or(Ended::Closed { spoke })
}

/// Whether the reader says nothing for a while.
fn is_silent(stream: &TcpStream) -> bool {
    // Without a time limit the card would only wait, as it does after it.
    let limited = |limit| drop(stream.set_read_timeout(limit));
    limited(Some(SILENCE));
    let heard = stream.peek(&mut [0]);
    limited(None);
    heard.is_err_and(|why| matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
}

/// Answers to the end of the connection, or until the card ends it. The card ends it when it leaves and, if so configured,
/// when one transaction is delivered.
fn converse(
    card: &dyn Occupant,
    config: &VpcdConfig,
    connection: &mut Connection,
    heard: &mut dyn FnMut(),
) -> io::Result<Option<Ended>> {
    while let Some(message) = connection.receive()? {
        heard();
        match message {
            [POWER_OFF] => card.power_off(),
            [POWER_ON] => card.power_on(),
            [RESET] => card.reset(),
            [GET_ATR] => connection.send(&card.atr())?,
            command => {
                let reply = card.transmit(command);
                // A reader that is sent nothing at all waits for ever.
                if reply.is_empty() {
                    return Ok(Some(Ended::Left));
                }
                let done = config.leave_when_delivered && card.is_done();
                connection.send(&reply)?;
                if done {
                    return Ok(Some(Ended::Delivered));
                }
            }
        }
    }
    Ok(None)
}

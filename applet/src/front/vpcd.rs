//! The card in the virtual reader of vsmartcard (`vpcd`), as its TCP client: each message is a length
//! of two bytes, most significant first, and so many bytes; the reader always speaks first.
//!
//! vpcd sends length and payload apart, so that Nagle's algorithm waits for a delayed
//! acknowledgement, 40 ms for each command. The cure is here, on the card's side: quick
//! acknowledgement is armed again before each read, and each answer is one write.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use onetap_apdu_spec::command::CardState;
use socket2::SockRef;

use super::lock;
use crate::card::SharedCard;

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
/// Room for the largest message.
const BUFFER: usize = 2 + u16::MAX as usize;

/// How to serve.
#[derive(Debug, Clone)]
pub struct VpcdConfig {
    /// Where vpcd listens.
    pub addr: SocketAddr,
    /// One tap: leave the field by itself once the terminal has all it needs.
    pub leave_when_delivered: bool,
    /// Give up if no connection comes about for so long; never, if `None`.
    pub give_up_after: Option<Duration>,
}

impl Default for VpcdConfig {
    fn default() -> Self {
        Self { addr: DEFAULT_ADDR, leave_when_delivered: false, give_up_after: None }
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
}

/// Takes the card out of the reader from another thread. Clones stop the same card.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<(Mutex<Switch>, Condvar)>);

#[derive(Debug, Default)]
struct Switch {
    stopped: bool,
    connection: Option<TcpStream>,
}

impl Stop {
    /// A switch for one [`serve`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends [`serve`] at once.
    pub fn stop(&self) {
        let mut switch = self.switch();
        switch.stopped = true;
        if let Some(connection) = switch.connection.take() {
            // Wakes the read; if the peer closed before, it is awake.
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
        self.0.1.notify_all();
    }

    fn switch(&self) -> MutexGuard<'_, Switch> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.switch().stopped
    }

    /// Waits, unless stopped meanwhile.
    fn sleep(&self, time: Duration) {
        let wait = self.0.1.wait_timeout_while(self.switch(), time, |switch| !switch.stopped);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }

    /// Makes the connection one that [`Stop::stop`] can cut.
    fn guard(&self, connection: &TcpStream) -> io::Result<()> {
        let handle = connection.try_clone()?;
        let mut switch = self.switch();
        if switch.stopped {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        switch.connection = Some(handle);
        Ok(())
    }
}

/// Puts the card into the virtual reader and answers until it is stopped or, if so configured, until
/// one transaction is delivered. Connects again, ever more slowly, whenever the reader goes away.
///
/// # Errors
/// [`VpcdError::Unreachable`], only with [`VpcdConfig::give_up_after`].
pub fn serve(card: &SharedCard, config: &VpcdConfig, stop: &Stop) -> Result<Left, VpcdError> {
    let mut wait = BACK_OFF.0;
    let mut last_seen = Instant::now();
    while !stop.is_stopped() {
        match TcpStream::connect_timeout(&config.addr, CONNECT_TIMEOUT) {
            Ok(stream) => {
                let contact = contact(card, config, stop, stream);
                last_seen = Instant::now();
                match contact {
                    Ok(Ended::Delivered) => return Ok(Left::Delivered),
                    // The reader spoke: the next connection may come soon.
                    Ok(Ended::Closed { spoke: true }) => wait = BACK_OFF.0,
                    Ok(Ended::Closed { spoke: false }) | Err(_) => {}
                }
            }
            Err(source) if config.give_up_after.is_some_and(|limit| last_seen.elapsed() >= limit) => {
                return Err(VpcdError::Unreachable { addr: config.addr, source });
            }
            Err(_) => {}
        }
        stop.sleep(wait);
        wait = (wait * 2).min(BACK_OFF.1);
    }
    Ok(Left::Stopped)
}

enum Ended {
    Delivered,
    Closed { spoke: bool },
}

/// One contact: the card is in the field from the connection to its end.
fn contact(card: &SharedCard, config: &VpcdConfig, stop: &Stop, stream: TcpStream) -> io::Result<Ended> {
    stop.guard(&stream)?;
    stream.set_nodelay(true)?;
    {
        let mut card = lock(card);
        card.enter_field();
        card.power_on();
    }
    let ended = converse(card, config, &mut Connection::new(stream));
    stop.switch().connection = None;
    lock(card).leave_field();
    ended
}

fn converse(card: &SharedCard, config: &VpcdConfig, connection: &mut Connection) -> io::Result<Ended> {
    let mut spoke = false;
    while let Some(message) = connection.receive()? {
        spoke = true;
        let (reply, done) = answer(&mut lock(card), message);
        if let Some(reply) = reply {
            connection.send(&reply)?;
        }
        if done && config.leave_when_delivered {
            return Ok(Ended::Delivered);
        }
    }
    Ok(Ended::Closed { spoke })
}

/// The reply, if the message wants one, and whether the terminal now has all it needs.
fn answer(card: &mut crate::card::Card, message: &[u8]) -> (Option<Vec<u8>>, bool) {
    match message {
        [POWER_OFF] => card.power_off(),
        [POWER_ON] => card.power_on(),
        [RESET] => card.reset(),
        [GET_ATR] => return (Some(card.atr().to_vec()), false),
        command => {
            let reply = card.transmit(command);
            let done = card.state() == CardState::Delivered && !card.response_waits();
            return (Some(reply), done);
        }
    }
    (None, false)
}

/// A stream cut into messages. Several may come in one segment, or one in several.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What was read and not yet used.
    unused: std::ops::Range<usize>,
    out: Vec<u8>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: vec![0; BUFFER], unused: 0..0, out: Vec::with_capacity(1024) }
    }

    /// The next message; `None` when the reader has closed the connection.
    fn receive(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            if let Some(message) = self.take() {
                return Ok(self.buffer.get(message));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Where in the buffer the next whole message is.
    fn take(&mut self) -> Option<std::ops::Range<usize>> {
        let unused = self.buffer.get(self.unused.clone())?;
        let (&[high, low], rest) = unused.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        if rest.len() < len {
            return None;
        }
        let start = self.unused.start + 2;
        self.unused.start = start + len;
        Some(start..start + len)
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.unused.clone(), 0);
        self.unused = 0..self.unused.len();
        loop {
            quick_acknowledgement(&self.stream);
            match self.stream.read(self.buffer.get_mut(self.unused.end..).unwrap_or_default()) {
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
                Ok(read) => {
                    self.unused.end += read;
                    return Ok(read);
                }
            }
        }
    }

    /// Length and payload in one write.
    fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        let len = u16::try_from(payload.len()).map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
        self.out.clear();
        self.out.extend(len.to_be_bytes());
        self.out.extend(payload);
        self.stream.write_all(&self.out)
    }
}

/// The kernel forgets this setting, hence before each read. Only speed hangs on it.
fn quick_acknowledgement(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_quickack(true);
    #[cfg(not(target_os = "linux"))]
    let _ = SockRef::from(stream);
}

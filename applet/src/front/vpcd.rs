//! The card in the virtual reader of vsmartcard (`vpcd`), as its TCP client: each message is a length
//! of two bytes, most significant first, and so many bytes; the reader always speaks first.
//!
//! vpcd sends length and payload apart, so that Nagle's algorithm waits for a delayed
//! acknowledgement, 40 ms for each command. The cure is here, on the card's side: quick
//! acknowledgement is armed again before each read, and each answer is one write.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
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

/// Takes the card out of the reader from another thread. Clones stop the same card.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<(Mutex<Switch>, Condvar)>);

#[derive(Debug, Default)]
struct Switch {
    stopped: bool,
    held: bool,
    connection: Option<TcpStream>,
    /// Where the card waits for a reader in reversed mode.
    listening: Option<SocketAddr>,
}

impl Switch {
    fn cut(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Wakes the read; if the peer closed before, it is awake.
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
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
        switch.cut();
        if let Some(addr) = switch.listening {
            // Wakes the wait for a reader; if that has ended already, nobody is there.
            let _ = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT);
        }
        self.0.1.notify_all();
    }

    /// Takes the card out of the reader at once and keeps it out until [`Stop::resume`].
    pub fn hold(&self) {
        let mut switch = self.switch();
        switch.held = true;
        switch.cut();
    }

    /// Lets the card go into the reader again.
    pub fn resume(&self) {
        self.switch().held = false;
        self.0.1.notify_all();
    }

    /// True between [`Stop::hold`] and [`Stop::resume`].
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.switch().held
    }

    /// Waits until the card may go into the reader; true if it had to wait.
    fn wait_while_held(&self) -> bool {
        let held = self.is_held();
        let wait = self.0.1.wait_while(self.switch(), |switch| switch.held && !switch.stopped);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
        held
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

    /// Lets [`Stop::stop`] wake a card that waits for its reader.
    fn listen_at(&self, meeting: &Meeting) {
        self.switch().listening = if meeting.is_reversed() { meeting.addr().ok() } else { None };
    }

    /// Makes the connection one that [`Stop::stop`] can cut.
    fn guard(&self, connection: &TcpStream) -> io::Result<()> {
        let handle = connection.try_clone()?;
        let mut switch = self.switch();
        if switch.stopped || switch.held {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        switch.connection = Some(handle);
        Ok(())
    }
}

/// Puts the card into the virtual reader and answers until it is stopped or, if so configured, until
/// one transaction is delivered. Whenever the reader goes away, waits for it to come back, looking ever
/// more rarely.
///
/// # Errors
/// [`VpcdError::Unreachable`], only with [`VpcdConfig::give_up_after`].
pub fn serve(card: &SharedCard, config: &VpcdConfig, stop: &Stop) -> Result<Left, VpcdError> {
    let mut patience = Patience::new();
    stop.listen_at(&config.meeting);
    while !stop.is_stopped() {
        // In reversed mode a reader that comes meanwhile is sent away, see `Stop::guard`: one that is not
        // answered would wait.
        if !config.meeting.is_reversed() && stop.wait_while_held() {
            patience = Patience::new();
            continue;
        }
        match config.meeting.wait_for_reader().map(|stream| contact(card, config, stop, stream)) {
            Ok(Ok(Ended::Delivered)) => return Ok(Left::Delivered),
            // The reader comes again by itself.
            Ok(_) if config.meeting.is_reversed() => continue,
            Ok(contact) => {
                patience.met(contact.is_ok_and(|ended| matches!(ended, Ended::Closed { spoke: true })));
            }
            Err(source) => patience.missed(config, source)?,
        }
        stop.sleep(patience.next_wait());
    }
    Ok(Left::Stopped)
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

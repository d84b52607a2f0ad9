//! A network that fails, between client and server, by a seeded plan: each connection has one fault, in one direction.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use onetap_conformance::dice::Dice;

/// What happens to the bytes of one direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// After so many bytes both sides see a reset.
    Reset(usize),
    /// After so many bytes both sides see the end.
    Truncate(usize),
    /// After so many bytes nothing arrives any more, and nobody is told.
    Swallow(usize),
    /// Each piece arrives so much later.
    Delay(Duration),
    /// Each byte arrives in a piece of its own.
    Split,
    /// All that arrived by then is sent once more, over a connection of its own, when the connection ends. Of
    /// answers this means nothing.
    Repeat,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Requests.
    ToServer,
    /// Answers.
    ToClient,
}

/// The number of kinds of [`Fault`].
const KINDS: usize = 7;
/// Faults happen within so many bytes: a few requests.
const WITHIN: usize = 4_000;
const LONGEST_DELAY_MS: usize = 40;

/// A running proxy; its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    ended: AtomicBool,
    /// How many connections met each kind of fault, in the order of [`Fault`].
    met: [AtomicUsize; KINDS],
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// In front of `server`, at a port of the system's choice. The same seed gives the same faults to the same
    /// connections, counted in the order in which they are accepted.
    ///
    /// # Errors
    /// No port.
    pub fn start(server: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared =
            Shared { server, ended: AtomicBool::new(false), met: Default::default(), open: Mutex::default() };
        let shared = Arc::new(shared);
        let kept = Arc::clone(&shared);
        thread::spawn(move || {
            let mut dice = Dice::new(seed);
            for client in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let plan = plan(&mut dice);
                // A client that finds no server behind the proxy sees its connection end.
                let _ = client.and_then(|client| shared.join(client, plan));
            }
        });
        Ok(Self { address, shared: kept })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections had each kind of fault: none, reset, truncated, swallowed, delayed, split, repeated.
    #[must_use]
    pub fn met(&self) -> [usize; KINDS] {
        self.shared.met.each_ref().map(|count| count.load(Ordering::SeqCst))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the one who accepts.
        let _ = TcpStream::connect(self.address);
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The fault of the next connection.
fn plan(dice: &mut Dice) -> (Fault, Direction) {
    let after = dice.below(WITHIN);
    let milliseconds = dice.below(LONGEST_DELAY_MS) as u64;
    let fault = match dice.below(KINDS) {
        0 => Fault::None,
        1 => Fault::Reset(after),
        2 => Fault::Truncate(after),
        3 => Fault::Swallow(after),
        4 => Fault::Delay(Duration::from_millis(milliseconds)),
        5 => Fault::Split,
        _ => Fault::Repeat,
    };
    (fault, if dice.below(2) == 0 { Direction::ToServer } else { Direction::ToClient })
}

impl Fault {
    fn kind(self) -> usize {
        match self {
            Self::None => 0,
            Self::Reset(_) => 1,
            Self::Truncate(_) => 2,
            Self::Swallow(_) => 3,
            Self::Delay(_) => 4,
            Self::Split => 5,
            Self::Repeat => 6,
        }
    }
}

impl Shared {
    /// Joins a client and the server by two threads.
    fn join(self: &Arc<Self>, client: TcpStream, (fault, direction): (Fault, Direction)) -> io::Result<()> {
        let server = TcpStream::connect(self.server)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        self.met[fault.kind()].fetch_add(1, Ordering::SeqCst);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.extend([client.try_clone()?, server.try_clone()?]);
        for (way, from, to) in [
            (Direction::ToServer, client.try_clone()?, server.try_clone()?),
            (Direction::ToClient, server, client),
        ] {
            let fault = if way == direction { fault } else { Fault::None };
            let mut pump = Pump { from, to, fault, passed: 0, recorded: vec![], server: self.server };
            // Connections break here all the time.
            thread::spawn(move || pump.run().ok());
        }
        Ok(())
    }
}

struct Pump {
    from: TcpStream,
    to: TcpStream,
    fault: Fault,
    passed: usize,
    recorded: Vec<u8>,
    server: SocketAddr,
}

impl Pump {
    fn run(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let arrived = self.from.read(&mut buffer).unwrap_or(0);
            if arrived == 0 || !self.pass(&buffer[..arrived]).unwrap_or(false) {
                break;
            }
        }
        let repeat = self.fault == Fault::Repeat && !self.recorded.is_empty();
        let _ = self.to.shutdown(Shutdown::Both);
        let _ = self.from.shutdown(Shutdown::Both);
        if repeat { self.repeat() } else { Ok(()) }
    }

    /// Passes on what the fault lets through. False if the connection ends.
    fn pass(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let limit = match self.fault {
            Fault::Reset(after) | Fault::Truncate(after) | Fault::Swallow(after) => after,
            _ => usize::MAX,
        };
        let passing = &bytes[..bytes.len().min(limit.saturating_sub(self.passed))];
        self.passed += passing.len();
        match self.fault {
            Fault::Delay(time) => thread::sleep(time),
            Fault::Repeat => self.recorded.extend_from_slice(bytes),
            _ => {}
        }
        let piece = if self.fault == Fault::Split { 1 } else { passing.len().max(1) };
        passing.chunks(piece).try_for_each(|piece| self.to.write_all(piece))?;
        match self.fault {
            _ if passing.len() == bytes.len() => Ok(true),
            Fault::Reset(_) => {
                for stream in [&self.to, &self.from] {
                    SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
                }
                Ok(false)
            }
            Fault::Swallow(_) => Ok(true),
            _ => Ok(false),
        }
    }

    /// All that the client sent, once more. The answers go nowhere.
    fn repeat(&self) -> io::Result<()> {
        let mut again = TcpStream::connect(self.server)?;
        again.write_all(&self.recorded)?;
        again.set_read_timeout(Some(Duration::from_secs(5)))?;
        again.shutdown(Shutdown::Write)?;
        io::copy(&mut again, &mut io::sink()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_plan_and_each_fault_comes() {
        let plans = |seed| {
            let mut dice = Dice::new(seed);
            std::iter::repeat_with(|| plan(&mut dice)).take(200).collect::<Vec<_>>()
        };
        assert_eq!(plans(7), plans(7));
        assert_ne!(plans(7), plans(8));
        for kind in 0..KINDS {
            assert!(plans(7).iter().any(|(fault, _)| fault.kind() == kind));
        }
    }
}

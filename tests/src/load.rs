//! The load generator: one thread, many connections, one request at a time on each. It may share the machine with the
//! server, so it costs as little as it can: the requests are bytes made beforehand, sent with one system call, and
//! an answer is read with one.
//!
//! | module | what lives there |
//! |---|---|
//! | [`api`], [`wire`] | a request in the service's JSON, and in HTTP/1.1's bytes |
//! | [`figures`] | what the clients saw |
//! | [`page`] | figures as a page with plots |
//! | `pace` | when a request is due |
//! | `pipe` | a connection, plain or over TLS |

pub mod api;
pub mod figures;
mod pace;
pub mod page;
mod pipe;
pub mod wire;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};

pub use figures::{Measured, Sample};
use pace::Pace;
use pipe::Pipe;
pub use pipe::Server;
use wire::Answer;

/// A server that answers nobody for so long is broken.
const SILENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether the run is to end.
const GLANCE: Duration = Duration::from_millis(100);
const BUFFER: usize = 16_384;
/// Where nothing was answered yet, so many broken connections mean that the server is not there.
const HOPELESS: u64 = 1_000;

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system has no more connections or threads.
    #[error("no connection can be opened: {0}")]
    System(#[from] io::Error),
    /// Every connection broke before anything was answered.
    #[error("the server ends each connection without an answer: {0}")]
    NoAnswer(io::Error),
    /// The server is silent.
    #[error("the server has answered nobody for {} s; {waiting} requests wait", SILENCE.as_secs())]
    Silent {
        /// How many wait.
        waiting: usize,
    },
}

/// What is to be sent, and how.
pub struct Load<'a> {
    /// The connections are spread over these.
    pub servers: &'a [Server],
    /// How many connections there are at a time.
    pub connections: usize,
    /// Each is sent once, in this order.
    pub requests: &'a [Vec<u8>],
    /// None is begun before the one so many before it is answered: what one card signs is decided in its order.
    pub apart: Option<usize>,
    /// A request whose connection broke is sent so many times more: the same bytes, hence under the same idempotency key.
    pub repetitions: u32,
    /// Requests a second, however long the answers take; without, each connection sends the next as soon as it has its answer.
    pub rate: Option<f64>,
    /// After this, nothing more is begun.
    pub time: Option<Duration>,
    /// Once it is set, nothing more is begun.
    pub stop: Option<&'a AtomicBool>,
}

/// Sends each request once, as fast as it goes, over so many connections, which are spread over the servers; `see` sees each
/// answer, with the number of its request. The requests are begun in their order.
///
/// # Errors
/// [`LoadError`].
pub fn run(
    servers: &[SocketAddr],
    connections: usize,
    requests: &[Vec<u8>],
    see: &mut dyn FnMut(usize, Answer<'_>),
) -> Result<Measured, LoadError> {
    let servers: Vec<_> = servers.iter().copied().map(Server::plain).collect();
    let (apart, repetitions, rate) = (None, 0, None);
    Load { servers: &servers, connections, requests, apart, repetitions, rate, time: None, stop: None }
        .run(see)
}

impl Load<'_> {
    /// Sends the requests; `see` sees each answer, with the number of its request.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn run(&self, see: &mut dyn FnMut(usize, Answer<'_>)) -> Result<Measured, LoadError> {
        let poll = Poll::new()?;
        let connections = self.connections.min(self.requests.len());
        let waker = Waker::new(poll.registry(), Token(connections))?;
        let pace = Pace::new(self.rate);
        let (ended, end) = channel();
        thread::scope(|scope| {
            scope.spawn(move || pace.tick(&waker, &end));
            let (settled, measured) = (vec![false; self.requests.len()], Measured::default());
            let run = Run { load: self, pace, next: 0, flying: 0, settled, see, measured };
            let measured = run.through(poll, connections);
            drop(ended);
            measured
        })
    }
}

/// A run, and what all connections share.
struct Run<'a> {
    load: &'a Load<'a>,
    pace: Pace,
    /// The next request to begin.
    next: usize,
    /// How many are begun and neither answered nor lost.
    flying: usize,
    /// Which are answered or lost.
    settled: Vec<bool>,
    see: &'a mut dyn FnMut(usize, Answer<'_>),
    measured: Measured,
}

impl Run<'_> {
    fn through(mut self, mut poll: Poll, connections: usize) -> Result<Measured, LoadError> {
        let mut events = Events::with_capacity(connections + 1);
        let open = |number| Connection::open(&poll, self.load, number);
        let mut clients = (0..connections).map(open).collect::<io::Result<Vec<_>>>()?;
        let mut heard = Instant::now();
        while self.flying > 0 || self.has_more() {
            match poll.poll(&mut events, Some(GLANCE)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                // The other events only say that a request is due.
                if let Some(client) = clients.get_mut(event.token().0) {
                    heard = Instant::now();
                    self.serve(client, &poll)?;
                }
            }
            let free = clients.iter_mut().filter(|client| client.is_free());
            for client in free.take(self.due()) {
                self.serve(client, &poll)?;
            }
            if self.flying > 0 && heard.elapsed() > SILENCE {
                return Err(LoadError::Silent { waiting: self.flying });
            }
        }
        (self.measured.begun, self.measured.elapsed) = (self.next, self.pace.start.elapsed());
        Ok(self.measured)
    }

    fn has_more(&self) -> bool {
        let stopped = self.load.stop.is_some_and(|stop| stop.load(Ordering::SeqCst));
        let over = self.load.time.is_some_and(|time| self.pace.start.elapsed() >= time);
        self.next < self.load.requests.len() && !stopped && !over
    }

    /// How many requests should have been begun by now, and are not; none while the next one has to wait for another.
    fn due(&self) -> usize {
        let other = self.load.apart.and_then(|apart| self.next.checked_sub(apart));
        if self.has_more() && other.is_none_or(|other| self.settled[other]) {
            self.pace.due().min(self.load.requests.len()).saturating_sub(self.next)
        } else {
            0
        }
    }

    fn take(&mut self) -> Option<Sending> {
        (self.due() > 0).then(|| {
            (self.next, self.flying) = (self.next + 1, self.flying + 1);
            let number = self.next - 1;
            Sending { number, sent: 0, repetitions: 0, due: self.pace.moment(number) }
        })
    }

    /// Lets a connection go on; one that broke is opened anew, and takes the request over that the broken one had.
    fn serve(&mut self, client: &mut Connection, poll: &Poll) -> Result<(), LoadError> {
        if let Err(error) = client.go_on(self) {
            let begun = client.sending.take();
            let sending = begun.map(|sending| self.broken(sending, error)).transpose()?.flatten();
            *client = Connection { sending, ..Connection::open(poll, self.load, client.number)? };
        }
        Ok(())
    }

    fn answered(&mut self, sending: &Sending, answer: Answer<'_>) {
        let due = sending.due.duration_since(self.pace.start);
        self.measured.add(Sample { due, latency: sending.due.elapsed() }, answer.status);
        self.flying -= 1;
        self.settled[sending.number] = true;
        (self.see)(sending.number, answer);
    }

    /// What is to be sent of a request whose connection broke: all of it, unless that was tried often enough.
    fn broken(&mut self, sending: Sending, error: io::Error) -> Result<Option<Sending>, LoadError> {
        self.measured.broken += 1;
        if self.measured.broken > HOPELESS && self.measured.samples.is_empty() {
            return Err(LoadError::NoAnswer(error));
        }
        if sending.repetitions < self.load.repetitions {
            return Ok(Some(Sending { sent: 0, repetitions: sending.repetitions + 1, ..sending }));
        }
        self.flying -= 1;
        self.settled[sending.number] = true;
        Ok(None)
    }
}

#[derive(Clone, Copy)]
struct Sending {
    number: usize,
    sent: usize,
    /// How often its connection broke.
    repetitions: u32,
    /// When it should have been begun; as fast as it goes, when it was.
    due: Instant,
}

struct Connection {
    number: usize,
    pipe: Pipe,
    /// Whether the server was heard, so that requests can be sent.
    stands: bool,
    sending: Option<Sending>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    fn open(poll: &Poll, load: &Load<'_>, number: usize) -> io::Result<Self> {
        let server = &load.servers[number % load.servers.len()];
        let pipe = Pipe::open(server, poll, Token(number))?;
        Ok(Self { number, pipe, stands: false, sending: None, buffer: vec![0; BUFFER], filled: 0 })
    }

    fn is_free(&self) -> bool {
        self.stands && self.sending.is_none()
    }

    /// Sends and receives as much as goes without waiting.
    fn go_on(&mut self, run: &mut Run<'_>) -> io::Result<()> {
        self.stands = true;
        if self.sending.is_none() {
            self.listen()?;
        }
        loop {
            if self.sending.is_none() {
                self.sending = run.take();
            }
            let Some(sending) = &mut self.sending else { return Ok(()) };
            let request = &run.load.requests[sending.number];
            if sending.sent < request.len() {
                let Some(sent) = waiting(self.pipe.write(&request[sending.sent..]))? else { return Ok(()) };
                sending.sent += sent;
                if sending.sent < request.len() {
                    continue;
                }
                // The answer takes a while: its coming is an event of its own.
                return Ok(());
            }
            match waiting(self.pipe.read(&mut self.buffer[self.filled..]))? {
                None => return Ok(()),
                Some(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Some(more) => self.filled += more,
            }
            match wire::answer(&self.buffer[..self.filled]).map_err(io::Error::other)? {
                Some((answer, _)) => {
                    run.answered(sending, answer);
                    (self.sending, self.filled) = (None, 0);
                }
                None if self.filled == self.buffer.len() => self.buffer.resize(self.filled * 2, 0),
                None => {}
            }
        }
    }

    /// Whether the server has ended a connection over which nothing is asked, as it does after a while.
    fn listen(&mut self) -> io::Result<()> {
        match waiting(self.pipe.read(&mut self.buffer))? {
            None => Ok(()),
            Some(_) => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// None where the system would have to wait.
fn waiting(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(None),
        Err(error) => Err(error),
    }
}

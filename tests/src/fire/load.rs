//! The load generator: one thread, many connections, one request at a time on each. It shares the machine with the
//! server, so it costs as little as it can: the requests are bytes made beforehand, sent with one system call, and
//! an answer is read with one.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::Fallible;
use super::wire::{self, Answer};

/// A server that answers nobody for so long is broken.
const SILENCE: Duration = Duration::from_secs(30);
const BUFFER: usize = 16_384;
/// Longest latency that is told from longer ones: a minute, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// What the clients saw.
#[derive(Debug)]
pub struct Measured {
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Nanoseconds from sending a request to having its answer.
    pub latencies: Histogram<u64>,
    /// How many answers had which status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer: the connection broke.
    pub broken: u64,
}

impl Measured {
    /// Answers a second.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "far below 2⁵³")]
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Milliseconds that so many answers of a hundred stayed within.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "far below 2⁵³")]
    pub fn millis(&self, percentile: f64) -> f64 {
        self.latencies.value_at_percentile(percentile) as f64 / 1e6
    }

    /// Answers with this status.
    #[must_use]
    pub fn with(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }
}

/// Sends each request once, over so many connections, which are spread over the servers; `see` sees each answer, with
/// the number of its request. The requests are begun in their order.
///
/// # Errors
/// No connection, an answer that is not HTTP, or silence for 30 s.
pub fn run(
    servers: &[SocketAddr],
    connections: usize,
    requests: &[Vec<u8>],
    see: &mut dyn FnMut(usize, Answer<'_>),
) -> Fallible<Measured> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(connections.max(1));
    let (mut clients, mut run) = (Vec::new(), Run::new(requests, see)?);
    let used = connections.min(requests.len());
    for (number, server) in servers.iter().cycle().take(used).enumerate() {
        clients.push(Connection::open(&poll, *server, number)?);
    }
    let began = Instant::now();
    while run.open > 0 {
        match poll.poll(&mut events, Some(SILENCE)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        if events.is_empty() {
            return Err(format!("no server answers; {} requests wait", run.open).into());
        }
        for event in &events {
            let Some(client) = clients.get_mut(event.token().0) else { continue };
            if let Err(error) = client.go_on(&mut run) {
                run.lose(client, &error)?;
                *client = Connection::open(&poll, client.server, event.token().0)?;
            }
        }
    }
    run.measured.elapsed = began.elapsed();
    Ok(run.measured)
}

/// What all connections share.
struct Run<'a> {
    requests: &'a [Vec<u8>],
    /// The next one to send.
    next: usize,
    /// How many are not answered or lost yet.
    open: usize,
    see: &'a mut dyn FnMut(usize, Answer<'_>),
    measured: Measured,
}

impl<'a> Run<'a> {
    fn new(requests: &'a [Vec<u8>], see: &'a mut dyn FnMut(usize, Answer<'_>)) -> Fallible<Self> {
        let measured = Measured {
            elapsed: Duration::ZERO,
            latencies: Histogram::new_with_bounds(1, LONGEST, 3)?,
            statuses: BTreeMap::new(),
            broken: 0,
        };
        Ok(Self { requests, next: 0, open: requests.len(), see, measured })
    }

    fn take(&mut self) -> Option<Sending> {
        (self.next < self.requests.len()).then(|| {
            self.next += 1;
            Sending { number: self.next - 1, sent: 0, began: Instant::now() }
        })
    }

    fn answered(&mut self, sending: &Sending, answer: Answer<'_>) {
        let nanoseconds = u64::try_from(sending.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.measured.latencies.saturating_record(nanoseconds);
        *self.measured.statuses.entry(answer.status).or_default() += 1;
        self.open -= 1;
        (self.see)(sending.number, answer);
    }

    /// Counts the request that a broken connection had, which is not sent again. Where no request was ever
    /// answered the server is not there at all.
    fn lose(&mut self, client: &Connection, error: &io::Error) -> Fallible<()> {
        if let Some(sending) = &client.sending {
            self.measured.broken += 1;
            self.open -= 1;
            if self.measured.broken > 1_000 && self.measured.latencies.is_empty() {
                return Err(format!("request {}: {error}; no answer at all so far", sending.number).into());
            }
        }
        Ok(())
    }
}

struct Sending {
    number: usize,
    sent: usize,
    began: Instant,
}

struct Connection {
    server: SocketAddr,
    stream: TcpStream,
    sending: Option<Sending>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    fn open(poll: &Poll, server: SocketAddr, number: usize) -> io::Result<Self> {
        let mut stream = TcpStream::connect(server)?;
        poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
        stream.set_nodelay(true)?;
        Ok(Self { server, stream, sending: None, buffer: vec![0; BUFFER], filled: 0 })
    }

    /// Sends and receives as much as goes without waiting.
    fn go_on(&mut self, run: &mut Run<'_>) -> io::Result<()> {
        loop {
            if self.sending.is_none() {
                self.sending = run.take();
            }
            let Some(sending) = &mut self.sending else { return Ok(()) };
            let request = &run.requests[sending.number];
            if sending.sent < request.len() {
                let Some(sent) = waiting(self.stream.write(&request[sending.sent..]))? else { return Ok(()) };
                sending.sent += sent;
                if sending.sent < request.len() {
                    continue;
                }
                // The answer takes a while: its coming is an event of its own.
                return Ok(());
            }
            match waiting(self.stream.read(&mut self.buffer[self.filled..]))? {
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
}

/// None where the system would have to wait.
fn waiting(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(None),
        Err(error) => Err(error),
    }
}

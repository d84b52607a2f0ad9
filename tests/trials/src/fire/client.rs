//! A client that repeats its request, under the same idempotency key, until it knows what became of it.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::Fallible;
use onetap_conformance::load::wire;

/// Between one attempt and the next.
const PAUSE: Duration = Duration::from_millis(5);

/// A definite answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
    /// How often the request was sent until then.
    pub attempts: u32,
}

/// A connection at a time to a server, which may be gone and come back elsewhere.
pub struct Client<'a> {
    server: &'a dyn Fn() -> Option<SocketAddr>,
    connection: Option<TcpStream>,
    buffer: Vec<u8>,
    patience: Duration,
    deadline: Duration,
}

impl<'a> Client<'a> {
    /// A client of whatever server `server` names at the moment, that waits so long for one answer, and so long
    /// for a definite one.
    #[must_use]
    pub fn new(server: &'a dyn Fn() -> Option<SocketAddr>, patience: Duration, deadline: Duration) -> Self {
        Self { server, connection: None, buffer: vec![0; 16_384], patience, deadline }
    }

    /// Sends `request` until it is definitely answered: neither the connection nor the server failed, and the
    /// server was not too busy to decide.
    ///
    /// # Errors
    /// No definite answer before the deadline.
    pub fn ask(&mut self, request: &[u8]) -> Fallible<Reply> {
        let deadline = Instant::now() + self.deadline;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let why = match self.once(request) {
                Ok((status, body)) if is_definite(status) => return Ok(Reply { status, body, attempts }),
                Ok((status, _)) => format!("status {status}"),
                Err(error) => {
                    self.connection = None;
                    error.to_string()
                }
            };
            if Instant::now() > deadline {
                return Err(format!("no definite answer in {attempts} attempts; the last one: {why}").into());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Sends it once.
    ///
    /// # Errors
    /// The connection failed, or the answer did not come in time: nobody knows what became of the request.
    pub fn once(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        connection.write_all(request)?;
        let (buffer, mut filled) = (&mut self.buffer, 0);
        loop {
            let more = connection.read(&mut buffer[filled..])?;
            if more == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            filled += more;
            if let Some((answer, _)) = wire::answer(&buffer[..filled]).map_err(io::Error::other)? {
                self.connection = Some(connection);
                return Ok((answer.status, answer.body.to_vec()));
            }
            if filled == buffer.len() {
                buffer.resize(filled * 2, 0);
            }
        }
    }

    /// Ends the connection, so that the next request opens another.
    pub fn hang_up(&mut self) {
        self.connection = None;
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let server = (self.server)().ok_or(ErrorKind::NotConnected)?;
        let connection = TcpStream::connect_timeout(&server, self.patience)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(self.patience))?;
        connection.set_write_timeout(Some(self.patience))?;
        Ok(connection)
    }
}

/// Whether a status says what became of the request: nothing was decided where the server timed out, was asked too often, or failed (RFC 9110 §15).
#[must_use]
pub fn is_definite(status: u16) -> bool {
    !matches!(status, 408 | 425 | 429 | 500..)
}

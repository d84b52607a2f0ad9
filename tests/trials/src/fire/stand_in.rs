//! A server that answers every request with its idempotency key and counts what it "executed": each key once. To test
//! the load generator, the client and the proxy with; no part of it is the verifier's.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How often each key was asked.
type Seen = HashMap<String, u32>;

/// A running one. It serves until the process ends.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl StandIn {
    /// Listens at a port of the system's choice.
    ///
    /// # Errors
    /// No port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, seen) = (listener.local_addr()?, Arc::new(Mutex::new(Seen::new())));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&shared);
                // A connection that breaks is its client's concern.
                thread::spawn(move || serve(connection, &seen).ok());
            }
        });
        Ok(Self { address, seen })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often each key was asked.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(mut connection: TcpStream, seen: &Mutex<Seen>) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        while let Some((key, length)) = request(&bytes) {
            bytes.drain(..length);
            *seen.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default() += 1;
            write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{key}", key.len())?;
        }
        match connection.read(&mut chunk)? {
            0 => return Ok(()),
            more => bytes.extend_from_slice(&chunk[..more]),
        }
    }
}

/// The key and whole length of the first request that is complete.
fn request(bytes: &[u8]) -> Option<(String, usize)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let header = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let length: usize = header("content-length").unwrap_or("0").parse().ok()?;
    let whole = head.len() + 4 + length;
    (body.len() >= length).then(|| (header("idempotency-key").unwrap_or_default().to_owned(), whole))
}

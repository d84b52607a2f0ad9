//! The network between one terminal and the server. It knows where requests and answers begin and end, so that it can
//! cut at each byte of them, and keeps a copy of the last request.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use onetap_conformance::load::wire;

/// A server that does not answer for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// In order, as by a program that ends.
    End,
    /// By a reset, as by a machine that was restarted.
    Reset,
}

/// What happens to the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It and its answer pass.
    Pass,
    /// The connection is cut after so many bytes of the request.
    CutRequest(usize, How),
    /// The connection is cut after so many bytes of the answer.
    CutAnswer(usize, How),
}

/// A running one. Whatever is held is delivered only by [`Relay::deliver`].
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    server: Option<SocketAddr>,
    next: Option<Fate>,
    copy: Option<Vec<u8>>,
    lengths: (usize, usize),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    /// At a port of the system's choice, for as long as the process lives.
    ///
    /// # Errors
    /// No port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, shared) = (listener.local_addr()?, Arc::<Shared>::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&accepting);
                // Connections break here all the time.
                thread::spawn(move || shared.serve(client).ok());
            }
        });
        Ok(Self { address, shared })
    }

    /// Where the terminal connects.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the server is from now on; none while it is down.
    pub fn lead_to(&self, server: Option<SocketAddr>) {
        self.shared.lock().server = server;
    }

    /// Decides over the next request. Those after it pass.
    pub fn decide(&self, fate: Fate) {
        self.shared.lock().next = Some(fate);
    }

    /// The longest request and answer so far.
    #[must_use]
    pub fn lengths(&self) -> (usize, usize) {
        self.shared.lock().lengths
    }

    /// The last request that was cut.
    #[must_use]
    pub fn copy(&self) -> Option<Vec<u8>> {
        self.shared.lock().copy.take()
    }

    /// Delivers a copy of a request to the server, and returns the body of its answer.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn deliver(&self, copy: &[u8]) -> io::Result<Vec<u8>> {
        let mut server = self.shared.connect()?;
        server.write_all(copy)?;
        let answer = read_answer(&mut server)?;
        let (answer, _) =
            wire::answer(&answer).map_err(io::Error::other)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(answer.body.to_vec())
    }
}

impl Shared {
    fn connect(&self) -> io::Result<TcpStream> {
        let server = self.lock().server.ok_or(io::ErrorKind::NotConnected)?;
        let server = TcpStream::connect(server)?;
        server.set_nodelay(true)?;
        server.set_read_timeout(Some(PATIENCE))?;
        Ok(server)
    }

    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        while let Some(request) = read_request(&mut client)? {
            let fate = self.lock().next.take().unwrap_or(Fate::Pass);
            if fate != Fate::Pass {
                self.lock().copy = Some(request.clone());
            }
            let mut server = self.connect()?;
            if let Fate::CutRequest(after, how) = fate {
                server.write_all(&request[..after.min(request.len())])?;
                return cut(how, &[&server, &client]);
            }
            server.write_all(&request)?;
            let answer = read_answer(&mut server)?;
            self.measure(request.len(), answer.len());
            if let Fate::CutAnswer(after, how) = fate {
                client.write_all(&answer[..after.min(answer.len())])?;
                return cut(how, &[&server, &client]);
            }
            client.write_all(&answer)?;
        }
        Ok(())
    }

    fn measure(&self, request: usize, answer: usize) {
        let mut state = self.lock();
        state.lengths = (state.lengths.0.max(request), state.lengths.1.max(answer));
    }
}

fn cut(how: How, connections: &[&TcpStream]) -> io::Result<()> {
    for connection in connections {
        match how {
            How::End => connection.shutdown(Shutdown::Both)?,
            How::Reset => SockRef::from(*connection).set_linger(Some(Duration::ZERO))?,
        }
    }
    Ok(())
}

/// The bytes of one request, as this client writes them: with the length of its body.
fn read_request(client: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    read(client, |bytes| {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length:"));
        let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        Some(head + length).filter(|whole| bytes.len() >= *whole)
    })
}

fn read_answer(server: &mut TcpStream) -> io::Result<Vec<u8>> {
    let answer = read(server, |bytes| wire::answer(bytes).ok().flatten().map(|(_, whole)| whole))?;
    answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Reads until `whole` finds its end; none if the other side ends before the first byte.
fn read(from: &mut TcpStream, whole: impl Fn(&[u8]) -> Option<usize>) -> io::Result<Option<Vec<u8>>> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(length) = whole(&bytes) {
            bytes.truncate(length);
            return Ok(Some(bytes));
        }
        match from.read(&mut chunk)? {
            0 if bytes.is_empty() => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => bytes.extend_from_slice(&chunk[..more]),
        }
    }
}

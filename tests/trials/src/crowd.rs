//! Crowds at the service's door: what they cost, and who is served among them. Addresses of the loopback (127.0.0.0/8) are
//! different sources to the service.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use onetap_server_verifier::domain::client::{NewClient, Role};
use onetap_server_verifier::{Act, Verifier};
use socket2::{Domain, Socket, Type};

use crate::fire::Fallible;
use onetap_conformance::load::wire;

/// An honest request that takes longer, from its connection's first packet on, counts as not served.
pub const PROMPT: Duration = Duration::from_millis(50);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Characters of a token's secret.
const SECRET: usize = 43;
/// Where a client's address is shown to be let in.
const WHO_AM_I: &str = "/v1/me";
/// Whose sockets are silent.
const SILENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);
/// Who tries tokens.
const THIEF: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 67);

/// Honest clients with a token each.
#[derive(Debug, Clone)]
pub struct Crowd(Vec<String>);

impl Crowd {
    /// Adds so many auditors.
    ///
    /// # Errors
    /// Whatever the verifier says.
    pub fn gather(verifier: &Verifier, clients: usize) -> Fallible<Self> {
        let token = |number| -> Fallible<String> {
            let new = NewClient::with_token(format!("crowd-{number}").parse()?, Role::Auditor);
            let (client, token) = new.make(verifier.now());
            verifier.desk(Act::of_program("test", "set-up")).add_client(&client)?;
            Ok(token.ok_or("no token")?.expose().to_owned())
        };
        Ok(Self((0..clients).map(token).collect::<Fallible<_>>()?))
    }

    /// Lets each send its first request over a connection of its own, from one address, before any answer is read.
    ///
    /// # Errors
    /// One is not let in.
    pub fn come_at_once(&self, to: SocketAddr) -> Fallible<()> {
        let mut streams = Vec::new();
        for token in &self.0 {
            let mut stream = connect(Ipv4Addr::LOCALHOST, to)?;
            stream.write_all(&request(token))?;
            streams.push(stream);
        }
        for mut stream in streams {
            expect(status(&mut stream)?, &[200])?;
        }
        Ok(())
    }

    /// Sends so many requests, each over a new connection, while one address holds `silent` silent sockets and another
    /// tries tokens. Returns how many were answered within [`PROMPT`].
    ///
    /// # Errors
    /// The system has no more sockets.
    pub fn served_among_strangers(&self, to: SocketAddr, silent: usize, requests: usize) -> Fallible<usize> {
        let over = AtomicBool::new(false);
        thread::scope(|threads| {
            let trying = threads.spawn(|| try_tokens_until(&over, to));
            let held = (0..silent).map(|_| connect(SILENT, to)).collect::<Fallible<Vec<_>>>();
            let served = self.prompt(to, requests);
            over.store(true, Ordering::SeqCst);
            trying.join().map_err(|_| "who tries tokens has panicked")??;
            drop(held?);
            Ok(served)
        })
    }

    fn prompt(&self, to: SocketAddr, requests: usize) -> usize {
        let served = |number: &usize| {
            let (token, from) = (&self.0[number % self.0.len()], address(number % 8));
            let start = Instant::now();
            let ask = || -> Fallible<u16> {
                let mut stream = connect(from, to)?;
                stream.write_all(&request(token))?;
                status(&mut stream)
            };
            matches!(ask(), Ok(200)) && start.elapsed() <= PROMPT
        };
        (0..requests).filter(served).count()
    }
}

/// Shows so many wrong tokens, evenly from so many addresses, each over one connection.
///
/// # Errors
/// One is not refused.
pub fn try_tokens(to: SocketAddr, tokens: usize, addresses: usize) -> Fallible<()> {
    let each = tokens / addresses;
    for number in 0..addresses {
        let mut stream = connect(address(number), to)?;
        let wrong: Vec<u8> = (0..each).flat_map(|_| request(&wrong_token(number))).collect();
        stream.write_all(&wrong)?;
        expect(status(&mut stream)?, &[401, 429])?;
        // The rest is read, so that the service need not break the connection off.
        stream.shutdown(std::net::Shutdown::Write)?;
        let _rest = stream.read_to_end(&mut Vec::new());
    }
    Ok(())
}

fn try_tokens_until(over: &AtomicBool, to: SocketAddr) -> Fallible<()> {
    while !over.load(Ordering::SeqCst) {
        let mut stream = connect(THIEF, to)?;
        stream.write_all(&request(&wrong_token(0)))?;
        expect(status(&mut stream)?, &[401, 429])?;
    }
    Ok(())
}

/// By turns of a client that there is, and of nobody.
fn wrong_token(number: usize) -> String {
    format!("{}-{number}.{}", if number.is_multiple_of(2) { "crowd" } else { "nobody" }, "A".repeat(SECRET))
}

/// One of 16 million addresses of the loopback; none of those above.
fn address(number: usize) -> Ipv4Addr {
    let low = u32::try_from(number % 0xFE_0000).unwrap_or(0);
    Ipv4Addr::from_bits(0x7F01_0001 + low)
}

fn connect(from: Ipv4Addr, to: SocketAddr) -> Fallible<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

fn request(token: &str) -> Vec<u8> {
    wire::request("GET", WHO_AM_I, &[("authorization", &format!("Bearer {token}"))], "")
}

fn status(stream: &mut TcpStream) -> Fallible<u16> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4_096]);
    loop {
        let more = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..more]);
        if let Some((answer, _)) = wire::answer(&bytes)? {
            return Ok(answer.status);
        }
        if more == 0 {
            return Err("the connection ended without an answer".into());
        }
    }
}

fn expect(status: u16, expected: &[u16]) -> Fallible<()> {
    if expected.contains(&status) { Ok(()) } else { Err(format!("answered with status {status}").into()) }
}

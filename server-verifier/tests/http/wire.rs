//! An HTTP/1.1 client that can also misbehave, over any stream.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// Longer than anything here takes, on a busy machine too.
pub const LONG: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The last part of a problem's URN; checks that it is a whole problem.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status);
        let id = self.header("x-request-id").unwrap();
        assert_eq!(body["instance"], format!("urn:onetap:request:{id}"));
        for field in ["title", "detail"] {
            assert!(!body[field].as_str().unwrap().is_empty(), "{field}");
        }
        body["type"].as_str().unwrap().strip_prefix("urn:onetap:problem:").unwrap().to_owned()
    }
}

/// A connection.
pub struct Conn<S = TcpStream> {
    pub stream: S,
    read: Vec<u8>,
}

pub fn tcp(addr: SocketAddr) -> TcpStream {
    tcp_from([127, 0, 0, 1], addr)
}

/// From another address of the loopback: another source to the service.
pub fn tcp_from(source: [u8; 4], addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl Conn {
    pub fn open(addr: SocketAddr) -> Self {
        Self::over(tcp(addr))
    }

    pub fn open_from(source: [u8; 4], addr: SocketAddr) -> Self {
        Self::over(tcp_from(source, addr))
    }
}

impl<S: Read + Write> Conn<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// None if the server has closed the connection instead.
    pub fn receive(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more()?;
        };
        let head: Vec<u8> = self.read.drain(..head_end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let fields = lines.filter_map(|line| line.split_once(": "));
        let headers: Vec<_> =
            fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            self.more()?;
        }
        answer.body = self.read.drain(..length).collect();
        Some(answer)
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => None,
            Ok(read) => {
                self.read.extend_from_slice(&buffer[..read]);
                Some(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer in time"),
            Err(_) => None,
        }
    }

    pub fn exchange(&mut self, request: &Request) -> Answer {
        self.send(&request.bytes());
        self.receive().expect("an answer")
    }
}

/// A request as it is written to the wire.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { method, path, headers: vec![("host".into(), "verifier".into())], body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Self {
        self.raw(body.to_string().into_bytes())
    }

    pub fn raw(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self.header("content-type", "application/json")
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            text.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }
}

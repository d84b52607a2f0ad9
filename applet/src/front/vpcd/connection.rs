//! The messages of vpcd's protocol: a length of two bytes, most significant first, and so many bytes.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use socket2::SockRef;

/// Room for the largest message.
const BUFFER: usize = 2 + u16::MAX as usize;

/// A stream cut into messages. Several may come in one segment, or one in several.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What was read and not yet used.
    unused: std::ops::Range<usize>,
    out: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: vec![0; BUFFER], unused: 0..0, out: Vec::with_capacity(1024) }
    }

    /// The next message; `None` when the reader has closed the connection.
    pub(super) fn receive(&mut self) -> io::Result<Option<&[u8]>> {
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
    pub(super) fn send(&mut self, payload: &[u8]) -> io::Result<()> {
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

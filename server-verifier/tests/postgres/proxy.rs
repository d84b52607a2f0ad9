//! A server's socket that breaks off: after so many bytes, in either direction.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

const SOCKET: &str = ".s.PGSQL.5432";

/// Where a connection breaks off: bytes from the client, bytes from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Up(usize),
    Down(usize),
}

/// Forwards to a server; the next connections break off as told.
pub struct Proxy {
    folder: TempDir,
    cuts: Arc<Mutex<Vec<Cut>>>,
    open: Arc<Mutex<Vec<UnixStream>>>,
}

impl Proxy {
    pub fn start(server: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (cuts, open) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (server, theirs, held) = (server.join(SOCKET), Arc::clone(&cuts), Arc::clone(&open));
        // Ends with the process: a listener has no way to be told.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let cut = theirs.lock().unwrap().pop();
                let server = UnixStream::connect(&server).unwrap();
                held.lock().unwrap().push(client.try_clone().unwrap());
                forward(&client, &server, cut);
            }
        });
        Self { folder, cuts, open }
    }

    pub fn host(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Breaks off every connection, and the next ones, one cut each.
    pub fn cut(&self, cuts: &[Cut]) {
        *self.cuts.lock().unwrap() = cuts.to_vec();
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Cuts that no connection has met yet.
    pub fn left(&self) -> usize {
        self.cuts.lock().unwrap().len()
    }
}

fn forward(client: &UnixStream, server: &UnixStream, cut: Option<Cut>) {
    let (up, down) = match cut {
        None => (usize::MAX, usize::MAX),
        Some(Cut::Up(bytes)) => (bytes, usize::MAX),
        Some(Cut::Down(bytes)) => (usize::MAX, bytes),
    };
    let copy = |from: &UnixStream, to: &UnixStream, limit: usize| {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        std::thread::spawn(move || {
            let (mut left, mut buffer) = (limit, [0; 4_096]);
            while left > 0 {
                let wanted = left.min(buffer.len());
                let Ok(read @ 1..) = from.read(&mut buffer[..wanted]) else { break };
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
                left -= read;
            }
            for end in [&from, &to] {
                let _ = end.shutdown(Shutdown::Both);
            }
        });
    };
    copy(client, server, up);
    copy(server, client, down);
}

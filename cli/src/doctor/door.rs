//! The door of the PC/SC service: its socket. What libpcsclite makes of it is one word for many causes, so the first
//! exchange of pcsclite's protocol is held here once more, in the open.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::world::SOCKET_VARIABLE;

/// How long each side may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks whether the library has come.
const MOMENT: Duration = Duration::from_millis(10);
/// The command that opens a connection of pcsclite: it says which version of the protocol is spoken.
const CMD_VERSION: u32 = 17;
/// Length of what follows the header: major, minor, result.
const VERSION_BYTES: u32 = 12;
/// What this program says if it cannot learn what its library says: pcsclite since 1.8.24.
const OWN: Version = Version { major: 4, minor: 4 };

/// A version of the protocol between libpcsclite and pcscd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    major: u32,
    minor: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What is behind a socket.
#[derive(Debug)]
pub(super) enum Door {
    /// There is no socket.
    Absent,
    /// This user may not connect.
    Shut,
    /// There is a socket, and nobody listens.
    Nobody,
    /// It takes the connection and closes it without a word.
    TurnedAway,
    /// It says nothing.
    Silent,
    /// It speaks another version of the protocol.
    OtherVersion { ours: Version, theirs: Version },
    /// It answers as it should.
    Open,
    /// Something else.
    Strange(io::Error),
}

/// Knocks at the socket of the service.
pub(super) fn knock(socket: &Path) -> Door {
    let ours = library().unwrap_or(OWN);
    match UnixStream::connect(socket).and_then(|stream| greet(stream, ours)) {
        Ok((_, 0)) => Door::Open,
        Ok((theirs, _)) => Door::OtherVersion { ours, theirs },
        Err(why) => match why.kind() {
            ErrorKind::NotFound => Door::Absent,
            ErrorKind::PermissionDenied => Door::Shut,
            ErrorKind::ConnectionRefused => Door::Nobody,
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Door::TurnedAway,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Door::Silent,
            _ => Door::Strange(why),
        },
    }
}

/// Says which version is ours; the version that the service has, and its result.
fn greet(mut stream: UnixStream, ours: Version) -> io::Result<(Version, u32)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let words = [VERSION_BYTES, CMD_VERSION, ours.major, ours.minor, 0];
    stream.write_all(&words.map(u32::to_ne_bytes).concat())?;
    let mut word = || read_word(&mut stream);
    Ok((Version { major: word()?, minor: word()? }, word()?))
}

/// The version that libpcsclite speaks: this program again, in a process of its own, is sent to a socket that we
/// listen at.
fn library() -> io::Result<Version> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("pcscd.comm");
    let listener = UnixListener::bind(&socket)?;
    listener.set_nonblocking(true)?;
    let mut program = Command::new(std::env::current_exe()?)
        .arg("readers")
        .env(SOCKET_VARIABLE, &socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let said = accept(&listener).and_then(hear);
    // It has nobody to talk to, and has said what we want.
    let _ = program.kill();
    program.wait()?;
    said
}

fn accept(listener: &UnixListener) -> io::Result<UnixStream> {
    let until = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Err(why) if why.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                std::thread::sleep(MOMENT);
            }
            come => return come.map(|(stream, _)| stream),
        }
    }
}

fn hear(mut stream: UnixStream) -> io::Result<Version> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut word = || read_word(&mut stream);
    match (word()?, word()?) {
        (VERSION_BYTES, CMD_VERSION) => Ok(Version { major: word()?, minor: word()? }),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

fn read_word(stream: &mut UnixStream) -> io::Result<u32> {
    let mut word = [0; 4];
    stream.read_exact(&mut word)?;
    Ok(u32::from_ne_bytes(word))
}

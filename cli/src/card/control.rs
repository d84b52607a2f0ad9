//! The way to the keys of a card that runs in another process: a Unix socket beside its image, for the
//! image's owner only. One JSON line each way.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use onetap_applet::{Key, Press, SharedCard};

use super::press::{Reply, parse_keys, press};
use crate::exit::Failure;

/// Longest line that is read.
const MAX_LINE: u64 = 64 * 1024;

/// Removes the socket when the card leaves.
pub(super) struct Control(PathBuf);

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn socket_of(image: &Path) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".keys");
    name.into()
}

/// Takes keys for `card` from other processes. The caller holds the image's lock, so a socket that is
/// already there is a dead process's.
pub(super) fn listen(image: &Path, card: &SharedCard) -> Result<Control, Failure> {
    let path = socket_of(image);
    let failed = |source| Failure::file("listen at", &path, source);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let card = Arc::clone(card);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A caller that goes away costs nothing but its answer.
            let _ = serve(&stream, &card);
        }
    });
    Ok(Control(path))
}

fn serve(stream: &UnixStream, card: &SharedCard) -> io::Result<()> {
    let mut line = zeroize::Zeroizing::new(String::new());
    BufReader::new(stream).take(MAX_LINE).read_line(&mut line)?;
    let words: Vec<String> = serde_json::from_str(&line)?;
    let reply = match parse_keys(&words) {
        Ok(pressed) => press(card, &pressed),
        Err(why) => Reply { shown: Vec::new(), refused: Some(why.to_string()) },
    };
    writeln!(&*stream, "{}", serde_json::to_string(&reply)?)
}

/// A press as it goes over the socket, which only the image's owner reaches.
fn sent(press: Press) -> String {
    match press {
        Press::Key(Key::Digit(digit)) => digit.to_string(),
        named => named.word().unwrap_or_default().to_owned(),
    }
}

/// Presses keys on the card that runs with this image; `None` if none does.
pub(super) fn ask(image: &Path, pressed: &[Press]) -> Result<Option<Reply>, Failure> {
    let path = socket_of(image);
    let Ok(stream) = UnixStream::connect(&path) else {
        return Ok(None);
    };
    let failed = |source| Failure::file("reach the card at", &path, source);
    let words: Vec<String> = pressed.iter().map(|press| sent(*press)).collect();
    let line =
        zeroize::Zeroizing::new(serde_json::to_string(&words).map_err(io::Error::from).map_err(failed)?);
    writeln!(&stream, "{}", *line).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(&stream).take(MAX_LINE).read_line(&mut answer).map_err(failed)?;
    serde_json::from_str(&answer).map(Some).map_err(io::Error::from).map_err(failed)
}

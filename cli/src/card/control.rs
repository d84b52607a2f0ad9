//! The way to the keys of a card that runs in another process: a Unix socket beside its image, for the
//! image's owner only. One JSON line each way.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use onetap_applet::{Key, Press, SharedCard};
use tempfile::Builder;

use super::press::{Reply, parse_keys, press};
use crate::exit::Failure;

/// Longest line that is read.
const MAX_LINE: u64 = 64 * 1024;

/// The socket, which goes with the card, unless something else has its name by then.
pub(super) struct Control {
    path: PathBuf,
    made: (u64, u64),
}

impl Drop for Control {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.made) {
            // What stays is found dead by whoever wants its name.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Device and inode.
fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

fn socket_of(image: &Path) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".keys");
    name.into()
}

/// Takes keys for `card` from other processes.
pub(super) fn listen(image: &Path, card: &SharedCard) -> Result<Control, Failure> {
    let path = socket_of(image);
    let failed = |source| Failure::file("listen at", &path, source);
    remove_dead(&path).map_err(failed)?;
    let (listener, made) = bind(&path).map_err(failed)?;
    let control = Control { path, made };
    let card = Arc::clone(card);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A caller that goes away costs nothing but its answer.
            let _ = serve(&stream, &card);
        }
    });
    Ok(control)
}

/// Removes the socket that a process has left that was killed. The caller holds the image's lock, so nobody listens there;
/// anything else of that name is somebody's file.
fn remove_dead(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() && UnixStream::connect(path).is_err() => {
            fs::remove_file(path)
        }
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Listens at a new socket: under a name that nobody has until only its owner may reach it, then as `path`.
fn bind(path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let bound = Builder::new().prefix(".").make_in(folder, |path| UnixListener::bind(path))?;
    fs::set_permissions(bound.path(), Permissions::from_mode(0o600))?;
    let made = identity(&fs::symlink_metadata(bound.path())?);
    let listener = bound.persist_noclobber(path).map_err(|error| error.error)?;
    Ok((listener, made))
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

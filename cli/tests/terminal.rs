//! A person at a terminal: the PIN is not shown.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use support::*;

#[test]
fn a_pin_typed_at_a_terminal_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    bank(at);
    order(at, &account(at, "Ada Lovelace"), "ada");

    let controller: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let terminal = || File::options().read(true).write(true).open(&name).unwrap();
    let shown = |fd: &OwnedFd| tcgetattr(fd).unwrap().local_modes.contains(LocalModes::ECHO);
    assert!(shown(&controller));

    // setsid makes it the controlling terminal of the program.
    let new = ["card", "new", "--image", "ada.img", "--order", "ada.order", "--statement", "ada.statement"];
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_onetap")]).args(new).current_dir(at);
    command.env_remove("ONETAP_PIN").stdin(terminal()).stdout(Stdio::null()).stderr(terminal());
    let mut program = command.spawn().unwrap();
    let kept = terminal();
    let mut keyboard = File::from(controller.try_clone().unwrap());
    until("the terminal hides what is typed", || (!shown(&controller)).then_some(()));
    keyboard.write_all(b"2580\n").unwrap();
    let ended = until("the card is made", || program.try_wait().unwrap());
    assert!(ended.success());
    assert!(shown(&controller), "the terminal is as before");

    let mut buffer = [0; 1024];
    let len = keyboard.read(&mut buffer).unwrap();
    let seen = String::from_utf8_lossy(&buffer[..len]);
    assert!(seen.contains("PIN for the new card") && !seen.contains("2580"), "{seen}");
    drop(kept);
    assert!(at.join("ada.statement").exists());
}

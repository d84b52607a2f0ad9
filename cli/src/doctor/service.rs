//! The PC/SC service, its drivers and its readers.

use std::path::Path;

use onetap_pcsc_host::ReaderError;

use super::door::{Door, knock};
use super::finding::Finding;
use super::world::World;

/// What pcscd needs to reach each reader that does not announce itself is there.
pub(super) fn drivers(world: &World) -> Vec<Finding> {
    let look = |driver: &crate::neighbours::Driver| {
        let (of, library) = (format!("driver of {}", driver.name), driver.library.display());
        if driver.library.exists() {
            return Finding::fine(of, library.to_string());
        }
        let cure = if driver.is_virtual() {
            "install it again (Debian: apt install --reinstall vsmartcard-vpcd), then systemctl restart pcscd"
        } else {
            "install the reader's driver, or remove its file from /etc/reader.conf.d; systemctl restart pcscd"
        };
        Finding::wrong(of, format!("{library} is missing"), cure)
    };
    world.drivers.iter().map(look).collect()
}

/// The service answers, and if it does not, why.
pub(super) fn service(world: &World) -> Vec<Finding> {
    let of = format!("PC/SC service at {}", world.socket.display());
    let error = match (&world.readers, &world.daemon) {
        (Ok(_), Some(daemon)) => return vec![Finding::fine(of, format!("{} answers", daemon.program))],
        (Ok(_), None) => return vec![Finding::fine(of, "it answers")],
        (Err(error), _) => error,
    };
    let (what, cure) = match knock(&world.socket) {
        Door::Absent => absent(&world.socket),
        Door::Shut => (
            "this user may not open the socket".to_owned(),
            "start the service as its distribution does, so that everybody may (mode 666), or run this as a \
             user who may; in a container start it with --user of such a one"
                .to_owned(),
        ),
        Door::Nobody => (
            "the socket is there, and nobody listens: the service was killed, and left it".to_owned(),
            "systemctl restart pcscd.socket pcscd.service; without systemd start pcscd again".to_owned(),
        ),
        Door::TurnedAway => (
            "the service closes the connection without a word: it refuses this program".to_owned(),
            format!(
                "{}; from a container polkit sees no session of yours: run pcscd in it, or give the host \
                 a rule",
                ReaderError::Denied.advice()
            ),
        ),
        Door::OtherVersion { ours, theirs } => (
            format!("libpcsclite here speaks version {ours} of the protocol, the service {theirs}"),
            ReaderError::OtherVersion.advice().to_owned(),
        ),
        Door::Silent => {
            (ReaderError::ServiceSilent.to_string(), ReaderError::ServiceSilent.advice().to_owned())
        }
        Door::Strange(why) => (format!("{error}: {why}"), error.advice().to_owned()),
        Door::Open => (error.to_string(), error.advice().to_owned()),
    };
    vec![Finding::wrong(of, what, cure)]
}

/// Nobody is there: not started, not installed, or on the other side of a container's wall.
fn absent(socket: &Path) -> (String, String) {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];
    if folders.iter().any(|folder| Path::new(folder).join("pcscd").exists()) {
        return (
            ReaderError::NoService.to_string(),
            "systemctl enable --now pcscd.socket; without systemd start pcscd as root; it says why it ends"
                .to_owned(),
        );
    }
    let install = "install one (Debian: apt install pcscd)";
    if !is_in_a_container() {
        return ("no PC/SC service is installed".to_owned(), install.to_owned());
    }
    let folder = socket.parent().unwrap_or(socket).display();
    (
        "this container has no PC/SC service, and does not see the host's".to_owned(),
        format!("start the container with --volume {folder}:{folder}, or in it {install}"),
    )
}

/// What container engines leave for those inside to see.
fn is_in_a_container() -> bool {
    std::env::var_os("container").is_some()
        || ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"]
            .iter()
            .any(|file| Path::new(file).exists())
}

/// Virtual readers live in the service: where it ends by itself, or only starts when a program asks, a card finds no
/// reader.
pub(super) fn idle(world: &World) -> Vec<Finding> {
    const OF: &str = "PC/SC service when it is idle";
    const CURE: &str = "let it stay: systemctl edit pcscd.service with the lines [Service], ExecStart=, \
                        ExecStart=/usr/sbin/pcscd --foreground; then systemctl enable --now pcscd.service";
    let virtual_readers = world.drivers.iter().any(crate::neighbours::Driver::is_virtual);
    let answers = world.readers.is_ok();
    let ends = world.daemon.as_ref().is_some_and(crate::neighbours::Daemon::ends_when_idle);
    let finding = match (&world.daemon, &world.before) {
        _ if !answers => Finding::not_looked(OF, "it does not answer"),
        (Some(_), None) if virtual_readers => Finding::wrong(
            OF,
            "it did not run until this program asked: its socket starts it, and before that a virtual \
             reader takes no card",
            CURE,
        ),
        (Some(_), Some(_)) if ends && virtual_readers => Finding::wrong(
            OF,
            "it ends after a minute without a program (--auto-exit), and its virtual readers with it",
            CURE,
        ),
        (Some(_), _) if ends => {
            Finding::fine(OF, "it ends after a minute, and starts again when a program asks")
        }
        (Some(_), _) => Finding::fine(OF, "it stays"),
        (None, _) => Finding::not_looked(OF, "its process is not to be seen"),
    };
    vec![finding]
}

/// There is a reader.
pub(super) fn readers(world: &World) -> Vec<Finding> {
    const OF: &str = "readers";
    vec![match &world.readers {
        Ok(names) if names.is_empty() => {
            Finding::wrong(OF, ReaderError::NoReaders.to_string(), ReaderError::NoReaders.advice())
        }
        Ok(names) => Finding::fine(OF, names.join(", ")),
        Err(_) => Finding::not_looked(OF, "the service does not answer"),
    }]
}

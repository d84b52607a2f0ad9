//! The service manager, systemd or whoever speaks its protocol: the socket that it hands over, and what it is told.

use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use onetap_server_verifier::Background;
use onetap_server_verifier::http::Pulse;
use sd_notify::NotifyState;

use crate::exit::Failure;

/// The socket that the manager has opened for the service (`LISTEN_FDS`), if it has.
pub(super) fn listener() -> Result<Option<TcpListener>, Failure> {
    let mut handed = ListenFd::from_env();
    match handed.len() {
        0 => Ok(None),
        1 => handed.take_tcp_listener(0).map_err(|error| {
            let cure = "give one ListenStream with an address and a port";
            Failure::Usage(format!("the socket of the service manager cannot be used ({error}); {cure}"))
        }),
        many => {
            let what = format!("the service manager hands over {many} sockets; give one ListenStream");
            Err(Failure::Usage(what))
        }
    }
}

/// The service can be reached, or has read again what it reads again.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads again what it reads again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// It ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells the manager that the service lives, thrice in the time that it gives (`WATCHDOG_USEC`), if it gives one, as long as
/// the service does; until what this returns is dropped.
pub(super) fn watchdog(pulse: Pulse) -> Result<Option<Background>, Failure> {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return Ok(None);
    };
    let pause = limit / 3;
    let beat = move || {
        if pulse.beats(pause) {
            tell(&[NotifyState::Watchdog]);
        }
        pause
    };
    let started = Background::start("onetap-watchdog", Duration::ZERO, beat);
    started.map(Some).map_err(|source| Failure::System { what: "start a thread", source })
}

/// Nothing where there is no manager.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

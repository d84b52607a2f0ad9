//! The switch that takes the card out of its reader.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{CONNECT_TIMEOUT, Meeting};

/// Takes the card out of the reader from another thread. Clones stop the same card.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<(Mutex<Switch>, Condvar)>);

#[derive(Debug, Default)]
struct Switch {
    stopped: bool,
    held: bool,
    connection: Option<TcpStream>,
    /// Where the card waits for a reader in reversed mode.
    listening: Option<SocketAddr>,
}

impl Switch {
    fn cut(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Wakes the read; if the peer closed before, it is awake.
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Stop {
    /// A switch for one [`serve`](super::serve).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends [`serve`](super::serve) at once.
    pub fn stop(&self) {
        let mut switch = self.switch();
        switch.stopped = true;
        switch.cut();
        if let Some(addr) = switch.listening {
            // Wakes the wait for a reader; if that has ended already, nobody is there.
            let _ = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT);
        }
        self.0.1.notify_all();
    }

    /// Takes the card out of the reader at once and keeps it out until [`Stop::resume`].
    pub fn hold(&self) {
        let mut switch = self.switch();
        switch.held = true;
        switch.cut();
    }

    /// Lets the card go into the reader again.
    pub fn resume(&self) {
        self.switch().held = false;
        self.0.1.notify_all();
    }

    /// True between [`Stop::hold`] and [`Stop::resume`].
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.switch().held
    }

    /// Waits until the card may go into the reader; true if it had to wait.
    pub(super) fn wait_while_held(&self) -> bool {
        let held = self.is_held();
        let wait = self.0.1.wait_while(self.switch(), |switch| switch.held && !switch.stopped);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
        held
    }

    fn switch(&self) -> MutexGuard<'_, Switch> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True once [`Stop::stop`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.switch().stopped
    }

    /// Waits, unless stopped meanwhile.
    pub(super) fn sleep(&self, time: Duration) {
        let wait = self.0.1.wait_timeout_while(self.switch(), time, |switch| !switch.stopped);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets [`Stop::stop`] wake a card that waits for its reader.
    pub(super) fn listen_at(&self, meeting: &Meeting) {
        self.switch().listening = if meeting.is_reversed() { meeting.addr().ok() } else { None };
    }

    /// The connection is over; there is nothing to cut.
    pub(super) fn unguard(&self) {
        self.switch().connection = None;
    }

    /// Makes the connection one that [`Stop::stop`] can cut.
    pub(super) fn guard(&self, connection: &TcpStream) -> io::Result<()> {
        let handle = connection.try_clone()?;
        let mut switch = self.switch();
        if switch.stopped || switch.held {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        switch.connection = Some(handle);
        Ok(())
    }
}

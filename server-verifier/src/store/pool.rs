//! A few connections that callers borrow by turns.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::StoreError;

/// Longest wait for a connection that others use.
const PATIENCE: Duration = Duration::from_secs(5);

/// Places for connections; each is connected by the first that borrows it.
pub(super) struct Pool<T> {
    idle: Mutex<Vec<Option<T>>>,
    returned: Condvar,
    size: AtomicUsize,
}

impl<T> Pool<T> {
    /// Room for `size` connections, none of which exists yet.
    pub(super) fn new(size: usize) -> Self {
        Self {
            idle: Mutex::new((0..size).map(|_| None).collect()),
            returned: Condvar::new(),
            size: AtomicUsize::new(size),
        }
    }

    /// Adds a connection that exists.
    pub(super) fn add(&self, connection: T) {
        self.size.fetch_add(1, Ordering::Relaxed);
        guard(&self.idle).push(Some(connection));
        self.returned.notify_one();
    }

    /// How many places there are, and how many of them are lent.
    pub(super) fn load(&self) -> (usize, usize) {
        let idle = guard(&self.idle).len();
        let size = self.size.load(Ordering::Relaxed);
        (size, size.saturating_sub(idle))
    }

    /// The place that was returned last, for the borrower alone until the loan is dropped.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if none is returned within five seconds.
    pub(super) fn borrow(&self) -> Result<Loan<'_, T>, StoreError> {
        let idle = self.returned.wait_timeout_while(guard(&self.idle), PATIENCE, |idle| idle.is_empty());
        let slot = idle.unwrap_or_else(PoisonError::into_inner).0.pop().ok_or(StoreError::Locked)?;
        Ok(Loan { pool: self, slot })
    }
}

/// A borrowed place; it is returned when this is dropped.
pub(super) struct Loan<'a, T> {
    pool: &'a Pool<T>,
    /// The connection; none if it has yet to be made.
    pub(super) slot: Option<T>,
}

impl<T> Drop for Loan<'_, T> {
    /// Closes a connection that a panic left in the middle of a transaction; its place stays.
    fn drop(&mut self) {
        let slot = self.slot.take().filter(|_| !std::thread::panicking());
        guard(&self.pool.idle).push(slot);
        self.pool.returned.notify_one();
    }
}

/// A panic elsewhere does not leave what is pushed and popped here half done.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

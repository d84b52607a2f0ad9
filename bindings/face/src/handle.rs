//! Handles: numbers that stand for what is open. No number is ever given twice, so one that was closed is known to be.
//!
//! Threads, locks and the connections of PC/SC do not survive a fork. So the library belongs to the process that used
//! it first; in one that was forked off afterwards every call is refused and touches nothing.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use crate::error::{Error, Kind, Result};

/// Stands for a till, a payment or a watch. None is 0.
pub type Handle = u64;

/// What a handle can stand for. Dropping the last reference gives back what it holds.
pub(crate) trait Object: Any + Send + Sync {
    /// What it is called.
    const WHAT: &'static str;

    /// Ends whatever waits in it.
    fn close(&self);
}

/// What is kept of it.
type Kept = (Arc<dyn Any + Send + Sync>, fn(&(dyn Any + Send + Sync)));

#[derive(Default)]
struct Open {
    last: Handle,
    objects: HashMap<Handle, Kept>,
}

static OPEN: LazyLock<RwLock<Open>> = LazyLock::new(RwLock::default);
/// The process that used the library first; 0 before.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Does the work of one call: in the right process, and without a panic.
pub(crate) fn entry<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let ours = std::process::id();
    let first = PROCESS.compare_exchange(0, ours, Ordering::Relaxed, Ordering::Relaxed);
    if first.is_err_and(|first| first != ours) {
        return Err(Error::new(
            Kind::Forked,
            "the library was used before this process was forked off",
            "use it after the fork only, or start the process anew (spawn, exec)",
        ));
    }
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(internal(&*panic)))
}

/// A panic as an error.
pub(crate) fn internal(panic: &(dyn Any + Send)) -> Error {
    let why = message(panic);
    Error::new(Kind::Internal, format!("the library made a mistake: {why}"), "tell its makers")
}

/// What a panic says.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}

/// A handle for what was opened.
pub(crate) fn open<T: Object>(object: T) -> Handle {
    let close = |kept: &(dyn Any + Send + Sync)| kept.downcast_ref::<T>().into_iter().for_each(T::close);
    let mut open = OPEN.write().unwrap_or_else(PoisonError::into_inner);
    open.last += 1;
    let handle = open.last;
    open.objects.insert(handle, (Arc::new(object), close));
    handle
}

/// What a handle stands for.
pub(crate) fn object<T: Object>(handle: Handle) -> Result<Arc<T>> {
    let open = OPEN.read().unwrap_or_else(PoisonError::into_inner);
    let (kept, _) = open.objects.get(&handle).ok_or_else(|| missing(handle, open.last))?;
    Arc::clone(kept).downcast::<T>().map_err(|_| {
        Error::argument(format!("this handle is not that of a {}", T::WHAT), format!("give a {}", T::WHAT))
    })
}

fn missing(handle: Handle, last: Handle) -> Error {
    if (1..=last).contains(&handle) {
        return Error::closed();
    }
    Error::argument(format!("{handle} is no handle"), "give one that was opened")
}

/// Closes a till, a payment or a watch. A payment is cancelled by it; whoever waits for it, or for a watch, is told
/// that it was closed. A payment goes on when its till is closed. With a payment whose decision was told the app is done:
/// the journal forgets it.
///
/// # Errors
/// [`Kind::Closed`] for one that was closed before.
pub fn close(handle: Handle) -> Result<()> {
    entry(|| {
        let mut open = OPEN.write().unwrap_or_else(PoisonError::into_inner);
        let last = open.last;
        let (kept, close) = open.objects.remove(&handle).ok_or_else(|| missing(handle, last))?;
        // What closes may take a moment; others need not wait for it.
        drop(open);
        close(&*kept);
        Ok(())
    })
}

/// How many handles are open, to find out who forgets to close them.
///
/// # Errors
/// [`Kind::Forked`].
pub fn count() -> Result<usize> {
    entry(|| Ok(OPEN.read().unwrap_or_else(PoisonError::into_inner).objects.len()))
}

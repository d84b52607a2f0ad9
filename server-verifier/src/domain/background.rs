//! A thread that does something again and again, until it is told to stop.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Pause before the next round after one that panicked.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Work in a thread of its own, until this is dropped, or stopped by [`Background::stop`]. A round that panics is told in the
/// log, and the next one comes.
#[derive(Debug)]
pub struct Background {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts a thread of this name that waits for `first`, does `round`, and then waits as long as that says.
    ///
    /// # Errors
    /// [`io::Error`] if the system has no more threads.
    pub fn start(
        name: &str,
        first: Duration,
        mut round: impl FnMut() -> Duration + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let thread_name = name.to_owned();
        let work = move || {
            let mut pause = first;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = catch_unwind(AssertUnwindSafe(&mut round)).unwrap_or_else(|_panic| {
                    tracing::error!(thread = thread_name, "a round of background work has panicked");
                    AFTER_PANIC
                });
            }
        };
        let thread = Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Returns once the round that is under way is done; there will be no other.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It ends without a panic: those of its rounds are caught.
            let _ended = thread.join();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::mpsc::TryRecvError;

    use super::*;

    #[test]
    fn it_works_until_it_is_stopped() {
        let (say, heard) = channel();
        let background = Background::start("test", Duration::ZERO, move || {
            // Nobody listens once the test is over.
            let _gone = say.send(std::thread::current().name().map(str::to_owned));
            Duration::from_millis(1)
        });
        let background = background.unwrap();
        for _ in 0..3 {
            assert_eq!(heard.recv().unwrap().as_deref(), Some("test"));
        }
        background.stop();
        while heard.try_recv().is_ok() {}
        assert_eq!(heard.try_recv(), Err(TryRecvError::Disconnected), "the thread is gone");
    }

    #[test]
    fn it_goes_on_after_a_round_that_panics() {
        let (say, heard) = channel();
        let mut rounds = 0;
        let background = Background::start("test", Duration::ZERO, move || {
            rounds += 1;
            assert_ne!(rounds, 1, "on purpose");
            let _gone = say.send(rounds);
            Duration::from_millis(1)
        });
        assert_eq!(heard.recv(), Ok(2));
        drop(background);
    }

    #[test]
    fn a_long_pause_does_not_delay_the_end() {
        let start = std::time::Instant::now();
        drop(Background::start("test", Duration::from_secs(3_600), || Duration::ZERO).unwrap());
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}

//! How far long work is: a bar with an estimate at a terminal, a line now and then in a log, nothing in a pipe. Always on standard
//! error, and only after two seconds.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _, stderr};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use onetap_server_verifier::Watch;

/// What takes no longer is not told.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two lines in a log.
const PAUSE: Duration = Duration::from_secs(30);
/// No colours: those who see none miss nothing.
const STYLE: &str = "{msg} [{bar:30}] {percent:>3}% {eta:>4} left";

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Terminal,
    Log,
    Nowhere,
}

/// How far some work is. Threads may share it; what was shown at a terminal is gone with it.
pub(crate) struct Progress {
    what: &'static str,
    place: Place,
    bar: ProgressBar,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: u64,
    total: u64,
    /// When it is told next, counted from the beginning of the work.
    next: Option<Duration>,
}

impl Progress {
    /// The work begins; `what` is done, such as "checking the log".
    pub(crate) fn begin(what: &'static str) -> Self {
        Self::at_place(what, place())
    }

    /// The same, for several owners.
    pub(crate) fn shared(what: &'static str) -> Arc<Self> {
        Arc::new(Self::begin(what))
    }

    /// What is read of these `total` bytes is done.
    pub(crate) fn reading<R: Read>(&self, from: R, total: u64) -> impl Read {
        Reading { from, done: 0, total, progress: self }
    }

    fn at_place(what: &'static str, place: Place) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_message(what);
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { what, place, bar, begun: Instant::now(), state: Mutex::default() }
    }

    /// For whoever does the work in another room.
    pub(crate) fn watch(self: &Arc<Self>) -> Watch {
        let progress = Arc::clone(self);
        Watch::new(move |done, total| progress.at(done, total))
    }

    /// The work is done: what was shown at a terminal is gone.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// So much of so much is done.
    pub(crate) fn at(&self, done: u64, total: u64) {
        let mut state = self.lock();
        (state.done, state.total) = (done, total);
        self.tell(&mut state);
    }

    /// One more of so many is done.
    pub(crate) fn one_of(&self, total: u64) {
        let mut state = self.lock();
        (state.done, state.total) = (state.done + 1, total);
        self.tell(&mut state);
    }

    /// Writes something without the bar in its way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: &mut State) {
        if self.place == Place::Nowhere {
            return;
        }
        self.bar.set_length(state.total);
        self.bar.set_position(state.done);
        let due = state.due(self.begun.elapsed());
        match self.place {
            Place::Terminal if due && self.bar.is_hidden() => {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            Place::Log if due => {
                // A log that cannot be written is no reason to stop.
                let _ = writeln!(stderr(), "{}", self.line(state));
            }
            _ => {}
        }
    }

    fn line(&self, State { done, total, .. }: &State) -> String {
        let percent = (done * 100).checked_div(*total).unwrap_or(0);
        format!("{}: {percent} %, about {} s left", self.what, self.bar.eta().as_secs())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// Bytes that are read, counted.
struct Reading<'a, R> {
    from: R,
    done: u64,
    total: u64,
    progress: &'a Progress,
}

impl<R: Read> Read for Reading<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.done += read as u64;
        self.progress.at(self.done, self.total);
        Ok(read)
    }
}

impl State {
    /// Whether it is to be told, so long after the beginning.
    fn due(&mut self, elapsed: Duration) -> bool {
        let due = self.done < self.total && elapsed >= self.next.unwrap_or(PATIENCE);
        if due {
            self.next = Some(elapsed + PAUSE);
        }
        due
    }
}

/// What standard error is. A log is a file, or the journal's socket; a terminal that takes no control sequences is like one.
fn place() -> Place {
    let kind = || Some(File::from(stderr().as_fd().try_clone_to_owned().ok()?).metadata().ok()?.file_type());
    match (stderr().is_terminal(), kind()) {
        (true, _) if std::env::var_os("TERM").is_some_and(|term| term == "dumb") => Place::Log,
        (true, _) => Place::Terminal,
        (false, Some(kind)) if kind.is_file() || kind.is_socket() => Place::Log,
        _ => Place::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_work_is_not_told_and_long_work_now_and_then() {
        let mut state = State { done: 1, total: 9, next: None };
        let told: Vec<_> = (0..70).filter(|second| state.due(Duration::from_secs(*second))).collect();
        assert_eq!(told, [2, 32, 62]);
        let mut done = State { done: 9, total: 9, next: None };
        assert!(!done.due(Duration::from_secs(100)), "there is nothing left to wait for");
    }

    #[test]
    fn a_line_says_how_much_is_done_and_how_long_it_takes_yet() {
        let progress = Progress::at_place("checking the log", Place::Nowhere);
        progress.at(250, 1_000);
        let line = progress.line(&progress.lock());
        assert!(line.starts_with("checking the log: 25 %, about "), "{line}");
    }
}

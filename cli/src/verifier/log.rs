//! The service's log: JSON lines on standard error. A line that standard error does not take is lost and counted: nobody
//! waits for it, and nothing ends because of it.

use std::io::{self, Write as _};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::LogLevel;
use crate::exit::Failure;

/// Lines that wait while standard error is slow, about 200 bytes each.
const WAITING: usize = 4_096;
/// How long the end of the program waits for the last lines.
const PATIENCE: Duration = Duration::from_millis(500);

/// The log, as long as this is kept; what was logged before it is dropped is written first, if anybody takes it.
pub(super) struct Log {
    lines: SyncSender<Line>,
    level: Handle<LevelFilter, Registry>,
    pub(super) lost: Arc<AtomicU64>,
}

enum Line {
    Text(Vec<u8>),
    /// Everything before this is written.
    End(Sender<()>),
}

impl Log {
    /// Logs what is at least as grave as `level`, panics too.
    pub(super) fn start(level: LogLevel) -> Result<Self, Failure> {
        let (lines, taken) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let (filter, handle) = reload::Layer::new(LevelFilter::from_level(level.into()));
        let log = Self { lines: lines.clone(), level: handle, lost: Arc::clone(&lost) };
        let writer = thread::Builder::new().name("onetap-log".to_owned());
        let counted = Arc::clone(&lost);
        let started = writer.spawn(move || write(&taken, &counted));
        started.map_err(|source| Failure::System { what: "start a thread", source })?;
        let layer = tracing_subscriber::fmt::layer().json().flatten_event(true);
        let layer = layer.with_writer(Lines { lines, lost }).with_target(false).log_internal_errors(false);
        // Fails only if there is a log already.
        let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
        std::panic::set_hook(Box::new(tell_panic));
        Ok(log)
    }

    /// Logs from now on what is at least as grave as `level`.
    pub(super) fn set_level(&self, level: LogLevel) {
        // Fails only once the log is gone.
        let _ = self.level.modify(|filter| *filter = LevelFilter::from_level(level.into()));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (written, waiting) = channel();
        if self.lines.try_send(Line::End(written)).is_ok() {
            // Whoever does not take the lines in time does not get them.
            let _late = waiting.recv_timeout(PATIENCE);
        }
    }
}

/// The writer's life: it alone waits for standard error.
fn write(lines: &Receiver<Line>, lost: &AtomicU64) {
    for line in lines {
        match line {
            Line::Text(text) => {
                if io::stderr().write_all(&text).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
            Line::End(written) => drop(written.send(())),
        }
    }
}

/// Panics go the way of all lines, so that one never waits for standard error either.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    tracing::error!(%panic, thread = thread::current().name(), "a thread has panicked");
}

/// Hands each line to the writer.
struct Lines {
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl io::Write for &Lines {
    /// Takes one whole line: so the subscriber writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Line::Text(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

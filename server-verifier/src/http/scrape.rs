//! Numbers that are looked up when somebody asks for them: of the books, the store and the process.

use procfs::ProcResult;
use procfs::process::{LimitValue, Process};

use super::hub::Hub;
use super::metrics::Metrics;
use crate::domain::Timestamp;
use crate::service::figures::Figures;

/// Puts what is known now among the numbers.
pub(crate) fn refresh(hub: &Hub, figures: &Figures) {
    let metrics = &hub.metrics;
    let now = hub.verifier.now();
    books(metrics, figures, now);
    store(metrics, figures);
    if let Some(tls) = &hub.tls {
        let what = "When the first certificate of the server's chain expires, in seconds since 1970";
        metrics.set("onetap_certificate_expiry_timestamp_seconds", what, None, tls.expires().0 as f64);
    }
    let what = "Lines of the log about strangers that were withheld";
    metrics.follow("onetap_log_lines_withheld_total", what, None, hub.diary.withheld());
    let version = Some(("version", env!("CARGO_PKG_VERSION")));
    metrics.set("onetap_build_info", "Which version runs", version, 1.0);
    if let Err(error) = process(metrics) {
        tracing::debug!(%error, "the system does not tell about this process");
    }
}

fn books(metrics: &Metrics, figures: &Figures, now: Timestamp) {
    metrics.set("onetap_locked_accounts", "Accounts locked now", None, figures.locked as f64);
    metrics.alarms.follow(figures.alarms);
    for (reason, total) in &figures.refusals {
        metrics.follow("onetap_refusals_total", "Requests refused", Some(("reason", *reason)), *total);
    }
    let age = |since: Option<Timestamp>| since.map_or(0.0, |since| (now.0 - since.0).max(0) as f64);
    let what = "Messages that others have not taken";
    let backlog = &figures.backlog;
    metrics.set("onetap_outbox_messages", what, Some(("state", "all")), backlog.waiting as f64);
    metrics.set("onetap_outbox_messages", what, Some(("state", "dead")), backlog.dead as f64);
    let what = "Since the oldest event that waits to be told; 0 if none waits";
    metrics.set("onetap_outbox_oldest_age_seconds", what, None, age(figures.oldest_waiting));
    if figures.checkpoint.is_some() {
        let what = "Since the last checkpoint of the audit log";
        metrics.set("onetap_checkpoint_age_seconds", what, None, age(figures.checkpoint));
    }
}

fn store(metrics: &Metrics, figures: &Figures) {
    let load = &figures.load;
    let what = "Decisions in the store's queue, or being made";
    metrics.set("onetap_store_queue", what, None, load.queued as f64);
    let what = "Connections for short reads and writes beside the decisions";
    metrics.set("onetap_store_connections", what, Some(("state", "in-use")), load.in_use as f64);
    metrics.set("onetap_store_connections", what, Some(("state", "all")), load.connections as f64);
}

/// By the names that Prometheus's clients give these.
fn process(metrics: &Metrics) -> ProcResult<()> {
    let me = Process::myself()?;
    let stat = me.stat()?;
    let seconds = |ticks: u64| ticks / procfs::ticks_per_second();
    metrics.follow("process_cpu_seconds_total", "Processor time", None, seconds(stat.utime + stat.stime));
    let resident = stat.rss * procfs::page_size();
    metrics.set("process_resident_memory_bytes", "Memory in use", None, resident as f64);
    metrics.set("process_open_fds", "Open files and sockets", None, me.fd_count()? as f64);
    if let LimitValue::Value(most) = me.limits()?.max_open_files.soft_limit {
        metrics.set("process_max_fds", "Most files and sockets that may be open", None, most as f64);
    }
    metrics.set("process_threads", "Threads", None, stat.num_threads as f64);
    // Last, since a hardened unit may hide what it takes.
    let started = procfs::boot_time_secs()? + seconds(stat.starttime);
    metrics.set("process_start_time_seconds", "When it started, since 1970", None, started as f64);
    Ok(())
}

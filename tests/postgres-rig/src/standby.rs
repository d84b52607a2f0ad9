//! A second server that follows the first synchronously: a commit is answered when both have it on disk.

use crate::cluster::{Cluster, SUPERUSER, checked};
use crate::{RigError, Settings};

const NAME: &str = "standby";

impl Cluster {
    /// A copy of this server that follows it. When this returns, every commit waits for the copy too, as
    /// `synchronous_standby_names` asks: nothing acknowledged is lost when the first server is.
    ///
    /// # Errors
    /// [`RigError`].
    pub fn standby(&self) -> Result<Self, RigError> {
        let parent = self.folder().parent().unwrap_or(self.folder());
        let mut settings: Settings = self.settings().clone();
        settings.others.push(("cluster_name".to_owned(), NAME.to_owned()));
        let mut standby = Self::in_new_folder(parent, settings)?;
        let mut copy = self.program("pg_basebackup")?;
        copy.args(["--checkpoint", "fast", "--wal-method", "stream", "--write-recovery-conf", "--no-sync"]);
        checked(copy.arg("--pgdata").arg(standby.data()))?;
        standby.restart()?;
        self.synchronous(true)?;
        let state = format!("SELECT sync_state FROM pg_stat_replication WHERE application_name = '{NAME}'");
        self.until(&state, "sync", "synchronous standby")?;
        Ok(standby)
    }

    /// Whether commits wait for the standby.
    ///
    /// # Errors
    /// [`RigError`].
    pub fn synchronous(&self, wait: bool) -> Result<(), RigError> {
        let names = if wait { format!("FIRST 1 ({NAME})") } else { String::new() };
        self.sql(SUPERUSER, &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"))?;
        self.sql(SUPERUSER, "SELECT pg_reload_conf()")?;
        Ok(())
    }

    /// Makes a standby the primary, and waits until it takes writes.
    ///
    /// # Errors
    /// [`RigError`].
    pub fn promote(&self) -> Result<(), RigError> {
        self.sql(SUPERUSER, "SELECT pg_promote(true, 60)")?;
        self.until("SELECT pg_is_in_recovery()", "f", "promoted standby")
    }
}

//! The server that is measured: a private one that keeps nothing when the measurement ends.

use std::time::Duration;

use anyhow::Context as _;
use hemostat_redis::bare::Bare;
use hemostat_redis::managed::{ManagedRedis, ManagedSettings};
use hemostat_redis::{RedisLog, RedisSettings};

use super::super::scratch::ScratchDir;
use crate::exit::{Failure, OrFailure as _};

/// A redis-server of its own.
pub(in crate::commands) struct Ground {
    managed: ManagedRedis,
    /// Removed after the server has ended.
    _folder: ScratchDir,
}

impl Ground {
    /// Starts a server, with or without an append-only file.
    ///
    /// # Errors
    /// Exit 3 when there is no redis-server.
    pub(in crate::commands) async fn start(aof: bool) -> Result<Self, Failure> {
        let folder = ScratchDir::new(if aof { "bench-aof" } else { "bench" })?;
        let settings = ManagedSettings { data_dir: folder.path().to_owned(), binary: None };
        let managed = ManagedRedis::start(settings).await;
        let managed = managed.context("failed to start a private Redis").or_unreachable()?;
        let ground = Self { managed, _folder: folder };
        let bare = ground.log("bench").await?.bare().await.or_unreachable()?;
        // A rewrite in the middle of a measurement would be measured too.
        bare.configure("auto-aof-rewrite-percentage", "0").await.or_unreachable()?;
        bare.configure("appendonly", if aof { "yes" } else { "no" }).await.or_unreachable()?;
        Ok(ground)
    }

    /// How to reach it.
    pub(in crate::commands) fn url(&self) -> &str {
        self.managed.url()
    }

    /// A log on it.
    ///
    /// # Errors
    /// Exit 3 when the server is away.
    pub(in crate::commands) async fn log(&self, namespace: &str) -> Result<RedisLog, Failure> {
        let settings = RedisSettings {
            url: self.url().to_owned(),
            namespace: namespace.to_owned(),
            partitions: Some(1),
        };
        RedisLog::connect(settings).await.or_unreachable()
    }

    /// An empty log on it, with a client beside it; whatever was on the server before is gone.
    ///
    /// # Errors
    /// Exit 3 when the server is away.
    pub(in crate::commands) async fn empty_log(&self, namespace: &str) -> Result<(RedisLog, Bare), Failure> {
        self.log(namespace).await?.bare().await.or_unreachable()?.empty().await.or_unreachable()?;
        let log = self.log(namespace).await?;
        let bare = log.bare().await.or_unreachable()?;
        Ok((log, bare))
    }

    /// Ends the server.
    pub(in crate::commands) async fn close(self) {
        self.managed.shutdown().await;
    }
}

/// Processor time a process has used so far, all its threads together.
///
/// # Errors
/// When it is gone.
pub(in crate::commands) fn cpu_time(pid: u32) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    let stat = stat.with_context(|| format!("process {pid} is gone"))?;
    // Fields 14 and 15 of proc_pid_stat(5). The name in field 2 may have blanks and brackets of its own.
    let ticks = stat.rsplit_once(')').map_or(0, |(_name, rest)| {
        rest.split_ascii_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    });
    Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100))
}

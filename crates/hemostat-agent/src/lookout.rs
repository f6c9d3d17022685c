//! Looks how far the groups have come, and how much memory the process has, for `/metrics`.
//!
//! Every process tells what the log as a whole looks like, so that it does not matter which one is asked, and one that
//! hangs cannot hide that it is behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::log::EventLog;
use crate::telemetry::Telemetry;

/// Time between two looks: a third of the usual time between two scrapes, so that a scrape is not about the one before.
/// One look costs a script call per partition.
const EVERY: Duration = Duration::from_secs(5);

/// Looks until `stop` is cancelled.
pub async fn run(log: Arc<dyn EventLog>, telemetry: Arc<Telemetry>, stop: CancellationToken) {
    while let Some(()) = stop.run_until_cancelled(look(log.as_ref(), &telemetry)).await {
        if let Some(bytes) = resident() {
            telemetry.resident(bytes);
        }
        let _stopped = timeout(EVERY, stop.cancelled()).await;
    }
}

/// Looks once. When the log does not answer, nothing is known, and that is what the metrics say.
pub async fn look(log: &dyn EventLog, telemetry: &Telemetry) {
    let looked = async { Ok::<_, crate::log::LogError>((log.now().await?, log.groups().await?)) };
    match looked.await {
        Ok((now, groups)) => telemetry.groups(&groups, now),
        Err(error) => telemetry.groups_unknown(&error),
    }
}

/// Memory that this process has, where the system says so.
fn resident() -> Option<u64> {
    // In kilobytes: proc_pid_status(5).
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

//! Looks how far the groups have come, for `/metrics`.
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

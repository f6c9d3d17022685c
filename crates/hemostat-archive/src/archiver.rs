//! The archiver: reads along with the log, seals what it reads into segments, and moves its group behind them.
//!
//! It reads each partition in the order of its numbers, outside any group; its group has no members and only says how
//! far the archive has come, so that nothing is trimmed that it does not have yet.
//!
//! Invariants:
//! - one archiver works on a partition at a time, under a lease. Two at once do no harm: a head is made once (S-2),
//!   and the one that comes second begins anew behind it.
//! - the group is moved only to what is published. An archiver begins where the archive ends, whatever the group
//!   says, so one that died, wherever it was, leaves no gap and nothing twice.
//! - a log or a store that fails is waited out. What was sealed stays as it is until it is published, so that a
//!   repetition makes the same segment.
//! - only the key that sealed last seals on, or one that follows it as the archive states. A key that was rotated is
//!   read anew.
//! - what retention lets go, and what was left half-made, is seen to now and then, a segment at a time: sealing waits
//!   for no more than that.

mod care;
mod partition;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::join_all;
use hemostat_agent::clock::LogClock;
use hemostat_agent::health::HealthBoard;
use hemostat_agent::log::EventLog;
use hemostat_agent::telemetry::Telemetry;
use tokio_util::sync::CancellationToken;

use crate::keys::PrivateKey;
use crate::retention::Keep;
use crate::seal::Settings;
use crate::store::Archive;
use partition::Worker;

/// What an archiver works with.
#[derive(Clone)]
pub struct Archiver {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Its clock.
    pub clock: Arc<LogClock>,
    /// Where segments go.
    pub archive: Archive,
    /// What seals them.
    pub key: Arc<PrivateKey>,
    /// Reads that key anew; `None` where it cannot be read.
    pub read_key: Arc<dyn Fn() -> Option<PrivateKey> + Send + Sync>,
    /// When they are sealed.
    pub settings: Settings,
    /// How long they are kept.
    pub keep: Keep,
    /// The name of this archiver, unique among those that run.
    pub instance: String,
    /// What operators see of it.
    pub telemetry: Arc<Telemetry>,
    /// Where each partition gives its signs of life.
    pub board: Arc<HealthBoard>,
}

impl Archiver {
    /// Works on every partition whose lease it has until `stop` is cancelled; then seals and publishes what is open.
    pub async fn run(self, stop: CancellationToken) {
        let partitions = self.log.partitions();
        join_all(partitions.into_iter().map(|partition| Worker::new(&self, partition).run(stop.clone())))
            .await;
    }
}

//! The bridge to the Python HemoStat, whose agents speak over pub/sub and keep what they know under plain keys.
//!
//! Outwards it reads along with the log like the archiver, under a lease per partition, and moves a group without members
//! behind what it has said, so that it goes on from there and nothing is trimmed before. A bridge that starts for the
//! first time begins at the end of the log: nobody wants to hear the past. Inwards every replica listens, and the log
//! knows a message that two of them heard by its id.
//!
//! Invariants:
//! - BG-1: what is said for an event, message and keys, is said by one script, with the marks that it was. Whoever comes
//!   second, after a crash or a lease that was lost, finds the mark. So the Redis of the old agents must be one server:
//!   its keys have no hash tag, and no script could write them together on a cluster. The old agents know no clusters
//!   either.
//! - BG-2: a message that came in and bears the mark is one of ours, and is passed over; what is made of the others is by
//!   the bridge and does not go out (BR-2).
//! - BG-3: what comes in waits in a queue with a limit; what does not fit is dropped and counted.

mod inbound;
mod outbound;
mod side;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use hemostat_agent::clock::LogClock;
use hemostat_agent::health::HealthBoard;
use hemostat_agent::log::EventLog;
use hemostat_agent::telemetry::Telemetry;
use hemostat_core::bridge::{OldChannel, inbound as heard, outbound as said};
use tokio_util::sync::CancellationToken;

pub use side::{OldSide, SideError};

/// What a bridge works with.
#[derive(Clone)]
pub struct Bridge {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Its clock.
    pub clock: Arc<LogClock>,
    /// The Redis of the old agents.
    pub side: Arc<OldSide>,
    /// What goes out.
    pub said: said::Settings,
    /// Channels that are listened to.
    pub listens: BTreeSet<OldChannel>,
    /// How messages are taken.
    pub heard: heard::Settings,
    /// The name of this bridge, unique among those that run.
    pub instance: String,
    /// What operators see of it.
    pub telemetry: Arc<Telemetry>,
    /// Where its parts give their signs of life.
    pub board: Arc<HealthBoard>,
}

impl Bridge {
    /// Works in both directions until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let partitions = self.log.partitions();
        let outwards =
            partitions.into_iter().map(|partition| outbound::Worker::new(&self, partition).run(stop.clone()));
        let inwards = async {
            if !self.listens.is_empty() {
                inbound::run(&self, stop.clone()).await;
            }
        };
        join(join_all(outwards), inwards).await;
    }
}

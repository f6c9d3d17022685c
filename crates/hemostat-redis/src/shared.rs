//! What a log and its readers share: the way to Redis, the names of its keys, what is counted.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use hemostat_agent::log::Partition;
use hemostat_event::HostName;

use crate::durable::Durable;
use crate::keeping;
use crate::keys::Keys;
use crate::link::Link;

/// What a log and its readers share.
pub(crate) struct Shared {
    pub(crate) link: Link,
    pub(crate) keys: Keys,
    pub(crate) namespace: String,
    pub(crate) partitions: u16,
    /// Entries that were trimmed away while they were pending.
    pub(crate) lost: AtomicU64,
    /// The same by group, as far as the log has not been told.
    pub(crate) losses: keeping::Losses,
    /// Where the primary's word is not enough for every write.
    pub(crate) durable: OnceLock<Durable>,
    /// Where the next look for due timers begins, so that no partition is always the last.
    pub(crate) turn: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(link: Link, keys: Keys, namespace: String, partitions: u16) -> Self {
        Self {
            link,
            keys,
            namespace,
            partitions,
            lost: AtomicU64::new(0),
            losses: keeping::Losses::default(),
            durable: OnceLock::new(),
            turn: AtomicUsize::new(0),
        }
    }

    pub(crate) fn partition_of(&self, host: &HostName) -> Partition {
        Partition::of(host, self.partitions)
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.partitions).map(Partition)
    }
}

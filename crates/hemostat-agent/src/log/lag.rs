//! How far a group has come, in numbers that are right or say that they are not.
//!
//! A server's own idea of a group's lag is a difference of two counters and is nil or wrong after a trim past the
//! group, a deletion ahead of it, a group that was made in the middle, or a failover. Here entries are counted where
//! they stand. The numbers of the partition's sequence cannot tell how many entries of one stream are between two of
//! them, but no more than their difference can be: that bounds what is too much to be counted.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::{Role, Timestamp};

use super::{EntryId, Partition, StreamName};

/// A number of entries that was counted up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counted {
    /// At least so many there are.
    pub least: u64,
    /// And no more than these.
    pub most: u64,
}

impl Counted {
    /// A number that was counted to its end.
    #[must_use]
    pub const fn exactly(number: u64) -> Self {
        Self { least: number, most: number }
    }

    /// The number, where it was counted to its end.
    #[must_use]
    pub fn exact(self) -> Option<u64> {
        (self.least == self.most).then_some(self.least)
    }
}

/// From where the groups of a partition would go on if they were lost, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursors {
    /// The number of the last event of the partition at that moment. What came of the entries before a cursor has numbers
    /// up to this one.
    pub seq: u64,
    /// The durable cursor of each registered group in each of its streams; [`EntryId::ZERO`] where it has none yet.
    pub positions: BTreeMap<(Role, StreamName), EntryId>,
}

/// How far a group has come in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// The partition.
    pub partition: Partition,
    /// The stream.
    pub stream: StreamName,
    /// The group.
    pub role: Role,
    /// Whether the group is there. One that was lost is made anew by its next member; until then what was pending is
    /// not known, and everything behind its durable cursor counts as unread.
    pub exists: bool,
    /// Entries delivered and not acknowledged.
    pub pending: u64,
    /// Log time of the oldest pending entry.
    pub oldest_pending: Option<Timestamp>,
    /// Log time of the oldest entry that was never delivered.
    pub oldest_unread: Option<Timestamp>,
    /// Entries never delivered.
    pub unread: Counted,
    /// Entries that vanished from the stream before the group had dealt with them: those its members have found so
    /// far, and those among its oldest pending ones.
    pub lost: u64,
    /// Log time of the oldest entry of the stream.
    pub oldest_retained: Option<Timestamp>,
    /// The last sign of life of a member, as far as one was recorded; at most a minute behind.
    pub seen: Option<Timestamp>,
}

impl GroupStatus {
    /// Whether the numbers are those of the group; else they are bounds, and what is unknown must not be shown as 0.
    #[must_use]
    pub fn lag_known(&self) -> bool {
        self.exists && self.unread.exact().is_some()
    }

    /// Log time of the oldest entry that the group has not dealt with.
    #[must_use]
    pub fn oldest_needed(&self) -> Option<Timestamp> {
        [self.oldest_pending, self.oldest_unread].into_iter().flatten().min()
    }

    /// Log time between the oldest entry of the stream and the oldest one that the group still needs: what can be
    /// trimmed before the group loses something. Absent where it needs nothing.
    #[must_use]
    pub fn retention_margin(&self) -> Option<Duration> {
        Some(self.oldest_needed()?.since(self.oldest_retained?))
    }
}

//! What is asked of a log to forget.

use std::time::Duration;

use hemostat_event::Timestamp;

use super::{EntryId, Partition, StreamName};

/// One step of trimming a stream. The log itself works out how far it may go, in the same step in which it trims, so
/// that a group that comes or falls back meanwhile loses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trim {
    /// The partition.
    pub partition: Partition,
    /// The stream.
    pub stream: StreamName,
    /// Entries younger than this stay.
    pub keep: Duration,
    /// What else keeps entries.
    pub shelter: Shelter,
    /// Most entries removed by this step; a step that is too small for the log's way of storing them removes none, so
    /// at least 1,000.
    pub most: u64,
}

/// What keeps entries besides their age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelter {
    /// Nothing: measurements, which are worthless when they are old, while the log has no room for more.
    None,
    /// The archive alone: what the group of the archiver, where it is registered on the stream, has not come to stays.
    /// Measurements wait for nobody else.
    Archive,
    /// Every registered group, also one that was lost and is not made anew yet: what it has not acknowledged stays
    /// (L-4). And where there is an archive, what it does not have yet.
    Groups {
        /// The last entry that is in the archive; [`EntryId::ZERO`] before the first. Absent where none is configured.
        archived: Option<EntryId>,
    },
}

/// What a step of trimming came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// Entries removed.
    pub removed: u64,
    /// Entries from here on stay.
    pub up_to: EntryId,
    /// What they stay for.
    pub held_by: HeldBy,
}

/// What keeps the oldest entries that must stay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldBy {
    /// They are not old enough.
    Age,
    /// They are not in the archive.
    Archive,
    /// This group has not acknowledged them.
    Group(String),
}

/// A group that nobody was a member of for too long, and that does not keep entries any more. Its cursor stays: a
/// member that comes back goes on from there, as far as the entries are still there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abandoned {
    /// The partition.
    pub partition: Partition,
    /// The stream.
    pub stream: StreamName,
    /// The group; not always one of ours.
    pub group: String,
    /// The last sign of life of a member.
    pub seen: Timestamp,
}

//! What an auditor is told: findings with their place, notes, and how much was read.

use std::fmt;

use serde::Serialize;

use crate::chain::Digest;
use crate::head::{Loss, Signed};
use crate::keys::KeyId;
use crate::store::Tip;

/// What is wrong. Each is what was done, as far as that can be told from what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A head is not what was signed.
    HeadEdited,
    /// A head is signed with a key that is not believed.
    HeadNotBelieved,
    /// A head stands under the name of another.
    HeadMisplaced,
    /// A head contradicts itself, or the entries it speaks of.
    HeadContradicts,
    /// Segments between two others are gone.
    SegmentMissing,
    /// The end is gone: the tip names a later segment.
    EndMissing,
    /// There is no tip.
    TipMissing,
    /// The tip is not what was signed.
    TipEdited,
    /// The tip is signed with a key that is not believed.
    TipNotBelieved,
    /// The tip names another head than the one that is there, or another partition.
    TipElsewhere,
    /// The tip is an old one.
    TipBehind,
    /// A head follows another head than the one before it.
    PredecessorDiffers,
    /// The numbers of the entries do not go on, and no loss says why.
    NumbersDoNotFollow,
    /// The life of the log does not go on.
    EpochDoesNotFollow,
    /// The chain does not go on.
    ChainDoesNotFollow,
    /// The head of a revision is gone.
    RevisionMissing,
    /// A revision is not one of the head that is there.
    RevisionDiffers,
    /// The object of a segment is gone.
    ObjectMissing,
    /// The object of a segment is not what was sealed.
    ObjectEdited,
    /// The object of a segment is that of another.
    ObjectExchanged,
    /// Entries cannot be read.
    EntryUnreadable,
    /// An entry says something else than was sealed.
    EntryEdited,
    /// Entries are gone.
    EntryMissing,
    /// An entry was added.
    EntryInserted,
    /// An entry stands where it did not stand.
    EntryOutOfOrder,
    /// The index does not say what is in the frames.
    IndexContradicts,
    /// The head says that a stream ended elsewhere than it did.
    PositionsContradict,
    /// A body is gone that nobody ordered to be taken out, or is there although it was.
    BodyContradicts,
    /// A statement about keys is not what was signed.
    KeyEdited,
    /// A statement about keys is not signed by a key that is believed.
    KeyNotBelieved,
    /// A statement about keys is gone.
    KeyMissing,
    /// A statement about holds is not what was signed.
    HoldEdited,
    /// A statement about holds is not signed by a key that is believed.
    HoldNotBelieved,
    /// A statement about holds is gone.
    HoldMissing,
    /// What was held at that time was taken out or let go.
    HoldBroken,
    /// A line of the witness is none.
    WitnessEdited,
    /// The archive ends before what was seen.
    RolledBack,
    /// The archive has another head than the one that was seen.
    Forked,
}

/// What need not be wrong, and should be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// A file that no head names: an archiver that died half-way leaves one, and anybody may.
    Foreign,
    /// The object of a revision that was superseded is still there, with what was taken out.
    NotDeleted,
    /// The tip is one segment behind: an archiver died before it wrote it.
    TipBehind,
}

/// A place in an archive, as narrow as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct At {
    /// The partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u16>,
    /// The number of the segment, the first of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<u64>,
    /// The last of several segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_segment: Option<u64>,
    /// The number of the first entry that is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<u64>,
    /// The number of the last entry that is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<u64>,
    /// The path of the file below the archive, or the line of the witness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl At {
    /// A file.
    #[must_use]
    pub fn file(path: impl Into<String>) -> Self {
        Self { file: Some(path.into()), ..Self::default() }
    }

    /// A partition.
    #[must_use]
    pub fn partition(partition: u16) -> Self {
        Self { partition: Some(partition), ..Self::default() }
    }

    /// A segment of a partition.
    #[must_use]
    pub fn segment(partition: u16, number: u64) -> Self {
        Self { partition: Some(partition), segment: Some(number), ..Self::default() }
    }

    /// The place within a file.
    #[must_use]
    pub fn in_file(self, path: impl Into<String>) -> Self {
        Self { file: Some(path.into()), ..self }
    }

    /// The place, and the segments up to `last`.
    #[must_use]
    pub fn up_to(self, last: u64) -> Self {
        Self { last_segment: self.segment.filter(|first| *first < last).map(|_first| last), ..self }
    }

    /// The place, narrowed to entries.
    #[must_use]
    pub fn entries(self, first_seq: u64, last_seq: u64) -> Self {
        Self { first_seq: Some(first_seq), last_seq: Some(last_seq), ..self }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.partition.map(|partition| format!("partition {partition}")));
        match (self.segment, self.last_segment) {
            (Some(first), Some(last)) => parts.push(format!("segments {first} to {last}")),
            (Some(number), None) => parts.push(format!("segment {number}")),
            _ => {}
        }
        match (self.first_seq, self.last_seq) {
            (Some(first), Some(last)) if first != last => parts.push(format!("entries {first} to {last}")),
            (Some(seq), _) => parts.push(format!("entry {seq}")),
            _ => {}
        }
        parts.extend(self.file.clone());
        f.write_str(&parts.join(", "))
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// Where.
    pub at: At,
    /// How that is known, for people.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.detail)
    }
}

/// One thing that should be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What.
    pub kind: NoteKind,
    /// Where.
    pub at: At,
}

/// What was read of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// The partition.
    pub partition: u16,
    /// Segments whose head is believed.
    pub segments: u64,
    /// Heads of revisions, the first of each segment not counted.
    pub revisions: u64,
    /// Entries whose leaf was computed anew.
    pub events: u64,
    /// Bytes of the objects.
    pub bytes: u64,
    /// Bodies that were taken out.
    pub redactions: u64,
    /// Entries of which only the leaf is left.
    pub expired: u64,
    /// What was lost before it could be sealed, as it was signed.
    pub losses: Vec<Loss>,
    /// The last life of the log.
    pub epoch: u32,
    /// The number of the first entry.
    pub first_seq: u64,
    /// The number of the last entry.
    pub last_seq: u64,
    /// Log time of the earliest entry, in milliseconds since 1970.
    pub first_ms: u64,
    /// Log time of the latest entry, in milliseconds since 1970.
    pub last_ms: u64,
    /// The chain after the last entry.
    pub chain: Digest,
    /// The digest of the last head.
    pub head: Option<Digest>,
}

impl PartitionReport {
    pub(super) fn new(partition: u16) -> Self {
        Self {
            partition,
            segments: 0,
            revisions: 0,
            events: 0,
            bytes: 0,
            redactions: 0,
            expired: 0,
            losses: Vec::new(),
            epoch: 0,
            first_seq: 0,
            last_seq: 0,
            first_ms: u64::MAX,
            last_ms: 0,
            chain: Digest::ZERO,
            head: None,
        }
    }
}

/// What came of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The keys that were believed.
    pub keys: Vec<KeyId>,
    /// What was read, by partition.
    pub partitions: Vec<PartitionReport>,
    /// Holds that are in force.
    pub holds: u64,
    /// Lines of the witness that were held against the archive.
    pub witnessed: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// More that is wrong with segments that have many findings already.
    pub findings_unlisted: u64,
    /// What should be known.
    pub notes: Vec<Note>,
    /// The tips that are believed, for a witness.
    #[serde(skip)]
    pub tips: Vec<Signed<Tip>>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Findings of one segment that are listed; the rest is counted.
const PER_SEGMENT_MAX: usize = 100;

/// Takes findings down.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) list: Vec<Finding>,
    pub(super) unlisted: u64,
    since: usize,
}

impl Findings {
    pub(super) fn add(&mut self, kind: FindingKind, at: At, detail: impl Into<String>) {
        if self.list.len() - self.since < PER_SEGMENT_MAX {
            self.list.push(Finding { kind, at, detail: detail.into() });
        } else {
            self.unlisted += 1;
        }
    }

    /// Adds those of a segment.
    pub(super) fn append(&mut self, mut of_segment: Self) {
        self.list.append(&mut of_segment.list);
        self.unlisted += of_segment.unlisted;
    }

    /// Begins something else than what was found so far.
    pub(super) fn begin(&mut self) {
        self.since = self.list.len();
    }
}

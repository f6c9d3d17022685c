//! Makes segments: takes the entries of one partition in their order, and says what was missing.
//!
//! Pure: time, place and key come from outside. Whether a segment is there is decided by [`crate::Archive::publish`].

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hemostat_agent::log::{EntryId, StreamName};

use crate::chain::Digest;
use crate::head::{Head, Loss, ObjectRef, Signed, VERSION};
use crate::keys::PrivateKey;
use crate::object::Writer;
use crate::record::Record;
use crate::store::object_name;

#[cfg(test)]
mod tests;

/// When a segment is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// When its object has so many bytes.
    pub bytes: usize,
    /// When its first entry came so long ago.
    pub age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        // What is not sealed is lost with Redis: ten seconds of it. Eight mebibytes are read in a tenth of a second.
        Self { bytes: 8 << 20, age: Duration::from_secs(10) }
    }
}

/// A segment that is to be published.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Its object.
    pub object: Bytes,
    /// Its head.
    pub head: Signed<Head>,
}

/// Makes the segments of one partition.
pub struct Sealer {
    partition: u16,
    /// The head of the last segment.
    last: Option<Signed<Head>>,
    open: Option<Open>,
}

/// The segment that is being made.
struct Open {
    writer: Writer,
    first_seq: u64,
    last_seq: u64,
    count: u64,
    first_ms: u64,
    last_ms: u64,
    epoch: u32,
    losses: Vec<Loss>,
    positions: BTreeMap<String, String>,
}

impl Sealer {
    /// Goes on after `last`, or from the beginning.
    #[must_use]
    pub fn new(partition: u16, last: Option<Signed<Head>>) -> Self {
        Self { partition, last, open: None }
    }

    /// The head of the last segment.
    #[must_use]
    pub fn last(&self) -> Option<&Signed<Head>> {
        self.last.as_ref()
    }

    /// The positions after which the log has to be read on, and the number of the last entry.
    #[must_use]
    pub fn position(&self) -> (BTreeMap<StreamName, EntryId>, u64) {
        let Some(last) = &self.last else { return (BTreeMap::new(), 0) };
        (positions(&last.statement), last.statement.last_seq)
    }

    /// Whether the entry has to begin another segment, because the log began anew: the open one has to be sealed first.
    #[must_use]
    pub fn begins_anew(&self, record: &Record) -> bool {
        self.open.as_ref().is_some_and(|open| record.seq <= open.last_seq)
    }

    /// Adds the next entry.
    pub fn push(&mut self, record: &Record) {
        let before = match (&self.open, &self.last) {
            (Some(open), _) => open.last_seq,
            (None, Some(last)) => last.statement.last_seq,
            (None, None) => 0,
        };
        let open = self.open.get_or_insert_with(|| {
            let last = self.last.as_ref().map(|last| &last.statement);
            Open {
                writer: Writer::new(last.map_or(Digest::ZERO, |last| last.chain_after)),
                first_seq: record.seq,
                last_seq: before,
                count: 0,
                first_ms: record.id.ms,
                last_ms: record.id.ms,
                epoch: last.map_or(1, |last| last.epoch),
                losses: Vec::new(),
                positions: last.map(|last| last.positions.clone()).unwrap_or_default(),
            }
        });
        let expected = before + 1;
        if expected < record.seq {
            open.losses.push(Loss::Missing { first_seq: expected, last_seq: record.seq - 1 });
        } else if record.seq < expected {
            open.epoch += 1;
            open.losses.push(Loss::Restarted { expected_seq: expected, found_seq: record.seq });
        }
        open.writer.push(record);
        open.last_seq = record.seq;
        open.count += 1;
        open.first_ms = open.first_ms.min(record.id.ms);
        open.last_ms = open.last_ms.max(record.id.ms);
        open.positions.insert(record.stream.to_string(), record.id.to_string());
    }

    /// Entries in the open segment.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.count)
    }

    /// Whether the open segment is large enough.
    #[must_use]
    pub fn is_full(&self, settings: &Settings) -> bool {
        self.open.as_ref().is_some_and(|open| settings.bytes <= open.writer.length())
    }

    /// Ends the open segment; `None` when there is none. [`Sealer::published`] says that it is there.
    #[must_use]
    pub fn seal(
        &mut self,
        key: &PrivateKey,
        cursors: BTreeMap<String, String>,
        sealed_ms: u64,
        sealed_by: &str,
    ) -> Option<Sealed> {
        let open = self.open.take()?;
        let (chain_after, root) = (open.writer.chain(), open.writer.root());
        let (object, _index) = open.writer.finish();
        let digest = Digest::of(&object);
        let last = self.last.as_ref();
        let number = last.map_or(1, |last| last.statement.number + 1);
        let head = Head {
            version: VERSION,
            partition: self.partition,
            number,
            revision: 0,
            epoch: open.epoch,
            first_seq: open.first_seq,
            last_seq: open.last_seq,
            count: open.count,
            first_ms: open.first_ms,
            last_ms: open.last_ms,
            losses: open.losses,
            chain_before: last.map_or(Digest::ZERO, |last| last.statement.chain_after),
            chain_after,
            root,
            object: ObjectRef { name: object_name(number, digest), bytes: object.len() as u64, digest },
            predecessor: last.map(|last| last.digest),
            supersedes: None,
            redactions: Vec::new(),
            expired: BTreeMap::new(),
            positions: open.positions,
            cursors,
            sealed_ms,
            sealed_by: sealed_by.to_owned(),
            key: key.public().id(),
        };
        Some(Sealed { object, head: Signed::sign(head, key) })
    }

    /// Goes on after a segment that is there now.
    pub fn published(&mut self, head: Signed<Head>) {
        self.last = Some(head);
    }
}

/// How far each stream of the partition was read when a segment was sealed.
pub(crate) fn positions(head: &Head) -> BTreeMap<StreamName, EntryId> {
    let read = |(stream, id): (&String, &String)| Some((stream.parse().ok()?, id.parse().ok()?));
    head.positions.iter().filter_map(read).collect()
}

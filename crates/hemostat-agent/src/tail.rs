//! Reads the whole log in the order of its sequence, outside any group.
//!
//! Readers along (the operator's tools, later the dashboard and the metrics exporter) have no state in the log:
//! two of them see the same.
//!
//! Invariant T-1: events of one partition are handed out in strictly increasing order of `seq`, although they
//! stand in several streams. A round reads all streams and takes the highest number it saw as its mark. What has
//! a lower number was appended before the mark was, so a second reading of the streams finds all of it; what the
//! second reading finds beyond the mark waits for the next round.

use std::collections::BTreeMap;
use std::sync::Arc;

use hemostat_event::{EventType, Timestamp};

use crate::log::{Entry, EntryId, EventLog, LogError, Partition, StreamName};

/// A position in the log, and what was read beyond it.
pub struct Tail {
    log: Arc<dyn EventLog>,
    from: EntryId,
    skip: Vec<EventType>,
    partitions: BTreeMap<Partition, Side>,
}

/// How far one partition has been read.
#[derive(Default)]
struct Side {
    positions: BTreeMap<StreamName, EntryId>,
    /// Read and not handed out, by sequence number; entries without one come first.
    waiting: BTreeMap<(u64, StreamName, EntryId), Entry>,
}

/// Most entries of one stream in one reading.
const PAGE: usize = 1_000;

impl Tail {
    /// Begins at `since`, or at the oldest event the log has; leaves the types in `skip` out.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, since: Option<Timestamp>, skip: Vec<EventType>) -> Self {
        let from = since.map_or(EntryId::ZERO, |time| EntryId { ms: time.millis(), n: 0 }.before());
        let partitions = log.partitions().into_iter().map(|partition| (partition, Side::default())).collect();
        Self { log, from, skip, partitions }
    }

    /// The next events, in order; empty when there are no more for now.
    ///
    /// # Errors
    /// Those of the log. The position stays where it was, so the call can be repeated.
    pub async fn next(&mut self) -> Result<Vec<Entry>, LogError> {
        let mut ready = Vec::new();
        let partitions: Vec<_> = self.partitions.keys().copied().collect();
        for partition in partitions {
            let first = self.read(partition).await?;
            // A full page may hide lower numbers than those of other streams: nothing beyond it is complete.
            let mark = first.complete_to.min(first.highest);
            self.read(partition).await?;
            let side = self.partitions.get_mut(&partition).expect("the keys come from this map");
            let beyond = side.waiting.split_off(&(mark.saturating_add(1), lowest_name(), EntryId::ZERO));
            ready.extend(std::mem::replace(&mut side.waiting, beyond).into_values());
        }
        Ok(ready)
    }

    /// Reads every stream of a partition once.
    async fn read(&mut self, partition: Partition) -> Result<Reading, LogError> {
        let streams = self.log.streams(partition).await?;
        let side = self.partitions.get_mut(&partition).expect("every partition of the log has a side");
        let mut complete_to = u64::MAX;
        for stream in streams {
            if self.skip.contains(&stream.event_type()) {
                continue;
            }
            let after = side.positions.get(&stream).copied().unwrap_or(self.from);
            let entries = self.log.range(partition, &stream, after, PAGE).await?;
            let full = entries.len() == PAGE;
            if let Some(last) = entries.last() {
                side.positions.insert(stream.clone(), last.at.id);
                if full {
                    complete_to = complete_to.min(last.seq.unwrap_or(0));
                }
            }
            for entry in entries {
                let key = (entry.seq.unwrap_or(0), stream.clone(), entry.at.id);
                side.waiting.insert(key, entry);
            }
        }
        let highest = side.waiting.last_key_value().map_or(0, |((seq, _, _), _)| *seq);
        Ok(Reading { highest, complete_to })
    }
}

/// What one reading of a partition came to.
struct Reading {
    /// Highest sequence number that waits.
    highest: u64,
    /// Up to here no stream has more to give.
    complete_to: u64,
}

/// The stream name that sorts before all others.
fn lowest_name() -> StreamName {
    StreamName::Type(EventType::ALL[0])
}

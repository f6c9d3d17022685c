//! Reads the whole log in the order of its sequence, outside any group.
//!
//! Readers along (the operator's tools, later the dashboard and the metrics exporter) have no state in the log:
//! two of them see the same.
//!
//! Invariant T-1: events of one partition are handed out in strictly increasing order of `seq`, although they
//! stand in several streams. A round reads all streams and takes the highest number it saw as its mark. What has
//! a lower number was appended before the mark was, so a second reading of the streams finds all of it; what the
//! second reading finds beyond the mark waits for the next round. A stream that is not read to its end (it gave a
//! full page, or has one waiting) lowers the mark to the last number it gave: beyond that it may hide lower ones.
//!
//! A log that was lost as a whole counts from 1 again. What it gives then is of another life: it comes behind all that was
//! read of the life before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hemostat_event::{EventType, Timestamp};
use tracing::warn;

use crate::log::{Entry, EntryId, EventLog, FIELD_SEQ, LogError, Partition, Stored, StreamName};

#[cfg(test)]
mod tests;

/// A position in the log, and what was read beyond it.
pub struct Tail {
    log: Arc<dyn EventLog>,
    from: EntryId,
    skip: Vec<EventType>,
    page: usize,
    partitions: BTreeMap<Partition, Streams>,
}

/// How far the streams of one partition have been read.
#[derive(Default)]
struct Streams {
    positions: BTreeMap<StreamName, Position>,
    life: Life,
}

/// A life of the log, and a number in it.
type Place = (u32, u64);

/// What is known of the present life of the log.
#[derive(Default)]
struct Life {
    /// Which one it is, as far as it was seen.
    count: u32,
    /// Log time of the first entry that showed it, in milliseconds.
    began_ms: u64,
    /// Up to here all of it was handed out.
    handed: u64,
}

/// How far one stream has been read.
struct Position {
    after: EntryId,
    /// Where the last entry read stands in the order of all streams.
    place: Place,
    /// Read and not handed out, in order.
    waiting: VecDeque<(Place, Stored)>,
    /// Whether the last reading came to the end of the stream.
    at_end: bool,
}

impl Position {
    fn after(after: EntryId, life: &Life) -> Self {
        Self { after, place: (life.count, 0), waiting: VecDeque::new(), at_end: false }
    }
}

/// Most entries of one stream in one reading. As long as a stream has more than that, at least as many are handed out.
pub(crate) const PAGE: usize = 1_000;

impl Tail {
    /// Begins at `since`, or at the oldest event the log has; leaves the types in `skip` out.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, since: Option<Timestamp>, skip: Vec<EventType>) -> Self {
        let from = since.map_or(EntryId::ZERO, |time| EntryId { ms: time.millis(), n: 0 }.before());
        let partitions =
            log.partitions().into_iter().map(|partition| (partition, Streams::default())).collect();
        Self { log, from, skip, page: PAGE, partitions }
    }

    /// Reads no other partition than this one.
    #[must_use]
    pub fn only(mut self, partition: Partition) -> Self {
        self.partitions.retain(|other, _| *other == partition);
        self
    }

    /// Goes on in one partition behind what somebody has read of each of its streams, not before the beginning.
    pub fn resume(&mut self, partition: Partition, read: impl IntoIterator<Item = (StreamName, EntryId)>) {
        // A log that was made anew may have fewer partitions.
        let Some(Streams { positions, life }) = self.partitions.get_mut(&partition) else { return };
        let from = self.from;
        positions
            .extend(read.into_iter().map(|(stream, after)| (stream, Position::after(after.max(from), life))));
    }

    /// The next events, in order; empty when there are no more for now.
    ///
    /// # Errors
    /// Those of the log. Nothing is lost by one: the call can be repeated.
    pub async fn next(&mut self) -> Result<Vec<Entry>, LogError> {
        Ok(self.next_stored().await?.iter().map(Stored::entry).collect())
    }

    /// The same, as the entries stand.
    ///
    /// # Errors
    /// As for [`Tail::next`].
    pub async fn next_stored(&mut self) -> Result<Vec<Stored>, LogError> {
        let mut marks = Vec::new();
        let partitions: Vec<_> = self.partitions.keys().copied().collect();
        for partition in partitions {
            let first = self.read(partition).await?;
            if first.nothing_waits {
                continue;
            }
            let second = self.read(partition).await?;
            marks.push((partition, first.highest.min(second.complete_to)));
        }
        // Handed out only now: what an error interrupts goes on waiting.
        let mut ready = Vec::new();
        for (partition, mark) in marks {
            let streams = self.partitions.get_mut(&partition).expect("the keys come from this map");
            if mark.0 == streams.life.count {
                streams.life.handed = mark.1;
            }
            ready.extend(up_to(mark, &mut streams.positions));
        }
        Ok(ready)
    }

    /// Reads every stream of a partition once, up to a page.
    async fn read(&mut self, partition: Partition) -> Result<Reading, LogError> {
        let names = self.log.streams(partition).await?;
        let Streams { positions, life } =
            self.partitions.get_mut(&partition).expect("every partition of the log has positions");
        for name in names {
            if self.skip.contains(&name.event_type()) {
                continue;
            }
            let position = positions.entry(name.clone()).or_insert_with(|| Position::after(self.from, life));
            if self.page <= position.waiting.len() {
                // Waits for slower streams: more of it would only fill the memory.
                position.at_end = false;
                continue;
            }
            let entries = self.log.stored(partition, &name, position.after, self.page).await?;
            position.at_end = entries.len() < self.page;
            for entry in entries {
                position.after = entry.at.id;
                // An entry that was not written by us has no number and follows the one before it.
                if let Some(number) = number(&entry) {
                    position.place = life.place(position.place, number, &entry);
                }
                position.waiting.push_back((position.place, entry));
            }
        }
        Ok(Reading::of(positions))
    }
}

impl Life {
    /// Where an entry stands that follows `last` in its stream. A number that was there before is of another life.
    fn place(&mut self, last: Place, number: u64, entry: &Stored) -> Place {
        let (life, before) = last;
        if life < self.count {
            let is_of_this = number <= before || self.began_ms <= entry.at.id.ms;
            return (if is_of_this { self.count } else { life }, number);
        }
        if number <= before.max(self.handed) {
            warn!(
                partition = entry.at.partition.0,
                found = number,
                expected = before.max(self.handed) + 1,
                "the log was lost and began anew"
            );
            *self = Self { count: self.count + 1, began_ms: entry.at.id.ms, handed: 0 };
        }
        (self.count, number)
    }
}

/// What is known of a partition after a reading.
struct Reading {
    nothing_waits: bool,
    /// Highest place that was read and not handed out.
    highest: Place,
    /// Up to here no stream has more to give than was read.
    complete_to: Place,
}

impl Reading {
    fn of(positions: &BTreeMap<StreamName, Position>) -> Self {
        let last = |position: &Position| position.waiting.back().map(|(place, _)| *place);
        let highest = positions.values().filter_map(last).max();
        let hiding = positions.values().filter(|position| !position.at_end);
        Self {
            nothing_waits: highest.is_none(),
            highest: highest.unwrap_or_default(),
            complete_to: hiding.filter_map(last).min().unwrap_or((u32::MAX, u64::MAX)),
        }
    }
}

/// The number of an entry, where it has one.
fn number(entry: &Stored) -> Option<u64> {
    let number = entry.fields.iter().find(|(name, _)| name == FIELD_SEQ.as_bytes());
    number.and_then(|(_, number)| std::str::from_utf8(number).ok()?.parse().ok())
}

/// Takes what waits up to `mark`, in order.
fn up_to(
    mark: Place,
    positions: &mut BTreeMap<StreamName, Position>,
) -> impl Iterator<Item = Stored> + use<> {
    let mut ready = Vec::new();
    for position in positions.values_mut() {
        while let Some(next) = position.waiting.pop_front_if(|(place, _)| *place <= mark) {
            ready.push(next);
        }
    }
    // Stable: entries without a number of their own keep the order of their stream.
    ready.sort_by_key(|(place, _)| *place);
    ready.into_iter().map(|(_, entry)| entry)
}

//! A point of the log, and the states as they were there.
//!
//! Invariant S-1: the states at a point are the fold of the entries up to it, in the order of each partition. A time
//! ends a partition before its first entry that was written later; a place or an event ends its own partition, and
//! says nothing of the others, because there is no order between partitions.
//!
//! Where the numbers of a partition begin anew (its log was lost) the states begin anew too; a place is then the first
//! that has the number.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::bail;
use hemostat_archive::Record;
use hemostat_event::cloudevents::Position;
use hemostat_event::{Event, EventId, Timestamp};

use super::KnownOfAll;
use super::latest::Latest;
use super::states::States;
use crate::screen;

/// A point of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// What was written at this time or before.
    Time(Timestamp),
    /// Up to this entry, which is taken in.
    Place(Position),
    /// Up to this event, which is taken in.
    Event(EventId),
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = || {
            let (partition, seq) = text.split_once('/')?;
            Some(Position { partition: partition.parse().ok()?, seq: seq.parse().ok()? })
        };
        if let Some(place) = place() {
            return Ok(Self::Place(place));
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Event(id));
        }
        screen::time(text).map(Self::Time).map_err(|_malformed| {
            format!("`{text}` is no time (2026-11-24T06:05:36Z), no place (0/17) and no id of an event")
        })
    }
}

/// Folds a log up to a point.
pub(crate) struct Fold {
    point: Point,
    partitions: BTreeMap<u16, Partition>,
}

#[derive(Default)]
struct Partition {
    states: States,
    latest: Latest,
    last_seq: u64,
    /// Whether the point was reached; what follows is passed over.
    has_ended: bool,
}

impl Fold {
    /// Begins before the first entry.
    pub(crate) fn new(point: &Point) -> Self {
        Self { point: *point, partitions: BTreeMap::new() }
    }

    /// Takes in the next entry of a partition, which was written at `written`; `event` is what could be read of it. Says
    /// whether it stands before the point, or is it.
    pub(crate) fn take_in(&mut self, position: Position, written: Timestamp, event: Option<&Event>) -> bool {
        let partition = self.partitions.entry(position.partition).or_default();
        let begins_anew = position.seq <= partition.last_seq;
        let is_behind = match self.point {
            // Entries know their time in milliseconds.
            Point::Time(time) => time.millis() < written.millis(),
            Point::Place(place) => {
                place.partition == position.partition
                    && (place.seq < position.seq || begins_anew && place.seq <= partition.last_seq)
            }
            Point::Event(_) => false,
        };
        partition.has_ended |= is_behind;
        if partition.has_ended {
            return false;
        }
        if begins_anew {
            partition.states = States::default();
        }
        partition.last_seq = position.seq;
        if let Some(event) = event {
            partition.states.fold(position, event);
        }
        partition.has_ended = match self.point {
            Point::Time(_) => false,
            Point::Place(place) => place == position,
            Point::Event(id) => event.is_some_and(|event| event.envelope.id == id),
        };
        true
    }

    /// Takes in the entry that was last taken in as the sample that it is.
    pub(super) fn take_in_sample(&mut self, partition: u16, record: &Record) {
        self.partitions.entry(partition).or_default().latest.take_in(record);
    }

    /// What was known at the point.
    ///
    /// # Errors
    /// When the point is a place or an event, and the log did not come to it.
    pub(crate) fn finish(self) -> anyhow::Result<KnownOfAll> {
        match self.point {
            Point::Time(_) => {}
            // The entry itself may be missing, as in a recording of a slice, but not everything behind it.
            Point::Place(place)
                if !self.partitions.get(&place.partition).is_some_and(|part| part.has_ended) =>
            {
                bail!("the log does not come to {}/{}", place.partition, place.seq)
            }
            Point::Event(id) if !self.partitions.values().any(|partition| partition.has_ended) => {
                bail!("there is no event {id}")
            }
            Point::Place(_) | Point::Event(_) => {}
        }
        let is_of_it = |number: u16, partition: &Partition| match self.point {
            Point::Time(_) => true,
            Point::Place(place) => place.partition == number,
            Point::Event(_) => partition.has_ended,
        };
        let mut of_all = KnownOfAll::new();
        for (number, partition) in
            self.partitions.into_iter().filter(|(number, part)| is_of_it(*number, part))
        {
            let known = partition.states.known().filter(|(_, known)| *known != super::Known::default());
            of_all.extend(known.map(|(subject, known)| ((number, subject), known)));
            for (subject, measured) in partition.latest.finish() {
                of_all.entry((number, subject)).or_default().sample = Some(measured);
            }
        }
        Ok(of_all)
    }
}

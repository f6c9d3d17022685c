//! What is played: all entries, in the order of their partitions and of their times.
//!
//! Invariant PL-2: entries of one partition keep their order. Where the clock of the log was set back, an entry is
//! played with the one before it.
//!
//! They are held in memory as they are stored: an archive is read partition by partition, and is played side by side.

use anyhow::bail;
use hemostat_archive::{Body, Record};
use hemostat_event::cloudevents::Position;
use hemostat_event::{EventId, EventType, Role, Timestamp, codec};

use crate::source::Source;
use crate::state::Point;

/// Most bytes of all entries.
const BYTES_MAX: usize = 2 << 30;

/// The entries.
pub(super) struct Feed(Vec<Entry>);

/// An entry.
pub(super) struct Entry {
    /// Where it stands.
    pub position: Position,
    /// When it was written; never before the one before it in its partition.
    pub at: Timestamp,
    /// The entry itself.
    pub record: Record,
    /// Who wrote it, where that can be read.
    pub role: Option<Role>,
    id: Option<EventId>,
}

impl Feed {
    /// Reads everything there is.
    ///
    /// # Errors
    /// Those of the source, and when it is too much to be held.
    pub(super) async fn read(source: &mut Source) -> anyhow::Result<Self> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while let Some(records) = source.next().await? {
            for (partition, record) in records {
                bytes += size_of::<Entry>() + length(&record);
                if BYTES_MAX < bytes {
                    bail!(
                        "more than {} GiB of entries; play a slice of it: see `hemostat-replay record`",
                        BYTES_MAX >> 30
                    );
                }
                entries.push(Entry::of(partition, record));
            }
        }
        Ok(Self::of(entries))
    }

    fn of(mut entries: Vec<Entry>) -> Self {
        // First each partition by itself, in the order in which it came, with times that never fall.
        entries.sort_by_key(|entry| entry.position.partition);
        let mut last: Option<(u16, Timestamp)> = None;
        for entry in &mut entries {
            if let Some((_, before)) = last.filter(|(partition, _)| *partition == entry.position.partition) {
                entry.at = entry.at.max(before);
            }
            last = Some((entry.position.partition, entry.at));
        }
        // A stable sort: those of one time keep the order of their partition.
        entries.sort_by_key(|entry| entry.at);
        Self(entries)
    }

    /// The entries, in the order in which they are played.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// How many entries stand before a point; with `taken_in`, those at the point too.
    ///
    /// # Errors
    /// When there is no such point in what was read.
    pub(super) fn before(&self, point: &Point, taken_in: bool) -> Result<usize, String> {
        let place = match *point {
            Point::Time(time) => {
                let is_before = |entry: &Entry| {
                    if taken_in { entry.at.millis() <= time.millis() } else { entry.at < time }
                };
                return Ok(self.0.partition_point(is_before));
            }
            Point::Place(place) => {
                let at = |entry: &Entry| {
                    entry.position.partition == place.partition && place.seq <= entry.position.seq
                };
                // The entry itself may be missing, as in a recording of a slice; the next one stands for it.
                let found = self.0.iter().position(at);
                found.ok_or_else(|| format!("the log does not come to {}/{}", place.partition, place.seq))?
            }
            Point::Event(id) => {
                let found = self.0.iter().position(|entry| entry.id == Some(id));
                found.ok_or_else(|| format!("there is no event {id}"))?
            }
        };
        let is_it = match *point {
            Point::Place(at) => self.0[place].position == at,
            _ => true,
        };
        Ok(place + usize::from(taken_in && is_it))
    }

    /// How many entries stand up to the first of this type behind the first `from`, that one taken in.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn up_to(&self, kind: EventType, from: usize) -> Result<usize, String> {
        let is_it = |entry: &Entry| entry.record.stream.event_type() == kind;
        let found = self.0.iter().skip(from).position(is_it);
        found.map(|place| from + place + 1).ok_or_else(|| format!("there is no `{kind}` in what is played"))
    }
}

impl Entry {
    fn of(partition: u16, record: Record) -> Self {
        let header = match &record.body {
            Body::Whole { header, .. } | Body::Taken { header, .. } => codec::header(header).ok(),
            Body::Leaf(_) => None,
        };
        Self {
            position: Position { partition, seq: record.seq },
            at: record.id.time(),
            role: header.as_ref().map(|header| header.envelope.source.role),
            id: header.map(|header| header.envelope.id),
            record,
        }
    }
}

fn length(record: &Record) -> usize {
    match &record.body {
        Body::Whole { header, body, .. } => header.len() + body.len(),
        Body::Taken { header, .. } => header.len(),
        Body::Leaf(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use hemostat_agent::log::EntryId;

    use super::*;

    fn entry(partition: u16, seq: u64, ms: u64) -> Entry {
        let fields = [("seq", seq.to_string()), ("event", String::new())];
        let stream = if seq.is_multiple_of(2) { "health_alert" } else { "container_changed" };
        let record = Record::read(stream.parse().unwrap(), EntryId { ms, n: 0 }, &fields, [0; 16]).unwrap();
        Entry::of(partition, record)
    }

    fn places(feed: &Feed) -> Vec<(u16, u64)> {
        feed.entries().iter().map(|entry| (entry.position.partition, entry.position.seq)).collect()
    }

    fn feed() -> Feed {
        // The second of partition 0 was written after the clock was set back; partition 1 came later.
        Feed::of(vec![entry(0, 1, 100), entry(0, 2, 40), entry(0, 3, 130), entry(1, 1, 50), entry(1, 2, 120)])
    }

    #[test]
    fn partitions_are_played_side_by_side_and_keep_their_order() {
        let feed = feed();
        assert_eq!(places(&feed), [(1, 1), (0, 1), (0, 2), (1, 2), (0, 3)]);
        assert_eq!(feed.entries()[2].at, Timestamp::from_millis(100));
    }

    #[test]
    fn points_are_found_before_and_behind_what_stands_there() {
        let feed = feed();
        let before = |text: &str| feed.before(&text.parse().unwrap(), false);
        let behind = |text: &str| feed.before(&text.parse().unwrap(), true);
        assert_eq!((before("0/2"), behind("0/2")), (Ok(2), Ok(3)));
        assert_eq!((before("1970-01-01T00:00:00.100Z"), behind("1970-01-01T00:00:00.100Z")), (Ok(1), Ok(3)));
        assert_eq!((before("1970-01-02"), before("1969-12-31")), (Ok(5), Ok(0)));
        assert_eq!(before("2/1"), Err("the log does not come to 2/1".to_owned()));
        assert!(before("6d1e1a2b-7f4a-5c55-9d2b-2a5b8a1c9f00").is_err());
        // What is not there is stood for by what follows it, which is not taken in.
        let gap = Feed::of(vec![entry(0, 1, 10), entry(0, 9, 20)]);
        assert_eq!(gap.before(&"0/5".parse().unwrap(), true), Ok(1));
    }

    #[test]
    fn a_type_is_looked_for_from_where_it_begins() {
        let feed = feed();
        assert_eq!(feed.up_to(EventType::HealthAlert, 0), Ok(3));
        assert_eq!(feed.up_to(EventType::HealthAlert, 3), Ok(4));
        assert!(feed.up_to(EventType::Diagnosis, 0).is_err());
    }
}

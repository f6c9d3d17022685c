//! `info`: what there is to be read, and from when to when.

use std::collections::BTreeMap;

use hemostat_archive::{Record, Selection};
use hemostat_event::{EventType, Timestamp};
use serde::Serialize;

use crate::cli::{FromArgs, OutputArgs};
use crate::screen;
use crate::source::Source;

/// What there is.
#[derive(Debug, Default, Serialize)]
struct Info {
    entries: u64,
    /// Of them, those that stand in the live log and were not read from the archive.
    live: u64,
    partitions: BTreeMap<u16, Partition>,
    types: BTreeMap<EventType, u64>,
}

/// What there is of a partition.
#[derive(Debug, Serialize)]
struct Partition {
    entries: u64,
    /// Segments of the archive.
    segments: u64,
    first_seq: u64,
    last_seq: u64,
    /// When the first entry was written.
    first: Timestamp,
    /// When the last entry was written.
    last: Timestamp,
}

/// Reads all of it and counts.
///
/// # Errors
/// When there is nothing to read, or it is out of reach.
pub(crate) async fn run(from: &FromArgs, output: OutputArgs) -> anyhow::Result<bool> {
    let mut source = Source::open(from, Selection::default()).await?;
    let mut info = Info::default();
    while let Some(records) = source.next().await? {
        info.live += if source.is_live() { records.len() as u64 } else { 0 };
        for (partition, record) in &records {
            info.count(*partition, record);
        }
    }
    for (number, sealed) in source.sealed() {
        if let Some(partition) = info.partitions.get_mut(number) {
            partition.segments = sealed.segments;
        }
    }
    if output.is_json() { screen::json(&info) } else { info.print() }?;
    Ok(true)
}

impl Info {
    fn count(&mut self, number: u16, record: &Record) {
        let written = Timestamp::from_millis(record.id.ms);
        self.entries += 1;
        *self.types.entry(record.stream.event_type()).or_default() += 1;
        let partition = self.partitions.entry(number).or_insert(Partition {
            entries: 0,
            segments: 0,
            first_seq: record.seq,
            last_seq: record.seq,
            first: written,
            last: written,
        });
        partition.entries += 1;
        (partition.last_seq, partition.last) = (record.seq, written);
    }

    fn print(&self) -> anyhow::Result<()> {
        let mut table =
            screen::table(&["partition", "entries", "from", "to", "first (UTC)", "last (UTC)", "segments"]);
        for (number, partition) in &self.partitions {
            table.add_row([
                number.to_string(),
                partition.entries.to_string(),
                partition.first_seq.to_string(),
                partition.last_seq.to_string(),
                screen::date_time(partition.first),
                screen::date_time(partition.last),
                partition.segments.to_string(),
            ]);
        }
        screen::line(&table.to_string())?;
        screen::line("")?;
        let mut table = screen::table(&["type", "entries"]);
        for (kind, count) in &self.types {
            table.add_row([kind.to_string(), count.to_string()]);
        }
        screen::line(&table.to_string())?;
        screen::line("")?;
        screen::line(&format!("{} entries, {} of them in the live log only", self.entries, self.live))
    }
}

//! Where events come from: the archive first, then the live log behind it; each partition in the order of its numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use hemostat_agent::log::{EntryId, EventLog, Partition, StreamName};
use hemostat_agent::tail::Tail;
use hemostat_archive::{Archive, Digest, Head, Loss, Reader, Record, Sealer, Selection, Signed};
use hemostat_event::{EventType, Timestamp};
use hemostat_redis::{RedisLog, RedisSettings};
use serde::{Deserialize, Serialize};

use crate::cli::FromArgs;
use crate::recording::Recording;

/// An entry, and its partition.
pub(crate) type Read = (u16, Record);

/// What is read, and how far it was.
pub(crate) struct Source {
    archive: Option<Archive>,
    /// The recording, and the number of its next part.
    recording: Option<(Recording, usize)>,
    /// Partitions of the archive that were not begun.
    partitions: Vec<u16>,
    /// The partition of the archive that is being read.
    reader: Option<(u16, Reader)>,
    selection: Selection,
    tail: Option<Tail>,
    archived: Archived,
    /// Whether anything was read.
    is_empty: bool,
    /// What the heads say, by partition that was begun.
    sealed: BTreeMap<u16, Sealed>,
}

/// What the heads of a partition say, taken together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// Segments.
    pub segments: u64,
    /// Entries: the sum over all heads.
    pub entries: u64,
    /// The number of the first entry.
    pub first_seq: u64,
    /// The number of the last entry.
    pub last_seq: u64,
    /// The chain after the last entry.
    pub chain_after: Digest,
    /// The life of the log that the last entry is of, from 1.
    pub epoch: u32,
    /// What was lost before it could be sealed.
    pub losses: Vec<Loss>,
}

impl Sealed {
    fn of(heads: &[Signed<Head>]) -> Option<Self> {
        let (first, last) = (&heads.first()?.statement, &heads.last()?.statement);
        Some(Self {
            segments: heads.len() as u64,
            entries: heads.iter().map(|head| head.statement.count).sum(),
            first_seq: first.first_seq,
            last_seq: last.last_seq,
            chain_after: last.chain_after,
            epoch: last.epoch,
            losses: heads.iter().flat_map(|head| head.statement.losses.clone()).collect(),
        })
    }
}

/// How far the archive has come in the streams of each partition.
#[derive(Default)]
struct Archived(BTreeMap<u16, BTreeMap<StreamName, EntryId>>);

impl Archived {
    /// Whether the archive has an entry that the live log has too. Its number does not tell: a log that has begun anew
    /// counts from 1 again.
    fn has(&self, partition: u16, record: &Record) -> bool {
        let last = self.0.get(&partition).and_then(|streams| streams.get(&record.stream));
        last.is_some_and(|last| record.id <= *last)
    }
}

impl Source {
    /// Opens what the arguments name. Of `selection` more than asked for may come: whole frames.
    ///
    /// # Errors
    /// When nothing is named, or what is named is out of reach.
    pub(crate) async fn open(from: &FromArgs, selection: Selection) -> anyhow::Result<Self> {
        if let Some(file) = &from.file {
            let recording = Recording::open(file)
                .with_context(|| format!("failed to open the recording {}", file.display()))?;
            return Ok(Self { recording: Some((recording, 0)), ..Self::nothing(selection) });
        }
        if from.archive.is_none() && from.redis.is_none() {
            bail!(
                "nothing to read: name an archive (--archive), a live log (--redis), both, or a recording (--file)"
            );
        }
        let archive = match &from.archive {
            Some(place) => Some(Archive::open(&place.parse()?).context("failed to open the archive")?),
            None => None,
        };
        let mut partitions = match &archive {
            Some(archive) => archive.partitions().await.context("failed to list the archive")?,
            None => Vec::new(),
        };
        partitions.reverse();
        let tail = match &from.redis {
            Some(url) => {
                Some(live(url, &from.namespace, archive.as_ref(), selection.since, &selection.types).await?)
            }
            None => None,
        };
        Ok(Self { archive, partitions, tail, ..Self::nothing(selection) })
    }

    /// Whether it is a recording that leaves entries out between others.
    pub(crate) fn has_gaps(&self) -> bool {
        self.recording.as_ref().is_some_and(|(recording, _)| recording.manifest.has_gaps)
    }

    fn nothing(selection: Selection) -> Self {
        Self {
            archive: None,
            recording: None,
            partitions: Vec::new(),
            reader: None,
            selection,
            tail: None,
            archived: Archived::default(),
            sealed: BTreeMap::new(),
            is_empty: true,
        }
    }

    /// The next entries, in the order of their partition; `None` when there are no more for now.
    ///
    /// # Errors
    /// Those of the archive and of the log, and when there is nothing at all.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Vec<Read>>> {
        let read = self.next_ones().await?;
        self.is_empty &= read.is_none();
        if read.is_none() && self.is_empty {
            bail!("there are no events in what was named; is it the right archive, Redis and namespace?");
        }
        Ok(read)
    }

    async fn next_ones(&mut self) -> anyhow::Result<Option<Vec<Read>>> {
        if let Some(read) = self.recorded_ones()? {
            return Ok(Some(read));
        }
        if let Some(read) = self.archived_ones().await? {
            return Ok(Some(read));
        }
        let Some(tail) = &mut self.tail else { return Ok(None) };
        loop {
            let stored = tail.next_stored().await.context("failed to read the log")?;
            if stored.is_empty() {
                return Ok(None);
            }
            let mut read = Vec::with_capacity(stored.len());
            for entry in stored {
                let partition = entry.at.partition.0;
                // What was never sealed has no salt yet.
                let record = Record::read(entry.at.stream, entry.at.id, &entry.fields, [0; 16]);
                let is_new = |record: &Record| !self.archived.has(partition, record);
                read.extend(record.filter(is_new).map(|record| (partition, record)));
            }
            if !read.is_empty() {
                return Ok(Some(read));
            }
        }
    }

    fn recorded_ones(&mut self) -> anyhow::Result<Option<Vec<Read>>> {
        let Some((recording, next)) = &mut self.recording else { return Ok(None) };
        while let Some((partition, frames)) = recording.part(*next)? {
            *next += 1;
            let mut read = Vec::new();
            for frame in &frames.index.frames {
                if self.selection.wants_frame(&frames.index, frame) {
                    read.extend(frames.frame(frame)?.into_iter().map(|record| (partition, record)));
                }
            }
            if !read.is_empty() {
                return Ok(Some(read));
            }
        }
        Ok(None)
    }

    /// What the heads of the archive say, by partition; complete when [`Source::next`] has come to the live log.
    pub(crate) fn sealed(&self) -> &BTreeMap<u16, Sealed> {
        &self.sealed
    }

    /// Whether the archive is read to its end: what came last came from the live log.
    pub(crate) fn is_live(&self) -> bool {
        self.reader.is_none() && self.partitions.is_empty()
    }

    async fn archived_ones(&mut self) -> anyhow::Result<Option<Vec<Read>>> {
        let Some(archive) = &self.archive else { return Ok(None) };
        loop {
            if let Some((partition, reader)) = &mut self.reader {
                if let Some(records) = reader.next().await? {
                    return Ok(Some(records.into_iter().map(|record| (*partition, record)).collect()));
                }
                self.reader = None;
            }
            let Some(partition) = self.partitions.pop() else { return Ok(None) };
            let heads = archive.heads(partition).await?;
            self.archived.0.insert(partition, Sealer::new(partition, heads.last().cloned()).position().0);
            self.sealed.extend(Sealed::of(&heads).map(|sealed| (partition, sealed)));
            self.reader = Some((partition, Reader::of(archive, heads, self.selection.clone())));
        }
    }
}

/// Everything but measurements, which nothing is decided on.
pub(crate) fn decisions() -> Selection {
    let types = EventType::ALL.into_iter().filter(|kind| *kind != EventType::ContainerSample).collect();
    Selection { types, ..Selection::default() }
}

/// The live log, behind what is archived.
async fn live(
    url: &str,
    namespace: &str,
    archive: Option<&Archive>,
    since: Option<Timestamp>,
    types: &BTreeSet<EventType>,
) -> anyhow::Result<Tail> {
    let settings = RedisSettings { url: url.to_owned(), namespace: namespace.to_owned(), partitions: None };
    let log = RedisLog::connect(settings).await.context("failed to open the event log at --redis")?;
    let log: Arc<dyn EventLog> = Arc::new(log);
    let skip = EventType::ALL.into_iter().filter(|kind| !types.is_empty() && !types.contains(kind)).collect();
    let mut tail = Tail::new(log, since, skip);
    if let Some(archive) = archive {
        for partition in archive.partitions().await? {
            let (positions, _seq) = Sealer::new(partition, archive.last(partition).await?).position();
            tail.resume(Partition(partition), positions);
        }
    }
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_began_anew_goes_on_behind_its_archive() {
        let stream: StreamName = "health_alert".parse().unwrap();
        let entry = |seq: u64, ms| {
            let fields = [("seq", seq.to_string()), ("event", String::new())];
            Record::read(stream.clone(), EntryId { ms, n: 0 }, &fields, [0; 16]).unwrap()
        };
        let archived = Archived([(0, [(stream.clone(), EntryId { ms: 500, n: 0 })].into())].into());
        assert!(archived.has(0, &entry(100, 500)));
        assert!(!archived.has(0, &entry(1, 501)), "its number is small, and it is newer");
        assert!(!archived.has(1, &entry(100, 500)), "of another partition");
    }
}

//! The whole log, read once through: the archive first, then the live log behind it; each partition in the order of its
//! numbers.
//!
//! Invariants:
//! - I-1: an entry comes once. What both have is known by its place in its stream; its number does not tell, because a
//!   log that has begun anew counts from 1 again.
//! - I-2: nothing is left out between the two, although the log may be trimmed behind the archive while the archive is
//!   read. What is gone from the log was published before. So what comes from the log is held back until the archive was
//!   asked once more for what it has got meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_agent::log::{Entry, EntryError, EntryId, EntryRef, LogError, Partition, Stored, StreamName};
use hemostat_agent::tail::Tail;
use hemostat_event::Timestamp;
use tokio::time::Instant;

use crate::failure::ArchiveError;
use crate::head::{Head, Signed};
use crate::read::{Reader, Selection};
use crate::record::Record;
use crate::seal::positions;
use crate::store::Archive;

#[cfg(test)]
mod tests;

/// How long an answer of the archive about its end holds while the log is read. Nothing that is so young is trimmed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The whole log, as far as archive and log have it.
pub struct History {
    archive: Option<Archive>,
    tail: Option<Tail>,
    selection: Selection,
    wanted: Heads,
    /// Partitions of the archive that were not begun, the next one last.
    partitions: Vec<u16>,
    /// Segments that were published after their partition was read, by partition.
    later: Vec<(u16, Vec<Signed<Head>>)>,
    /// The partition of the archive that is being read.
    reader: Option<(u16, Reader)>,
    /// How far each partition of the archive has been read.
    ends: BTreeMap<u16, End>,
    /// How far the live log has been handed out.
    handed: Positions,
    /// The log time of the last entry of the live log that is wanted, in milliseconds.
    last_ms: u64,
    /// Read from the live log and held back.
    held: Vec<Stored>,
    stage: Stage,
}

/// Which heads are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heads {
    /// Those of segments that may have something of the selection.
    Needed,
    /// All, for who wants to know what they say: they are handed to [`History::begun`].
    All,
}

/// An entry, from where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// In a segment of this partition.
    Archived(u16, Record),
    /// In the live log.
    Live(Stored),
}

/// Why the next entries cannot be read. A repetition goes on where it was.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The archive fails.
    #[error("failed to read the archive")]
    Archive(#[from] ArchiveError),
    /// The log fails.
    #[error("failed to read the log")]
    Log(#[from] LogError),
}

/// A place in each stream of each partition.
#[derive(Debug, Default)]
struct Positions(BTreeMap<u16, BTreeMap<StreamName, EntryId>>);

/// The end of a partition of the archive.
struct End {
    number: u64,
    positions: BTreeMap<StreamName, EntryId>,
}

/// Where the reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The live log was not begun.
    Archive,
    /// It was; the archive was asked for its end at this time.
    Live(Option<Instant>),
    /// The live log was read to its end: what comes now is new.
    Along,
}

impl History {
    /// Begins. Of `selection` more may come than was asked for: whole frames of the archive, and of the log all that
    /// `tail` hands out; give it the same beginning and types.
    ///
    /// # Errors
    /// Those of the archive.
    pub async fn open(
        archive: Option<Archive>,
        tail: Option<Tail>,
        selection: Selection,
        wanted: Heads,
    ) -> Result<Self, HistoryError> {
        let mut partitions = match &archive {
            Some(archive) => archive.partitions().await?,
            None => Vec::new(),
        };
        partitions.reverse();
        Ok(Self {
            archive,
            tail,
            selection,
            wanted,
            partitions,
            later: Vec::new(),
            reader: None,
            ends: BTreeMap::new(),
            handed: Positions::default(),
            last_ms: u64::MAX,
            held: Vec::new(),
            stage: Stage::Archive,
        })
    }

    /// Comes to an end although the log goes on: what is written to it after `now` is left out. After the clock of the log
    /// was set back, what carries a time that has not come yet is left out too.
    #[must_use]
    pub fn until(mut self, now: Timestamp) -> Self {
        self.last_ms = now.millis();
        self
    }

    /// The next entries, in the order of their partition; `None` when there are no more for now. With [`Heads::All`]
    /// `begun` is told the heads of each partition before its first entry comes.
    ///
    /// # Errors
    /// Those of archive and log.
    pub async fn next(
        &mut self,
        begun: &mut (dyn FnMut(u16, &[Signed<Head>]) + Send),
    ) -> Result<Option<Vec<Read>>, HistoryError> {
        loop {
            if let Some(read) = self.archived(begun).await? {
                return Ok(Some(read));
            }
            let Some(tail) = &mut self.tail else { return Ok(None) };
            if self.stage == Stage::Archive {
                for (partition, end) in &self.ends {
                    tail.resume(Partition(*partition), end.positions.clone());
                }
                self.stage = Stage::Live(None);
            }
            if self.held.is_empty() {
                self.held = tail.next_stored().await?;
            }
            // Also where nothing came: all there was may be in the archive now, and gone from the log.
            if self.is_to_look() {
                self.look().await?;
                self.stage = Stage::Live(Some(Instant::now()));
                continue;
            }
            // A round brings something of every partition that has something: where nothing is wanted of it, nothing is of
            // the next.
            self.held.retain(|stored| stored.at.id.ms <= self.last_ms);
            if self.held.is_empty() {
                self.stage = Stage::Along;
                return Ok(None);
            }
            let ends = &self.ends;
            let is_new = |stored: &Stored| {
                let end =
                    ends.get(&stored.at.partition.0).and_then(|end| end.positions.get(&stored.at.stream));
                end.is_none_or(|end| *end < stored.at.id)
            };
            let read: Vec<_> = self.held.drain(..).filter(is_new).collect();
            if read.is_empty() {
                continue;
            }
            for stored in &read {
                self.handed.set(&stored.at);
            }
            return Ok(Some(read.into_iter().map(Read::Live).collect()));
        }
    }

    /// Whether what came last came from the live log, or is something that was trimmed from it meanwhile.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.handed.0.is_empty()
            || self.reader.is_none() && self.partitions.is_empty() && self.later.is_empty()
    }

    fn is_to_look(&self) -> bool {
        self.archive.is_some()
            && match self.stage {
                Stage::Live(looked) => looked.is_none_or(|looked| LOOK_EVERY <= looked.elapsed()),
                Stage::Archive | Stage::Along => false,
            }
    }

    /// Asks the archive for segments that it has got since.
    async fn look(&mut self) -> Result<(), HistoryError> {
        let Some(archive) = &self.archive else { return Ok(()) };
        let mut later = Vec::new();
        for partition in archive.partitions().await? {
            let number = self.ends.get(&partition).map_or(0, |end| end.number);
            let heads = archive.heads_after(partition, number).await?;
            if !heads.is_empty() {
                later.push((partition, heads));
            }
        }
        later.reverse();
        self.later = later;
        Ok(())
    }

    async fn archived(
        &mut self,
        begun: &mut (dyn FnMut(u16, &[Signed<Head>]) + Send),
    ) -> Result<Option<Vec<Read>>, HistoryError> {
        let Some(archive) = self.archive.clone() else { return Ok(None) };
        loop {
            if let Some((partition, reader)) = &mut self.reader {
                let partition = *partition;
                if let Some(records) = reader.next().await? {
                    let handed = &self.handed;
                    let records = records.into_iter().filter(|record| !handed.has(partition, record));
                    let read: Vec<_> = records.map(|record| Read::Archived(partition, record)).collect();
                    if read.is_empty() {
                        continue;
                    }
                    return Ok(Some(read));
                }
                self.reader = None;
            }
            let (partition, heads) = match (self.later.last(), self.partitions.last()) {
                (Some((partition, _)), _) => (*partition, self.later.pop().expect("there is one").1),
                (None, Some(&partition)) => {
                    let heads = match (self.wanted, self.selection.since) {
                        (Heads::Needed, Some(since)) => archive.heads_since(partition, since).await?,
                        _ => archive.heads(partition).await?,
                    };
                    self.partitions.pop();
                    (partition, heads)
                }
                (None, None) => return Ok(None),
            };
            if let Some(last) = heads.last() {
                let end = End { number: last.statement.number, positions: positions(&last.statement) };
                self.ends.insert(partition, end);
            }
            if self.wanted == Heads::All && self.handed.0.is_empty() {
                begun(partition, &heads);
            }
            self.reader = Some((partition, Reader::of(&archive, heads, self.selection.clone())));
        }
    }
}

impl Positions {
    fn set(&mut self, at: &EntryRef) {
        self.0.entry(at.partition.0).or_default().insert(at.stream.clone(), at.id);
    }

    fn has(&self, partition: u16, record: &Record) -> bool {
        let last = self.0.get(&partition).and_then(|streams| streams.get(&record.stream));
        last.is_some_and(|last| record.id <= *last)
    }
}

impl Read {
    /// The entry as readers along see it.
    #[must_use]
    pub fn entry(&self) -> Entry {
        match self {
            Self::Live(stored) => stored.entry(),
            Self::Archived(partition, record) => Entry {
                at: EntryRef {
                    partition: Partition(*partition),
                    stream: record.stream.clone(),
                    id: record.id,
                },
                seq: Some(record.seq),
                prev: record.prev,
                redrive: record.redrive,
                event: match record.event() {
                    Some(event) => event.map_err(EntryError::from),
                    None => Err(EntryError::TakenOut),
                },
                attempts: 0,
                raw: BTreeMap::new(),
            },
        }
    }

    /// The entry as the archive has it or would have it, and its partition; `None` where it was not written by us.
    #[must_use]
    pub fn record(self) -> Option<(u16, Record)> {
        match self {
            Self::Archived(partition, record) => Some((partition, record)),
            Self::Live(stored) => {
                let EntryRef { partition, stream, id } = stored.at;
                // What was never sealed has no salt yet.
                Record::read(stream, id, &stored.fields, [0; 16]).map(|record| (partition.0, record))
            }
        }
    }
}

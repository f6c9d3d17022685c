//! Where events come from: the archive first, then the live log behind it; each partition in the order of its numbers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use hemostat_agent::log::EventLog;
use hemostat_agent::tail::Tail;
use hemostat_archive::{Archive, Digest, Head, Heads, History, Loss, Place, Record, Selection, Signed};
use hemostat_event::EventType;
use hemostat_redis::{RedisLog, RedisSettings};
use serde::{Deserialize, Serialize};

use crate::cli::FromArgs;
use crate::recording::Recording;

/// An entry, and its partition.
pub(crate) type Read = (u16, Record);

/// What is read.
pub(crate) struct Source {
    from: From,
    /// Whether anything was read.
    is_empty: bool,
    /// What the heads say, by partition that was begun.
    sealed: BTreeMap<u16, Sealed>,
}

/// Where it is read from.
enum From {
    /// A recording.
    Recorded(Box<Recorded>),
    /// Archive and log.
    History(Box<History>),
}

/// Where the live log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LiveEnd {
    Opened,
    Never,
}

/// A recording, and the number of its next part.
struct Recorded {
    recording: Recording,
    next: usize,
    selection: Selection,
}

/// What the heads of a partition say, taken together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// Segments.
    pub segments: u64,
    /// The number of the last one: as many as there are, where none was taken away.
    pub last_segment: u64,
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
            last_segment: last.number,
            entries: heads.iter().map(|head| head.statement.count).sum(),
            first_seq: first.first_seq,
            last_seq: last.last_seq,
            chain_after: last.chain_after,
            epoch: last.epoch,
            losses: heads.iter().flat_map(|head| head.statement.losses.clone()).collect(),
        })
    }

    /// Adds what the heads behind it say.
    fn extend(&mut self, later: Self) {
        self.segments += later.segments;
        self.entries += later.entries;
        self.losses.extend(later.losses);
        *self = Self {
            last_segment: later.last_segment,
            last_seq: later.last_seq,
            chain_after: later.chain_after,
            epoch: later.epoch,
            ..self.clone()
        };
    }
}

impl Source {
    /// Opens what the arguments name. Of `selection` more than asked for may come: whole frames. A live log ends where it
    /// was when it was opened: a busy one would never end.
    ///
    /// # Errors
    /// When nothing is named, or what is named is out of reach.
    pub(crate) async fn open(from: &FromArgs, selection: Selection) -> anyhow::Result<Self> {
        Self::of(from, selection, LiveEnd::Opened).await
    }

    /// The same for who reads on: what is written to the live log comes too.
    ///
    /// # Errors
    /// As for [`Source::open`].
    pub(crate) async fn open_along(from: &FromArgs, selection: Selection) -> anyhow::Result<Self> {
        Self::of(from, selection, LiveEnd::Never).await
    }

    async fn of(from: &FromArgs, selection: Selection, end: LiveEnd) -> anyhow::Result<Self> {
        let reads = match from.file.as_slice() {
            [] => From::History(Box::new(history(from, selection, end).await?)),
            [file] => return Self::recording(file, selection),
            _ => bail!("one recording at a time: only `test` reads several"),
        };
        Ok(Self { from: reads, is_empty: true, sealed: BTreeMap::new() })
    }

    /// Opens a recording.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn recording(file: &Path, selection: Selection) -> anyhow::Result<Self> {
        let recording = Recording::open(file)
            .with_context(|| format!("failed to open the recording {}", file.display()))?;
        let reads = From::Recorded(Box::new(Recorded { recording, next: 0, selection }));
        Ok(Self { from: reads, is_empty: true, sealed: BTreeMap::new() })
    }

    /// Whether it is a recording that leaves entries out between others.
    pub(crate) fn has_gaps(&self) -> bool {
        matches!(&self.from, From::Recorded(recorded) if recorded.recording.manifest.has_gaps)
    }

    /// The next entries, in the order of their partition; `None` when there are no more for now.
    ///
    /// # Errors
    /// Those of the archive and of the log, and when there is nothing at all.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Vec<Read>>> {
        let read = match &mut self.from {
            From::Recorded(recorded) => recorded.next()?,
            From::History(history) => along(history, &mut self.sealed).await?,
        };
        self.is_empty &= read.is_none();
        if read.is_none() && self.is_empty {
            bail!("there are no events in what was named; is it the right archive, Redis and namespace?");
        }
        Ok(read)
    }

    /// What the heads of the archive say, by partition; complete when [`Source::next`] has come to the live log.
    pub(crate) fn sealed(&self) -> &BTreeMap<u16, Sealed> {
        &self.sealed
    }

    /// Whether what came last came from the live log.
    pub(crate) fn is_live(&self) -> bool {
        matches!(&self.from, From::History(history) if history.is_live())
    }
}

impl Recorded {
    fn next(&mut self) -> anyhow::Result<Option<Vec<Read>>> {
        while let Some((partition, frames)) = self.recording.part(self.next)? {
            self.next += 1;
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
}

/// The next entries that were written by HemoStat.
async fn along(
    history: &mut History,
    sealed: &mut BTreeMap<u16, Sealed>,
) -> anyhow::Result<Option<Vec<Read>>> {
    let mut begun = |partition, heads: &[Signed<Head>]| {
        let Some(said) = Sealed::of(heads) else { return };
        match sealed.get_mut(&partition) {
            Some(sealed) => sealed.extend(said),
            None => drop(sealed.insert(partition, said)),
        }
    };
    while let Some(read) = history.next(&mut begun).await? {
        let read: Vec<_> = read.into_iter().filter_map(hemostat_archive::Read::record).collect();
        if !read.is_empty() {
            return Ok(Some(read));
        }
    }
    Ok(None)
}

/// Opens archive and log.
async fn history(from: &FromArgs, selection: Selection, end: LiveEnd) -> anyhow::Result<History> {
    if from.archive.is_none() && from.redis.is_none() {
        bail!(
            "nothing to read: name an archive (--archive), a live log (--redis), both, or a recording (--file)"
        );
    }
    let archive = from.archive.as_deref().map(open_archive).transpose()?;
    let (mut tail, mut opened) = (None, None);
    if let Some(url) = &from.redis {
        let log = live(url, &from.namespace).await?;
        opened = Some(log.now().await.context("failed to read the log")?);
        let is_left_out = |kind: &EventType| !selection.types.is_empty() && !selection.types.contains(kind);
        let skip = EventType::ALL.into_iter().filter(is_left_out).collect();
        tail = Some(Tail::new(log, selection.since, skip));
    }
    let history =
        History::open(archive, tail, selection, Heads::All).await.context("failed to list the archive")?;
    Ok(match opened.filter(|_| end == LiveEnd::Opened) {
        Some(now) => history.until(now),
        None => history,
    })
}

/// Opens an archive to read it: one that is not there is not made.
///
/// # Errors
/// When there is none, or it is out of reach.
pub(crate) fn open_archive(place: &str) -> anyhow::Result<Archive> {
    let place: Place = place.parse()?;
    if !place.may_exist() {
        bail!("there is no archive in `{place}`");
    }
    Archive::open(&place).context("failed to open the archive")
}

/// Everything but measurements, which nothing is decided on.
pub(crate) fn decisions() -> Selection {
    let types = EventType::ALL.into_iter().filter(|kind| *kind != EventType::ContainerSample).collect();
    Selection { types, ..Selection::default() }
}

/// The live log.
async fn live(url: &str, namespace: &str) -> anyhow::Result<Arc<dyn EventLog>> {
    let settings = RedisSettings { url: url.to_owned(), namespace: namespace.to_owned(), partitions: None };
    Ok(Arc::new(RedisLog::connect(settings).await.context("failed to open the event log at --redis")?))
}

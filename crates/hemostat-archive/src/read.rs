//! Reads an archive in the order of the log, and no more of it than is asked for.

use std::collections::{BTreeSet, VecDeque};

use hemostat_event::{EventType, IncidentId, Subject, Timestamp};

use crate::failure::ArchiveError;
use crate::head::{Head, Signed};
use crate::object::{Frames, Index, IndexEntry};
use crate::record::Record;
use crate::store::Archive;

#[cfg(test)]
mod tests;

/// What of an archive is read. A frame that may hold something of it is read whole: what comes out is all that was asked
/// for, and entries near it.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Log time from which on; everything where absent.
    pub since: Option<Timestamp>,
    /// Log time until which; everything where absent.
    pub until: Option<Timestamp>,
    /// Numbers after this one.
    pub after_seq: u64,
    /// One of these types; any where empty.
    pub types: BTreeSet<EventType>,
    /// About this container.
    pub container: Option<Subject>,
    /// Of this incident.
    pub incident: Option<IncidentId>,
    /// About a container of this name, on whatever host.
    pub name: Option<String>,
}

impl Selection {
    fn wants_segment(&self, head: &Head) -> bool {
        self.wants_span(head.first_ms, head.last_ms) && self.after_seq < head.last_seq
    }

    /// Whether a frame may have something of it.
    #[must_use]
    pub fn wants_frame(&self, index: &Index, frame: &IndexEntry) -> bool {
        let is_about = |wanted: &Subject| {
            frame.containers.iter().any(|place| index.containers.get(*place as usize) == Some(wanted))
        };
        let is_called = |wanted: &str| {
            let mut containers =
                frame.containers.iter().filter_map(|place| index.containers.get(*place as usize));
            containers.any(|container| container.name() == wanted || container.as_str() == wanted)
        };
        self.wants_span(frame.first_ms, frame.last_ms)
            && self.after_seq < frame.last_seq
            && (self.types.is_empty() || !self.types.is_disjoint(&frame.types))
            && self.container.as_ref().is_none_or(is_about)
            && self.incident.is_none_or(|wanted| frame.incidents.contains(&wanted))
            && self.name.as_ref().is_none_or(|wanted| is_called(wanted))
    }

    fn wants_span(&self, first_ms: u64, last_ms: u64) -> bool {
        self.since.is_none_or(|since| since.millis() <= last_ms)
            && self.until.is_none_or(|until| first_ms <= until.millis())
    }
}

/// Goes through the entries of one partition. Holds one segment at a time.
pub struct Reader {
    archive: Archive,
    selection: Selection,
    heads: VecDeque<Signed<Head>>,
    open: Option<(Frames, usize)>,
}

impl Reader {
    /// Begins with the first entry that is asked for.
    ///
    /// # Errors
    /// Those of [`Archive::heads`].
    pub async fn new(archive: &Archive, partition: u16, selection: Selection) -> Result<Self, ArchiveError> {
        Ok(Self::of(archive, archive.heads(partition).await?, selection))
    }

    /// The same, for who has the heads of the partition.
    #[must_use]
    pub fn of(archive: &Archive, heads: Vec<Signed<Head>>, selection: Selection) -> Self {
        let mut heads = VecDeque::from(heads);
        heads.retain(|head| selection.wants_segment(&head.statement));
        Self { archive: archive.clone(), selection, heads, open: None }
    }

    /// The entries of the next frame that is asked for; `None` after the last.
    ///
    /// # Errors
    /// Those of [`Archive::frames`], and a frame that cannot be read. The next call goes on behind it, or asks the store
    /// once more.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>, ArchiveError> {
        loop {
            if let Some((frames, next)) = &mut self.open {
                while let Some(entry) = frames.index.frames.get(*next) {
                    *next += 1;
                    if self.selection.wants_frame(&frames.index, entry) {
                        return frames.frame(entry).map(Some).map_err(|source| ArchiveError::Object {
                            name: format!("frame at {}", entry.offset),
                            source,
                        });
                    }
                }
                self.open = None;
            }
            let Some(head) = self.heads.front() else { return Ok(None) };
            let frames = self.archive.frames(&head.statement).await;
            // What the store did not give it may give the next time.
            if !matches!(frames, Err(ArchiveError::Store(_))) {
                self.heads.pop_front();
            }
            self.open = Some((frames?, 0));
        }
    }
}

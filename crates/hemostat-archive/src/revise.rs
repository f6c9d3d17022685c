//! Writes a segment anew: without bodies that are to go, or with nothing but the leaf of entries whose time is over.
//!
//! The object of the new revision comes first, then its head, which is made once (S-2), and only then does the object go
//! that it takes the place of. Of two that revise a segment at once one makes the revision, and the other revises that.
//!
//! Invariants:
//! - W-1: a revision has the chain and the root of its segment, computed anew from what is written. A segment of which
//!   that cannot be said was changed, and stays as it is.
//! - W-2: whoever dies, wherever, leaves the segment as it was or as it is to be, and a repetition does what is missing:
//!   above all it deletes the object that still has what had to go.

use std::collections::BTreeMap;

use bytes::Bytes;
use hemostat_event::{EventId, EventType};

use crate::chain::Digest;
use crate::failure::ArchiveError;
use crate::head::{Head, ObjectRef, Redaction, Signed};
use crate::keys::PrivateKey;
use crate::object::{Frames, ObjectError, Writer};
use crate::record::{Body, Record};
use crate::store::{Archive, HeadName, object_name};

#[cfg(test)]
mod tests;

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Stays,
    /// Its body goes.
    Taken {
        /// The event whose body it is.
        event: EventId,
        /// The event that ordered it.
        order: EventId,
    },
    /// All but its leaf goes.
    Leaf,
}

/// Who revises, and when.
#[derive(Debug, Clone, Copy)]
pub struct Revision<'a> {
    /// The key that signs.
    pub key: &'a PrivateKey,
    /// Who writes it.
    pub by: &'a str,
    /// Log time, in milliseconds; taken before anybody asked what is held.
    pub now_ms: u64,
}

/// What became of a segment, or would become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revised {
    /// Bodies that were taken out now.
    pub taken: u64,
    /// Entries of which only the leaf is left now.
    pub expired: u64,
    /// Length of the object before, in bytes.
    pub bytes_before: u64,
    /// Its length now.
    pub bytes_after: u64,
}

impl Revised {
    /// Whether anything was to be done.
    #[must_use]
    pub fn is_change(&self) -> bool {
        0 < self.taken + self.expired
    }
}

/// What says what becomes of each entry.
pub type Judge<'a> = dyn FnMut(&Record) -> Fate + Send + 'a;

impl Archive {
    /// Writes the segment of `head`, as it is now, anew, where that changes anything. Without a revision nothing is
    /// written: the answer is what would be.
    ///
    /// # Errors
    /// Those of the store, and [`ArchiveError::Changed`] when the segment is not what was sealed. The call can be repeated.
    pub async fn revise(
        &self,
        head: &Signed<Head>,
        with: Option<Revision<'_>>,
        judge: &mut Judge<'_>,
    ) -> Result<Revised, ArchiveError> {
        loop {
            let later = self.revised(HeadName::of(&head.statement)).await?;
            let head = later.as_ref().unwrap_or(head);
            let frames = self.frames(&head.statement).await?;
            let name = || head.statement.object.name.clone();
            let written = Written::of(&frames, &head.statement, judge)
                .map_err(|source| ArchiveError::Object { name: name(), source })?;
            if (written.chain, written.root) != (head.statement.chain_after, head.statement.root) {
                return Err(ArchiveError::Changed(name()));
            }
            let mut revised = written.revised;
            revised.bytes_before = head.statement.object.bytes;
            let Some(with) = with else { return Ok(revised) };
            if !revised.is_change() {
                self.clear(&head.statement).await?;
                return Ok(revised);
            }
            let object = written.object.clone();
            let next = Signed::sign(written.head(head, with), with.key);
            if self.publish(object, &next, with.key).await? {
                self.clear(&next.statement).await?;
                return Ok(revised);
            }
            // Somebody else made this revision: theirs is the one to go on with.
        }
    }

    /// Deletes the objects of the revisions before this one.
    async fn clear(&self, head: &Head) -> Result<(), ArchiveError> {
        for revision in 0..head.revision {
            let earlier = self.head(&HeadName { revision, ..HeadName::of(head) }).await?;
            if earlier.statement.object.name != head.object.name {
                self.delete_object(head.partition, &earlier.statement.object.name).await?;
            }
        }
        Ok(())
    }
}

/// A segment as it would be written.
struct Written {
    object: Bytes,
    chain: Digest,
    root: Digest,
    redactions: Vec<Redaction>,
    expired: BTreeMap<EventType, u64>,
    revised: Revised,
}

impl Written {
    fn of(frames: &Frames, head: &Head, judge: &mut Judge<'_>) -> Result<Self, ObjectError> {
        let mut writer = Writer::new(head.chain_before);
        let (mut redactions, mut expired) = (head.redactions.clone(), BTreeMap::new());
        let mut revised = Revised::default();
        for entry in &frames.index.frames {
            for record in frames.records(entry)? {
                let record = record?;
                let record = match (judge(&record), &record.body) {
                    (Fate::Taken { event, order }, Body::Whole { .. }) => {
                        redactions.push(Redaction { seq: record.seq, event, order });
                        revised.taken += 1;
                        record.without_body()
                    }
                    (Fate::Leaf, Body::Whole { .. } | Body::Taken { .. }) => {
                        revised.expired += 1;
                        record.only_leaf()
                    }
                    _ => record,
                };
                if matches!(record.body, Body::Leaf(_)) {
                    *expired.entry(record.stream.event_type()).or_default() += 1;
                }
                writer.push(&record);
            }
        }
        redactions.sort_unstable_by_key(|redaction| redaction.seq);
        let (chain, root) = (writer.chain(), writer.root());
        let (object, _index) = writer.finish();
        revised.bytes_after = object.len() as u64;
        Ok(Self { object, chain, root, redactions, expired, revised })
    }

    fn head(self, before: &Signed<Head>, with: Revision<'_>) -> Head {
        let digest = Digest::of(&self.object);
        let name = object_name(before.statement.number, digest);
        Head {
            revision: before.statement.revision + 1,
            object: ObjectRef { name, bytes: self.object.len() as u64, digest },
            supersedes: Some(before.digest),
            redactions: self.redactions,
            expired: self.expired,
            sealed_ms: with.now_ms,
            sealed_by: with.by.to_owned(),
            key: with.key.public().id(),
            ..before.statement.clone()
        }
    }
}

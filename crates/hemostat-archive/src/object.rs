//! The object of a segment: frames of entries, and an index of what is in which frame.
//!
//! ```text
//! magic    8 bytes
//! frames   each a Zstandard frame with a check sum
//! index    a Zstandard frame; MessagePack with field names
//! footer   u64 where the index begins, u32 its length, u32 its length before it was compressed (little endian)
//! magic    8 bytes
//! ```

use std::collections::{BTreeSet, HashMap};

use bytes::{BufMut, Bytes};
use hemostat_event::{EventType, IncidentId, Subject, codec};
use serde::{Deserialize, Serialize};

use crate::chain::{Chain, Digest, Tree};
use crate::frame::{self, Compressor, FrameError};
use crate::record::{Body, Record, RecordError};

#[cfg(test)]
mod tests;

/// The name of the format and its version.
const MAGIC: &[u8; 8] = b"HSSEG\x00\x01\n";
const FOOTER_BYTES: usize = 8 + 4 + 4 + 8;
/// A frame is closed when it has so many bytes: large enough to compress well, small enough to be read for one entry.
const FRAME_BYTES: usize = 256 * 1024;

/// Bytes that are no object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// They do not begin and end as one does.
    #[error("not a segment of this version")]
    NotASegment,
    /// The index cannot be read.
    #[error("the index of a segment cannot be read")]
    Index(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The index speaks of what is not there.
    #[error("the index of a segment speaks of bytes that are not there")]
    Outside,
    /// A frame cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl From<RecordError> for ObjectError {
    fn from(error: RecordError) -> Self {
        Self::Frame(error.into())
    }
}

/// What is in an object, and where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Index {
    /// The frames, in order.
    pub frames: Vec<IndexEntry>,
    /// The containers that the frames speak of; each frame names them by their place here.
    pub containers: Vec<Subject>,
}

/// What is in a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// Where it begins.
    pub offset: u64,
    /// Its length.
    pub length: u32,
    /// Its length before it was compressed.
    pub raw_length: u32,
    /// Entries in it.
    pub count: u32,
    /// The number of the first entry.
    pub first_seq: u64,
    /// The number of the last entry.
    pub last_seq: u64,
    /// The earliest time of an entry, in milliseconds.
    pub first_ms: u64,
    /// The latest time of an entry, in milliseconds.
    pub last_ms: u64,
    /// The chain after the last entry.
    pub chain: Digest,
    /// Types of the events.
    pub types: BTreeSet<EventType>,
    /// Places of the containers they are about, in [`Index::containers`].
    pub containers: BTreeSet<u32>,
    /// Incidents they belong to.
    pub incidents: BTreeSet<IncidentId>,
}

/// Writes an object, entry by entry.
pub struct Writer {
    compressor: Compressor,
    bytes: Vec<u8>,
    frame: Vec<u8>,
    open: Option<IndexEntry>,
    index: Index,
    places: HashMap<Subject, u32>,
    chain: Chain,
    tree: Tree,
}

impl Writer {
    /// Begins an object whose first entry follows `chain_before`.
    #[must_use]
    pub fn new(chain_before: Digest) -> Self {
        Self {
            compressor: Compressor::new(),
            bytes: MAGIC.to_vec(),
            frame: Vec::with_capacity(FRAME_BYTES + FRAME_BYTES / 8),
            open: None,
            index: Index::default(),
            places: HashMap::new(),
            chain: Chain::from(chain_before),
            tree: Tree::default(),
        }
    }

    /// Adds an entry; its number is greater than that of the one before.
    pub fn push(&mut self, record: &Record) {
        let leaf = record.leaf();
        self.chain.push(leaf);
        self.tree.push(leaf);
        record.write(&mut self.frame);
        let chain = self.chain.value();
        let open = self.open.get_or_insert_with(|| IndexEntry {
            offset: self.bytes.len() as u64,
            length: 0,
            raw_length: 0,
            count: 0,
            first_seq: record.seq,
            last_seq: record.seq,
            first_ms: record.id.ms,
            last_ms: record.id.ms,
            chain,
            types: BTreeSet::new(),
            containers: BTreeSet::new(),
            incidents: BTreeSet::new(),
        });
        open.count += 1;
        open.last_seq = record.seq;
        open.first_ms = open.first_ms.min(record.id.ms);
        open.last_ms = open.last_ms.max(record.id.ms);
        open.chain = chain;
        open.types.insert(record.stream.event_type());
        if let Body::Whole { header, .. } | Body::Taken { header, .. } = &record.body
            && let Some(terms) = codec::terms(header)
        {
            let known = terms.subject.and_then(|subject| self.places.get(subject).copied());
            let place = known.or_else(|| {
                let subject: Subject = terms.subject?.parse().ok()?;
                let next = u32::try_from(self.index.containers.len()).expect("fewer containers than entries");
                self.index.containers.push(subject.clone());
                self.places.insert(subject, next);
                Some(next)
            });
            open.containers.extend(place);
            open.incidents.extend(terms.incident);
        }
        if FRAME_BYTES <= self.frame.len() {
            self.close_frame();
        }
    }

    /// Bytes written so far, the open frame as it stands.
    #[must_use]
    pub fn length(&self) -> usize {
        self.bytes.len() + self.frame.len()
    }

    /// The chain after the last entry.
    #[must_use]
    pub fn chain(&self) -> Digest {
        self.chain.value()
    }

    /// The root of the tree over all entries.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// Ends the object.
    #[must_use]
    pub fn finish(mut self) -> (Bytes, Index) {
        self.close_frame();
        let index = rmp_serde::to_vec_named(&self.index)
            .expect("an index has only values that MessagePack can write");
        let compressed = self.compressor.compress(&index);
        let offset = self.bytes.len() as u64;
        self.bytes.put_slice(&compressed);
        self.bytes.put_u64_le(offset);
        self.bytes.put_u32_le(u32::try_from(compressed.len()).expect("an index is small"));
        self.bytes.put_u32_le(u32::try_from(index.len()).expect("an index is small"));
        self.bytes.put_slice(MAGIC);
        (self.bytes.into(), self.index)
    }

    fn close_frame(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let compressed = self.compressor.compress(&self.frame);
        open.length = u32::try_from(compressed.len()).expect("a frame is small");
        open.raw_length = u32::try_from(self.frame.len()).expect("a frame is small");
        self.bytes.put_slice(&compressed);
        self.index.frames.push(open);
        self.frame.clear();
    }
}

/// The frames of an object.
#[derive(Debug, Clone)]
pub struct Frames {
    bytes: Bytes,
    /// Where the index begins.
    index_offset: u64,
    /// What is in which of them.
    pub index: Index,
}

impl Frames {
    /// Opens an object.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn open(bytes: Bytes) -> Result<Self, ObjectError> {
        let begins = bytes.starts_with(MAGIC);
        let footer = bytes.len().checked_sub(FOOTER_BYTES).filter(|start| MAGIC.len() <= *start);
        let Some(footer) = footer.filter(|_| begins && bytes.ends_with(MAGIC)) else {
            return Err(ObjectError::NotASegment);
        };
        let number = |from: usize, length: usize| {
            let digits = bytes[footer + from..footer + from + length].iter().rev();
            digits.fold(0u64, |number, digit| number << 8 | u64::from(*digit)) as usize
        };
        let (offset, length, raw_length) = (number(0, 8), number(8, 4), number(12, 4));
        if offset < MAGIC.len() || offset.checked_add(length) != Some(footer) {
            return Err(ObjectError::Outside);
        }
        let index = frame::decompress(&bytes[offset..footer], raw_length)?;
        let index = rmp_serde::from_slice(&index).map_err(|error| ObjectError::Index(error.into()))?;
        Ok(Self { bytes, index_offset: offset as u64, index })
    }

    /// Whether the frames stand one behind the other, from the beginning to the index: nothing is between them.
    #[must_use]
    pub fn are_gapless(&self) -> bool {
        let mut end = MAGIC.len() as u64;
        for frame in &self.index.frames {
            if frame.offset != end {
                return false;
            }
            end += u64::from(frame.length);
        }
        end == self.index_offset
    }

    /// The entries of one frame, in order.
    ///
    /// # Errors
    /// When the frame, or one of its entries, cannot be read.
    pub fn records(
        &self,
        frame: &IndexEntry,
    ) -> Result<impl Iterator<Item = Result<Record, RecordError>> + use<>, ObjectError> {
        let start = usize::try_from(frame.offset).map_err(|_too_far| ObjectError::Outside)?;
        let end = start.checked_add(frame.length as usize).ok_or(ObjectError::Outside)?;
        let compressed = self.bytes.get(start..end).ok_or(ObjectError::Outside)?;
        Ok(frame::records(frame::decompress(compressed, frame.raw_length as usize)?))
    }

    /// The entries of one frame, all at once.
    ///
    /// # Errors
    /// As for [`Frames::records`].
    pub fn frame(&self, frame: &IndexEntry) -> Result<Vec<Record>, ObjectError> {
        // The count is only what the index says.
        let mut records = Vec::with_capacity((frame.count as usize).min(frame.raw_length as usize / 64));
        for record in self.records(frame)? {
            records.push(record?);
        }
        Ok(records)
    }

    /// Every entry, in order.
    ///
    /// # Errors
    /// As for [`Frames::records`].
    pub fn all(&self) -> Result<Vec<Record>, ObjectError> {
        let mut all = Vec::new();
        for frame in &self.index.frames {
            all.extend(self.frame(frame)?);
        }
        Ok(all)
    }
}

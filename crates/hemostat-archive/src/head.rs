//! The head of a segment: what must be in it, signed.
//!
//! A head is a JSON file with `head` and `signature`. It is canonical: exactly the bytes that this code writes for it are
//! accepted, so that a change of a single byte is seen. Its digest is the SHA-256 of the file.
//!
//! A body that is taken out, or entries whose time is over, make another *revision* of the segment: another object with
//! another digest, and another head that names the one before. Chain and root stay, because leaves stay.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_agent::log::StreamName;
use hemostat_event::{EventId, EventType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::chain::Digest;
use crate::keys::{KeyId, KeyRing, PrivateKey, Signature, Succession};

#[cfg(test)]
mod tests;

/// The version of the format.
pub const VERSION: u32 = 1;

/// What must be in a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The version of the format.
    pub version: u32,
    /// The partition.
    pub partition: u16,
    /// The number of the segment in its partition, from 1.
    pub number: u64,
    /// How often the segment was written anew.
    pub revision: u32,
    /// The life of the log, from 1. A log that lost its numbers begins another.
    pub epoch: u32,
    /// The number of the first entry.
    pub first_seq: u64,
    /// The number of the last entry.
    pub last_seq: u64,
    /// Entries, those of which only the leaf is left included.
    pub count: u64,
    /// Log time of the earliest entry, in milliseconds since 1970.
    pub first_ms: u64,
    /// Log time of the latest entry, in milliseconds since 1970.
    pub last_ms: u64,
    /// What was lost before it could be sealed.
    pub losses: Vec<Loss>,
    /// The chain before the first entry.
    pub chain_before: Digest,
    /// The chain after the last entry.
    pub chain_after: Digest,
    /// The root of the tree over all entries.
    pub root: Digest,
    /// The object with the entries.
    pub object: ObjectRef,
    /// The digest of the head of the segment before; absent for the first.
    pub predecessor: Option<Digest>,
    /// The digest of the head of the revision before; absent for the first.
    pub supersedes: Option<Digest>,
    /// Bodies that were taken out, and the orders to do so.
    pub redactions: Vec<Redaction>,
    /// Entries of each type of which only the leaf is left.
    pub expired: BTreeMap<EventType, u64>,
    /// The position of the last entry of each stream, in this segment or one before it.
    pub positions: BTreeMap<String, String>,
    /// How far each group had come in each stream when the segment was sealed, as `group stream`.
    pub cursors: BTreeMap<String, String>,
    /// When it was sealed, in milliseconds of log time.
    pub sealed_ms: u64,
    /// Who sealed it.
    pub sealed_by: String,
    /// The key that signed.
    pub key: KeyId,
}

impl Head {
    /// The types of the streams that have entries in the segment; `before` is the head of the segment before.
    #[must_use]
    pub fn types_after(&self, before: Option<&Self>) -> BTreeSet<EventType> {
        let was = |stream: &String| before.and_then(|before| before.positions.get(stream));
        let moved = self.positions.iter().filter(|(stream, position)| was(stream) != Some(position));
        let types = moved.filter_map(|(stream, _)| stream.parse().ok());
        types.map(|stream: StreamName| stream.event_type()).collect()
    }
}

/// Entries that were gone before they could be sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// Numbers that are missing within the log, the first and the last.
    Missing {
        /// The first.
        first_seq: u64,
        /// The last.
        last_seq: u64,
    },
    /// The log began anew: the number that would have been next, and the one that was.
    Restarted {
        /// The number that would have been next.
        expected_seq: u64,
        /// The number that was.
        found_seq: u64,
    },
}

/// The object of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// Its name within the folder of the partition.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub digest: Digest,
}

/// A body that was taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redaction {
    /// The number of the entry.
    pub seq: u64,
    /// The event whose body it was.
    pub event: EventId,
    /// The event that ordered it.
    pub order: EventId,
}

/// A statement with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T> {
    /// The statement.
    pub statement: T,
    /// The signature over the canonical JSON of the statement.
    pub signature: Signature,
    /// The digest of the file.
    pub digest: Digest,
}

/// How a statement is written; the field says what it is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<T> {
    statement: T,
    signature: Signature,
}

/// A file that is no signed statement, or not one that can be believed.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// It cannot be read.
    #[error("not a signed statement of this version")]
    Unreadable(#[source] serde_json::Error),
    /// It says the same in other bytes than were written.
    #[error("a signed statement that was written anew by somebody else")]
    NotCanonical,
}

impl<T: Serialize + DeserializeOwned> Signed<T> {
    /// Signs.
    #[must_use]
    pub fn sign(statement: T, key: &PrivateKey) -> Self {
        let signature = key.sign(&canonical(&statement));
        let file = File { statement, signature };
        Self { digest: Digest::of(&file_bytes(&file)), statement: file.statement, signature }
    }

    /// Reads a file. Whether the signature is right is another question.
    ///
    /// # Errors
    /// When it is not, byte for byte, what was written.
    pub fn read(bytes: &[u8]) -> Result<Self, HeadError> {
        let file: File<T> = serde_json::from_slice(bytes).map_err(HeadError::Unreadable)?;
        if file_bytes(&file) != bytes {
            return Err(HeadError::NotCanonical);
        }
        let File { statement, signature } = file;
        Ok(Self { statement, signature, digest: Digest::of(bytes) })
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8>
    where
        T: Clone,
    {
        file_bytes(&File { statement: self.statement.clone(), signature: self.signature })
    }

    /// Statement and signature in one line, without its end; for files of many.
    #[must_use]
    pub fn to_line(&self) -> String
    where
        T: Clone,
    {
        let file = File { statement: self.statement.clone(), signature: self.signature };
        serde_json::to_string(&file).expect("a statement has only values that JSON can write")
    }

    /// Reads a line. The digest is that of the file. Whether the signature is right is another question.
    ///
    /// # Errors
    /// When it is not, byte for byte, what was written.
    pub fn read_line(line: &str) -> Result<Self, HeadError>
    where
        T: Clone,
    {
        let file: File<T> = serde_json::from_str(line).map_err(HeadError::Unreadable)?;
        let digest = Digest::of(&file_bytes(&file));
        let read = Self { statement: file.statement, signature: file.signature, digest };
        if read.to_line() == line { Ok(read) } else { Err(HeadError::NotCanonical) }
    }

    /// Whether a key that is believed, the one with that name, signed it.
    #[must_use]
    pub fn is_signed_by(&self, key: &KeyId, ring: &KeyRing) -> bool {
        ring.has_signed(key, &canonical(&self.statement), &self.signature)
    }
}

impl Signed<Succession> {
    /// Has `ring` believe the successor, when the one before it says so; says whether it does.
    pub fn admit_to(&self, ring: &mut KeyRing) -> bool {
        ring.admit(&self.statement, &canonical(&self.statement), &self.signature)
    }
}

/// Compact JSON with the fields in the order of the type: the same bytes for the same statement.
fn canonical<T: Serialize>(statement: &T) -> Vec<u8> {
    serde_json::to_vec(statement).expect("a statement has only values that JSON can write")
}

/// For people, one field per line.
fn file_bytes<T: Serialize>(file: &File<T>) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(file).expect("a statement has only values that JSON can write");
    bytes.push(b'\n');
    bytes
}

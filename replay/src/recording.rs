//! A recording: a slice of the log in one file that can be carried away and read without Redis or archive.
//!
//! ```text
//! magic     8 bytes: name and version of the format
//! length    u32, little endian, of the manifest
//! manifest  JSON
//! parts     one object of `hemostat_archive` after the other, in the order of the manifest
//! ```
//!
//! A part is a run of entries of one partition whose numbers rise; where a log began anew there is another part. It is
//! held in memory until it is written, because the manifest stands before it.
//!
//! Invariants:
//! - REC-1: a recording is there as a whole under its name, or not at all.
//! - REC-2: a recording that says it has no gap has every number from the first to the last of each part.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use hemostat_archive::{Digest, Frames, ObjectError, Record, Writer};
use hemostat_event::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// The name of the format; its last byte but one is the version.
const MAGIC: &[u8; 8] = b"HSREC\x00\x01\n";
/// Bytes before the manifest.
const LEAD_BYTES: usize = MAGIC.len() + 4;
/// Most bytes of all parts: they are held in memory.
const BYTES_MAX: usize = 2 << 30;

/// What is in a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Version of the format.
    pub version: u32,
    /// When it was made, by the clock of the machine.
    pub made_at: Timestamp,
    /// The version of the program that made it.
    pub made_by: String,
    /// What it was made from, without passwords.
    pub from: Vec<String>,
    /// What of it was asked for.
    pub slice: Slice,
    /// Whether numbers are missing within a part.
    pub has_gaps: bool,
    /// What is in each part.
    pub parts: Vec<Part>,
}

/// What of a log is recorded; all of it where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Slice {
    /// Log time from which on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Log time until which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// The partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u16>,
}

/// What is in a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The partition.
    pub partition: u16,
    /// Entries.
    pub count: u64,
    /// The number of the first entry.
    pub first_seq: u64,
    /// The number of the last entry.
    pub last_seq: u64,
    /// Log time of the earliest entry.
    pub first_at: Timestamp,
    /// Log time of the latest entry.
    pub last_at: Timestamp,
    /// Numbers between the first and the last that are not in it.
    pub missing: u64,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// A file that is no recording, or cannot be made one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordingError {
    /// It does not begin as one does.
    #[error("not a recording of HemoStat")]
    Foreign,
    /// It was made by another version.
    #[error("a recording of version {0}; this program reads version {ours}", ours = MAGIC[6])]
    Version(u8),
    /// It ends before it should.
    #[error("a recording that is cut off")]
    CutOff,
    /// What it says of itself cannot be read.
    #[error("what the recording says of itself cannot be read")]
    Manifest(#[source] serde_json::Error),
    /// A part is not what the manifest says.
    #[error("part {0} of the recording is not what was recorded")]
    Changed(usize),
    /// A part cannot be read.
    #[error("part {part} of the recording cannot be read")]
    Part {
        /// Which.
        part: usize,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// There is a file of that name.
    #[error("the file is there already; --force replaces it")]
    Exists,
    /// It is larger than a recording may be.
    #[error("more than {} GiB of entries; ask for a smaller slice", BYTES_MAX >> 30)]
    TooLarge,
    /// The file system said no.
    #[error("the file cannot be read or written")]
    File(#[from] io::Error),
}

/// Makes a recording.
#[derive(Default)]
pub(crate) struct Recorder {
    open: BTreeMap<u16, Open>,
    done: Vec<(Part, Vec<u8>)>,
}

/// A part in the making.
struct Open {
    writer: Writer,
    count: u64,
    first_seq: u64,
    last_seq: u64,
    first_ms: u64,
    last_ms: u64,
}

impl Recorder {
    /// Adds an entry.
    ///
    /// # Errors
    /// When the recording becomes too large.
    pub(crate) fn push(&mut self, partition: u16, record: &Record) -> Result<(), RecordingError> {
        // A number that does not rise: the log began anew.
        if let Some(open) = self.open.remove(&partition) {
            if open.last_seq < record.seq {
                self.open.insert(partition, open);
            } else {
                self.done.push(open.close(partition));
            }
        }
        let open = self.open.entry(partition).or_insert_with(|| Open {
            writer: Writer::new(Digest::ZERO),
            count: 0,
            first_seq: record.seq,
            last_seq: record.seq,
            first_ms: record.id.ms,
            last_ms: record.id.ms,
        });
        open.writer.push(record);
        open.count += 1;
        open.last_seq = record.seq;
        open.first_ms = open.first_ms.min(record.id.ms);
        open.last_ms = open.last_ms.max(record.id.ms);
        let done: usize = self.done.iter().map(|(_, bytes)| bytes.len()).sum();
        let open: usize = self.open.values().map(|open| open.writer.length()).sum();
        if BYTES_MAX < done + open { Err(RecordingError::TooLarge) } else { Ok(()) }
    }

    /// Writes the recording to `file` and answers with its manifest. Parts and gaps of `manifest` are filled in.
    ///
    /// # Errors
    /// When there is such a file and it must not be replaced, or it cannot be written.
    pub(crate) fn finish(
        mut self,
        mut manifest: Manifest,
        file: &Path,
        replace: bool,
    ) -> Result<Manifest, RecordingError> {
        for (partition, open) in std::mem::take(&mut self.open) {
            self.done.push(open.close(partition));
        }
        // Parts of one partition keep their order.
        self.done.sort_by_key(|(part, _)| part.partition);
        manifest.parts = self.done.iter().map(|(part, _)| part.clone()).collect();
        manifest.has_gaps = manifest.parts.iter().any(|part| 0 < part.missing);
        let head = serde_json::to_vec(&manifest).map_err(RecordingError::Manifest)?;
        let length = u32::try_from(head.len()).map_err(|_too_long| RecordingError::TooLarge)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part_file = folder.map_or_else(|| Path::new(&name).to_owned(), |folder| folder.join(&name));
        let written = (|| {
            let mut out = File::create_new(&part_file)?;
            out.write_all(MAGIC)?;
            out.write_all(&length.to_le_bytes())?;
            out.write_all(&head)?;
            for (_, bytes) in &self.done {
                out.write_all(bytes)?;
            }
            out.sync_all()?;
            if replace {
                fs::rename(&part_file, file)?;
            } else {
                // Unlike a rename, a link never replaces what somebody else has put there meanwhile.
                match fs::hard_link(&part_file, file) {
                    Ok(()) => fs::remove_file(&part_file)?,
                    // Some file systems have no links: there the name is looked at just before.
                    Err(_no_links) if !file.try_exists()? => fs::rename(&part_file, file)?,
                    Err(_is_there) => return Err(RecordingError::Exists),
                }
            }
            Ok(())
        })();
        if written.is_err() {
            // Whatever is left of it is of no use; the first error is the one to tell.
            let _left = fs::remove_file(&part_file);
        }
        written.map(|()| manifest)
    }
}

impl Open {
    fn close(self, partition: u16) -> (Part, Vec<u8>) {
        let (bytes, _index) = self.writer.finish();
        let part = Part {
            partition,
            count: self.count,
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            first_at: Timestamp::from_millis(self.first_ms),
            last_at: Timestamp::from_millis(self.last_ms),
            missing: (self.last_seq - self.first_seq + 1).saturating_sub(self.count),
            bytes: bytes.len() as u64,
            digest: Digest::of(&bytes),
        };
        (part, bytes.into())
    }
}

/// A recording that is read.
#[derive(Debug)]
pub(crate) struct Recording {
    /// What is in it.
    pub manifest: Manifest,
    parts: Vec<Vec<u8>>,
}

impl Recording {
    /// Opens a recording and holds every part to its digest.
    ///
    /// # Errors
    /// When the file cannot be read, is no recording, or is not as it was written.
    pub(crate) fn open(file: &Path) -> Result<Self, RecordingError> {
        // The manifest is small beside the parts.
        if BYTES_MAX as u64 * 2 < fs::metadata(file)?.len() {
            return Err(RecordingError::TooLarge);
        }
        let bytes = fs::read(file)?;
        let lead = bytes.get(..LEAD_BYTES).ok_or(RecordingError::Foreign)?;
        if lead[..6] != MAGIC[..6] || lead[7] != MAGIC[7] {
            return Err(RecordingError::Foreign);
        }
        if lead[6] != MAGIC[6] {
            return Err(RecordingError::Version(lead[6]));
        }
        let length = u32::from_le_bytes([lead[8], lead[9], lead[10], lead[11]]) as usize;
        let mut rest = &bytes[LEAD_BYTES..];
        let head = rest.split_off(..length).ok_or(RecordingError::CutOff)?;
        let manifest: Manifest = serde_json::from_slice(head).map_err(RecordingError::Manifest)?;
        let mut parts = Vec::with_capacity(manifest.parts.len());
        for (number, part) in manifest.parts.iter().enumerate() {
            let length = usize::try_from(part.bytes).map_err(|_too_long| RecordingError::CutOff)?;
            let object = rest.split_off(..length).ok_or(RecordingError::CutOff)?;
            if Digest::of(object) != part.digest {
                return Err(RecordingError::Changed(number));
            }
            parts.push(object.to_vec());
        }
        if !rest.is_empty() {
            return Err(RecordingError::Changed(parts.len()));
        }
        Ok(Self { manifest, parts })
    }

    /// The frames of a part, and its partition; `None` behind the last.
    ///
    /// # Errors
    /// When the part cannot be read.
    pub(crate) fn part(&self, number: usize) -> Result<Option<(u16, Frames)>, RecordingError> {
        let Some(bytes) = self.parts.get(number) else { return Ok(None) };
        let frames = Frames::open(bytes.clone().into())
            .map_err(|source| RecordingError::Part { part: number, source })?;
        Ok(Some((self.manifest.parts[number].partition, frames)))
    }
}

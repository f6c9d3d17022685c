//! What an export holds and how it reconciles with the archive: `manifest.json`.
//!
//! Invariants:
//! - the manifest is written last and at once; a folder without one is an unfinished export.
//! - for every partition `archive.entries + live = exported + left_out + not_read`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use hemostat_archive::{Digest, KeyId, PrivateKey, Signed};
use serde::{Deserialize, Serialize};

use super::Format;
use super::entry::State;
use crate::source::Sealed;

/// The name of the file.
pub(crate) const NAME: &str = "manifest.json";

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The form of the files.
    pub format: Format,
    /// Log time from which on.
    pub since: Option<String>,
    /// Log time until which.
    pub until: Option<String>,
    /// One of these types; any where empty.
    pub types: Vec<String>,
    /// About this container.
    pub container: Option<String>,
    /// About this host.
    pub host: Option<String>,
    /// Samples too.
    pub samples: bool,
    /// Entries between two checkpoints, and most rows of a Parquet file.
    pub checkpoint: u64,
    /// Whether there was an archive to read.
    pub archive: bool,
    /// Whether there was a live log to read.
    pub live: bool,
}

/// The statement about an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The version of this form.
    pub version: u32,
    /// Who made it.
    pub made_by: String,
    /// The version of the Open Cybersecurity Schema Framework, where that is the form.
    pub ocsf: Option<String>,
    /// What was asked for.
    pub request: Request,
    /// The files, in the order of the log.
    pub files: Vec<FileStatement>,
    /// Entries in all files.
    pub exported: u64,
    /// Each partition.
    pub partitions: BTreeMap<u16, Partition>,
    /// Entries that are no whole events, as runs of numbers: bodies that were taken out, leaves, undecodable ones.
    pub listed: Vec<Run>,
    /// The key that signed.
    pub key: Option<KeyId>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileStatement {
    /// Its name within the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Entries in it.
    pub entries: u64,
}

/// One partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Partition {
    /// Entries in the files.
    pub exported: u64,
    /// The first number in the files.
    pub first_seq: Option<u64>,
    /// The last number in the files.
    pub last_seq: Option<u64>,
    /// Entries in the files by type.
    pub types: BTreeMap<String, u64>,
    /// Entries in the files by how much of them there is.
    pub states: BTreeMap<State, u64>,
    /// Entries that were read and left out, by why.
    pub left_out: BTreeMap<LeftOut, u64>,
    /// Events that were left out because no class of the form fits, by type.
    pub no_class: BTreeMap<String, u64>,
    /// Entries of the archive in parts that were not read, because the index says that nothing asked for is there.
    pub not_read: u64,
    /// Entries that were read from the live log.
    pub live: u64,
    /// What the signed heads of the archive say.
    pub archive: Option<Sealed>,
}

/// Why an entry was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LeftOut {
    /// A sample, and those were not asked for.
    Sample,
    /// Another type.
    Type,
    /// Another time.
    Time,
    /// Another host or container.
    Subject,
    /// Not known about which host or container: its attributes are gone, or cannot be read.
    SubjectUnknown,
    /// No class of the form fits its type.
    NoClass,
    /// The form cannot hold what is no whole event.
    NotWhole,
}

/// A run of entries that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The partition.
    pub partition: u16,
    /// The first number.
    pub first_seq: u64,
    /// The last number.
    pub last_seq: u64,
    /// How much of them there is.
    pub state: State,
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether they are in the files.
    pub exported: bool,
}

impl Partition {
    /// Segments that were sealed and are not there: nobody knows how much was in them, or what.
    pub(crate) fn missing_segments(&self) -> u64 {
        self.archive.as_ref().map_or(0, |sealed| sealed.last_segment.saturating_sub(sealed.segments))
    }

    /// Why it does not reconcile, in words.
    pub(crate) fn what_is_odd(&self) -> String {
        match self.missing_segments() {
            0 => "does not reconcile with the archive: export anew".to_owned(),
            missing => format!(
                "is not whole: {missing} segments of its archive are not there (hemostat-replay verify)"
            ),
        }
    }

    /// Whether X-2 holds.
    pub(crate) fn reconciles(&self) -> bool {
        let sealed = self.archive.as_ref().map_or(0, |sealed| sealed.entries);
        self.missing_segments() == 0
            && sealed + self.live == self.exported + self.left_out.values().sum::<u64>() + self.not_read
    }
}

/// The bytes of a manifest that nobody signed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsigned {
    statement: Manifest,
}

/// The bytes of the file, signed where there is a key.
pub(crate) fn bytes(mut manifest: Manifest, key: Option<&PrivateKey>) -> Vec<u8> {
    manifest.key = key.map(|key| key.public().id());
    match key {
        Some(key) => Signed::sign(manifest, key).to_bytes(),
        None => {
            let file = Unsigned { statement: manifest };
            let mut bytes =
                serde_json::to_vec_pretty(&file).expect("a manifest has only values that JSON can write");
            bytes.push(b'\n');
            bytes
        }
    }
}

/// Reads the file: signed, or not.
///
/// # Errors
/// When it is neither.
pub(crate) fn read(bytes: &[u8]) -> anyhow::Result<Result<Signed<Manifest>, Manifest>> {
    let value: serde_json::Value = serde_json::from_slice(bytes).context("the manifest is no JSON")?;
    if value.get("signature").is_some() {
        return Ok(Ok(Signed::read(bytes).context("the manifest cannot be read")?));
    }
    let file: Unsigned = serde_json::from_slice(bytes).context("the manifest cannot be read")?;
    Ok(Err(file.statement))
}

/// The SHA-256 and the length of a file, read piece by piece.
///
/// # Errors
/// Those of the file system.
pub(crate) fn digest(path: &Path) -> anyhow::Result<(Digest, u64)> {
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut piece = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let read = file.read(&mut piece).with_context(|| format!("cannot read `{}`", path.display()))?;
        if read == 0 {
            break;
        }
        length += read as u64;
        context.update(&piece[..read]);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Ok((Digest::from_bytes(bytes), length))
}

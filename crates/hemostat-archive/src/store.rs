//! Where segments are kept: a folder or an object store, all of it behind names.
//!
//! ```text
//! keys/00002.json                     the statement that a key follows another
//! holds/00001.json                    a statement about what has to be kept
//! p00000/s0000000001-<digest>.seg     the object of segment 1 of partition 0
//! p00000/s0000000001.r000.json        its head; r001 is that of its first revision
//! p00000/tip.json                     the last head, signed
//! ```
//!
//! Invariants:
//! - S-1: the object is there before its head is, whole and on the disk. What has no head is nothing: it is what an
//!   archiver left that died half-way.
//! - S-2: a head is made once and never written over; of two archivers one makes it. So are statements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hemostat_event::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};

use crate::chain::Digest;
use crate::failure::ArchiveError;
use crate::head::{Head, Signed};
use crate::keys::{KeyId, PrivateKey};
use crate::object::Frames;
use crate::place::Place;

/// Heads that are fetched at a time.
const FETCHES: usize = 16;

/// The last head of a partition, told apart from it so that a missing end is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tip {
    /// The partition.
    pub partition: u16,
    /// The number of the last segment.
    pub number: u64,
    /// The number of the last entry.
    pub last_seq: u64,
    /// The chain after the last entry.
    pub chain: Digest,
    /// The digest of the last head.
    pub head: Digest,
    /// The key that signed.
    pub key: KeyId,
}

/// An archive.
#[derive(Debug, Clone)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    /// Whether the store is known to keep to put-if-absent; that of a folder does.
    keeps_to_it: Arc<AtomicBool>,
}

impl Archive {
    /// Opens the archive at `place`, making the folder where there is none. What a bucket wants to know stands in the
    /// environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`); nothing is sent to it yet.
    ///
    /// # Errors
    /// [`ArchiveError::Place`] when that is not possible.
    pub fn open(place: &Place) -> Result<Self, ArchiveError> {
        let texts = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::open_with(place, std::env::vars_os().filter_map(texts))
    }

    /// The same with these variables and no others.
    ///
    /// # Errors
    /// As for [`Archive::open`].
    pub fn open_with(
        place: &Place,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ArchiveError> {
        let store = place.store(variables);
        let store = store.map_err(|source| ArchiveError::Place { place: place.clone(), source })?;
        Ok(Self { store, keeps_to_it: Arc::new(AtomicBool::new(matches!(place, Place::Folder(_)))) })
    }

    /// The archive in `store`.
    #[cfg(test)]
    pub(crate) fn within(store: impl ObjectStore) -> Self {
        Self { store: Arc::new(store), keeps_to_it: Arc::default() }
    }

    /// Asks the store for the first time.
    ///
    /// # Errors
    /// Those of the store: it is out of reach, there is no such bucket, or these credentials may not list it.
    pub async fn reach(&self) -> Result<(), ArchiveError> {
        self.store.list_with_delimiter(None).await?;
        Ok(())
    }

    /// Every file of the archive, whoever made it: its path below the archive, and its length in bytes. In order.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn files(&self) -> Result<BTreeMap<String, u64>, ArchiveError> {
        let listed = self.store.list(None).map_ok(|object| (object.location.to_string(), object.size));
        Ok(listed.try_collect().await?)
    }

    /// The bytes of a file by its path below the archive; `None` where there is none.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn file(&self, path: &str) -> Result<Option<Bytes>, ArchiveError> {
        match self.bytes(&Path::from(path)).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ArchiveError::Store(object_store::Error::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The partitions that have segments, in order.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn partitions(&self) -> Result<Vec<u16>, ArchiveError> {
        let listed = self.store.list_with_delimiter(None).await?;
        let number = |path: &Path| path.filename()?.strip_prefix('p')?.parse().ok();
        let mut partitions: Vec<u16> = listed.common_prefixes.iter().filter_map(number).collect();
        partitions.sort_unstable();
        Ok(partitions)
    }

    /// The names of all heads of a partition, with number and revision, in order.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn head_names(&self, partition: u16) -> Result<Vec<HeadName>, ArchiveError> {
        let listed = self.store.list_with_delimiter(Some(&folder(partition))).await?;
        let names = listed.objects.iter().filter_map(|object| object.location.filename());
        let mut names: Vec<HeadName> = names.filter_map(|name| HeadName::read(partition, name)).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The valid head of each segment of a partition: that of the last revision. In order.
    ///
    /// # Errors
    /// Those of the store, and a head that was changed.
    pub async fn heads(&self, partition: u16) -> Result<Vec<Signed<Head>>, ArchiveError> {
        self.fetch(last_revisions(self.head_names(partition).await?)).await
    }

    /// The valid head of each segment of a partition that may have entries of `since` or later, and of the last one. In
    /// order. Segments follow one another in time, so no head before the first of these is fetched.
    ///
    /// # Errors
    /// As for [`Archive::heads`].
    pub async fn heads_since(
        &self,
        partition: u16,
        since: Timestamp,
    ) -> Result<Vec<Signed<Head>>, ArchiveError> {
        let names = last_revisions(self.head_names(partition).await?);
        let mut parts = Vec::new();
        for names in names.rchunks(FETCHES) {
            let heads = self.fetch(names.to_vec()).await?;
            let is_enough = heads.first().is_some_and(|head| head.statement.last_ms < since.millis());
            parts.push(heads);
            if is_enough {
                break;
            }
        }
        Ok(parts.into_iter().rev().flatten().collect())
    }

    /// The valid head of each segment of a partition behind that with this number. In order.
    ///
    /// # Errors
    /// As for [`Archive::heads`].
    pub async fn heads_after(&self, partition: u16, number: u64) -> Result<Vec<Signed<Head>>, ArchiveError> {
        let behind = HeadName { partition, number, revision: 999 }.path();
        let folder = folder(partition);
        let listed = self.store.list_with_offset(Some(&folder), &behind);
        let listed: Vec<_> = listed.map_ok(|object| object.location).try_collect().await?;
        let names = listed.iter().filter_map(|path| HeadName::read(partition, path.filename()?));
        let mut names: Vec<HeadName> = names.filter(|name| number < name.number).collect();
        names.sort_unstable();
        self.fetch(last_revisions(names)).await
    }

    async fn fetch(&self, names: Vec<HeadName>) -> Result<Vec<Signed<Head>>, ArchiveError> {
        let heads = stream::iter(names).map(|name| async move { self.head(&name).await });
        heads.buffered(FETCHES).try_collect().await
    }

    /// The valid head of the last segment of a partition.
    ///
    /// # Errors
    /// As for [`Archive::heads`].
    pub async fn last(&self, partition: u16) -> Result<Option<Signed<Head>>, ArchiveError> {
        match self.head_names(partition).await?.last() {
            Some(name) => Ok(Some(self.head(name).await?)),
            None => Ok(None),
        }
    }

    /// One head.
    ///
    /// # Errors
    /// Those of the store, and [`ArchiveError::Head`].
    pub async fn head(&self, name: &HeadName) -> Result<Signed<Head>, ArchiveError> {
        let bytes = self.bytes(&name.path()).await?;
        Signed::read(&bytes).map_err(|source| ArchiveError::Head { name: name.path().to_string(), source })
    }

    /// The entries of a segment. Where its object went because a later revision took its place meanwhile, those of that
    /// revision.
    ///
    /// # Errors
    /// Those of the store, [`ArchiveError::Changed`] when the object is not the one that the head names, and
    /// [`ArchiveError::Object`].
    pub async fn frames(&self, head: &Head) -> Result<Frames, ArchiveError> {
        let mut later: Option<Signed<Head>> = None;
        loop {
            let head = later.as_ref().map_or(head, |later| &later.statement);
            let gone = match self.frames_of(head).await {
                Err(ArchiveError::Store(gone @ object_store::Error::NotFound { .. })) => gone,
                read => return read,
            };
            match self.revised(HeadName::of(head)).await? {
                Some(next) => later = Some(next),
                None => return Err(gone.into()),
            }
        }
    }

    /// The head of the last revision of a segment behind this one; `None` where there is none.
    ///
    /// # Errors
    /// Those of the store, and a head that was changed.
    pub(crate) async fn revised(&self, mut name: HeadName) -> Result<Option<Signed<Head>>, ArchiveError> {
        let mut last = None;
        loop {
            name.revision += 1;
            match self.head(&name).await {
                Ok(head) => last = Some(head),
                Err(ArchiveError::Store(object_store::Error::NotFound { .. })) => return Ok(last),
                Err(error) => return Err(error),
            }
        }
    }

    async fn frames_of(&self, head: &Head) -> Result<Frames, ArchiveError> {
        let path = folder(head.partition).join(head.object.name.as_str());
        let bytes = self.bytes(&path).await?;
        if Digest::of(&bytes) != head.object.digest {
            return Err(ArchiveError::Changed(path.to_string()));
        }
        Frames::open(bytes).map_err(|source| ArchiveError::Object { name: path.to_string(), source })
    }

    /// Makes a segment visible: its object, then its head, then the tip. Says whether it was made: `false` when another
    /// archiver has made that segment, or that revision of it.
    ///
    /// # Errors
    /// Those of the store; the segment is there or it is not, and the call can be repeated.
    pub async fn publish(
        &self,
        object: Bytes,
        head: &Signed<Head>,
        key: &PrivateKey,
    ) -> Result<bool, ArchiveError> {
        let name = HeadName::of(&head.statement);
        let path = folder(head.statement.partition).join(head.statement.object.name.as_str());
        self.store.put(&path, PutPayload::from(object)).await?;
        if !self.make(&name.path(), head.to_bytes()).await? {
            return Ok(false);
        }
        if head.statement.revision == 0 {
            self.point(head, key).await?;
        }
        Ok(true)
    }

    /// Writes the tip.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn point(&self, head: &Signed<Head>, key: &PrivateKey) -> Result<(), ArchiveError> {
        let Head { partition, number, last_seq, chain_after, .. } = head.statement;
        let tip = Tip {
            partition,
            number,
            last_seq,
            chain: chain_after,
            head: head.digest,
            key: key.public().id(),
        };
        let bytes = Signed::sign(tip, key).to_bytes();
        self.store.put(&tip_path(partition), PutPayload::from(bytes)).await?;
        Ok(())
    }

    /// The tip of a partition.
    ///
    /// # Errors
    /// Those of the store, and a tip that was changed.
    pub async fn tip(&self, partition: u16) -> Result<Option<Signed<Tip>>, ArchiveError> {
        let path = tip_path(partition);
        match self.bytes(&path).await {
            Ok(bytes) => match Signed::read(&bytes) {
                Ok(tip) => Ok(Some(tip)),
                Err(source) => Err(ArchiveError::Head { name: path.to_string(), source }),
            },
            Err(ArchiveError::Store(object_store::Error::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a file that is not there; `false` when another is. One with these bytes was made by a call of ours whose
    /// answer was lost.
    ///
    /// Proves S-2 for this store, once: what is there now, with these bytes, must be refused when it is put again. There
    /// are stores that do not know the condition and take the request all the same.
    pub(crate) async fn make(&self, path: &Path, bytes: Vec<u8>) -> Result<bool, ArchiveError> {
        let bytes = Bytes::from(bytes);
        let put = || {
            let made = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            self.store.put_opts(path, PutPayload::from(bytes.clone()), made)
        };
        match put().await {
            Ok(_) if self.keeps_to_it.load(Ordering::Relaxed) => Ok(true),
            Ok(_) => match put().await {
                Ok(_) => Err(ArchiveError::WritesOver),
                Err(object_store::Error::AlreadyExists { .. }) => {
                    self.keeps_to_it.store(true, Ordering::Relaxed);
                    Ok(true)
                }
                Err(error) => Err(error.into()),
            },
            Err(object_store::Error::AlreadyExists { .. }) => Ok(self.bytes(path).await? == bytes),
            Err(error) => Err(error.into()),
        }
    }

    /// The files directly in a folder, with length and the time at which each was written, in milliseconds since 1970.
    pub(crate) async fn listed(&self, folder: &Path) -> Result<Vec<(Path, u64, u64)>, ArchiveError> {
        let listed = self.store.list_with_delimiter(Some(folder)).await?;
        let written = |object: object_store::ObjectMeta| {
            let ms = u64::try_from(object.last_modified.timestamp_millis()).unwrap_or(0);
            (object.location, object.size, ms)
        };
        let mut listed: Vec<_> = listed.objects.into_iter().map(written).collect();
        listed.sort_unstable();
        Ok(listed)
    }

    /// When a file was written, in milliseconds since 1970; `None` where it is not there.
    pub(crate) async fn written_ms(&self, path: &Path) -> Result<Option<u64>, ArchiveError> {
        match self.store.head(path).await {
            Ok(object) => Ok(Some(u64::try_from(object.last_modified.timestamp_millis()).unwrap_or(0))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the object of a segment that has a later revision.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn delete_object(&self, partition: u16, name: &str) -> Result<(), ArchiveError> {
        match self.store.delete(&folder(partition).join(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The bytes of a file.
    async fn bytes(&self, path: &Path) -> Result<Bytes, ArchiveError> {
        Ok(self.store.get(path).await?.bytes().await?)
    }
}

/// The name of the file of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeadName {
    /// The partition.
    pub partition: u16,
    /// The number of the segment.
    pub number: u64,
    /// The revision.
    pub revision: u32,
}

impl HeadName {
    /// The name under which `head` is kept.
    #[must_use]
    pub fn of(head: &Head) -> Self {
        Self { partition: head.partition, number: head.number, revision: head.revision }
    }

    pub(crate) fn path(self) -> Path {
        folder(self.partition).join(format!("s{:010}.r{:03}.json", self.number, self.revision))
    }

    pub(crate) fn read(partition: u16, name: &str) -> Option<Self> {
        let (number, rest) = name.strip_prefix('s')?.split_once(".r")?;
        let revision = rest.strip_suffix(".json")?.parse().ok()?;
        let head = Self { partition, number: number.parse().ok()?, revision };
        (head.path().filename() == Some(name)).then_some(head)
    }
}

/// The last revision of each segment; the names are in order.
fn last_revisions(mut names: Vec<HeadName>) -> Vec<HeadName> {
    // The later revision stands behind the earlier.
    names.reverse();
    names.dedup_by_key(|name| name.number);
    names.reverse();
    names
}

/// The name of an object with these bytes.
pub(crate) fn object_name(number: u64, digest: Digest) -> String {
    format!("s{number:010}-{}{OBJECT}", &digest.to_string()[..16])
}

pub(crate) const OBJECT: &str = ".seg";
pub(crate) const KEYS: &str = "keys";
pub(crate) const HOLDS: &str = "holds";

pub(crate) fn folder(partition: u16) -> Path {
    Path::from(format!("p{partition:05}"))
}

pub(crate) fn tip_path(partition: u16) -> Path {
    folder(partition).join("tip.json")
}

//! Removes objects that nothing needs: those without a head, and those that a later revision took the place of.
//!
//! Invariant C-1: an object that the valid head of a segment names is never removed. What has no head is removed when it
//! is an hour old, because whoever writes an object writes its head next; what was superseded only when the object of the
//! later revision is there and is what its head says.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::chain::Digest;
use crate::failure::ArchiveError;
use crate::store::{Archive, OBJECT, folder};

#[cfg(test)]
mod tests;

/// Age from which on an object without a head is one that an archiver left which died half-way. A bucket dates objects by
/// its own clock; a machine whose clock is off by more than a quarter of an hour is refused by S3 and Azure.
pub const ORPHAN_AGE: Duration = Duration::from_secs(3_600);

/// Why an object goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needless {
    /// No head names it.
    Orphan,
    /// A later revision took its place.
    Superseded,
}

/// An object that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// Its path below the archive.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Why.
    pub why: Needless,
}

impl Archive {
    /// Removes what nothing needs from a partition, or only tells it. `now_ms` is the time of the store, in milliseconds
    /// since 1970.
    ///
    /// # Errors
    /// Those of the store, and a head that was changed: nothing is removed then.
    pub async fn sweep(
        &self,
        partition: u16,
        now_ms: u64,
        is_rehearsal: bool,
    ) -> Result<Vec<Swept>, ArchiveError> {
        // The objects first: what is written meanwhile is not among them.
        let objects = self.listed(&folder(partition)).await?;
        let objects = objects.into_iter().filter(|(path, ..)| path.as_ref().ends_with(OBJECT));
        let objects: BTreeMap<_, _> = objects.map(|(path, bytes, ms)| (path, (bytes, ms))).collect();
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        // By the name of the object: the valid head of its segment, and whether that is the one that names it.
        let mut named = BTreeMap::new();
        for name in self.head_names(partition).await? {
            let head = self.head(&name).await?.statement;
            named.insert(folder(partition).join(head.object.name.as_str()), head);
        }
        let mut valid = BTreeMap::new();
        for head in named.values() {
            let last = valid.entry(head.number).or_insert(head);
            if last.revision < head.revision {
                *last = head;
            }
        }
        let mut swept = Vec::new();
        for (path, (bytes, ms)) in objects {
            let why = match named.get(&path) {
                None if is_old(ms, now_ms) => Needless::Orphan,
                None => continue,
                Some(head) => {
                    let last = valid[&head.number];
                    if last.object.name == head.object.name || !self.is_whole(partition, last).await? {
                        continue;
                    }
                    Needless::Superseded
                }
            };
            let name = path.filename().unwrap_or_default().to_owned();
            if !is_rehearsal {
                // Whoever tries again to publish it has written it anew just now.
                if why == Needless::Orphan
                    && !self.written_ms(&path).await?.is_some_and(|ms| is_old(ms, now_ms))
                {
                    continue;
                }
                self.delete_object(partition, &name).await?;
            }
            swept.push(Swept { path: path.to_string(), bytes, why });
        }
        Ok(swept)
    }

    /// Whether the object of a head is there and what was sealed.
    async fn is_whole(&self, partition: u16, head: &crate::head::Head) -> Result<bool, ArchiveError> {
        let path = folder(partition).join(head.object.name.as_str());
        let bytes = self.file(path.as_ref()).await?;
        Ok(bytes.is_some_and(|bytes| Digest::of(&bytes) == head.object.digest))
    }
}

fn is_old(ms: u64, now_ms: u64) -> bool {
    ms.saturating_add(ORPHAN_AGE.as_millis() as u64) < now_ms
}

//! How long the archive keeps the bodies of entries: by family, for ever where nothing is said.
//!
//! Entries whose time is over keep their place and their leaf, so that chain and root stay; everything else of them goes.
//! A segment is written anew for a family when its *last* entry is old enough, once for all of it, and no entry goes before
//! its time. Orders of people are kept for ever: they say who had what done, and verification rests on them.

use std::collections::BTreeSet;
use std::time::Duration;

use hemostat_event::EventType;

use crate::failure::ArchiveError;
use crate::head::{Head, Signed};
use crate::hold::Holds;
use crate::record::Body;
use crate::revise::{Fate, Revised, Revision};
use crate::store::Archive;

#[cfg(test)]
mod tests;

/// How long each family is kept; for ever where absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// Measurements.
    pub samples: Option<Duration>,
    /// What the monitor saw: changes, alerts, recoveries.
    pub observations: Option<Duration>,
    /// What was decided and done about it, and who was told; dead letters too.
    pub decisions: Option<Duration>,
}

impl Keep {
    /// How long events of a type are kept.
    #[must_use]
    pub fn of(&self, kind: EventType) -> Option<Duration> {
        match kind {
            EventType::ContainerSample => self.samples,
            EventType::ContainerChanged | EventType::HealthAlert | EventType::HealthRecovered => {
                self.observations
            }
            EventType::OperatorCommand => None,
            _ => self.decisions,
        }
    }

    /// Whether everything is kept for ever.
    #[must_use]
    pub fn is_for_ever(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an entry of a type and time may go.
    fn is_over(&self, kind: EventType, ms: u64, now_ms: u64) -> bool {
        let keep = self.of(kind).and_then(|keep| u64::try_from(keep.as_millis()).ok());
        keep.is_some_and(|keep| ms.saturating_add(keep) < now_ms)
    }
}

/// A segment with entries whose time may be over.
#[derive(Debug, Clone)]
pub struct Due {
    /// Its head.
    pub head: Signed<Head>,
    /// The types of the entries.
    pub types: BTreeSet<EventType>,
}

/// What became of a segment whose time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    /// Entries that went, and bytes.
    pub revised: Revised,
    /// Entries that stayed because a hold keeps them.
    pub held: u64,
}

/// The segments of a partition of which something may be over, the oldest first.
///
/// # Errors
/// Those of the store, and a head that was changed.
pub async fn due(
    archive: &Archive,
    partition: u16,
    keep: &Keep,
    holds: &Holds,
    now_ms: u64,
) -> Result<Vec<Due>, ArchiveError> {
    if keep.is_for_ever() {
        return Ok(Vec::new());
    }
    let mut due = Vec::new();
    let mut before: Option<Head> = None;
    for head in archive.heads(partition).await? {
        let said = &head.statement;
        // What was done with a type is done for good, unless a hold kept some of it that was released since.
        let is_released = |hold: &crate::hold::Hold| {
            hold.covers.spans(said.first_ms, said.last_ms)
                && hold.released_ms.is_some_and(|released| said.sealed_ms <= released)
        };
        let again = holds.0.iter().any(is_released);
        let mut types = said.types_after(before.as_ref());
        types.retain(|kind| {
            keep.is_over(*kind, said.last_ms, now_ms) && (again || !said.expired.contains_key(kind))
        });
        before = Some(said.clone());
        if !types.is_empty() {
            due.push(Due { head, types });
        }
    }
    Ok(due)
}

/// Lets the entries of a segment go whose time is over and that nothing holds. Without a revision nothing is written.
///
/// # Errors
/// As for [`Archive::revise`].
pub async fn expire(
    archive: &Archive,
    due: &Due,
    keep: &Keep,
    holds: &Holds,
    now_ms: u64,
    with: Option<Revision<'_>>,
) -> Result<Expired, ArchiveError> {
    let mut held = BTreeSet::new();
    let revised = archive
        .revise(&due.head, with, &mut |record| {
            let kind = record.stream.event_type();
            let is_over = due.types.contains(&kind) && keep.is_over(kind, record.id.ms, now_ms);
            if !is_over || matches!(record.body, Body::Leaf(_)) {
                return Fate::Stays;
            }
            if holds.keeping(record).is_some() {
                held.insert(record.seq);
                return Fate::Stays;
            }
            Fate::Leaf
        })
        .await?;
    Ok(Expired { revised, held: held.len() as u64 })
}

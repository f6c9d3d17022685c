//! What an archiver does besides sealing, under the same lease: it lets go of what retention does not keep, removes what
//! was left half-made, and changes its key when that was rotated.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::partition::{Failure, Worker};
use crate::hold::Holds;
use crate::retention::{Due, due, expire};
use crate::revise::Revision;

/// How far the care for a partition is.
#[derive(Debug, Default)]
pub(super) struct Care {
    /// When it was last begun.
    begun: Option<Instant>,
    /// Segments to look at.
    queue: VecDeque<Due>,
    /// The revision of each segment that was looked at in vain, and how many statements about holds there were.
    kept: BTreeMap<u64, (u32, usize)>,
}

impl Worker<'_> {
    /// Does one thing, when it is time; says whether that was all for now.
    pub(super) async fn care(&self, care: &mut Care) -> Result<bool, Failure> {
        if care.queue.is_empty() {
            if care.begun.is_some_and(|begun| begun.elapsed() < CARE) {
                return Ok(true);
            }
            care.begun = Some(Instant::now());
            self.follow_rotation().await?;
            self.sweep().await?;
            let (archive, now_ms) = (&self.with.archive, self.with.clock.now().await?.millis());
            let holds = archive.holds().await?;
            let due = due(archive, self.partition.0, &self.with.keep, &holds, now_ms).await?;
            let told = told(&holds);
            let is_new = |due: &Due| {
                let said = &due.head.statement;
                care.kept.get(&said.number) != Some(&(said.revision, told))
            };
            care.queue = due.into_iter().filter(is_new).collect();
        }
        let Some(due) = care.queue.pop_front() else { return Ok(true) };
        let (archive, now_ms) = (&self.with.archive, self.with.clock.now().await?.millis());
        // Anew for each segment: a hold may have been placed since.
        let holds = archive.holds().await?;
        let key = self.key();
        let with = Revision { key: &key, by: &self.with.instance, now_ms };
        let expired = expire(archive, &due, &self.with.keep, &holds, now_ms, Some(with)).await?;
        let said = &due.head.statement;
        if expired.revised.is_change() {
            let freed = expired.revised.bytes_before.saturating_sub(expired.revised.bytes_after);
            let (events, telemetry) = (expired.revised.expired, &self.with.telemetry);
            telemetry.archive_expired(self.partition, said.number, events, expired.held, freed);
        } else {
            care.kept.insert(said.number, (said.revision, told(&holds)));
        }
        Ok(care.queue.is_empty())
    }

    /// Changes to the key that follows this one, where there is one and it is there.
    async fn follow_rotation(&self) -> Result<(), Failure> {
        let own = self.key().public();
        let told = self.with.archive.successions().await?;
        if told.iter().any(|told| told.statement.predecessor == own.id())
            && let Some(key) = (self.with.read_key)()
            && key.public() != own
            && self.with.archive.may_follow(&own.id(), &key.public()).await?
        {
            self.change_key(key);
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(0);
        for swept in self.with.archive.sweep(self.partition.0, now_ms, false).await? {
            self.with.telemetry.archive_swept(self.partition, &swept.path, swept.bytes);
        }
        Ok(())
    }
}

/// How many statements made these holds.
fn told(holds: &Holds) -> usize {
    holds.0.len() + holds.0.iter().filter(|hold| hold.released_ms.is_some()).count()
}

/// Time between two rounds of care. Nobody waits for it, and a round reads every head.
const CARE: Duration = Duration::from_secs(3_600);

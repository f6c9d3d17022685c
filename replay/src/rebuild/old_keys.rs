//! The keys of the Python HemoStat, made anew where a bridge had written them.
//!
//! They are a function of the events and go so long after them; so the events of that time are gone through once more, and
//! nothing is said. Events that the bridge had not come to are marked as said: what may have been heard is not said again.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use hemostat_agent::log::Cursors;
use hemostat_archive::{Archive, Head, Reader, Selection, Signed};
use hemostat_core::bridge::outbound::{Outbound, READS, Settings};
use hemostat_core::remediate::Policy;
use hemostat_event::{EventType, Role, Timestamp};
use hemostat_redis::Access;
use hemostat_redis::bridge::OldSide;

/// The audit of a container stays longest.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// A measurement, and that the container is there.
const SAMPLED: Duration = Duration::from_secs(300);

/// Writes the keys into the Redis at `url` from the segments of a partition, if a bridge had spoken for it. Answers with
/// the number of events that were gone through.
///
/// # Errors
/// When archive or Redis cannot be reached, or the Redis is a cluster, where no bridge can have written.
pub(super) async fn write(
    archive: &Archive,
    heads: &[Signed<Head>],
    cursors: &Cursors,
    url: &str,
    policy: &Policy,
    now: Timestamp,
) -> anyhow::Result<u64> {
    let was_bridged = cursors.positions.keys().any(|(role, _)| *role == Role::Bridge);
    let Some(last) = heads.last().filter(|_| was_bridged) else { return Ok(0) };
    let side = OldSide::connect(url, &Access::default()).await.context("the keys of the Python HemoStat")?;
    let settings = Settings {
        channels: BTreeSet::new(),
        keys: Role::AGENTS.into(),
        budget: policy.budget,
        breaker_failures: policy.breaker.failures,
    };
    let mut outbound = Outbound::new(settings);
    let ended = now.min(Timestamp::from_millis(last.statement.last_ms));
    let selection = Selection { since: Some(now.before(KEPT)), types: READS.into(), ..Selection::default() };
    let mut reader = Reader::of(archive, heads.to_vec(), selection);
    let mut written = 0;
    while let Some(records) = reader.next().await? {
        for record in records {
            let kind = record.stream.event_type();
            let kept =
                if kind == EventType::ContainerSample { ended.before(SAMPLED) } else { now.before(KEPT) };
            if !READS.contains(&kind) || record.id.time() < kept || record.redrive.is_some() {
                continue;
            }
            let Some(Ok(event)) = record.event() else { continue };
            side.write_keys(&mut outbound, &event, now).await?;
            written += 1;
        }
    }
    Ok(written)
}

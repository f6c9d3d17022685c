//! What the log keeps and for whom: trimming, abandoned groups, signs of life of a group's members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hemostat_agent::log::{
    Abandoned, Calls, EntryId, HeldBy, LogError, Membership, Operations, Partition, Pressure, Shelter,
    StreamName, Trim, Trimmed,
};
use hemostat_event::{Role, Timestamp};
use tokio::time::Instant;
use tracing::debug;

use crate::fault::{self, Effect};
use crate::log::millis;
use crate::scripts::{ADVANCE, FORGET, KEEP, REAP, TRIM};
use crate::shared::Shared;
use crate::{reply, status};

/// Longest time between two signs of life of a member, which come as often as it would renew an entry: small beside
/// the time after which a group counts as abandoned.
const SIGN_EVERY_MAX: Duration = Duration::from_secs(60);

/// Entries that readers of this process found to be gone, and that the log has not been told of.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<BTreeMap<(Partition, Role, StreamName), u64>>);

impl Losses {
    pub(crate) fn add(&self, partition: Partition, role: Role, stream: &StreamName, count: u64) {
        let mut losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *losses.entry((partition, role, stream.clone())).or_default() += count;
    }

    /// What there is to tell of a role.
    fn take(&self, role: Role) -> BTreeMap<(Partition, Role, StreamName), u64> {
        let mut losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        losses.extract_if(.., |(_, of, _), _| *of == role).collect()
    }

    fn has(&self, role: Role) -> bool {
        let losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        losses.keys().any(|(_, of, _)| *of == role)
    }
}

/// When a member has to give its next sign of life.
#[derive(Debug, Default)]
pub(crate) struct Signs(Option<Instant>);

impl Signs {
    /// Gives a sign of life when it is time, or when there is a loss to tell. If it fails, the next one says the same.
    pub(crate) async fn give(&mut self, shared: &Shared, membership: &Membership) {
        let every = membership.claim_after.min(SIGN_EVERY_MAX);
        let due = self.0.is_none_or(|given| every <= given.elapsed());
        if !due && !shared.losses.has(membership.role) {
            return;
        }
        let losses = shared.losses.take(membership.role);
        match keep(shared, membership, losses).await {
            Ok(()) => self.0 = Some(Instant::now()),
            Err(error) => {
                // The reader meets the same failure and reports it.
                debug!(group = %membership.role, %error, "no sign of life could be given");
            }
        }
    }
}

async fn keep(
    shared: &Shared,
    membership: &Membership,
    mut losses: BTreeMap<(Partition, Role, StreamName), u64>,
) -> Result<(), LogError> {
    let mut kept = Ok(());
    for partition in shared.partitions() {
        let mut call = KEEP.call(&shared.keys.seq(partition));
        call.arg(membership.role.as_str());
        for stream in &membership.streams {
            let lost = losses.get(&(partition, membership.role, stream.clone())).copied().unwrap_or(0);
            call.arg(stream.to_string()).arg(lost);
        }
        match shared.link.run_one(&KEEP, call, Effect::Read).await {
            Ok(_told) => losses.retain(|(of, _, _), _| *of != partition),
            Err(error) => {
                kept = Err(error);
                if !shared.link.is_cluster() {
                    break;
                }
            }
        }
    }
    for ((partition, role, stream), count) in losses {
        shared.losses.add(partition, role, &stream, count);
    }
    kept
}

/// Moves a group that reads along.
pub(crate) async fn advance(
    shared: &Shared,
    group: Role,
    partition: Partition,
    positions: &[(StreamName, EntryId)],
) -> Result<(), LogError> {
    if positions.is_empty() {
        return Ok(());
    }
    let mut call = ADVANCE.call(&shared.keys.seq(partition));
    call.arg(group.as_str());
    for (stream, id) in positions {
        call.arg(stream.to_string()).arg(id.to_string());
    }
    // A repetition finds everything where it should be.
    shared.link.run_one(&ADVANCE, call, Effect::Read).await?;
    Ok(())
}

/// How full the server is that holds a partition.
pub(crate) async fn pressure(shared: &Shared, partition: Partition) -> Result<Pressure, LogError> {
    let mut request = redis::cmd("INFO");
    request.arg("memory");
    let info: String = shared.link.query_at(partition, request, Effect::Read).await?;
    let number = |wanted: &str| -> u64 {
        let lines = info.lines().filter_map(|line| line.trim_end().split_once(':'));
        lines.filter(|(name, _)| *name == wanted).find_map(|(_, value)| value.parse().ok()).unwrap_or(0)
    };
    // What replicas and the append-only file have to be sent does not count against the limit.
    let used = number("used_memory").saturating_sub(number("mem_not_counted_for_evict"));
    Ok(Pressure { used, limit: Some(number("maxmemory")).filter(|limit| *limit != 0) })
}

/// The statistics of every server that has a partition, each server once.
pub(crate) async fn operations(shared: &Shared) -> Result<Operations, LogError> {
    let (mut operations, mut servers) = (Operations::new(), BTreeSet::new());
    for partition in shared.partitions() {
        let mut request = redis::cmd("INFO");
        request.arg("server").arg("commandstats");
        let info: String = shared.link.query_at(partition, request, Effect::Read).await?;
        let server = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
        if !servers.insert(server.to_owned()) {
            continue;
        }
        for (command, calls) in info.lines().filter_map(statistics) {
            let sum: &mut Calls = operations.entry(command.to_owned()).or_default();
            sum.done += calls.done;
            sum.failed += calls.failed;
        }
        if !shared.link.is_cluster() {
            break;
        }
    }
    Ok(operations)
}

/// A line such as `cmdstat_xadd:calls=2,usec=64,usec_per_call=32.00,rejected_calls=0,failed_calls=1`.
fn statistics(line: &str) -> Option<(&str, Calls)> {
    let (command, figures) = line.trim_end().strip_prefix("cmdstat_")?.split_once(':')?;
    let number = |wanted: &str| -> u64 {
        let figures = figures.split(',').filter_map(|figure| figure.split_once('='));
        figures.filter(|(name, _)| *name == wanted).find_map(|(_, value)| value.parse().ok()).unwrap_or(0)
    };
    let failed = number("failed_calls");
    let done = number("calls").saturating_sub(failed);
    Some((command, Calls { done, failed: failed + number("rejected_calls") }))
}

pub(crate) async fn trim(shared: &Shared, step: &Trim) -> Result<Trimmed, LogError> {
    let mut call = TRIM.call(&shared.keys.seq(step.partition));
    call.arg(step.stream.to_string()).arg(millis(step.keep));
    match step.shelter {
        Shelter::None => call.arg("").arg(""),
        Shelter::Archive => call.arg(Role::Archiver.as_str()).arg(""),
        Shelter::Groups { archived: None } => call.arg("*").arg(""),
        Shelter::Groups { archived: Some(id) } => call.arg("*").arg(id.to_string()),
    };
    call.arg(step.most.max(1));
    // A repetition goes on where the first call ended.
    let answer = shared.link.run_one(&TRIM, call, Effect::Read).await?;
    let [removed, up_to, kind, name] = reply::parts(answer)?;
    let up_to: EntryId = reply::entry_id(up_to)?;
    let held_by = match reply::text(kind)?.as_str() {
        "age" => HeldBy::Age,
        "archive" => HeldBy::Archive,
        _ => HeldBy::Group(reply::text(name)?),
    };
    let removed = reply::integer(&removed)?.unsigned_abs();
    // The last step of a round.
    if removed == 0 {
        forget(shared, step).await?;
    }
    Ok(Trimmed { removed, up_to, held_by })
}

/// Most steps of one round, some half a millisecond each; what is left is for the next one.
const FORGET_MAX: u32 = 128;

/// Forgets the last entries of containers that the stream holds nothing about, until few of them are left.
async fn forget(shared: &Shared, step: &Trim) -> Result<(), LogError> {
    for _step in 0..FORGET_MAX {
        let mut call = FORGET.call(&shared.keys.seq(step.partition));
        call.arg(step.stream.to_string());
        let [looked_at, forgotten] = reply::parts(shared.link.run_one(&FORGET, call, Effect::Read).await?)?;
        if reply::integer(&forgotten)? * 8 <= reply::integer(&looked_at)? {
            break;
        }
    }
    Ok(())
}

pub(crate) async fn reap(
    shared: &Shared,
    partition: Partition,
    silent: Duration,
) -> Result<Vec<Abandoned>, LogError> {
    let mut call = REAP.call(&shared.keys.seq(partition));
    call.arg(millis(silent));
    for name in status::names(shared, &[partition]).await?.pop().unwrap_or_default() {
        call.arg(name.to_string());
    }
    let rows = reply::array(shared.link.run_one(&REAP, call, Effect::Write).await?)?;
    let read = |row| {
        let [stream, group, seen] = reply::parts(row)?;
        let unexpected = || fault::unexpected("a request for abandoned groups");
        let stream = reply::text(stream)?.parse().map_err(|_other| unexpected())?;
        let seen = reply::text(seen)?.parse().map(Timestamp::from_millis).map_err(|_other| unexpected())?;
        Ok(Abandoned { partition, stream, group: reply::text(group)?, seen })
    };
    rows.into_iter().map(read).collect()
}

//! Reads counters from the engine's statistics: cgroup v1, cgroup v2, and Podman's reading of both.
//!
//! A figure that was not given is absent. The engine writes zeros for a container that does not run; such an
//! answer is no counters at all.

use bollard::models::{ContainerBlkioStats, ContainerMemoryStats, ContainerNetworkStats, ContainerStatsResponse};
use hemostat_core::engine::Counters;
use hemostat_event::Timestamp;

#[cfg(test)]
mod tests;

/// A limit beyond this is the kernel's or Podman's way to write "none": 1 EiB.
const LIMIT_MAX: u64 = 1 << 60;

/// The counters in `stats`, or `None` when they are those of a container that does not run. `received_at`
/// stands in where the engine does not say when it read them.
pub(crate) fn counters(stats: &ContainerStatsResponse, received_at: Timestamp) -> Option<Counters> {
    let cpu = stats.cpu_stats.as_ref();
    let usage = cpu.and_then(|cpu| cpu.cpu_usage.as_ref());
    let throttling = cpu.and_then(|cpu| cpu.throttling_data.as_ref());
    let memory = stats.memory_stats.as_ref();
    let blkio = stats.blkio_stats.as_ref();
    let cpu_usage_ns = usage.and_then(|usage| usage.total_usage);
    let memory_bytes = memory.and_then(working_set);
    let pids = stats.pids_stats.as_ref().and_then(|pids| pids.current);
    let given = [cpu_usage_ns, memory.and_then(|memory| memory.usage), pids];
    if given.into_iter().flatten().all(|figure| figure == 0) {
        return None;
    }
    // A running container has at least one processor and one process: 0 means "not measured".
    let per_cpu = usage.and_then(|usage| usage.percpu_usage.as_ref()).map(|cpus| cpus.len() as u64);
    let cpus_online = cpu.and_then(|cpu| cpu.online_cpus).map(u64::from).filter(|cpus| 0 < *cpus);
    Some(Counters {
        read_at: stats.read.as_deref().and_then(read_time).unwrap_or(received_at),
        cpu_usage_ns,
        cpus_online: cpus_online.or(per_cpu).filter(|cpus| 0 < *cpus),
        cpu_periods: throttling.and_then(|throttling| throttling.periods),
        cpu_throttled_periods: throttling.and_then(|throttling| throttling.throttled_periods),
        memory_bytes,
        memory_limit_bytes: memory
            .and_then(|memory| memory.limit)
            .filter(|limit| 0 < *limit && *limit < LIMIT_MAX),
        network_rx_bytes: network(stats, |network| network.rx_bytes),
        network_tx_bytes: network(stats, |network| network.tx_bytes),
        block_read_bytes: blkio.and_then(|blkio| block(blkio, "read")),
        block_write_bytes: blkio.and_then(|blkio| block(blkio, "write")),
        pids: pids.filter(|pids| 0 < *pids),
    })
}

/// The engine's time, unless it is the zero of Go (year 1).
pub(crate) fn read_time(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).ok().filter(|time| *time != Timestamp::EPOCH)
}

/// Usage without inactive page cache, as `docker stats` computes it: cgroup v1 has the hierarchical
/// `total_inactive_file`, v2 `inactive_file`. Podman has neither, and its usage leaves the cache out already.
fn working_set(memory: &ContainerMemoryStats) -> Option<u64> {
    let usage = memory.usage?;
    let stats = memory.stats.as_ref();
    let inactive = stats
        .and_then(|stats| stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")))
        // The two are read one after the other, so the cache may be ahead of the usage.
        .filter(|inactive| **inactive < usage);
    Some(usage - inactive.copied().unwrap_or(0))
}

fn network(
    stats: &ContainerStatsResponse,
    figure: impl Fn(&ContainerNetworkStats) -> Option<u64>,
) -> Option<u64> {
    sum(stats.networks.as_ref()?.values().map(figure))
}

/// Sums over devices. cgroup v1 writes `Read`, v2 `read`; an engine without figures sends null or an empty list.
fn block(blkio: &ContainerBlkioStats, op: &str) -> Option<u64> {
    let entries = blkio.io_service_bytes_recursive.as_ref()?;
    let of_op = |name: &Option<String>| name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(op));
    sum(entries.iter().filter(|entry| of_op(&entry.op)).map(|entry| entry.value))
}

/// The sum of the figures that are given; absent when none is.
fn sum(figures: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    figures.flatten().fold(None, |sum: Option<u64>, figure| Some(sum.unwrap_or(0).saturating_add(figure)))
}

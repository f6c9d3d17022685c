//! Reads counters from the engine's statistics: cgroup v1, cgroup v2, and Podman's reading of both.
//!
//! A figure that was not given is absent. The engine writes zeros for a container that does not run; such an
//! answer is no counters at all.

use std::collections::BTreeMap;

use hemostat_core::engine::Counters;
use hemostat_event::Timestamp;
use serde::Deserialize;

#[cfg(test)]
mod tests;

/// A limit beyond this is the kernel's or Podman's way to write "none": 1 EiB.
const LIMIT_MAX: u64 = 1 << 60;

/// The engine's answer, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    read: Option<String>,
    cpu_stats: Option<Cpu>,
    memory_stats: Option<Memory>,
    pids_stats: Option<Pids>,
    networks: Option<BTreeMap<String, Network>>,
    blkio_stats: Option<Block>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cpu {
    cpu_usage: Option<CpuUsage>,
    online_cpus: Option<u64>,
    throttling_data: Option<Throttling>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CpuUsage {
    total_usage: Option<u64>,
    percpu_usage: Option<Vec<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Throttling {
    periods: Option<u64>,
    throttled_periods: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    usage: Option<u64>,
    limit: Option<u64>,
    stats: Option<MemoryDetail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MemoryDetail {
    /// cgroup v1: of the container and all groups below it.
    total_inactive_file: Option<u64>,
    /// cgroup v2: the same; v1: of the container's own group only.
    inactive_file: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pids {
    current: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    rx_bytes: Option<u64>,
    tx_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Block {
    io_service_bytes_recursive: Option<Vec<BlockEntry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BlockEntry {
    op: Option<String>,
    value: Option<u64>,
}

/// The counters in `stats`, or `None` when they are those of a container that does not run. `received_at`
/// stands in where the engine does not say when it read them.
pub(crate) fn counters(stats: &Answer, received_at: Timestamp) -> Option<Counters> {
    let cpu = stats.cpu_stats.as_ref();
    let usage = cpu.and_then(|cpu| cpu.cpu_usage.as_ref());
    let throttling = cpu.and_then(|cpu| cpu.throttling_data.as_ref());
    let memory = stats.memory_stats.as_ref();
    let blkio = stats.blkio_stats.as_ref();
    let cpu_usage_ns = usage.and_then(|usage| usage.total_usage);
    let memory_usage = memory.and_then(|memory| memory.usage);
    let pids = stats.pids_stats.as_ref().and_then(|pids| pids.current);
    if [cpu_usage_ns, memory_usage, pids].into_iter().flatten().all(|figure| figure == 0) {
        return None;
    }
    // A running container has at least one processor and one process: 0 means "not measured".
    let per_cpu = usage.and_then(|usage| usage.percpu_usage.as_ref()).map(|cpus| cpus.len() as u64);
    let cpus_online = cpu.and_then(|cpu| cpu.online_cpus).filter(|cpus| 0 < *cpus);
    Some(Counters {
        read_at: stats.read.as_deref().and_then(read_time).unwrap_or(received_at),
        cpu_usage_ns,
        cpus_online: cpus_online.or(per_cpu).filter(|cpus| 0 < *cpus),
        cpu_periods: throttling.and_then(|throttling| throttling.periods),
        cpu_throttled_periods: throttling.and_then(|throttling| throttling.throttled_periods),
        memory_bytes: memory.and_then(working_set),
        memory_limit_bytes: memory
            .and_then(|memory| memory.limit)
            .filter(|limit| (1..LIMIT_MAX).contains(limit)),
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

/// Usage without inactive page cache, as `docker stats` computes it. Podman gives no details; there the usage is
/// all we know.
fn working_set(memory: &Memory) -> Option<u64> {
    let usage = memory.usage?;
    let inactive = memory
        .stats
        .as_ref()
        .and_then(|stats| stats.total_inactive_file.or(stats.inactive_file))
        // The two are read one after the other, so the cache may be ahead of the usage.
        .filter(|inactive| *inactive < usage);
    Some(usage - inactive.unwrap_or(0))
}

fn network(stats: &Answer, figure: impl Fn(&Network) -> Option<u64>) -> Option<u64> {
    sum(stats.networks.as_ref()?.values().map(figure))
}

/// Sums over devices. cgroup v1 writes `Read`, v2 `read`; an engine without figures sends null or an empty list.
fn block(blkio: &Block, op: &str) -> Option<u64> {
    let entries = blkio.io_service_bytes_recursive.as_ref()?;
    let of_op = |name: &Option<String>| name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(op));
    sum(entries.iter().filter(|entry| of_op(&entry.op)).map(|entry| entry.value))
}

/// The sum of the figures that are given; absent when none is.
fn sum(figures: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    figures.flatten().fold(None, |sum: Option<u64>, figure| Some(sum.unwrap_or(0).saturating_add(figure)))
}

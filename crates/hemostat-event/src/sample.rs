//! One measurement of one container.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Health, RunState, Timestamp};

/// One measurement. A figure the engine did not give is absent, never 0.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sample {
    /// What the container was doing.
    pub state: RunState,
    /// CPU time used since the previous sample, in percent of what the container may use: its quota where it
    /// has one, else all processors of the host.
    #[serde(skip_serializing_if = "crate::figure::absent")]
    pub cpu_percent: Option<f64>,
    /// Processors the container may use: its quota, or those of the host.
    #[serde(skip_serializing_if = "crate::figure::absent")]
    pub cpu_limit_cores: Option<f64>,
    /// CPU time used since the container started, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_usage_ns: Option<u64>,
    /// Scheduler periods in which the quota ran out, in percent of the periods since the previous sample.
    #[serde(skip_serializing_if = "crate::figure::absent")]
    pub cpu_throttled_percent: Option<f64>,
    /// Working set in bytes: usage without inactive page cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Memory limit in bytes: the container's, or the host's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// Working set in percent of the limit.
    #[serde(skip_serializing_if = "crate::figure::absent")]
    pub memory_percent: Option<f64>,
    /// Bytes received on all networks since the container started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_rx_bytes: Option<u64>,
    /// Bytes sent on all networks since the container started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_tx_bytes: Option<u64>,
    /// Bytes read from block devices since the container started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_read_bytes: Option<u64>,
    /// Bytes written to block devices since the container started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_write_bytes: Option<u64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Most processes and threads the container may have, where it is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<u64>,
    /// Size of the writable layer in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_writable_bytes: Option<u64>,
    /// Restarts by the engine's own restart policy.
    pub restart_count: u64,
    /// Answer of the container's health check.
    pub health: Health,
    /// Health checks failed in a row.
    pub health_failing_streak: u64,
    /// Exit code of the last run, where it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Whether the kernel ended the last run for memory.
    pub oom_killed: bool,
    /// Start of the present or last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// End of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

/// A point of the recent past, sent with an alert so that a trend can be judged from the log alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrendPoint {
    /// When it was measured.
    pub at: Timestamp,
    /// CPU in percent of what the container may use.
    #[serde(default, skip_serializing_if = "crate::figure::absent")]
    pub cpu_percent: Option<f64>,
    /// Working set in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

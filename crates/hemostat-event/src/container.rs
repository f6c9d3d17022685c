//! What is said about a container, whichever event says it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ContainerId;

/// A container as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerRef {
    /// The engine's id.
    pub id: ContainerId,
    /// The name, without the engine's leading slash.
    pub name: String,
    /// The image, as it was asked for.
    pub image: String,
    /// Compose project, from `com.docker.compose.project`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Compose or Swarm service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// The engine's word for what a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Made, never started.
    Created,
    /// Its first process runs.
    Running,
    /// Frozen by a person.
    Paused,
    /// Exited, and the engine is about to start it again.
    Restarting,
    /// Being taken away.
    Removing,
    /// Its first process ended.
    Exited,
    /// The engine failed to remove it.
    Dead,
    /// A word this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl RunState {
    /// Docker's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }
}

/// Answer of the container's own health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The container has no health check.
    #[default]
    None,
    /// Within its start period: neither well nor sick.
    Starting,
    /// The last check passed.
    Healthy,
    /// As many checks in a row failed as the image allows.
    Unhealthy,
}

/// How bad it is. Ordered: later is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a line in the log.
    Info,
    /// Worth a look.
    Warning,
    /// Users notice or soon will.
    High,
    /// It is down, or about to be.
    Critical,
}

/// What kind of symptom was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyKind {
    /// CPU time near the quota, in percent of it.
    HighCpu,
    /// Working set near the memory limit, in percent of it.
    HighMemory,
    /// Processes near the PID limit, in percent of it.
    HighPids,
    /// The writable layer is larger than allowed, in bytes.
    HighDisk,
    /// The container's own health check fails.
    UnhealthyStatus,
    /// The first process ended with a code other than 0 that nobody asked for.
    NonZeroExit,
    /// The kernel killed a process of the container for memory.
    OomKilled,
    /// The container died again and again within minutes.
    RestartLoop,
}

/// What happened to a container, as the engine tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Seen for the first time by this monitor.
    Discovered {
        /// What it was doing.
        state: RunState,
    },
    /// Its first process was started.
    Started,
    /// It ended because somebody asked for it.
    Stopped {
        /// Exit code of the first process.
        exit_code: i64,
    },
    /// It ended by itself.
    Died {
        /// Exit code of the first process; 128 + signal when it was killed.
        exit_code: i64,
    },
    /// The kernel killed one of its processes for memory.
    OomKilled,
    /// Its health check changed its mind.
    HealthChanged {
        /// The new answer.
        health: Health,
    },
    /// Frozen or thawed.
    Paused {
        /// Whether it is frozen now.
        paused: bool,
    },
    /// Taken away.
    Removed,
}

/// Who made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The engine or the process itself.
    Engine,
    /// A person or another program, through the engine's API.
    Operator,
    /// This system, under an intent in the log.
    Hemostat,
}

/// How far HemoStat may go with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Watch and tell.
    Observe,
    /// Also say what it would do.
    Suggest,
    /// Also do it, once a person agrees.
    Approve,
    /// Do it within the budget.
    Auto,
}

/// What the container's labels allow, read by the monitor and recorded with the alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerPolicy {
    /// How far HemoStat may go.
    pub mode: Mode,
    /// `hemostat.stop-timeout`: seconds between SIGTERM and SIGKILL; the engine's own default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout_secs: Option<u32>,
    /// `hemostat.cooldown`: seconds between two actions, where the container asks for more than the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_secs: Option<u64>,
    /// Labels that could not be read, and how they were taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl Default for ContainerPolicy {
    fn default() -> Self {
        Self { mode: Mode::Observe, stop_timeout_secs: None, cooldown_secs: None, problems: Vec::new() }
    }
}

impl Severity {
    /// All of them, worse ones later.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::High, Self::Critical];

    /// The word used in logs, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl AnomalyKind {
    /// Every kind, in order of declaration.
    pub const ALL: [Self; 8] = [
        Self::HighCpu,
        Self::HighMemory,
        Self::HighPids,
        Self::HighDisk,
        Self::UnhealthyStatus,
        Self::NonZeroExit,
        Self::OomKilled,
        Self::RestartLoop,
    ];

    /// The word used in logs, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HighCpu => "high_cpu",
            Self::HighMemory => "high_memory",
            Self::HighPids => "high_pids",
            Self::HighDisk => "high_disk",
            Self::UnhealthyStatus => "unhealthy_status",
            Self::NonZeroExit => "non_zero_exit",
            Self::OomKilled => "oom_killed",
            Self::RestartLoop => "restart_loop",
        }
    }
}

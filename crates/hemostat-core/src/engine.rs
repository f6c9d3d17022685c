//! What a container engine tells, freed from any engine's own words.

use std::collections::BTreeMap;

use hemostat_event::{ContainerId, Health, RunState, Sample, Timestamp};

/// What the engine says of itself and its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// The engine's name and version: `docker 20.10.24`.
    pub version: String,
    /// The API version that was agreed on.
    pub api_version: String,
    /// The host's own name.
    pub host: String,
    /// Processors.
    pub cpus: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// 1 or 2.
    pub cgroup_version: u8,
}

/// What the engine knows of a container, apart from its counters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inspection {
    /// The full id; `None` only in tests that do not care.
    pub id: Option<ContainerId>,
    /// The name, without the leading slash.
    pub name: String,
    /// The image as it was asked for.
    pub image: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub state: RunState,
    /// The last health answer.
    pub health: Health,
    /// Health checks failed in a row.
    pub health_failing_streak: u64,
    /// What the last health check printed.
    pub health_output: Option<String>,
    /// Exit code of the last run, where it has ended.
    pub exit_code: Option<i64>,
    /// Whether the kernel ended the last run for memory.
    pub oom_killed: bool,
    /// The engine's own error text of the last start.
    pub error: Option<String>,
    /// Start of the present or last run.
    pub started_at: Option<Timestamp>,
    /// End of the last run.
    pub finished_at: Option<Timestamp>,
    /// Restarts by the engine's restart policy.
    pub restart_count: u64,
    /// The engine's restart policy.
    pub restart_policy: RestartPolicy,
    /// CPU quota in processors, where there is one.
    pub cpu_limit_cores: Option<f64>,
    /// Memory limit in bytes, where there is one.
    pub memory_limit_bytes: Option<u64>,
    /// PID limit, where there is one.
    pub pids_limit: Option<u64>,
    /// The signal by which it asks to be stopped, where it is not SIGTERM.
    pub stop_signal: Option<i64>,
    /// Seconds that it asks for between that signal and SIGKILL; `u64::MAX` for as long as it takes.
    pub stop_timeout_secs: Option<u64>,
}

impl From<&Sample> for Inspection {
    /// What the engine had said when the sample was taken, as far as the sample has it.
    fn from(sample: &Sample) -> Self {
        Self {
            state: sample.state,
            health: sample.health,
            health_failing_streak: sample.health_failing_streak,
            exit_code: sample.exit_code,
            oom_killed: sample.oom_killed,
            started_at: sample.started_at,
            finished_at: sample.finished_at,
            restart_count: sample.restart_count,
            cpu_limit_cores: sample.cpu_limit_cores,
            memory_limit_bytes: sample.memory_limit_bytes,
            pids_limit: sample.pids_limit,
            ..Self::default()
        }
    }
}

/// The number of a signal as engines write it: `SIGQUIT`, `quit`, `3`, `SIGRTMIN+3` (Linux, signal(7)).
#[must_use]
pub fn signal_number(name: &str) -> Option<i64> {
    const NAMES: [(&str, i64); 12] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ABRT", 6),
        ("KILL", 9),
        ("USR1", 10),
        ("USR2", 12),
        ("TERM", 15),
        ("WINCH", 28),
        ("PWR", 30),
        ("RTMIN", 34),
        ("RTMAX", 64),
    ];
    let name = name.trim().to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let number = match (name.split_once('+'), name.split_once('-')) {
        (Some(("RTMIN", more)), _) => 34 + more.parse::<i64>().ok().filter(|more| (0..=30).contains(more))?,
        (_, Some(("RTMAX", less))) => 64 - less.parse::<i64>().ok().filter(|less| (0..=30).contains(less))?,
        _ => match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, number)) => *number,
            None => name.parse().ok()?,
        },
    };
    (1..=64).contains(&number).then_some(number)
}

/// When the engine starts a container again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// After a non-zero exit, at most so often; 0 is without limit.
    OnFailure {
        /// Most restarts in a row.
        max: u64,
    },
    /// Always, whatever the exit code.
    Always,
    /// Always, unless a person stopped it.
    UnlessStopped,
}

/// Counters of a running container at one moment. A figure the engine did not give is absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counters {
    /// When they were read, by the engine's clock.
    pub read_at: Timestamp,
    /// CPU time used since the start of the container, in nanoseconds.
    pub cpu_usage_ns: Option<u64>,
    /// Processors that are online for it.
    pub cpus_online: Option<u64>,
    /// Scheduler periods so far.
    pub cpu_periods: Option<u64>,
    /// Of these, periods in which the quota ran out.
    pub cpu_throttled_periods: Option<u64>,
    /// Working set in bytes: usage without inactive page cache.
    pub memory_bytes: Option<u64>,
    /// Memory limit in bytes as the control group has it; the host's memory where there is no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Bytes received on all networks.
    pub network_rx_bytes: Option<u64>,
    /// Bytes sent on all networks.
    pub network_tx_bytes: Option<u64>,
    /// Bytes read from block devices.
    pub block_read_bytes: Option<u64>,
    /// Bytes written to block devices.
    pub block_write_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineEvent {
    /// Which container.
    pub id: ContainerId,
    /// When, by the engine's clock.
    pub at: Timestamp,
    /// What.
    pub kind: EngineEventKind,
    /// The name the engine gives in the event, without the leading slash.
    pub name: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineEventKind {
    /// Made.
    Create,
    /// Started.
    Start,
    /// Its first process ended.
    Die {
        /// Exit code; 128 + signal when it was killed; -1 where the engine does not say.
        exit_code: i64,
    },
    /// Somebody asked the engine to send it a signal.
    Kill {
        /// The signal's number; 0 where the engine does not say.
        signal: i64,
    },
    /// Somebody asked the engine to stop it, and it ended.
    Stop,
    /// Somebody asked the engine to restart it, and it runs again.
    Restart,
    /// The kernel killed one of its processes for memory.
    Oom,
    /// Its health check changed its mind.
    Health(Health),
    /// Frozen.
    Pause,
    /// Thawed.
    Unpause,
    /// Renamed.
    Rename,
    /// Taken away.
    Destroy,
}

#[cfg(test)]
mod tests {
    use super::signal_number;

    #[test]
    fn signals_are_read_as_engines_write_them() {
        for (name, number) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("SigQuit", Some(3)),
            (" 9 ", Some(9)),
            ("37", Some(37)),
            ("64", Some(64)),
            ("SIGWINCH", Some(28)),
            ("SIGRTMIN", Some(34)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMIN+30", Some(64)),
            ("SIGRTMAX-2", Some(62)),
            ("SIGRTMIN+31", None),
            ("SIGRTMAX-31", None),
            ("SIGRTMIN+-1", None),
            ("0", None),
            ("65", None),
            ("-15", None),
            ("SIGNAL", None),
            ("", None),
        ] {
            assert_eq!(signal_number(name), number, "`{name}`");
        }
    }
}

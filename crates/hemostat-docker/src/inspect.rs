//! Reads what the engine knows of a container.
//!
//! Words that this version does not know are taken as unknown; they are never an error, because then the whole
//! container would go unwatched.

use std::collections::BTreeMap;

use hemostat_core::engine::{Inspection, RestartPolicy, signal_number};
use hemostat_event::{ContainerId, Health, RunState};
use serde::Deserialize;

use crate::logs::{first_bytes, plain};
use crate::stats::read_time;

#[cfg(test)]
mod tests;

/// Most bytes of a health check's output that are handed on; Docker itself keeps 4 KiB.
const HEALTH_OUTPUT_MAX: usize = 4 * 1_024;
/// The kernel's scheduler period in microseconds, where the container has a quota and no period of its own.
const CPU_PERIOD_DEFAULT_US: i64 = 100_000;

/// The engine's answer, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Answer {
    id: Option<String>,
    name: Option<String>,
    image: Option<String>,
    restart_count: Option<i64>,
    state: Option<State>,
    config: Option<Config>,
    host_config: Option<HostConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct State {
    status: Option<String>,
    #[serde(rename = "OOMKilled")]
    oom_killed: Option<bool>,
    exit_code: Option<i64>,
    error: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    health: Option<HealthState>,
    /// Podman's own word for it, before version 4.
    healthcheck: Option<HealthState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HealthState {
    status: Option<String>,
    failing_streak: Option<i64>,
    log: Option<Vec<Check>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Check {
    output: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Config {
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    stop_signal: Option<String>,
    stop_timeout: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    memory: Option<i64>,
    nano_cpus: Option<i64>,
    cpu_quota: Option<i64>,
    cpu_period: Option<i64>,
    cpuset_cpus: Option<String>,
    pids_limit: Option<i64>,
    restart_policy: Option<Policy>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Policy {
    name: Option<String>,
    maximum_retry_count: Option<i64>,
}

/// The inspection in the engine's answer.
pub(crate) fn inspection(answer: Answer) -> Inspection {
    let state = answer.state.unwrap_or_default();
    let config = answer.config.unwrap_or_default();
    let host = answer.host_config.unwrap_or_default();
    let run_state = run_state(state.status.as_deref().unwrap_or_default());
    let health = state.health.or(state.healthcheck);
    let has_ended =
        matches!(run_state, RunState::Exited | RunState::Dead | RunState::Restarting | RunState::Removing);
    let started_at = state.started_at.as_deref().and_then(read_time);
    let finished_at = state.finished_at.as_deref().and_then(read_time);
    Inspection {
        id: answer.id.and_then(|id| ContainerId::new(id).ok()),
        name: answer.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: config.image.or(answer.image).unwrap_or_default(),
        labels: config.labels.unwrap_or_default(),
        state: run_state,
        health: health.as_ref().map_or(Health::None, |health| health_word(health.status.as_deref())),
        health_failing_streak: health.as_ref().and_then(|health| health.failing_streak).map_or(0, unsigned),
        health_output: health.as_ref().and_then(health_output),
        // The engine writes 0 for a run that has not ended.
        exit_code: state.exit_code.filter(|_| has_ended),
        // Docker 20.10 keeps the flag of the run before while the next one runs.
        oom_killed: state.oom_killed.unwrap_or(false) && has_ended,
        error: state.error.filter(|error| !error.is_empty()),
        started_at,
        // A process that ends at once ends a moment before the engine notes its start.
        finished_at: if has_ended {
            finished_at.map(|end| started_at.map_or(end, |start| start.max(end)))
        } else {
            finished_at
        },
        restart_count: answer.restart_count.map_or(0, unsigned),
        restart_policy: host.restart_policy.as_ref().map_or(RestartPolicy::No, restart_policy),
        cpu_limit_cores: cpu_limit(&host),
        memory_limit_bytes: host.memory.filter(|bytes| 0 < *bytes).map(unsigned),
        pids_limit: host.pids_limit.filter(|pids| 0 < *pids).map(unsigned),
        stop_signal: config.stop_signal.as_deref().and_then(signal_number),
        // The engine writes -1 for "without end".
        stop_timeout_secs: config.stop_timeout.map(|secs| u64::try_from(secs).unwrap_or(u64::MAX)),
    }
}

fn run_state(word: &str) -> RunState {
    match word {
        // `configured` and `initialized` are Podman's steps to it.
        "created" | "configured" | "initialized" => RunState::Created,
        // Being stopped: its first process still runs.
        "running" | "stopping" => RunState::Running,
        "paused" => RunState::Paused,
        "restarting" => RunState::Restarting,
        "removing" => RunState::Removing,
        "exited" | "stopped" => RunState::Exited,
        "dead" => RunState::Dead,
        _ => RunState::Unknown,
    }
}

/// The answer of a health check. Podman leaves it empty until the first check is done. A word that is not known
/// must neither open an incident nor end one, and `Starting` does neither.
pub(crate) fn health_word(word: Option<&str>) -> Health {
    match word {
        Some("none") => Health::None,
        Some("healthy") => Health::Healthy,
        Some("unhealthy") => Health::Unhealthy,
        _ => Health::Starting,
    }
}

/// What the last check printed; the engine keeps the last five, oldest first.
fn health_output(health: &HealthState) -> Option<String> {
    let output = plain(health.log.as_ref()?.last()?.output.as_deref()?);
    let output = first_bytes(output.trim_end(), HEALTH_OUTPUT_MAX);
    (!output.is_empty()).then(|| output.to_owned())
}

fn restart_policy(policy: &Policy) -> RestartPolicy {
    match policy.name.as_deref() {
        Some("always") => RestartPolicy::Always,
        Some("unless-stopped") => RestartPolicy::UnlessStopped,
        Some("on-failure") => {
            RestartPolicy::OnFailure { max: policy.maximum_retry_count.map_or(0, unsigned) }
        }
        _ => RestartPolicy::No,
    }
}

/// Processors the container may use: its quota or its processor set, whichever is tighter.
fn cpu_limit(host: &HostConfig) -> Option<f64> {
    let nano = host.nano_cpus.filter(|nano| 0 < *nano).map(|nano| nano as f64 / 1e9);
    let quota = host.cpu_quota.filter(|quota| 0 < *quota).map(|quota| {
        let period = host.cpu_period.filter(|period| 0 < *period).unwrap_or(CPU_PERIOD_DEFAULT_US);
        quota as f64 / period as f64
    });
    let set = host.cpuset_cpus.as_deref().and_then(processors).map(f64::from);
    [nano, quota, set].into_iter().flatten().reduce(f64::min)
}

/// How many processors a list such as `0-2,5` names (cpuset(7), "List format"); `None` for no list.
fn processors(list: &str) -> Option<u32> {
    let mut count = 0u32;
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        count = count.saturating_add(to.checked_sub(from)?.saturating_add(1));
    }
    (0 < count).then_some(count)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

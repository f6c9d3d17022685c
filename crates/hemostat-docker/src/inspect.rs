//! Reads what the engine knows of a container.

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, Health as EngineHealth, HealthStatusEnum,
    HostConfig, RestartPolicyNameEnum,
};
use hemostat_core::engine::{Inspection, RestartPolicy};
use hemostat_event::{ContainerId, Health, RunState};

use crate::logs::{first_bytes, plain};
use crate::stats::read_time;

#[cfg(test)]
mod tests;

/// Most bytes of a health check's output that are handed on; Docker itself keeps 4 KiB.
const HEALTH_OUTPUT_MAX: usize = 4 * 1_024;
/// The kernel's scheduler period in microseconds, where the container has a quota and no period of its own.
const CPU_PERIOD_DEFAULT_US: i64 = 100_000;

/// The inspection in the engine's answer.
pub(crate) fn inspection(answer: ContainerInspectResponse) -> Inspection {
    let state = answer.state.unwrap_or_default();
    let config = answer.config.unwrap_or_default();
    let host = answer.host_config.unwrap_or_default();
    let run_state = run_state(&state);
    let health = state.health.as_ref();
    Inspection {
        id: answer.id.and_then(|id| ContainerId::new(id).ok()),
        name: answer.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: config.image.or(answer.image).unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        state: run_state,
        health: health.map_or(Health::None, health_status),
        health_failing_streak: health.and_then(|health| health.failing_streak).map_or(0, unsigned),
        health_output: health.and_then(health_output),
        // The engine writes 0 for a run that has not ended.
        exit_code: match run_state {
            RunState::Exited | RunState::Dead | RunState::Restarting | RunState::Removing => state.exit_code,
            RunState::Created | RunState::Running | RunState::Paused | RunState::Unknown => None,
        },
        oom_killed: state.oom_killed.unwrap_or(false),
        error: state.error.filter(|error| !error.is_empty()),
        started_at: state.started_at.as_deref().and_then(read_time),
        finished_at: state.finished_at.as_deref().and_then(read_time),
        restart_count: answer.restart_count.map_or(0, unsigned),
        restart_policy: restart_policy(&host),
        cpu_limit_cores: cpu_limit(&host),
        memory_limit_bytes: host.memory.filter(|bytes| 0 < *bytes).map(unsigned),
        pids_limit: host.pids_limit.filter(|pids| 0 < *pids).map(unsigned),
    }
}

fn run_state(state: &ContainerState) -> RunState {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => RunState::Created,
        // Being stopped: its first process still runs.
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => RunState::Running,
        Some(ContainerStateStatusEnum::PAUSED) => RunState::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => RunState::Restarting,
        Some(ContainerStateStatusEnum::REMOVING) => RunState::Removing,
        Some(ContainerStateStatusEnum::EXITED) => RunState::Exited,
        Some(ContainerStateStatusEnum::DEAD) => RunState::Dead,
        Some(ContainerStateStatusEnum::EMPTY) | None => RunState::Unknown,
    }
}

fn health_status(health: &EngineHealth) -> Health {
    match health.status {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Health::None,
    }
}

/// What the last check printed; the engine keeps the last five, oldest first.
fn health_output(health: &EngineHealth) -> Option<String> {
    let output = plain(health.log.as_ref()?.last()?.output.as_deref()?);
    let output = first_bytes(output.trim_end(), HEALTH_OUTPUT_MAX);
    (!output.is_empty()).then(|| output.to_owned())
}

fn restart_policy(host: &HostConfig) -> RestartPolicy {
    let Some(policy) = &host.restart_policy else {
        return RestartPolicy::No;
    };
    match policy.name {
        Some(RestartPolicyNameEnum::ALWAYS) => RestartPolicy::Always,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::UnlessStopped,
        Some(RestartPolicyNameEnum::ON_FAILURE) => {
            RestartPolicy::OnFailure { max: policy.maximum_retry_count.map_or(0, unsigned) }
        }
        Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) | None => RestartPolicy::No,
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

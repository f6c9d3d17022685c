//! The log, its agents and its hosts as they are now.

use std::collections::BTreeMap;

use hemostat_event::{HostName, Role, RunState};

use super::Part;
use crate::telemetry::names;

pub(super) const PARTS: &[Part] = &[
    (names::LOG_UP, |view, family| family.flag(&[], view.up)),
    (names::LOG_READ, |view, family| family.add(&[], seconds(view.read))),
    (names::LOG_MEMORY, |view, family| {
        for (partition, pressure) in &view.look.pressures {
            family.count(&[&partition.0.to_string()], pressure.used);
        }
    }),
    (names::LOG_MEMORY_LIMIT, |view, family| {
        for (partition, pressure) in &view.look.pressures {
            if let Some(limit) = pressure.limit {
                family.count(&[&partition.0.to_string()], limit);
            }
        }
    }),
    (names::REDIS_OPERATIONS, |view, family| {
        for (command, calls) in &view.look.operations {
            family.count(&[command, "success"], calls.done);
            family.count(&[command, "failed"], calls.failed);
        }
    }),
    (names::AGENTS, |view, family| {
        // A role that has nobody is 0, not absent: that is what there is an alert for. An archiver need not be there.
        let archiver = view.look.agents.iter().any(|agent| agent.role == Role::Archiver);
        for role in Role::AGENTS.into_iter().chain(archiver.then_some(Role::Archiver)) {
            let alive = view.look.agents.iter().filter(|agent| agent.role == role).count();
            family.count(&[role.as_str()], alive as u64);
        }
    }),
    (names::AGENT_INFO, |view, family| {
        for agent in &view.look.agents {
            let labels = [agent.role.as_str(), &agent.instance, agent.host.as_str(), &agent.version];
            family.add(&labels, 1.0);
        }
    }),
    (names::AGENT_UPTIME, |view, family| {
        for agent in &view.look.agents {
            let up_for = view.now.since(agent.started_at).as_secs_f64();
            family.add(&[agent.role.as_str(), &agent.instance], up_for);
        }
    }),
    (names::HOST_CONTAINERS, |view, family| {
        let mut counts: BTreeMap<(HostName, &str), u64> = BTreeMap::new();
        for (subject, watched) in view.figures.present(view.now, view.silence) {
            let state =
                watched.sample(view.now, view.silence).map_or(RunState::Unknown, |sample| sample.state);
            *counts.entry((subject.host(), state.as_str())).or_default() += 1;
        }
        for ((host, state), count) in &counts {
            family.count(&[host.as_str(), state], *count);
        }
    }),
    (names::HOST_SAMPLED, |view, family| {
        for (host, figures) in view.figures.hosts(view.now, view.silence) {
            family.add(&[host.as_str()], seconds(figures.sampled_at));
        }
    }),
    (names::HOST_CYCLE, |view, family| {
        for (host, figures) in view.figures.hosts(view.now, view.silence) {
            if let Some(interval) = figures.interval {
                family.add(&[host.as_str()], interval.as_secs_f64());
            }
        }
    }),
    (names::INCIDENTS_OPEN, |view, family| {
        let mut counts: BTreeMap<HostName, u64> = BTreeMap::new();
        for (subject, watched) in view.figures.present(view.now, view.silence) {
            *counts.entry(subject.host()).or_default() += u64::from(watched.sick_since(view.now).is_some());
        }
        for (host, count) in &counts {
            family.count(&[host.as_str()], *count);
        }
    }),
];

/// A moment as Prometheus writes it.
pub(super) fn seconds(time: hemostat_event::Timestamp) -> f64 {
    time.micros() as f64 / 1e6
}

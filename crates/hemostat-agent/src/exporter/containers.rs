//! Containers as they are now: what was measured last of those that are there. A figure that the engine did not give is
//! absent, never 0.

use hemostat_core::project::metrics::Watched;
use hemostat_core::remediate::{Standing, standing};
use hemostat_event::{Health, RunState, Sample, Subject, Timestamp};

use super::levels::seconds;
use super::{Family, Part, View};
use crate::telemetry::names;

pub(super) const PARTS: &[Part] = &[
    (names::INFO, |view, family| {
        for (subject, watched) in view.figures.present(view.now, view.silence) {
            let container = &watched.container;
            let [project, service] =
                [&container.project, &container.service].map(|text| text.as_deref().unwrap_or_default());
            let [host, id, name] = labels(subject, watched);
            family.add(&[host, id, name, &container.image, project, service], 1.0);
        }
    }),
    // The names of the Python HemoStat.
    (names::CPU_PERCENT, |view, family| measured(view, family, |s| s.cpu_percent)),
    (names::MEMORY_PERCENT, |view, family| measured(view, family, |s| s.memory_percent)),
    (names::MEMORY_BYTES, |view, family| measured(view, family, |s| number(s.memory_bytes))),
    (names::NETWORK_RX, |view, family| measured(view, family, |s| number(s.network_rx_bytes))),
    (names::NETWORK_TX, |view, family| measured(view, family, |s| number(s.network_tx_bytes))),
    (names::BLKIO_READ, |view, family| measured(view, family, |s| number(s.block_read_bytes))),
    (names::BLKIO_WRITE, |view, family| measured(view, family, |s| number(s.block_write_bytes))),
    (names::RESTART_COUNT, |view, family| measured(view, family, |s| number(Some(s.restart_count)))),
    // Base units.
    (names::CPU_USAGE, |view, family| measured(view, family, |s| number(s.cpu_usage_ns).map(|ns| ns / 1e9))),
    (names::CPU_RATIO, |view, family| measured(view, family, |s| ratio(s.cpu_percent))),
    (names::CPU_LIMIT, |view, family| measured(view, family, |s| s.cpu_limit_cores)),
    (names::CPU_THROTTLED, |view, family| measured(view, family, |s| ratio(s.cpu_throttled_percent))),
    (names::WORKING_SET, |view, family| measured(view, family, |s| number(s.memory_bytes))),
    (names::MEMORY_RATIO, |view, family| measured(view, family, |s| ratio(s.memory_percent))),
    (names::MEMORY_LIMIT, |view, family| measured(view, family, |s| number(s.memory_limit_bytes))),
    (names::NETWORK_RECEIVE, |view, family| measured(view, family, |s| number(s.network_rx_bytes))),
    (names::NETWORK_TRANSMIT, |view, family| measured(view, family, |s| number(s.network_tx_bytes))),
    (names::FS_READS, |view, family| measured(view, family, |s| number(s.block_read_bytes))),
    (names::FS_WRITES, |view, family| measured(view, family, |s| number(s.block_write_bytes))),
    (names::FS_USAGE, |view, family| measured(view, family, |s| number(s.disk_writable_bytes))),
    (names::PROCESSES, |view, family| measured(view, family, |s| number(s.pids))),
    (names::PROCESSES_LIMIT, |view, family| measured(view, family, |s| number(s.pids_limit))),
    (names::RUNNING, |view, family| measured(view, family, |s| flag(s.state == RunState::Running))),
    (names::HEALTHY, |view, family| {
        measured(view, family, |s| match s.health {
            Health::Healthy => Some(1.0),
            Health::Unhealthy => Some(0.0),
            Health::None | Health::Starting => None,
        });
    }),
    (names::OOM_KILLED, |view, family| measured(view, family, |s| flag(s.oom_killed))),
    (names::START_TIME, |view, family| measured(view, family, |s| s.started_at.map(seconds))),
    (names::LAST_SEEN, |view, family| {
        for (subject, watched) in view.figures.present(view.now, view.silence) {
            family.add(&labels(subject, watched), seconds(watched.seen_at));
        }
    }),
    (names::INCIDENT_OPEN, |view, family| {
        for (subject, watched) in view.figures.present(view.now, view.silence) {
            family.flag(&labels(subject, watched), watched.sick_since(view.now).is_some());
        }
    }),
    (names::ACTED, |view, family| {
        for (subject, watched) in view.figures.present(view.now, view.silence) {
            if let Some(acted) = watched.acted(view.now) {
                let [host, id, name] = labels(subject, watched);
                family.add(&[host, id, name, acted.action.as_str(), acted.outcome], seconds(acted.at));
            }
        }
    }),
    (names::COOLDOWN_ACTIVE, |view, family| forbidden(view, family, |standing| standing.cooled)),
    (names::BREAKER_OPEN, |view, family| forbidden(view, family, |standing| standing.closed)),
];

fn measured(view: &View<'_>, family: &mut Family, figure: impl Fn(&Sample) -> Option<f64>) {
    for (subject, watched) in view.figures.present(view.now, view.silence) {
        let sample = watched.sample(view.now, view.silence);
        if let Some(value) = sample.and_then(&figure).filter(|value| value.is_finite()) {
            family.add(&labels(subject, watched), value);
        }
    }
}

/// Of the containers that were acted on, whether a part of the policy forbids an action now.
fn forbidden(view: &View<'_>, family: &mut Family, until: impl Fn(&Standing) -> Option<Timestamp>) {
    for (subject, state) in &view.look.remediations {
        let Some(watched) = view
            .figures
            .watched(subject)
            .filter(|watched| !watched.is_removed() && view.now < watched.seen_at + view.silence)
        else {
            continue;
        };
        let standing = standing(view.policy, state, watched.cooldown_secs(view.now));
        family.flag(&labels(subject, watched), until(&standing).is_some_and(|until| view.now < until));
    }
}

/// Host, id and name; the id is as short as the Python HemoStat's.
fn labels<'a>(subject: &'a Subject, watched: &'a Watched) -> [&'a str; 3] {
    let host = subject.as_str().split('/').next().unwrap_or_default();
    [host, watched.container.id.short(), subject.name()]
}

fn number(count: Option<u64>) -> Option<f64> {
    count.map(|count| count as f64)
}

fn ratio(percent: Option<f64>) -> Option<f64> {
    percent.map(|percent| percent / 100.0)
}

fn flag(yes: bool) -> Option<f64> {
    Some(f64::from(u8::from(yes)))
}

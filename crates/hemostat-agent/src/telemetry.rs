//! What operators see of an agent: one method per observable fact, which writes the log line and the metric.
//!
//! Metrics are declared in [`names`] and nowhere else.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use hemostat_core::project::metrics::{delivery_word, outcome_word, verdict_word};
use hemostat_event::{ActionKind, Channel, ContainerId, Data, DeadLetter, Event, Role, Subject, Timestamp};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use tracing::{debug, error, info, warn};

use self::metric::Metric;
use crate::containers::EngineError;
use crate::log::{Abandoned, GroupStatus, LogError, Pressure, StreamName, Trimmed};

mod archive;
mod beginning;
mod bridge;
mod groups;
pub mod metric;
pub mod names;
#[cfg(test)]
mod tests;

/// The metrics of one process.
pub struct Telemetry {
    registry: Registry,
    memory: IntGauge,
    events: IntCounterVec,
    samples: IntCounter,
    samples_shed: IntCounter,
    inputs: IntCounterVec,
    input_seconds: HistogramVec,
    input_failures: IntCounterVec,
    dead_letters: IntCounterVec,
    conflicts: IntCounterVec,
    fenced: IntCounterVec,
    early: IntCounterVec,
    log_errors: IntCounterVec,
    engine_errors: IntCounterVec,
    engine_events_dropped: IntCounter,
    containers: IntGauge,
    monitor_active: IntGauge,
    cycle_seconds: Histogram,
    detection_seconds: Histogram,
    alerts: IntCounterVec,
    anomalies: IntCounterVec,
    actions: IntCounterVec,
    action_seconds: HistogramVec,
    verified: IntCounterVec,
    notifications: IntCounterVec,
    agent_restarts: IntCounterVec,
    groups: groups::Groups,
    archive: archive::Archive,
    bridge: bridge::Bridge,
    trimmed: IntCounterVec,
    groups_reaped: IntCounter,
}

/// Buckets for what happens within a process or one round trip: 0.25 ms to 16 s.
const FAST: [f64; 9] = [0.000_25, 0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0, 16.0];
/// Buckets for what an engine does: 50 ms to 2 min.
const SLOW: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 120.0];

impl Telemetry {
    /// The metrics of a process of `version`.
    ///
    /// # Panics
    /// Never: all names are valid and distinct, which a test holds.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let registry = Registry::new();
        let r = &registry;
        int_gauges(r, names::BUILD_INFO).with_label_values(&[version]).set(1);
        Self {
            memory: gauge(r, names::MEMORY),
            events: counters(r, names::EVENTS),
            samples: counter(r, names::SAMPLES),
            samples_shed: counter(r, names::SAMPLES_SHED),
            inputs: counters(r, names::INPUTS),
            input_seconds: histograms(r, names::INPUT_SECONDS, &FAST),
            input_failures: counters(r, names::INPUT_FAILURES),
            dead_letters: counters(r, names::DEAD_LETTERS),
            conflicts: counters(r, names::CONFLICTS),
            fenced: counters(r, names::FENCED),
            early: counters(r, names::EARLY),
            log_errors: counters(r, names::LOG_ERRORS),
            engine_errors: counters(r, names::ENGINE_ERRORS),
            engine_events_dropped: counter(r, names::ENGINE_EVENTS_DROPPED),
            containers: gauge(r, names::CONTAINERS),
            monitor_active: gauge(r, names::MONITOR_ACTIVE),
            cycle_seconds: histogram(r, names::CYCLE_SECONDS, &FAST),
            detection_seconds: histogram(r, names::DETECTION_SECONDS, &FAST),
            alerts: counters(r, names::ALERTS),
            anomalies: counters(r, names::ANOMALIES),
            actions: counters(r, names::ACTIONS),
            action_seconds: histograms(r, names::ACTION_SECONDS, &SLOW),
            verified: counters(r, names::VERIFIED),
            notifications: counters(r, names::NOTIFICATIONS),
            groups: groups::Groups::register(r),
            archive: archive::Archive::register(r),
            bridge: bridge::Bridge::register(r),
            trimmed: counters(r, names::TRIMMED),
            groups_reaped: counter(r, names::GROUPS_REAPED),
            agent_restarts: counters(r, names::AGENT_RESTARTS),
            registry,
        }
    }

    /// The registry behind `/metrics`.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A role's decision is in the log.
    pub fn committed(&self, role: Role, subject: &Subject, events: &[Event]) {
        for event in events {
            self.events.with_label_values(&[role.as_str(), event.event_type().as_str()]).inc();
            debug!(%role, container = %subject, event = %event.event_type(), id = %event.envelope.id, "recorded");
            self.told_by(&event.data);
        }
    }

    /// What an event says about the loop.
    fn told_by(&self, data: &Data) {
        match data {
            Data::HealthAlert(alert) => {
                self.alerts.with_label_values(&[alert.severity.as_str()]).inc();
                for anomaly in &alert.anomalies {
                    self.anomalies.with_label_values(&[anomaly.kind.as_str()]).inc();
                }
                let kinds: Vec<_> = alert.anomalies.iter().map(|anomaly| anomaly.kind.as_str()).collect();
                info!(container = alert.container.name, severity = alert.severity.as_str(), ?kinds, "alert");
            }
            Data::RemediationComplete(done) => {
                let action = done.action.kind();
                let outcome = outcome_word(&done.outcome);
                self.actions.with_label_values(&[action.as_str(), outcome]).inc();
                if let Some(took) = done.duration_ms {
                    self.action_took(action, Duration::from_millis(took));
                }
                info!(
                    container = done.container.name,
                    action = action.as_str(),
                    outcome,
                    dry_run = done.dry_run,
                    "plan ended"
                );
            }
            Data::RemediationVerified(verified) => {
                let verdict = verdict_word(verified.verdict);
                self.verified.with_label_values(&[verdict]).inc();
                info!(container = verified.container.name, verdict, detail = verified.detail, "verification");
            }
            Data::Notification(notification) => {
                self.notified(notification.channel, delivery_word(&notification.delivery));
            }
            _ => {}
        }
    }

    fn action_took(&self, action: ActionKind, took: Duration) {
        self.action_seconds.with_label_values(&[action.as_str()]).observe(took.as_secs_f64());
    }

    fn notified(&self, channel: Channel, outcome: &str) {
        self.notifications.with_label_values(&[channel.as_str(), outcome]).inc();
    }

    /// An input was dealt with to its end.
    pub fn handled(&self, role: Role, took: Duration) {
        self.inputs.with_label_values(&[role.as_str()]).inc();
        self.input_seconds.with_label_values(&[role.as_str()]).observe(took.as_secs_f64());
    }

    /// A try to deal with an input failed; it will be tried again.
    pub fn input_failed(&self, role: Role, subject: &Subject, error: &dyn std::error::Error, attempt: u32) {
        self.input_failures.with_label_values(&[role.as_str()]).inc();
        warn!(%role, container = %subject, attempt, error = chain(error), "input failed");
    }

    /// An input became a dead letter.
    pub fn buried(&self, letter: &DeadLetter) {
        self.dead_letters.with_label_values(&[letter.group.as_str()]).inc();
        error!(
            role = %letter.group, stream = letter.stream, entry = letter.entry, attempts = letter.attempts,
            reason = letter.errors.join(": "), "input cannot be handled and is parked among the dead letters"
        );
    }

    /// A replica that ends could not hand over what it had; others take it over when it has been idle for long enough.
    pub fn hand_over_failed(&self, role: Role, error: &LogError) {
        self.log_errors.with_label_values(&[role.as_str()]).inc();
        info!(%role, error = chain(error), "unfinished inputs could not be handed over");
    }

    /// A commit found another version of the state.
    pub fn conflict(&self, role: Role, subject: &Subject) {
        self.conflicts.with_label_values(&[role.as_str()]).inc();
        debug!(%role, container = %subject, "state changed meanwhile; deciding anew");
    }

    /// The lease on the replica's name had ended; it goes on under another one.
    pub fn slot_lost(&self, role: Role, name: &str) {
        warn!(%role, name, "this replica was silent for too long and lost its name in the group; it joins anew");
    }

    /// An input had to wait for an earlier one about the same container.
    pub fn early(&self, role: Role, subject: &Subject) {
        self.early.with_label_values(&[role.as_str()]).inc();
        debug!(%role, container = %subject, "an earlier input about this container is still with another replica");
    }

    /// A commit was refused because the input is somebody else's now.
    pub fn fenced(&self, role: Role, input: impl fmt::Display) {
        self.fenced.with_label_values(&[role.as_str()]).inc();
        info!(%role, %input, "input was taken over by another replica");
    }

    /// An input came again after it had been dealt with, as it may when its group was lost.
    pub fn repeated(&self, role: Role, input: impl fmt::Display) {
        info!(%role, %input, "input had been dealt with before; acknowledged");
    }

    /// The log did not do what it was asked.
    pub fn log_failed(&self, role: Role, error: &LogError, failures: u32) {
        self.log_errors.with_label_values(&[role.as_str()]).inc();
        // The first failure is news; the following ones say the same.
        if failures <= 1 {
            warn!(%role, error = chain(error), "the event log is away; waiting for it");
        } else {
            debug!(%role, failures, error = chain(error), "the event log is still away");
        }
    }

    /// Due timers could not be taken.
    pub fn timers_unavailable(&self, role: Role, error: &LogError) {
        self.log_errors.with_label_values(&[role.as_str()]).inc();
        debug!(%role, error = chain(error), "due timers cannot be taken");
    }

    /// The log answers again.
    pub fn log_reached(&self, role: Role) {
        info!(%role, "the event log is back");
    }

    /// A shutdown cut off running work.
    pub fn drain_cut(&self, role: Role, running: usize) {
        warn!(%role, running, "shutdown before all work had ended; another replica takes it over");
    }

    /// The engine did not do what it was asked.
    pub fn engine_failed(&self, operation: &'static str, error: &EngineError) {
        debug_assert!(beginning::ENGINE_OPERATIONS.contains(&operation), "{operation} begins without a 0");
        self.engine_errors.with_label_values(&[operation]).inc();
        match error {
            EngineError::NotFound(id) => debug!(operation, container = id.short(), "container is gone"),
            error => warn!(operation, error = chain(error), "the container engine failed"),
        }
    }

    /// This monitor watches an engine, or waits for the lease.
    pub fn monitor_active(&self, active: bool, host: &str) {
        if self.monitor_active.get() != i64::from(active) {
            self.monitor_active.set(i64::from(active));
            info!(host, active, "monitor {}", if active { "watches the engine" } else { "is on standby" });
        }
    }

    /// A polling cycle ended.
    pub fn cycle(&self, containers: usize, took: Duration) {
        self.containers.set(i64::try_from(containers).unwrap_or(i64::MAX));
        self.cycle_seconds.observe(took.as_secs_f64());
    }

    /// An alert that answers to an engine event is in the log.
    pub fn detected(&self, delay: Duration) {
        self.detection_seconds.observe(delay.as_secs_f64());
    }

    /// Samples are in the log.
    pub fn sampled(&self, count: usize) {
        self.samples.inc_by(count as u64);
    }

    /// Samples were dropped: they come first when something has to give.
    pub fn samples_shed(&self, count: usize) {
        self.samples_shed.inc_by(count as u64);
        debug!(count, "samples shed");
    }

    /// The log is nearly full: samples give way, or do not have to any more.
    pub fn samples_give_way(&self, shedding: bool, pressure: Pressure) {
        let (used, limit) = (pressure.used, pressure.limit.unwrap_or(0));
        if shedding {
            warn!(used, limit, "the event log is nearly full; samples are not written until there is room");
        } else {
            info!(used, limit, "the event log has room again; samples are written");
        }
    }

    /// So much happened to one container that its task is behind; the next poll shows what came of it.
    pub fn engine_event_dropped(&self, id: &ContainerId) {
        self.engine_events_dropped.inc();
        warn!(container = id.short(), "engine event dropped: too many of this container wait");
    }

    /// Handling what was seen of a container failed; it is taken up anew by the next poll.
    pub fn container_failed(&self, id: &ContainerId, reason: &str) {
        self.input_failures.with_label_values(&[Role::Monitor.as_str()]).inc();
        error!(
            container = id.short(),
            reason, "watching a container failed; beginning anew with the next poll"
        );
    }

    /// A label of a container could not be read.
    pub fn label_problem(&self, subject: &Subject, id: &ContainerId, problem: &str) {
        warn!(container = %subject, id = id.short(), problem, "unreadable label; taken as the safer reading");
    }

    /// Memory that this process has.
    pub fn resident(&self, bytes: u64) {
        self.memory.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// How far the groups have come.
    pub fn groups(&self, groups: &[GroupStatus], now: Timestamp) {
        self.groups.set(groups, now);
    }

    /// The log does not say how far the groups have come.
    pub fn groups_unknown(&self, error: &LogError) {
        self.groups.unknown();
        debug!(error = chain(error), "it is not known how far the groups have come");
    }

    /// A step of trimming was made.
    pub fn trimmed(&self, stream: &StreamName, trimmed: &Trimmed) {
        let kind = stream.event_type();
        self.trimmed.with_label_values(&[kind.as_str()]).inc_by(trimmed.removed);
        debug!(%stream, removed = trimmed.removed, up_to = %trimmed.up_to, held_by = ?trimmed.held_by, "trimmed");
    }

    /// The log is nearly full: samples go before their time.
    pub fn samples_thrown_off(&self, pressure: Pressure, keep: Duration) {
        let (used, limit) = (pressure.used, pressure.limit.unwrap_or(0));
        warn!(
            used,
            limit,
            keep_secs = keep.as_secs(),
            "the event log is nearly full; younger samples are trimmed too"
        );
    }

    /// A group had no member for too long and keeps nothing any more.
    pub fn group_reaped(&self, group: &Abandoned, silent: Duration) {
        self.groups_reaped.inc();
        warn!(
            group = group.group, stream = %group.stream, partition = group.partition.0, last_seen = %group.seen,
            silent_for_secs = silent.as_secs(),
            "a group without members was taken away; a member that comes back goes on from its cursor"
        );
    }

    /// The janitor could not do its work; it tries again.
    pub fn janitor_failed(&self, error: &LogError) {
        self.log_errors.with_label_values(&["janitor"]).inc();
        debug!(error = chain(error), "the log cannot be cleaned up");
    }

    /// An agent failed and is started again.
    pub fn agent_restarted(&self, role: Role, reason: &str, wait: Duration) {
        self.agent_restarts.with_label_values(&[role.as_str()]).inc();
        error!(%role, reason, wait_ms = wait.as_millis(), "agent failed; starting it again");
    }
}

/// An error and its sources in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a text").to_owned()
}

const NAME: &str = "metric names are valid";
const ONCE: &str = "every metric is registered once";

fn counters(registry: &Registry, of: Metric) -> IntCounterVec {
    let metric = IntCounterVec::new(Opts::new(of.name, of.help), of.labels).expect(NAME);
    registry.register(Box::new(metric.clone())).expect(ONCE);
    metric
}

fn counter(registry: &Registry, of: Metric) -> IntCounter {
    let metric = IntCounter::new(of.name, of.help).expect(NAME);
    registry.register(Box::new(metric.clone())).expect(ONCE);
    metric
}

fn gauge(registry: &Registry, of: Metric) -> IntGauge {
    let metric = IntGauge::new(of.name, of.help).expect(NAME);
    registry.register(Box::new(metric.clone())).expect(ONCE);
    metric
}

fn int_gauges(registry: &Registry, of: Metric) -> IntGaugeVec {
    let metric = IntGaugeVec::new(Opts::new(of.name, of.help), of.labels).expect(NAME);
    registry.register(Box::new(metric.clone())).expect(ONCE);
    metric
}

fn histogram(registry: &Registry, of: Metric, buckets: &[f64]) -> Histogram {
    let options = HistogramOpts::new(of.name, of.help).buckets(buckets.to_vec());
    let metric = Histogram::with_opts(options).expect(NAME);
    registry.register(Box::new(metric.clone())).expect(ONCE);
    metric
}

fn histograms(registry: &Registry, of: Metric, buckets: &[f64]) -> HistogramVec {
    let options = HistogramOpts::new(of.name, of.help).buckets(buckets.to_vec());
    let metric = HistogramVec::new(options, of.labels).expect(NAME);
    registry.register(Box::new(metric.clone())).expect(ONCE);
    metric
}

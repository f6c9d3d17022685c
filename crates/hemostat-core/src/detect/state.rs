//! The durable part: what the monitor has said of a container so far.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hemostat_event::{
    Actor, AnomalyKind, Change, Data, Event, Health, IncidentId, RunState, Severity, Timestamp,
};
use serde::{Deserialize, Serialize};

/// Deaths that are remembered: several times what a restart loop needs.
const DEATHS_MAX: usize = 16;

/// What the monitor has said of a container so far: the fold of its events.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Whether it has been seen at all.
    pub(super) seen: bool,
    /// What it was last said to be doing.
    pub(super) run: RunState,
    /// Its last health answer.
    pub(super) health: Health,
    /// Start of the present run, where one was seen.
    pub(super) started_at: Option<Timestamp>,
    /// When a person stopped it; absent while it runs.
    pub(super) stopped_at: Option<Timestamp>,
    /// Ends that nobody asked for, oldest first.
    pub(super) deaths: VecDeque<Timestamp>,
    /// An OOM kill was told of, and no death or alert has explained it yet.
    pub(super) oom_unexplained: bool,
    /// The open incident.
    pub(super) incident: Option<Open>,
}

/// An open incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) id: IncidentId,
    pub(super) opened_at: Timestamp,
    pub(super) symptoms: BTreeMap<AnomalyKind, Symptom>,
    pub(super) last_alert_at: Timestamp,
    /// Alerts so far.
    pub(super) alerts: u32,
    /// The last death known at the last alert.
    pub(super) last_death_at: Option<Timestamp>,
    /// Whether the engine was to start it again at the last alert.
    #[serde(default)]
    pub(super) engine_restarts: bool,
}

/// A symptom of an open incident.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Symptom {
    pub(super) severity: Severity,
    pub(super) since: Timestamp,
}

impl State {
    /// The open incident.
    #[must_use]
    pub fn open_incident(&self) -> Option<IncidentId> {
        self.incident.as_ref().map(|open| open.id)
    }

    /// Deaths within `window` before `at`.
    pub(super) fn deaths_within(&self, window: Duration, at: Timestamp) -> u32 {
        let recent = self.deaths.iter().filter(|death| at.since(**death) <= window).count();
        u32::try_from(recent).unwrap_or(u32::MAX)
    }
}

/// Takes in one event the monitor wrote. Holds no rule: `decide` has already spoken.
pub fn fold(state: &mut State, event: &Event) {
    take_in(state, &event.data, event.envelope.incident, event.envelope.time);
}

/// The fold, for events that have no envelope yet.
pub(super) fn take_in(state: &mut State, data: &Data, incident: Option<IncidentId>, time: Timestamp) {
    match data {
        Data::ContainerChanged(changed) => {
            state.seen = true;
            match changed.change {
                Change::Discovered { state: run } => state.run = run,
                Change::Started => {
                    state.run = RunState::Running;
                    state.started_at = Some(changed.at);
                    state.stopped_at = None;
                    state.oom_unexplained = false;
                }
                Change::Stopped { .. } => {
                    state.run = RunState::Exited;
                    state.stopped_at = (changed.by != Actor::Engine).then_some(changed.at);
                }
                Change::Died { exit_code } => {
                    state.run = RunState::Exited;
                    state.oom_unexplained = false;
                    if exit_code != 0 {
                        state.deaths.push_back(changed.at);
                        if DEATHS_MAX < state.deaths.len() {
                            state.deaths.pop_front();
                        }
                    }
                }
                Change::OomKilled => state.oom_unexplained = true,
                Change::HealthChanged { health } => state.health = health,
                Change::Paused { paused } => {
                    state.run = if paused { RunState::Paused } else { RunState::Running };
                }
                // The name may come back as another container: nothing of the old one holds for it but its deaths.
                Change::Removed => *state = State { deaths: std::mem::take(&mut state.deaths), ..State::default() },
            }
        }
        Data::HealthAlert(alert) => {
            let Some(id) = incident else { return };
            let alerts = state.incident.as_ref().map_or(0, |open| open.alerts);
            state.incident = Some(Open {
                id,
                opened_at: alert.opened_at,
                symptoms: alert
                    .anomalies
                    .iter()
                    .map(|anomaly| (anomaly.kind, Symptom { severity: anomaly.severity, since: anomaly.since }))
                    .collect(),
                last_alert_at: time,
                alerts: alerts.saturating_add(1),
                last_death_at: state.deaths.back().copied(),
                engine_restarts: alert.engine_restarts,
            });
            state.oom_unexplained = false;
        }
        Data::HealthRecovered(_) => state.incident = None,
        _ => {}
    }
}

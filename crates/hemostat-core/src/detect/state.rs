//! The durable part: what the monitor has said of a container so far.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hemostat_event::{
    Actor, AnomalyKind, Change, ContainerChanged, Data, Event, Health, IncidentId, RunState, Severity,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use super::settings::DEATHS_MAX;

/// Changes that are remembered for the evidence.
const CHANGES_MAX: usize = 8;

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
    /// Start of the present or last run by the engine's clock, where one was seen.
    pub(super) started_at: Option<Timestamp>,
    /// The same in log time.
    pub(super) up_since: Option<Timestamp>,
    /// When a person stopped it, in log time; absent while it runs.
    pub(super) stopped_at: Option<Timestamp>,
    /// The last end of a run, whoever asked for it.
    pub(super) last_end: Option<End>,
    /// Ends that nobody asked for, oldest first, in log time.
    pub(super) deaths: VecDeque<Timestamp>,
    /// The last time the kernel killed a process of the present run for memory.
    pub(super) oom: Option<OomKill>,
    /// The last changes, oldest first.
    pub(super) changes: VecDeque<PastChange>,
    /// The open incident.
    pub(super) incident: Option<Open>,
    /// When the last incident opened, over or not.
    pub(super) last_opened_at: Option<Timestamp>,
}

/// An end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) exit_code: i64,
    /// By the engine's clock.
    pub(super) engine_at: Timestamp,
}

/// A process that the kernel killed for memory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct OomKill {
    /// In log time.
    pub(super) at: Timestamp,
    /// By the engine's clock.
    pub(super) engine_at: Timestamp,
}

/// A change of the past, for the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PastChange {
    /// By the engine's clock.
    pub(super) at: Timestamp,
    pub(super) change: Change,
    pub(super) image: String,
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

    /// Whether a person stopped or froze it, and has not taken that back.
    pub(super) fn is_as_a_person_wants(&self) -> bool {
        self.run == RunState::Paused || self.run == RunState::Exited && self.stopped_at.is_some()
    }
}

/// Takes in one event the monitor wrote. Holds no rule: `decide` has already spoken.
pub fn fold(state: &mut State, event: &Event) {
    take_in(state, &event.data, event.envelope.incident, event.envelope.time);
}

/// The fold, for events that have no envelope yet. `time` is log time.
pub(super) fn take_in(state: &mut State, data: &Data, incident: Option<IncidentId>, time: Timestamp) {
    match data {
        Data::ContainerChanged(changed) => change(state, changed, time),
        Data::HealthAlert(alert) => {
            let Some(id) = incident else { return };
            state.last_opened_at = Some(alert.opened_at);
            let alerts = state.incident.as_ref().map_or(0, |open| open.alerts);
            state.incident = Some(Open {
                id,
                opened_at: alert.opened_at,
                symptoms: alert
                    .anomalies
                    .iter()
                    .map(|anomaly| {
                        (anomaly.kind, Symptom { severity: anomaly.severity, since: anomaly.since })
                    })
                    .collect(),
                last_alert_at: time,
                alerts: alerts.saturating_add(1),
                last_death_at: state.deaths.back().copied(),
                engine_restarts: alert.engine_restarts,
            });
        }
        Data::HealthRecovered(_) => {
            state.incident = None;
            state.oom = None;
        }
        _ => {}
    }
}

fn change(state: &mut State, changed: &ContainerChanged, time: Timestamp) {
    state.seen = true;
    state.changes.push_back(PastChange {
        at: changed.at,
        change: changed.change.clone(),
        image: changed.container.image.clone(),
    });
    if CHANGES_MAX < state.changes.len() {
        state.changes.pop_front();
    }
    match changed.change {
        Change::Discovered { state: run } => state.run = run,
        Change::Started => {
            state.run = RunState::Running;
            state.started_at = Some(changed.at);
            state.up_since = Some(time);
            state.stopped_at = None;
            state.oom = None;
            // The answer of the run before is not one of this run.
            if state.health != Health::None {
                state.health = Health::Starting;
            }
        }
        Change::Stopped { exit_code } => {
            if state.run == RunState::Exited && state.stopped_at.is_none() {
                // It corrects what was taken for a death.
                state.deaths.pop_back();
            }
            state.run = RunState::Exited;
            state.stopped_at = (changed.by != Actor::Engine).then_some(time);
            state.last_end = Some(End { exit_code, engine_at: changed.at });
        }
        Change::Died { exit_code } => {
            state.run = RunState::Exited;
            state.stopped_at = None;
            state.last_end = Some(End { exit_code, engine_at: changed.at });
            if exit_code != 0 {
                state.deaths.push_back(time);
                if DEATHS_MAX < u32::try_from(state.deaths.len()).unwrap_or(u32::MAX) {
                    state.deaths.pop_front();
                }
            }
        }
        Change::OomKilled => state.oom = Some(OomKill { at: time, engine_at: changed.at }),
        Change::HealthChanged { health } => state.health = health,
        Change::Paused { paused } => {
            state.run = if paused { RunState::Paused } else { RunState::Running };
        }
        // The name may come back as another container: of the old one only its deaths and its history hold for it,
        // and its incidents, which are told apart by when they opened.
        Change::Removed => {
            *state = State {
                deaths: std::mem::take(&mut state.deaths),
                changes: std::mem::take(&mut state.changes),
                last_opened_at: state.last_opened_at,
                ..State::default()
            };
        }
    }
}

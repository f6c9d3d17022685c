//! The rules of detection.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::{
    AnomalyKind, ContainerChanged, Data, Evidence, HealthAlert, HealthRecovered, IncidentId, Recovery,
    RunState, Sample, Severity, Subject, Timestamp,
};

use super::state::{self, Open};
use super::symptoms::Found;
use super::{Observation, Observed, Settings, State, Watch};
use crate::engine::{Inspection, RestartPolicy};
use crate::role::Emit;

/// Between the two halves of a restart the container is stopped for a moment: a stop that a start follows within this
/// time is none.
const RESTART_GRACE: Duration = Duration::from_secs(10);

/// Decides what an observation says. Holds every rule and changes nothing.
///
/// `watch` must have taken the observation in already.
#[must_use]
pub fn decide(
    settings: &Settings,
    subject: &Subject,
    state: &State,
    watch: &Watch,
    observation: &Observation<'_>,
) -> Vec<Emit> {
    let mut case = Case::new(settings, subject, state, watch, observation);
    case.changes();
    case.incident();
    case.emit
}

/// The same on an observation of the past. What happened stands in the log and is not concluded once more: `happened`,
/// where the observation is that, and nothing where it is a sample.
pub(super) fn decide_again(
    settings: &Settings,
    subject: &Subject,
    state: &State,
    watch: &Watch,
    observation: &Observation<'_>,
    happened: Option<&ContainerChanged>,
) -> Vec<Emit> {
    let mut case = Case::new(settings, subject, state, watch, observation);
    if let Some(changed) = happened {
        case.happened(changed);
    }
    case.incident();
    case.emit
}

/// One decision in the making: what is emitted is folded at once, so that later rules see it.
pub(super) struct Case<'a> {
    pub(super) settings: &'a Settings,
    subject: &'a Subject,
    pub(super) watch: &'a Watch,
    pub(super) observation: &'a Observation<'a>,
    pub(super) state: State,
    /// Whether the death that this observation tells of was the kernel's doing.
    pub(super) oom_death: bool,
    pub(super) emit: Vec<Emit>,
}

impl<'a> Case<'a> {
    fn new(
        settings: &'a Settings,
        subject: &'a Subject,
        state: &State,
        watch: &'a Watch,
        observation: &'a Observation<'a>,
    ) -> Self {
        let state = state.clone();
        Self { settings, subject, watch, observation, state, oom_death: false, emit: Vec::new() }
    }
}

impl Case<'_> {
    /// The time of the observation by the engine's clock, where the engine gave one.
    pub(super) fn engine_time(&self) -> Timestamp {
        self.observation.engine_event_at.unwrap_or(self.observation.at)
    }

    fn incident(&mut self) {
        if !self.state.seen {
            // It is gone, and its incident with it.
            return;
        }
        let found = self.symptoms();
        match self.state.incident.clone() {
            Some(open) => self.go_on(&open, &found),
            None if found.is_empty() => {}
            None => {
                let opened_at = self.opens_at();
                self.alert(IncidentId::opened(self.subject, opened_at), opened_at, &found);
            }
        }
    }

    /// When an incident that opens now has opened: later than the one before, because that tells them apart. A burst
    /// of engine events may end one and open another within the same moment of the log's clock.
    fn opens_at(&self) -> Timestamp {
        let at = self.observation.at;
        self.state.last_opened_at.map_or(at, |last| at.max(last + Duration::from_micros(1)))
    }

    fn go_on(&mut self, open: &Open, found: &BTreeMap<AnomalyKind, Found>) {
        let over = if self.is_stopped_for_good() {
            Some(Recovery::Stopped)
        } else {
            found.is_empty().then_some(Recovery::Cleared)
        };
        if let Some(reason) = over {
            let recovered = self.recovered(open, reason);
            return self.say(Emit { data: recovered.into(), incident: Some(open.id) });
        }
        if self.state.is_as_a_person_wants() {
            return;
        }
        let news = self.is_worse(open, found)
            || self.died_again(open)
            || self.engine_gave_up(open)
            || self.relapsed(open, found)
            || self.is_due(open);
        if news {
            self.alert(open.id, open.opened_at, found);
        }
    }

    fn is_worse(&self, open: &Open, found: &BTreeMap<AnomalyKind, Found>) -> bool {
        found
            .iter()
            .any(|(kind, found)| open.symptoms.get(kind).is_none_or(|known| known.severity < found.severity))
    }

    /// One more death. In a known loop it is none: there only the cool-down repeats the alert.
    fn died_again(&self, open: &Open) -> bool {
        let looping = open.symptoms.contains_key(&AnomalyKind::RestartLoop);
        self.state.deaths.back() > open.last_death_at.as_ref() && !looping
    }

    /// The engine was to start it again at the last alert, and now it lets it lie.
    fn engine_gave_up(&self, open: &Open) -> bool {
        open.engine_restarts && self.fresh_death().is_some() && !self.engine_restarts()
    }

    /// It was started again since the last alert, and is sick again: whatever was done has not helped.
    fn relapsed(&self, open: &Open, found: &BTreeMap<AnomalyKind, Found>) -> bool {
        let new_run = self.state.up_since.is_some_and(|up| open.last_alert_at < up);
        new_run && found.values().any(|found| found.shows_in_this_run)
    }

    /// Nothing has changed for long: said once more, ever more rarely.
    fn is_due(&self, open: &Open) -> bool {
        let doublings = open.alerts.saturating_sub(1).min(16);
        let wait = self.settings.realert_after.saturating_mul(1 << doublings).min(self.settings.realert_max);
        matches!(self.observation.observed, Observed::Sample(_))
            && wait <= self.observation.at.since(open.last_alert_at)
    }

    fn engine_restarts(&self) -> bool {
        engine_restarts(self.observation.inspection, self.state.stopped_at.is_some())
    }

    /// A person stopped it, and it was not started again at once, as it is with a restart.
    fn is_stopped_for_good(&self) -> bool {
        self.lies_ended() && self.state.stopped_at.is_some()
    }

    /// It has ended, a sample shows it so, and the next run does not follow at once, as it does with a restart.
    pub(super) fn lies_ended(&self) -> bool {
        let shown = matches!(self.observation.observed, Observed::Sample(sample)
            if matches!(sample.state, RunState::Exited | RunState::Dead));
        let long_ago = |at: Timestamp| RESTART_GRACE <= self.observation.at.since(at);
        shown && self.state.run == RunState::Exited && self.state.stopped_at.is_none_or(long_ago)
    }

    // --- What is said ---

    fn alert(&mut self, id: IncidentId, opened_at: Timestamp, found: &BTreeMap<AnomalyKind, Found>) {
        let observation = self.observation;
        let anomalies: Vec<_> = found.iter().map(|(kind, found)| found.anomaly(*kind)).collect();
        let alert = HealthAlert {
            container: observation.container.clone(),
            severity: anomalies.iter().map(|anomaly| anomaly.severity).max().unwrap_or(Severity::Info),
            anomalies,
            sample: self.shown_sample(),
            opened_at,
            engine_event_at: observation.engine_event_at,
            deaths_recent: self.state.deaths_within(self.settings.loop_window, observation.at),
            engine_restarts: self.engine_restarts(),
            evidence: Evidence { items: self.recent_changes(), trend: self.watch.trend(), redactions: 0 },
            policy: observation.policy.clone(),
        };
        // What this observation told before belongs to the incident that it opens.
        for emit in &mut self.emit {
            emit.incident = emit.incident.or(Some(id));
        }
        self.say(Emit { data: alert.into(), incident: Some(id) });
    }

    /// The sample that shows the symptoms; after an engine event, what the inspection knows.
    fn shown_sample(&self) -> Sample {
        if let Observed::Sample(sample) = self.observation.observed {
            return sample.clone();
        }
        let inspection = self.observation.inspection;
        Sample {
            state: inspection.state,
            restart_count: inspection.restart_count,
            health: inspection.health,
            health_failing_streak: inspection.health_failing_streak,
            exit_code: self.fresh_death().or(inspection.exit_code),
            oom_killed: self.oom_death,
            started_at: inspection.started_at,
            finished_at: inspection.finished_at,
            pids_limit: inspection.pids_limit,
            memory_limit_bytes: inspection.memory_limit_bytes,
            cpu_limit_cores: inspection.cpu_limit_cores,
            ..Sample::default()
        }
    }

    pub(super) fn recovered(&self, open: &Open, reason: Recovery) -> HealthRecovered {
        let lasted = self.observation.at.since(open.opened_at).as_millis();
        HealthRecovered {
            container: self.observation.container.clone(),
            kinds: open.symptoms.keys().copied().collect(),
            reason,
            opened_at: open.opened_at,
            lasted_ms: u64::try_from(lasted).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn say(&mut self, emit: Emit) {
        state::take_in(&mut self.state, &emit.data, emit.incident, self.observation.at);
        self.emit.push(emit);
    }

    /// The exit code of a death that this very observation tells of.
    pub(super) fn fresh_death(&self) -> Option<i64> {
        self.emit.iter().find_map(|emit| match &emit.data {
            Data::ContainerChanged(changed) => match changed.change {
                hemostat_event::Change::Died { exit_code } if exit_code != 0 => Some(exit_code),
                _ => None,
            },
            _ => None,
        })
    }
}

/// Whether the engine starts the container again without us. A person's stop takes the policy out of force.
fn engine_restarts(inspection: &Inspection, stopped: bool) -> bool {
    match inspection.restart_policy {
        _ if stopped => false,
        RestartPolicy::No => false,
        RestartPolicy::OnFailure { max: 0 } | RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        // The engine counts a restart when it begins it: at the limit it has given up, unless the last one is under
        // way or done.
        RestartPolicy::OnFailure { max } => {
            inspection.restart_count < max
                || matches!(inspection.state, RunState::Restarting | RunState::Running)
        }
    }
}

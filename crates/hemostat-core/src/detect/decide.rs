//! The rules of detection.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::{
    Actor, Anomaly, AnomalyKind, Change, ContainerChanged, Evidence, EvidenceItem, EvidenceKind, Health,
    HealthAlert, HealthRecovered, IncidentId, Recovery, RunState, Sample, Severity, Subject, Timestamp,
};

use super::state::{self, Open, Symptom};
use super::{Levels, Observation, Observed, Settings, State, Watch};
use crate::engine::{EngineEventKind, Inspection, RestartPolicy};
use crate::role::Emit;

/// Exit codes of a container that did what it was asked: done, SIGINT, SIGKILL, SIGTERM. Used only where the
/// request itself was not seen.
const INTENDED_CODES: [i64; 4] = [0, 130, 137, 143];
/// The engine notes a start a moment before it tells of it.
const START_GRACE: Duration = Duration::from_secs(5);
/// Samples that have to show an end before it counts without its event: a sample may overtake the event, and with it
/// the request that made it a stop.
const ENDED_SAMPLES: u32 = 2;

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
    let oom = state.oom_unexplained || observation.inspection.oom_killed;
    let mut case = Case { settings, subject, watch, observation, state: state.clone(), oom, emit: Vec::new() };
    case.changes();
    case.incident();
    case.emit
}

/// One decision in the making: what is emitted is folded at once, so that later rules see it.
struct Case<'a> {
    settings: &'a Settings,
    subject: &'a Subject,
    watch: &'a Watch,
    observation: &'a Observation<'a>,
    state: State,
    /// Whether an OOM kill was told of that no death or alert has explained yet.
    oom: bool,
    emit: Vec<Emit>,
}

impl Case<'_> {
    // --- What happened ---

    fn changes(&mut self) {
        if !self.state.seen && !matches!(self.observation.observed, Observed::Gone) {
            self.discover();
        }
        match self.observation.observed {
            Observed::Engine(kind) => self.told(kind),
            Observed::Sample(sample) => self.catch_up(sample),
            Observed::Gone => self.removed(),
        }
    }

    /// It is gone, and its incident with it.
    fn removed(&mut self) {
        if let Some(open) = self.state.incident.clone() {
            let recovered = self.recovered(&open, Recovery::Removed);
            self.say(Emit { data: recovered.into(), incident: Some(open.id) });
        }
        if self.state.seen {
            self.change(Change::Removed, Actor::Operator);
        }
    }

    fn discover(&mut self) {
        // An engine event tells what happens now; before it, the container was in the state that it left.
        let run = match self.observation.observed {
            Observed::Engine(EngineEventKind::Die { .. }) => RunState::Running,
            Observed::Engine(EngineEventKind::Start) => RunState::Created,
            _ => self.observation.inspection.state,
        };
        self.change(Change::Discovered { state: run }, Actor::Engine);
        if self.observation.inspection.health != Health::None
            && matches!(self.observation.observed, Observed::Sample(_))
        {
            self.change(Change::HealthChanged { health: self.observation.inspection.health }, Actor::Engine);
        }
    }

    fn told(&mut self, kind: &EngineEventKind) {
        match kind {
            EngineEventKind::Start => {
                if !self.start_is_known() {
                    self.change(Change::Started, Actor::Engine);
                }
            }
            EngineEventKind::Die { exit_code } => self.ended(*exit_code),
            EngineEventKind::Oom => self.change(Change::OomKilled, Actor::Engine),
            EngineEventKind::Health(health) if *health != self.state.health => {
                self.change(Change::HealthChanged { health: *health }, Actor::Engine);
            }
            EngineEventKind::Pause => self.change(Change::Paused { paused: true }, Actor::Operator),
            EngineEventKind::Unpause => self.change(Change::Paused { paused: false }, Actor::Operator),
            EngineEventKind::Destroy => self.removed(),
            EngineEventKind::Health(_)
            | EngineEventKind::Create
            | EngineEventKind::Kill { .. }
            | EngineEventKind::Stop
            | EngineEventKind::Restart
            | EngineEventKind::Rename => {}
        }
    }

    /// Whether a sample has shown this start before its event came.
    fn start_is_known(&self) -> bool {
        let known = self.state.started_at.filter(|_| self.state.run == RunState::Running);
        known.is_some_and(|started| self.observation.at.since(started) <= START_GRACE)
    }

    fn ended(&mut self, exit_code: i64) {
        if self.watch.end_was_asked_for(self.observation.at) && !self.oom {
            self.change(Change::Stopped { exit_code }, Actor::Operator);
        } else {
            self.change(Change::Died { exit_code }, Actor::Engine);
        }
    }

    /// What a sample shows that no event told: the monitor was away, or the engine forgot.
    fn catch_up(&mut self, sample: &Sample) {
        if self.state.run == RunState::Running && ENDED_SAMPLES <= self.watch.ended_row() {
            let exit_code = sample.exit_code.unwrap_or(0);
            // Nobody saw whether it was asked for: the usual codes of a stop get the benefit of the doubt.
            if INTENDED_CODES.contains(&exit_code) && !sample.oom_killed {
                self.change(Change::Stopped { exit_code }, Actor::Operator);
            } else {
                self.change(Change::Died { exit_code }, Actor::Engine);
            }
        } else if sample.state == RunState::Running
            && matches!(self.state.run, RunState::Exited | RunState::Created | RunState::Dead)
        {
            self.change(Change::Started, Actor::Engine);
        }
        if sample.state == RunState::Running && sample.health != self.state.health {
            self.change(Change::HealthChanged { health: sample.health }, Actor::Engine);
        }
    }

    fn change(&mut self, change: Change, by: Actor) {
        let at = match (&change, self.observation.observed) {
            // The start of the run counts, not the moment somebody looked.
            (Change::Started, Observed::Sample(sample)) => sample.started_at.unwrap_or(self.observation.at),
            _ => self.observation.at,
        };
        let changed = ContainerChanged { container: self.observation.container.clone(), change, by, at };
        self.say(Emit { data: changed.into(), incident: self.state.open_incident() });
    }

    // --- What it means ---

    fn incident(&mut self) {
        if !self.state.seen {
            // It is gone, and its incident with it.
            return;
        }
        let present = self.symptoms();
        let open = self.state.incident.clone();
        match open {
            None if present.is_empty() => {}
            None => self.alert(IncidentId::opened(self.subject, self.observation.at), self.observation.at, present),
            Some(open) => self.go_on(&open, present),
        }
    }

    fn go_on(&mut self, open: &Open, present: BTreeMap<AnomalyKind, Anomaly>) {
        let at = self.observation.at;
        let over = if self.is_stopped_for_good() {
            Some(Recovery::Stopped)
        } else {
            present.is_empty().then_some(Recovery::Cleared)
        };
        if let Some(reason) = over {
            let recovered = self.recovered(open, reason);
            return self.say(Emit { data: recovered.into(), incident: Some(open.id) });
        }
        let worse = present
            .values()
            .any(|anomaly| open.symptoms.get(&anomaly.kind).is_none_or(|known| known.severity < anomaly.severity));
        let looping = open.symptoms.contains_key(&AnomalyKind::RestartLoop);
        let died_again = self.state.deaths.back() > open.last_death_at.as_ref() && !looping;
        let doublings = open.alerts.saturating_sub(1).min(16);
        let wait = self.settings.realert_after.saturating_mul(1 << doublings).min(self.settings.realert_max);
        let is_sample = matches!(self.observation.observed, Observed::Sample(_));
        let due = is_sample && wait <= at.since(open.last_alert_at);
        if worse || died_again || self.engine_gave_up(open) || due {
            self.alert(open.id, open.opened_at, present);
        }
    }

    /// The engine was to start it again at the last alert, and now it lets it lie.
    fn engine_gave_up(&self, open: &Open) -> bool {
        open.engine_restarts && self.fresh_death().is_some() && !self.engine_restarts()
    }

    fn engine_restarts(&self) -> bool {
        engine_restarts(self.observation.inspection, self.state.stopped_at.is_some())
    }

    /// A person stopped it and did not start it again at once, as a restart does.
    fn is_stopped_for_good(&self) -> bool {
        self.is_seen_ended() && self.state.stopped_at.is_some()
    }

    /// A sample shows that it has ended. An event alone does not say so: with a restart the next run follows at once.
    fn is_seen_ended(&self) -> bool {
        matches!(self.observation.observed, Observed::Sample(sample)
            if matches!(sample.state, RunState::Exited | RunState::Dead))
    }

    /// Every symptom there is now, by kind.
    fn symptoms(&self) -> BTreeMap<AnomalyKind, Anomaly> {
        AnomalyKind::ALL.into_iter().filter_map(|kind| Some((kind, self.symptom(kind)?))).collect()
    }

    fn symptom(&self, kind: AnomalyKind) -> Option<Anomaly> {
        let known = self.state.incident.as_ref().and_then(|open| open.symptoms.get(&kind)).copied();
        let found = match kind {
            AnomalyKind::HighCpu => self.figure(kind, known, Some(self.settings.cpu), "% of the CPU it may use"),
            AnomalyKind::HighMemory => self.figure(kind, known, Some(self.settings.memory), "% of the memory limit"),
            AnomalyKind::HighPids => self.figure(kind, known, Some(self.settings.pids), "% of the PID limit"),
            AnomalyKind::HighDisk => self.figure(kind, known, self.settings.disk_bytes, "bytes in the writable layer"),
            AnomalyKind::UnhealthyStatus => self.unhealthy(known),
            AnomalyKind::NonZeroExit => self.died(known, false),
            AnomalyKind::OomKilled => self.died(known, true),
            AnomalyKind::RestartLoop => self.restart_loop(known),
        }?;
        let since = known.map_or(self.observation.at, |known| known.since);
        // Within an incident a symptom does not get better by degrees: it is there, or it is gone.
        let severity = known.map_or(found.severity, |known| known.severity.max(found.severity));
        Some(Anomaly { kind, severity, actual: found.actual, threshold: found.threshold, since, detail: found.detail })
    }

    fn figure(&self, kind: AnomalyKind, known: Option<Symptom>, levels: Option<Levels>, unit: &str) -> Option<Found> {
        let levels = levels?;
        let window = self.watch.window(kind)?;
        let fires = window.fires(self.settings) && self.may_run();
        let stays = known.is_some() && !self.watch.has_cleared(kind, self.settings) && !self.is_seen_ended();
        if !(fires || stays) {
            return None;
        }
        let actual = window.latest;
        let severity = if actual.is_some_and(|value| levels.critical <= value) { Severity::Critical } else { Severity::High };
        let shown = actual.map_or("unknown".to_owned(), |value| format!("{value:.0}"));
        let detail = format!(
            "{shown} {unit}; fires at {:.0} in {} of {} samples",
            levels.fire, self.settings.fire.needed, self.settings.fire.of
        );
        Some(Found { severity, actual, threshold: Some(levels.fire), detail })
    }

    /// Whether the container is one that can have a figure: an ended or paused one has none.
    fn may_run(&self) -> bool {
        matches!(self.state.run, RunState::Running | RunState::Restarting | RunState::Unknown)
    }

    /// The health check fails, or failed and has not passed since.
    fn unhealthy(&self, known: Option<Symptom>) -> Option<Found> {
        let running = self.state.run == RunState::Running;
        let fails = self.state.health == Health::Unhealthy && running;
        let passes = matches!(self.state.health, Health::Healthy | Health::None) && running;
        let stays = known.is_some() && !passes && !self.is_seen_ended();
        (fails || stays).then(|| {
            let streak = self.observation.inspection.health_failing_streak;
            let detail = format!("the health check failed {streak} times in a row");
            Found { severity: Severity::High, actual: Some(streak as f64), threshold: None, detail }
        })
    }

    /// A death that nobody asked for, until the container has run long enough since.
    fn died(&self, known: Option<Symptom>, by_oom: bool) -> Option<Found> {
        let inspection = self.observation.inspection;
        // The kernel killed a child and left the container alive: no death will tell of it.
        let survived = by_oom
            && self.state.oom_unexplained
            && self.state.run == RunState::Running
            && matches!(self.observation.observed, Observed::Sample(_));
        if survived {
            return Some(Found {
                severity: Severity::High,
                actual: None,
                threshold: None,
                detail: "the kernel killed a process of the container for memory; the container goes on".to_owned(),
            });
        }
        let fresh = self.fresh_death().filter(|_| self.oom == by_oom);
        let stays = known.is_some() && !self.is_stable();
        if fresh.is_none() && !stays {
            return None;
        }
        let code = fresh.or(inspection.exit_code);
        let detail = match (by_oom, code) {
            (true, _) => "the kernel killed it for memory".to_owned(),
            (false, Some(code)) => format!("ended with exit code {code}"),
            (false, None) => "ended, and nobody asked for it".to_owned(),
        };
        let severity = match (fresh, known) {
            (None, Some(known)) => known.severity,
            _ if by_oom => Severity::Critical,
            _ => Severity::High,
        };
        Some(Found { severity, actual: code.map(|code| code as f64), threshold: None, detail })
    }

    /// The exit code of a death that this very observation tells of.
    fn fresh_death(&self) -> Option<i64> {
        self.emit.iter().find_map(|emit| match &emit.data {
            hemostat_event::Data::ContainerChanged(changed) => match changed.change {
                Change::Died { exit_code } if exit_code != 0 => Some(exit_code),
                _ => None,
            },
            _ => None,
        })
    }

    /// Whether a container that died runs well again: long enough, in the same run.
    fn is_stable(&self) -> bool {
        let Some(started_at) = self.state.started_at else {
            // It never ended in our sight (the kernel killed a child): it counts from the symptom on.
            return self.state.run == RunState::Running && self.ran_since_symptom();
        };
        self.state.run == RunState::Running
            && self.settings.stable_for <= self.observation.at.since(started_at)
            && self.ran_since_symptom()
    }

    fn ran_since_symptom(&self) -> bool {
        let deaths = self.state.deaths.back().copied();
        let last = self.state.incident.as_ref().map(|open| deaths.unwrap_or(open.opened_at).max(open.last_alert_at));
        last.is_none_or(|last| self.settings.stable_for <= self.observation.at.since(last))
    }

    fn restart_loop(&self, known: Option<Symptom>) -> Option<Found> {
        let deaths = self.state.deaths_within(self.settings.loop_window, self.observation.at);
        let loops = self.settings.loop_deaths <= deaths && self.fresh_death().is_some();
        if !loops && (known.is_none() || self.is_stable()) {
            return None;
        }
        let minutes = self.settings.loop_window.as_secs() / 60;
        let detail = format!("died {deaths} times within {minutes} min");
        Some(Found {
            severity: Severity::Critical,
            actual: Some(f64::from(deaths)),
            threshold: Some(f64::from(self.settings.loop_deaths)),
            detail,
        })
    }

    // --- What is said ---

    fn alert(&mut self, id: IncidentId, opened_at: Timestamp, present: BTreeMap<AnomalyKind, Anomaly>) {
        let observation = self.observation;
        let severity = present.values().map(|anomaly| anomaly.severity).max().unwrap_or(Severity::Info);
        let changes = self.watch.recent_changes().into_iter().enumerate();
        let items = changes
            .map(|(index, text)| EvidenceItem {
                id: format!("change-{}", index + 1),
                kind: EvidenceKind::RecentChange,
                text,
            })
            .collect();
        let alert = HealthAlert {
            container: observation.container.clone(),
            severity,
            anomalies: present.into_values().collect(),
            sample: self.shown_sample(),
            opened_at,
            engine_event_at: observation.engine_event_at,
            deaths_recent: self.state.deaths_within(self.settings.loop_window, observation.at),
            engine_restarts: self.engine_restarts(),
            evidence: Evidence { items, trend: self.watch.trend(), redactions: 0 },
            policy: observation.policy.clone(),
        };
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
            oom_killed: self.oom,
            started_at: inspection.started_at,
            finished_at: inspection.finished_at,
            memory_limit_bytes: inspection.memory_limit_bytes,
            cpu_limit_cores: inspection.cpu_limit_cores,
            ..Sample::default()
        }
    }

    fn recovered(&self, open: &Open, reason: Recovery) -> HealthRecovered {
        HealthRecovered {
            container: self.observation.container.clone(),
            kinds: open.symptoms.keys().copied().collect(),
            reason,
            opened_at: open.opened_at,
            lasted_ms: u64::try_from(self.observation.at.since(open.opened_at).as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn say(&mut self, emit: Emit) {
        state::take_in(&mut self.state, &emit.data, emit.incident, self.observation.at);
        self.emit.push(emit);
    }
}

/// What was found of a symptom.
struct Found {
    severity: Severity,
    actual: Option<f64>,
    threshold: Option<f64>,
    detail: String,
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
            inspection.restart_count < max || matches!(inspection.state, RunState::Restarting | RunState::Running)
        }
    }
}

//! Detection once more, under any settings, from what a log kept of it.
//!
//! The log has every sample and everything that happened, not the windows and requests of the monitor: windows are filled
//! from the samples again, and whether a person wanted an end stands in the change itself. Labels and restart policy are
//! known as far as alerts tell of them: that the engine has given up is known an alert too late.

use std::collections::BTreeMap;

use hemostat_event::{
    Actor, Change, ContainerChanged, ContainerPolicy, ContainerRef, ContainerSample, Data, Event,
    HealthAlert, RunState, Sample, Subject, Timestamp,
};

use super::decide::decide_again;
use super::{Observation, Observed, Settings, State, Watch, state};
use crate::engine::{EngineEventKind, Inspection, RestartPolicy};
use crate::role::Emit;

/// Detects once more.
#[derive(Debug, Default)]
pub struct Again {
    settings: Settings,
    watched: BTreeMap<Subject, Watched>,
}

/// A container, and what is known of it.
#[derive(Debug, Default)]
struct Watched {
    watch: Watch,
    state: State,
    inspection: Inspection,
    /// What its labels allow, as its last recorded alert said; `None` before there was one.
    policy: Option<ContainerPolicy>,
    /// When it last changed.
    changed_at: Option<Timestamp>,
}

impl Again {
    /// Detects by these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, watched: BTreeMap::new() }
    }

    /// Takes in the next event of its partition. Answers with the alerts and recoveries that the monitor would have
    /// written then.
    pub fn event(&mut self, event: &Event) -> Vec<Emit> {
        let Some(subject) = &event.envelope.subject else { return Vec::new() };
        let at = event.envelope.time;
        match &event.data {
            Data::ContainerSample(sample) => self.sample(subject, sample, at),
            Data::ContainerChanged(changed) => self.changed(subject, changed, at),
            Data::HealthAlert(alert) => {
                entry(&mut self.watched, subject).learn(alert);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// What the container's labels allow; `None` where no alert of it was recorded, which alone tells.
    #[must_use]
    pub fn policy(&self, subject: &Subject) -> Option<&ContainerPolicy> {
        self.watched.get(subject)?.policy.as_ref()
    }

    fn sample(&mut self, subject: &Subject, measured: &ContainerSample, at: Timestamp) -> Vec<Emit> {
        let watched = entry(&mut self.watched, subject);
        if watched.changed_at.is_some_and(|changed| at < changed) {
            // Samples wait for one another before they are written: it is of the time before the change.
            return Vec::new();
        }
        watched.look_at(&measured.sample);
        if !watched.state.seen {
            // The log begins behind its discovery.
            let change = Change::Discovered { state: measured.sample.state };
            let discovered =
                ContainerChanged { container: measured.container.clone(), change, by: Actor::Engine, at };
            state::take_in(&mut watched.state, &discovered.into(), None, at);
            watched.state.health = measured.sample.health;
        }
        let observed = Observed::Sample(measured.sample.clone());
        watched.watch.take_in(&self.settings, &observed, at);
        watched.decide(&self.settings, subject, &Seen { container: &measured.container, observed, at }, None)
    }

    fn changed(&mut self, subject: &Subject, changed: &ContainerChanged, at: Timestamp) -> Vec<Emit> {
        let watched = entry(&mut self.watched, subject);
        watched.changed_at = watched.changed_at.max(Some(at));
        if let Change::Started = changed.change {
            watched.inspection.state = RunState::Running;
        }
        let observed = Observed::Engine(told(&changed.change));
        watched.watch.take_in(&self.settings, &observed, changed.at);
        watched.decide(
            &self.settings,
            subject,
            &Seen { container: &changed.container, observed, at },
            Some(changed),
        )
    }
}

fn entry<'a>(all: &'a mut BTreeMap<Subject, Watched>, subject: &Subject) -> &'a mut Watched {
    if !all.contains_key(subject) {
        all.insert(subject.clone(), Watched::default());
    }
    all.get_mut(subject).expect("it was put there")
}

/// Something that was seen of a container.
struct Seen<'a> {
    container: &'a ContainerRef,
    observed: Observed,
    at: Timestamp,
}

impl Watched {
    /// What the engine had said when the sample was taken.
    fn look_at(&mut self, sample: &Sample) {
        let restart_policy = self.inspection.restart_policy;
        self.inspection = Inspection { restart_policy, ..Inspection::from(sample) };
    }

    fn learn(&mut self, alert: &HealthAlert) {
        self.policy = Some(alert.policy.clone());
        let restarts = alert.engine_restarts;
        self.inspection.restart_policy = if restarts { RestartPolicy::Always } else { RestartPolicy::No };
    }

    /// Decides, and takes in what was decided. What happened is in the log already and not said again.
    fn decide(
        &mut self,
        settings: &Settings,
        subject: &Subject,
        seen: &Seen<'_>,
        happened: Option<&ContainerChanged>,
    ) -> Vec<Emit> {
        let observation = Observation {
            container: seen.container,
            inspection: &self.inspection,
            policy: &self.policy.clone().unwrap_or_default(),
            observed: &seen.observed,
            at: seen.at,
            engine_event_at: happened.map(|changed| changed.at),
        };
        let mut emits = decide_again(settings, subject, &self.state, &self.watch, &observation, happened);
        for emit in &emits {
            state::take_in(&mut self.state, &emit.data, emit.incident, seen.at);
        }
        emits.retain(|emit| !matches!(emit.data, Data::ContainerChanged(_)));
        emits
    }
}

/// The word of the engine that stands nearest to a change.
fn told(change: &Change) -> EngineEventKind {
    match change {
        Change::Discovered { .. } => EngineEventKind::Create,
        Change::Started => EngineEventKind::Start,
        Change::Stopped { .. } => EngineEventKind::Stop,
        Change::Died { exit_code } => EngineEventKind::Die { exit_code: *exit_code },
        Change::OomKilled => EngineEventKind::Oom,
        Change::HealthChanged { health } => EngineEventKind::Health(*health),
        Change::Paused { paused: true } => EngineEventKind::Pause,
        Change::Paused { paused: false } => EngineEventKind::Unpause,
        Change::Removed => EngineEventKind::Destroy,
    }
}

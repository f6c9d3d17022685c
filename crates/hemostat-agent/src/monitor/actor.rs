//! One watched container: takes what is seen of it, in order, decides and writes.

use std::sync::Arc;
use std::time::Duration;

use hemostat_core::detect::{self, Observation, Observed, Watch};
use hemostat_core::engine::{EngineEvent, EngineEventKind, Inspection};
use hemostat_core::labels;
use hemostat_core::role::Emit;
use hemostat_event::{
    ContainerId, ContainerPolicy, ContainerRef, ContainerSample, Data, Envelope, Event, EventId, Health, Role,
    RunState, Sample, Source, Subject, Timestamp,
};
use tokio::sync::mpsc;

use super::{Term, evidence};
use crate::containers::EngineError;
use crate::log::{Commit, CommitAnswer, CommitInput, StateChange, Versioned};

/// What a container's task is told.
pub(super) enum Told {
    /// The engine says that something happened.
    Engine(EngineEvent),
    /// It is time to measure; the size of the writable layer comes with some polls.
    Sample {
        /// In bytes.
        disk: Option<u64>,
    },
    /// The container was not listed any more.
    Gone,
}

/// One watched container.
pub(super) struct Actor {
    term: Arc<Term>,
    id: ContainerId,
    watch: Watch,
    known: Option<Known>,
    disk: Option<u64>,
}

/// What is known once the container has been inspected.
struct Known {
    subject: Subject,
    container: ContainerRef,
    policy: ContainerPolicy,
    inspection: Inspection,
    state: detect::State,
    version: u64,
}

impl Actor {
    pub(super) fn new(term: Arc<Term>, id: ContainerId) -> Self {
        Self { term, id, watch: Watch::new(), known: None, disk: None }
    }

    /// Handles messages until the container is gone or the term is over.
    pub(super) async fn run(mut self, mut mailbox: mpsc::Receiver<Told>) {
        while let Some(told) = mailbox.recv().await {
            if self.term.over.is_cancelled() {
                return;
            }
            let last = match &told {
                Told::Gone => true,
                Told::Engine(event) => event.kind == EngineEventKind::Destroy,
                Told::Sample { .. } => false,
            };
            self.handle(told).await;
            if last {
                return;
            }
        }
    }

    async fn handle(&mut self, told: Told) {
        let (observed, engine_at) = match told {
            Told::Gone => (Observed::Gone, None),
            Told::Engine(event) => (Observed::Engine(event.kind), Some(event.at)),
            Told::Sample { disk } => {
                self.disk = disk.or(self.disk);
                match self.measure().await {
                    Some(sample) => (Observed::Sample(sample), None),
                    None => return,
                }
            }
        };
        if engine_at.is_some() && !self.look().await && self.known.is_none() {
            return;
        }
        let Some(known) = &self.known else { return };
        if self.is_excluded(known) {
            return;
        }
        let Ok(now) = self.now().await else { return };
        let at = engine_at.unwrap_or(now);
        if let Observed::Sample(sample) = &observed {
            self.offer(known, sample, at);
        }
        self.watch.take_in(&self.term.settings.detect, &observed, at);
        self.record(&observed, at, engine_at).await;
    }

    fn is_excluded(&self, known: &Known) -> bool {
        self.term.settings.own_container.as_ref() == Some(&self.id)
            || self.term.settings.exclude.iter().any(|pattern| matches(pattern, &known.container.name))
    }

    /// Decides on what was seen and writes the outcome; decides anew when the state has changed meanwhile.
    async fn record(&mut self, observed: &Observed, at: Timestamp, engine_at: Option<Timestamp>) {
        let mut wait = RETRY_FIRST;
        for _try in 0..CONFLICTS_MAX {
            let Some(known) = &self.known else { return };
            let observation = Observation {
                container: &known.container,
                inspection: &known.inspection,
                policy: &known.policy,
                observed,
                at,
                engine_event_at: engine_at,
            };
            let settings = &self.term.settings.detect;
            let emits = detect::decide(settings, &known.subject, &known.state, &self.watch, &observation);
            if emits.is_empty() {
                return;
            }
            let events = self.complete(known, emits, observed, at).await;
            let mut next = known.state.clone();
            for event in &events {
                detect::fold(&mut next, event);
            }
            let commit = self.commit(known, &next, events.clone());
            let answer = loop {
                if self.term.over.is_cancelled() {
                    return;
                }
                match self.term.log.commit(std::slice::from_ref(&commit)).await {
                    Ok(mut answers) => break answers.pop().expect("a commit has an answer"),
                    Err(error) => {
                        self.term.telemetry.log_failed(Role::Monitor, &error, 2);
                        tokio::time::sleep(wait).await;
                        wait = (wait * 2).min(RETRY_MAX);
                    }
                }
            };
            match answer {
                CommitAnswer::Committed(_) => {
                    self.committed(next, &events, engine_at).await;
                    return;
                }
                CommitAnswer::Fenced => return self.term.over.cancel(),
                // Written before this task began, or by the monitor before this one: go on from its state.
                CommitAnswer::Duplicate => {
                    self.reload().await;
                    return;
                }
                CommitAnswer::Conflict => {
                    self.term.telemetry.conflict(Role::Monitor, &known.subject);
                    self.reload().await;
                }
            }
        }
    }

    async fn committed(&mut self, next: detect::State, events: &[Event], engine_at: Option<Timestamp>) {
        let now = self.now().await.ok();
        let Some(known) = &mut self.known else { return };
        known.state = next;
        known.version += events.len() as u64;
        let alerted = events.iter().any(|event| matches!(event.data, Data::HealthAlert(_)));
        if let (true, Some(at), Some(now)) = (alerted, engine_at, now) {
            self.term.telemetry.detected(now.since(at));
        }
        self.term.telemetry.committed(Role::Monitor, &known.subject, events);
    }

    fn commit(&self, known: &Known, next: &detect::State, emit: Vec<Event>) -> Commit {
        let bytes = rmp_serde::to_vec_named(next).expect("a state has only values that MessagePack can write");
        Commit {
            role: Role::Monitor,
            subject: known.subject.clone(),
            input: CommitInput::Lease { lease: self.term.lease.clone() },
            key: emit.first().expect("an empty decision is not committed").envelope.id,
            state: Some(StateChange {
                expected: known.version,
                next: Versioned { version: known.version + emit.len() as u64, bytes },
            }),
            emit,
            timers: Vec::new(),
        }
    }

    /// Completes the envelopes, and the evidence of alerts.
    async fn complete(&self, known: &Known, emits: Vec<Emit>, observed: &Observed, at: Timestamp) -> Vec<Event> {
        let time = self.now().await.unwrap_or(at);
        // An observation is told apart from others at the same moment by what was seen.
        let base = match observed {
            Observed::Sample(_) => 0,
            Observed::Gone => 1 << 8,
            Observed::Engine(kind) => (2 + rank(kind)) << 8,
        };
        let mut events = Vec::with_capacity(emits.len());
        for (index, mut emit) in emits.into_iter().enumerate() {
            if let Data::HealthAlert(alert) = &mut emit.data {
                let (engine, telemetry) = (self.term.engine.as_ref(), self.term.telemetry.as_ref());
                evidence::gather(engine, telemetry, &self.id, &known.inspection, &mut alert.evidence).await;
            }
            let id = EventId::observed(&known.subject, Role::Monitor, at, base | index);
            events.push(self.event(known, id, time, emit));
        }
        events
    }

    fn event(&self, known: &Known, id: EventId, time: Timestamp, emit: Emit) -> Event {
        Event {
            envelope: Envelope {
                id,
                source: Source { role: Role::Monitor, instance: self.term.settings.instance.clone() },
                time,
                host: self.term.settings.host.clone(),
                subject: Some(known.subject.clone()),
                incident: emit.incident,
                cause: None,
                traceparent: None,
            },
            data: emit.data,
        }
    }

    /// Hands a sample to the writer of samples.
    fn offer(&self, known: &Known, sample: &Sample, at: Timestamp) {
        let data = ContainerSample { container: known.container.clone(), sample: sample.clone() };
        let id = EventId::observed(&known.subject, Role::Monitor, at, SAMPLE);
        self.term.samples.offer(self.event(known, id, at, Emit { data: data.into(), incident: None }));
    }

    /// Inspects and, where the container runs, reads its counters.
    async fn measure(&mut self) -> Option<Sample> {
        let term = Arc::clone(&self.term);
        let _permit = term.permits.acquire().await.expect("the semaphore is never closed");
        if !self.look().await {
            return None;
        }
        let running = self.known.as_ref()?.inspection.state == RunState::Running;
        let counters = if running {
            match self.term.engine.counters(&self.id).await {
                Ok(counters) => Some(counters),
                Err(EngineError::NotFound(_)) => None,
                Err(error) => {
                    self.term.telemetry.engine_failed("read counters", &error);
                    None
                }
            }
        } else {
            None
        };
        let known = self.known.as_ref()?;
        Some(self.watch.sample(&known.inspection, counters.as_ref(), self.disk, &self.term.info))
    }

    /// Inspects the container; false when there is nothing new to go by.
    async fn look(&mut self) -> bool {
        let inspection = match self.term.engine.inspect(&self.id).await {
            Ok(inspection) => inspection,
            Err(error) => {
                self.term.telemetry.engine_failed("inspect", &error);
                return false;
            }
        };
        if let Some(known) = &mut self.known
            && known.container.name == inspection.name
        {
            known.inspection = inspection;
            return true;
        }
        self.learn(inspection).await
    }

    /// Takes a container in, or one that was renamed.
    async fn learn(&mut self, inspection: Inspection) -> bool {
        let Ok(subject) = Subject::new(&self.term.settings.host, &inspection.name) else { return false };
        let policy = labels::container_policy(&inspection.labels, &self.term.settings.labels);
        for problem in &policy.problems {
            self.term.telemetry.label_problem(&subject, &self.id, problem);
        }
        let container = ContainerRef {
            id: self.id.clone(),
            name: inspection.name.clone(),
            image: inspection.image.clone(),
            project: labels::compose_project(&inspection.labels),
            service: labels::compose_service(&inspection.labels),
        };
        let state = detect::State::default();
        self.known = Some(Known { subject, container, policy, inspection, state, version: 0 });
        self.reload().await;
        self.known.is_some()
    }

    /// Loads the state from the log; forgets the container when that fails, to begin again with the next news.
    async fn reload(&mut self) {
        let Some(known) = &mut self.known else { return };
        let loaded = self.term.log.load(Role::Monitor, std::slice::from_ref(&known.subject)).await;
        let state = match loaded {
            Ok(mut states) => states.pop().unwrap_or_default(),
            Err(error) => {
                self.term.telemetry.log_failed(Role::Monitor, &error, 2);
                self.known = None;
                return;
            }
        };
        if state.bytes.is_empty() {
            known.state = detect::State::default();
            known.version = state.version;
            return;
        }
        match rmp_serde::from_slice(&state.bytes) {
            Ok(read) => {
                known.state = read;
                known.version = state.version;
            }
            Err(error) => {
                self.term.telemetry.input_failed(Role::Monitor, &known.subject, &error, 1);
                self.known = None;
            }
        }
    }

    async fn now(&self) -> Result<Timestamp, ()> {
        self.term.clock.now().await.map_err(|error| self.term.telemetry.log_failed(Role::Monitor, &error, 2))
    }
}

/// Index of the sample among what is observed of a container at one moment.
const SAMPLE: usize = usize::MAX >> 1;
/// Decisions that may be made anew because the state changed meanwhile.
const CONFLICTS_MAX: usize = 5;
/// First wait before a failed write is tried again; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// Longest wait before a failed write is tried again.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// A number for every kind of engine event: part of the ids of what follows from it, so never change one.
fn rank(kind: &EngineEventKind) -> usize {
    match kind {
        EngineEventKind::Create => 0,
        EngineEventKind::Start => 1,
        EngineEventKind::Die { .. } => 2,
        EngineEventKind::Kill { .. } => 3,
        EngineEventKind::Stop => 4,
        EngineEventKind::Restart => 5,
        EngineEventKind::Oom => 6,
        EngineEventKind::Health(Health::None) => 7,
        EngineEventKind::Health(Health::Starting) => 8,
        EngineEventKind::Health(Health::Healthy) => 9,
        EngineEventKind::Health(Health::Unhealthy) => 10,
        EngineEventKind::Pause => 11,
        EngineEventKind::Unpause => 12,
        EngineEventKind::Rename => 13,
        EngineEventKind::Destroy => 14,
    }
}

/// Whether `name` fits `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| matches(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, fits) in [
            ("web", "web", true),
            ("web", "web-1", false),
            ("web-*", "web-1", true),
            ("*-db-*", "a-db-1", true),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} on {name}");
        }
    }
}

//! One watched container: takes what is seen of it, in order, and has it decided on and written ([`record`]).
//!
//! What the engine tells goes before what is measured: a container that waits for its turn to be measured handles
//! its events meanwhile. Evidence is gathered while the container is inspected, so that an alert costs two trips:
//! one to the engine, one to the log.
//!
//! [`record`]: super::record

use std::collections::BTreeSet;
use std::sync::Arc;

use hemostat_core::detect::{self, Observed, Watch};
use hemostat_core::engine::{Counters, EngineEvent, EngineEventKind, Inspection};
use hemostat_core::labels;
use hemostat_event::{
    ContainerId, ContainerPolicy, ContainerRef, ContainerSample, EventId, Health, Role, RunState, Sample,
    Subject, Timestamp,
};
use tokio::sync::{SemaphorePermit, mpsc};
use tokio::time::Instant;

use super::fleet::Poll;
use super::{Term, evidence};
use crate::containers::EngineError;
use crate::log::Versioned;

/// What a container's task is told.
#[derive(Debug)]
pub(super) enum Told {
    /// The engine says that something happened.
    Engine {
        /// What.
        event: EngineEvent,
        /// When the monitor heard of it.
        arrived: Instant,
    },
    /// The same, before this monitor's time: to be remembered only.
    Past(EngineEvent),
    /// The container was not listed any more.
    Gone,
}

/// One watched container.
pub(super) struct Actor {
    pub(super) term: Arc<Term>,
    id: ContainerId,
    pub(super) watch: Watch,
    pub(super) known: Option<Known>,
    /// The settings say not to watch it.
    excluded: bool,
    /// It is gone, and all that is known of it comes from the log.
    of_the_past: bool,
    disk: Option<u64>,
}

/// What is known once the container has been inspected.
pub(super) struct Known {
    pub(super) subject: Subject,
    pub(super) container: ContainerRef,
    pub(super) policy: ContainerPolicy,
    pub(super) inspection: Inspection,
    pub(super) state: detect::State,
    pub(super) version: u64,
}

/// Something seen of the container.
pub(super) struct Seen<'a> {
    pub(super) observed: &'a Observed,
    /// In log time.
    pub(super) at: Timestamp,
    /// By the engine's clock, where the engine told it.
    pub(super) engine_at: Option<Timestamp>,
    /// The end of its log, where that was read ahead.
    pub(super) log_tail: Option<String>,
}

impl Actor {
    pub(super) fn new(term: Arc<Term>, id: ContainerId) -> Self {
        Self { term, id, watch: Watch::new(), known: None, excluded: false, of_the_past: false, disk: None }
    }

    /// Handles messages until the container is gone or the term is over.
    pub(super) async fn run(mut self, mut told: mpsc::Receiver<Told>, mut polls: mpsc::Receiver<Poll>) {
        let term = Arc::clone(&self.term);
        let mut asked: Option<Poll> = None;
        loop {
            tokio::select! {
                biased;
                () = term.over.cancelled() => return,
                next = told.recv() => match next {
                    None => return,
                    Some(Told::Past(event)) => self.remember(event.kind, event.at),
                    Some(Told::Engine { event, arrived }) => {
                        let last = event.kind == EngineEventKind::Destroy;
                        self.event(event, arrived).await;
                        if last {
                            return;
                        }
                    }
                    Some(Told::Gone) => return self.gone().await,
                },
                next = polls.recv(), if asked.is_none() => match next {
                    None => return,
                    next => asked = next,
                },
                turn = term.permits.acquire(), if asked.is_some() => {
                    let turn = turn.expect("the semaphore is never closed");
                    if let Some(poll) = asked.take() {
                        self.poll(poll, turn).await;
                    }
                }
            }
        }
    }

    fn remember(&mut self, kind: EngineEventKind, at: Timestamp) {
        self.watch.take_in(&self.term.settings.detect, &Observed::Engine(kind), at);
    }

    async fn event(&mut self, event: EngineEvent, arrived: Instant) {
        self.remember(event.kind.clone(), event.at);
        if self.excluded && event.kind != EngineEventKind::Rename {
            return;
        }
        let (inspection, log_tail) = tokio::join!(self.inspect(), self.read_ahead(&event.kind));
        if let Some(inspection) = inspection {
            self.take(inspection).await;
        }
        let Some(now) = self.now().await else { return };
        let observed = Observed::Engine(event.kind);
        // It may have waited for the log to come back.
        let at = now - arrived.elapsed();
        self.record(Seen { observed: &observed, at, engine_at: Some(event.at), log_tail }).await;
    }

    /// The end of the container's log, where the event is likely to become an alert.
    async fn read_ahead(&self, kind: &EngineEventKind) -> Option<String> {
        match kind {
            EngineEventKind::Die { .. }
            | EngineEventKind::Oom
            | EngineEventKind::Health(Health::Unhealthy) => Some(self.log_tail().await),
            _ => None,
        }
    }

    pub(super) async fn log_tail(&self) -> String {
        evidence::log_tail(self.term.engine.as_ref(), &self.term.telemetry, &self.id).await
    }

    async fn poll(&mut self, poll: Poll, turn: SemaphorePermit<'_>) {
        self.disk = poll.disk.or(self.disk);
        if self.excluded {
            return;
        }
        let Some(inspection) = self.inspect().await else { return };
        let counted = inspection.state == RunState::Running && !self.is_excluded(&inspection.name);
        let counters = if counted { self.counters().await } else { None };
        // The turn is for the engine; others need not wait until the log has answered.
        drop((turn, poll));
        let sample = self.watch.sample(&inspection, counters.as_ref(), self.disk, &self.term.info);
        self.take(inspection).await;
        let (Some(now), Some(known)) = (self.now().await, &self.known) else { return };
        self.offer(known, &sample, now);
        let observed = Observed::Sample(sample);
        self.watch.take_in(&self.term.settings.detect, &observed, now);
        self.record(Seen { observed: &observed, at: now, engine_at: None, log_tail: None }).await;
    }

    async fn counters(&self) -> Option<Counters> {
        match self.term.engine.counters(&self.id).await {
            Ok(counters) => Some(counters),
            Err(EngineError::NotFound(_)) => None,
            Err(error) => {
                self.term.telemetry.engine_failed("read counters", &error);
                None
            }
        }
    }

    /// Hands a sample to the writer of samples.
    fn offer(&self, known: &Known, sample: &Sample, at: Timestamp) {
        let data = ContainerSample { container: known.container.clone(), sample: sample.clone(), gap: None };
        let id = EventId::observed(&known.subject, Role::Monitor, at, SAMPLE);
        self.term.samples.offer(self.term.event(&known.subject, id, at, None, data.into()));
    }

    async fn gone(&mut self) {
        if let Some(now) = self.now().await {
            self.record(Seen { observed: &Observed::Gone, at: now, engine_at: None, log_tail: None }).await;
        }
    }

    async fn inspect(&self) -> Option<Inspection> {
        match self.term.engine.inspect(&self.id).await {
            Ok(inspection) => Some(inspection),
            Err(error) => {
                self.term.telemetry.engine_failed("inspect", &error);
                None
            }
        }
    }

    /// Takes an inspection in, and with the first one the container; under a new name it is another subject.
    async fn take(&mut self, inspection: Inspection) {
        if let Some(known) = &mut self.known {
            if known.container.name == inspection.name {
                known.inspection = inspection;
                return;
            }
            self.gone().await;
            self.known = None;
        }
        self.term.names().insert(self.id.clone(), inspection.name.clone());
        self.excluded = self.is_excluded(&inspection.name);
        if !self.excluded {
            self.learn(inspection).await;
        }
    }

    fn is_excluded(&self, name: &str) -> bool {
        let named = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name));
        let settings = &self.term.settings;
        named(&settings.exclude) || !(settings.only.is_empty() || named(&settings.only))
    }

    async fn learn(&mut self, inspection: Inspection) {
        let term = Arc::clone(&self.term);
        let subject = match Subject::new(&term.settings.host, &inspection.name) {
            Ok(subject) => subject,
            Err(error) => return term.telemetry.container_failed(&self.id, &error.to_string()),
        };
        let policy = labels::container_policy(&inspection.labels, &term.settings.labels);
        for problem in &policy.problems {
            term.telemetry.label_problem(&subject, &self.id, problem);
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
    }

    /// Loads the state from the log; forgets the container when it cannot be read, to begin again with the next news.
    pub(super) async fn reload(&mut self) {
        if self.of_the_past {
            // Somebody else writes about that name: the container is not gone, or not any more.
            self.known = None;
        }
        let Some(known) = &mut self.known else { return };
        let subjects = std::slice::from_ref(&known.subject);
        let loaded = self.term.patiently(|| self.term.log.load(Role::Monitor, subjects)).await;
        let Some(versioned) = loaded.map(|mut states| states.pop().unwrap_or_default()) else {
            self.known = None;
            return;
        };
        match read(&versioned) {
            Ok(state) => {
                known.state = state;
                known.version = versioned.version;
            }
            Err(error) => {
                self.term.telemetry.input_failed(Role::Monitor, &known.subject, &error, 1);
                self.known = None;
            }
        }
    }

    async fn now(&self) -> Option<Timestamp> {
        self.term.patiently(|| self.term.clock.now()).await
    }
}

/// Closes what the log knows of containers that do not exist any more: they went while no monitor watched.
pub(super) async fn close_gone(term: &Arc<Term>) {
    let host = &term.settings.host;
    let Some(states) = term.patiently(|| term.log.load_host(Role::Monitor, host)).await else { return };
    for (subject, versioned) in states {
        let there: BTreeSet<_> = term.names().values().cloned().collect();
        if there.contains(subject.name()) {
            continue;
        }
        let state = match read(&versioned) {
            Ok(state) => state,
            Err(error) => {
                term.telemetry.input_failed(Role::Monitor, &subject, &error, 1);
                continue;
            }
        };
        let id = ContainerId::new(UNKNOWN_ID).expect("twelve digits are an id");
        let container = ContainerRef {
            id: id.clone(),
            name: subject.name().to_owned(),
            image: String::new(),
            project: None,
            service: None,
        };
        let mut actor = Actor::new(Arc::clone(term), id);
        actor.of_the_past = true;
        actor.known = Some(Known {
            subject,
            container,
            policy: ContainerPolicy::default(),
            inspection: Inspection::default(),
            state,
            version: versioned.version,
        });
        actor.gone().await;
    }
}

fn read(versioned: &Versioned) -> Result<detect::State, rmp_serde::decode::Error> {
    if versioned.bytes.is_empty() {
        Ok(detect::State::default())
    } else {
        rmp_serde::from_slice(&versioned.bytes)
    }
}

/// Index of the sample among what is observed of a container at one moment.
const SAMPLE: usize = usize::MAX >> 1;
/// The id of a container of which only the name is left in the log.
const UNKNOWN_ID: &str = "000000000000";

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

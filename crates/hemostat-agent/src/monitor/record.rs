//! Decides on what was seen of a container and writes the outcome.

use hemostat_core::detect::{self, Observation, Observed};
use hemostat_core::engine::EngineEventKind;
use hemostat_core::role::Emit;
use hemostat_event::{Data, Envelope, Event, EventId, Health, IncidentId, Role, Source, Subject, Timestamp};

use super::actor::{Actor, Known, Seen};
use super::{Term, evidence};
use crate::log::{Commit, CommitAnswer, CommitInput, StateChange, Versioned};

impl Actor {
    /// Decides and writes; decides anew when the state has changed meanwhile.
    pub(super) async fn record(&mut self, mut seen: Seen<'_>) {
        for _try in 0..TRIES_MAX {
            let Some(known) = &self.known else { return };
            let observation = Observation {
                container: &known.container,
                inspection: &known.inspection,
                policy: &known.policy,
                observed: seen.observed,
                at: seen.at,
                engine_event_at: seen.engine_at,
            };
            let settings = &self.term.settings.detect;
            let mut emits = detect::decide(settings, &known.subject, &known.state, &self.watch, &observation);
            if emits.is_empty() {
                return;
            }
            self.complete(known, &mut emits, &mut seen.log_tail).await;
            let events = self.events(known, emits, &seen);
            let mut next = known.state.clone();
            for event in &events {
                detect::fold(&mut next, event);
            }
            let commit = self.commit(known, &next, events);
            let answer = self.term.patiently(|| self.term.log.commit(std::slice::from_ref(&commit))).await;
            let Some(answer) = answer.and_then(|mut answers| answers.pop()) else { return };
            match answer {
                CommitAnswer::Committed(_) => {
                    return self.committed(next, &commit.emit, seen.engine_at).await;
                }
                // Written before this task began, or by the monitor before this one: go on from its state.
                CommitAnswer::Duplicate => return self.reload().await,
                CommitAnswer::Conflict => {
                    self.term.telemetry.conflict(Role::Monitor, &known.subject);
                    self.reload().await;
                }
                // Nothing is early under a lease: it answers to no entry.
                CommitAnswer::Fenced | CommitAnswer::Early => {
                    // The lease ended while the log was away. Unless somebody else has it now, it comes back under a
                    // new epoch.
                    self.term.telemetry.fenced(Role::Monitor, &known.subject);
                    self.term.tenure.renew().await;
                }
            }
        }
    }

    async fn committed(&mut self, next: detect::State, events: &[Event], engine_at: Option<Timestamp>) {
        let Some(known) = &mut self.known else { return };
        known.state = next;
        known.version += events.len() as u64;
        self.term.telemetry.committed(Role::Monitor, &known.subject, events);
        let alerted = events.iter().any(|event| matches!(event.data, Data::HealthAlert(_)));
        if let (true, Some(at)) = (alerted, engine_at)
            && let Ok(now) = self.term.clock.now().await
        {
            self.term.telemetry.detected(now.since(at));
        }
    }

    fn commit(&self, known: &Known, next: &detect::State, emit: Vec<Event>) -> Commit {
        Commit {
            role: Role::Monitor,
            subject: known.subject.clone(),
            input: CommitInput::Lease { lease: self.term.tenure.lease() },
            key: emit.first().expect("an empty decision is not committed").envelope.id,
            state: Some(StateChange {
                expected: known.version,
                next: Versioned::of(known.version + emit.len() as u64, next),
            }),
            emit,
            timers: Vec::new(),
        }
    }

    /// Completes the evidence of alerts.
    async fn complete(&self, known: &Known, emits: &mut [Emit], log_tail: &mut Option<String>) {
        for emit in emits {
            let Data::HealthAlert(alert) = &mut emit.data else { continue };
            let log_tail = match log_tail {
                Some(text) => text,
                None => log_tail.insert(self.log_tail().await),
            };
            evidence::complete(&mut alert.evidence, log_tail, &known.inspection);
        }
    }

    fn events(&self, known: &Known, emits: Vec<Emit>, seen: &Seen<'_>) -> Vec<Event> {
        // An observation is told apart from others at the same moment by what was seen.
        let base = match seen.observed {
            Observed::Sample(_) => 0,
            Observed::Gone => 1 << 8,
            Observed::Engine(kind) => (2 + rank(kind)) << 8,
        };
        // What the engine told has the engine's time in its id: another monitor that hears it knows it.
        let moment = seen.engine_at.unwrap_or(seen.at);
        let complete = |(index, emit): (usize, Emit)| {
            let id = EventId::observed(&known.subject, Role::Monitor, moment, base | index);
            self.term.event(&known.subject, id, seen.at, emit.incident, emit.data)
        };
        emits.into_iter().enumerate().map(complete).collect()
    }
}

impl Term {
    /// Completes an event about `subject`.
    pub(super) fn event(
        &self,
        subject: &Subject,
        id: EventId,
        time: Timestamp,
        incident: Option<IncidentId>,
        data: Data,
    ) -> Event {
        let envelope = Envelope {
            id,
            source: Source { role: Role::Monitor, instance: self.settings.instance.clone() },
            time,
            host: self.settings.host.clone(),
            subject: Some(subject.clone()),
            incident,
            cause: None,
            traceparent: None,
        };
        Event { envelope, data }
    }
}

/// Decisions that may be made anew because the state or the lease changed meanwhile.
const TRIES_MAX: usize = 5;

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

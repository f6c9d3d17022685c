//! One input from its first decision to its acknowledgement.

use std::sync::Arc;

use hemostat_core::role::{Decide, Decision, Emit, First, Input, Then, Timer};
use hemostat_event::{
    DeadLetter, Envelope, Event, EventId, HostName, Source, Subject, Timestamp,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::committer::Commits;
use super::reader::{What, Work, pause};
use super::{Perform, Settings, backoff};
use crate::clock::LogClock;
use crate::log::{Commit, CommitAnswer, CommitInput, Entry, EventLog, LogError, StateChange, Versioned};
use crate::telemetry::Telemetry;

/// What every lane shares.
pub(super) struct Stepper<D: Decide, P> {
    pub(super) role: D,
    pub(super) performer: P,
    pub(super) source: Source,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) clock: Arc<LogClock>,
    pub(super) settings: Settings,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) commits: Commits,
    pub(super) stop: CancellationToken,
}

/// Why an input was not dealt with to its end.
#[derive(Debug, thiserror::Error)]
enum StepError {
    /// The log failed in a way that waiting does not mend.
    #[error("failed to record a decision")]
    Log(#[source] Arc<LogError>),
    /// The stored state cannot be read by this version.
    #[error("the stored state of {role} for `{subject}` cannot be read")]
    State {
        role: hemostat_event::Role,
        subject: Subject,
        #[source]
        source: rmp_serde::decode::Error,
    },
    /// The state changed under every try.
    #[error("the state of `{0}` changed under every try")]
    Contended(Subject),
}

/// How the dealing with an input ended.
enum End {
    /// Acknowledged.
    Done,
    /// Somebody else's now.
    Fenced,
    /// The role wants another try.
    Retry(Option<std::time::Duration>),
}

/// What is known of the input while it is dealt with.
struct Case<'a> {
    subject: &'a Subject,
    first: First<'a>,
    entry: Option<&'a Entry>,
    attempt: u32,
}

/// Decisions that may be made anew because the state changed meanwhile, before the input is put back.
const CONFLICTS_MAX: usize = 16;

/// The subject under which inputs about no container are handled: one lane for all of them.
const NO_CONTAINER: &str = "_hemostat";

impl<D, P> Stepper<D, P>
where
    D: Decide + Send + Sync + 'static,
    P: Perform<D> + 'static,
{
    /// The container an input is about; its lane.
    pub(super) fn subject(&self, what: &What) -> Subject {
        let named = match what {
            What::Timer(timer) => Some(timer.subject.clone()),
            What::Entry(entry) => entry.event.as_ref().ok().and_then(|event| event.envelope.subject.clone()),
        };
        named.unwrap_or_else(|| host_subject(&self.settings.host))
    }

    /// Deals with an input until it is acknowledged, buried, somebody else's, or the replica stops.
    pub(super) async fn deal_with(&self, subject: &Subject, work: Work) {
        let Work { what, place } = work;
        match &what {
            What::Entry(entry) => self.entry(subject, entry).await,
            What::Timer(timer) => self.timer(timer).await,
        }
        drop(place);
    }

    async fn entry(&self, subject: &Subject, entry: &Entry) {
        let event = match &entry.event {
            Ok(event) => event,
            Err(error) => return self.bury(entry, chain(error)).await,
        };
        let mut attempt = entry.attempts.max(1);
        let mut errors = vec!["the replicas that tried before did not come back".to_owned()];
        while attempt <= self.settings.attempts_max {
            let case = Case { subject, first: First::Event(event), entry: Some(entry), attempt };
            let wait = match self.chain_of_decisions(&case).await {
                Ok(End::Done | End::Fenced) => return,
                Ok(End::Retry(after)) => {
                    errors = vec![format!("not done after {attempt} tries")];
                    after.unwrap_or_default().max(backoff(attempt))
                }
                Err(error) => {
                    errors = chain(&error);
                    self.telemetry.input_failed(D::ROLE, subject, &error, attempt);
                    backoff(attempt)
                }
            };
            pause(wait, &self.stop).await;
            if self.stop.is_cancelled() {
                return;
            }
            attempt += 1;
        }
        self.bury(entry, errors).await;
    }

    /// A timer that is not dealt with comes back when its lease ends.
    async fn timer(&self, timer: &Timer) {
        let case = Case { subject: &timer.subject, first: First::Timer(timer), entry: None, attempt: 1 };
        match self.chain_of_decisions(&case).await {
            Ok(End::Done | End::Fenced | End::Retry(_)) => {}
            Err(error) => self.telemetry.input_failed(D::ROLE, &timer.subject, &error, 1),
        }
    }

    /// Decides, commits and performs until nothing is left to do.
    async fn chain_of_decisions(&self, case: &Case<'_>) -> Result<End, StepError> {
        let began = Instant::now();
        let mut outcome = None;
        for _conflict in 0..CONFLICTS_MAX {
            let versioned = self.load(case.subject).await?;
            let state = decode::<D>(case.subject, &versioned)?;
            let now = self.clock.now().await.map_err(|error| StepError::Log(Arc::new(error)))?;
            let input = match (outcome.clone(), case.first) {
                (Some(outcome), first) => Input::Outcome { first, attempt: case.attempt, outcome },
                (None, First::Event(event)) => Input::Event(event),
                (None, First::Timer(timer)) => Input::Timer(timer),
            };
            let decision = self.role.decide(case.subject, &state, input, now);
            let then = match decision.then {
                Then::Retry(after) => return Ok(End::Retry(after)),
                Then::Acknowledge => None,
                Then::Perform(effect) => Some(effect),
            };
            let acknowledge = then.is_none();
            if acknowledge || !decision.emit.is_empty() || !decision.timers.is_empty() {
                let step = Decision { emit: decision.emit, timers: decision.timers, then: Then::<()>::Acknowledge };
                let commit = self.step(case, &versioned, &state, step, now, acknowledge);
                let emitted = commit.emit.clone();
                match self.commits.commit(commit).await.map_err(StepError::Log)? {
                    CommitAnswer::Committed(_) => {
                        self.telemetry.committed(D::ROLE, case.subject, &emitted);
                    }
                    CommitAnswer::Duplicate if acknowledge => {}
                    // The state changed meanwhile: what was done stays done, what follows from it is decided anew.
                    CommitAnswer::Conflict => {
                        self.telemetry.conflict(D::ROLE, case.subject);
                        continue;
                    }
                    // An earlier try got further than this one knows: the state tells how far.
                    CommitAnswer::Duplicate => {
                        outcome = None;
                        continue;
                    }
                    CommitAnswer::Fenced => {
                        self.telemetry.fenced(D::ROLE, case.subject);
                        return Ok(End::Fenced);
                    }
                }
            }
            match then {
                Some(effect) => outcome = Some(self.performer.perform(case.subject, effect).await),
                None => {
                    self.telemetry.handled(D::ROLE, began.elapsed());
                    return Ok(End::Done);
                }
            }
        }
        Err(StepError::Contended(case.subject.clone()))
    }

    async fn load(&self, subject: &Subject) -> Result<Versioned, StepError> {
        let mut states = self
            .log
            .load(D::ROLE, std::slice::from_ref(subject))
            .await
            .map_err(|error| StepError::Log(Arc::new(error)))?;
        Ok(states.pop().unwrap_or_default())
    }

    /// The commit that records a decision.
    fn step(
        &self,
        case: &Case<'_>,
        versioned: &Versioned,
        state: &D::State,
        decision: Decision<()>,
        now: Timestamp,
        acknowledge: bool,
    ) -> Commit {
        let cause = case.first.cause();
        let emit = self.complete(case, cause, decision.emit, now);
        let mut next = state.clone();
        for event in &emit {
            D::fold(&mut next, event);
        }
        let bytes = if emit.is_empty() { versioned.bytes.clone() } else { encode(&next) };
        let key = emit.first().map_or_else(|| EventId::derive(cause, D::ROLE, "ack", 0), |event| event.envelope.id);
        Commit {
            role: D::ROLE,
            subject: case.subject.clone(),
            input: self.input(case, acknowledge),
            key,
            state: Some(StateChange {
                expected: versioned.version,
                next: Versioned { version: versioned.version + emit.len() as u64, bytes },
            }),
            emit,
            timers: decision.timers,
        }
    }

    fn complete(&self, case: &Case<'_>, cause: EventId, emit: Vec<Emit>, now: Timestamp) -> Vec<Event> {
        let traceparent = match case.first {
            First::Event(event) => event.envelope.traceparent.clone(),
            First::Timer(_) => None,
        };
        let complete = |(index, emit): (usize, Emit)| Event {
            envelope: Envelope {
                id: EventId::derive(cause, D::ROLE, &emit.step(), index),
                source: self.source.clone(),
                time: now,
                host: case.subject.host(),
                subject: Some(case.subject.clone()),
                incident: emit.incident,
                cause: Some(cause),
                traceparent: traceparent.clone(),
            },
            data: emit.data,
        };
        emit.into_iter().enumerate().map(complete).collect()
    }

    fn input(&self, case: &Case<'_>, acknowledge: bool) -> CommitInput {
        let consumer = self.settings.instance.clone();
        match (case.entry, case.first) {
            (Some(entry), _) => CommitInput::Entry { at: entry.at.clone(), consumer, acknowledge },
            (None, First::Timer(timer)) => CommitInput::Timer { timer: timer.clone(), consumer, acknowledge },
            (None, First::Event(_)) => unreachable!("an event comes with its entry"),
        }
    }

    /// Moves an entry to the dead letters.
    async fn bury(&self, entry: &Entry, errors: Vec<String>) {
        let event = entry.event.as_ref().ok();
        let letter = DeadLetter {
            stream: entry.at.stream.to_string(),
            entry: entry.at.id.to_string(),
            group: D::ROLE,
            event: event.map(|event| event.envelope.id),
            incident: event.and_then(|event| event.envelope.incident),
            errors,
            attempts: entry.attempts,
            original: entry.raw.clone(),
        };
        let host = event.map_or_else(|| self.settings.host.clone(), |event| event.envelope.host.clone());
        self.telemetry.buried(&letter);
        let buried = self.log.bury(&entry.at, &self.settings.instance, &host, &self.source, letter).await;
        if let Err(error) = buried {
            // The entry stays pending and is tried again when it is claimed.
            self.telemetry.log_failed(D::ROLE, &error, 1);
        }
    }
}

/// The subject of what is about a host and no container.
fn host_subject(host: &HostName) -> Subject {
    Subject::new(host, NO_CONTAINER).expect("a host name and a fixed word make a subject")
}

fn decode<D: Decide>(subject: &Subject, versioned: &Versioned) -> Result<D::State, StepError> {
    if versioned.bytes.is_empty() {
        return Ok(D::State::default());
    }
    rmp_serde::from_slice(&versioned.bytes).map_err(|source| StepError::State {
        role: D::ROLE,
        subject: subject.clone(),
        source,
    })
}

fn encode<S: serde::Serialize>(state: &S) -> Vec<u8> {
    rmp_serde::to_vec_named(state).expect("a state has only values that MessagePack can write")
}

/// The texts of an error and its sources, outermost first.
fn chain(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}


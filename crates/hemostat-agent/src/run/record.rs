//! What goes into the log for a decision: its events with their envelopes, the next state, the key.
//!
//! Every id is a function of what is in the log already (E-1), so another try, a zombie and a replay write the same:
//!
//! - An event's id comes from its cause and its step; where the cause is a timer, from the timer's name and deadline
//!   too, because a timer that is set again answers to the same cause.
//! - The key of the last commit for an input comes from the input alone, whatever was decided. So an input that comes
//!   again after it was dealt with (the group was lost, a zombie is late) adds no second set of outputs (L-1), though
//!   it may be decided otherwise now. A commit before the last one has the id of its first event as the key, or that
//!   of its first timer.

use hemostat_core::role::{Decide, Decision, Emit, First, Timer};
use hemostat_event::{
    Data, Envelope, Event, EventId, HostName, IncidentId, Role, Source, Subject, Timestamp,
};

use super::states::Known;
use crate::log::{Commit, CommitInput, Entry, StateChange, Versioned, last_key};

/// An input while it is dealt with.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) subject: &'a Subject,
    pub(super) first: First<'a>,
    /// Where the event stands; absent for a timer.
    pub(super) entry: Option<&'a Entry>,
    /// The consumer whose input it is.
    pub(super) consumer: &'a str,
    /// Tries so far, this one included.
    pub(super) attempt: u32,
}

impl Case<'_> {
    /// The id of the `index`-th event that `role` emits in `step`.
    pub(super) fn id(&self, role: Role, step: &str, index: usize) -> EventId {
        let cause = self.first.cause();
        match self.first {
            First::Event(_) => EventId::derive(cause, role, step, index),
            First::Timer(Timer { name, due, .. }) => {
                EventId::derive(cause, role, &format!("{step}@{name}/{}", due.micros()), index)
            }
        }
    }

    /// The key of the last commit for the input.
    pub(super) fn last_key(&self, role: Role) -> EventId {
        match self.first {
            First::Event(event) => last_key(event.envelope.id, role),
            First::Timer(_) => self.id(role, "ack", 0),
        }
    }

    /// The input, as a commit names it.
    pub(super) fn input(&self, acknowledge: bool) -> CommitInput {
        let consumer = self.consumer.to_owned();
        match (self.entry, self.first) {
            (Some(entry), _) => {
                CommitInput::Entry { at: entry.at.clone(), prev: entry.prev, consumer, acknowledge }
            }
            (None, First::Timer(timer)) => CommitInput::Timer { timer: timer.clone(), consumer, acknowledge },
            (None, First::Event(_)) => unreachable!("an event comes with its entry"),
        }
    }

    /// Completes an event. `subject` is absent where the event is about the host.
    pub(super) fn event(
        &self,
        id: EventId,
        source: &Source,
        (host, subject): (HostName, Option<Subject>),
        incident: Option<IncidentId>,
        time: Timestamp,
        data: Data,
    ) -> Event {
        let traceparent = match self.first {
            First::Event(event) => event.envelope.traceparent.clone(),
            First::Timer(_) => None,
        };
        let cause = Some(self.first.cause());
        let envelope =
            Envelope { id, source: source.clone(), time, host, subject, incident, cause, traceparent };
        Event { envelope, data }
    }

    /// The commit that records a decision on `known`, and the state that follows it.
    pub(super) fn commit<D: Decide>(
        &self,
        source: &Source,
        known: &Known<D::State>,
        decision: Decision<()>,
        now: Timestamp,
        acknowledge: bool,
    ) -> (Commit, Known<D::State>) {
        let complete = |(index, emit): (usize, Emit)| {
            let id = self.id(D::ROLE, &emit.step(), index);
            let about = (self.subject.host(), Some(self.subject.clone()));
            self.event(id, source, about, emit.incident, now, emit.data)
        };
        let emit: Vec<_> = decision.emit.into_iter().enumerate().map(complete).collect();
        let mut state = known.state.clone();
        for event in &emit {
            D::fold(&mut state, event);
        }
        // Without events the stored form stays as it is, with fields that this version does not know.
        let version = known.version + emit.len() as u64;
        let bytes = if emit.is_empty() { known.bytes.clone() } else { Versioned::of(version, &state).bytes };
        let next = Known { version, bytes, state };
        let key = match (emit.first(), decision.timers.first()) {
            (Some(event), _) if !acknowledge => event.envelope.id,
            (None, Some(timer)) if !acknowledge => {
                self.id(D::ROLE, &format!("timer/{}/{}", timer.name, timer.due.micros()), 0)
            }
            _ => self.last_key(D::ROLE),
        };
        let commit = Commit {
            role: D::ROLE,
            subject: self.subject.clone(),
            input: self.input(acknowledge),
            key,
            state: Some(StateChange {
                expected: known.version,
                next: Versioned { version: next.version, bytes: next.bytes.clone() },
            }),
            emit,
            timers: decision.timers,
        };
        (commit, next)
    }
}

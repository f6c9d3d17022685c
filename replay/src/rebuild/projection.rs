//! Everything of a partition that is made of its events: what the log keeps beside them.
//!
//! Invariant P-1: what comes of a part of the log that begins with number 1 is what the agents wrote beside the same
//! entries. Deadlines that were put off are as they were first; they come too early, and are put off again.

use std::collections::BTreeMap;

use hemostat_agent::log::{Cursors, EntryId, FIELD_EVENT, FIELD_PREV, FIELD_SEQ, StreamName, last_key};
use hemostat_archive::Record;
use hemostat_core::remediate::{Responder, end_unsure};
use hemostat_event::cloudevents::Position;
use hemostat_event::{Data, Event, EventId, EventType, Role, Source, Subject, Timestamp, codec};
use hemostat_redis::Bookkeeping;

use crate::state::States;

/// What is made of the events of a partition.
#[derive(Default)]
pub(super) struct Projection {
    partition: u16,
    /// The states of all roles.
    pub states: States,
    /// The number of the first entry, and of the last.
    pub numbers: Option<(u64, u64)>,
    /// Entries whose bodies are not there any more, or cannot be read: what they changed is not in the states.
    pub unread: u64,
    /// Since when ids are of interest.
    known_since: Timestamp,
    known: Vec<(EventId, Timestamp)>,
    ends: BTreeMap<StreamName, EntryId>,
    latest: BTreeMap<(StreamName, Subject), EntryId>,
    letters: BTreeMap<EventId, Timestamp>,
    redriven: Vec<(EventId, Timestamp)>,
    /// Plans that were neither begun nor ended.
    open: BTreeMap<EventId, Event>,
}

impl Projection {
    /// Of no events yet. Ids that became known before `known_since` are left out.
    pub(super) fn new(partition: u16, known_since: Timestamp) -> Self {
        Self { partition, known_since, ..Self::default() }
    }

    /// Takes in the next entry. Where the numbers begin anew, everything does, apart from the ends of the streams.
    pub(super) fn take_in(&mut self, record: &Record) {
        let begins_anew = self.numbers.is_some_and(|(_, last)| record.seq <= last);
        if begins_anew {
            let fresh = Self::new(self.partition, self.known_since);
            *self = Self { ends: std::mem::take(&mut self.ends), ..fresh };
        }
        self.numbers = Some((self.numbers.map_or(record.seq, |(first, _)| first), record.seq));
        let end = self.ends.entry(record.stream.clone()).or_default();
        *end = record.id.max(*end);
        if record.stream.event_type() == EventType::ContainerSample {
            // Nothing is decided on it.
            return;
        }
        match record.event() {
            Some(Ok(event)) => self.event(record, event),
            Some(Err(_)) | None => self.unread += 1,
        }
    }

    fn event(&mut self, record: &Record, event: Event) {
        let (id, written) = (event.envelope.id, record.id.time());
        self.states.fold(Position { partition: self.partition, seq: record.seq }, &event);
        if let Some(subject) = &event.envelope.subject {
            self.latest.insert((record.stream.clone(), subject.clone()), record.id);
        }
        if let Some(letter) = record.redrive {
            self.redriven.extend(self.letters.get(&letter).map(|at| (letter, *at)));
            // The event was there before, and so was what it says.
            return;
        }
        if self.known_since <= written {
            self.known.push((id, written));
            self.known.extend(answered(&event).map(|key| (key, written)));
        }
        match &event.data {
            Data::DeadLetter(_) => _ = self.letters.insert(id, written),
            Data::RemediationStarted(started) => _ = self.open.remove(&started.plan),
            Data::RemediationComplete(complete) => _ = self.open.remove(&complete.plan),
            Data::RemediationNeeded(_) => _ = self.open.insert(id, event),
            _ => {}
        }
    }

    /// Says where the log ends: with entries that were not shown, such as samples.
    pub(super) fn ends_at(&mut self, seq: u64, positions: BTreeMap<StreamName, EntryId>) {
        self.numbers = Some((self.numbers.map_or(seq, |(first, _)| first), seq));
        for (stream, position) in positions {
            let end = self.ends.entry(stream).or_default();
            *end = position.max(*end);
        }
    }

    /// Ends the plans of which the log does not tell whether they were begun, as `source`; the entries that say so.
    pub(super) fn end_open_plans(&mut self, source: &Source, now: Timestamp) -> Vec<Record> {
        let open = std::mem::take(&mut self.open);
        let ended = open.values().filter_map(|plan| end_unsure(plan, source, now));
        ended.collect::<Vec<_>>().iter().map(|event| self.append(event, now)).collect()
    }

    /// The event as the next entry of the partition.
    fn append(&mut self, event: &Event, now: Timestamp) -> Record {
        let stream = StreamName::of(event);
        let end = self.ends.get(&stream).copied().unwrap_or_default();
        let now = EntryId { ms: now.millis(), n: 0 };
        let id = if end < now { now } else { EntryId { n: end.n + 1, ..end } };
        let seq = self.numbers.map_or(1, |(_, last)| last + 1);
        let mut fields = vec![(FIELD_SEQ, seq.to_string().into_bytes()), (FIELD_EVENT, codec::encode(event))];
        let about = event.envelope.subject.clone().map(|subject| (stream.clone(), subject));
        let prev = about.and_then(|about| self.latest.get(&about));
        fields.extend(prev.map(|prev| (FIELD_PREV, prev.to_string().into_bytes())));
        let record = Record::read(stream, id, &fields, [0; 16]).expect("it has a number");
        self.take_in(&record);
        record
    }

    /// What the log keeps beside entries and states. `positions` are the cursors of the groups; `responder` knows how long
    /// it waits before it looks again.
    pub(super) fn bookkeeping(self, positions: Cursors, responder: &Responder) -> Bookkeeping {
        let seq = self.numbers.map_or(0, |(_, last)| last);
        Bookkeeping {
            cursors: Cursors { seq, ..positions },
            timers: self.states.deadlines(responder),
            ends: self.ends,
            latest: self.latest,
            known: self.known,
            redriven: self.redriven,
        }
    }
}

/// The key under which the input was acknowledged that this event is the last answer to; none where others may follow, or
/// where the role remembers in its state what it is done with.
fn answered(event: &Event) -> Option<EventId> {
    let cause = event.envelope.cause?;
    match (event.envelope.source.role, &event.data) {
        (Role::Analyzer, Data::RemediationNeeded(_) | Data::FalseAlarm(_)) => {
            Some(last_key(cause, Role::Analyzer))
        }
        (Role::Responder, Data::RemediationComplete(complete)) if complete.plan == cause => {
            Some(last_key(cause, Role::Responder))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;

/// The earliest of the entries that a restored log must hold of a stream: those that a group has not dealt with.
pub(super) fn needed_after(positions: &Cursors, stream: &StreamName) -> Option<EntryId> {
    let of_stream = positions.positions.iter().filter(|((_, of), _)| of == stream);
    of_stream.map(|(_, cursor)| *cursor).min()
}

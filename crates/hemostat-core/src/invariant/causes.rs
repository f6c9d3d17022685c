//! An event stands in the log once, and its cause stands before it.

use hemostat_event::cloudevents::Position;
use hemostat_event::{Event, EventId, EventType};

use super::recent::Recent;
use super::{Invariant, Scope, Violation};

#[derive(Debug)]
pub(super) struct Causes {
    from_start: bool,
    /// Where the events stand. Samples are left out: they may be written twice, and nothing is decided on one.
    known: Recent<EventId, Position>,
    /// Effects whose cause has not been seen, by the cause.
    waiting: Recent<EventId, Vec<Position>>,
}

impl Causes {
    pub(super) fn new(scope: &Scope) -> Self {
        Self {
            from_start: scope.from_start,
            known: Recent::new(scope.remember),
            waiting: Recent::new(scope.remember),
        }
    }

    pub(super) fn take_in(&mut self, position: Position, event: &Event, found: &mut Vec<Violation>) {
        let envelope = &event.envelope;
        if let Some(cause) = envelope.cause {
            match self.known.get(&cause) {
                Some(at) if at.partition != position.partition => {
                    let detail = format!("its cause [{}] stands in another partition", cause.short());
                    found.push(Violation::new(Invariant::CauseFirst, [*at, position], detail));
                }
                Some(_) => {}
                // What names itself as its cause waits for itself, and is found below.
                None => self.waiting.entry(&cause).push(position),
            }
        }
        if event.event_type() == EventType::ContainerSample {
            return;
        }
        for effect in self.waiting.remove(&envelope.id).unwrap_or_default() {
            let detail = format!("[{}] stands behind its effect", envelope.id.short());
            found.push(Violation::new(Invariant::CauseFirst, [effect, position], detail));
        }
        match self.known.get(&envelope.id) {
            Some(before) => {
                let detail = format!("event {} stands in the log twice", envelope.id);
                found.push(Violation::new(Invariant::UniqueId, [*before, position], detail));
            }
            None => self.known.insert(envelope.id, position),
        }
    }

    pub(super) fn finish(self, found: &mut Vec<Violation>) {
        if !self.from_start || self.known.is_forgetful() {
            return;
        }
        for (cause, effects) in self.waiting.into_values() {
            let detail = format!("the cause {cause} stands nowhere in the log");
            found.push(Violation::new(Invariant::CauseFirst, effects, detail));
        }
    }
}

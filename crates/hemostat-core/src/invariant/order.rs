//! O-1: what a role has to say about a container it says in the order of the events it answers to.
//!
//! Order is that of one stream, so that of one type; it is told by the first answer to each event. A dead letter is an
//! answer. What a deadline brings is none: it comes when it is due.

use hemostat_event::cloudevents::Position;
use hemostat_event::{Data, Event, EventId, EventType, Role, Subject};

use super::outputs::is_plainly_derived;
use super::recent::Recent;
use super::{Invariant, Scope, Violation};

#[derive(Debug)]
pub(super) struct Order {
    inputs: Recent<EventId, (Position, EventType, Subject)>,
    answered: Recent<(Role, EventId), ()>,
    /// The latest input that a role has answered, and where it stands.
    latest: Recent<(Role, u16, EventType, Subject), Position>,
}

impl Order {
    pub(super) fn new(scope: &Scope) -> Self {
        Self {
            inputs: Recent::new(scope.remember),
            answered: Recent::new(scope.remember),
            latest: Recent::new(scope.remember),
        }
    }

    pub(super) fn take_in(&mut self, position: Position, event: &Event, found: &mut Vec<Violation>) {
        let envelope = &event.envelope;
        match &event.data {
            Data::DeadLetter(letter) => {
                if let Some(input) = letter.event {
                    self.answer(position, letter.group, input, found);
                }
            }
            _ => {
                let role = envelope.source.role;
                if let Some(input) = envelope.cause
                    && matches!(role, Role::Analyzer | Role::Responder | Role::Alert)
                    && is_plainly_derived(event, input)
                {
                    self.answer(position, role, input, found);
                }
            }
        }
        if event.event_type() != EventType::ContainerSample
            && let Some(subject) = &envelope.subject
            && self.inputs.get(&envelope.id).is_none()
        {
            self.inputs.insert(envelope.id, (position, event.event_type(), subject.clone()));
        }
    }

    fn answer(&mut self, position: Position, role: Role, input: EventId, found: &mut Vec<Violation>) {
        let Some((at, kind, subject)) = self.inputs.get(&input) else { return };
        if self.answered.get(&(role, input)).is_some() {
            return;
        }
        self.answered.insert((role, input), ());
        let key = (role, at.partition, *kind, subject.clone());
        match self.latest.get(&key) {
            Some(latest) if at.seq < latest.seq => {
                let detail = format!("the {role} answers {kind} {} of `{subject}` after a later one", at.seq);
                found.push(Violation::new(Invariant::InOrder, [*at, *latest, position], detail));
            }
            _ => {
                let at = *at;
                self.latest.insert(key, at);
            }
        }
    }
}

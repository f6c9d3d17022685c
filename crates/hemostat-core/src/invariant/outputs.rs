//! L-1, A-1, E-1: every acknowledged input has exactly one set of outputs, and every output names its input.

use std::collections::BTreeSet;

use hemostat_event::cloudevents::Position;
use hemostat_event::{Data, Event, EventId, EventType, Role};

use super::recent::Recent;
use super::{Invariant, Scope, Violation};
use crate::role::Emit;

/// Outputs of one role for one input: a handful; an index beyond this was never derived.
const INDEX_MAX: usize = 32;

/// Whether the id of an output follows from its input and its step alone, as it does where no deadline is between.
pub(super) fn is_plainly_derived(event: &Event, input: EventId) -> bool {
    let step = Emit { data: event.data.clone(), incident: None }.step();
    let role = event.envelope.source.role;
    (0..INDEX_MAX).any(|index| EventId::derive(input, role, &step, index) == event.envelope.id)
}

#[derive(Debug)]
pub(super) struct Outputs {
    /// The inputs that demand an answer, and of whom.
    demanding: Recent<EventId, (Role, Position)>,
    /// Outputs by input, role and step.
    steps: Recent<(EventId, Role, String), Position>,
    /// The verdict on an alert.
    verdicts: Recent<EventId, Position>,
    /// Inputs that have the answer they demand, or a dead letter in its place.
    answered: Recent<(Role, EventId), ()>,
    acknowledged: BTreeSet<(Role, EventId)>,
}

impl Outputs {
    pub(super) fn new(scope: &Scope) -> Self {
        Self {
            demanding: Recent::new(scope.remember),
            steps: Recent::new(scope.remember),
            verdicts: Recent::new(scope.remember),
            answered: Recent::new(scope.remember),
            acknowledged: BTreeSet::new(),
        }
    }

    pub(super) fn take_in(&mut self, position: Position, event: &Event, found: &mut Vec<Violation>) {
        let envelope = &event.envelope;
        match &event.data {
            Data::HealthAlert(_) => {
                self.demanding.insert(envelope.id, (Role::Analyzer, position));
            }
            Data::RemediationNeeded(_) => {
                self.demanding.insert(envelope.id, (Role::Responder, position));
            }
            Data::RemediationComplete(done) => {
                self.answered.insert((Role::Responder, done.plan), ());
            }
            Data::DeadLetter(letter) => {
                // A letter tells of an input that has no other answer; it is the log that writes it.
                if let Some(input) = letter.event {
                    self.answered.insert((letter.group, input), ());
                }
                return;
            }
            _ => {}
        }
        let role = envelope.source.role;
        if !matches!(role, Role::Analyzer | Role::Responder | Role::Alert) {
            return;
        }
        let Some(input) = envelope.cause else {
            let detail = format!("{} of the {role} names no input", event.event_type());
            found.push(Violation::new(Invariant::OutputsOnce, [position], detail));
            return;
        };
        let step = Emit { data: event.data.clone(), incident: None }.step();
        let by_timer = event.event_type() == EventType::RemediationVerified;
        // The id of what a timer causes holds its deadline too, and that is not in the log.
        if !by_timer && !is_plainly_derived(event, input) {
            let detail = format!("the id {} does not follow from its cause {input}", envelope.id);
            found.push(Violation::new(Invariant::DerivedId, [position], detail));
        }
        self.verdict(position, event, input, found);
        if let Some(before) = self.steps.get(&(input, role, step.clone())) {
            let detail = format!("the {role} has answered {input} with `{step}` twice");
            found.push(Violation::new(Invariant::OutputsOnce, [*before, position], detail));
        } else {
            self.steps.insert((input, role, step), position);
        }
    }

    fn verdict(&mut self, position: Position, event: &Event, input: EventId, found: &mut Vec<Violation>) {
        if !matches!(event.event_type(), EventType::RemediationNeeded | EventType::FalseAlarm) {
            return;
        }
        self.answered.insert((Role::Analyzer, input), ());
        if let Some(before) = self.verdicts.get(&input) {
            let detail = format!("a second verdict on alert {input}");
            found.push(Violation::new(Invariant::OneVerdict, [*before, position], detail));
        } else {
            self.verdicts.insert(input, position);
        }
    }

    pub(super) fn acknowledged(&mut self, role: Role, input: EventId) {
        self.acknowledged.insert((role, input));
    }

    /// An input that is acknowledged and unanswered is lost. One whose own event was not shown demands nothing that
    /// could be known.
    pub(super) fn finish(&self, found: &mut Vec<Violation>) {
        if self.answered.is_forgetful() {
            return;
        }
        for (role, input) in &self.acknowledged {
            let Some((_, position)) = self.demanding.get(input).filter(|(of, _)| of == role) else {
                continue;
            };
            if self.answered.get(&(*role, *input)).is_none() {
                let detail = format!("the {role} has acknowledged {input} and answered nothing");
                found.push(Violation::new(Invariant::OutputsOnce, [*position], detail));
            }
        }
    }
}

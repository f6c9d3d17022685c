//! L-3: a role's state at version *n* is the fold of its first *n* events about that container.

use std::collections::BTreeMap;

use hemostat_event::cloudevents::Position;
use hemostat_event::{Event, EventType, Role, Subject};

use super::redrives::Redrives;
use super::{Invariant, Violation};
use crate::detect;
use crate::role::Decide;

/// Folds a log into the states of one role and compares them with stored ones.
///
/// Tell it first what is stored ([`Folds::expect`]), then show it the log from its very first event. Every expected
/// version is compared at the moment it is reached.
#[derive(Debug)]
pub struct Folds<S> {
    role: Role,
    fold: fn(&mut S, &Event),
    redrives: Redrives,
    states: BTreeMap<Subject, Folded<S>>,
    expected: BTreeMap<(Subject, u64), S>,
    violations: Vec<Violation>,
}

#[derive(Debug, Default)]
struct Folded<S> {
    version: u64,
    state: S,
    last: Option<Position>,
}

impl Folds<detect::State> {
    /// For the monitor, which has no inputs in the log but a state.
    #[must_use]
    pub fn of_monitor() -> Self {
        Self::new(Role::Monitor, detect::fold)
    }
}

impl<S: Default + Clone + PartialEq> Folds<S> {
    /// For a role that decides on inputs.
    #[must_use]
    pub fn of<D: Decide<State = S>>() -> Self {
        Self::new(D::ROLE, D::fold)
    }

    fn new(role: Role, fold: fn(&mut S, &Event)) -> Self {
        let (states, expected) = (BTreeMap::new(), BTreeMap::new());
        Self { role, fold, redrives: Redrives::default(), states, expected, violations: Vec::new() }
    }

    /// Expects that the state of `subject` at `version` is `state`. Version 0 is the state before any event.
    pub fn expect(&mut self, subject: Subject, version: u64, state: S) {
        if version == 0 && state != S::default() {
            let detail = format!("the {} has a state of {subject} that no event has made", self.role);
            self.violations.push(Violation::new(Invariant::StateIsFold, [], detail));
        }
        if version != 0 {
            self.expected.insert((subject, version), state);
        }
    }

    /// Takes in the next event of the log; those of other roles are passed over.
    pub fn event(&mut self, position: Position, event: &Event) {
        if self.redrives.take_in(position, event) {
            return;
        }
        // Samples are written beside the state, and a dead letter is the log's.
        let of_state = event.envelope.source.role == self.role
            && !matches!(event.event_type(), EventType::ContainerSample | EventType::DeadLetter);
        let Some(subject) = event.envelope.subject.as_ref().filter(|_| of_state) else { return };
        let folded = match self.states.get_mut(subject) {
            Some(folded) => folded,
            None => self.states.entry(subject.clone()).or_default(),
        };
        (self.fold)(&mut folded.state, event);
        folded.version += 1;
        folded.last = Some(position);
        if self.expected.is_empty() {
            return;
        }
        let expected = self.expected.remove(&(subject.clone(), folded.version));
        if expected.is_some_and(|expected| expected != folded.state) {
            let detail = format!(
                "the {}'s state of {subject} at version {} is not the fold of its events",
                self.role, folded.version
            );
            self.violations.push(Violation::new(Invariant::StateIsFold, [position], detail));
        }
    }

    /// The state of a container so far, with its version.
    #[must_use]
    pub fn state(&self, subject: &Subject) -> Option<(u64, &S)> {
        self.states.get(subject).map(|folded| (folded.version, &folded.state))
    }

    /// The containers that have a state, in order.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.states.keys()
    }

    /// Everything that is broken; versions that the log never reached, too.
    #[must_use]
    pub fn finish(mut self) -> Vec<Violation> {
        for (subject, version) in self.expected.into_keys() {
            let folded = self.states.get(&subject);
            let reached = folded.map_or(0, |folded| folded.version);
            let detail = format!(
                "the {}'s state of {subject} has version {version}, and the log has {reached} events for it",
                self.role
            );
            let at = folded.and_then(|folded| folded.last);
            self.violations.push(Violation::new(Invariant::StateIsFold, at, detail));
        }
        self.violations
    }
}

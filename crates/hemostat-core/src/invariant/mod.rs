//! The promises, as predicates over a log.
//!
//! A [`Checker`] reads a log once, in the order of its positions, and names every place where a promise is broken.
//! Tests, the simulation, the fault suite and the offline verifier use the same predicates. Each of them is a small
//! fold of its own; [`Invariant`] says what they hold. State against log (L-3) is [`Folds`], which needs the role;
//! what is gone from the log (L-4) is [`Retention`], which has to be told.
//!
//! What is remembered grows with the number of containers, and of events, inputs and plans up to [`Scope::remember`];
//! samples are only counted. A predicate never calls a correct log broken: where it has forgotten, or was not shown,
//! what it would need, it keeps silent.

mod budget;
mod causes;
mod folds;
mod incidents;
mod intents;
mod order;
mod outputs;
mod recent;
mod redrives;
mod retention;
mod sequence;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use hemostat_event::cloudevents::Position;
use hemostat_event::{Event, EventId, Role};

pub use folds::Folds;
pub(crate) use redrives::Redrives;
pub use retention::Retention;

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// L-1: every acknowledged input has exactly one set of outputs, and every output names its input.
    OutputsOnce,
    /// L-2: the sequence of a partition is strictly increasing and without gaps.
    GapFree,
    /// L-3: a role's state at version *n* is the fold of its first *n* events about that container.
    StateIsFold,
    /// L-4: nothing is trimmed before it is archived, where there is an archive, and acknowledged by every registered
    /// group; samples excepted.
    AcknowledgedFirst,
    /// L-5: within any window at most as many actions start on a container as the budget allows; those of dry runs
    /// are counted apart.
    Budget,
    /// a health alert has at most one of `remediation_needed` and `false_alarm`.
    OneVerdict,
    /// D-1: a container has at most one open incident; it opens with an alert and ends with a recovery.
    OneIncident,
    /// O-1: a role answers the events of a container in the order of their stream.
    InOrder,
    /// E-1: the id of a derived event is a function of its cause. What a timer causes is left out: its deadline, which
    /// goes into the id, is not in the log.
    DerivedId,
    /// An event stands in the log once, and once more right behind every order to redrive its dead letter.
    UniqueId,
    /// The cause of an event stands before it, in the same partition.
    CauseFirst,
    /// An action has one intent, one outcome and one verdict at most, in this order, and was done only under an
    /// intent.
    IntentFirst,
}

impl Invariant {
    /// Its name, as it stands in the documentation where it has a number there.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutputsOnce => "L-1",
            Self::GapFree => "L-2",
            Self::StateIsFold => "L-3",
            Self::AcknowledgedFirst => "L-4",
            Self::Budget => "L-5",
            Self::OneVerdict => "A-1",
            Self::OneIncident => "D-1",
            Self::InOrder => "O-1",
            Self::DerivedId => "E-1",
            Self::UniqueId => "unique-id",
            Self::CauseFirst => "cause-first",
            Self::IntentFirst => "intent-first",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place where a promise is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub invariant: Invariant,
    /// The events that break it together, in log order; empty where it is the lack of one.
    pub at: Vec<Position>,
    /// What is wrong.
    pub detail: String,
}

impl Violation {
    fn new(invariant: Invariant, at: impl IntoIterator<Item = Position>, detail: String) -> Self {
        Self { invariant, at: at.into_iter().collect(), detail }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.invariant)?;
        for (index, position) in self.at.iter().enumerate() {
            let before = if index == 0 { " at " } else { ", " };
            write!(f, "{before}{}/{}", position.partition, position.seq)?;
        }
        write!(f, ": {}", self.detail)
    }
}

/// What is known of the log that is read.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The log is read from its very first event: nothing was trimmed.
    pub from_start: bool,
    /// Every event is shown, samples and unreadable entries too; else gaps in the sequence say nothing.
    pub every_event: bool,
    /// Most actions on a container within the window; what each intent itself says when absent.
    pub budget: Option<u32>,
    /// The window of the budget.
    pub window: Duration,
    /// Events, inputs and plans that are remembered, the latest of each.
    pub remember: usize,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            from_start: true,
            every_event: true,
            budget: None,
            window: Duration::from_secs(3_600),
            remember: usize::MAX,
        }
    }
}

/// Reads a log once and collects what is broken.
#[derive(Debug)]
pub struct Checker {
    sequence: sequence::Sequence,
    redrives: redrives::Redrives,
    causes: causes::Causes,
    outputs: outputs::Outputs,
    order: order::Order,
    intents: intents::Intents,
    budget: budget::Budget,
    incidents: incidents::Incidents,
    violations: Vec<Violation>,
}

impl Checker {
    /// A checker that has seen nothing yet.
    #[must_use]
    pub fn new(scope: &Scope) -> Self {
        Self {
            sequence: sequence::Sequence::new(scope),
            redrives: redrives::Redrives::default(),
            causes: causes::Causes::new(scope),
            outputs: outputs::Outputs::new(scope),
            order: order::Order::new(scope),
            intents: intents::Intents::new(scope),
            budget: budget::Budget::new(scope),
            incidents: incidents::Incidents::new(scope),
            violations: Vec::new(),
        }
    }

    /// Takes in the next event. The events of a partition come in the order in which they stand in the log.
    pub fn event(&mut self, position: Position, event: &Event) {
        let found = &mut self.violations;
        self.sequence.take_in(position, found);
        if self.redrives.take_in(position, event) {
            // The same event: it was looked at where it stood first.
            return;
        }
        self.causes.take_in(position, event, found);
        self.outputs.take_in(position, event, found);
        self.order.take_in(position, event, found);
        self.intents.take_in(position, event, found);
        self.budget.take_in(position, event, found);
        self.incidents.take_in(position, event, found);
    }

    /// Takes in an entry that holds no event: it has a place in the sequence, and nothing else is known of it.
    pub fn unreadable(&mut self, position: Position) {
        self.sequence.take_in(position, &mut self.violations);
    }

    /// Takes in that the group of `role` has acknowledged `input`. May be told at any time.
    pub fn acknowledged(&mut self, role: Role, input: EventId) {
        self.outputs.acknowledged(role, input);
    }

    /// What was found so far; what is missing is known only at the end.
    #[must_use]
    pub fn found(&self) -> &[Violation] {
        &self.violations
    }

    /// Everything that is broken, in the order in which it was found.
    #[must_use]
    pub fn finish(self) -> Vec<Violation> {
        let mut violations = self.violations;
        self.causes.finish(&mut violations);
        self.outputs.finish(&mut violations);
        violations
    }
}

/// Checks a whole log at once.
pub fn check<'a>(
    scope: &Scope,
    log: impl IntoIterator<Item = (Position, &'a Event)>,
    acknowledged: impl IntoIterator<Item = (Role, EventId)>,
) -> Vec<Violation> {
    let mut checker = Checker::new(scope);
    for (position, event) in log {
        checker.event(position, event);
    }
    for (role, input) in acknowledged {
        checker.acknowledged(role, input);
    }
    checker.finish()
}

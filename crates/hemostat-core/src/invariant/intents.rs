//! The intent is in the log before the engine is called; an outcome and a verdict follow, once.

use hemostat_event::cloudevents::Position;
use hemostat_event::{Command, Data, Event, EventId, EventType, Outcome, Role};

use super::recent::Recent;
use super::{Invariant, Scope, Violation};

#[derive(Debug)]
pub(super) struct Intents {
    from_start: bool,
    plans: Recent<EventId, Plan>,
}

/// What was made of a plan so far.
#[derive(Debug, Default)]
struct Plan {
    /// Where its event stands.
    planned: Option<Position>,
    /// The intent, and whether it is one of a dry run.
    started: Option<(Position, bool)>,
    /// The outcome, and whether the engine did it.
    complete: Option<(Position, bool)>,
    verified: Option<Position>,
}

impl Intents {
    pub(super) fn new(scope: &Scope) -> Self {
        Self { from_start: scope.from_start, plans: Recent::new(scope.remember) }
    }

    pub(super) fn take_in(&mut self, position: Position, event: &Event, found: &mut Vec<Violation>) {
        // What is forgotten was perhaps there.
        let complete = self.from_start && !self.plans.is_forgetful();
        // What others did elsewhere is hearsay; a request of theirs is a plan that is answered to here.
        if event.envelope.source.role == Role::Bridge && event.event_type() != EventType::RemediationNeeded {
            return;
        }
        let mut broken = |at: &[Position], detail: &str| {
            found.push(Violation::new(Invariant::IntentFirst, at.iter().copied(), detail.to_owned()));
        };
        match &event.data {
            Data::RemediationNeeded(_) => self.plans.entry(&event.envelope.id).planned = Some(position),
            // What a person orders is a plan too.
            Data::OperatorCommand(order) if matches!(order.command, Command::Act { .. }) => {
                self.plans.entry(&event.envelope.id).planned = Some(position);
            }
            Data::RemediationStarted(started) => {
                let plan = self.plans.entry(&started.plan);
                if plan.planned.is_none() && complete {
                    broken(&[position], "an intent for what was never planned");
                }
                if let Some((before, _)) = plan.started {
                    broken(&[before, position], "a second intent for the same plan");
                }
                if let Some((before, _)) = plan.complete {
                    broken(&[before, position], "an intent behind its outcome");
                }
                plan.started = Some((position, started.dry_run));
            }
            Data::RemediationComplete(done) => {
                let plan = self.plans.entry(&done.plan);
                if plan.planned.is_none() && complete {
                    broken(&[position], "an outcome of what was never planned");
                }
                if let Some((before, _)) = plan.complete {
                    broken(&[before, position], "a second outcome of the same plan");
                }
                match plan.started {
                    // A refusal needs no intent, and neither does a failure to look before one.
                    None if complete && says_that_it_acted(&done.outcome) => {
                        broken(&[position], "acted without an intent");
                    }
                    Some((intent, dry_run)) if dry_run != done.dry_run => {
                        broken(&[intent, position], "intent and outcome disagree on whether it is a dry run");
                    }
                    _ => {}
                }
                let done_really = done.outcome == Outcome::Success && !done.dry_run;
                plan.complete = Some((position, done_really));
            }
            Data::RemediationVerified(verified) => {
                let plan = self.plans.entry(&verified.plan);
                match plan.complete {
                    None if complete => broken(&[position], "a verdict on an action without an outcome"),
                    Some((outcome, false)) => {
                        broken(&[outcome, position], "a verdict on an action that was not done");
                    }
                    _ => {}
                }
                if let Some(before) = plan.verified {
                    broken(&[before, position], "a second verdict on the same action");
                }
                plan.verified = Some(position);
            }
            _ => {}
        }
    }
}

const fn says_that_it_acted(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Success | Outcome::Unknown { .. } => true,
        Outcome::Failed { .. } | Outcome::Rejected { .. } | Outcome::NotApplicable { .. } => false,
    }
}

//! May we act, and did it help?
//!
//! A plan (`remediation_needed`) becomes an action in five steps, each of them in the log before the next begins:
//! look at the container; write the intent (`remediation_started`); act; write the outcome
//! (`remediation_complete`); after the stabilisation window look again and write the verdict
//! (`remediation_verified`). The plan is acknowledged with its outcome, the verdict is a durable timer's.
//!
//! Invariants:
//! - RM-1: the engine is asked to change a container only under an intent that is in the log.
//! - RM-2: an intent without an outcome means "look first": whoever takes the plan over asks the engine whether the
//!   action was done, and repeats it only when it was not and can no longer be under way.
//! - RM-3: when the responder is unsure (the engine does not answer, the container has changed) it does not act, and
//!   says so.
//! - RM-4: a plan that has its outcome is not begun again, also when the group is lost and it comes again.
//! - B-1, B-2: the limits of [`permit`].

mod conclude;
mod judge;
mod policy;
mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use hemostat_event::{
    Action, ActionKind, ContainerId, Data, Event, EventId, IncidentId, Mode, Outcome as Ending, Rejection,
    RemediationComplete, RemediationNeeded, RemediationStarted, Role, Subject, Timestamp,
};

use crate::role::{Decide, Decision, Emit, First, Input, Then, Timer};

pub use conclude::end_unsure;
use conclude::{due, forgotten};
pub use judge::Seen;
use judge::{moot, restarted};
pub use policy::{Breaker, Permit, Policy, Refusal, Standing, StillSick, permit, standing};
pub use state::State;
use state::{Intent, Unverified};

/// The responder.
#[derive(Debug, Clone)]
pub struct Responder {
    /// When it may act.
    pub policy: Policy,
}

/// What the responder asks of the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Look at a container; with its figures where the symptoms were figures.
    Inspect {
        /// Which container.
        target: ContainerId,
        /// Whether its CPU, memory and processes are wanted too.
        figures: bool,
    },
    /// Change a container, under the intent that was just written.
    Act {
        /// What to do.
        action: Action,
        /// To which container.
        target: ContainerId,
    },
}

/// What the world answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// What a look showed.
    Seen(Box<Seen>),
    /// There is no such container.
    Gone,
    /// The engine did not answer the question.
    Unreachable {
        /// What happened.
        error: String,
    },
    /// The engine did what it was asked to.
    Done {
        /// How long it took.
        took: Duration,
        /// Start of the run that followed, by the engine's clock, where it could be read.
        run_started_at: Option<Timestamp>,
    },
    /// The engine refused.
    Failed {
        /// What it answered.
        error: String,
    },
    /// The engine gave no answer: it may or may not have done it.
    Unclear {
        /// What happened.
        error: String,
    },
}

/// The name of the timer after which an action is verified.
pub(crate) const VERIFY: &str = "verify";
/// What is said of a container that is not there any more.
pub(crate) const GONE: &str = "the container is gone or was replaced";
/// What is said of an action whose outcome the engine does not tell, before its error.
pub(crate) const NO_WORD: &str = "the action had begun, and the engine does not say what became of it: ";
/// Tries to get an answer from the engine before the responder says that it has none: with the back-off of the run
/// loop this spans several seconds, and stays below the least number of tries after which a plan is dead.
const TRIES_MAX: u32 = 4;
/// Time an engine needs to restart a container besides waiting for its process to end.
const RESTART_SLACK: Duration = Duration::from_secs(10);
/// Time between SIGTERM and SIGKILL where the container does not say: Docker's own default.
const STOP_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Past this time an intent whose plan has become a dead letter no longer stands in the way of a new plan.
const INTENT_STALE: Duration = Duration::from_secs(900);
/// Past this time after the window the verdict is "unknown", whatever is still to come.
const VERIFY_GRACE: Duration = Duration::from_secs(300);
/// Time before a look that came too early, or got no answer, is repeated.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl Decide for Responder {
    const ROLE: Role = Role::Responder;
    type State = State;
    type Effect = Effect;
    type Outcome = Outcome;

    fn decide(
        &self,
        subject: &Subject,
        state: &State,
        input: Input<'_, Outcome>,
        now: Timestamp,
    ) -> Decision<Effect> {
        match input {
            Input::Event(event) => match Case::of(subject, event, now) {
                Some(case) if !state.has_ended(event.envelope.id) => self.begin(&case, state),
                _ => Decision::nothing(),
            },
            Input::Outcome { first: First::Event(event), attempt, outcome } => {
                match Case::of(subject, event, now) {
                    Some(case) if !state.has_ended(event.envelope.id) => {
                        self.go_on(&case, state, attempt, outcome)
                    }
                    _ => Decision::nothing(),
                }
            }
            Input::Timer(timer) => match due(state, timer) {
                Some(done) => Decision::perform(look_at(&done.intent)),
                None => Decision::nothing(),
            },
            Input::Outcome { first: First::Timer(timer), outcome, .. } => match due(state, timer) {
                Some(done) => self.conclude(timer, done, outcome, now),
                None => Decision::nothing(),
            },
        }
    }

    fn complaint(outcome: &Outcome) -> Option<String> {
        match outcome {
            Outcome::Unreachable { error } | Outcome::Unclear { error } => Some(error.clone()),
            Outcome::Seen(_) | Outcome::Gone | Outcome::Done { .. } | Outcome::Failed { .. } => None,
        }
    }

    fn deadlines(&self, subject: &Subject, state: &State) -> Vec<Timer> {
        let verify = |done: &Unverified| self.verify_at(subject, done.intent.plan, done.done_at);
        state.unverified.iter().map(verify).collect()
    }

    fn fold(state: &mut State, event: &Event) {
        state::fold(state, event);
    }
}

/// A plan that is to be decided on.
struct Case<'a> {
    subject: &'a Subject,
    event: &'a Event,
    needed: &'a RemediationNeeded,
    now: Timestamp,
}

impl<'a> Case<'a> {
    fn of(subject: &'a Subject, event: &'a Event, now: Timestamp) -> Option<Self> {
        match &event.data {
            Data::RemediationNeeded(needed) => Some(Self { subject, event, needed, now }),
            _ => None,
        }
    }

    fn incident(&self) -> Option<IncidentId> {
        self.event.envelope.incident
    }

    /// The outcome of the plan.
    fn ended(&self, outcome: Ending) -> RemediationComplete {
        RemediationComplete {
            container: self.needed.container.clone(),
            plan: self.event.envelope.id,
            action: self.needed.plan.action.clone(),
            outcome,
            dry_run: false,
            duration_ms: None,
            run_started_at: None,
            reason: self.needed.verdict.reason.clone(),
            confidence: self.needed.verdict.confidence,
        }
    }

    fn end(&self, outcome: Ending) -> Decision<Effect> {
        Decision::emit(self.ended(outcome), self.incident())
    }

    fn refuse(&self, refusal: Refusal) -> Decision<Effect> {
        let remaining = refusal.until.map(|until| millis(until.since(self.now)));
        self.end(Ending::Rejected { rejection: refusal.rejection, remaining_ms: remaining })
    }
}

impl Responder {
    /// A plan, before anything was asked of the world.
    fn begin(&self, case: &Case<'_>, state: &State) -> Decision<Effect> {
        if let Some(intent) = own_intent(case, state) {
            // Somebody began this plan and did not come back.
            return Decision::perform(look_at(intent));
        }
        if case.needed.plan.action.kind() == ActionKind::Escalate {
            let detail = "the analyzer leaves this to a person".to_owned();
            return case.end(Ending::NotApplicable { detail });
        }
        match self.allowed(case, state) {
            Ok(_) => {
                Decision::perform(Effect::Inspect { target: case.needed.plan.target.clone(), figures: false })
            }
            Err(decision) => *decision,
        }
    }

    /// Whether the plan may be carried out now; the decision that ends it otherwise.
    fn allowed(&self, case: &Case<'_>, state: &State) -> Result<Permit, Box<Decision<Effect>>> {
        let plan = &case.needed.plan;
        let refuse = |rejection| Err(Box::new(case.refuse(Refusal { rejection, until: None })));
        if plan.expires_at <= case.now {
            return refuse(Rejection::PlanExpired);
        }
        if plan.policy.mode != Mode::Auto {
            return refuse(Rejection::ModeForbids);
        }
        // A confidence that is no number does not pass.
        let confidence = case.needed.verdict.confidence;
        if confidence.is_nan() || confidence < self.policy.confidence_min {
            return refuse(Rejection::ConfidenceTooLow);
        }
        if !matches!(plan.action, Action::Restart { .. }) {
            let detail = format!("`{}` is not supported by this version", plan.action.kind().as_str());
            return Err(Box::new(case.end(Ending::NotApplicable { detail })));
        }
        if self.busy(state, case.now) {
            return refuse(Rejection::ActionInProgress);
        }
        permit(&self.policy, state, &plan.policy, case.now).map_err(|refusal| Box::new(case.refuse(refusal)))
    }

    /// Whether another action on the container is under way.
    fn busy(&self, state: &State, now: Timestamp) -> bool {
        let acting = state.intent.as_ref().is_some_and(|intent| now < intent.at + INTENT_STALE);
        let verifying = state
            .unverified
            .as_ref()
            .is_some_and(|done| now < done.done_at + self.policy.stabilise + VERIFY_GRACE + VERIFY_GRACE);
        acting || verifying
    }

    /// A plan, with an answer of the world.
    fn go_on(&self, case: &Case<'_>, state: &State, attempt: u32, outcome: Outcome) -> Decision<Effect> {
        match own_intent(case, state) {
            Some(intent) => self.under_intent(case, intent, attempt, outcome),
            None => self.before_intent(case, state, attempt, outcome),
        }
    }

    /// The look before the action: only now is it known what the container is doing.
    fn before_intent(
        &self,
        case: &Case<'_>,
        state: &State,
        attempt: u32,
        outcome: Outcome,
    ) -> Decision<Effect> {
        let seen = match outcome {
            Outcome::Seen(seen) => seen,
            Outcome::Gone => return case.end(gone()),
            Outcome::Unreachable { error } if TRIES_MAX <= attempt => {
                return case.end(Ending::Failed { error });
            }
            Outcome::Unreachable { .. } => return retry(LOOK_AGAIN),
            // No action was asked for: these answers are to a question of somebody who was fenced since.
            Outcome::Done { .. } | Outcome::Failed { .. } | Outcome::Unclear { .. } => {
                return retry(LOOK_AGAIN);
            }
        };
        let permit = match self.allowed(case, state) {
            Ok(permit) => permit,
            Err(decision) => return *decision,
        };
        if let Some(detail) = moot(&seen.inspection, &case.needed.kinds) {
            return case.end(Ending::NotApplicable { detail });
        }
        let plan = &case.needed.plan;
        let started = RemediationStarted {
            container: case.needed.container.clone(),
            plan: case.event.envelope.id,
            action: plan.action.clone(),
            target: plan.target.clone(),
            kinds: case.needed.kinds.clone(),
            run_started_at: seen.inspection.started_at,
            attempt: permit.attempt,
            budget: self.policy.budget,
            probe: permit.probe,
            dry_run: self.policy.dry_run,
        };
        let mut emit = forgotten(state, case.now);
        emit.push(Emit { data: started.into(), incident: case.incident() });
        if self.policy.dry_run {
            let complete = RemediationComplete { dry_run: true, ..case.ended(Ending::Success) };
            emit.push(Emit { data: complete.into(), incident: case.incident() });
            return Decision { emit, timers: Vec::new(), then: Then::Acknowledge };
        }
        let act = Effect::Act { action: plan.action.clone(), target: plan.target.clone() };
        Decision { emit, timers: Vec::new(), then: Then::Perform(act) }
    }

    /// The answer to the action, or the look of somebody who took the plan over.
    fn under_intent(
        &self,
        case: &Case<'_>,
        intent: &Intent,
        attempt: u32,
        outcome: Outcome,
    ) -> Decision<Effect> {
        match outcome {
            Outcome::Done { took, run_started_at } => {
                let complete = RemediationComplete {
                    duration_ms: Some(millis(took)),
                    run_started_at,
                    ..case.ended(Ending::Success)
                };
                self.done(case, complete)
            }
            Outcome::Failed { error } => case.end(Ending::Failed { error }),
            Outcome::Gone => case.end(gone()),
            Outcome::Unclear { .. } => Decision::perform(look_at(intent)),
            Outcome::Unreachable { error } if TRIES_MAX <= attempt => {
                let detail = format!("{NO_WORD}{error}");
                case.end(Ending::Unknown { detail })
            }
            Outcome::Unreachable { .. } => retry(LOOK_AGAIN),
            Outcome::Seen(seen) if restarted(&seen.inspection, intent.run_started_at) => {
                let run_started_at = seen.inspection.started_at;
                self.done(case, RemediationComplete { run_started_at, ..case.ended(Ending::Success) })
            }
            Outcome::Seen(seen) => {
                // The engine may still be at it: a second restart behind a first one would be one too many.
                let under_way = (intent.at + restart_takes(&intent.action)).since(case.now);
                if !under_way.is_zero() {
                    return retry(under_way);
                }
                if let Some(detail) = moot(&seen.inspection, &case.needed.kinds) {
                    return case.end(Ending::NotApplicable { detail });
                }
                if case.needed.plan.expires_at <= case.now {
                    let detail = "the action had begun and was not done before the plan expired".to_owned();
                    return case.end(Ending::NotApplicable { detail });
                }
                Decision::perform(Effect::Act {
                    action: intent.action.clone(),
                    target: intent.target.clone(),
                })
            }
        }
    }

    fn done(&self, case: &Case<'_>, complete: RemediationComplete) -> Decision<Effect> {
        let timer = self.verify_at(case.subject, case.event.envelope.id, case.now);
        Decision::emit(complete, case.incident()).with_timer(timer)
    }

    /// The look at the end of the stabilisation window of an action that was done at `done_at`.
    fn verify_at(&self, subject: &Subject, plan: EventId, done_at: Timestamp) -> Timer {
        let due = done_at + self.policy.stabilise;
        Timer { subject: subject.clone(), name: VERIFY.to_owned(), cause: plan, due }
    }
}

/// The intent under which this very plan was begun.
fn own_intent<'a>(case: &Case<'_>, state: &'a State) -> Option<&'a Intent> {
    state.intent.as_ref().filter(|intent| intent.plan == case.event.envelope.id)
}

/// A look at the target of an action, with figures where the symptoms were figures.
fn look_at(intent: &Intent) -> Effect {
    use hemostat_event::AnomalyKind::{HighCpu, HighMemory, HighPids};
    let figures = intent.kinds.iter().any(|kind| matches!(kind, HighCpu | HighMemory | HighPids));
    Effect::Inspect { target: intent.target.clone(), figures }
}

fn restart_takes(action: &Action) -> Duration {
    let stop = match action {
        Action::Restart { stop_timeout_secs: Some(seconds) } => Duration::from_secs(u64::from(*seconds)),
        _ => STOP_TIMEOUT_DEFAULT,
    };
    stop + RESTART_SLACK
}

fn gone() -> Ending {
    Ending::NotApplicable { detail: GONE.to_owned() }
}

fn retry(after: Duration) -> Decision<Effect> {
    Decision { emit: Vec::new(), timers: Vec::new(), then: Then::Retry(Some(after)) }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

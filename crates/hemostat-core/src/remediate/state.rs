//! What the responder remembers of a container: the fold of its own events.

use std::collections::VecDeque;

use hemostat_event::{
    Action, AnomalyKind, ContainerId, ContainerRef, Data, Event, EventId, IncidentId, Outcome, Timestamp,
    Verification,
};
use serde::{Deserialize, Serialize};

use super::policy::STARTS_MAX;

/// What the responder remembers of a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Starts of actions, oldest first.
    starts: VecDeque<Start>,
    /// The action that has begun and has no outcome yet.
    pub(super) intent: Option<Intent>,
    /// The action that was done and has no verdict yet.
    pub(super) unverified: Option<Unverified>,
    /// Plans that have their outcome, the latest last.
    ended: VecDeque<EventId>,
    /// Actions in a row that did not help.
    pub(super) failures: u32,
    /// When the last of them was found not to have helped.
    pub(super) last_failure_at: Option<Timestamp>,
}

/// Ended plans remembered per container: as many as may be acknowledged while an older one is not, and so come again
/// when the group is lost.
const ENDED_MAX: usize = 32;

/// One start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Start {
    at: Timestamp,
    dry_run: bool,
}

/// An action that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Intent {
    pub(super) plan: EventId,
    pub(super) container: ContainerRef,
    pub(super) action: Action,
    pub(super) target: ContainerId,
    #[serde(default)]
    pub(super) kinds: Vec<AnomalyKind>,
    pub(super) incident: Option<IncidentId>,
    pub(super) at: Timestamp,
    /// Start of the run that it replaces, by the engine's clock.
    pub(super) run_started_at: Option<Timestamp>,
}

/// An action that was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Unverified {
    pub(super) intent: Intent,
    /// Start of the run that followed, by the engine's clock.
    pub(super) run_started_at: Option<Timestamp>,
    pub(super) done_at: Timestamp,
}

impl State {
    /// Starts of real actions, or of those of a dry run, oldest first. The two do not count against each other: a
    /// dry run shows what a real run would have done.
    pub(super) fn starts(&self, dry_run: bool) -> Vec<Timestamp> {
        self.starts.iter().filter(|start| start.dry_run == dry_run).map(|start| start.at).collect()
    }

    /// Whether this plan was begun and has no outcome yet.
    #[must_use]
    pub fn is_under_way(&self, plan: EventId) -> bool {
        self.intent.as_ref().is_some_and(|intent| intent.plan == plan)
    }

    /// Whether a plan has its outcome.
    pub(super) fn has_ended(&self, plan: EventId) -> bool {
        self.ended.contains(&plan)
    }
}

/// Takes in one event that the responder wrote. Holds no rule: `decide` has already spoken.
pub(super) fn fold(state: &mut State, event: &Event) {
    let time = event.envelope.time;
    match &event.data {
        Data::RemediationStarted(started) => {
            state.starts.push_back(Start { at: time, dry_run: started.dry_run });
            // Twice the bound of one kind, because real and dry starts share the list.
            if 2 * STARTS_MAX < state.starts.len() {
                state.starts.pop_front();
            }
            state.intent = Some(Intent {
                plan: started.plan,
                container: started.container.clone(),
                action: started.action.clone(),
                target: started.target.clone(),
                kinds: started.kinds.clone(),
                incident: event.envelope.incident,
                at: time,
                run_started_at: started.run_started_at,
            });
        }
        Data::RemediationComplete(complete) => {
            state.ended.push_back(complete.plan);
            if ENDED_MAX < state.ended.len() {
                state.ended.pop_front();
            }
            // Without an intent nothing was begun: a refusal changes nothing else.
            let Some(intent) = state.intent.take_if(|intent| intent.plan == complete.plan) else { return };
            if complete.dry_run {
                return;
            }
            match &complete.outcome {
                Outcome::Success => {
                    let run_started_at = complete.run_started_at;
                    state.unverified = Some(Unverified { intent, run_started_at, done_at: time });
                }
                Outcome::Failed { .. } | Outcome::Unknown { .. } => state.failed(time),
                Outcome::Rejected { .. } | Outcome::NotApplicable { .. } => {}
            }
        }
        Data::RemediationVerified(verified) => {
            if state.unverified.take_if(|done| done.intent.plan == verified.plan).is_none() {
                return;
            }
            match verified.verdict {
                Verification::Verified => {
                    state.failures = 0;
                    state.last_failure_at = None;
                }
                Verification::NotFixed => state.failed(time),
                // Missing data is neither a success nor a failure.
                Verification::Unknown => {}
            }
        }
        _ => {}
    }
}

impl State {
    fn failed(&mut self, at: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.last_failure_at = Some(at);
    }
}

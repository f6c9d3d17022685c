//! How far an incident has come.

use hemostat_event::{ActionKind, Data, EventId, Outcome, Recovery, Verification};
use serde::Serialize;

/// How far an incident has come, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Sick, and nothing is decided yet.
    #[default]
    Open,
    /// Sick, but nothing has to be done: a spike, or the engine is already at it.
    Dismissed,
    /// A plan waits for the responder.
    Planned,
    /// The responder acts on it.
    Acting,
    /// Acted on; whether it helped is not yet known.
    Verifying,
    /// The repair worked; the symptoms are not gone yet.
    Verified,
    /// The repair did not work.
    NotFixed,
    /// Whether the action was done, or helped, cannot be told.
    Unknown,
    /// The engine did not do it.
    Failed,
    /// The policy did not allow the action.
    Rejected,
    /// Only a rehearsal: nothing was really done.
    DryRun,
    /// A person has to look.
    Escalated,
    /// Over: every symptom is gone.
    Recovered,
    /// Over: a person stopped the container.
    Stopped,
    /// Over: the container is gone.
    Removed,
}

impl Status {
    /// Whether the incident is over.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Recovered | Self::Stopped | Self::Removed)
    }
}

/// What is known of the work on an incident.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Progress {
    status: Status,
    /// The plan that is being carried out or verified. Until it is done, nothing about another one counts.
    at_work: Option<EventId>,
    has_plan: bool,
}

impl Progress {
    pub(super) const fn status(&self) -> Status {
        self.status
    }

    /// Whether anything was ever planned.
    pub(super) const fn has_plan(&self) -> bool {
        self.has_plan
    }

    pub(super) fn take_in(&mut self, data: &Data) {
        match data {
            Data::HealthRecovered(recovered) => {
                self.status = match recovered.reason {
                    Recovery::Cleared => Status::Recovered,
                    Recovery::Stopped => Status::Stopped,
                    Recovery::Removed => Status::Removed,
                };
            }
            Data::RemediationNeeded(needed) => {
                self.has_plan = true;
                self.reach(match needed.plan.action.kind() {
                    ActionKind::Escalate => Status::Escalated,
                    _ => Status::Planned,
                });
            }
            Data::HealthAlert(_) => self.reach(Status::Open),
            Data::FalseAlarm(_) => self.reach(Status::Dismissed),
            Data::RemediationStarted(started) => {
                self.at_work = Some(started.plan);
                self.set(Status::Acting);
            }
            Data::RemediationComplete(done) => {
                let status = match (&done.outcome, done.action.kind()) {
                    // Whatever became of handing it over, it is a person's.
                    (_, ActionKind::Escalate) => Status::Escalated,
                    (Outcome::Success, _) if done.dry_run => Status::DryRun,
                    (Outcome::Success, _) => Status::Verifying,
                    (Outcome::Failed { .. }, _) => Status::Failed,
                    (Outcome::Rejected { .. }, _) => Status::Rejected,
                    (Outcome::NotApplicable { .. }, _) => Status::Dismissed,
                    (Outcome::Unknown { .. }, _) => Status::Unknown,
                };
                if self.at_work == Some(done.plan) && status != Status::Verifying {
                    self.at_work = None;
                }
                if self.at_work.is_none_or(|plan| plan == done.plan) {
                    self.set(status);
                }
            }
            Data::RemediationVerified(verified) => {
                self.at_work = None;
                self.set(match verified.verdict {
                    Verification::Verified => Status::Verified,
                    Verification::NotFixed => Status::NotFixed,
                    Verification::Unknown => Status::Unknown,
                });
            }
            _ => {}
        }
    }

    /// A step that matters only while nothing is being carried out.
    fn reach(&mut self, status: Status) {
        if self.at_work.is_none() {
            self.set(status);
        }
    }

    /// A verdict that comes after the end changes nothing: the end is what the container showed.
    fn set(&mut self, status: Status) {
        if !self.status.is_over() {
            self.status = status;
        }
    }
}

//! What the responder does: the intent, the outcome, and whether it helped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Action, ActionKind, AnomalyKind, ContainerId, ContainerRef, EventId, Health, RunState, Timestamp,
};

/// The intent, written before the engine is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemediationStarted {
    /// The container.
    pub container: ContainerRef,
    /// The plan that is being carried out: the id of its event.
    pub plan: EventId,
    /// The action with its parameters.
    pub action: Action,
    /// The engine's id of the target.
    pub target: ContainerId,
    /// The symptoms it is meant to end.
    #[serde(default)]
    pub kinds: Vec<AnomalyKind>,
    /// Start of the run that the action replaces, by the engine's clock: a later start shows that it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_started_at: Option<Timestamp>,
    /// 1 for the first action within the budget's window.
    pub attempt: u32,
    /// Actions the budget allows in its window.
    pub budget: u32,
    /// Whether this is the single probe of a half-open breaker.
    #[serde(default)]
    pub probe: bool,
    /// Nothing is really done.
    pub dry_run: bool,
}

/// How a plan ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RemediationComplete {
    /// The container.
    pub container: ContainerRef,
    /// The plan: the id of its event.
    pub plan: EventId,
    /// The action with its parameters.
    pub action: Action,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Nothing was really done.
    pub dry_run: bool,
    /// How long the action took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Start of the run that followed, by the engine's clock: a later start shows that it ended again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_started_at: Option<Timestamp>,
    /// The plan's reason.
    pub reason: String,
    /// The plan's confidence, 0 to 1.
    #[serde(with = "crate::figure::confidence")]
    #[schemars(with = "f64", range(min = 0, max = 1))]
    pub confidence: f64,
}

/// How a plan ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// The engine did it (or, in a dry run, would have been asked to).
    Success,
    /// The engine did not do it.
    Failed {
        /// What it answered.
        error: String,
    },
    /// The policy did not allow it.
    Rejected {
        /// Why not.
        rejection: Rejection,
        /// When it could be allowed again, in milliseconds from now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remaining_ms: Option<u64>,
    },
    /// There is nothing to do, or nothing to do it to.
    NotApplicable {
        /// Why not.
        detail: String,
    },
    /// It is not known whether the engine did it: the responder died in between and the engine cannot tell.
    Unknown {
        /// What was seen.
        detail: String,
    },
}

/// Why the policy did not allow an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// The last action is too recent.
    CooldownActive,
    /// As many actions as the window allows were taken.
    BudgetSpent,
    /// Too many actions in a row did not help.
    CircuitBreakerOpen,
    /// The container's mode does not allow it.
    ModeForbids,
    /// The confidence is below the threshold.
    ConfidenceTooLow,
    /// The plan is older than its expiry.
    PlanExpired,
    /// Another action on the container has not ended yet.
    ActionInProgress,
}

impl Rejection {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::CooldownActive,
        Self::BudgetSpent,
        Self::CircuitBreakerOpen,
        Self::ModeForbids,
        Self::ConfidenceTooLow,
        Self::PlanExpired,
        Self::ActionInProgress,
    ];

    /// The word used in logs, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CooldownActive => "cooldown_active",
            Self::BudgetSpent => "budget_spent",
            Self::CircuitBreakerOpen => "circuit_breaker_open",
            Self::ModeForbids => "mode_forbids",
            Self::ConfidenceTooLow => "confidence_too_low",
            Self::PlanExpired => "plan_expired",
            Self::ActionInProgress => "action_in_progress",
        }
    }
}

/// Whether a repair worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemediationVerified {
    /// The container.
    pub container: ContainerRef,
    /// The plan: the id of its event.
    pub plan: EventId,
    /// The kind of the action.
    pub action: ActionKind,
    /// What was found.
    pub verdict: Verification,
    /// What was seen, in words.
    pub detail: String,
    /// State of the container at the end of the window, where the engine answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
    /// Health at the end of the window, where the engine answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Time from the intent to this verdict, in milliseconds.
    pub elapsed_ms: u64,
}

/// What verification found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// It runs, is not unhealthy, and has not ended since the action.
    Verified,
    /// It is as sick as before.
    NotFixed,
    /// The engine could not be asked, or the container is gone or was replaced.
    Unknown,
}

impl Verification {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Verified, Self::NotFixed, Self::Unknown];
}

//! Limits how often one container may be acted on.
//!
//! Cooldown, budget, breaker and dry run are one policy: a function of the responder's state and `now`. The state is
//! a fold over the responder's own events and is committed with every intent by version, so ten replicas together
//! keep one budget.
//!
//! Invariant B-1: within any `window`, at most `budget` actions start on a container.
//!
//! Invariant B-2: after `failures` actions in a row that did not help, the next one is a single probe, and it comes
//! no earlier than the breaker's open time after the last failure.

use std::time::Duration;

use hemostat_event::{ContainerPolicy, Rejection, Timestamp};

use super::state::State;
use crate::detect;

/// When an action is allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Least time between the starts of two actions on a container.
    pub cooldown: Duration,
    /// Most actions on a container that start within the window.
    pub budget: u32,
    /// The window of the budget.
    pub window: Duration,
    /// What happens after actions that did not help.
    pub breaker: Breaker,
    /// Least confidence of a plan that is carried out, 0 to 1.
    pub confidence_min: f64,
    /// Time between an action and its verification.
    pub stabilise: Duration,
    /// At or above these a container is as sick as before the action.
    pub still_sick: StillSick,
    /// Decide and record, but touch nothing.
    pub dry_run: bool,
}

/// What happens after actions that did not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Actions in a row that did not help and open it.
    pub failures: u32,
    /// How long it stays open before a probe; doubled with every failed probe. Never shorter than twice the
    /// cooldown, because within the cooldown it would have no effect.
    pub open_for: Duration,
    /// Longest time it stays open.
    pub open_max: Duration,
}

/// Levels that count as sick when an action is verified, in percent of what the container may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StillSick {
    /// CPU.
    pub cpu_percent: f64,
    /// Working set.
    pub memory_percent: f64,
    /// Processes.
    pub pids_percent: f64,
}

impl From<&detect::Settings> for StillSick {
    /// The levels at which the alert would be raised again.
    fn from(detect: &detect::Settings) -> Self {
        Self {
            cpu_percent: detect.cpu.fire,
            memory_percent: detect.memory.fire,
            pids_percent: detect.pids.fire,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            // One hour and three per hour: the Python HemoStat's values, which operators know.
            cooldown: Duration::from_secs(3_600),
            budget: 3,
            window: Duration::from_secs(3_600),
            breaker: Breaker {
                failures: 3,
                open_for: Duration::from_secs(7_200),
                open_max: Duration::from_secs(21_600),
            },
            confidence_min: 0.7,
            // Longer than the first interval of a usual health check (30 s), so its first answer is in.
            stabilise: Duration::from_secs(60),
            still_sick: StillSick { cpu_percent: 85.0, memory_percent: 80.0, pids_percent: 90.0 },
            dry_run: false,
        }
    }
}

/// Upper bound of [`Policy::budget`]: starts are remembered up to this number.
pub(super) const STARTS_MAX: usize = 64;

impl Policy {
    /// What makes no sense, all of it.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.budget == 0 || STARTS_MAX < self.budget as usize {
            problems.push(format!("the budget must be between 1 and {STARTS_MAX} actions"));
        }
        if self.window.is_zero() {
            problems.push("the window of the budget must not be empty".to_owned());
        }
        if self.breaker.failures == 0 {
            problems.push("the breaker must allow at least one action that does not help".to_owned());
        }
        if !(0.0..=1.0).contains(&self.confidence_min) {
            problems.push("the least confidence must be between 0 and 1".to_owned());
        }
        problems
    }

    /// How long the breaker stays open after the last of `failures` actions in a row that did not help; `None` while
    /// it is closed.
    pub(super) fn open_for(&self, failures: u32, cooldown: Duration) -> Option<Duration> {
        let beyond = failures.checked_sub(self.breaker.failures)?;
        let first = self.breaker.open_for.max(cooldown.saturating_mul(2));
        // A cooldown that a container asks for may be longer than the breaker's usual maximum.
        let most = self.breaker.open_max.max(first);
        Some(first.saturating_mul(1 << beyond.min(16)).min(most))
    }
}

/// Why an action is not allowed. A refusal is an answer, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why not.
    pub rejection: Rejection,
    /// When it could be allowed again, where that depends on time only.
    pub until: Option<Timestamp>,
}

/// An allowed action's place in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// 1 for the first action within the window.
    pub attempt: u32,
    /// Whether it is the single probe of a half-open breaker.
    pub probe: bool,
}

/// Until when each part of the policy forbids an action on a container; absent where it does not, and in the past where
/// it does not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The cooldown.
    pub cooled: Option<Timestamp>,
    /// The budget.
    pub affordable: Option<Timestamp>,
    /// The breaker; it is half open from then on.
    pub closed: Option<Timestamp>,
}

/// How a container stands with the policy; `cooldown_secs` is what its labels ask for.
#[must_use]
pub fn standing(policy: &Policy, state: &State, cooldown_secs: Option<u64>) -> Standing {
    let cooldown = cooldown_secs.map_or(policy.cooldown, Duration::from_secs).max(policy.cooldown);
    let starts = state.starts(policy.dry_run);
    // The start that has to leave the window before another one fits.
    let blocking = starts.iter().rev().nth(policy.budget.saturating_sub(1) as usize);
    let open_for = policy.open_for(state.failures, cooldown);
    Standing {
        cooled: starts.last().map(|start| *start + cooldown),
        affordable: blocking.map(|start| *start + policy.window),
        closed: open_for.zip(state.last_failure_at).map(|(span, last)| last + span),
    }
}

/// Answers whether one more action on the container may start at `now`.
///
/// # Errors
/// The refusal that lasts longest, so that `until` is the time to ask again.
pub fn permit(
    policy: &Policy,
    state: &State,
    container: &ContainerPolicy,
    now: Timestamp,
) -> Result<Permit, Refusal> {
    let cooldown = container.cooldown_secs.map_or(policy.cooldown, Duration::from_secs).max(policy.cooldown);
    let starts = state.starts(policy.dry_run);
    let open_for = policy.open_for(state.failures, cooldown);
    let Standing { cooled, affordable, closed } = standing(policy, state, container.cooldown_secs);
    let refusals = [
        (cooled, Rejection::CooldownActive),
        (affordable, Rejection::BudgetSpent),
        (closed, Rejection::CircuitBreakerOpen),
    ];
    let longest = refusals
        .into_iter()
        .filter_map(|(until, rejection)| Some((until.filter(|until| now < *until)?, rejection)))
        .max_by_key(|(until, _)| *until);
    if let Some((until, rejection)) = longest {
        return Err(Refusal { rejection, until: Some(until) });
    }
    let within = starts.iter().filter(|start| now < **start + policy.window).count();
    Ok(Permit {
        attempt: u32::try_from(within).unwrap_or(u32::MAX).saturating_add(1),
        probe: open_for.is_some(),
    })
}

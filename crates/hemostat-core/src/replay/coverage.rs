//! Which rules a log has seen at work. A replay that finds no difference says nothing about the others.

use std::collections::BTreeMap;

use hemostat_event::{Data, Delivery, Outcome, Role};
use serde::Serialize;
use serde_json::Value;

/// What a role can come to, by the words of the log.
const RULES: [(Role, &[&str]); 3] = [
    (
        Role::Analyzer,
        &[
            "memory_limit",
            "memory_leak",
            "cpu_saturation",
            "application_error",
            "native_crash",
            "bad_command",
            "killed_from_outside",
            "intended_stop",
            "crash_loop",
            "unresponsive",
            "disk_full",
            "dependency",
            "process_leak",
            "transient_spike",
            "unknown",
        ],
    ),
    (
        Role::Responder,
        &[
            "started",
            "success",
            "failed",
            "not_applicable",
            "outcome_unknown",
            "cooldown_active",
            "budget_spent",
            "circuit_breaker_open",
            "mode_forbids",
            "confidence_too_low",
            "plan_expired",
            "action_in_progress",
            "verified",
            "not_fixed",
            "verdict_unknown",
        ],
    ),
    (Role::Alert, &["sent", "deduplicated", "failed"]),
];

/// How often each rule has decided when it was asked again. What could not be decided again exercises none.
#[derive(Debug, Clone, Default)]
pub struct Coverage(BTreeMap<(Role, String), u64>);

/// A rule, and how often it has decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exercised {
    /// Whose rule.
    pub role: Role,
    /// What it comes to.
    pub rule: String,
    /// How often.
    pub times: u64,
}

impl Coverage {
    pub(super) fn count<'a>(&mut self, role: Role, decided: impl IntoIterator<Item = &'a Data>) {
        for rule in decided.into_iter().filter_map(rule) {
            *self.0.entry((role, rule)).or_default() += 1;
        }
    }

    /// Adds what another log has seen.
    pub fn add(&mut self, other: &Self) {
        for (rule, times) in &other.0 {
            *self.0.entry(rule.clone()).or_default() += times;
        }
    }

    /// Every rule there is, those that never decided included.
    #[must_use]
    pub fn rules(&self) -> Vec<Exercised> {
        let mut counts = self.0.clone();
        for (role, rules) in RULES {
            for rule in rules {
                counts.entry((role, (*rule).to_owned())).or_default();
            }
        }
        counts.into_iter().map(|((role, rule), times)| Exercised { role, rule, times }).collect()
    }
}

/// The rule that came to this; `None` where it is no decision.
pub(super) fn rule(data: &Data) -> Option<String> {
    Some(match data {
        Data::RemediationNeeded(needed) => word(&needed.verdict.cause),
        Data::FalseAlarm(alarm) => word(&alarm.verdict.cause),
        Data::RemediationStarted(_) => "started".to_owned(),
        Data::RemediationComplete(complete) => match &complete.outcome {
            Outcome::Success => "success".to_owned(),
            Outcome::Failed { .. } => "failed".to_owned(),
            Outcome::Rejected { rejection, .. } => rejection.as_str().to_owned(),
            Outcome::NotApplicable { .. } => "not_applicable".to_owned(),
            Outcome::Unknown { .. } => "outcome_unknown".to_owned(),
        },
        Data::RemediationVerified(verified) => match word(&verified.verdict) {
            unknown if unknown == "unknown" => "verdict_unknown".to_owned(),
            verdict => verdict,
        },
        Data::Notification(notification) => match &notification.delivery {
            Delivery::Sent { .. } => "sent".to_owned(),
            Delivery::Deduplicated => "deduplicated".to_owned(),
            Delivery::Grouped { .. } => "grouped".to_owned(),
            Delivery::Failed { .. } => "failed".to_owned(),
        },
        _ => return None,
    })
}

/// The word by which the log knows a value.
fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => unreachable!("the log has a word for it, not {other:?}"),
    }
}

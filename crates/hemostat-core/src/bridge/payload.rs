//! The payload of a message: what an old agent would have said in its `data`.

use hemostat_event::{
    Action, AnomalyKind, Data, Event, FalseAlarm, HealthAlert, Mode, Outcome, Rejection, RemediationComplete,
    RemediationNeeded, Timestamp,
};
use serde_json::{Map, Value, json};

use super::OldChannel;
use super::words::{action, confidence, health, image, method, metrics, rounded, severity, threshold};

/// What an event alone does not tell of what the old agents said with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    /// The figures of the alert behind it.
    pub metrics: Map<String, Value>,
    /// Actions in a row that did not help.
    pub failures: u32,
    /// Actions that the budget allows.
    pub budget: u32,
}

/// What is said on which channel; nothing where the old agents would have said nothing.
pub(super) fn payload(event: &Event, context: &Context, now: Timestamp) -> Option<(OldChannel, Value)> {
    match &event.data {
        Data::HealthAlert(alert) => Some((OldChannel::HealthAlert, unhealthy(alert))),
        Data::RemediationNeeded(needed) => {
            may_be_carried_out(needed, now).then(|| (OldChannel::RemediationNeeded, request(needed, context)))
        }
        Data::RemediationComplete(done) => {
            outcome(done, context).map(|data| (OldChannel::RemediationComplete, data))
        }
        Data::FalseAlarm(alarm) => Some((OldChannel::FalseAlarm, nothing_to_do(alarm))),
        _ => None,
    }
}

/// Whether an old responder may hear of a plan: it does what it hears, whatever the container's labels say. It knows no
/// number of replicas, so it is not asked to scale.
fn may_be_carried_out(needed: &RemediationNeeded, now: Timestamp) -> bool {
    let plan = &needed.plan;
    let is_known = matches!(plan.action, Action::Restart { .. } | Action::Cleanup);
    is_known && plan.policy.mode == Mode::Auto && now < plan.expires_at
}

fn unhealthy(alert: &HealthAlert) -> Value {
    let sample = &alert.sample;
    json!({
        "container_id": alert.container.id.short(),
        "container_name": alert.container.name,
        "image": image(&alert.container.image),
        "status": sample.state.as_str(),
        "metrics": metrics(sample),
        "anomalies": anomalies(alert),
        "health_status": health(sample.health),
        "exit_code": exit_code(alert),
        "restart_count": sample.restart_count,
    })
}

/// The exit code of a run that has ended; 0 while one is under way.
pub(super) fn exit_code(alert: &HealthAlert) -> i64 {
    alert.sample.exit_code.unwrap_or(0)
}

/// The old monitor knows five kinds. A kill for memory is an exit to it, and a loop is many restarts; what it cannot see
/// at all keeps our word, in its form.
fn anomalies(alert: &HealthAlert) -> Vec<Value> {
    let has = |kind| alert.anomalies.iter().any(|anomaly| anomaly.kind == kind);
    let mut all = Vec::new();
    for anomaly in &alert.anomalies {
        let severity = severity(anomaly.severity);
        all.push(match anomaly.kind {
            AnomalyKind::HighCpu
            | AnomalyKind::HighMemory
            | AnomalyKind::HighPids
            | AnomalyKind::HighDisk => {
                json!({
                    "type": anomaly.kind.as_str(),
                    "severity": severity,
                    "threshold": threshold(anomaly.threshold.unwrap_or(0.0)),
                    "actual": rounded(anomaly.actual.unwrap_or(0.0)),
                })
            }
            AnomalyKind::UnhealthyStatus => {
                let status = health(alert.sample.health);
                json!({ "type": "unhealthy_status", "severity": severity, "status": status })
            }
            AnomalyKind::OomKilled if has(AnomalyKind::NonZeroExit) => continue,
            AnomalyKind::NonZeroExit | AnomalyKind::OomKilled => {
                let usual = if anomaly.kind == AnomalyKind::OomKilled { 137.0 } else { 1.0 };
                let code = alert.sample.exit_code.unwrap_or(anomaly.actual.unwrap_or(usual) as i64);
                json!({ "type": "non_zero_exit", "severity": severity, "exit_code": code })
            }
            AnomalyKind::RestartLoop => {
                let count = alert.sample.restart_count.max(u64::from(alert.deaths_recent));
                json!({ "type": "excessive_restarts", "severity": severity, "restart_count": count })
            }
        });
    }
    all
}

fn request(needed: &RemediationNeeded, context: &Context) -> Value {
    json!({
        "container": needed.container.name,
        "action": action(&needed.plan.action),
        "reason": needed.verdict.reason,
        "confidence": confidence(needed.verdict.confidence),
        "metrics": context.metrics,
        "analysis_method": method(&needed.verdict.basis),
    })
}

fn nothing_to_do(alarm: &FalseAlarm) -> Value {
    json!({
        "container": alarm.container.name,
        "reason": alarm.verdict.reason,
        "confidence": confidence(alarm.verdict.confidence),
        "analysis_method": method(&alarm.verdict.basis),
    })
}

/// How a plan ended. The old responder refuses for two reasons; a plan that was never to be carried out was never a
/// request to it.
fn outcome(done: &RemediationComplete, context: &Context) -> Option<Value> {
    let (name, action) = (&done.container.name, action(&done.action));
    let result = match &done.outcome {
        Outcome::Success => json!({
            "status": "success",
            "action": action,
            "container": name,
            "details": details(done, action),
        }),
        Outcome::Failed { error } => json!({ "status": "failed", "error": error }),
        // It knows two ends, and this is not the good one.
        Outcome::Unknown { detail } => {
            json!({ "status": "failed", "error": format!("it is not known whether it was done: {detail}") })
        }
        Outcome::NotApplicable { detail } => json!({
            "status": "not_applicable",
            "action": action,
            "container": name,
            "details": detail,
        }),
        Outcome::Rejected { rejection, remaining_ms } => {
            return refusal(*rejection, *remaining_ms, context).map(|result| {
                json!({
                    "container": name,
                    "action": action,
                    "result": result,
                    "confidence": confidence(done.confidence),
                })
            });
        }
    };
    Some(json!({
        "container": name,
        "action": action,
        "result": result,
        "dry_run": done.dry_run,
        "reason": done.reason,
        "confidence": confidence(done.confidence),
    }))
}

fn details(done: &RemediationComplete, action: &str) -> String {
    match (&done.action, done.dry_run) {
        (_, true) => format!("Dry-run simulation of {action}"),
        (Action::Restart { .. }, false) => "Container restarted and running".to_owned(),
        (_, false) => format!("{action} done"),
    }
}

fn refusal(rejection: Rejection, remaining_ms: Option<u64>, context: &Context) -> Option<Value> {
    let breaker = |retry_count: u32| json!({ "status": "rejected", "reason": "circuit_breaker_open", "retry_count": retry_count });
    match rejection {
        // Another action that is under way is the most recent one there can be.
        Rejection::CooldownActive | Rejection::ActionInProgress => Some(json!({
            "status": "rejected",
            "reason": "cooldown_active",
            "remaining_seconds": remaining_ms.unwrap_or(0) / 1_000,
        })),
        Rejection::CircuitBreakerOpen => Some(breaker(context.failures)),
        // `RESPONDER_MAX_RETRIES_PER_HOUR` is the old breaker's.
        Rejection::BudgetSpent => Some(breaker(context.budget)),
        Rejection::ModeForbids | Rejection::ConfidenceTooLow | Rejection::PlanExpired => None,
    }
}

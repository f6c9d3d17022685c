//! The rules, in the order in which they are asked; the first that knows an answer gives it.
//!
//! Confidences are those of the catalogue in detection.md section 7 (cross-checked there with the fault lists of
//! ITBench and AIOpsLab), except where a comment says otherwise. A confidence of 0.7 or more on a restart is an
//! answer to a hard fact or to a symptom that lasts, never to a single measurement.

mod deaths;
mod facts;
mod figures;

use hemostat_event::{Action, Basis, Cause, EvidenceKind, HealthAlert, RunState, Verdict};

use facts::Facts;

/// What the rules found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The root cause, how sure, and why.
    pub verdict: Verdict,
    /// What to do; nothing for a false alarm.
    pub action: Option<Action>,
}

/// A rule's answer before it is put into words for the log.
struct Answer {
    cause: Cause,
    confidence: f64,
    action: Option<Action>,
    reason: String,
    /// Kinds and evidence it rests on.
    cited: Vec<String>,
}

/// A rule: its name, as it stands in the verdict's basis, and what it knows.
type Rule = (&'static str, fn(&Facts<'_>) -> Option<Answer>);

const RULES: &[Rule] = &[
    ("paused", paused),
    // Deaths: the container lies, or dies again and again.
    ("ended_well", deaths::ended_well),
    ("bad_command", deaths::bad_command),
    ("oom_kill", deaths::oom_kill),
    ("engine_gave_up", deaths::engine_gave_up),
    ("restart_loop", deaths::restart_loop),
    ("engine_restarts_it", deaths::engine_restarts_it),
    ("native_crash", deaths::native_crash),
    ("killed_near_limit", deaths::killed_near_limit),
    ("killed_from_outside", deaths::killed_from_outside),
    ("application_exit", deaths::application_exit),
    // It runs.
    ("still_starting", figures::still_starting),
    ("failed_health_check", figures::failed_health_check),
    ("memory_leak", figures::memory_leak),
    ("child_killed_for_memory", figures::child_killed_for_memory),
    ("memory_near_limit", figures::memory_near_limit),
    ("transient_spike", figures::transient_spike),
    ("sustained_cpu", figures::sustained_cpu),
    ("process_leak", figures::process_leak),
    ("disk_full", figures::disk_full),
    // A death that is over.
    ("runs_again", deaths::runs_again),
];

/// Finds the root cause of an alert. `plans` restarts were planned in its incident before, of at most `plans_max`.
#[must_use]
pub fn find(alert: &HealthAlert, plans: u32, plans_max: u32) -> Finding {
    let facts = Facts { alert, plans };
    let known = RULES.iter().find_map(|(name, rule)| Some((*name, rule(&facts)?)));
    let (name, answer) = known.unwrap_or_else(|| ("no_rule", unknown(&facts)));
    let answer = refine(&facts, answer);
    let (name, answer) = limit(name, answer, plans, plans_max);
    Finding {
        verdict: Verdict {
            cause: answer.cause,
            confidence: answer.confidence,
            basis: Basis::Rule { rule: name.to_owned() },
            cited: answer.cited,
            reason: answer.reason,
        },
        action: answer.action,
    }
}

/// Frozen by a person: whatever it shows is of before.
fn paused(facts: &Facts<'_>) -> Option<Answer> {
    (facts.alert.sample.state == RunState::Paused).then(|| Answer {
        cause: Cause::IntendedStop,
        confidence: 0.95,
        action: None,
        reason: "the container is paused; a person did that".to_owned(),
        cited: facts.all_kinds(),
    })
}

fn unknown(facts: &Facts<'_>) -> Answer {
    Answer {
        cause: Cause::Unknown,
        confidence: 0.5,
        action: Some(Action::Escalate),
        reason: "no rule knows this combination of symptoms".to_owned(),
        cited: facts.all_kinds(),
    }
}

/// Actions that were planned and did not end the incident are not planned for ever.
fn limit(name: &'static str, answer: Answer, plans: u32, plans_max: u32) -> (&'static str, Answer) {
    let acts = answer.action.as_ref().is_some_and(|action| *action != Action::Escalate);
    if !acts || plans < plans_max {
        return (name, answer);
    }
    let reason = format!(
        "{plans} restarts were planned in this incident and it is not over, so a person has to look; {}",
        answer.reason
    );
    ("restarts_did_not_help", Answer { action: Some(Action::Escalate), reason, ..answer })
}

/// Lines in a log that name a cause behind a cause. They change the cause and what is cited, never the action: a log
/// line is not a fact. But they lower the confidence in the action, because a restart does not touch such a cause.
const LINES: &[(&str, Cause)] = &[
    ("no space left on device", Cause::DiskFull),
    ("connection refused", Cause::Dependency),
    ("no such host", Cause::Dependency),
    ("name or service not known", Cause::Dependency),
    ("temporary failure in name resolution", Cause::Dependency),
];
/// An ended process can only come back by a start, so there it stays above the usual threshold of 0.7; a process that
/// lives and waits for something else is better left alone. Both are ours.
const BEHIND_A_DEATH: f64 = 0.75;
const BEHIND_A_LIVING: f64 = 0.65;

fn refine(facts: &Facts<'_>, mut answer: Answer) -> Answer {
    let most = match answer.cause {
        Cause::ApplicationError => BEHIND_A_DEATH,
        Cause::Unresponsive => BEHIND_A_LIVING,
        _ => return answer,
    };
    let Some(log) = facts.evidence(EvidenceKind::LogTail) else { return answer };
    let text = log.text.to_lowercase();
    if let Some((line, cause)) = LINES.iter().find(|(line, _)| text.contains(line)) {
        answer.cause = *cause;
        answer.confidence = answer.confidence.min(most);
        answer.reason = format!("{}; its log says `{line}`", answer.reason);
        if !answer.cited.contains(&log.id) {
            answer.cited.push(log.id.clone());
        }
    }
    answer
}

//! What of the log is news for people, and how it is said.

use std::borrow::Cow;
use std::time::Duration;

use hemostat_event::{
    ActionKind, AnomalyKind, Data, DeadLetter, Event, HealthRecovered, NotificationKind, Outcome, Recovery,
    Rejection, RemediationComplete, RemediationVerified, Role, Severity, Subject, Verification,
};

use super::words::{lower, sentence, span};

/// A piece of news.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct News {
    pub(super) kind: NotificationKind,
    /// What tells apart news of one kind that must not swallow each other: an open breaker is not one more cooldown.
    detail: Option<Cow<'static, str>>,
    pub(super) severity: Severity,
    /// One line: container, what happened.
    pub(super) title: String,
    /// One or two sentences.
    pub(super) text: String,
    /// Name and value of what else there is to know; at most six.
    pub(super) facts: Vec<(&'static str, String)>,
}

impl News {
    /// What is news about `event`; `None` when nobody has to know.
    pub(super) fn of(subject: &Subject, event: &Event) -> Option<Self> {
        let name = event.data.container().map_or_else(|| subject.name(), |container| container.name.as_str());
        match &event.data {
            Data::RemediationComplete(complete) => completed(name, complete),
            Data::RemediationVerified(verified) => Some(verdict(name, verified)),
            Data::HealthRecovered(recovered) => Some(recovery(name, recovered)),
            Data::DeadLetter(letter) => dead(letter),
            _ => None,
        }
    }

    /// Container, kind and detail: `host/web/remediation_rejected/budget_spent`.
    pub(super) fn topic(&self, subject: &Subject) -> String {
        let kind = self.kind.as_str();
        match &self.detail {
            Some(detail) => format!("{subject}/{kind}/{detail}"),
            None => format!("{subject}/{kind}"),
        }
    }

    fn new(kind: NotificationKind, severity: Severity, title: String, text: String) -> Self {
        Self { kind, detail: None, severity, title, text, facts: Vec::new() }
    }

    fn apart(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.facts.push((name, value.into()));
        self
    }
}

fn completed(name: &str, complete: &RemediationComplete) -> Option<News> {
    use NotificationKind::{Escalation, NotFixed, Remediated, RemediationFailed, RemediationRejected};
    let kind = complete.action.kind();
    let reason = sentence(&complete.reason);
    let (done, word) = (done(kind), kind.as_str());
    let news = match &complete.outcome {
        _ if kind == ActionKind::Escalate => {
            let text = format!("{reason} HemoStat does not act on it.");
            News::new(Escalation, Severity::High, format!("{name} needs a person"), text)
        }
        Outcome::Success if complete.dry_run => {
            let text = format!("{reason} This is a dry run: the container was not touched.");
            News::new(Remediated, Severity::Warning, format!("{name} would have been {done}"), text)
        }
        Outcome::Success => {
            let text = format!("{reason} Whether it helped is checked next.");
            News::new(Remediated, Severity::Warning, format!("{name} was {done}"), text)
        }
        Outcome::Failed { error } => {
            let text = format!("{} The reason to act: {}", sentence(error), lower(&reason));
            News::new(RemediationFailed, Severity::High, format!("{word} of {name} failed"), text)
        }
        Outcome::Rejected { rejection: Rejection::ModeForbids, .. } => {
            let text = format!("{reason} HemoStat proposes to {word} it; its mode leaves that to you.");
            News::new(Escalation, Severity::High, format!("{name} needs a person"), text)
                .apart(Rejection::ModeForbids.as_str())
        }
        Outcome::Rejected { rejection, remaining_ms } => {
            let left = remaining_ms.map(|left| span(Duration::from_millis(left)));
            let again = left.map_or_else(String::new, |left| format!(" It is possible again in {left}."));
            let (severity, why) = refusal(*rejection);
            let title = format!("{name} was not {done}: {}", rejection.as_str().replace('_', " "));
            News::new(RemediationRejected, severity, title, format!("{reason} {why}{again}"))
                .apart(rejection.as_str())
        }
        Outcome::Unknown { detail } => {
            let text = format!("{} Please look at the container.", sentence(detail));
            News::new(NotFixed, Severity::High, format!("nobody knows whether {name} was {done}"), text)
                .apart("outcome_unknown")
        }
        // The container mended itself, or a person was there first: there is nothing to do for anybody.
        Outcome::NotApplicable { .. } => return None,
    };
    let action = if complete.dry_run { format!("{word} (dry run)") } else { word.to_owned() };
    let confidence = format!("{:.0} %", complete.confidence.clamp(0.0, 1.0) * 100.0);
    let news = news.with("Action", action).with("Confidence", confidence);
    Some(match complete.duration_ms {
        Some(took) => news.with("Took", span(Duration::from_millis(took))),
        None => news,
    })
}

fn verdict(name: &str, verified: &RemediationVerified) -> News {
    use NotificationKind::{NotFixed, Verified};
    let word = verified.action.as_str();
    let detail = sentence(&verified.detail);
    let news = match verified.verdict {
        Verification::Verified => {
            News::new(Verified, Severity::Info, format!("{name} is well after a {word}"), detail)
        }
        Verification::NotFixed => {
            News::new(NotFixed, Severity::High, format!("a {word} did not help {name}"), detail)
        }
        Verification::Unknown => {
            let title = format!("nobody knows whether a {word} helped {name}");
            News::new(NotFixed, Severity::Warning, title, detail).apart("unknown")
        }
    };
    news.with("Action", word).with("After", span(Duration::from_millis(verified.elapsed_ms)))
}

fn recovery(name: &str, recovered: &HealthRecovered) -> News {
    let (title, text) = match recovered.reason {
        Recovery::Cleared => (format!("{name} has recovered"), "Its symptoms are gone."),
        Recovery::Stopped => (format!("{name} was stopped"), "A person stopped it, so the incident is over."),
        Recovery::Removed => {
            (format!("{name} was removed"), "The container is gone, so the incident is over.")
        }
    };
    let news = News::new(NotificationKind::Recovered, Severity::Info, title, text.to_owned())
        .with("Lasted", span(Duration::from_millis(recovered.lasted_ms)));
    let kinds: Vec<_> = recovered.kinds.iter().copied().map(AnomalyKind::as_str).collect();
    if kinds.is_empty() { news } else { news.with("Symptoms", kinds.join(", ")) }
}

fn dead(letter: &DeadLetter) -> Option<News> {
    // That somebody could not be told cannot be told (N-3); the log and the metrics show it.
    if letter.group == Role::Alert && letter.event.is_some() {
        return None;
    }
    let errors = letter.errors.join(": ");
    let text = format!(
        "{} Tries: {}. It is kept as a dead letter, and nothing more happens about it.",
        sentence(if errors.is_empty() { "no error was recorded" } else { &errors }),
        letter.attempts
    );
    // Letters name no container, but an incident is one container's.
    let what = letter.incident.map_or_else(|| letter.stream.clone(), |incident| incident.to_string());
    let title = format!("the {} could not handle an event", letter.group);
    let news = News::new(NotificationKind::DeadLetter, Severity::High, title, text)
        .apart(format!("{}/{what}", letter.group))
        .with("Stream", letter.stream.clone())
        .with("Entry", letter.entry.clone());
    Some(news)
}

/// The action as something that was done: "web was …".
fn done(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Restart => "restarted",
        ActionKind::Scale => "scaled",
        ActionKind::Cleanup => "cleaned up",
        ActionKind::Exec => "given a command",
        ActionKind::Escalate => "handed to a person",
    }
}

/// How bad a rejection is, and the sentence that explains it.
fn refusal(rejection: Rejection) -> (Severity, &'static str) {
    match rejection {
        Rejection::CooldownActive => (Severity::Warning, "The last action on it is too recent."),
        Rejection::BudgetSpent => (Severity::High, "It has had as many actions as its budget allows."),
        Rejection::CircuitBreakerOpen => (Severity::High, "Too many actions in a row did not help it."),
        Rejection::ModeForbids => (Severity::High, "Its mode does not allow it."),
        Rejection::ConfidenceTooLow => (Severity::High, "HemoStat is not sure enough to act."),
        Rejection::PlanExpired => (Severity::Warning, "The plan had grown too old."),
        Rejection::ActionInProgress => (Severity::Warning, "Another action on it has not ended yet."),
    }
}

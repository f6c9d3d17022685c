//! One event of each type.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::{
    Action, ActionKind, Actor, Anomaly, AnomalyKind, Basis, Cause, Change, Channel, Command,
    ContainerChanged, ContainerId, ContainerPolicy, ContainerRef, Data, DeadLetter, Delivery, Diagnosis,
    Envelope, Event, EventId, Evidence, FalseAlarm, HealthAlert, HealthRecovered, HostName, IncidentId,
    Notification, NotificationKind, OperatorCommand, Outcome, Plan, Recovery, RemediationComplete,
    RemediationNeeded, RemediationStarted, RemediationVerified, Role, Sample, Severity, Source, Subject,
    Timestamp, Verdict, Verification,
};

pub(in crate::project) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(seconds)
}

pub(in crate::project) fn subject() -> Subject {
    "h1/web".parse().unwrap()
}

pub(in crate::project) fn incident(number: u64) -> IncidentId {
    IncidentId::opened(&subject(), at(number))
}

pub(in crate::project) fn id(number: u64) -> EventId {
    EventId::observed(&subject(), Role::Analyzer, at(number), 0)
}

pub(in crate::project) fn container() -> ContainerRef {
    ContainerRef {
        id: ContainerId::new("ab".repeat(32)).unwrap(),
        name: "web".into(),
        image: "nginx".into(),
        project: None,
        service: None,
    }
}

pub(in crate::project) fn event(number: u64, data: Data) -> Event {
    Event {
        envelope: Envelope {
            id: EventId::observed(&subject(), Role::Monitor, at(number), 0),
            source: Source { role: Role::Monitor, instance: "m1".into() },
            time: at(number),
            host: HostName::new("h1").unwrap(),
            subject: Some(subject()),
            incident: None,
            cause: None,
            traceparent: None,
        },
        data,
    }
}

pub(in crate::project) fn changed(change: Change) -> ContainerChanged {
    ContainerChanged { container: container(), change, by: Actor::Engine, at: at(0) }
}

pub(in crate::project) fn alert(severity: Severity, kinds: &[AnomalyKind]) -> HealthAlert {
    let anomaly = |kind: &AnomalyKind| Anomaly {
        kind: *kind,
        severity,
        actual: None,
        threshold: None,
        since: at(1),
        detail: format!("about {}", kind.as_str()),
    };
    HealthAlert {
        container: container(),
        severity,
        anomalies: kinds.iter().map(anomaly).collect(),
        sample: Sample::default(),
        opened_at: at(1),
        engine_event_at: None,
        deaths_recent: 1,
        engine_restarts: false,
        evidence: Evidence::default(),
        policy: ContainerPolicy::default(),
    }
}

pub(in crate::project) fn recovered(reason: Recovery) -> HealthRecovered {
    let kinds = vec![AnomalyKind::NonZeroExit];
    HealthRecovered { container: container(), kinds, reason, opened_at: at(1), lasted_ms: 63_000 }
}

pub(in crate::project) fn restart() -> Action {
    Action::Restart { stop_timeout_secs: None }
}

pub(in crate::project) fn verdict(cause: Cause) -> Verdict {
    let basis = Basis::Rule { rule: "rule".into() };
    Verdict { cause, confidence: 0.9, basis, cited: vec![], reason: "because".into() }
}

pub(in crate::project) fn needed(action: Action, cause: Cause) -> RemediationNeeded {
    let plan =
        Plan { action, target: container().id, policy: ContainerPolicy::default(), expires_at: at(300) };
    RemediationNeeded {
        container: container(),
        plan,
        severity: Severity::High,
        kinds: vec![AnomalyKind::NonZeroExit],
        verdict: verdict(cause),
    }
}

pub(in crate::project) fn false_alarm(cause: Cause) -> FalseAlarm {
    FalseAlarm { container: container(), kinds: vec![], verdict: verdict(cause) }
}

pub(in crate::project) fn started(plan: EventId, dry_run: bool) -> RemediationStarted {
    RemediationStarted {
        container: container(),
        plan,
        action: restart(),
        target: container().id,
        kinds: vec![],
        run_started_at: None,
        attempt: 1,
        budget: 3,
        probe: false,
        dry_run,
    }
}

pub(in crate::project) fn complete(plan: EventId, outcome: Outcome, dry_run: bool) -> RemediationComplete {
    let acted = matches!(outcome, Outcome::Success | Outcome::Failed { .. });
    RemediationComplete {
        container: container(),
        plan,
        action: restart(),
        outcome,
        dry_run,
        duration_ms: acted.then_some(412),
        run_started_at: None,
        reason: "because".into(),
        confidence: 0.9,
    }
}

pub(in crate::project) fn verified(plan: EventId, verdict: Verification) -> RemediationVerified {
    RemediationVerified {
        container: container(),
        plan,
        action: ActionKind::Restart,
        verdict,
        detail: "it ended again".into(),
        state: None,
        health: None,
        elapsed_ms: 10_240,
    }
}

pub(in crate::project) fn diagnosis(explanation: &str) -> Diagnosis {
    Diagnosis {
        container: container(),
        provider: "openai".into(),
        model: "gpt".into(),
        cause: Cause::MemoryLeak,
        real_issue: true,
        action: Some(ActionKind::Restart),
        stated_confidence: 1.0,
        cited: vec![],
        explanation: explanation.into(),
        prompt_digest: String::new(),
        latency_ms: 1,
    }
}

pub(in crate::project) fn notification(delivery: Delivery) -> Notification {
    Notification {
        container: Some(container()),
        kind: NotificationKind::Remediated,
        channel: Channel::Slack,
        delivery,
        dedup_key: String::new(),
    }
}

pub(in crate::project) fn order(command: Command) -> OperatorCommand {
    OperatorCommand { command, by: "ada".into() }
}

pub(in crate::project) fn letter() -> DeadLetter {
    DeadLetter {
        stream: "health_alert".into(),
        entry: "17-0".into(),
        group: Role::Analyzer,
        event: None,
        incident: None,
        errors: vec!["cannot be read".into(), "not an event".into()],
        attempts: 5,
        original: BTreeMap::new(),
    }
}

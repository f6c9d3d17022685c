//! One realistic event of every type: an incident from the measurement to the message, and what stands beside it.
//! `schemas/v1/examples/` is written from here.

use hemostat_event::{
    Action, ActionKind, Actor, Anomaly, AnomalyKind, Basis, Cause, Change, Channel, Command,
    ContainerChanged, ContainerPolicy, ContainerRef, ContainerSample, Data, DeadLetter, Delivery, Diagnosis,
    Envelope, Event, EventId, EventType, Evidence, EvidenceItem, EvidenceKind, FalseAlarm, Health,
    HealthAlert, HealthRecovered, HostName, IncidentId, Mode, Notification, NotificationKind,
    OperatorCommand, Outcome, Plan, Recovery, RemediationComplete, RemediationNeeded, RemediationStarted,
    RemediationVerified, Role, RunState, Sample, Severity, Source, Subject, Timestamp, TraceParent,
    TrendPoint, Verdict, Verification,
};

/// The example of `kind`.
pub(crate) fn example(kind: EventType) -> Event {
    match kind {
        EventType::ContainerSample => {
            observed(0, ContainerSample { container: container(), sample: sample(), gap: None })
        }
        EventType::ContainerChanged => observed(
            500,
            ContainerChanged {
                container: container(),
                change: Change::OomKilled,
                by: Actor::Engine,
                at: at(500),
            },
        ),
        EventType::HealthAlert => observed(512, health_alert()),
        EventType::HealthRecovered => observed(
            92_040,
            HealthRecovered {
                container: container(),
                kinds: vec![AnomalyKind::HighMemory, AnomalyKind::OomKilled],
                reason: Recovery::Cleared,
                opened_at: at(512),
                lasted_ms: 91_528,
            },
        ),
        EventType::Diagnosis => caused(2_714, Role::Analyzer, alert_id(), diagnosis()),
        EventType::RemediationNeeded => caused(2_731, Role::Analyzer, alert_id(), plan()),
        EventType::FalseAlarm => caused(
            540,
            Role::Analyzer,
            alert_id(),
            FalseAlarm {
                container: container(),
                kinds: vec![AnomalyKind::HighCpu],
                verdict: Verdict {
                    cause: Cause::TransientSpike,
                    confidence: 0.8,
                    basis: Basis::Rule { rule: "cpu_spike".into() },
                    cited: vec!["high_cpu".into()],
                    reason: "CPU was above its level for one sample only".into(),
                },
            },
        ),
        EventType::RemediationStarted => caused(2_745, Role::Responder, plan_id(), started()),
        EventType::RemediationComplete => {
            caused(4_120, Role::Responder, plan_id(), complete(Outcome::Success))
        }
        EventType::RemediationVerified => caused(
            64_150,
            Role::Responder,
            plan_id(),
            RemediationVerified {
                container: container(),
                plan: plan_id(),
                action: ActionKind::Restart,
                verdict: Verification::Verified,
                detail: "running, healthy, not ended since the restart".into(),
                state: Some(RunState::Running),
                health: Some(Health::Healthy),
                elapsed_ms: 61_405,
            },
        ),
        EventType::Notification => caused(
            64_390,
            Role::Alert,
            id(Role::Responder, "remediation_verified"),
            notification(Delivery::Sent { attempt: 1 }),
        ),
        EventType::OperatorCommand => order(Command::Silence { target: subject(), until: at(3_600_000) }),
        EventType::DeadLetter => dead_letter(),
    }
}

/// An event with every optional attribute.
pub(crate) fn caused(ms: u64, role: Role, cause: EventId, data: impl Into<Data>) -> Event {
    let data = data.into();
    let step = data.event_type().to_string();
    Event {
        envelope: Envelope {
            id: EventId::derive(cause, role, &step, 0),
            source: Source { role, instance: format!("{role}-1") },
            time: at(ms),
            host: host(),
            subject: Some(subject()),
            incident: Some(IncidentId::opened(&subject(), at(512))),
            cause: Some(cause),
            traceparent: Some(
                TraceParent::new("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("valid"),
            ),
        },
        data,
    }
}

/// An event without a cause in the log.
pub(crate) fn observed(ms: u64, data: impl Into<Data>) -> Event {
    let data = data.into();
    let incident = match data.event_type() {
        EventType::HealthAlert | EventType::HealthRecovered => Some(IncidentId::opened(&subject(), at(512))),
        _ => None,
    };
    Event {
        envelope: Envelope {
            id: EventId::observed(&subject(), Role::Monitor, at(ms), 0),
            source: Source { role: Role::Monitor, instance: "monitor-1".into() },
            time: at(ms),
            host: host(),
            subject: Some(subject()),
            incident,
            cause: None,
            traceparent: None,
        },
        data,
    }
}

/// An order of a person.
pub(crate) fn order(command: Command) -> Event {
    Event {
        envelope: Envelope {
            id: EventId::observed(&subject(), Role::Operator, at(70_000), 0),
            source: Source { role: Role::Operator, instance: "cli".into() },
            time: at(70_000),
            host: host(),
            subject: None,
            incident: None,
            cause: None,
            traceparent: None,
        },
        data: OperatorCommand { command, by: "ada".into() }.into(),
    }
}

fn dead_letter() -> Event {
    let mut event = caused(
        80_000,
        Role::Analyzer,
        alert_id(),
        DeadLetter {
            stream: "health_alert".into(),
            entry: "1773480414101-0".into(),
            group: Role::Analyzer,
            event: None,
            incident: None,
            errors: vec!["`health_alert` has schema version 2; this version reads up to 1".into()],
            attempts: 1,
            original: [("event".to_owned(), "82a474797065ac6865616c74685f616c657274".to_owned())].into(),
        },
    );
    // What cannot be read has no container and no incident.
    event.envelope.subject = None;
    event.envelope.incident = None;
    event.envelope.cause = None;
    event.envelope.traceparent = None;
    event
}

/// Milliseconds after 2026-03-14T09:26:53.589793Z.
pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_micros(1_773_480_413_589_793) + std::time::Duration::from_millis(ms)
}

/// The host of all examples.
pub(crate) fn host() -> HostName {
    HostName::new("web-3").expect("valid")
}

/// The container of all examples.
pub(crate) fn subject() -> Subject {
    Subject::new(&host(), "shop-api-1").expect("valid")
}

/// The container of all examples, as people know it.
pub(crate) fn container() -> ContainerRef {
    ContainerRef {
        id: container_id(),
        name: "shop-api-1".into(),
        image: "shop/api:2.4.1".into(),
        project: Some("shop".into()),
        service: Some("api".into()),
    }
}

fn container_id() -> hemostat_event::ContainerId {
    hemostat_event::ContainerId::new("4f1d2c9ab07e5d3382a91c06ef7b40d1955e6c2a8f03b7d4e1c9a25f68037bde")
        .expect("valid")
}

/// What the labels of the container allow.
pub(crate) fn policy() -> ContainerPolicy {
    ContainerPolicy {
        mode: Mode::Auto,
        stop_timeout_secs: Some(20),
        cooldown_secs: Some(1_800),
        problems: vec!["hemostat.budget: `often` is not a budget; the default holds".into()],
    }
}

/// A measurement with every figure.
pub(crate) fn sample() -> Sample {
    Sample {
        state: RunState::Running,
        cpu_percent: Some(41.25),
        cpu_limit_cores: Some(1.5),
        cpu_usage_ns: Some(8_123_456_789_012),
        cpu_throttled_percent: Some(2.0),
        memory_bytes: Some(511_705_088),
        memory_limit_bytes: Some(536_870_912),
        memory_percent: Some(95.3125),
        network_rx_bytes: Some(734_003_200),
        network_tx_bytes: Some(1_288_490_188),
        block_read_bytes: Some(8_392_704),
        block_write_bytes: Some(0),
        pids: Some(23),
        pids_limit: Some(256),
        disk_writable_bytes: Some(12_582_912),
        restart_count: 1,
        health: Health::Healthy,
        health_failing_streak: 0,
        exit_code: Some(137),
        oom_killed: true,
        started_at: Some(at(0) - std::time::Duration::from_secs(5_400)),
        finished_at: Some(at(0) - std::time::Duration::from_secs(5_402)),
    }
}

/// An alert with every field.
pub(crate) fn health_alert() -> HealthAlert {
    HealthAlert {
        container: container(),
        severity: Severity::Critical,
        anomalies: vec![
            Anomaly {
                kind: AnomalyKind::HighMemory,
                severity: Severity::High,
                actual: Some(95.3125),
                threshold: Some(90.0),
                since: at(0),
                detail: "memory 95.3 % of the limit, level 90 %".into(),
            },
            Anomaly {
                kind: AnomalyKind::OomKilled,
                severity: Severity::Critical,
                actual: None,
                threshold: None,
                since: at(500),
                detail: "the kernel killed a process for memory".into(),
            },
        ],
        sample: sample(),
        opened_at: at(512),
        engine_event_at: Some(at(500)),
        deaths_recent: 1,
        engine_restarts: true,
        evidence: Evidence {
            items: vec![
                EvidenceItem {
                    id: "log".into(),
                    kind: EvidenceKind::LogTail,
                    text: "cache: 48213 entries, 471 MiB\nfatal: out of memory".into(),
                },
                EvidenceItem {
                    id: "change-1".into(),
                    kind: EvidenceKind::RecentChange,
                    text: "image changed from shop/api:2.4.0 to shop/api:2.4.1 two hours ago".into(),
                },
            ],
            trend: vec![
                TrendPoint { at: at(0), cpu_percent: Some(38.5), memory_bytes: Some(498_073_600) },
                TrendPoint { at: at(250), cpu_percent: None, memory_bytes: Some(511_705_088) },
            ],
            redactions: 1,
        },
        policy: policy(),
    }
}

/// The id of the alert.
pub(crate) fn alert_id() -> EventId {
    EventId::observed(&subject(), Role::Monitor, at(512), 0)
}

/// The id of the plan.
pub(crate) fn plan_id() -> EventId {
    EventId::derive(alert_id(), Role::Analyzer, "remediation_needed", 0)
}

fn id(role: Role, step: &str) -> EventId {
    EventId::derive(plan_id(), role, step, 0)
}

fn diagnosis() -> Diagnosis {
    Diagnosis {
        container: container(),
        provider: "local".into(),
        model: "small-8b".into(),
        cause: Cause::MemoryLeak,
        real_issue: true,
        action: Some(ActionKind::Restart),
        stated_confidence: 0.9,
        cited: vec!["log".into(), "oom_killed".into()],
        explanation: "the cache grows without bound since the last image change".into(),
        prompt_digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
        latency_ms: 2_190,
    }
}

/// A plan to restart.
pub(crate) fn plan() -> RemediationNeeded {
    RemediationNeeded {
        container: container(),
        plan: Plan { action: restart(), target: container_id(), policy: policy(), expires_at: at(602_731) },
        severity: Severity::Critical,
        kinds: vec![AnomalyKind::HighMemory, AnomalyKind::OomKilled],
        verdict: Verdict {
            cause: Cause::MemoryLimit,
            confidence: 0.95,
            basis: Basis::Rule { rule: "oom_killed".into() },
            cited: vec!["oom_killed".into(), "log".into()],
            reason: "the kernel killed it at its memory limit; memory had risen for an hour".into(),
        },
    }
}

/// The action of the plan.
pub(crate) fn restart() -> Action {
    Action::Restart { stop_timeout_secs: Some(20) }
}

/// The intent of the plan.
pub(crate) fn started() -> RemediationStarted {
    RemediationStarted {
        container: container(),
        plan: plan_id(),
        action: restart(),
        target: container_id(),
        kinds: vec![AnomalyKind::HighMemory, AnomalyKind::OomKilled],
        run_started_at: Some(at(0) - std::time::Duration::from_secs(5_400)),
        attempt: 1,
        budget: 3,
        probe: false,
        dry_run: false,
    }
}

/// The end of the plan.
pub(crate) fn complete(outcome: Outcome) -> RemediationComplete {
    let done = outcome == Outcome::Success;
    RemediationComplete {
        container: container(),
        plan: plan_id(),
        action: restart(),
        outcome,
        dry_run: false,
        duration_ms: done.then_some(1_371),
        run_started_at: done.then(|| at(4_101)),
        reason: "the kernel killed it at its memory limit; memory had risen for an hour".into(),
        confidence: 0.95,
    }
}

/// What people were told.
pub(crate) fn notification(delivery: Delivery) -> Notification {
    Notification {
        container: Some(container()),
        kind: NotificationKind::Verified,
        channel: Channel::Slack,
        delivery,
        dedup_key: "web-3/shop-api-1:verified".into(),
    }
}

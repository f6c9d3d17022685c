//! A stack with everything in it that metrics are about: a container that crashes and is healed, and beside it what a run
//! of a minute does not bring, as events of another host.

use std::time::Duration;

use hemostat_agent::log::{Membership, StreamName};
use hemostat_docker::testing::Lab;
use hemostat_event::{
    Action, AnomalyKind, Basis, Cause, Channel, ContainerId, ContainerRef, ContainerSample, Data, DeadLetter,
    Delivery, Event, EventId, EventType, FalseAlarm, Health, HostName, IncidentId, Notification,
    NotificationKind, Outcome, Rejection, RemediationComplete, Role, RunState, Sample, Source, Subject,
    Timestamp, Verdict,
};
use tempfile::TempDir;

use super::server::{Prometheus, address};
use crate::crashes::{container, crash, observed};
use crate::healing::{CRASH_ONCE, enabled, verified};
use crate::rig::{LIMIT, Process, Rig};

/// A Prometheus, and what it scrapes.
pub(super) struct Scene {
    pub(super) prometheus: Prometheus,
    rig: Rig,
    lab: Lab,
    _processes: Vec<Process>,
    _archive: TempDir,
}

impl Scene {
    /// Starts everything, and waits until Prometheus has seen it before anything happens.
    pub(super) async fn start() -> Self {
        let rig = Rig::start_with(&[
            ("appendonly", "yes"),
            ("maxmemory", "512mb"),
            ("maxmemory-policy", "noeviction"),
        ])
        .await;
        let lab = Lab::start().await.expect("a container engine");
        let archive = tempfile::tempdir().expect("a folder");
        let mut targets = Vec::new();
        let mut processes = Vec::new();
        for name in ["metrics", "monitor", "analyzer", "responder", "alert", "archiver", "bridge"] {
            let mut command = rig.command(&[name]);
            command
                .env("HEMOSTAT_METRICS_LISTEN", "127.0.0.1:0")
                .env("HEMOSTAT_LOG_FORMAT", "json")
                .env("HEMOSTAT_HOST", "test-host")
                .env("HEMOSTAT_MONITOR_INTERVAL", "1s")
                .env("HEMOSTAT_MONITOR_STABLE_FOR", "2s")
                .env("HEMOSTAT_MONITOR_CLEAR_AFTER", "2")
                .env("HEMOSTAT_RESPONDER_STABILISE", "2s");
            if name == "archiver" {
                crate::archiving::with_archive(&mut command, &archive);
            }
            let process = Process::start(&mut command);
            targets.push((name, address(&process)));
            processes.push(process);
        }
        let all_are_up = format!("count(up == 1) == {}", targets.len());
        let scene = Self {
            prometheus: Prometheus::start(&targets),
            rig,
            lab,
            _processes: processes,
            _archive: archive,
        };
        scene.lab.run("well", hemostat_docker::testing::IDLE, enabled).await.expect("a container");
        scene.prometheus.until(&all_are_up);
        scene.prometheus.until("hemostat_host_remediation_attempts_total{host=\"test-host\"} == 0");
        scene
    }

    /// What happens.
    pub(super) async fn play(&self) {
        self.elsewhere().await;
        self.lab.run("web", CRASH_ONCE, enabled).await.expect("a container");
        let name = self.lab.container_name("web");
        self.rig.until("the repair helped", LIMIT, |events| verified(events, &name)).await;
    }

    /// What happens on a host that has no responder: its plans wait.
    async fn elsewhere(&self) {
        let now = self.rig.log.now().await.expect("the log is there");
        let host = HostName::new("elsewhere").expect("a host");
        let membership = Membership {
            role: Role::Responder,
            consumer: "asleep".to_owned(),
            streams: vec![StreamName::Plans(host.clone())],
            batch: 1,
            block: Duration::from_secs(1),
            claim_after: LIMIT,
        };
        drop(self.rig.log.join(membership).await.expect("the group can be joined"));
        let subject = Subject::new(&host, "shop").expect("a subject");
        let incident = IncidentId::opened(&subject, now);
        let shop = ContainerRef {
            project: Some("shop".to_owned()),
            ..container(ContainerId::new("ab".repeat(32)).expect("an id"), "shop")
        };
        let alert = observed(subject.clone(), 0, incident, now, crash(shop.clone(), now));
        let measured = ContainerSample { container: shop.clone(), sample: everything(now), gap: None };
        let answers: [(Role, Data); 5] = [
            (Role::Responder, refused(shop.clone(), alert.envelope.id).into()),
            (Role::Analyzer, false_alarm(shop.clone()).into()),
            (Role::Alert, told(shop.clone(), Delivery::Deduplicated).into()),
            (Role::Alert, told(shop, Delivery::Failed { attempt: 3, error: "503".to_owned() }).into()),
            (Role::Analyzer, letter(&alert).into()),
        ];
        let mut events = vec![observed(subject.clone(), 1, incident, now, measured)];
        events.extend(answers.into_iter().enumerate().map(|(at, (role, data))| {
            let mut event = observed(subject.clone(), at + 2, incident, now, data);
            event.envelope.source = Source { role, instance: "test".to_owned() };
            event.envelope.cause = Some(alert.envelope.id);
            event
        }));
        events.insert(0, alert);
        self.rig.log.append(&events).await.expect("the log is there");
    }

    /// Takes the containers away.
    pub(super) async fn end(self) {
        self.lab.cleanup().await.expect("the lab is cleaned up");
    }
}

/// A measurement in which nothing is missing.
fn everything(now: Timestamp) -> Sample {
    Sample {
        state: RunState::Running,
        cpu_percent: Some(95.0),
        cpu_limit_cores: Some(2.0),
        cpu_usage_ns: Some(7_000_000_000),
        cpu_throttled_percent: Some(3.0),
        memory_bytes: Some(1 << 20),
        memory_limit_bytes: Some(1 << 21),
        memory_percent: Some(50.0),
        network_rx_bytes: Some(1),
        network_tx_bytes: Some(2),
        block_read_bytes: Some(3),
        block_write_bytes: Some(4),
        pids: Some(5),
        pids_limit: Some(6),
        disk_writable_bytes: Some(7),
        restart_count: 8,
        health: Health::Unhealthy,
        started_at: Some(now),
        ..Sample::default()
    }
}

fn refused(container: ContainerRef, plan: EventId) -> RemediationComplete {
    RemediationComplete {
        container,
        plan,
        action: Action::Restart { stop_timeout_secs: None },
        outcome: Outcome::Rejected { rejection: Rejection::CooldownActive, remaining_ms: Some(1_000) },
        dry_run: false,
        duration_ms: None,
        run_started_at: None,
        reason: "it crashed".to_owned(),
        confidence: 0.9,
    }
}

fn false_alarm(container: ContainerRef) -> FalseAlarm {
    let verdict = Verdict {
        cause: Cause::TransientSpike,
        confidence: 0.8,
        basis: Basis::Rule { rule: "spike".to_owned() },
        cited: Vec::new(),
        reason: "it passed".to_owned(),
    };
    FalseAlarm { container, kinds: vec![AnomalyKind::HighCpu], verdict }
}

fn told(container: ContainerRef, delivery: Delivery) -> Notification {
    let kind = NotificationKind::Escalation;
    Notification {
        container: Some(container),
        kind,
        channel: Channel::Slack,
        delivery,
        dedup_key: "elsewhere/shop:escalation".to_owned(),
    }
}

fn letter(alert: &Event) -> DeadLetter {
    DeadLetter {
        stream: EventType::HealthAlert.as_str().to_owned(),
        entry: "1-1".to_owned(),
        group: Role::Analyzer,
        event: Some(alert.envelope.id),
        incident: alert.envelope.incident,
        errors: vec!["it is too much".to_owned()],
        attempts: 7,
        original: std::collections::BTreeMap::new(),
    }
}

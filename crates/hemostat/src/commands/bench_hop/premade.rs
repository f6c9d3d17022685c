//! Alerts made beforehand, and what the analyzer will answer to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use hemostat_agent::log::{
    Commit, CommitInput, Entry, EntryId, EventLog, Membership, Partition, StateChange, StreamName, Versioned,
};
use hemostat_core::diagnose::{self, Analyzer};
use hemostat_core::role::{Decide as _, Input};
use hemostat_event::{
    Anomaly, AnomalyKind, ContainerId, ContainerPolicy, ContainerRef, Data, Envelope, Event, EventId,
    EventType, Evidence, EvidenceItem, EvidenceKind, HealthAlert, HostName, IncidentId, Mode, Role, RunState,
    Sample, Severity, Source, Subject, Timestamp,
};

use crate::exit::{Failure, OrFailure as _};

/// The host of every container here.
pub(in crate::commands) const HOST: &str = "bench";
/// Alerts in one append.
const BATCH: usize = 256;
/// Time between two alerts of a container.
const APART: Duration = Duration::from_secs(600);

pub(in crate::commands) fn host() -> HostName {
    HostName::new(HOST).expect("a plain word is a host name")
}

/// `count` alerts about `containers`, one after the other; each is an incident of its own, so that the limit of
/// plans per incident does not step in.
pub(in crate::commands) fn alerts(count: usize, containers: usize, now: Timestamp) -> Vec<Event> {
    let host = host();
    (0..count).map(|number| nth(&host, number, containers, now)).collect()
}

/// The alert with this number about the containers of `host`, in turn.
pub(in crate::commands) fn nth(host: &HostName, number: usize, containers: usize, now: Timestamp) -> Event {
    alert(host, number % containers, now + APART * (number / containers) as u32)
}

fn alert(host: &HostName, container: usize, at: Timestamp) -> Event {
    let name = format!("container-{container}");
    let subject = Subject::new(host, &name).expect("a host and a word make a subject");
    let data = HealthAlert {
        container: self::container(container),
        severity: Severity::High,
        anomalies: vec![Anomaly {
            kind: AnomalyKind::NonZeroExit,
            severity: Severity::High,
            actual: Some(1.0),
            threshold: None,
            since: at,
            detail: "exit code 1".to_owned(),
        }],
        sample: Sample { state: RunState::Exited, exit_code: Some(1), ..Sample::default() },
        opened_at: at,
        engine_event_at: Some(at),
        deaths_recent: 1,
        engine_restarts: false,
        evidence: Evidence {
            items: vec![EvidenceItem {
                id: "log".to_owned(),
                kind: EvidenceKind::LogTail,
                text: "worker: starting\nworker: fatal: cannot reach its work queue".to_owned(),
            }],
            ..Evidence::default()
        },
        policy: ContainerPolicy { mode: Mode::Auto, ..ContainerPolicy::default() },
    };
    let envelope = Envelope {
        id: EventId::observed(&subject, Role::Monitor, at, 0),
        source: Source { role: Role::Monitor, instance: "bench".to_owned() },
        time: at,
        host: host.clone(),
        incident: Some(IncidentId::opened(&subject, at)),
        subject: Some(subject),
        cause: None,
        traceparent: None,
    };
    Event { envelope, data: data.into() }
}

/// The container with this number.
pub(in crate::commands) fn container(number: usize) -> ContainerRef {
    ContainerRef {
        id: ContainerId::new(format!("{number:064x}")).expect("64 hexadecimal digits are an id"),
        name: format!("container-{number}"),
        image: "registry.example/shop/worker:1.4".to_owned(),
        project: Some("shop".to_owned()),
        service: Some("worker".to_owned()),
    }
}

/// Appends events.
///
/// # Errors
/// Exit 3 when the log is away.
pub(in crate::commands) async fn append(log: &dyn EventLog, events: &[Event]) -> Result<(), Failure> {
    for batch in events.chunks(BATCH) {
        log.append(batch).await.or_unreachable()?;
    }
    Ok(())
}

/// How the analyzer of `consumer` reads.
pub(super) fn membership(consumer: &str) -> Membership {
    Membership {
        role: Role::Analyzer,
        consumer: consumer.to_owned(),
        streams: vec![StreamName::Type(EventType::HealthAlert)],
        batch: 64,
        block: Duration::from_millis(400),
        claim_after: Duration::from_secs(30),
    }
}

/// The commits with which an analyzer of `consumer` answers to the alerts in the log, in their order. Decided by
/// the analyzer itself, so a server that is sent these does what it does for an agent.
///
/// # Errors
/// Exit 3 when the log is away.
pub(super) async fn commits(log: Arc<dyn EventLog>, consumer: &str) -> Result<Vec<Commit>, Failure> {
    let analyzer = Analyzer { settings: diagnose::Settings::default() };
    let stream = StreamName::Type(EventType::HealthAlert);
    let source = Source { role: Role::Analyzer, instance: consumer.to_owned() };
    let now = log.now().await.or_unreachable()?;
    let mut states: HashMap<Subject, (u64, diagnose::State)> = HashMap::new();
    let (mut commits, mut after) = (Vec::new(), EntryId::ZERO);
    loop {
        let entries = log.range(Partition(0), &stream, after, BATCH).await.or_unreachable()?;
        let Some(last) = entries.last() else { return Ok(commits) };
        after = last.at.id;
        for entry in &entries {
            commits.push(answer(&analyzer, &source, &mut states, entry, now)?);
        }
    }
}

fn answer(
    analyzer: &Analyzer,
    source: &Source,
    states: &mut HashMap<Subject, (u64, diagnose::State)>,
    entry: &Entry,
    now: Timestamp,
) -> Result<Commit, Failure> {
    let event = entry.event.as_ref().map_err(|error| anyhow!("an alert cannot be read: {error}"))?;
    let subject = event.envelope.subject.clone().context("an alert is about a container")?;
    let (version, state) = states.entry(subject.clone()).or_default();
    let expected = *version;
    let decision = analyzer.decide(&subject, state, Input::Event(event), now);
    let mut emit = Vec::new();
    for (index, made) in decision.emit.into_iter().enumerate() {
        let envelope = Envelope {
            id: EventId::derive(event.envelope.id, Role::Analyzer, &made.step(), index),
            source: source.clone(),
            time: now,
            host: event.envelope.host.clone(),
            subject: Some(subject.clone()),
            incident: made.incident,
            cause: Some(event.envelope.id),
            traceparent: None,
        };
        emit.push(Event { envelope, data: made.data });
    }
    for event in &emit {
        Analyzer::fold(state, event);
        *version += 1;
    }
    let bytes = rmp_serde::to_vec_named(state).context("a state cannot be written")?;
    let next = Versioned { version: *version, bytes };
    Ok(Commit {
        role: Role::Analyzer,
        subject,
        input: CommitInput::Entry {
            at: entry.at.clone(),
            prev: entry.prev,
            consumer: source.instance.clone(),
            acknowledge: true,
        },
        key: EventId::derive(event.envelope.id, Role::Analyzer, "ack", 0),
        state: Some(StateChange { expected, next }),
        emit,
        timers: Vec::new(),
    })
}

/// The stream of the answers.
pub(super) fn answers() -> StreamName {
    StreamName::Plans(host())
}

/// Whether `data` is an answer to an alert.
pub(super) fn is_answer(data: &Data) -> bool {
    matches!(data, Data::RemediationNeeded(_) | Data::FalseAlarm(_))
}

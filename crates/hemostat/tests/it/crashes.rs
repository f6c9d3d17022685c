//! What a monitor says of a container that crashed, for the cases that run without one.

use hemostat_event::{
    Anomaly, AnomalyKind, ContainerId, ContainerPolicy, ContainerRef, Data, Envelope, Event, EventId,
    Evidence, HealthAlert, HostName, IncidentId, Mode, Role, RunState, Sample, Severity, Source, Subject,
    Timestamp,
};

/// The alert about a container that ended with exit code 1 at `now`, and that may be restarted.
pub(crate) fn crash(container: ContainerRef, now: Timestamp) -> HealthAlert {
    HealthAlert {
        container,
        severity: Severity::High,
        anomalies: vec![Anomaly {
            kind: AnomalyKind::NonZeroExit,
            severity: Severity::High,
            actual: Some(1.0),
            threshold: None,
            since: now,
            detail: "exit code 1".to_owned(),
        }],
        sample: Sample { state: RunState::Exited, exit_code: Some(1), ..Sample::default() },
        opened_at: now,
        engine_event_at: None,
        deaths_recent: 1,
        engine_restarts: false,
        evidence: Evidence::default(),
        policy: ContainerPolicy { mode: Mode::Auto, ..ContainerPolicy::default() },
    }
}

/// An alert about a container that no engine has.
pub(crate) fn alert_of_nobody(now: Timestamp) -> Event {
    let host = HostName::new("nowhere").expect("a host name");
    let container = container(ContainerId::new("0123456789ab").expect("an id"), "nobody");
    let subject = Subject::new(&host, &container.name).expect("a subject");
    let incident = IncidentId::opened(&subject, now);
    observed(subject, 0, incident, now, crash(container, now))
}

pub(crate) fn container(id: ContainerId, name: &str) -> ContainerRef {
    ContainerRef { id, name: name.to_owned(), image: "lab:1".to_owned(), project: None, service: None }
}

/// The event with which a monitor tells of `subject` at `now`; `index` tells it from others of that moment.
pub(crate) fn observed(
    subject: Subject,
    index: usize,
    incident: IncidentId,
    now: Timestamp,
    data: impl Into<Data>,
) -> Event {
    let envelope = Envelope {
        id: EventId::observed(&subject, Role::Monitor, now, index),
        source: Source { role: Role::Monitor, instance: "test".to_owned() },
        time: now,
        host: subject.host(),
        incident: Some(incident),
        subject: Some(subject),
        cause: None,
        traceparent: None,
    };
    Event { envelope, data: data.into() }
}

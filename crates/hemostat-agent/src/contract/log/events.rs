//! Events, commits and timers for the cases.

use std::time::Duration;

use hemostat_core::role::Timer;
use hemostat_event::{
    Action, Actor, AnomalyKind, Basis, Cause, Change, ContainerChanged, ContainerId, ContainerPolicy,
    ContainerRef, ContainerSample, Data, Envelope, Event, EventId, HealthRecovered, HostName, Plan, Recovery,
    RemediationNeeded, Role, Sample, Severity, Source, Subject, Timestamp, Verdict,
};

use super::ROLE;
use crate::log::{Commit, CommitInput, Entry, StateChange, Versioned};

/// The host of most cases.
pub(super) fn host() -> HostName {
    host_named("web-1")
}

pub(super) fn host_named(name: &str) -> HostName {
    HostName::new(name).expect("a word is a host name")
}

/// A container on [`host`].
pub(super) fn subject(name: &str) -> Subject {
    Subject::new(&host(), name).expect("a word is a container name")
}

/// The `n`-th input about the container `name`.
pub(super) fn changed(name: &str, n: u64) -> Event {
    let subject = subject(name);
    let data = ContainerChanged {
        container: container(name),
        change: Change::Started,
        by: Actor::Engine,
        at: at(n),
    };
    event(&subject, Role::Monitor, n, None, data)
}

/// `count` inputs about one container, numbered from 1.
pub(super) fn changes(count: u64) -> Vec<Event> {
    (1..=count).map(|n| changed("db", n)).collect()
}

/// `count` inputs, each about a container of its own: these may be dealt with in any order.
pub(super) fn changes_apart(count: u64) -> Vec<Event> {
    (1..=count).map(|n| changed(&format!("c{n}"), n)).collect()
}

/// An input on another host.
pub(super) fn changed_on(host: &HostName, n: u64) -> Event {
    let subject = Subject::new(host, "db").expect("a word is a container name");
    let data = ContainerChanged {
        container: container("db"),
        change: Change::Started,
        by: Actor::Engine,
        at: at(n),
    };
    event(&subject, Role::Monitor, n, None, data)
}

/// A measurement; its id is the same for the same `n`, and that of no input.
pub(super) fn sample(n: u64) -> Event {
    let data = ContainerSample { container: container("db"), sample: Sample::default(), gap: None };
    event(&subject("db"), Role::Monitor, SAMPLES_FROM + n, None, data)
}

/// A plan for a container on `host`.
#[must_use]
pub fn plan(host: &HostName) -> Event {
    let subject = Subject::new(host, "db").expect("a word is a container name");
    let verdict = Verdict {
        cause: Cause::ApplicationError,
        confidence: 0.9,
        basis: Basis::Rule { rule: "exit code".to_owned() },
        cited: vec!["log".to_owned()],
        reason: "it ended by itself".to_owned(),
    };
    let data = RemediationNeeded {
        container: container("db"),
        plan: Plan {
            action: Action::Restart { stop_timeout_secs: None },
            target: container("db").id,
            policy: ContainerPolicy::default(),
            expires_at: at(900),
        },
        severity: Severity::High,
        kinds: vec![AnomalyKind::NonZeroExit],
        verdict,
    };
    event(&subject, ROLE, 1, None, data)
}

/// The `index`-th output because of `cause`.
pub(super) fn recovered(name: &str, cause: EventId, index: u64) -> Event {
    let data = HealthRecovered {
        container: container(name),
        kinds: vec![AnomalyKind::HighCpu],
        reason: Recovery::Cleared,
        opened_at: at(1),
        lasted_ms: 7,
    };
    let mut event = event(&subject(name), ROLE, 0, Some(cause), data);
    event.envelope.id =
        EventId::derive(cause, ROLE, "health_recovered", usize::try_from(index).unwrap_or(usize::MAX));
    event
}

/// The commit by which `consumer` deals with `entry`: one event, the state's version `version` + 1, acknowledged.
pub(super) fn dealt_with(entry: &Entry, consumer: &str, version: u64) -> Commit {
    let event = entry.event.as_ref().expect("the entry is an event");
    let subject = event.envelope.subject.clone().expect("the event is about a container");
    let output = recovered(subject.name(), event.envelope.id, 0);
    Commit {
        role: ROLE,
        key: output.envelope.id,
        input: CommitInput::Entry {
            at: entry.at.clone(),
            prev: entry.prev,
            consumer: consumer.to_owned(),
            acknowledge: true,
        },
        state: Some(change(version, &format!("{} folded", version + 1))),
        emit: vec![output],
        timers: Vec::new(),
        subject,
    }
}

/// The same commit without the acknowledgement.
pub(super) fn begun(entry: &Entry, consumer: &str, version: u64) -> Commit {
    let mut commit = dealt_with(entry, consumer, version);
    commit.input = CommitInput::Entry {
        at: entry.at.clone(),
        prev: entry.prev,
        consumer: consumer.to_owned(),
        acknowledge: false,
    };
    commit
}

/// The commit by which `consumer` deals with a timer, acknowledged.
pub(super) fn timer_dealt_with(timer: &Timer, consumer: &str, version: u64) -> Commit {
    let cause = EventId::derive(timer.cause, ROLE, &timer.name, 0);
    let output = recovered(timer.subject.name(), cause, 0);
    Commit {
        role: ROLE,
        subject: timer.subject.clone(),
        input: CommitInput::Timer { timer: timer.clone(), consumer: consumer.to_owned(), acknowledge: true },
        key: output.envelope.id,
        state: Some(change(version, "due")),
        emit: vec![output],
        timers: Vec::new(),
    }
}

/// The step from `version` to the next.
pub(super) fn change(version: u64, bytes: &str) -> StateChange {
    StateChange {
        expected: version,
        next: Versioned { version: version + 1, bytes: bytes.as_bytes().to_vec() },
    }
}

/// The source of what the cases bury.
pub(super) fn source() -> Source {
    Source { role: ROLE, instance: "a".to_owned() }
}

/// A time that means nothing.
pub(super) fn at(secs: u64) -> Timestamp {
    Timestamp::EPOCH + Duration::from_secs(1_700_000_000 + secs)
}

/// The container `name`.
pub(super) fn container(name: &str) -> ContainerRef {
    let id = ContainerId::new(format!("{:064x}", name.len())).expect("64 digits are an id");
    ContainerRef { id, name: name.to_owned(), image: "db:1".to_owned(), project: None, service: None }
}

/// Numbers from here on are those of measurements.
const SAMPLES_FROM: u64 = 1_000_000;

fn event(subject: &Subject, role: Role, n: u64, cause: Option<EventId>, data: impl Into<Data>) -> Event {
    Event {
        envelope: Envelope {
            id: EventId::observed(subject, role, at(n), 0),
            source: Source { role, instance: format!("{role}-1") },
            time: at(n),
            host: subject.host(),
            subject: Some(subject.clone()),
            incident: None,
            cause,
            traceparent: None,
        },
        data: data.into(),
    }
}

//! Reads the log after a run and says what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_agent::log::{Counted, Entry, EntryId, EventLog, StreamName};
use hemostat_agent::memory::log::MemoryLog;
use hemostat_core::diagnose::Analyzer;
use hemostat_core::invariant::{Checker, Folds, Invariant, Scope, Violation};
use hemostat_core::notify::Alerter;
use hemostat_core::project;
use hemostat_core::remediate::Responder;
use hemostat_event::cloudevents::Position;
use hemostat_event::{Data, Event, EventId, EventType, Outcome, Role, codec};

use super::cast::NEWS;
use super::referee::Finding;
use super::stage::Stage;
use super::tally::Mark;

/// What is to be said of a log.
pub(super) struct Verdict {
    pub(super) findings: Vec<Finding>,
    log: Vec<Placed>,
    /// What is stored, to be compared.
    pub(super) bytes: Vec<u8>,
}

impl Verdict {
    /// Events in the log.
    pub(super) fn events(&self) -> u64 {
        self.log.len() as u64
    }

    /// The log, one event a line.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.log.iter().map(line)
    }
}

/// An event of the log with its place.
struct Placed {
    position: Position,
    entry: Entry,
}

impl Placed {
    fn event(&self) -> Option<&Event> {
        self.entry.event.as_ref().ok()
    }
}

/// Checks a log that nobody writes to any more.
pub(super) async fn judge(stage: &Stage) -> Verdict {
    let log = read(&stage.log).await;
    let mut findings: Vec<_> = invariants(stage, &log).iter().map(finding).collect();
    findings.extend(unanswered(stage, &log));
    for placed in &log {
        if let Err(error) = &placed.entry.event {
            findings.push(Finding { promise: "readable", detail: error.to_string() });
        }
        if matches!(placed.event().map(|event| &event.data), Some(Data::DeadLetter(_))) {
            stage.tally.count(Mark::Letter);
        }
    }
    findings.extend(states(stage, &log).await.iter().map(finding));
    let bytes = bytes(stage, &log).await;
    Verdict { findings, bytes, log }
}

/// What is not dealt with yet; nothing once all is quiet.
pub(super) async fn open(stage: &Stage) -> Vec<String> {
    let groups = stage.log.groups().await.expect("the log is there");
    let mut open: Vec<_> = groups
        .iter()
        .filter(|group| group.pending != 0 || group.unread != Counted::exactly(0))
        .map(|group| {
            format!(
                "{} has {} pending and {:?} unread in {}",
                group.role, group.pending, group.unread, group.stream
            )
        })
        .collect();
    for (role, stream) in readers(stage) {
        let there = groups.iter().any(|group| group.role == role && group.stream == stream);
        if !there {
            open.push(format!("the {role} has no group on {stream}"));
        }
    }
    if open.is_empty() {
        let log = read(&stage.log).await;
        open.extend(unverified(&log).map(|plan| format!("what was done about plan {plan} has no verdict")));
    }
    open
}

/// Which role reads which stream.
fn readers(stage: &Stage) -> Vec<(Role, StreamName)> {
    let plans = stage.scenario.hosts.iter().cloned().map(StreamName::Plans);
    let mut readers = vec![(Role::Analyzer, StreamName::Type(EventType::HealthAlert))];
    readers.extend(plans.map(|stream| (Role::Responder, stream)));
    readers.extend(NEWS.map(|kind| (Role::Alert, StreamName::Type(kind))));
    readers
}

async fn read(log: &MemoryLog) -> Vec<Placed> {
    let mut all = Vec::new();
    for partition in log.partitions() {
        for stream in log.streams(partition).await.expect("the log is there") {
            let entries = log.range(partition, &stream, EntryId::ZERO, usize::MAX).await;
            all.extend(entries.expect("the log is there").into_iter().map(|entry| Placed {
                position: Position { partition: partition.0, seq: entry.seq.unwrap_or(0) },
                entry,
            }));
        }
    }
    all.sort_by_key(|placed| (placed.position.partition, placed.position.seq));
    all
}

/// The promises that are predicates over a log.
fn invariants(stage: &Stage, log: &[Placed]) -> Vec<Violation> {
    let policy = &stage.scenario.policy;
    let scope = Scope { budget: Some(policy.budget), window: policy.window, ..Scope::default() };
    let mut checker = Checker::new(&scope);
    for placed in log {
        match placed.event() {
            Some(event) => checker.event(placed.position, event),
            None => checker.unreadable(placed.position),
        }
    }
    // Nothing is pending and nothing unread, so every entry of a group is acknowledged.
    for (role, stream) in readers(stage) {
        let acknowledged = log.iter().filter(|placed| placed.entry.at.stream == stream);
        for event in acknowledged.filter_map(Placed::event) {
            checker.acknowledged(role, event.envelope.id);
        }
    }
    checker.finish()
}

/// L-3, of every role, and that nothing was written beside a state.
async fn states(stage: &Stage, log: &[Placed]) -> Vec<Violation> {
    let mut found = Vec::new();
    found.extend(state_of(stage, log, Role::Monitor, Folds::of_monitor()).await);
    found.extend(state_of(stage, log, Role::Analyzer, Folds::of::<Analyzer>()).await);
    found.extend(state_of(stage, log, Role::Responder, Folds::of::<Responder>()).await);
    found.extend(state_of(stage, log, Role::Alert, Folds::of::<Alerter>()).await);
    found
}

async fn state_of<S>(stage: &Stage, log: &[Placed], role: Role, mut folds: Folds<S>) -> Vec<Violation>
where
    S: Default + Clone + PartialEq + serde::de::DeserializeOwned,
{
    let mut versions = BTreeMap::new();
    for host in &stage.scenario.hosts {
        for (subject, stored) in stage.log.load_host(role, host).await.expect("the log is there") {
            versions.insert(subject.clone(), stored.version);
            match rmp_serde::from_slice(&stored.bytes) {
                Ok(state) => folds.expect(subject, stored.version, state),
                Err(error) => {
                    stage.referee.find("readable", format!("the {role}'s state of {subject}: {error}"));
                }
            }
        }
    }
    let mut at = BTreeMap::new();
    for placed in log {
        if let Some(event) = placed.event() {
            folds.event(placed.position, event);
            at.extend(event.envelope.subject.clone().map(|subject| (subject, placed.position)));
        }
    }
    let behind = at.into_iter().filter_map(|(subject, position)| {
        let folded = folds.state(&subject).map_or(0, |(version, _)| version);
        let stored = versions.get(&subject).copied().unwrap_or(0);
        let detail = format!("the {role} has {folded} events about {subject}, and its state is at {stored}");
        (stored != folded).then(|| Violation {
            invariant: Invariant::StateIsFold,
            at: vec![position],
            detail,
        })
    });
    let mut found: Vec<_> = behind.collect();
    found.extend(folds.finish());
    found
}

/// What demands an answer and has none. A dead letter is an answer: it says that there is no other.
fn unanswered(stage: &Stage, log: &[Placed]) -> Vec<Finding> {
    let events: Vec<_> = log.iter().filter_map(Placed::event).collect();
    let mut told: BTreeMap<EventId, BTreeSet<&str>> = BTreeMap::new();
    let (mut verdicts, mut outcomes, mut letters) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for event in &events {
        match &event.data {
            Data::RemediationNeeded(_) | Data::FalseAlarm(_) => verdicts.extend(event.envelope.cause),
            Data::RemediationComplete(complete) => {
                outcomes.insert(complete.plan);
            }
            Data::Notification(notification) => {
                let cause = event.envelope.cause.unwrap_or(event.envelope.id);
                told.entry(cause).or_default().insert(notification.channel.as_str());
            }
            Data::DeadLetter(letter) => letters.extend(letter.event.map(|event| (letter.group, event))),
            _ => {}
        }
    }
    let mut found = Vec::new();
    let mut missing = |role: Role, event: &Event, what: &str| {
        let id = event.envelope.id;
        if !letters.contains(&(role, id)) {
            let detail = format!("{} {id} has no {what}", event.event_type());
            found.push(Finding { promise: "liveness", detail });
        }
    };
    for event in events {
        let id = event.envelope.id;
        match &event.data {
            Data::HealthAlert(_) if !verdicts.contains(&id) => missing(Role::Analyzer, event, "verdict"),
            Data::RemediationNeeded(_) if !outcomes.contains(&id) => {
                missing(Role::Responder, event, "outcome");
            }
            Data::HealthRecovered(_) | Data::RemediationVerified(_)
                if told.get(&id).map_or(0, BTreeSet::len) != stage.scenario.channels.len() =>
            {
                missing(Role::Alert, event, "notification through every channel");
            }
            _ => {}
        }
    }
    let plans = unverified(log).map(|plan| Finding {
        promise: "liveness",
        detail: format!("what was done about plan {plan} has no verdict"),
    });
    found.extend(plans);
    found
}

/// The plans that were carried out and whose verdict is not there.
fn unverified(log: &[Placed]) -> impl Iterator<Item = EventId> {
    let mut open = BTreeSet::new();
    for event in log.iter().filter_map(Placed::event) {
        match &event.data {
            Data::RemediationComplete(done) if done.outcome == Outcome::Success && !done.dry_run => {
                open.insert(done.plan);
            }
            Data::RemediationVerified(verified) => {
                open.remove(&verified.plan);
            }
            // A deadline that could not be dealt with.
            Data::DeadLetter(letter) => {
                if let Some(cause) = letter.event {
                    open.remove(&cause);
                }
            }
            _ => {}
        }
    }
    open.into_iter()
}

/// Everything that is stored, so that two runs can be compared.
async fn bytes(stage: &Stage, log: &[Placed]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for placed in log {
        let at = &placed.entry.at;
        bytes.extend(format!("{}/{}/{}/{:?};", at.partition.0, at.stream, at.id, placed.entry.seq).bytes());
        bytes.extend(placed.event().map(codec::encode).unwrap_or_default());
    }
    for role in [Role::Monitor, Role::Analyzer, Role::Responder, Role::Alert] {
        for host in &stage.scenario.hosts {
            for (subject, state) in stage.log.load_host(role, host).await.expect("the log is there") {
                bytes.extend(format!("{role}/{subject}/{};", state.version).bytes());
                bytes.extend(state.bytes);
            }
        }
    }
    bytes
}

fn line(placed: &Placed) -> String {
    let Position { partition, seq } = placed.position;
    let Some(event) = placed.event() else { return format!("{partition}/{seq} unreadable") };
    let envelope = &event.envelope;
    let about = envelope.subject.as_ref().map_or_else(|| envelope.host.to_string(), ToString::to_string);
    let cause = envelope.cause.map_or_else(String::new, |cause| format!(" <- [{}]", cause.short()));
    format!(
        "{partition}/{seq} {} {about} {} {} [{}]{cause} {}",
        envelope.time,
        envelope.source.instance,
        event.event_type(),
        envelope.id.short(),
        project::summary(event)
    )
}

fn finding(violation: &Violation) -> Finding {
    Finding { promise: violation.invariant.name(), detail: violation.to_string() }
}

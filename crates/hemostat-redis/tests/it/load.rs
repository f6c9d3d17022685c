//! Traffic on a log while its ground changes, and what the log says of it afterwards.
//!
//! Writers append changes of containers, and members of the analyzer's group answer each with one verdict. Both go on
//! as agents do: what is away or has an unknown outcome is repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hemostat_agent::log::{
    Commit, CommitAnswer, CommitInput, Entry, EntryId, EventLog as _, LogError, Membership, Partition,
};
use hemostat_agent::telemetry::chain;
use hemostat_core::invariant::{Checker, Scope};
use hemostat_core::role::Emit;
use hemostat_event::cloudevents::Position;
use hemostat_event::{
    Actor, Basis, Cause, Change, ContainerChanged, Data, Envelope, Event, EventId, FalseAlarm, HostName,
    Role, Source, Subject, Timestamp, Verdict,
};
use hemostat_redis::RedisLog;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::given::{INPUT, container, eventually};

/// Containers of each host: some, so that order has a meaning.
const CONTAINERS: u64 = 3;
/// Rest between two appends of a writer, and after a failure.
const REST: Duration = Duration::from_millis(5);
/// Longest time in which everything that was appended has to be dealt with, after the last append.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// What runs, and what it has seen.
pub(crate) struct Load {
    log: Arc<RedisLog>,
    stop: Arc<AtomicBool>,
    seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen(Mutex<Facts>);

/// What was answered, and when.
#[derive(Default)]
struct Facts {
    /// Events whose append was acknowledged.
    appended: BTreeMap<EventId, Partition>,
    last: BTreeMap<(Partition, &'static str), Instant>,
    /// The last failure of each partition; those of the readers and of what concerns all count for none.
    failures: BTreeMap<Option<Partition>, String>,
    /// Longest time between two successes of the same kind in the same partition.
    stall: BTreeMap<&'static str, Duration>,
}

/// What the log says afterwards.
#[derive(Debug)]
pub(crate) struct Verdicts {
    appended: usize,
    answered: usize,
    violations: Vec<String>,
    longest_stall_of_appends: Duration,
    longest_stall_of_commits: Duration,
}

impl Verdicts {
    /// Fails where a promise was broken or an answer is missing.
    pub(crate) fn hold(&self) {
        assert!(self.violations.is_empty(), "{:#?}", self.violations);
        assert!(self.appended <= self.answered, "{self:?}");
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} appended, {} answered; longest stall of a partition: {:.1?} of appends, {:.1?} of commits; \
             {} violations",
            self.appended,
            self.answered,
            self.longest_stall_of_appends,
            self.longest_stall_of_commits,
            self.violations.len(),
        )
    }
}

impl Seen {
    /// Takes in a failure that has to pass by itself.
    fn failure(&self, partition: Option<Partition>, error: &LogError) {
        assert!(matches!(error, LogError::Unavailable(_) | LogError::Indefinite(_)), "{error:?}");
        let mut facts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        facts.failures.insert(partition, chain(error));
    }

    fn success(&self, partition: Partition, what: &'static str, appended: &[Event]) {
        let mut facts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(before) = facts.last.insert((partition, what), now) {
            let stall = facts.stall.entry(what).or_default();
            *stall = (*stall).max(now - before);
        }
        facts.appended.extend(appended.iter().map(|event| (event.envelope.id, partition)));
    }
}

impl Load {
    /// A writer for every partition and two members of the group.
    pub(crate) fn start(log: RedisLog, other: RedisLog) -> Self {
        let (log, other) = (Arc::new(log), Arc::new(other));
        let mut load =
            Self { stop: Arc::default(), seen: Arc::default(), tasks: JoinSet::new(), log: Arc::clone(&log) };
        for host in hosts(&log) {
            let (log, stop, seen) = (Arc::clone(&log), Arc::clone(&load.stop), Arc::clone(&load.seen));
            load.tasks.spawn(async move { write(&log, &host, &stop, &seen).await });
        }
        for (log, name) in [(log, "a"), (other, "b")] {
            let (stop, seen) = (Arc::clone(&load.stop), Arc::clone(&load.seen));
            load.tasks.spawn(async move { answer(&log, name, &stop, &seen).await });
        }
        load
    }

    /// Waits until so many more appends were acknowledged.
    pub(crate) async fn appends(&self, more: usize) {
        let wanted = self.appended() + more;
        eventually("appends are acknowledged", || async { (wanted <= self.appended()).then_some(()) }).await;
    }

    /// How many appends were acknowledged.
    pub(crate) fn appended(&self) -> usize {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner).appended.len()
    }

    /// Waits until every partition has taken an append that began after now.
    pub(crate) async fn goes_on_everywhere(&self) {
        let began = Instant::now();
        loop {
            let silent: Vec<_> = {
                let facts = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
                let all = self.log.partitions().into_iter();
                let all = all.flat_map(|partition| [APPEND, COMMIT].map(|what| (partition, what)));
                let goes_on = |last: &Instant| began + REST < *last;
                all.filter(|kind| !facts.last.get(kind).is_some_and(goes_on)).collect()
            };
            if silent.is_empty() {
                return;
            }
            if DRAIN_MAX < began.elapsed() {
                let facts = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
                panic!("do not go on: {silent:?}; failures: {:#?}", facts.failures);
            }
            sleep(REST).await;
        }
    }

    /// Ends the writers, waits until all is dealt with, and judges the log.
    pub(crate) async fn finish(mut self) -> Verdicts {
        self.stop.store(true, Ordering::Relaxed);
        let drained = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.expect("no task panics");
            }
        };
        let drained = tokio::time::timeout(DRAIN_MAX, drained).await;
        let groups = self.log.groups().await;
        let mut verdicts = judge(&self.log, &self.seen).await;
        if drained.is_err() {
            let failures = &self.seen.0.lock().unwrap_or_else(PoisonError::into_inner).failures;
            let groups = groups.map(|groups| {
                groups
                    .into_iter()
                    .filter(|group| group.pending != 0 || group.unread.most != 0)
                    .collect::<Vec<_>>()
            });
            let left = format!("{groups:?}, failures {failures:#?}");
            verdicts.violations.push(format!("not all was dealt with after {DRAIN_MAX:?}: {left}"));
        }
        verdicts
    }
}

const APPEND: &str = "append";
const COMMIT: &str = "commit";

/// A host for each partition.
fn hosts(log: &RedisLog) -> Vec<HostName> {
    let mut hosts = BTreeMap::new();
    for n in 0.. {
        let host = HostName::new(format!("host-{n}")).expect("it is a host name");
        hosts.entry(log.partition_of(&host)).or_insert(host);
        if hosts.len() == log.partitions().len() {
            break;
        }
    }
    hosts.into_values().collect()
}

async fn write(log: &RedisLog, host: &HostName, stop: &AtomicBool, seen: &Seen) {
    let partition = log.partition_of(host);
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let events = [changed(host, n)];
        // The same event, so that what was done without an answer is not done twice.
        while let Err(error) = log.append(&events).await {
            seen.failure(Some(partition), &error);
            if stop.load(Ordering::Relaxed) {
                return;
            }
            sleep(REST).await;
        }
        seen.success(partition, APPEND, &events);
        sleep(REST).await;
    }
}

/// Answers entries until the writers have ended and all is answered.
async fn answer(log: &Arc<RedisLog>, name: &str, stop: &AtomicBool, seen: &Arc<Seen>) {
    let membership = Membership {
        role: Role::Analyzer,
        consumer: name.to_owned(),
        streams: vec![INPUT],
        batch: 64,
        block: Duration::from_millis(200),
        claim_after: Duration::from_secs(5),
    };
    loop {
        let mut reader = match log.join(membership.clone()).await {
            Ok(reader) => reader,
            Err(error) => {
                seen.failure(None, &error);
                sleep(REST).await;
                continue;
            }
        };
        loop {
            match reader.read().await {
                Ok(entries) if entries.is_empty() => {
                    if stop.load(Ordering::Relaxed) && is_done(log).await {
                        return;
                    }
                }
                Ok(entries) => {
                    let mut by_partition: BTreeMap<Partition, Vec<Commit>> = BTreeMap::new();
                    for entry in &entries {
                        by_partition.entry(entry.at.partition).or_default().push(verdict(entry, name));
                    }
                    // A partition that is away must not hold the others up.
                    for (partition, commits) in by_partition {
                        let (log, seen) = (Arc::clone(log), Arc::clone(seen));
                        tokio::spawn(async move { make(&log, partition, commits, &seen).await });
                    }
                }
                Err(error) => {
                    seen.failure(None, &error);
                    break;
                }
            }
        }
    }
}

/// Makes commits until each is made or is not this member's any more.
async fn make(log: &RedisLog, partition: Partition, mut commits: Vec<Commit>, seen: &Seen) {
    while !commits.is_empty() {
        match log.commit(&commits).await {
            Ok(answers) => {
                if answers.iter().any(|answer| matches!(answer, CommitAnswer::Committed(_))) {
                    seen.success(partition, COMMIT, &[]);
                }
                let mut answers = answers.into_iter();
                commits.retain(|_| matches!(answers.next(), Some(CommitAnswer::Early)));
            }
            Err(error) => seen.failure(Some(partition), &error),
        }
        if !commits.is_empty() {
            sleep(REST).await;
        }
    }
}

/// Whether nothing is unread and nothing pending.
async fn is_done(log: &RedisLog) -> bool {
    log.groups().await.is_ok_and(|groups| {
        !groups.is_empty() && groups.iter().all(|group| group.pending == 0 && group.unread.most == 0)
    })
}

async fn judge(log: &RedisLog, seen: &Seen) -> Verdicts {
    let mut checker = Checker::new(&Scope::default());
    let (mut known, mut inputs, mut outputs) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for partition in log.partitions() {
        let mut placed = BTreeMap::new();
        for stream in log.streams(partition).await.expect("the log answers") {
            let entries = log.range(partition, &stream, EntryId::ZERO, 1_000_000).await;
            for entry in entries.expect("the log answers") {
                let seq = entry.seq.expect("every entry has a number");
                placed.insert(seq, entry.event.expect("every entry is an event"));
            }
        }
        for (seq, event) in &placed {
            checker.event(Position { partition: partition.0, seq: *seq }, event);
            known.insert(event.envelope.id);
            match event.envelope.cause {
                Some(cause) => *outputs.entry(cause).or_insert(0_usize) += 1,
                None => {
                    inputs.insert(event.envelope.id);
                    checker.acknowledged(Role::Analyzer, event.envelope.id);
                }
            }
        }
    }
    let mut violations: Vec<_> = checker.finish().iter().map(ToString::to_string).collect();
    let facts = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
    for (id, partition) in facts.appended.iter().filter(|(id, _)| !known.contains(id)) {
        violations.push(format!("lost: {id} of partition {} was acknowledged", partition.0));
    }
    for input in &inputs {
        match outputs.get(input).copied().unwrap_or(0) {
            1 => {}
            count => violations.push(format!("{input} has {count} outputs")),
        }
    }
    let stall = |what| facts.stall.get(what).copied().unwrap_or_default();
    Verdicts {
        appended: facts.appended.len(),
        answered: outputs.len(),
        violations,
        longest_stall_of_appends: stall(APPEND),
        longest_stall_of_commits: stall(COMMIT),
    }
}

fn changed(host: &HostName, n: u64) -> Event {
    let subject = Subject::new(host, &format!("c{}", n % CONTAINERS)).expect("it is a container name");
    let data = ContainerChanged {
        container: container(subject.name()),
        change: Change::Started,
        by: Actor::Engine,
        at: Timestamp::from_millis(n),
    };
    let id = EventId::observed(&subject, Role::Monitor, Timestamp::from_millis(n), 0);
    event(id, Role::Monitor, &subject, None, data.into())
}

/// The step by which `consumer` answers an entry.
fn verdict(entry: &Entry, consumer: &str) -> Commit {
    let input = entry.event.as_ref().expect("the entry is an event");
    let subject = input.envelope.subject.clone().expect("it is about a container");
    let data: Data = FalseAlarm {
        container: container(subject.name()),
        kinds: Vec::new(),
        verdict: Verdict {
            cause: Cause::TransientSpike,
            confidence: 1.0,
            basis: Basis::Rule { rule: "load".to_owned() },
            cited: Vec::new(),
            reason: "it is only load".to_owned(),
        },
    }
    .into();
    let step = Emit { data: data.clone(), incident: None }.step();
    let key = EventId::derive(input.envelope.id, Role::Analyzer, &step, 0);
    Commit {
        role: Role::Analyzer,
        key,
        input: CommitInput::Entry {
            at: entry.at.clone(),
            prev: entry.prev,
            consumer: consumer.to_owned(),
            acknowledge: true,
        },
        state: None,
        emit: vec![event(key, Role::Analyzer, &subject, Some(input.envelope.id), data)],
        timers: Vec::new(),
        subject,
    }
}

fn event(id: EventId, role: Role, subject: &Subject, cause: Option<EventId>, data: Data) -> Event {
    Event {
        envelope: Envelope {
            id,
            source: Source { role, instance: format!("{role}-1") },
            time: Timestamp::from_millis(1),
            host: subject.host(),
            subject: Some(subject.clone()),
            incident: None,
            cause,
            traceparent: None,
        },
        data,
    }
}

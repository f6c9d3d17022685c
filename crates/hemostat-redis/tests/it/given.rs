//! Events, commits and small steps for the cases.

use std::future::Future;
use std::time::Duration;

use hemostat_agent::log::{
    Commit, CommitAnswer, CommitInput, Entry, EntryId, EventLog, GroupReader, LogError, Membership,
    Partition, StateChange, StreamName, Versioned,
};
use hemostat_event::{
    Actor, Change, ContainerChanged, ContainerId, ContainerRef, ContainerSample, Data, Envelope, Event,
    EventId, EventType, HealthRecovered, HostName, Recovery, Role, Sample, Source, Subject, Timestamp,
};
use hemostat_redis::RedisLog;
use hemostat_redis::testing::TestRedis;
use tokio::time::{Instant, sleep};

/// The partition of all cases here.
pub(crate) const PARTITION: Partition = Partition(0);
/// The stream that the cases' group reads.
pub(crate) const INPUT: StreamName = StreamName::Type(EventType::ContainerChanged);
/// The stream to which its commits append.
pub(crate) const OUTPUT: StreamName = StreamName::Type(EventType::HealthRecovered);
/// The role of the cases' group.
pub(crate) const ROLE: Role = Role::Analyzer;
/// Longest time a case waits for a state.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Time between two looks at a state that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A key of the log that [`TestRedis::log`] opens.
pub(crate) fn key(name: impl std::fmt::Display) -> String {
    format!("hemostat:{{0}}:{name}")
}

pub(crate) async fn redis_and_log() -> (TestRedis, RedisLog) {
    let redis = TestRedis::start().await.expect("a throw-away Redis");
    let log = redis.log().await.expect("the log can be opened");
    (redis, log)
}

pub(crate) fn host() -> HostName {
    HostName::new("web-1").expect("it is a host name")
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(&host(), name).expect("it is a container name")
}

/// The `n`-th input about the container `name`.
pub(crate) fn changed(name: &str, n: u64) -> Event {
    let data = ContainerChanged {
        container: container(name),
        change: Change::Started,
        by: Actor::Engine,
        at: Timestamp::from_millis(n),
    };
    event(EventId::observed(&subject(name), Role::Monitor, Timestamp::from_millis(n), 0), name, data)
}

/// Inputs about one container, numbered from `first` to before `end`.
pub(crate) fn changes(first: u64, end: u64) -> Vec<Event> {
    (first..end).map(|n| changed("db", n)).collect()
}

/// The same, each about a container of its own: these may be dealt with in any order.
pub(crate) fn changes_apart(first: u64, end: u64) -> Vec<Event> {
    (first..end).map(|n| changed(&format!("c{n}"), n)).collect()
}

/// An event for the stream of outputs that answers to nothing.
pub(crate) fn recovered(name: &str, n: u64) -> Event {
    let data = HealthRecovered {
        container: container(name),
        kinds: Vec::new(),
        reason: Recovery::Cleared,
        opened_at: Timestamp::EPOCH,
        lasted_ms: 1,
    };
    event(EventId::observed(&subject(name), Role::Monitor, Timestamp::from_millis(n), 2), name, data)
}

pub(crate) fn sample(n: u64) -> Event {
    let data = ContainerSample { container: container("db"), sample: Sample::default(), gap: None };
    event(EventId::observed(&subject("db"), Role::Monitor, Timestamp::from_millis(n), 1), "db", data)
}

/// The step by which `consumer` deals with an entry: one event, the next state, acknowledged.
pub(crate) fn dealt_with(entry: &Entry, consumer: &str, version: u64) -> Commit {
    let input = entry.event.as_ref().expect("the entry is an event");
    let subject = input.envelope.subject.clone().expect("it is about a container");
    let key = EventId::derive(input.envelope.id, ROLE, "health_recovered", 0);
    let data = HealthRecovered {
        container: container(subject.name()),
        kinds: Vec::new(),
        reason: Recovery::Cleared,
        opened_at: Timestamp::EPOCH,
        lasted_ms: 1,
    };
    Commit {
        role: ROLE,
        key,
        input: CommitInput::Entry {
            at: entry.at.clone(),
            prev: entry.prev,
            consumer: consumer.to_owned(),
            acknowledge: true,
        },
        state: Some(StateChange {
            expected: version,
            next: Versioned { version: version + 1, bytes: format!("after {version}").into_bytes() },
        }),
        emit: vec![event(key, subject.name(), data)],
        timers: Vec::new(),
        subject,
    }
}

/// The same step without a state, so that it stands for itself.
pub(crate) fn stateless(entry: &Entry, consumer: &str) -> Commit {
    Commit { state: None, ..dealt_with(entry, consumer, 0) }
}

pub(crate) fn member(consumer: &str) -> Membership {
    Membership {
        role: ROLE,
        consumer: consumer.to_owned(),
        streams: vec![INPUT],
        batch: 100,
        block: Duration::from_millis(100),
        claim_after: Duration::from_secs(600),
    }
}

pub(crate) async fn join(log: &RedisLog, consumer: &str) -> Box<dyn GroupReader> {
    log.join(member(consumer)).await.expect("the group can be joined")
}

/// Reads until `count` entries have come; a log that is away is waited for.
pub(crate) async fn take(reader: &mut dyn GroupReader, count: usize) -> Vec<Entry> {
    let began = Instant::now();
    let mut entries = Vec::new();
    while entries.len() < count {
        match reader.read().await {
            Ok(more) => entries.extend(more),
            Err(LogError::Unavailable(_)) => sleep(LOOK_EVERY).await,
            Err(error) => panic!("{error:?}"),
        }
        assert!(began.elapsed() < WAIT_MAX, "{} of {count} entries came", entries.len());
    }
    assert_eq!(entries.len(), count, "{entries:?}");
    entries
}

/// Commits as the run loop does: again until the log is back.
pub(crate) async fn commit(log: &RedisLog, commits: &[Commit]) -> Vec<CommitAnswer> {
    eventually("the log is back", || async {
        match log.commit(commits).await {
            Ok(answers) => Some(answers),
            Err(LogError::Unavailable(_) | LogError::Indefinite(_)) => None,
            Err(error) => panic!("{error:?}"),
        }
    })
    .await
}

pub(crate) async fn commit_one(log: &RedisLog, step: Commit) -> CommitAnswer {
    commit(log, &[step]).await.remove(0)
}

/// All entries of a stream.
pub(crate) async fn all(log: &RedisLog, stream: &StreamName) -> Vec<Entry> {
    log.range(PARTITION, stream, EntryId::ZERO, 100_000).await.expect("the log answers")
}

/// The numbers of all events of the log, sorted.
pub(crate) async fn numbers(log: &RedisLog) -> Vec<u64> {
    let mut numbers = Vec::new();
    for stream in log.streams(PARTITION).await.expect("the log answers") {
        numbers.extend(all(log, &stream).await.into_iter().filter_map(|entry| entry.seq));
    }
    numbers.sort_unstable();
    numbers
}

/// Entries that are pending in all groups.
pub(crate) async fn pending(log: &RedisLog) -> u64 {
    log.groups().await.expect("the log answers").iter().map(|group| group.pending).sum()
}

/// Looks again and again until there is something to see, within a limit.
pub(crate) async fn eventually<T, Look: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> Look,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < WAIT_MAX, "{what}: not seen");
        sleep(LOOK_EVERY).await;
    }
}

pub(crate) fn container(name: &str) -> ContainerRef {
    let id = ContainerId::new("0123456789abcdef").expect("it is an id");
    ContainerRef { id, name: name.to_owned(), image: "db:1".to_owned(), project: None, service: None }
}

fn event(id: EventId, name: &str, data: impl Into<Data>) -> Event {
    Event {
        envelope: Envelope {
            id,
            source: Source { role: Role::Monitor, instance: "monitor-1".to_owned() },
            time: Timestamp::from_millis(1),
            host: host(),
            subject: Some(subject(name)),
            incident: None,
            cause: None,
            traceparent: None,
        },
        data: data.into(),
    }
}

//! The log in memory keeps the port's contract, with one partition and with many; its clocks and its faults.

use hemostat_event::{Command, Data, Envelope, EventId, EventType, OperatorCommand};

use super::*;
use crate::contract::log::Harness;
use crate::log::StateChange;

struct Memory(MemoryLog);

impl Memory {
    async fn manual(partitions: u16) -> Self {
        Self(MemoryLog::manual(partitions, start()))
    }

    /// On the stopped clock of tokio.
    async fn ticking() -> Self {
        tokio::time::pause();
        Self(MemoryLog::new(1, start()))
    }
}

#[async_trait]
impl Harness for Memory {
    fn log(&self) -> Arc<dyn EventLog> {
        Arc::new(self.0.clone())
    }

    async fn second(&self) -> Arc<dyn EventLog> {
        self.log()
    }

    async fn advance(&self, by: Duration) {
        match self.0.clock {
            Clock::Manual => self.0.advance(by),
            Clock::Tokio { .. } => tokio::time::sleep(by).await,
        }
    }

    async fn put_raw(&self, partition: Partition, stream: &StreamName, fields: &[(&str, &[u8])]) -> EntryId {
        self.0.put_raw(partition, stream, fields)
    }

    async fn lose_groups(&self) {
        self.0.lose_groups();
    }

    async fn lose_stream(&self, partition: Partition, stream: &StreamName) {
        self.0.lose_stream(partition, stream);
    }

    async fn lose_everything(&self) {
        self.0.lose_everything();
    }
}

mod one_partition {
    use super::Memory;

    crate::log_contract!(Memory::manual(1));
}

mod many_partitions {
    use super::Memory;

    crate::log_contract!(Memory::manual(16));
}

mod clock_of_tokio {
    use super::Memory;

    crate::log_contract!(Memory::ticking());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn whatever_happens_nothing_is_trimmed_before_every_group_has_acknowledged_it(seed: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let memory = Memory::manual(1).await;
            crate::contract::log::forgetting::tell(&memory, seed, 200).await;
        });
    }
}

#[tokio::test]
async fn keys_and_ids_are_known_for_a_day() {
    let log = MemoryLog::manual(1, start());
    let lease = log.lease("engine:h", &host(), "a", 3 * DAY).await.unwrap().unwrap();
    let step = |expected| observation(&lease, expected);
    assert_eq!(log.append(&[order(1)]).await.unwrap(), [1]);
    assert_eq!(log.commit(&[step(0)]).await.unwrap(), [CommitAnswer::Committed(vec![2])]);
    log.advance(DAY - Duration::from_micros(1));
    assert_eq!(log.append(&[order(1), order(2)]).await.unwrap(), Vec::<u64>::new());
    assert_eq!(log.commit(&[step(1)]).await.unwrap(), [CommitAnswer::Duplicate]);
    log.advance(Duration::from_micros(1));
    assert_eq!(log.append(&[order(1)]).await.unwrap(), [3]);
    assert_eq!(log.commit(&[step(1)]).await.unwrap(), [CommitAnswer::Committed(vec![4])]);
    log.advance(DAY / 2);
    assert_eq!(log.append(&[order(1), order(2)]).await.unwrap(), Vec::<u64>::new());
}

#[tokio::test]
async fn while_the_log_is_down_everything_fails_and_nothing_is_done() {
    let log = MemoryLog::manual(1, start());
    let mut reader = log.join(member()).await.unwrap();
    let going_down = async { log.set_down(true) };
    let (read, ()) = tokio::join!(reader.read(), going_down);
    assert!(matches!(read, Err(LogError::Unavailable(_))), "{read:?}");
    assert!(matches!(log.now().await, Err(LogError::Unavailable(_))));
    assert!(matches!(log.append(&[order(1)]).await, Err(LogError::Unavailable(_))));
    log.set_down(false);
    assert_eq!(log.append(&[order(1)]).await.unwrap(), [1]);
    assert_eq!(reader.read().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_is_done() {
    let log = MemoryLog::manual(1, start());
    let lease = log.lease("engine:h", &host(), "a", DAY).await.unwrap().unwrap();
    let step = observation(&lease, 0);
    log.lose_answers(2);
    for _try in 0..2 {
        let answer = log.commit(std::slice::from_ref(&step)).await;
        assert!(matches!(answer, Err(LogError::Indefinite(_))), "{answer:?}");
    }
    assert_eq!(log.commit(&[step]).await.unwrap(), [CommitAnswer::Duplicate]);
    let orders = StreamName::Type(EventType::OperatorCommand);
    assert_eq!(log.range(Partition(0), &orders, EntryId::ZERO, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_entry_is_idle_when_claim_after_has_passed_and_not_before() {
    let log = MemoryLog::manual(1, start());
    let reader = async |consumer: &str| {
        let membership = Membership { consumer: consumer.to_owned(), block: Duration::ZERO, ..member() };
        log.join(membership).await.unwrap()
    };
    log.append(&[order(1)]).await.unwrap();
    assert_eq!(reader("a").await.read().await.unwrap().len(), 1);
    let mut heir = reader("b").await;
    log.advance(DAY - Duration::from_micros(1));
    assert_eq!(heir.read().await.unwrap().len(), 0);
    log.advance(Duration::from_micros(1));
    assert_eq!(heir.read().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_read_under_a_manual_clock_ends_by_advancing_past_its_wait() {
    let log = MemoryLog::manual(1, start());
    let mut reader = log.join(member()).await.unwrap();
    let mut reading = std::pin::pin!(reader.read());
    assert!(futures_util::poll!(&mut reading).is_pending());
    log.advance(member().block - Duration::from_micros(1));
    assert!(futures_util::poll!(&mut reading).is_pending());
    log.advance(Duration::from_micros(1));
    assert!(reading.await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn time_goes_with_the_clock_of_tokio() {
    let log = MemoryLog::new(1, start());
    let mut reader = log.join(member()).await.unwrap();
    assert!(reader.read().await.unwrap().is_empty());
    assert_eq!(log.now().await.unwrap(), start() + member().block);
    log.append(&[order(1)]).await.unwrap();
    assert_eq!(reader.read().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_calls_give_the_same_log() {
    let run = async || {
        let log = MemoryLog::manual(4, start());
        for n in 0..50 {
            log.append(&[order(n)]).await.unwrap();
            log.advance(Duration::from_micros(700));
        }
        let orders = StreamName::Type(EventType::OperatorCommand);
        let partition = log.partition_of(&host());
        let entries = log.range(partition, &orders, EntryId::ZERO, 100).await.unwrap();
        entries.into_iter().map(|entry| (entry.at, entry.seq, entry.event.unwrap())).collect::<Vec<_>>()
    };
    let first = run().await;
    assert_eq!(first.len(), 50);
    assert_eq!(run().await, first);
}

#[tokio::test]
async fn one_request_is_about_one_partition() {
    let log = MemoryLog::manual(16, start());
    let other = (0..100).map(|n| HostName::new(format!("h{n}")).unwrap());
    let other = other.into_iter().find(|other| log.partition_of(other) != log.partition_of(&host())).unwrap();
    let mut elsewhere = order(2);
    elsewhere.envelope.host = other;
    let answer = log.append(&[order(1), elsewhere.clone()]).await;
    assert!(matches!(answer, Err(LogError::Refused { .. })), "{answer:?}");
    let lease = Lease { name: "engine:h".to_owned(), host: host(), epoch: 1 };
    let step = Commit { emit: vec![elsewhere], ..observation(&lease, 0) };
    let answer = log.commit(&[step]).await;
    assert!(matches!(answer, Err(LogError::Refused { .. })), "{answer:?}");
    assert_eq!(log.append(&[order(1)]).await.unwrap(), [1]);
}

/// A day in 2023.
const START_MILLIS: u64 = 1_700_000_000_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn start() -> Timestamp {
    Timestamp::from_millis(START_MILLIS)
}

fn host() -> HostName {
    HostName::new("h").unwrap()
}

fn member() -> Membership {
    Membership {
        role: Role::Alert,
        consumer: "a".to_owned(),
        streams: vec![StreamName::Type(EventType::OperatorCommand)],
        batch: 10,
        block: Duration::from_millis(20),
        claim_after: DAY,
    }
}

/// The `n`-th order of a person.
fn order(n: u64) -> Event {
    let subject = Subject::new(&host(), "db").unwrap();
    Event {
        envelope: Envelope {
            id: EventId::observed(&subject, Role::Operator, Timestamp::from_millis(n), 0),
            source: Source { role: Role::Operator, instance: "cli".to_owned() },
            time: start(),
            host: host(),
            subject: None,
            incident: None,
            cause: None,
            traceparent: None,
        },
        data: Data::OperatorCommand(OperatorCommand { command: Command::Resume, by: "someone".to_owned() }),
    }
}

/// One step of the monitor under `lease`, which emits the second order.
fn observation(lease: &Lease, expected: u64) -> Commit {
    Commit {
        role: Role::Monitor,
        subject: Subject::new(&host(), "db").unwrap(),
        input: CommitInput::Lease { lease: lease.clone() },
        key: order(2).envelope.id,
        state: Some(StateChange { expected, next: Versioned { version: expected + 1, bytes: vec![1] } }),
        emit: vec![order(2)],
        timers: Vec::new(),
    }
}

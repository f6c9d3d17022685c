//! The order of reading along, whatever is written meanwhile.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt;
use hemostat_event::{
    Actor, AnomalyKind, Change, Command, ContainerChanged, ContainerId, ContainerRef, Data, Envelope, Event,
    EventId, HealthRecovered, HostName, OperatorCommand, Recovery, Role, Source, Subject,
};
use proptest::prelude::*;

use super::*;
use crate::contract::log::events::plan;
use crate::interposed::{Interposed, Request};
use crate::memory::log::MemoryLog;

#[tokio::test]
async fn what_stands_in_the_log_is_handed_out_once_and_in_order() {
    let log = log(1);
    let events: Vec<_> = (0..50).map(|n| event(0, n)).collect();
    for event in &events {
        log.append(std::slice::from_ref(event)).await.unwrap();
    }
    let mut tail = Tail::new(shared(&log), None, Vec::new());
    let first = tail.next().await.unwrap();
    assert_eq!(numbers(&first), (1..=50).collect::<Vec<_>>());
    assert!(first.iter().zip(&events).all(|(entry, event)| entry.event.as_ref().unwrap() == event));
    assert!(tail.next().await.unwrap().is_empty());
    log.append(&[event(0, 50)]).await.unwrap();
    assert_eq!(numbers(&tail.next().await.unwrap()), [51]);
    assert!(tail.next().await.unwrap().is_empty());
}

#[tokio::test]
async fn it_begins_at_a_time_and_leaves_types_out() {
    let log = log(1);
    log.append(&[event(0, 0), event(0, 1), event(0, 2)]).await.unwrap();
    log.advance(std::time::Duration::from_millis(5));
    let since = log.now().await.unwrap();
    log.append(&[event(0, 3), event(0, 4), event(0, 5)]).await.unwrap();
    let mut tail = Tail::new(shared(&log), Some(since), vec![EventType::OperatorCommand]);
    let entries = tail.next().await.unwrap();
    let kinds: Vec<_> = entries.iter().map(|entry| entry.event.as_ref().unwrap().event_type()).collect();
    assert_eq!(kinds, [EventType::RemediationNeeded, EventType::ContainerChanged]);
    assert_eq!(numbers(&entries), [4, 5]);
}

#[tokio::test]
async fn an_entry_that_is_no_event_is_handed_out_behind_the_one_before_it() {
    let log = log(1);
    let mut tail = paged(shared(&log), 2);
    let stream = StreamName::Type(event(0, 0).event_type());
    log.append(&[event(0, 0), event(0, 1)]).await.unwrap();
    for _ in 0..5 {
        log.put_raw(Partition(0), &stream, &[("event", b"no event")]);
    }
    log.append(&[event(0, 3), event(0, 4)]).await.unwrap();
    let entries = all(&mut tail).await;
    let seqs: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [Some(1), None, None, None, None, None, Some(2), Some(3), Some(4)]);
}

#[tokio::test]
async fn what_a_lost_log_says_anew_comes_behind_what_was_read_of_it() {
    let log = log(1);
    let mut tail = paged(shared(&log), 2);
    for n in 0..30 {
        log.append(&[event(0, n)]).await.unwrap();
    }
    let before = numbers(&tail.next().await.unwrap());
    assert!(before.len() < 30, "some of it waits");
    log.lose_everything();
    log.advance(std::time::Duration::from_millis(5));
    for n in 100..140 {
        log.append(&[event(0, n)]).await.unwrap();
    }
    let mut after = numbers(&all(&mut tail).await);
    let anew = after.split_off(after.iter().position(|number| *number == 1).expect("it is read"));
    assert!(before.iter().chain(&after).is_sorted(), "{before:?} {after:?}");
    assert_eq!(anew, (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failed_request_loses_nothing_also_of_partitions_that_were_read_before_it() {
    let log = log(4);
    let failures = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failures);
    let failing = Interposed::over(&log, move |_| {
        // At first no round comes to its end, later most do.
        let n = count.fetch_add(1, Ordering::Relaxed);
        let fails = n < 500 && n % 11 == 10 || n % 101 == 100;
        async move { if fails { Err(LogError::Unavailable("gone".into())) } else { Ok(()) } }.boxed()
    });
    let mut tail = paged(failing, 7);
    for n in 0..200 {
        log.append(&[event(n % 9, n)]).await.unwrap();
    }
    let mut entries = Vec::new();
    let mut empty = 0;
    while empty < 2 {
        match tail.next().await {
            Ok(next) if next.is_empty() => empty += 1,
            Ok(next) => entries.extend(next),
            Err(_gone) => {}
        }
        assert!(failures.load(Ordering::Relaxed) < 100_000, "there is no end");
    }
    in_order(&entries);
    assert_eq!(entries.len(), 200);
}

#[tokio::test]
async fn a_stream_that_is_ahead_of_the_others_waits_without_filling_the_memory() {
    let log = log(1);
    // All of one type stand before all of the others.
    let (ahead, behind): (Vec<_>, Vec<_>) =
        (0..300).map(|n| event(0, n)).partition(|event| kind_of(event) == 0);
    for event in behind.iter().chain(&ahead) {
        log.append(std::slice::from_ref(event)).await.unwrap();
    }
    let mut tail = paged(shared(&log), 5);
    let mut entries = Vec::new();
    loop {
        let next = tail.next().await.unwrap();
        if next.is_empty() {
            break;
        }
        entries.extend(next);
        let waiting: usize =
            tail.partitions[&Partition(0)].positions.values().map(|position| position.waiting.len()).sum();
        // Per stream less than a page waited before the two readings of a round.
        assert!(waiting <= 4 * 3 * 5, "{waiting} entries wait");
    }
    assert_eq!(numbers(&entries), (1..=300).collect::<Vec<_>>());
}

proptest! {
    /// T-1 and completeness, with appends between any two requests of the reader.
    #[test]
    fn order_holds_whatever_is_appended_between_two_requests(
        partitions in 1..4_u16,
        page in 1..6_usize,
        before in prop::collection::vec((0..6_u64, 0..4_usize), 0..30),
        between in prop::collection::vec(prop::collection::vec((0..6_u64, 0..4_usize), 0..6), 0..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(check(partitions, page, before, between));
    }
}

/// Appends as (host, kind): some before the reader begins, some before each of its requests.
async fn check(partitions: u16, page: usize, before: Vec<(u64, usize)>, between: Vec<Vec<(u64, usize)>>) {
    let log = log(partitions);
    let count = Arc::new(AtomicUsize::new(0));
    let appends = move |log: &MemoryLog, what: Vec<(u64, usize)>| {
        let (log, count) = (log.clone(), Arc::clone(&count));
        async move {
            for (host, kind) in what {
                let n = count.fetch_add(1, Ordering::Relaxed) as u64;
                log.append(&[event_of(host, n, kind)]).await.unwrap();
            }
        }
    };
    let total = before.len() + between.iter().map(Vec::len).sum::<usize>();
    appends(&log, before).await;
    let script = Arc::new(Mutex::new(between.into_iter().collect::<VecDeque<_>>()));
    let over = Arc::new(AtomicBool::new(false));
    let (writer, done) = (log.clone(), Arc::clone(&over));
    let reading = Interposed::over(&log, move |request| {
        let next = match request {
            Request::Other("stored" | "streams") => script.lock().unwrap().pop_front(),
            _ => None,
        };
        done.store(next.is_none(), Ordering::Relaxed);
        let appended = appends(&writer, next.unwrap_or_default());
        async move {
            appended.await;
            Ok(())
        }
        .boxed()
    });
    let mut tail = paged(reading, page);
    let mut entries = Vec::new();
    loop {
        let next = tail.next().await.unwrap();
        let nothing_more = next.is_empty() && over.load(Ordering::Relaxed);
        entries.extend(next);
        in_order(&entries);
        if nothing_more {
            break;
        }
    }
    entries.extend(all(&mut tail).await);
    in_order(&entries);
    assert_eq!(entries.len(), total, "nothing is left out");
}

/// Checks T-1: within every partition the numbers grow, and none is missing.
fn in_order(entries: &[Entry]) {
    let mut next: BTreeMap<Partition, u64> = BTreeMap::new();
    for entry in entries {
        let expected = next.entry(entry.at.partition).or_insert(1);
        assert_eq!(entry.seq, Some(*expected), "{:?}", entry.at);
        *expected += 1;
    }
}

async fn all(tail: &mut Tail) -> Vec<Entry> {
    let mut entries = Vec::new();
    loop {
        let next = tail.next().await.unwrap();
        if next.is_empty() {
            return entries;
        }
        entries.extend(next);
    }
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq.unwrap()).collect()
}

fn paged(log: Arc<dyn EventLog>, page: usize) -> Tail {
    Tail { page, ..Tail::new(log, None, Vec::new()) }
}

fn log(partitions: u16) -> MemoryLog {
    MemoryLog::manual(partitions, Timestamp::from_millis(1_700_000_000_000))
}

fn shared(log: &MemoryLog) -> Arc<dyn EventLog> {
    Arc::new(log.clone())
}

/// The `n`-th event about a host, one of four kinds in turn; plans have a stream per host.
fn event(host: u64, n: u64) -> Event {
    event_of(host, n, (n % 4) as usize)
}

fn kind_of(event: &Event) -> usize {
    match event.event_type() {
        EventType::ContainerChanged => 0,
        EventType::OperatorCommand => 1,
        EventType::HealthRecovered => 2,
        _ => 3,
    }
}

fn event_of(host: u64, n: u64, kind: usize) -> Event {
    let host = HostName::new(format!("h{host}")).unwrap();
    let subject = Subject::new(&host, "db").unwrap();
    let id = ContainerId::new("0123456789ab").unwrap();
    let container =
        ContainerRef { id, name: "db".to_owned(), image: "db:1".to_owned(), project: None, service: None };
    let at = Timestamp::from_millis(n);
    let data: Data = match kind {
        0 => ContainerChanged { container, change: Change::Started, by: Actor::Engine, at }.into(),
        1 => OperatorCommand { command: Command::Resume, by: "someone".to_owned() }.into(),
        2 => HealthRecovered {
            container,
            kinds: vec![AnomalyKind::HighCpu],
            reason: Recovery::Cleared,
            opened_at: at,
            lasted_ms: 1,
        }
        .into(),
        _ => plan(&host).data,
    };
    let about = !matches!(data, Data::OperatorCommand(_));
    Event {
        envelope: Envelope {
            id: EventId::observed(&subject, Role::Operator, at, kind),
            source: Source { role: Role::Operator, instance: "cli".to_owned() },
            time: at,
            host,
            subject: about.then_some(subject),
            incident: None,
            cause: None,
            traceparent: None,
        },
        data,
    }
}

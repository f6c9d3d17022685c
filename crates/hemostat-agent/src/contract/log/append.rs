//! Appending: numbers, identity, and what can be read back.

use std::collections::BTreeSet;
use std::sync::Arc;

use hemostat_event::{EventType, HostName};

use super::events::{changed, changed_on, changes, dealt_with, host, host_named, plan, sample};
use super::{Harness, INPUT, OUTPUT, SPAN, all, commit, join, made, numbers, take_one};
use crate::log::{EntryId, EventLog, StreamName};

/// Case: one sequence for all streams of a partition.
pub async fn numbers_begin_with_one_and_have_no_gap_over_all_streams(harness: &dyn Harness) {
    let log = harness.log();
    let first = log.append(&[changed("db", 1), sample(1), changed("db", 2)]).await.expect("the log is there");
    let second = log.append(&[plan(&host()), changed("db", 3)]).await.expect("the log is there");
    assert_eq!((first, second), (vec![1, 2, 3], vec![4, 5]));
    assert_eq!(numbers(&log, log.partition_of(&host())).await, [1, 2, 3, 4, 5]);
    let inputs = all(&log, &INPUT).await;
    assert_eq!(inputs.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [Some(1), Some(3), Some(5)]);
}

/// Case: appends from several clients at once.
pub async fn concurrent_appends_leave_no_gap(harness: &dyn Harness) {
    let clients = [harness.log(), harness.second().await];
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..8_u64 {
        let log = Arc::clone(&clients[writer as usize % 2]);
        tasks.spawn(async move {
            for n in 0..10 {
                let name = format!("c{writer}");
                let events = [changed(&name, n), sample(100 * writer + n), changed(&name, 100 + n)];
                let numbers = log.append(&events).await.expect("the log is there");
                assert_eq!(numbers.len(), 3);
                assert!(
                    numbers.windows(2).all(|two| two[0] + 1 == two[1]),
                    "one append is in a row: {numbers:?}"
                );
            }
        });
    }
    tasks.join_all().await;
    let log = harness.log();
    assert_eq!(numbers(&log, log.partition_of(&host())).await, (1..=240).collect::<Vec<u64>>());
}

/// Case: the same id twice, from two clients.
pub async fn an_event_is_appended_once(harness: &dyn Harness) {
    let (log, second) = (harness.log(), harness.second().await);
    assert_eq!(log.append(&[changed("db", 1)]).await.expect("the log is there"), [1]);
    let again = second.append(&[changed("db", 1)]).await.expect("the log is there");
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(log.append(&[changed("db", 2)]).await.expect("the log is there"), [2]);
    assert_eq!(all(&log, &INPUT).await.len(), 2);
}

/// Case: a repeated call whose first try was cut short, and an id that occurs twice in one call.
pub async fn known_events_of_a_call_are_left_out(harness: &dyn Harness) {
    let log = harness.log();
    log.append(&changes(2)).await.expect("the log is there");
    let again = log.append(&[changed("db", 2), changed("db", 3), changed("db", 3), changed("db", 4)]).await;
    assert_eq!(again.expect("the log is there"), [3, 4]);
    let ids: Vec<_> = all(&log, &INPUT).await.into_iter().map(|entry| id(&entry)).collect();
    assert_eq!(ids, changes(4).iter().map(|event| event.envelope.id).collect::<Vec<_>>());
}

/// Case: what a commit appended is known too.
pub async fn an_emitted_event_is_not_appended_again(harness: &dyn Harness) {
    let log = harness.log();
    log.append(&changes(1)).await.expect("the log is there");
    let mut reader = join(&log, "a").await;
    let step = dealt_with(&take_one(harness, reader.as_mut()).await, "a", 0);
    let emitted = step.emit.clone();
    assert!(made(&commit(&log, step).await));
    let again = log.append(&emitted).await.expect("the log is there");
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(all(&log, &OUTPUT).await.len(), 1);
}

/// Case: samples are too many to be remembered.
pub async fn samples_are_appended_every_time(harness: &dyn Harness) {
    let log = harness.log();
    assert_eq!(log.append(&[sample(1), sample(1)]).await.expect("the log is there"), [1, 2]);
    assert_eq!(log.append(&[sample(1)]).await.expect("the log is there"), [3]);
}

/// Case: a stream per type.
pub async fn events_stand_in_the_stream_of_their_type(harness: &dyn Harness) {
    let log = harness.log();
    log.append(&[changed("db", 1), sample(1), sample(2)]).await.expect("the log is there");
    assert_eq!(all(&log, &INPUT).await.len(), 1);
    assert_eq!(all(&log, &StreamName::Type(EventType::ContainerSample)).await.len(), 2);
}

/// Case: a stream of plans per host.
pub async fn plans_stand_in_the_stream_of_their_host(harness: &dyn Harness) {
    let log = harness.log();
    let (one, other) = two_hosts_of_one_partition(&log);
    log.append(&[plan(&one), plan(&other)]).await.expect("the log is there");
    for host in [one, other] {
        let stream = StreamName::Plans(host.clone());
        let plans =
            log.range(log.partition_of(&host), &stream, EntryId::ZERO, 10).await.expect("the log is there");
        let [entry] = plans.as_slice() else { panic!("one plan for {host}: {plans:?}") };
        assert_eq!(entry.event.as_ref().expect("it is an event").envelope.host, host);
    }
}

/// Case: nothing is changed on the way.
pub async fn events_are_handed_out_as_they_were_appended(harness: &dyn Harness) {
    let log = harness.log();
    let events = [changed("db", 1), changed("web", 1)];
    log.append(&events).await.expect("the log is there");
    let entries = all(&log, &INPUT).await;
    for (entry, event) in entries.iter().zip(&events) {
        assert_eq!(entry.event.as_ref().expect("it is an event"), event);
        assert!(entry.raw.is_empty(), "{entry:?}");
        assert_eq!((entry.attempts, &entry.at.stream), (0, &INPUT));
        assert_eq!(entry.at.partition, log.partition_of(&host()));
    }
    assert_eq!(entries.len(), 2);
}

/// Case: ids are positions in log time.
pub async fn entry_ids_grow_and_tell_the_log_time(harness: &dyn Harness) {
    let log = harness.log();
    let before = log.now().await.expect("the log is there");
    log.append(&changes(3)).await.expect("the log is there");
    harness.advance(SPAN / 10).await;
    log.append(&[changed("db", 4)]).await.expect("the log is there");
    let after = log.now().await.expect("the log is there");
    let ids: Vec<_> = all(&log, &INPUT).await.into_iter().map(|entry| entry.at.id).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert!(
        ids.iter().all(|id| (before.millis()..=after.millis()).contains(&id.ms)),
        "{before} {ids:?} {after}"
    );
    assert!(ids[0].ms + 90 <= ids[3].ms, "a tenth of a second lies between: {ids:?}");
}

/// Case: the log's clock, asked by two clients.
pub async fn now_never_goes_back(harness: &dyn Harness) {
    let clients = [harness.log(), harness.second().await];
    let start = clients[0].now().await.expect("the log is there");
    let mut last = start;
    for ask in 0..50 {
        let now = clients[ask % 2].now().await.expect("the log is there");
        assert!(last <= now, "{last} {now}");
        last = now;
    }
    harness.advance(SPAN / 10).await;
    let later = clients[1].now().await.expect("the log is there");
    assert!(SPAN / 10 <= later.since(start), "{start} {later}");
}

/// Case: where a host is does not depend on who asks or what was written.
pub async fn the_partition_of_a_host_is_the_same_for_every_client(harness: &dyn Harness) {
    let (log, second) = (harness.log(), harness.second().await);
    assert_eq!(log.partitions(), second.partitions());
    let distinct: BTreeSet<_> = log.partitions().into_iter().collect();
    assert!(!distinct.is_empty() && distinct.len() == log.partitions().len(), "{:?}", log.partitions());
    for n in 0..100 {
        let host = host_named(&format!("host-{n}"));
        let partition = log.partition_of(&host);
        assert!(distinct.contains(&partition), "{partition:?}");
        assert_eq!((second.partition_of(&host), log.partition_of(&host)), (partition, partition));
    }
}

/// Case: every partition has its own sequence. A log with one partition has one sequence for all hosts.
pub async fn partitions_are_numbered_apart(harness: &dyn Harness) {
    let log = harness.log();
    let partitions = log.partitions();
    let mut appended = vec![0_u64; partitions.len()];
    for n in 0..40_u64 {
        let host = host_named(&format!("host-{n}"));
        let at = partitions
            .iter()
            .position(|partition| *partition == log.partition_of(&host))
            .expect("it is one of them");
        appended[at] += 1;
        let numbers = log.append(&[changed_on(&host, 1)]).await.expect("the log is there");
        assert_eq!(numbers, [appended[at]]);
    }
    for (partition, count) in partitions.into_iter().zip(appended) {
        assert_eq!(numbers(&log, partition).await, (1..=count).collect::<Vec<_>>());
    }
}

fn id(entry: &crate::log::Entry) -> hemostat_event::EventId {
    entry.event.as_ref().expect("it is an event").envelope.id
}

fn two_hosts_of_one_partition(log: &Arc<dyn EventLog>) -> (HostName, HostName) {
    let one = host();
    let other = (0..1_000)
        .map(|n| host_named(&format!("host-{n}")))
        .find(|other| log.partition_of(other) == log.partition_of(&one))
        .expect("a thousand hosts share partitions");
    (one, other)
}

//! Reading along and looking on, outside any group.

use std::collections::BTreeSet;
use std::sync::Arc;

use hemostat_event::{EventType, Role};

use super::commit::pending_entries;
use super::events::{changed, changes, dealt_with, host, plan, sample};
use super::{Harness, INPUT, ROLE, all, commit, join, made, member, places, take, take_one};
use crate::log::{Counted, EntryId, EventLog, GroupStatus, Membership, StreamName};

/// Case: page after page, while more is appended.
pub async fn a_range_is_paged_without_loss_or_repetition(harness: &dyn Harness) {
    let log = harness.log();
    log.append(&changes(10)).await.expect("the log is there");
    let partition = log.partition_of(&host());
    let (mut after, mut seen, mut sizes) = (EntryId::ZERO, Vec::new(), Vec::new());
    loop {
        let page = log.range(partition, &INPUT, after, 4).await.expect("the log is there");
        let Some(last) = page.last() else { break };
        after = last.at.id;
        sizes.push(page.len());
        seen.extend(places(&page));
        if sizes.len() == 1 {
            log.append(&[changed("db", 11)]).await.expect("the log is there");
        }
    }
    assert_eq!(sizes, [4, 4, 3]);
    assert_eq!(seen, places(&all(&log, &INPUT).await));
    let before = seen[5].id.before();
    let from = log.range(partition, &INPUT, before, 1).await.expect("the log is there");
    assert_eq!(places(&from), [seen[5].clone()]);
    assert!(log.range(partition, &INPUT, EntryId::MAX, 4).await.expect("the log is there").is_empty());
}

/// Case: a type of which there is nothing yet.
pub async fn a_range_of_a_missing_stream_is_empty(harness: &dyn Harness) {
    assert!(all(&harness.log(), &INPUT).await.is_empty());
}

/// Case: looking is not taking.
pub async fn a_range_does_not_touch_the_group(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(&changes(2)).await.expect("the log is there");
    let seen = all(&log, &INPUT).await;
    let entries = take(harness, reader.as_mut(), 2).await;
    assert_eq!(places(&entries), places(&seen));
    assert_eq!(entries.iter().map(|entry| entry.attempts).collect::<Vec<_>>(), [1, 1]);
}

/// Case: what there is to read, found by a client that wrote nothing.
pub async fn streams_are_those_that_exist(harness: &dyn Harness) {
    let log = harness.log();
    let partition = log.partition_of(&host());
    assert_eq!(log.streams(partition).await.expect("the log is there"), []);
    log.append(&[changed("db", 1), sample(1), plan(&host()), changed("db", 2)])
        .await
        .expect("the log is there");
    let streams = harness.second().await.streams(partition).await.expect("the log is there");
    let expected = [INPUT, StreamName::Type(EventType::ContainerSample), StreamName::Plans(host())];
    assert_eq!(streams.len(), expected.len(), "{streams:?}");
    assert_eq!(streams.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(expected));
}

/// Case: behind by so much, since when.
pub async fn a_group_tells_what_is_pending_and_unread(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = log.join(Membership { batch: 3, ..member("a") }).await.expect("the group can be joined");
    for event in changes(5) {
        log.append(&[event]).await.expect("the log is there");
        harness.advance(super::BLOCK / 10).await;
    }
    let entries = take(harness, reader.as_mut(), 3).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    let all = all(&log, &INPUT).await;
    let expected = GroupStatus {
        partition: log.partition_of(&host()),
        stream: INPUT,
        role: ROLE,
        exists: true,
        pending: 2,
        oldest_pending: Some(all[1].at.id.time()),
        oldest_unread: Some(all[3].at.id.time()),
        unread: Counted::exactly(2),
        lost: 0,
        oldest_retained: Some(all[0].at.id.time()),
        seen: None,
    };
    let told = group(&harness.second().await, ROLE, &INPUT).await;
    let seen = told.seen.expect("joining is a sign of life");
    assert!(seen <= log.now().await.expect("the log is there"));
    assert_eq!(GroupStatus { seen: None, ..told }, expected);
}

/// Case: nothing to do is told as such, and unread entries of a group that has read nothing are counted.
pub async fn a_group_that_is_done_has_nothing_pending_and_nothing_unread(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 2).await;
    let _other =
        log.join(Membership { role: Role::Alert, ..member("a") }).await.expect("the group can be joined");
    for (version, entry) in (0..).zip(&entries) {
        assert!(made(&commit(&log, dealt_with(entry, "a", version)).await));
    }
    let done = group(&log, ROLE, &INPUT).await;
    assert_eq!(
        (done.pending, done.oldest_pending, done.oldest_unread, done.unread),
        (0, None, None, Counted::exactly(0))
    );
    let untouched = group(&log, Role::Alert, &INPUT).await;
    assert_eq!(
        (untouched.pending, untouched.oldest_pending, untouched.unread),
        (0, None, Counted::exactly(2))
    );
    assert_eq!(untouched.oldest_unread, Some(entries[0].at.id.time()));
}

/// Case: per role and stream.
pub async fn every_group_is_told_apart(harness: &dyn Harness) {
    let log = harness.log();
    let samples = StreamName::Type(EventType::ContainerSample);
    let streams = vec![INPUT, samples.clone()];
    let mut one = log.join(Membership { streams, ..member("a") }).await.expect("the group can be joined");
    let alert = Membership { role: Role::Alert, ..member("a") };
    let mut other = log.join(alert).await.expect("the group can be joined");
    log.append(&[changed("db", 1), sample(1), sample(2)]).await.expect("the log is there");
    take(harness, one.as_mut(), 3).await;
    take_one(harness, other.as_mut()).await;
    let partition = log.partition_of(&host());
    let groups = log.groups().await.expect("the log is there");
    let mut groups: Vec<_> = groups
        .into_iter()
        .filter(|group| group.partition == partition)
        .map(|group| (group.role, group.stream, group.pending, group.unread.exact()))
        .collect();
    groups.sort();
    let expected = [
        (Role::Analyzer, samples, 2, Some(0)),
        (Role::Analyzer, INPUT, 1, Some(0)),
        (Role::Alert, INPUT, 1, Some(0)),
    ];
    assert_eq!(groups, expected);
}

/// What the log tells of a group in a stream of the cases' host.
pub(super) async fn group(log: &Arc<dyn EventLog>, role: Role, stream: &StreamName) -> GroupStatus {
    let partition = log.partition_of(&host());
    let groups = log.groups().await.expect("the log is there");
    let mut found: Vec<_> = groups
        .into_iter()
        .filter(|group| group.partition == partition && group.role == role && group.stream == *stream)
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

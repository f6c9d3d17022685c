//! Events of one container are decided in the order of their stream, by whoever takes them.

use std::sync::Arc;

use super::commit::{one_pending, pending, pending_entries, under_another_key};
use super::events::{begun, changed, changes, dealt_with, host, sample, source};
use super::letters::letter;
use super::{Harness, INPUT, SPAN, all, commit, join, join_claiming, made, take, take_one};
use crate::log::{Commit, CommitAnswer, Entry, EventLog, Shelter, StreamName, Trim};

/// Case: what an entry knows of the one before it.
pub async fn an_entry_names_the_one_before_it_about_its_container(harness: &dyn Harness) {
    let log = harness.log();
    log.append(&[changed("db", 1), changed("web", 2), changed("db", 3)]).await.expect("the log is there");
    log.append(&[changed("db", 4), changed("web", 5), sample(1), sample(2)]).await.expect("the log is there");
    let entries = all(&log, &INPUT).await;
    let ids: Vec<_> = entries.iter().map(|entry| entry.at.id).collect();
    let named: Vec<_> = entries.iter().map(|entry| entry.prev).collect();
    assert_eq!(named, [None, None, Some(ids[0]), Some(ids[2]), Some(ids[1])]);
    let samples = StreamName::Type(hemostat_event::EventType::ContainerSample);
    assert!(all(&log, &samples).await.iter().all(|entry| entry.prev.is_none()));
}

/// Case: emitted events are in order too, those of one commit among them.
pub async fn emitted_events_name_the_ones_before_them(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    let mut step = dealt_with(&entry, "a", 0);
    step.emit.extend([changed("db", 7), changed("db", 8)]);
    assert!(made(&commit(&log, step).await));
    let ids: Vec<_> = all(&log, &INPUT).await.iter().map(|entry| entry.at.id).collect();
    let named: Vec<_> = all(&log, &INPUT).await.iter().map(|entry| entry.prev).collect();
    assert_eq!(named, [None, Some(ids[0]), Some(ids[1])]);
}

/// Case: two replicas, the later one is faster.
pub async fn a_later_entry_is_early_until_the_earlier_one_is_acknowledged(harness: &dyn Harness) {
    let (log, first, second) = one_for_each(harness).await;
    for step in [dealt_with(&second, "b", 0), begun(&second, "b", 0), nothing(&second, "b")] {
        assert_eq!(commit(&log, step).await, CommitAnswer::Early);
    }
    // An intent is no end.
    assert!(made(&commit(&log, begun(&first, "a", 0)).await));
    assert_eq!(commit(&log, dealt_with(&second, "b", 1)).await, CommitAnswer::Early);
    assert_eq!(pending(&log).await, 2);
    assert!(made(&commit(&log, under_another_key(dealt_with(&first, "a", 1))).await));
    assert!(made(&commit(&log, dealt_with(&second, "b", 2)).await));
    assert_eq!(pending(&log).await, 0);
}

/// Case: other containers do not wait.
pub async fn a_stuck_entry_holds_up_its_own_container_only(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(&[changed("db", 1), changed("web", 2), changed("db", 3)]).await.expect("the log is there");
    let entries = take(harness, reader.as_mut(), 3).await;
    assert_eq!(commit(&log, dealt_with(&entries[2], "a", 0)).await, CommitAnswer::Early);
    assert!(made(&commit(&log, dealt_with(&entries[1], "a", 0)).await));
}

/// Case: a whole lane in one call, in order and not.
pub async fn commits_of_one_call_follow_each_other(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 3).await;
    let steps: Vec<_> = (0..).zip(&entries).map(|(version, entry)| dealt_with(entry, "a", version)).collect();
    let turned = [steps[1].clone(), steps[0].clone()];
    let answers = log.commit(&turned).await.expect("the log is there");
    assert_eq!(answers[0], CommitAnswer::Early);
    assert!(made(&answers[1]));
    let answers = log.commit(&steps[1..]).await.expect("the log is there");
    assert!(answers.iter().all(made), "{answers:?}");
}

/// Case: a dead letter ends an entry, and waits for its turn like a decision.
pub async fn a_burial_is_in_order_and_lets_the_next_one_through(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 3).await;
    assert_eq!(bury(&log, &entries[1]).await, CommitAnswer::Early);
    assert!(made(&bury(&log, &entries[0]).await));
    assert!(made(&bury(&log, &entries[1]).await));
    assert!(made(&commit(&log, dealt_with(&entries[2], "a", 0)).await));
}

/// Case: a repetition is told first, so that it can be acknowledged.
pub async fn a_known_key_is_a_duplicate_and_not_early(harness: &dyn Harness) {
    let (log, first, second) = one_for_each(harness).await;
    assert!(made(&commit(&log, begun(&first, "a", 0)).await));
    assert_eq!(commit(&log, begun(&second, "b", 1)).await, CommitAnswer::Early);
    assert!(made(&commit(&log, under_another_key(dealt_with(&first, "a", 1))).await));
    assert!(made(&commit(&log, dealt_with(&second, "b", 2)).await));
    assert_eq!(commit(&log, dealt_with(&second, "b", 2)).await, CommitAnswer::Duplicate);
    // After the loss of everything, order begins anew.
    harness.lose_everything().await;
    log.append(&[changed("db", 8), changed("db", 9)]).await.expect("the log is there");
    let mut reader = join(&log, "c").await;
    let entries = take(harness, reader.as_mut(), 2).await;
    assert_eq!(commit(&log, dealt_with(&entries[1], "c", 0)).await, CommitAnswer::Early);
    assert!(made(&commit(&log, dealt_with(&entries[0], "c", 0)).await));
    assert!(made(&commit(&log, dealt_with(&entries[1], "c", 1)).await));
    assert_eq!(commit(&log, dealt_with(&entries[1], "c", 2)).await, CommitAnswer::Duplicate);
}

/// Case: the group is lost while two are under way; both come again, and again in order.
pub async fn a_lost_group_repeats_in_order(harness: &dyn Harness) {
    let (log, _entries) = pending_entries(harness, 2).await;
    harness.lose_groups().await;
    let mut reader = join(&log, "b").await;
    let entries = take(harness, reader.as_mut(), 2).await;
    assert_eq!(commit(&log, dealt_with(&entries[1], "b", 0)).await, CommitAnswer::Early);
    assert!(made(&commit(&log, dealt_with(&entries[0], "b", 0)).await));
    assert!(made(&commit(&log, dealt_with(&entries[1], "b", 1)).await));
}

/// Case: the stream begins anew, and nothing waits for an entry of the old one.
pub async fn a_lost_stream_holds_nothing_up(harness: &dyn Harness) {
    let (log, _entries) = pending_entries(harness, 2).await;
    harness.lose_stream(log.partition_of(&host()), &INPUT).await;
    log.append(&[changed("db", 8), changed("db", 9)]).await.expect("the log is there");
    let mut reader = join(&log, "b").await;
    let entries = take(harness, reader.as_mut(), 2).await;
    for (version, entry) in (0..).zip(&entries) {
        assert!(made(&commit(&log, dealt_with(entry, "b", version)).await));
    }
}

/// Case: the predecessor was done and trimmed away.
pub async fn a_trimmed_entry_holds_nothing_up(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(&changes(2)).await.expect("the log is there");
    let entries = take(harness, reader.as_mut(), 2).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    harness.advance(SPAN / 10).await;
    let (partition, shelter) = (log.partition_of(&host()), Shelter::Groups { archived: None });
    let step = Trim { partition, stream: INPUT, keep: SPAN / 100, shelter, most: 1_000 };
    log.trim(&step).await.expect("the log is there");
    assert!(made(&commit(&log, dealt_with(&entries[1], "a", 1)).await));
}

/// Case: the earlier entry's replica is dead; whoever takes it over goes first.
pub async fn an_entry_that_was_taken_over_goes_first(harness: &dyn Harness) {
    let log = harness.log();
    let mut dead = join(&log, "a").await;
    log.append(&changes(1)).await.expect("the log is there");
    let first = take_one(harness, dead.as_mut()).await;
    harness.advance(SPAN).await;
    log.append(&[changed("db", 2)]).await.expect("the log is there");
    let mut heir = join_claiming(&log, "b").await;
    let mut entries = take(harness, heir.as_mut(), 2).await;
    entries.sort_by_key(|entry| entry.at.id);
    assert_eq!(entries[0].at, first.at);
    assert_eq!(commit(&log, dealt_with(&entries[1], "b", 0)).await, CommitAnswer::Early);
    assert!(made(&commit(&log, dealt_with(&entries[0], "b", 0)).await));
    assert!(made(&commit(&log, dealt_with(&entries[1], "b", 1)).await));
}

/// Case: a field that says nothing sensible is no reason to wait.
pub async fn a_foreign_predecessor_holds_nothing_up(harness: &dyn Harness) {
    let log = harness.log();
    let stored = hemostat_event::codec::encode(&changed("db", 1));
    let mut reader = join(&log, "a").await;
    for prev in ["no id", "99999999999999-0"] {
        let fields: [(&str, &[u8]); 2] = [("event", &stored), ("prev", prev.as_bytes())];
        harness.put_raw(log.partition_of(&host()), &INPUT, &fields).await;
    }
    let entries = take(harness, reader.as_mut(), 2).await;
    assert!(entries.iter().all(|entry| entry.prev.is_none()));
    assert!(made(&commit(&log, dealt_with(&entries[1], "a", 0)).await));
}

/// Two entries about one container, pending for `a` and for `b`.
async fn one_for_each(harness: &dyn Harness) -> (Arc<dyn EventLog>, Entry, Entry) {
    let (log, first) = one_pending(harness).await;
    log.append(&[changed("db", 2)]).await.expect("the log is there");
    let mut other = join(&log, "b").await;
    let second = take_one(harness, other.as_mut()).await;
    assert_eq!(second.prev, Some(first.at.id));
    (log, first, second)
}

/// The step of a role that has nothing to say.
fn nothing(entry: &Entry, consumer: &str) -> Commit {
    Commit { state: None, emit: Vec::new(), ..dealt_with(entry, consumer, 0) }
}

async fn bury(log: &Arc<dyn EventLog>, entry: &Entry) -> CommitAnswer {
    log.bury(&entry.at, "a", &host(), &source(), letter(entry)).await.expect("the log is there")
}

//! Losing groups, streams and everything: normal states, from which readers go on without an error.

use std::collections::BTreeSet;

use hemostat_event::EventType;

use super::commit::{one_pending, pending_apart, pending_entries, refused};
use super::events::{changed, changes, dealt_with, host, sample, source};
use super::letters::letter;
use super::{
    BLOCK, Harness, INPUT, OUTPUT, ROLE, SPAN, WAIT_MAX, all, commit, join, made, member, places, read, take,
    take_one,
};
use crate::log::{CommitAnswer, Membership, StreamName};

/// Case: the same reader, before and after. What is acknowledged does not come again, the rest does.
pub async fn a_reader_goes_on_after_its_group_is_lost(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = log.join(Membership { batch: 4, ..member("a") }).await.expect("the group can be joined");
    log.append(&changes(6)).await.expect("the log is there");
    let entries = take(harness, reader.as_mut(), 4).await;
    for (version, entry) in (0..2).zip(&entries) {
        assert!(made(&commit(&log, dealt_with(entry, "a", version)).await));
    }
    harness.lose_groups().await;
    let rest = take(harness, reader.as_mut(), 4).await;
    assert_eq!(places(&rest), places(&all(&log, &INPUT).await[2..]));
    assert!(rest.iter().all(|entry| entry.attempts == 1), "{rest:?}");
    for (version, entry) in (2..).zip(&rest) {
        assert!(made(&commit(&log, dealt_with(entry, "a", version)).await));
    }
    assert!(read(harness, reader.as_mut()).await.is_empty());
}

/// Case: a replica that comes after the loss.
pub async fn a_joiner_goes_on_after_the_group_was_lost(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 3).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    harness.lose_groups().await;
    let mut other = join(&harness.second().await, "b").await;
    let rest = take(harness, other.as_mut(), 2).await;
    assert_eq!(places(&rest), places(&entries[1..]));
    for (version, entry) in (1..).zip(&rest) {
        assert!(made(&commit(&log, dealt_with(entry, "b", version)).await));
    }
    harness.lose_groups().await;
    let mut third = join(&log, "c").await;
    assert!(read(harness, third.as_mut()).await.is_empty());
}

/// Case: without a cursor the group begins with the oldest entry.
pub async fn a_group_lost_before_its_first_acknowledgement_begins_anew(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(&changes(2)).await.expect("the log is there");
    let entries = take(harness, reader.as_mut(), 2).await;
    harness.lose_groups().await;
    let again = take(harness, reader.as_mut(), 2).await;
    assert_eq!(places(&again), places(&entries));
    assert!(made(&commit(&log, dealt_with(&again[0], "a", 0)).await));
}

/// Case: nothing was pending when the group was lost, and something unread.
pub async fn unread_entries_outlive_the_group(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    assert!(made(&commit(&log, dealt_with(&entry, "a", 0)).await));
    log.append(&[changed("db", 2), changed("db", 3)]).await.expect("the log is there");
    harness.lose_groups().await;
    let mut reader = join(&log, "a").await;
    let entries = take(harness, reader.as_mut(), 2).await;
    assert_eq!(places(&entries), places(&all(&log, &INPUT).await[1..]));
}

/// Case: nobody noticed the loss before more was appended.
pub async fn entries_appended_while_the_group_is_lost_come(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(&changes(1)).await.expect("the log is there");
    let entry = take_one(harness, reader.as_mut()).await;
    assert!(made(&commit(&log, dealt_with(&entry, "a", 0)).await));
    harness.lose_groups().await;
    log.append(&[changed("db", 2)]).await.expect("the log is there");
    let new = take_one(harness, reader.as_mut()).await;
    assert_eq!(new.at, all(&log, &INPUT).await[1].at);
}

/// Case: work that was under way when the group was lost. Its first commit too has to wait for the entry.
pub async fn a_commit_after_the_group_is_lost_is_fenced_and_the_entry_comes_again(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(&changes(1)).await.expect("the log is there");
    let entry = take_one(harness, reader.as_mut()).await;
    harness.lose_groups().await;
    refused(&log, dealt_with(&entry, "a", 0), CommitAnswer::Fenced).await;
    let again = take_one(harness, reader.as_mut()).await;
    assert_eq!(again.at, entry.at);
    assert!(made(&commit(&log, dealt_with(&again, "a", 0)).await));
}

/// Case: entries acknowledged out of order. The older one comes; the younger one may, and has no second effect.
pub async fn what_comes_again_after_a_loss_is_a_duplicate(harness: &dyn Harness) {
    let (log, entries) = pending_apart(harness, 3).await;
    assert!(made(&commit(&log, dealt_with(&entries[1], "a", 0)).await));
    harness.lose_groups().await;
    let mut reader = join(&log, "b").await;
    let (mut steps, mut seen) = (1, BTreeSet::new());
    loop {
        let again = read(harness, reader.as_mut()).await;
        if again.is_empty() {
            break;
        }
        for entry in again {
            match commit(&log, dealt_with(&entry, "b", 0)).await {
                CommitAnswer::Committed(_) => steps += 1,
                answer => assert_eq!((answer, &entry.at), (CommitAnswer::Duplicate, &entries[1].at)),
            }
            seen.insert(entry.at);
        }
    }
    assert!(seen.contains(&entries[0].at) && seen.contains(&entries[2].at), "{seen:?}");
    assert_eq!((steps, all(&log, &OUTPUT).await.len()), (3, 3));
    harness.lose_groups().await;
    let mut reader = join(&log, "c").await;
    assert!(read(harness, reader.as_mut()).await.is_empty());
}

/// Case: the same for a buried entry.
pub async fn a_letter_is_not_written_twice_after_a_loss(harness: &dyn Harness) {
    let (log, entries) = pending_apart(harness, 2).await;
    let bury = async |entry: &crate::log::Entry| {
        let letter = letter(entry);
        log.bury(&entry.at, "a", &host(), &source(), letter).await.expect("the log is there")
    };
    assert!(made(&bury(&entries[1]).await));
    harness.lose_groups().await;
    let mut reader = join(&log, "a").await;
    for entry in read(harness, reader.as_mut()).await {
        let answer = bury(&entry).await;
        assert!(made(&answer) != (entry.at == entries[1].at), "{answer:?} {entry:?}");
    }
    assert_eq!(all(&log, &StreamName::Type(EventType::DeadLetter)).await.len(), 2);
}

/// Case: a reader of several streams.
pub async fn groups_lost_in_all_streams_are_made_anew(harness: &dyn Harness) {
    let log = harness.log();
    let streams = vec![INPUT, StreamName::Type(EventType::ContainerSample)];
    let mut reader = log.join(Membership { streams, ..member("a") }).await.expect("the group can be joined");
    log.append(&[changed("db", 1), sample(1)]).await.expect("the log is there");
    take(harness, reader.as_mut(), 2).await;
    harness.lose_groups().await;
    log.append(&[changed("db", 2), sample(2)]).await.expect("the log is there");
    let entries = take(harness, reader.as_mut(), 4).await;
    assert_eq!(entries.iter().filter(|entry| entry.at.stream == INPUT).count(), 2);
}

/// Case: the stream is gone; what is appended from then on comes.
pub async fn a_reader_goes_on_after_its_stream_is_lost(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(&changes(3)).await.expect("the log is there");
    let entries = take(harness, reader.as_mut(), 3).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    harness.lose_stream(log.partition_of(&host()), &INPUT).await;
    assert!(read(harness, reader.as_mut()).await.is_empty());
    assert_eq!(log.append(&[changed("db", 4)]).await.expect("the log is there"), [5]);
    let entry = take_one(harness, reader.as_mut()).await;
    assert_eq!((entry.seq, entry.attempts), (Some(5), 1));
    assert!(made(&commit(&log, dealt_with(&entry, "a", 1)).await));
}

/// Case: the stream goes while the reader waits for it.
pub async fn a_waiting_reader_survives_the_loss_of_its_stream(harness: &dyn Harness) {
    let log = harness.log();
    let membership = Membership { block: SPAN, ..member("a") };
    let mut reader = log.join(membership).await.expect("the group can be joined");
    let losing = async {
        harness.advance(BLOCK).await;
        harness.lose_stream(log.partition_of(&host()), &INPUT).await;
        log.append(&changes(1)).await.expect("the log is there");
        harness.advance(SPAN).await;
    };
    let both = async { tokio::join!(reader.read(), losing) };
    let (entries, ()) = tokio::time::timeout(WAIT_MAX, both).await.expect("a read ends");
    let mut entries = entries.expect("a lost stream is no error");
    if entries.is_empty() {
        entries = take(harness, reader.as_mut(), 1).await;
    }
    assert_eq!(places(&entries), places(&all(&log, &INPUT).await));
}

/// Case: an entry that is nowhere any more.
pub async fn a_commit_for_an_entry_of_a_lost_stream_is_fenced(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    harness.lose_stream(log.partition_of(&host()), &INPUT).await;
    refused(&log, dealt_with(&entry, "a", 0), CommitAnswer::Fenced).await;
    let answer =
        log.bury(&entry.at, "a", &host(), &source(), letter(&entry)).await.expect("the log is there");
    assert_eq!(answer, CommitAnswer::Fenced);
}

/// Case: an empty log in place of the one there was. Nothing of it is missed, and nothing stands in the way.
pub async fn a_reader_goes_on_after_everything_is_lost(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(&changes(2)).await.expect("the log is there");
    let entries = take(harness, reader.as_mut(), 2).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    harness.lose_everything().await;
    refused(&log, dealt_with(&entries[1], "a", 1), CommitAnswer::Fenced).await;
    assert!(read(harness, reader.as_mut()).await.is_empty());
    assert_eq!(log.append(&changes(2)).await.expect("the log is there"), [1, 2]);
    for (version, entry) in (0..).zip(take(harness, reader.as_mut(), 2).await) {
        assert_eq!(
            commit(&log, dealt_with(&entry, "a", version)).await,
            CommitAnswer::Committed(vec![3 + version])
        );
    }
    assert_eq!(log.load_host(ROLE, &host()).await.expect("the log is there").len(), 1);
}

//! Reading in a group: every entry to one consumer, and to another when that one dies.

use std::collections::BTreeSet;
use std::pin::pin;

use hemostat_event::{EventType, Role};

use super::commit::{one_pending, pending, pending_apart, pending_entries, refused, under_another_key};
use super::events::{changed, changes, changes_apart, dealt_with, host, plan, sample};
use super::{
    BLOCK, Harness, INPUT, SPAN, WAIT_MAX, all, commit, join, join_claiming, made, member, places, read,
    take, take_one,
};
use crate::log::{Commit, CommitAnswer, Membership, StreamName};

/// Case: the group begins with the oldest entry, not with the next.
pub async fn a_late_joiner_sees_the_backlog(harness: &dyn Harness) {
    let log = harness.log();
    log.append(&changes(3)).await.expect("the log is there");
    let mut reader = join(&log, "a").await;
    let entries = take(harness, reader.as_mut(), 3).await;
    assert_eq!(places(&entries), places(&all(&log, &INPUT).await));
    assert!(entries.iter().all(|entry| entry.attempts == 1), "{entries:?}");
}

/// Case: order within a stream, over several reads.
pub async fn entries_of_a_stream_come_in_its_order(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = log.join(Membership { batch: 4, ..member("a") }).await.expect("the group can be joined");
    log.append(&changes(10)).await.expect("the log is there");
    let entries = take(harness, reader.as_mut(), 10).await;
    assert_eq!(places(&entries), places(&all(&log, &INPUT).await));
}

/// Case: the batch bounds a read, over all streams together, of new entries and of unfinished ones.
pub async fn a_read_hands_out_no_more_than_a_batch(harness: &dyn Harness) {
    let log = harness.log();
    let streams = vec![INPUT, StreamName::Type(EventType::ContainerSample)];
    let membership = Membership { streams, batch: 3, ..member("a") };
    for (n, event) in changes(5).into_iter().enumerate() {
        log.append(&[event, sample(n as u64)]).await.expect("the log is there");
    }
    for _life in 0..2 {
        let mut reader = log.join(membership.clone()).await.expect("the group can be joined");
        let mut seen = BTreeSet::new();
        for _read in 0..10 {
            let entries = read(harness, reader.as_mut()).await;
            assert!(entries.len() <= 3, "{entries:?}");
            seen.extend(places(&entries));
        }
        assert_eq!(seen.len(), 10);
    }
}

/// Case: streams by type and the plans of one host, among them one that does not exist yet.
pub async fn entries_of_all_streams_are_handed_out(harness: &dyn Harness) {
    let log = harness.log();
    let plans = StreamName::Plans(host());
    let recovered = StreamName::Type(EventType::HealthRecovered);
    let streams = vec![INPUT, plans.clone(), recovered];
    let mut reader = log.join(Membership { streams, ..member("a") }).await.expect("the group can be joined");
    log.append(&[changed("db", 1), plan(&host()), sample(1)]).await.expect("the log is there");
    let entries = take(harness, reader.as_mut(), 2).await;
    let streams: BTreeSet<_> = entries.into_iter().map(|entry| entry.at.stream).collect();
    assert_eq!(streams, BTreeSet::from([INPUT, plans]));
    assert!(read(harness, reader.as_mut()).await.is_empty());
}

/// Case: a busy stream and a quiet one, in either order.
pub async fn no_stream_waits_for_the_end_of_another(harness: &dyn Harness) {
    let log = harness.log();
    let samples = StreamName::Type(EventType::ContainerSample);
    let streams = vec![INPUT, samples.clone()];
    let membership = Membership { streams, batch: 1, ..member("a") };
    let mut reader = log.join(membership).await.expect("the group can be joined");
    for (from, quiet) in [(0, samples), (1_000, INPUT)] {
        let event = |n, stream: &StreamName| if *stream == INPUT { changed("db", n) } else { sample(n) };
        let busy = if quiet == INPUT { StreamName::Type(EventType::ContainerSample) } else { INPUT };
        log.append(&[event(from, &busy), event(from + 1, &busy), event(from, &quiet)])
            .await
            .expect("the log is there");
        let mut came = false;
        for n in 2..20 {
            log.append(&[event(from + n, &busy)]).await.expect("the log is there");
            came |= take_one(harness, reader.as_mut()).await.at.stream == quiet;
        }
        assert!(came, "{quiet} waits for {busy}");
        while !read(harness, reader.as_mut()).await.is_empty() {}
    }
}

/// Case: a read gives up after its wait; no earlier and without an error.
pub async fn a_read_without_entries_ends_empty(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    for _read in 0..3 {
        let before = log.now().await.expect("the log is there");
        assert!(read(harness, reader.as_mut()).await.is_empty());
        let waited = log.now().await.expect("the log is there").since(before);
        assert!(BLOCK / 2 <= waited, "{waited:?}");
    }
}

/// Case: an entry ends the wait.
pub async fn a_waiting_read_is_woken_by_an_append(harness: &dyn Harness) {
    let (log, second) = (harness.log(), harness.second().await);
    let membership = Membership { block: SPAN, ..member("a") };
    let mut reader = log.join(membership).await.expect("the group can be joined");
    for n in 1..=3 {
        let before = log.now().await.expect("the log is there");
        let append = async {
            harness.advance(BLOCK).await;
            second.append(&[changed("db", n)]).await.expect("the log is there");
        };
        let both = async { tokio::join!(reader.read(), append) };
        let (entries, ()) = tokio::time::timeout(WAIT_MAX, both).await.expect("a read ends");
        assert_eq!(entries.expect("the log is there").len(), 1);
        let waited = log.now().await.expect("the log is there").since(before);
        assert!(waited < SPAN, "it did not wait to the end: {waited:?}");
    }
}

/// Case: one entry, one consumer.
pub async fn two_consumers_never_get_the_same_entry(harness: &dyn Harness) {
    let (log, second) = (harness.log(), harness.second().await);
    let batch = |consumer: &str| Membership { batch: 3, ..member(consumer) };
    let mut one = log.join(batch("a")).await.expect("the group can be joined");
    let mut other = second.join(batch("b")).await.expect("the group can be joined");
    log.append(&changes(12)).await.expect("the log is there");
    let mut seen = Vec::new();
    for _read in 0..2 {
        for reader in [&mut one, &mut other] {
            let entries = read(harness, reader.as_mut()).await;
            assert_eq!(entries.len(), 3);
            seen.extend(places(&entries));
        }
    }
    assert_eq!(seen, places(&all(&log, &INPUT).await));
    assert!(read(harness, one.as_mut()).await.is_empty());
    assert!(read(harness, other.as_mut()).await.is_empty());
}

/// Case: several consumers read and commit at once: every entry is dealt with once.
pub async fn concurrent_consumers_share_the_work(harness: &dyn Harness) {
    const CONSUMERS: usize = 4;
    const ENTRIES: u64 = 80;
    let log = harness.log();
    log.append(&changes_apart(ENTRIES)).await.expect("the log is there");
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..CONSUMERS {
        let log = harness.second().await;
        tasks.spawn(async move {
            let name = format!("consumer-{n}");
            let membership = Membership { batch: 2, ..member(&name) };
            let mut reader = log.join(membership).await.expect("the group can be joined");
            let mut dealt = Vec::new();
            loop {
                let entries = reader.read().await.expect("the log is there");
                if entries.is_empty() {
                    return dealt;
                }
                for entry in entries {
                    let step = Commit { state: None, ..dealt_with(&entry, &name, 0) };
                    assert!(made(&commit(&log, step).await));
                    dealt.push(entry.at);
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    let passing = async {
        loop {
            harness.advance(BLOCK).await;
            tokio::task::yield_now().await;
        }
    };
    let dealt = tokio::select! {
        dealt = tasks.join_all() => dealt,
        () = passing => unreachable!("time passes for ever"),
    };
    let mut dealt: Vec<_> = dealt.into_iter().flatten().collect();
    dealt.sort();
    assert_eq!(dealt, places(&all(&log, &INPUT).await));
}

/// Case: every role sees everything, and commits of one leave the entries of the other alone.
pub async fn groups_do_not_share_entries(harness: &dyn Harness) {
    let log = harness.log();
    let mut one = join(&log, "a").await;
    let alert = Membership { role: Role::Alert, ..member("a") };
    let mut other = log.join(alert).await.expect("the group can be joined");
    log.append(&changes(1)).await.expect("the log is there");
    let entry = take_one(harness, one.as_mut()).await;
    let same = take_one(harness, other.as_mut()).await;
    assert_eq!((&same.at, same.attempts), (&entry.at, 1));
    assert!(made(&commit(&log, dealt_with(&entry, "a", 0)).await));
    let step = Commit { role: Role::Alert, ..under_another_key(dealt_with(&same, "a", 0)) };
    assert!(made(&commit(&log, step).await));
}

/// Case: what is being worked on is not handed out again, to nobody.
pub async fn entries_in_flight_are_not_handed_out_twice(harness: &dyn Harness) {
    let log = harness.log();
    let (mut one, mut other) = (join(&log, "a").await, join(&log, "b").await);
    log.append(&changes(2)).await.expect("the log is there");
    take(harness, one.as_mut(), 2).await;
    for _read in 0..3 {
        assert!(read(harness, one.as_mut()).await.is_empty());
        assert!(read(harness, other.as_mut()).await.is_empty());
    }
    log.append(&[changed("db", 3)]).await.expect("the log is there");
    let new = take_one(harness, one.as_mut()).await;
    assert_eq!(new.at, all(&log, &INPUT).await.remove(2).at);
}

/// Case: a consumer that does not come back.
pub async fn entries_of_a_dead_consumer_are_taken_over(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 3).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    let mut heir = join_claiming(&harness.second().await, "b").await;
    harness.advance(SPAN).await;
    let taken = take(harness, heir.as_mut(), 2).await;
    assert_eq!(places(&taken), places(&entries[1..]));
    assert!(taken.iter().all(|entry| entry.attempts == 2), "{taken:?}");
    assert!(made(&commit(&log, dealt_with(&taken[0], "b", 1)).await));
    assert!(read(harness, heir.as_mut()).await.is_empty());
}

/// Case: slow is not dead. Another consumer that waits longer takes nothing either.
pub async fn entries_of_a_dead_consumer_are_not_taken_over_early(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    let mut patient = join(&log, "b").await;
    let mut heir = join_claiming(&log, "c").await;
    harness.advance(SPAN / 2).await;
    assert!(read(harness, heir.as_mut()).await.is_empty());
    harness.advance(SPAN / 2).await;
    assert!(read(harness, patient.as_mut()).await.is_empty());
    assert_eq!(take_one(harness, heir.as_mut()).await.at, entry.at);
}

/// Case: a stream that always has something new.
pub async fn idle_entries_do_not_wait_for_the_end_of_new_ones(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    let membership = Membership { batch: 1, claim_after: SPAN, ..member("b") };
    let mut heir = log.join(membership).await.expect("the group can be joined");
    harness.advance(SPAN).await;
    let rounds = 2 * SPAN.as_millis() / BLOCK.as_millis();
    for round in 0..rounds {
        log.append(&[changed("web", 2 * round as u64), changed("web", 2 * round as u64 + 1)])
            .await
            .expect("the log is there");
        let taken = take_one(harness, heir.as_mut()).await;
        if taken.at == entry.at {
            return;
        }
        harness.advance(BLOCK).await;
    }
    panic!("{entry:?} was not taken over in {rounds} reads");
}

/// Case: work that takes longer than `claim_after`. A renewal is no delivery.
pub async fn renewed_entries_are_not_taken_over(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    let mut heir = join_claiming(&harness.second().await, "b").await;
    log.append(&changes(2)).await.expect("the log is there");
    let entries = take(harness, reader.as_mut(), 2).await;
    for _renewal in 0..3 {
        harness.advance(SPAN / 2).await;
        reader.renew(&places(&entries)).await.expect("the log is there");
        assert!(read(harness, heir.as_mut()).await.is_empty());
    }
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    harness.advance(SPAN).await;
    let taken = take_one(harness, heir.as_mut()).await;
    assert_eq!((&taken.at, taken.attempts), (&entries[1].at, 2));
}

/// Case: a zombie renews what has been taken over meanwhile.
pub async fn a_renewal_takes_nothing_from_another(harness: &dyn Harness) {
    let log = harness.log();
    let mut zombie = join(&log, "a").await;
    log.append(&changes(1)).await.expect("the log is there");
    let entry = take_one(harness, zombie.as_mut()).await;
    let mut heir = join_claiming(&harness.second().await, "b").await;
    harness.advance(SPAN).await;
    let taken = take_one(harness, heir.as_mut()).await;
    zombie.renew(std::slice::from_ref(&entry.at)).await.expect("the log is there");
    refused(&log, dealt_with(&entry, "a", 0), CommitAnswer::Fenced).await;
    assert!(made(&commit(&log, dealt_with(&taken, "b", 0)).await));
}

/// Case: a renewal that comes too late, of an entry that is done and of one that never was.
pub async fn a_renewal_does_not_revive_an_acknowledged_entry(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(&changes(2)).await.expect("the log is there");
    let entries = take(harness, reader.as_mut(), 2).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    let mut absent = entries[1].at.clone();
    absent.id.n += 7;
    reader.renew(&[entries[0].at.clone(), absent]).await.expect("the log is there");
    reader.renew(&[]).await.expect("the log is there");
    assert_eq!(pending(&log).await, 1);
    let mut rejoined = join(&log, "a").await;
    assert_eq!(take_one(harness, rejoined.as_mut()).await.at, entries[1].at);
    assert!(read(harness, rejoined.as_mut()).await.is_empty());
}

/// Case: an owner that lost track of an entry gets it again.
pub async fn entries_idle_in_flight_come_back_to_their_reader(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join_claiming(&log, "a").await;
    log.append(&changes(1)).await.expect("the log is there");
    let entry = take_one(harness, reader.as_mut()).await;
    harness.advance(SPAN).await;
    let again = take_one(harness, reader.as_mut()).await;
    assert_eq!((&again.at, again.attempts), (&entry.at, 2));
    assert!(made(&commit(&log, dealt_with(&again, "a", 0)).await));
}

/// Case: a replica that was started again under its name; its entries need not be idle.
pub async fn unfinished_entries_come_first_after_rejoining(harness: &dyn Harness) {
    let (log, unfinished) = pending_entries(harness, 3).await;
    log.append(&[changed("db", 4)]).await.expect("the log is there");
    let mut rejoined = join(&harness.second().await, "a").await;
    let first = read(harness, rejoined.as_mut()).await;
    assert_eq!(places(&first[..3]), places(&unfinished));
    assert!(first[..3].iter().all(|entry| entry.attempts == 2), "{first:?}");
    let new = match first.into_iter().nth(3) {
        Some(new) => new,
        None => take_one(harness, rejoined.as_mut()).await,
    };
    assert_eq!((&new.at, new.attempts), (&all(&log, &INPUT).await[3].at, 1));
    assert!(read(harness, rejoined.as_mut()).await.is_empty());
}

/// Case: a replica that was started again too late: another has its entries.
pub async fn what_was_taken_over_is_not_handed_out_after_rejoining(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 2).await;
    harness.advance(SPAN).await;
    let mut rejoined = join(&log, "a").await;
    let mut heir = join_claiming(&harness.second().await, "b").await;
    let taken = take(harness, heir.as_mut(), 2).await;
    assert_eq!(places(&taken), places(&entries));
    assert!(read(harness, rejoined.as_mut()).await.is_empty());
    assert!(made(&commit(&log, dealt_with(&taken[0], "b", 0)).await));
}

/// Case: what is done is done, also for a replica that was started again.
pub async fn acknowledged_entries_do_not_come_after_rejoining(harness: &dyn Harness) {
    let (log, entries) = pending_apart(harness, 3).await;
    assert!(made(&commit(&log, dealt_with(&entries[1], "a", 0)).await));
    let mut rejoined = join(&log, "a").await;
    let again = take(harness, rejoined.as_mut(), 2).await;
    assert_eq!(places(&again), [entries[0].at.clone(), entries[2].at.clone()]);
    let mut other = join(&log, "b").await;
    assert!(read(harness, other.as_mut()).await.is_empty());
}

/// Case: a read that is given up while it waits, as a replica does that dies.
pub async fn a_read_dropped_midway_loses_nothing(harness: &dyn Harness) {
    let log = harness.log();
    let membership = Membership { block: SPAN, ..member("a") };
    let mut reader = log.join(membership).await.expect("the group can be joined");
    {
        let mut reading = pin!(reader.read());
        tokio::select! {
            biased;
            read = &mut reading => panic!("there is nothing to read: {read:?}"),
            () = harness.advance(BLOCK) => {}
        }
    }
    drop(reader);
    log.append(&changes(3)).await.expect("the log is there");
    let mut heir = join_claiming(&harness.second().await, "b").await;
    let mut taken = places(&take(harness, heir.as_mut(), 3).await);
    taken.sort();
    assert_eq!(taken, places(&all(&log, &INPUT).await));
}

//! Members under leased names: who gets a slot takes over at once what was left in it, and nothing else. What members
//! hold is idle only after [`LONG`], so nothing here comes to others by itself.

use std::sync::Arc;

use hemostat_core::role::Timer;

use super::commit::{pending, refused};
use super::events::{changed, changes_apart, dealt_with, host, subject};
use super::{Harness, INPUT, LONG, ROLE, all, commit, join, made, member, places, read, take, take_one};
use crate::log::{Commit, CommitAnswer, ConsumerName, EventLog, GroupReader, Lease, Membership};

/// Case: a member that died, and whoever gets its slot: no waiting, and the delivery to the heir counts.
pub async fn the_next_of_a_slot_takes_over_at_once_what_earlier_ones_left(harness: &dyn Harness) {
    let log = harness.log();
    log.append(&changes_apart(3)).await.expect("the log is there");
    let first = name(0, 1);
    let entries = take(harness, join(&log, &first).await.as_mut(), 3).await;
    assert!(made(&commit(&log, dealt_with(&entries[1], &first, 0)).await));
    let heir_name = name(0, 2);
    let mut heir = join(&harness.second().await, &heir_name).await;
    let taken = take(harness, heir.as_mut(), 2).await;
    assert_eq!(places(&taken), [entries[0].at.clone(), entries[2].at.clone()]);
    assert!(taken.iter().all(|entry| entry.attempts == 2), "{taken:?}");
    refused(&log, dealt_with(&entries[0], &first, 0), CommitAnswer::Fenced).await;
    for entry in &taken {
        assert!(made(&commit(&log, dealt_with(entry, &heir_name, 0)).await));
    }
    assert_eq!(pending(&log).await, 0);
}

/// Case: other slots, later epochs and other names keep what they have.
pub async fn the_next_of_a_slot_takes_nothing_from_others(harness: &dyn Harness) {
    let log = harness.log();
    let others = [name(1, 1), name(0, 9), name(10, 1), "analyzer-host-77".to_owned()];
    let mut held = Vec::new();
    for (n, other) in (1..).zip(&others) {
        let mut reader = join(&log, other).await;
        log.append(&[changed(&format!("c{n}"), n)]).await.expect("the log is there");
        held.push((take_one(harness, reader.as_mut()).await, other));
    }
    let mut heir = join(&log, &name(0, 5)).await;
    assert!(read(harness, heir.as_mut()).await.is_empty());
    for (entry, other) in held {
        assert!(made(&commit(&log, dealt_with(&entry, other, 0)).await), "{other}");
    }
}

/// Case: timers that a dead member had taken.
pub async fn the_next_of_a_slot_returns_the_timers_of_earlier_ones(harness: &dyn Harness) {
    let log = harness.log();
    let (left, others) = (timer(1), timer(2));
    let _dead = set_and_take(harness, &name(0, 1), &left).await;
    let _alive = set_and_take(harness, &name(1, 1), &others).await;
    assert_eq!(take_due(&log, "c").await, []);
    let _heir = join(&log, &name(0, 2)).await;
    assert_eq!(take_due(&log, &name(0, 2)).await, [left]);
}

/// Case: a slot as replicas use it, with the lease of the port.
pub async fn a_member_that_lost_its_slot_is_fenced(harness: &dyn Harness) {
    let log = harness.log();
    let lease = |owner: &'static str, ttl| {
        let log = Arc::clone(&log);
        async move { log.lease("member:test:0", &host(), owner, ttl).await.expect("the log is there") }
    };
    let first: Lease = lease("one", LONG).await.expect("it is free");
    let zombie = name(0, first.epoch);
    log.append(&[changed("db", 1)]).await.expect("the log is there");
    let entry = take_one(harness, join(&log, &zombie).await.as_mut()).await;
    log.release(&first, "one").await.expect("the log is there");
    let second: Lease = lease("two", LONG).await.expect("it was given back");
    let heir_name = name(0, second.epoch);
    let mut heir = join(&harness.second().await, &heir_name).await;
    let taken = take_one(harness, heir.as_mut()).await;
    assert_eq!(taken.at, entry.at);
    refused(&log, dealt_with(&entry, &zombie, 0), CommitAnswer::Fenced).await;
    assert!(made(&commit(&log, dealt_with(&taken, &heir_name, 0)).await));
}

/// Case: more than one step of the takeover.
pub async fn a_long_legacy_is_taken_over_to_its_end(harness: &dyn Harness) {
    const LEFT: usize = 1_200;
    let log = harness.log();
    for part in changes_apart(LEFT as u64).chunks(200) {
        log.append(part).await.expect("the log is there");
    }
    let membership = Membership { batch: LEFT, ..member(&name(0, 1)) };
    let mut dead = log.join(membership).await.expect("the group can be joined");
    take(harness, dead.as_mut(), LEFT).await;
    let membership = Membership { batch: LEFT, ..member(&name(0, 2)) };
    let mut heir = log.join(membership).await.expect("the group can be joined");
    assert_eq!(take(harness, heir.as_mut(), LEFT).await.len(), LEFT);
    assert_eq!(all(&log, &INPUT).await.len(), LEFT);
}

/// Case: entries left by a clean end are not lost when its slot is given to the next at once.
pub async fn what_was_handed_over_and_inherited_comes_once(harness: &dyn Harness) {
    let log = harness.log();
    let first = name(0, 1);
    let mut leaving = join(&log, &first).await;
    log.append(&[changed("db", 70)]).await.expect("the log is there");
    let entry = take_one(harness, leaving.as_mut()).await;
    leaving.hand_over().await.expect("the log is there");
    let mut heir = join(&log, &name(0, 2)).await;
    let taken = take_one(harness, heir.as_mut()).await;
    assert_eq!((&taken.at, taken.attempts), (&entry.at, 1));
    assert!(read(harness, heir.as_mut()).await.is_empty());
}

fn name(slot: u32, epoch: u64) -> String {
    ConsumerName { role: ROLE, slot, epoch }.to_string()
}

fn timer(n: u64) -> Timer {
    let cause = changed("db", n).envelope.id;
    Timer { subject: subject(&format!("t{n}")), name: "verify".to_owned(), cause, due: super::events::at(0) }
}

/// Sets a timer, and lets `consumer`, a member, take it.
async fn set_and_take(harness: &dyn Harness, consumer: &str, timer: &Timer) -> Box<dyn GroupReader> {
    let log = harness.log();
    let mut reader = join(&log, consumer).await;
    let n = 1_000 + all(&log, &INPUT).await.len() as u64;
    log.append(&[changed("cache", n)]).await.expect("the log is there");
    let entry = take_one(harness, reader.as_mut()).await;
    let step = Commit {
        state: None,
        emit: Vec::new(),
        timers: vec![timer.clone()],
        ..dealt_with(&entry, consumer, 0)
    };
    assert!(made(&commit(&log, step).await));
    assert_eq!(take_due(&log, consumer).await, std::slice::from_ref(timer));
    reader
}

async fn take_due(log: &Arc<dyn EventLog>, consumer: &str) -> Vec<Timer> {
    log.take_due(ROLE, None, consumer, LONG, 10).await.expect("the log is there")
}

//! Durable deadlines: due in log time, taken under a lease, removed by the commit that deals with them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hemostat_core::role::Timer;
use hemostat_event::{EventId, HostName, Role, Subject, Timestamp};

use super::commit::{one_pending, pending_entries, refused, under_another_key};
use super::events::{begun, changed, changed_on, dealt_with, host, host_named, subject, timer_dealt_with};
use super::{BLOCK, Harness, LONG, OUTPUT, ROLE, SPAN, all, commit, made, numbers};
use crate::log::{Commit, CommitAnswer, CommitInput, EventLog};

/// Case: not before, then once.
pub async fn a_timer_is_taken_when_it_is_due(harness: &dyn Harness) {
    let log = harness.log();
    let timer = Timer { due: now(&log).await + SPAN, ..timer("verify", 1) };
    set(harness, [timer.clone()]).await;
    assert_eq!(take_due(&log, "a", LONG).await, []);
    harness.advance(SPAN).await;
    assert_eq!(take_due(&log, "a", LONG).await, [timer]);
}

/// Case: the earliest first.
pub async fn due_timers_come_in_the_order_of_their_deadlines(harness: &dyn Harness) {
    let log = harness.log();
    let now = now(&log).await;
    let due = |cause: u64, micros: u64| Timer {
        due: now - Duration::from_micros(micros),
        ..timer("verify", cause)
    };
    set(harness, [due(1, 1), due(2, 3), due(3, 2)]).await;
    assert_eq!(take_due(&log, "a", LONG).await, [due(2, 3), due(3, 2), due(1, 1)]);
}

/// Case: the rest stays for the next call, also of another.
pub async fn no_more_timers_are_taken_than_asked_for(harness: &dyn Harness) {
    let log = harness.log();
    let now = now(&log).await;
    let timers: Vec<_> = (1..=5).map(|cause| Timer { due: now, ..timer("verify", cause) }).collect();
    set(harness, timers.clone()).await;
    let mut taken = BTreeSet::new();
    for (consumer, count) in [("a", 2), ("b", 2), ("a", 1), ("b", 0)] {
        let some = log.take_due(ROLE, None, consumer, LONG, 2).await.expect("the log is there");
        assert_eq!(some.len(), count);
        taken.extend(some);
    }
    assert_eq!(taken, timers.into_iter().collect());
}

/// Case: a deadline of a container that the caller's engine does not know, earlier than its own.
pub async fn timers_of_other_hosts_are_left_to_them(harness: &dyn Harness) {
    let log = harness.log();
    let now = now(&log).await;
    let mut reader = super::join(&log, "setter").await;
    let mut timers = Vec::new();
    // One name begins with the other.
    for (n, host) in [(1, host_named("web-10")), (2, host_named("web-1"))] {
        log.append(&[changed_on(&host, n)]).await.expect("the log is there");
        let entry = super::take_one(harness, reader.as_mut()).await;
        let subject = Subject::new(&host, "db").expect("a word is a container name");
        let timer =
            Timer { subject: subject.clone(), due: now - Duration::from_secs(3 - n), ..timer("verify", n) };
        let timers_set = vec![timer.clone()];
        let step = dealt_with(&entry, "setter", 0);
        let step = Commit { subject, state: None, emit: Vec::new(), timers: timers_set, ..step };
        assert!(made(&commit(&log, step).await));
        timers.push((host, timer));
    }
    let mine = async |host: &HostName, max| {
        log.take_due(ROLE, Some(host), "a", LONG, max).await.expect("the log is there")
    };
    for (host, timer) in timers.iter().rev() {
        assert_eq!(mine(host, 1).await, std::slice::from_ref(timer));
        assert_eq!(mine(host, 10).await, []);
    }
}

/// Case: one consumer at a time, the one that has it included.
pub async fn a_taken_timer_is_not_taken_again_before_its_lease_ends(harness: &dyn Harness) {
    let (log, _timer) = one_taken(harness, LONG).await;
    harness.advance(SPAN).await;
    for consumer in ["a", "b"] {
        assert_eq!(take_due(&log, consumer, LONG).await, []);
    }
}

/// Case: a consumer that does not come back.
pub async fn a_timer_comes_back_when_its_lease_ends(harness: &dyn Harness) {
    let (log, timer) = one_taken(harness, SPAN).await;
    harness.advance(SPAN).await;
    assert_eq!(take_due(&harness.second().await, "b", LONG).await, std::slice::from_ref(&timer));
    assert_eq!(take_due(&log, "a", LONG).await, []);
    assert!(made(&commit(&log, timer_dealt_with(&timer, "b", 1)).await));
}

/// Case: the same subject, name and cause, later and earlier.
pub async fn setting_a_timer_again_moves_it(harness: &dyn Harness) {
    let log = harness.log();
    let now = now(&log).await;
    let (early, late) =
        (Timer { due: now, ..timer("verify", 1) }, Timer { due: now + LONG, ..timer("verify", 1) });
    set(harness, [early.clone()]).await;
    set(harness, [late.clone()]).await;
    assert_eq!(take_due(&log, "a", LONG).await, []);
    set(harness, [early.clone()]).await;
    assert_eq!(take_due(&log, "a", LONG).await, [early]);
    assert_eq!(take_due(&log, "a", LONG).await, []);
}

/// Case: what makes a timer another one.
pub async fn timers_of_one_subject_are_apart_by_name_and_cause(harness: &dyn Harness) {
    let log = harness.log();
    let due = now(&log).await;
    let other_subject = Timer { subject: subject("web"), ..timer("verify", 1) };
    let timers = [timer("hold", 1), timer("verify", 1), timer("verify", 2), other_subject];
    let timers = timers.map(|timer| Timer { due, ..timer });
    set(harness, timers.clone()).await;
    let taken: BTreeSet<_> = take_due(&log, "a", LONG).await.into_iter().collect();
    assert_eq!(taken, BTreeSet::from(timers));
}

/// Case: dealt with.
pub async fn the_acknowledging_commit_removes_the_timer(harness: &dyn Harness) {
    let (log, timer) = one_taken(harness, SPAN).await;
    let step = timer_dealt_with(&timer, "a", 1);
    assert!(made(&commit(&log, step.clone()).await));
    assert_eq!(
        all(&log, &OUTPUT).await.last().and_then(|entry| entry.event.as_ref().ok()),
        step.emit.first()
    );
    harness.advance(SPAN).await;
    assert_eq!(take_due(&log, "b", LONG).await, []);
}

/// Case: intent now, outcome later, or by another when this one dies.
pub async fn an_intermediate_commit_keeps_the_timer(harness: &dyn Harness) {
    let (log, timer) = one_taken(harness, SPAN).await;
    let intent = unacknowledged(timer_dealt_with(&timer, "a", 1));
    assert!(made(&commit(&log, intent.clone()).await));
    assert_eq!(commit(&log, intent).await, CommitAnswer::Duplicate);
    harness.advance(SPAN).await;
    assert_eq!(take_due(&log, "b", LONG).await, std::slice::from_ref(&timer));
    assert!(made(&commit(&log, under_another_key(timer_dealt_with(&timer, "b", 2))).await));
    assert_eq!(take_due(&log, "b", LONG).await, []);
}

/// Case: a timer that is due and nobody's, and one that is nowhere.
pub async fn a_commit_for_a_timer_that_was_not_taken_is_fenced(harness: &dyn Harness) {
    let log = harness.log();
    let timer = Timer { due: now(&log).await, ..timer("verify", 1) };
    let step = timer_dealt_with(&timer, "a", 0);
    assert_eq!(commit(&log, step.clone()).await, CommitAnswer::Fenced);
    set(harness, [timer.clone()]).await;
    let step = Commit { state: None, ..step };
    assert_eq!(commit(&log, step).await, CommitAnswer::Fenced);
    assert_eq!(take_due(&log, "a", LONG).await, [timer]);
}

/// Case: slow, but nobody else has begun.
pub async fn a_commit_for_a_timer_is_made_after_its_lease_until_somebody_takes_it(harness: &dyn Harness) {
    let (log, timer) = one_taken(harness, SPAN).await;
    harness.advance(SPAN).await;
    assert!(made(&commit(&log, timer_dealt_with(&timer, "a", 1)).await));
    assert_eq!(take_due(&log, "b", LONG).await, []);
}

/// Case: a zombie, whose timer was taken meanwhile.
pub async fn a_commit_for_a_timer_that_was_taken_over_is_fenced(harness: &dyn Harness) {
    let (log, timer) = one_taken(harness, SPAN).await;
    harness.advance(SPAN).await;
    assert_eq!(take_due(&log, "b", LONG).await.len(), 1);
    let before = numbers(&log, log.partition_of(&host())).await;
    for step in [timer_dealt_with(&timer, "a", 1), unacknowledged(timer_dealt_with(&timer, "a", 1))] {
        assert_eq!(commit(&log, step).await, CommitAnswer::Fenced);
    }
    assert_eq!(numbers(&log, log.partition_of(&host())).await, before);
    assert!(made(&commit(&log, timer_dealt_with(&timer, "b", 1)).await));
}

/// Case: moved by another input while it was being dealt with; the new deadline stays.
pub async fn a_commit_for_a_timer_that_was_moved_is_fenced(harness: &dyn Harness) {
    let (log, timer) = one_taken(harness, LONG).await;
    let moved = Timer { due: now(&log).await + SPAN, ..timer.clone() };
    set(harness, [moved.clone()]).await;
    let step = Commit { state: None, ..timer_dealt_with(&timer, "a", 0) };
    assert_eq!(commit(&log, step).await, CommitAnswer::Fenced);
    harness.advance(SPAN).await;
    assert_eq!(take_due(&log, "b", LONG).await, [moved]);
}

/// Case: repeated after an unknown outcome, by which time the timer is gone.
pub async fn a_repeated_commit_for_a_timer_is_a_duplicate(harness: &dyn Harness) {
    let (log, timer) = one_taken(harness, LONG).await;
    let step = timer_dealt_with(&timer, "a", 1);
    assert!(made(&commit(&log, step.clone()).await));
    let before = numbers(&log, log.partition_of(&host())).await;
    assert_eq!(commit(&harness.second().await, step).await, CommitAnswer::Duplicate);
    assert_eq!(numbers(&log, log.partition_of(&host())).await, before);
}

/// Case: look again later.
pub async fn a_commit_for_a_timer_can_set_it_again(harness: &dyn Harness) {
    let (log, timer) = one_taken(harness, LONG).await;
    let again = Timer { due: now(&log).await + SPAN, ..timer.clone() };
    let step = Commit { timers: vec![again.clone()], ..timer_dealt_with(&timer, "a", 1) };
    assert!(made(&commit(&log, step).await));
    assert_eq!(take_due(&log, "a", LONG).await, []);
    harness.advance(SPAN).await;
    assert_eq!(take_due(&log, "a", LONG).await, [again]);
}

/// Case: a commit that set its timer again arrives a second time, when the same consumer has taken the timer again.
pub async fn a_late_repetition_leaves_a_timer_that_was_set_and_taken_again(harness: &dyn Harness) {
    let (log, timer) = one_taken(harness, LONG).await;
    harness.advance(BLOCK).await;
    let again = Timer { due: now(&log).await, ..timer.clone() };
    let step = Commit { timers: vec![again.clone()], ..timer_dealt_with(&timer, "a", 1) };
    assert!(made(&commit(&log, step.clone()).await));
    assert_eq!(take_due(&log, "a", LONG).await, std::slice::from_ref(&again));
    refused(&log, step, CommitAnswer::Fenced).await;
    log.give_back(ROLE, "a", &[timer]).await.expect("the log is there");
    assert_eq!(take_due(&log, "b", LONG).await, [], "what was taken before is not to be given back");
    assert!(made(&commit(&log, under_another_key(timer_dealt_with(&again, "a", 2))).await));
}

/// Case: roles have their own.
pub async fn timers_of_another_role_are_not_touched(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 2).await;
    let timer = Timer { due: now(&log).await, ..timer("verify", 1) };
    let mine = Commit { timers: vec![timer.clone()], ..dealt_with(&entries[0], "a", 0) };
    assert!(made(&commit(&log, mine).await));
    assert_eq!(log.take_due(Role::Responder, None, "a", LONG, 10).await.expect("the log is there"), []);
    let lease =
        log.lease("engine:web-1", &host(), "a", LONG).await.expect("the log is there").expect("it is free");
    let theirs = Commit {
        role: Role::Responder,
        input: CommitInput::Lease { lease },
        timers: vec![Timer { due: now(&log).await + LONG, ..timer.clone() }],
        ..under_another_key(dealt_with(&entries[1], "a", 0))
    };
    assert!(made(&commit(&log, theirs).await));
    assert_eq!(take_due(&log, "a", LONG).await, [timer]);
}

/// Case: a refused commit sets nothing.
pub async fn a_commit_that_is_not_made_sets_no_timer(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    assert!(made(&commit(&log, begun(&entry, "a", 0)).await));
    let timers = vec![Timer { due: now(&log).await, ..timer("verify", 1) }];
    let refused = [
        (
            Commit { timers: timers.clone(), ..under_another_key(dealt_with(&entry, "b", 1)) },
            CommitAnswer::Fenced,
        ),
        (
            Commit { timers: timers.clone(), ..under_another_key(dealt_with(&entry, "a", 7)) },
            CommitAnswer::Conflict,
        ),
        (Commit { timers, ..dealt_with(&entry, "a", 1) }, CommitAnswer::Duplicate),
    ];
    for (step, answer) in refused {
        assert_eq!(commit(&log, step).await, answer);
    }
    assert_eq!(take_due(&log, "a", LONG).await, []);
}

/// Case: they do not hang on any stream.
pub async fn timers_outlive_the_groups(harness: &dyn Harness) {
    let (log, timer) = one_taken(harness, SPAN).await;
    harness.lose_groups().await;
    assert!(made(&commit(&log, timer_dealt_with(&timer, "a", 1)).await));
    assert_eq!(take_due(&log, "a", LONG).await, []);
}

/// A timer of the cases' container.
fn timer(name: &str, cause: u64) -> Timer {
    let cause = EventId::derive(changed("db", cause).envelope.id, ROLE, "cause", 0);
    Timer { subject: subject("db"), name: name.to_owned(), cause, due: Timestamp::EPOCH }
}

/// Sets timers by a commit for an input of their own, which changes no state.
async fn set(harness: &dyn Harness, timers: impl Into<Vec<Timer>>) {
    let log = harness.log();
    let n = 1_000 + all(&log, &super::INPUT).await.len() as u64;
    let mut reader = super::join(&log, "setter").await;
    log.append(&[changed("cache", n)]).await.expect("the log is there");
    let entry = super::take_one(harness, reader.as_mut()).await;
    let step =
        Commit { state: None, emit: Vec::new(), timers: timers.into(), ..dealt_with(&entry, "setter", 0) };
    assert!(made(&commit(&log, step).await));
}

/// A timer that `a` has taken for `lease`, set by a first step on the container, whose state has version 1 since.
pub(super) async fn one_taken(harness: &dyn Harness, lease: Duration) -> (Arc<dyn EventLog>, Timer) {
    let (log, entry) = one_pending(harness).await;
    let timer = Timer { due: now(&log).await, ..timer("verify", 1) };
    let step = Commit { timers: vec![timer.clone()], ..dealt_with(&entry, "a", 0) };
    assert!(made(&commit(&log, step).await));
    assert_eq!(take_due(&log, "a", lease).await, std::slice::from_ref(&timer));
    (log, timer)
}

fn unacknowledged(mut step: Commit) -> Commit {
    if let CommitInput::Timer { acknowledge, .. } = &mut step.input {
        *acknowledge = false;
    }
    step
}

pub(super) async fn take_due(log: &Arc<dyn EventLog>, consumer: &str, lease: Duration) -> Vec<Timer> {
    log.take_due(ROLE, None, consumer, lease, 10).await.expect("the log is there")
}

async fn now(log: &Arc<dyn EventLog>) -> Timestamp {
    log.now().await.expect("the log is there")
}

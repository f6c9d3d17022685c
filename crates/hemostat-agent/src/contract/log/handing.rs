//! A replica that ends in order hands over what it has.

use super::commit::{one_pending, pending, pending_entries, under_another_key};
use super::events::{begun, changed, dealt_with, timer_dealt_with};
use super::timers::{one_taken, take_due};
use super::{Harness, LONG, commit, join, made, places, read, take, take_one};
use crate::log::CommitAnswer;

/// Case: others need not wait until it has been idle, and it counts as no try.
pub async fn what_is_handed_over_is_taken_at_once_and_counts_as_no_try(harness: &dyn Harness) {
    let log = harness.log();
    let mut ending = join(&log, "a").await;
    log.append(&[changed("db", 1), changed("web", 2)]).await.expect("the log is there");
    let entries = take(harness, ending.as_mut(), 2).await;
    assert!(made(&commit(&log, begun(&entries[0], "a", 0)).await));
    ending.hand_over().await.expect("the log is there");
    let mut heir = join(&harness.second().await, "b").await;
    let taken = take(harness, heir.as_mut(), 2).await;
    assert_eq!(places(&taken), places(&entries));
    assert_eq!(taken.iter().map(|entry| entry.attempts).collect::<Vec<_>>(), [1, 1]);
    // Whoever handed over has nothing to say any more.
    let late = under_another_key(dealt_with(&entries[0], "a", 1));
    assert_eq!(commit(&log, late).await, CommitAnswer::Fenced);
    assert!(made(&commit(&log, under_another_key(dealt_with(&taken[0], "b", 1))).await));
}

/// Case: only its own, and only what is left.
pub async fn a_hand_over_touches_nothing_else(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 2).await;
    let mut other = join(&log, "b").await;
    log.append(&[changed("web", 3)]).await.expect("the log is there");
    let theirs = take_one(harness, other.as_mut()).await;
    for (version, entry) in (0..).zip(&entries) {
        assert!(made(&commit(&log, dealt_with(entry, "a", version)).await));
    }
    let mut ending = join(&log, "a").await;
    ending.hand_over().await.expect("the log is there");
    let mut third = join(&log, "c").await;
    assert!(read(harness, third.as_mut()).await.is_empty());
    assert_eq!(pending(&log).await, 1);
    assert!(made(&commit(&log, dealt_with(&theirs, "b", 0)).await));
}

/// Case: the same consumer again, as when only the process is replaced.
pub async fn a_successor_of_the_same_name_finds_what_was_handed_over(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    let mut ending = join(&log, "a").await;
    ending.hand_over().await.expect("the log is there");
    let mut heir = join(&log, "a").await;
    let again = take_one(harness, heir.as_mut()).await;
    assert_eq!((again.at.clone(), again.attempts), (entry.at, 1));
    assert!(made(&commit(&log, dealt_with(&again, "a", 0)).await));
}

/// Case: a deadline does not wait for the end of a lease either.
pub async fn timers_given_back_are_due_at_once(harness: &dyn Harness) {
    let (log, timer) = one_taken(harness, LONG).await;
    let given = [timer.clone()];
    log.give_back(super::ROLE, "b", &given).await.expect("the log is there");
    assert_eq!(take_due(&log, "b", LONG).await, [], "it is not theirs to give");
    log.give_back(super::ROLE, "a", &given).await.expect("the log is there");
    assert_eq!(take_due(&log, "b", LONG).await, given);
    assert_eq!(commit(&log, timer_dealt_with(&timer, "a", 1)).await, CommitAnswer::Fenced);
    assert!(made(&commit(&log, timer_dealt_with(&timer, "b", 1)).await));
    log.give_back(super::ROLE, "b", &given).await.expect("the log is there");
    assert_eq!(take_due(&log, "c", LONG).await, [], "it is dealt with");
}

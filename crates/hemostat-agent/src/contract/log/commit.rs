//! Commits: all or nothing, fenced, by version, once per key.

use std::sync::Arc;
use std::time::Duration;

use hemostat_core::role::Timer;
use hemostat_event::{Event, Role};

use super::events::{begun, change, changed, changes, changes_apart, dealt_with, host, recovered, subject};
use super::{
    Harness, INPUT, OUTPUT, ROLE, SPAN, all, commit, join, join_claiming, made, numbers, places, take,
    take_one,
};
use crate::log::{Commit, CommitAnswer, Entry, EntryId, EntryRef, EventLog, StateChange, Versioned};

/// Case: everything of a commit appears together.
pub async fn a_commit_writes_everything_and_acknowledges(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    let now = log.now().await.expect("the log is there");
    let mut step = dealt_with(&entry, "a", 0);
    let timer = Timer { subject: step.subject.clone(), name: "verify".to_owned(), cause: step.key, due: now };
    step.timers.push(timer.clone());
    assert_eq!(commit(&log, step.clone()).await, CommitAnswer::Committed(vec![2]));
    let second = harness.second().await;
    let outputs = all(&second, &OUTPUT).await;
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].event.as_ref().expect("it is an event"), &step.emit[0]);
    assert_eq!(state(&second).await, step.state.expect("the step has a state").next);
    let due = second.take_due(ROLE, None, "a", SPAN, 10).await.expect("the log is there");
    assert_eq!(due, [timer]);
    assert_eq!(pending(&second).await, 0);
}

/// Case: several events of one commit.
pub async fn numbers_are_in_the_order_of_the_events(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    let mut step = dealt_with(&entry, "a", 0);
    step.emit.push(changed("db", 7));
    step.emit.push(recovered("db", step.key, 1));
    assert_eq!(commit(&log, step.clone()).await, CommitAnswer::Committed(vec![2, 3, 4]));
    let outputs = all(&log, &OUTPUT).await;
    let written: Vec<_> = outputs.iter().map(|entry| (entry.seq, entry.event.as_ref().ok())).collect();
    assert_eq!(written, [(Some(2), Some(&step.emit[0])), (Some(4), Some(&step.emit[2]))]);
    let inputs = all(&log, &INPUT).await;
    assert_eq!(inputs.last().and_then(|entry| entry.seq), Some(3));
}

/// Case: an entry that nobody has been given.
pub async fn a_commit_for_an_entry_that_was_never_read_is_fenced(harness: &dyn Harness) {
    let log = harness.log();
    let _reader = join(&log, "a").await;
    log.append(&changes(1)).await.expect("the log is there");
    let unread = all(&log, &INPUT).await.remove(0);
    refused(&log, dealt_with(&unread, "a", 0), CommitAnswer::Fenced).await;
}

/// Case: an entry that another consumer was given.
pub async fn a_commit_for_an_entry_of_another_consumer_is_fenced(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    refused(&log, dealt_with(&entry, "b", 0), CommitAnswer::Fenced).await;
    assert!(made(&commit(&log, dealt_with(&entry, "a", 0)).await));
}

/// Case: an entry that is done; another key, so not a repetition.
pub async fn a_commit_for_an_acknowledged_entry_is_fenced(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    assert!(made(&commit(&log, dealt_with(&entry, "a", 0)).await));
    refused(&log, under_another_key(dealt_with(&entry, "a", 1)), CommitAnswer::Fenced).await;
}

/// Case: a zombie, whose entry was taken over meanwhile.
pub async fn a_commit_for_an_entry_that_was_taken_over_is_fenced(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    let second = harness.second().await;
    let mut heir = join_claiming(&second, "b").await;
    harness.advance(SPAN).await;
    let taken = take_one(harness, heir.as_mut()).await;
    assert_eq!(taken.at, entry.at);
    refused(&log, dealt_with(&entry, "a", 0), CommitAnswer::Fenced).await;
    assert!(made(&commit(&second, dealt_with(&taken, "b", 0)).await));
}

/// Case: a role without a group on that stream.
pub async fn a_commit_of_a_role_that_does_not_read_the_stream_is_fenced(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    let step = Commit { role: Role::Responder, ..dealt_with(&entry, "a", 0) };
    refused(&log, step, CommitAnswer::Fenced).await;
}

/// Case: the state moved on; the entry is still there to be decided again.
pub async fn a_commit_on_another_version_conflicts_and_can_be_decided_again(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 2).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    for version in [0, 2] {
        refused(&log, dealt_with(&entries[1], "a", version), CommitAnswer::Conflict).await;
    }
    assert_eq!(pending(&log).await, 1);
    assert_eq!(commit(&log, dealt_with(&entries[1], "a", 1)).await, CommitAnswer::Committed(vec![4]));
    assert_eq!(state(&log).await, change(1, "2 folded").next);
}

/// Case: repeated after an unknown outcome, by which time the entry is acknowledged.
pub async fn a_repeated_commit_is_a_duplicate(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    let step = dealt_with(&entry, "a", 0);
    assert!(made(&commit(&log, step.clone()).await));
    for client in [log, harness.second().await] {
        refused(&client, step.clone(), CommitAnswer::Duplicate).await;
    }
}

/// Case: the key tells, not the version.
pub async fn a_known_key_is_a_duplicate_whatever_the_version(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    assert!(made(&commit(&log, begun(&entry, "a", 0)).await));
    for version in [0, 1, 7] {
        refused(&log, begun(&entry, "a", version), CommitAnswer::Duplicate).await;
    }
    assert_eq!(pending(&log).await, 1);
}

/// Case: the acknowledgement of a duplicate counts.
pub async fn a_known_key_acknowledges_what_is_pending(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    assert!(made(&commit(&log, begun(&entry, "a", 0)).await));
    assert_eq!(commit(&log, dealt_with(&entry, "a", 0)).await, CommitAnswer::Duplicate);
    assert_eq!(pending(&log).await, 0);
    assert_eq!(all(&log, &OUTPUT).await.len(), 1);
}

/// Case: a zombie repeats its intent after another has taken over, and after that one has finished. It must not
/// go on to act.
pub async fn a_repeated_intermediate_commit_is_fenced_once_the_entry_is_not_pending(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    assert!(made(&commit(&log, begun(&entry, "a", 0)).await));
    let second = harness.second().await;
    let mut heir = join_claiming(&second, "b").await;
    harness.advance(SPAN).await;
    let taken = take_one(harness, heir.as_mut()).await;
    refused(&log, begun(&entry, "a", 0), CommitAnswer::Fenced).await;
    assert!(made(&commit(&second, under_another_key(dealt_with(&taken, "b", 1))).await));
    refused(&log, begun(&entry, "a", 0), CommitAnswer::Fenced).await;
}

/// Case: intent now, outcome later.
pub async fn an_intermediate_commit_keeps_the_entry_pending(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    assert_eq!(commit(&log, begun(&entry, "a", 0)).await, CommitAnswer::Committed(vec![2]));
    assert_eq!(pending(&log).await, 1);
    let outcome = under_another_key(dealt_with(&entry, "a", 1));
    assert_eq!(commit(&log, outcome).await, CommitAnswer::Committed(vec![3]));
    assert_eq!((pending(&log).await, state(&log).await.version), (0, 2));
}

/// Case: nothing to say. The version is checked all the same.
pub async fn a_step_without_events_acknowledges_and_makes_no_state(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    let mut step = dealt_with(&entry, "a", 0);
    step.emit.clear();
    step.state = Some(StateChange { expected: 1, next: Versioned { version: 1, bytes: Vec::new() } });
    refused(&log, step.clone(), CommitAnswer::Conflict).await;
    step.state = Some(StateChange { expected: 0, next: Versioned::default() });
    assert_eq!(commit(&log, step.clone()).await, CommitAnswer::Committed(vec![]));
    assert_eq!(pending(&log).await, 0);
    assert_eq!(log.load_host(ROLE, &host()).await.expect("the log is there"), []);
    refused(&log, step, CommitAnswer::Duplicate).await;
}

/// Case: `state: None` neither checks nor changes.
pub async fn a_commit_without_a_state_keeps_the_state(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 2).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    let before = state(&log).await;
    let step = Commit { state: None, ..dealt_with(&entries[1], "a", 7) };
    assert!(made(&commit(&log, step).await));
    assert_eq!((state(&log).await, pending(&log).await), (before, 0));
}

/// Case: commits of one call are made in order.
pub async fn commits_of_one_call_see_each_other(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 64).await;
    let steps: Vec<_> = (0..).zip(&entries).map(|(version, entry)| dealt_with(entry, "a", version)).collect();
    let answers = log.commit(&steps).await.expect("the log is there");
    assert_eq!(answers, (65..129).map(|number| CommitAnswer::Committed(vec![number])).collect::<Vec<_>>());
    assert_eq!((pending(&log).await, state(&log).await.version), (0, 64));
}

/// Case: each commit stands for itself, and the answers are in the order of the commits.
pub async fn a_refused_commit_does_not_hinder_the_others_of_its_call(harness: &dyn Harness) {
    let (log, entries) = pending_apart(harness, 4).await;
    let steps = [
        on_one_state(dealt_with(&entries[0], "a", 0)),
        on_one_state(dealt_with(&entries[1], "a", 0)),
        on_one_state(dealt_with(&entries[2], "b", 1)),
        on_one_state(dealt_with(&entries[0], "a", 0)),
        on_one_state(dealt_with(&entries[3], "a", 1)),
    ];
    let answers = log.commit(&steps).await.expect("the log is there");
    let expected = [
        CommitAnswer::Committed(vec![5]),
        CommitAnswer::Conflict,
        CommitAnswer::Fenced,
        CommitAnswer::Duplicate,
        CommitAnswer::Committed(vec![6]),
    ];
    assert_eq!(answers, expected);
    assert_eq!(pending(&log).await, 2);
    assert_eq!(log.commit(&[]).await.expect("the log is there"), []);
}

/// Case: many steps decided on the same version at the same time.
pub async fn of_concurrent_commits_one_is_made(harness: &dyn Harness) {
    let (_, entries) = pending_apart(harness, 8).await;
    let clients = [harness.log(), harness.second().await];
    let mut tasks = tokio::task::JoinSet::new();
    for (n, entry) in entries.iter().enumerate() {
        let log = Arc::clone(&clients[n % 2]);
        let step = on_one_state(dealt_with(entry, "a", 0));
        tasks.spawn(async move { commit(&log, step).await });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| made(answer)).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| **answer == CommitAnswer::Conflict).count(), 7, "{answers:?}");
    assert_eq!((all(&clients[0], &OUTPUT).await.len(), state(&clients[0]).await.version), (1, 1));
}

/// Case: the sequence is one, whoever writes.
pub async fn concurrent_commits_and_appends_leave_no_gap(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 40).await;
    let second = harness.second().await;
    let appending = async {
        for n in 0..40 {
            second.append(&[changed("web", n)]).await.expect("the log is there");
        }
    };
    let committing = async {
        for (version, entry) in (0..).zip(&entries) {
            assert!(made(&commit(&log, dealt_with(entry, "a", version)).await));
        }
    };
    tokio::join!(appending, committing);
    assert_eq!(numbers(&log, log.partition_of(&host())).await, (1..=120).collect::<Vec<u64>>());
}

/// Case: a state belongs to a role and a container.
pub async fn states_are_apart_by_role_and_subject(harness: &dyn Harness) {
    let (log, entry) = one_pending(harness).await;
    assert!(made(&commit(&log, dealt_with(&entry, "a", 0)).await));
    let subjects = [subject("web"), subject("db"), subject("cache")];
    let mine = log.load(ROLE, &subjects).await.expect("the log is there");
    assert_eq!(mine, [Versioned::default(), change(0, "1 folded").next, Versioned::default()]);
    let others = log.load(Role::Alert, &subjects).await.expect("the log is there");
    assert_eq!(others, vec![Versioned::default(); 3]);
    assert_eq!(log.load(ROLE, &[]).await.expect("the log is there"), []);
}

/// Case: what a role knows of a host, in order.
pub async fn states_of_a_host_are_listed(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(&[changed("web", 1), changed("db", 1)]).await.expect("the log is there");
    for entry in take(harness, reader.as_mut(), 2).await {
        assert!(made(&commit(&log, dealt_with(&entry, "a", 0)).await));
    }
    let states = log.load_host(ROLE, &host()).await.expect("the log is there");
    let next = change(0, "1 folded").next;
    assert_eq!(states, [(subject("db"), next.clone()), (subject("web"), next)]);
    assert_eq!(log.load_host(Role::Alert, &host()).await.expect("the log is there"), []);
    let prefix = super::events::host_named("web");
    assert_eq!(log.load_host(ROLE, &prefix).await.expect("the log is there"), []);
}

/// Makes a commit that must be refused with `expected` and checks that it wrote nothing.
pub(super) async fn refused(log: &Arc<dyn EventLog>, mut step: Commit, expected: CommitAnswer) {
    let due = log.now().await.expect("the log is there");
    let timer = Timer { subject: step.subject.clone(), name: "refused".to_owned(), cause: step.key, due };
    step.timers.push(timer);
    let before = picture(log).await;
    assert_eq!(commit(log, step.clone()).await, expected, "{step:?}");
    assert_eq!(picture(log).await, before, "{step:?}");
    let timers = log
        .take_due(step.role, None, "somebody", Duration::from_millis(1), 10)
        .await
        .expect("the log is there");
    assert!(timers.iter().all(|timer| timer.name != "refused"), "{timers:?}");
}

/// What a commit can change, apart from timers: numbers and entries, states, what is pending.
async fn picture(log: &Arc<dyn EventLog>) -> (Vec<(EntryRef, Option<u64>)>, Vec<Versioned>, u64) {
    let partition = log.partition_of(&host());
    let mut entries = Vec::new();
    for stream in log.streams(partition).await.expect("the log is there") {
        let range = log.range(partition, &stream, EntryId::ZERO, 10_000).await.expect("the log is there");
        entries.extend(range.into_iter().map(|entry| (entry.at, entry.seq)));
    }
    let mut states = Vec::new();
    for role in Role::AGENTS {
        states.extend(log.load(role, &[subject("db")]).await.expect("the log is there"));
    }
    (entries, states, pending(log).await)
}

/// The state of the cases' role and container.
async fn state(log: &Arc<dyn EventLog>) -> Versioned {
    log.load(ROLE, &[subject("db")]).await.expect("the log is there").remove(0)
}

/// Entries pending in all groups.
pub(super) async fn pending(log: &Arc<dyn EventLog>) -> u64 {
    log.groups().await.expect("the log is there").iter().map(|group| group.pending).sum()
}

/// An entry that is pending for `a`.
pub(super) async fn one_pending(harness: &dyn Harness) -> (Arc<dyn EventLog>, Entry) {
    let (log, mut entries) = pending_entries(harness, 1).await;
    (log, entries.remove(0))
}

/// Entries about one container, all pending for `a`.
pub(super) async fn pending_entries(harness: &dyn Harness, count: u64) -> (Arc<dyn EventLog>, Vec<Entry>) {
    all_pending(harness, &changes(count)).await
}

/// Entries about a container each, all pending for `a`.
pub(super) async fn pending_apart(harness: &dyn Harness, count: u64) -> (Arc<dyn EventLog>, Vec<Entry>) {
    all_pending(harness, &changes_apart(count)).await
}

/// The same step, decided on the state of one container whatever the entry is about.
fn on_one_state(step: Commit) -> Commit {
    Commit { subject: subject("db"), ..step }
}

async fn all_pending(harness: &dyn Harness, events: &[Event]) -> (Arc<dyn EventLog>, Vec<Entry>) {
    let log = harness.log();
    let mut reader = join(&log, "a").await;
    log.append(events).await.expect("the log is there");
    let expected = places(&all(&log, &INPUT).await);
    let entries = take(harness, reader.as_mut(), expected.len()).await;
    assert_eq!(places(&entries), expected);
    (log, entries)
}

/// The same step as another one: with a key and an event of its own.
pub(super) fn under_another_key(step: Commit) -> Commit {
    let output = recovered(step.subject.name(), step.key, 1);
    Commit { key: output.envelope.id, emit: vec![output], ..step }
}

//! What a log keeps and for whom: trimming, registered groups, and what is told of them.

use std::sync::Arc;
use std::time::Duration;

use hemostat_event::{EventType, Role};

use super::commit::pending_entries;
use super::events::{changed, changes, changes_apart, dealt_with, host, sample};
use super::status::group;
use super::{BLOCK, Harness, INPUT, ROLE, SPAN, all, commit, join, made, member, places, take};
use crate::log::{Counted, EntryId, EventLog, HeldBy, Membership, Shelter, StreamName, Trim, Trimmed};

pub(super) const GROUPS: Shelter = Shelter::Groups { archived: None };

/// Case: pending and unread entries of the slowest group stay, whatever others have done.
pub async fn what_a_group_needs_is_not_trimmed(harness: &dyn Harness) {
    let log = harness.log();
    let mut fast = join(&log, "a").await;
    let slow = Membership { role: Role::Alert, batch: 2, ..member("b") };
    let mut slow = log.join(slow).await.expect("the group can be joined");
    log.append(&changes_apart(6)).await.expect("the log is there");
    for entry in take(harness, fast.as_mut(), 6).await {
        assert!(made(&commit(&log, dealt_with(&entry, "a", 0)).await));
    }
    let before = places(&all(&log, &INPUT).await);
    // Unread from the first on.
    let trimmed = trim(harness, &log, &INPUT, GROUPS).await;
    assert_eq!((trimmed.removed, trimmed.held_by), (0, HeldBy::Group("alert".to_owned())));
    // Two are pending.
    let taken = take(harness, slow.as_mut(), 2).await;
    assert_eq!(trim(harness, &log, &INPUT, GROUPS).await.removed, 0);
    // The younger one is acknowledged first.
    acknowledge(&log, &taken[1]).await;
    assert_eq!(trim(harness, &log, &INPUT, GROUPS).await.removed, 0);
    acknowledge(&log, &taken[0]).await;
    let trimmed = trim(harness, &log, &INPUT, GROUPS).await;
    assert_eq!(
        (trimmed.removed, trimmed.up_to),
        (1, taken[1].at.id),
        "the last one that was delivered stays"
    );
    assert_eq!(places(&all(&log, &INPUT).await), before[1..]);
}

/// Case: without any group only the age counts.
pub async fn what_nobody_reads_is_trimmed_by_age(harness: &dyn Harness) {
    let log = harness.log();
    log.append(&changes(3)).await.expect("the log is there");
    let young = Trim { keep: SPAN * 1_000, ..step(&log, &INPUT, GROUPS) };
    harness.advance(BLOCK).await;
    let trimmed = log.trim(&young).await.expect("the log is there");
    assert_eq!((trimmed.removed, trimmed.held_by), (0, HeldBy::Age));
    assert_eq!(trim(harness, &log, &INPUT, GROUPS).await.removed, 3);
    assert!(all(&log, &INPUT).await.is_empty());
    // Numbers and positions go on.
    assert_eq!(log.append(&[changed("db", 9)]).await.expect("the log is there"), [4]);
}

/// Case: a step does no more than it was asked to, and the next one goes on.
pub async fn a_stream_is_trimmed_in_steps(harness: &dyn Harness) {
    let log = harness.log();
    log.append(&changes(5)).await.expect("the log is there");
    let small = Trim { most: 2, ..step(&log, &INPUT, GROUPS) };
    harness.advance(BLOCK).await;
    let mut removed = Vec::new();
    for _step in 0..4 {
        removed.push(log.trim(&small).await.expect("the log is there").removed);
    }
    assert_eq!(removed, [2, 2, 1, 0]);
}

/// Case: what was lost is a group too.
pub async fn a_lost_group_keeps_what_is_behind_its_cursor(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 4).await;
    for (version, entry) in (0..2).zip(&entries) {
        assert!(made(&commit(&log, dealt_with(entry, "a", version)).await));
    }
    harness.lose_groups().await;
    let trimmed = trim(harness, &log, &INPUT, GROUPS).await;
    assert_eq!(trimmed.held_by, HeldBy::Group(ROLE.to_string()));
    let mut reader = join(&log, "b").await;
    let rest = take(harness, reader.as_mut(), 2).await;
    assert_eq!(places(&rest), places(&entries[2..]));
}

/// Case: the archive is behind.
pub async fn what_is_not_archived_is_not_trimmed(harness: &dyn Harness) {
    let log = harness.log();
    log.append(&changes(3)).await.expect("the log is there");
    let entries = places(&all(&log, &INPUT).await);
    let archived = |id| Shelter::Groups { archived: Some(id) };
    let trimmed = trim(harness, &log, &INPUT, archived(EntryId::ZERO)).await;
    assert_eq!((trimmed.removed, trimmed.held_by), (0, HeldBy::Archive));
    let trimmed = trim(harness, &log, &INPUT, archived(entries[1].id)).await;
    assert_eq!((trimmed.removed, trimmed.up_to), (1, entries[1].id));
}

/// Case: nobody has set a limit.
pub async fn a_log_without_a_limit_is_under_no_pressure(harness: &dyn Harness) {
    let log = harness.log();
    let pressure = log.pressure(log.partition_of(&host())).await.expect("the log is there");
    assert_eq!(pressure.limit, None);
    assert!(pressure.share() < crate::log::Pressure::NORMAL);
}

/// Case: a group of samples does not keep them, and learns what it has lost.
pub async fn what_was_trimmed_while_pending_is_told_as_lost(harness: &dyn Harness) {
    let log = harness.log();
    let samples = StreamName::Type(EventType::ContainerSample);
    let membership = |name| Membership { streams: vec![samples.clone()], ..member(name) };
    let mut reader = log.join(membership("a")).await.expect("the group can be joined");
    log.append(&[sample(1), sample(2)]).await.expect("the log is there");
    take(harness, reader.as_mut(), 2).await;
    assert_eq!(trim(harness, &log, &samples, Shelter::None).await.removed, 2);
    let told = group(&log, ROLE, &samples).await;
    assert_eq!((told.pending, told.lost, told.unread), (2, 2, Counted::exactly(0)));
    // Whoever meets them takes them off the group; what is lost stays known.
    harness.advance(SPAN).await;
    let claiming = Membership { claim_after: SPAN, ..membership("b") };
    let mut other = log.join(claiming).await.expect("the group can be joined");
    for _round in 0..100 {
        assert!(super::read(harness, other.as_mut()).await.is_empty());
        let told = group(&log, ROLE, &samples).await;
        if (told.pending, told.lost) == (0, 2) {
            return;
        }
    }
    panic!("{:?}", group(&log, ROLE, &samples).await);
}

/// Case: nobody has made it anew yet.
pub async fn a_lost_group_is_told_as_one(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 4).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    assert!(group(&log, ROLE, &INPUT).await.lag_known());
    harness.lose_groups().await;
    let told = group(&log, ROLE, &INPUT).await;
    assert!(!told.lag_known(), "{told:?}");
    assert_eq!((told.exists, told.unread), (false, Counted::exactly(3)));
    assert_eq!(told.oldest_unread, Some(entries[1].at.id.time()));
    let _reader = join(&log, "b").await;
    let told = group(&log, ROLE, &INPUT).await;
    assert_eq!((told.lag_known(), told.unread), (true, Counted::exactly(3)));
}

/// Case: how much can be trimmed before something that is needed goes.
pub async fn the_retention_margin_ends_at_the_oldest_entry_that_is_needed(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = log.join(Membership { batch: 1, ..member("a") }).await.expect("the group can be joined");
    for event in changes(3) {
        log.append(&[event]).await.expect("the log is there");
        harness.advance(BLOCK).await;
    }
    let ids: Vec<_> = all(&log, &INPUT).await.iter().map(|entry| entry.at.id.time()).collect();
    let margin = async || group(&log, ROLE, &INPUT).await.retention_margin();
    assert_eq!(margin().await, Some(Duration::ZERO));
    for version in 0..3 {
        let entry = take(harness, reader.as_mut(), 1).await.remove(0);
        assert_eq!(margin().await, Some(ids[usize::try_from(version).expect("it is small")].since(ids[0])));
        assert!(made(&commit(&log, dealt_with(&entry, "a", version)).await));
    }
    assert_eq!(margin().await, None);
}

/// Case: nobody reads any more.
pub async fn a_silent_group_is_reaped_and_its_cursor_stays(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 3).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    harness.advance(SPAN).await;
    let partition = log.partition_of(&host());
    assert_eq!(log.reap(partition, SPAN * 1_000).await.expect("the log is there"), []);
    let reaped = log.reap(partition, SPAN).await.expect("the log is there");
    let reaped: Vec<_> = reaped.into_iter().map(|group| (group.stream, group.group)).collect();
    assert_eq!(reaped, [(INPUT, ROLE.to_string())]);
    assert_eq!(groups(&log).await, 0);
    assert_eq!(log.reap(partition, SPAN).await.expect("the log is there"), []);
    // A member that comes back goes on where the group was.
    let mut reader = join(&log, "b").await;
    let rest = take(harness, reader.as_mut(), 2).await;
    assert_eq!(places(&rest), places(&entries[1..]));
}

/// Case: it keeps nothing any more.
pub async fn a_reaped_group_does_not_keep_entries(harness: &dyn Harness) {
    let (log, _entries) = pending_entries(harness, 3).await;
    assert_eq!(trim(harness, &log, &INPUT, GROUPS).await.removed, 0);
    harness.advance(SPAN).await;
    assert_eq!(log.reap(log.partition_of(&host()), SPAN).await.expect("the log is there").len(), 1);
    assert_eq!(trim(harness, &log, &INPUT, GROUPS).await.removed, 3);
}

/// Case: a lost group ends in the same way, or it would keep entries for ever.
pub async fn a_lost_group_without_members_is_reaped(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 2).await;
    assert!(made(&commit(&log, dealt_with(&entries[0], "a", 0)).await));
    harness.lose_groups().await;
    harness.advance(SPAN).await;
    assert_eq!(log.reap(log.partition_of(&host()), SPAN).await.expect("the log is there").len(), 1);
    assert_eq!(groups(&log).await, 0);
    let mut reader = join(&log, "b").await;
    assert_eq!(places(&take(harness, reader.as_mut(), 1).await), places(&entries[1..]));
}

/// Case: a member that only waits is a member.
pub async fn a_group_with_a_reading_member_is_not_reaped(harness: &dyn Harness) {
    let log = harness.log();
    let membership = Membership { claim_after: SPAN / 4, ..member("a") };
    let mut reader = log.join(membership).await.expect("the group can be joined");
    log.append(&changes(1)).await.expect("the log is there");
    acknowledge(&log, &take(harness, reader.as_mut(), 1).await[0]).await;
    for _read in 0..SPAN.as_millis() / BLOCK.as_millis() + 1 {
        assert!(super::read(harness, reader.as_mut()).await.is_empty());
    }
    assert_eq!(log.reap(log.partition_of(&host()), SPAN).await.expect("the log is there"), []);
    assert_eq!(groups(&log).await, 1);
}

/// How many groups there are in the partition of the cases' host.
async fn groups(log: &Arc<dyn EventLog>) -> usize {
    let partition = log.partition_of(&host());
    let groups = log.groups().await.expect("the log is there");
    groups.iter().filter(|group| group.partition == partition).count()
}

/// A step that keeps nothing because of its age.
fn step(log: &Arc<dyn EventLog>, stream: &StreamName, shelter: Shelter) -> Trim {
    let partition = log.partition_of(&host());
    Trim { partition, stream: stream.clone(), keep: Duration::ZERO, shelter, most: 1_000 }
}

/// Makes such a step, after everything in the log has grown old.
pub(super) async fn trim(
    harness: &dyn Harness,
    log: &Arc<dyn EventLog>,
    stream: &StreamName,
    shelter: Shelter,
) -> Trimmed {
    harness.advance(BLOCK).await;
    log.trim(&step(log, stream, shelter)).await.expect("the log is there")
}

/// Acknowledges an entry without anything else, for whichever group and consumer it is pending.
async fn acknowledge(log: &Arc<dyn EventLog>, entry: &crate::log::Entry) {
    for (role, consumer) in [(ROLE, "a"), (Role::Alert, "b")] {
        let mut step = dealt_with(entry, consumer, 0);
        (step.role, step.state) = (role, None);
        step.emit.clear();
        step.key = hemostat_event::EventId::derive(step.key, role, "acknowledge", 0);
        if made(&commit(log, step).await) {
            return;
        }
    }
    panic!("{:?} is pending for nobody", entry.at);
}

/// The `n`-th input, for tests outside this suite.
#[must_use]
pub fn an_input(n: u64) -> hemostat_event::Event {
    changed("db", n)
}

/// The `n`-th sample, for tests outside this suite.
#[must_use]
pub fn a_sample(n: u64) -> hemostat_event::Event {
    sample(n)
}

/// Acknowledges an entry that is pending for the consumer `a` of the analyzer.
///
/// # Panics
/// When it is not.
pub async fn deal_with(log: &dyn EventLog, entry: &crate::log::Entry) {
    let mut step = dealt_with(entry, "a", 0);
    step.state = None;
    let answers = log.commit(&[step]).await.expect("the log is there");
    assert!(made(&answers[0]), "{answers:?}");
}

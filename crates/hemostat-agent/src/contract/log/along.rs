//! Groups that read along: they have no members and nothing pending, and are moved by hand.

use std::sync::Arc;

use hemostat_event::Role;

use super::events::{changes, dealt_with, host};
use super::keeping::{GROUPS, trim};
use super::status::group;
use super::{Harness, INPUT, OUTPUT, SPAN, all, places};
use crate::log::{Counted, Cursors, EntryId, EventLog, HeldBy, Shelter, StreamName};

/// Case: nothing comes again that was dealt with before the group was there.
pub async fn a_group_that_reads_along_is_made_where_it_stands(harness: &dyn Harness) {
    let (log, ids) = given(harness, 3).await;
    advance(&log, &INPUT, ids[0]).await;
    let told = group(&log, ROLE, &INPUT).await;
    assert_eq!((told.exists, told.pending, told.unread), (true, 0, Counted::exactly(2)));
    assert_eq!(told.oldest_unread, Some(ids[1].time()));
    assert!(told.seen.is_some(), "it is registered");
}

/// Case: a call that comes late, or of an archiver that was replaced.
pub async fn a_group_that_reads_along_goes_on_and_never_back(harness: &dyn Harness) {
    let (log, ids) = given(harness, 3).await;
    for (to, unread) in [(EntryId::ZERO, 3), (ids[1], 1), (ids[0], 1), (EntryId::ZERO, 1), (ids[2], 0)] {
        advance(&log, &INPUT, to).await;
        assert_eq!(group(&log, ROLE, &INPUT).await.unread, Counted::exactly(unread), "{to}");
    }
}

/// Case: a group that begins with what comes, in a stream that has entries and in one that has none yet.
pub async fn a_group_that_reads_along_may_begin_at_the_end(harness: &dyn Harness) {
    let (log, ids) = given(harness, 3).await;
    let partition = log.partition_of(&host());
    log.advance(ROLE, partition, &[(INPUT, EntryId::MAX), (OUTPUT, EntryId::MAX)])
        .await
        .expect("the log is there");
    let told = group(&log, ROLE, &INPUT).await;
    assert_eq!((told.exists, told.pending, told.unread), (true, 0, Counted::exactly(0)));
    let cursors = log.cursors(partition).await.expect("the log is there").positions;
    assert_eq!(cursors.get(&(ROLE, INPUT)), Some(&ids[2]));
    assert_eq!(cursors.get(&(ROLE, OUTPUT)), Some(&EntryId::ZERO));
    log.append(&[super::events::changed("db", 9)]).await.expect("the log is there");
    assert_eq!(group(&log, ROLE, &INPUT).await.unread, Counted::exactly(1), "what came after it is new");
}

/// Case: what the group has not come to stays.
pub async fn what_a_group_that_reads_along_is_done_with_may_be_trimmed(harness: &dyn Harness) {
    let (log, ids) = given(harness, 4).await;
    advance(&log, &INPUT, EntryId::ZERO).await;
    let trimmed = trim(harness, &log, &INPUT, GROUPS).await;
    assert_eq!((trimmed.removed, trimmed.held_by), (0, HeldBy::Group(ROLE.to_string())));
    advance(&log, &INPUT, ids[2]).await;
    let trimmed = trim(harness, &log, &INPUT, GROUPS).await;
    assert_eq!((trimmed.removed, trimmed.up_to), (2, ids[2]), "the last one it is done with stays");
    assert_eq!(group(&log, ROLE, &INPUT).await.unread, Counted::exactly(1));
}

/// Case: measurements, which wait for the archive and for no other group.
pub async fn what_only_the_archive_keeps_waits_for_no_other_group(harness: &dyn Harness) {
    let (log, ids) = given(harness, 3).await;
    let _other = super::join(&log, "a").await;
    advance(&log, &INPUT, ids[1]).await;
    let trimmed = trim(harness, &log, &INPUT, Shelter::Archive).await;
    assert_eq!((trimmed.removed, trimmed.held_by), (1, HeldBy::Group(ROLE.to_string())));
    harness.lose_groups().await;
    assert_eq!(trim(harness, &log, &INPUT, Shelter::Archive).await.removed, 0);
    assert_eq!(trim(harness, &log, &INPUT, Shelter::None).await.removed, 2);
}

/// Case: a failover lost the group; its cursor is there, and neither call moves it back.
pub async fn a_lost_group_that_reads_along_is_made_anew_at_its_cursor(harness: &dyn Harness) {
    let (log, ids) = given(harness, 3).await;
    advance(&log, &INPUT, ids[1]).await;
    harness.lose_groups().await;
    let trimmed = trim(harness, &log, &INPUT, GROUPS).await;
    assert_eq!((trimmed.removed, trimmed.held_by), (1, HeldBy::Group(ROLE.to_string())));
    advance(&log, &INPUT, ids[0]).await;
    let told = group(&log, ROLE, &INPUT).await;
    assert_eq!((told.exists, told.unread), (true, Counted::exactly(1)));
}

/// Case: the stream was lost, or has no entry yet; what is written to it stands behind what the group is done with.
pub async fn a_group_that_reads_along_makes_a_missing_stream(harness: &dyn Harness) {
    let (log, ids) = given(harness, 2).await;
    let partition = log.partition_of(&host());
    advance(&log, &INPUT, ids[1]).await;
    harness.lose_stream(partition, &INPUT).await;
    log.advance(ROLE, partition, &[(INPUT, ids[1]), (OUTPUT, EntryId::ZERO)])
        .await
        .expect("the log is there");
    let streams = log.streams(partition).await.expect("the log is there");
    assert!(streams.contains(&INPUT) && streams.contains(&OUTPUT), "{streams:?}");
    log.append(&[super::events::changed("db", 9)]).await.expect("the log is there");
    assert!(ids[1] < all(&log, &INPUT).await[0].at.id);
    assert_eq!(group(&log, ROLE, &INPUT).await.unread, Counted::exactly(1));
}

/// Case: a call is the sign of life of a group without members.
pub async fn a_group_that_reads_along_is_reaped_when_it_is_silent(harness: &dyn Harness) {
    let (log, ids) = given(harness, 2).await;
    let partition = log.partition_of(&host());
    let reap = async |silent| {
        let reaped = log.reap(partition, silent).await.expect("the log is there");
        reaped.into_iter().map(|group| group.group).collect::<Vec<_>>()
    };
    advance(&log, &INPUT, ids[0]).await;
    harness.advance(SPAN).await;
    advance(&log, &INPUT, ids[0]).await;
    assert!(reap(SPAN / 2).await.is_empty());
    harness.advance(SPAN).await;
    assert_eq!(reap(SPAN).await, [ROLE.to_string()]);
    advance(&log, &INPUT, EntryId::ZERO).await;
    assert_eq!(group(&log, ROLE, &INPUT).await.unread, Counted::exactly(1), "it goes on from its cursor");
}

/// Case: what an archive has to know so that a lost log can be made anew.
pub async fn cursors_are_told_with_the_number_that_answers_have_reached(harness: &dyn Harness) {
    let (log, entries) = super::commit::pending_entries(harness, 3).await;
    let partition = log.partition_of(&host());
    let told = async || log.cursors(partition).await.expect("the log is there");
    let of = |told: &Cursors| told.positions.get(&(super::ROLE, INPUT)).copied();
    let before = told().await;
    assert_eq!((before.seq, of(&before)), (3, Some(EntryId::ZERO)), "it is registered, and has no cursor");
    assert!(super::made(&super::commit(&log, dealt_with(&entries[0], "a", 0)).await));
    let first = told().await;
    assert!(of(&first) < Some(entries[1].at.id) && Some(entries[0].at.id) <= of(&first), "{first:?}");
    assert_eq!(first.seq, super::numbers(&log, partition).await.len() as u64);
    harness.lose_groups().await;
    assert_eq!(told().await, first, "a group that is lost goes on from there");
}

const ROLE: Role = Role::Archiver;

/// A log with so many inputs, and where they stand.
async fn given(harness: &dyn Harness, count: u64) -> (Arc<dyn EventLog>, Vec<EntryId>) {
    let log = harness.log();
    log.append(&changes(count)).await.expect("the log is there");
    let ids = places(&all(&log, &INPUT).await).into_iter().map(|at| at.id).collect();
    (log, ids)
}

async fn advance(log: &Arc<dyn EventLog>, stream: &StreamName, to: EntryId) {
    let partition = log.partition_of(&host());
    log.advance(ROLE, partition, &[(stream.clone(), to)]).await.expect("the log is there");
}

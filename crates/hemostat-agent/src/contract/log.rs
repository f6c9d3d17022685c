//! What every event log must do, as tests that run on each of them.
//!
//! An implementation brings a [`Harness`] that does to a log what the world does to it, and calls
//! [`log_contract!`](crate::log_contract) with an expression that makes one.

pub mod along;
pub mod append;
pub mod commit;
pub mod events;
pub mod forgetting;
pub mod group;
pub mod handing;
pub mod keeping;
pub mod leases;
pub mod letters;
pub mod loss;
pub mod members;
pub mod order;
pub mod redrive;
pub mod status;
pub mod timers;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hemostat_event::{EventType, Role};
use tokio::time::timeout;

use crate::log::{Commit, CommitAnswer, Entry, EntryId, EntryRef, EventLog, GroupReader, Membership};
use crate::log::{Partition, StreamName};

/// A log of its own for one test, and what can happen to it.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The log under test, empty at the start.
    fn log(&self) -> Arc<dyn EventLog>;
    /// Another client of the same log, as another process would have.
    async fn second(&self) -> Arc<dyn EventLog>;
    /// Lets log time pass: moves a manual clock, or waits. Cases move it by [`SPAN`] and less.
    async fn advance(&self, by: Duration);
    /// Writes an entry with these fields, past the port.
    async fn put_raw(&self, partition: Partition, stream: &StreamName, fields: &[(&str, &[u8])]) -> EntryId;
    /// Takes all groups of all streams away. Streams, states, cursors and the rest stay.
    async fn lose_groups(&self);
    /// Takes a stream away, with its entries and groups. Cursors and the rest stay.
    async fn lose_stream(&self, partition: Partition, stream: &StreamName);
    /// Takes everything away, as `FLUSHALL` and a restart without persistence do.
    async fn lose_everything(&self);
}

/// A span that is really waited for where the clock is not manual: long enough that a loaded machine does not
/// take it for longer than it is, short enough for a test.
pub const SPAN: Duration = Duration::from_secs(1);
/// A span that does not pass within a test.
pub const LONG: Duration = Duration::from_secs(600);
/// Longest wait of a read.
pub const BLOCK: Duration = Duration::from_millis(50);
/// Longest time a test waits for anything.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Runs every case of the contract as a test of its own, on a harness made by the given expression, a future.
#[macro_export]
macro_rules! log_contract {
    ($harness:expr) => {
        $crate::log_contract! { @cases $harness;
            append {
                numbers_begin_with_one_and_have_no_gap_over_all_streams,
                concurrent_appends_leave_no_gap,
                an_event_is_appended_once,
                known_events_of_a_call_are_left_out,
                an_emitted_event_is_not_appended_again,
                samples_are_appended_every_time,
                events_stand_in_the_stream_of_their_type,
                plans_stand_in_the_stream_of_their_host,
                events_are_handed_out_as_they_were_appended,
                entry_ids_grow_and_tell_the_log_time,
                now_never_goes_back,
                the_partition_of_a_host_is_the_same_for_every_client,
                partitions_are_numbered_apart,
            }
            commit {
                a_commit_writes_everything_and_acknowledges,
                numbers_are_in_the_order_of_the_events,
                a_commit_for_an_entry_that_was_never_read_is_fenced,
                a_commit_for_an_entry_of_another_consumer_is_fenced,
                a_commit_for_an_acknowledged_entry_is_fenced,
                a_commit_for_an_entry_that_was_taken_over_is_fenced,
                a_commit_of_a_role_that_does_not_read_the_stream_is_fenced,
                a_commit_on_another_version_conflicts_and_can_be_decided_again,
                a_repeated_commit_is_a_duplicate,
                a_known_key_is_a_duplicate_whatever_the_version,
                a_known_key_acknowledges_what_is_pending,
                a_repeated_intermediate_commit_is_fenced_once_the_entry_is_not_pending,
                an_intermediate_commit_keeps_the_entry_pending,
                a_step_without_events_acknowledges_and_makes_no_state,
                a_commit_without_a_state_keeps_the_state,
                commits_of_one_call_see_each_other,
                a_refused_commit_does_not_hinder_the_others_of_its_call,
                of_concurrent_commits_one_is_made,
                concurrent_commits_and_appends_leave_no_gap,
                states_are_apart_by_role_and_subject,
                states_of_a_host_are_listed,
            }
            group {
                a_late_joiner_sees_the_backlog,
                entries_of_a_stream_come_in_its_order,
                a_read_hands_out_no_more_than_a_batch,
                entries_of_all_streams_are_handed_out,
                no_stream_waits_for_the_end_of_another,
                a_read_without_entries_ends_empty,
                a_waiting_read_is_woken_by_an_append,
                two_consumers_never_get_the_same_entry,
                concurrent_consumers_share_the_work,
                groups_do_not_share_entries,
                entries_in_flight_are_not_handed_out_twice,
                entries_of_a_dead_consumer_are_taken_over,
                entries_of_a_dead_consumer_are_not_taken_over_early,
                idle_entries_do_not_wait_for_the_end_of_new_ones,
                renewed_entries_are_not_taken_over,
                a_renewal_takes_nothing_from_another,
                a_renewal_does_not_revive_an_acknowledged_entry,
                entries_idle_in_flight_come_back_to_their_reader,
                unfinished_entries_come_first_after_rejoining,
                what_was_taken_over_is_not_handed_out_after_rejoining,
                acknowledged_entries_do_not_come_after_rejoining,
                a_read_dropped_midway_loses_nothing,
            }
            members {
                the_next_of_a_slot_takes_over_at_once_what_earlier_ones_left,
                the_next_of_a_slot_takes_nothing_from_others,
                the_next_of_a_slot_returns_the_timers_of_earlier_ones,
                a_member_that_lost_its_slot_is_fenced,
                a_long_legacy_is_taken_over_to_its_end,
                what_was_handed_over_and_inherited_comes_once,
            }
            loss {
                a_reader_goes_on_after_its_group_is_lost,
                a_joiner_goes_on_after_the_group_was_lost,
                a_group_lost_before_its_first_acknowledgement_begins_anew,
                unread_entries_outlive_the_group,
                entries_appended_while_the_group_is_lost_come,
                a_commit_after_the_group_is_lost_is_fenced_and_the_entry_comes_again,
                what_comes_again_after_a_loss_is_a_duplicate,
                a_letter_is_not_written_twice_after_a_loss,
                groups_lost_in_all_streams_are_made_anew,
                a_reader_goes_on_after_its_stream_is_lost,
                a_waiting_reader_survives_the_loss_of_its_stream,
                a_commit_for_an_entry_of_a_lost_stream_is_fenced,
                a_reader_goes_on_after_everything_is_lost,
            }
            order {
                an_entry_names_the_one_before_it_about_its_container,
                emitted_events_name_the_ones_before_them,
                a_later_entry_is_early_until_the_earlier_one_is_acknowledged,
                a_stuck_entry_holds_up_its_own_container_only,
                commits_of_one_call_follow_each_other,
                a_burial_is_in_order_and_lets_the_next_one_through,
                a_known_key_is_a_duplicate_and_not_early,
                a_lost_group_repeats_in_order,
                a_lost_stream_holds_nothing_up,
                a_trimmed_entry_holds_nothing_up,
                an_entry_that_was_taken_over_goes_first,
                a_foreign_predecessor_holds_nothing_up,
            }
            letters {
                an_entry_that_is_no_event_is_handed_out_with_its_reason,
                an_entry_without_an_event_field_is_handed_out_with_its_reason,
                an_unknown_type_is_handed_out_with_its_name,
                a_newer_version_is_handed_out_with_its_number,
                a_bad_entry_does_not_hinder_its_neighbours,
                bad_entries_are_in_a_range,
                burial_writes_a_letter_with_the_original_and_acknowledges,
                a_bad_entry_can_be_buried,
                burial_of_an_entry_that_is_not_pending_is_fenced,
                a_repeated_burial_is_a_duplicate,
                burial_counts_as_an_acknowledgement_for_the_cursor,
            }
            redrive {
                a_redriven_entry_has_the_same_event_and_a_number_of_its_own,
                a_redriven_entry_is_decided_by_its_group,
                other_groups_do_not_see_a_redriven_entry,
                a_letter_is_redriven_once,
                what_dies_again_has_a_new_letter_that_can_be_redriven,
                what_the_group_has_dealt_with_is_not_redriven,
                what_was_trimmed_is_redriven_from_its_letter,
                an_event_of_an_unknown_version_is_redriven_as_it_stands,
                an_entry_without_an_event_is_not_redriven,
                a_redriven_entry_waits_for_what_came_before_it,
                a_redriven_entry_that_was_dealt_with_does_not_come_again,
            }
            timers {
                a_timer_is_taken_when_it_is_due,
                due_timers_come_in_the_order_of_their_deadlines,
                no_more_timers_are_taken_than_asked_for,
                timers_of_other_hosts_are_left_to_them,
                a_taken_timer_is_not_taken_again_before_its_lease_ends,
                a_timer_comes_back_when_its_lease_ends,
                setting_a_timer_again_moves_it,
                timers_of_one_subject_are_apart_by_name_and_cause,
                the_acknowledging_commit_removes_the_timer,
                an_intermediate_commit_keeps_the_timer,
                a_commit_for_a_timer_that_was_not_taken_is_fenced,
                a_commit_for_a_timer_is_made_after_its_lease_until_somebody_takes_it,
                a_commit_for_a_timer_that_was_taken_over_is_fenced,
                a_commit_for_a_timer_that_was_moved_is_fenced,
                a_repeated_commit_for_a_timer_is_a_duplicate,
                a_commit_for_a_timer_can_set_it_again,
                a_late_repetition_leaves_a_timer_that_was_set_and_taken_again,
                timers_of_another_role_are_not_touched,
                a_commit_that_is_not_made_sets_no_timer,
                timers_outlive_the_groups,
            }
            leases {
                a_lease_is_exclusive,
                an_owner_renews_under_the_same_epoch,
                a_lease_ends_by_itself,
                an_ended_lease_is_not_renewed_but_taken_anew,
                a_renewed_lease_does_not_end,
                a_released_lease_can_be_taken_at_once,
                a_release_by_another_changes_nothing,
                a_release_under_a_stale_epoch_changes_nothing,
                leases_are_apart_by_name,
                a_commit_under_a_lease_is_made,
                a_commit_under_a_stale_epoch_is_fenced,
                a_commit_under_an_ended_lease_is_made_until_somebody_takes_it,
                a_commit_under_a_released_lease_is_fenced,
                a_repeated_commit_under_a_lease_is_a_duplicate,
                a_commit_under_a_lease_on_another_version_conflicts,
                of_concurrent_owners_one_gets_the_lease,
                announced_replicas_are_listed,
                a_replica_that_is_not_announced_again_is_not_listed,
                announcing_again_replaces_and_prolongs,
            }
            status {
                a_range_is_paged_without_loss_or_repetition,
                a_range_of_a_missing_stream_is_empty,
                a_range_does_not_touch_the_group,
                streams_are_those_that_exist,
                a_group_tells_what_is_pending_and_unread,
                a_group_that_is_done_has_nothing_pending_and_nothing_unread,
                every_group_is_told_apart,
            }
            handing {
                what_is_handed_over_is_taken_at_once_and_counts_as_no_try,
                a_hand_over_touches_nothing_else,
                a_successor_of_the_same_name_finds_what_was_handed_over,
                timers_given_back_are_due_at_once,
            }
            keeping {
                what_a_group_needs_is_not_trimmed,
                what_nobody_reads_is_trimmed_by_age,
                a_stream_is_trimmed_in_steps,
                a_lost_group_keeps_what_is_behind_its_cursor,
                what_is_not_archived_is_not_trimmed,
                a_log_without_a_limit_is_under_no_pressure,
                what_was_trimmed_while_pending_is_told_as_lost,
                a_lost_group_is_told_as_one,
                the_retention_margin_ends_at_the_oldest_entry_that_is_needed,
                a_silent_group_is_reaped_and_its_cursor_stays,
                a_reaped_group_does_not_keep_entries,
                a_lost_group_without_members_is_reaped,
                a_group_with_a_reading_member_is_not_reaped,
            }
            along {
                a_group_that_reads_along_is_made_where_it_stands,
                a_group_that_reads_along_may_begin_at_the_end,
                a_group_that_reads_along_goes_on_and_never_back,
                what_a_group_that_reads_along_is_done_with_may_be_trimmed,
                what_only_the_archive_keeps_waits_for_no_other_group,
                a_lost_group_that_reads_along_is_made_anew_at_its_cursor,
                a_group_that_reads_along_makes_a_missing_stream,
                a_group_that_reads_along_is_reaped_when_it_is_silent,
                cursors_are_told_with_the_number_that_answers_have_reached,
            }
            forgetting {
                nothing_is_trimmed_before_every_group_has_acknowledged_it,
            }
        }
    };
    (@cases $harness:expr; $($module:ident { $($case:ident,)+ })+) => {
        $($(
            #[tokio::test]
            async fn $case() {
                let harness = $harness.await;
                $crate::contract::log::$module::$case(&harness).await;
            }
        )+)+
    };
}

/// The stream whose entries the groups of the cases read.
const INPUT: StreamName = StreamName::Type(EventType::ContainerChanged);
/// The stream to which their commits append.
const OUTPUT: StreamName = StreamName::Type(EventType::HealthRecovered);
/// The role of the groups of the cases.
const ROLE: Role = Role::Analyzer;

/// Membership of `consumer` in the cases' group; what it holds is not taken over within a test.
fn member(consumer: &str) -> Membership {
    Membership {
        role: ROLE,
        consumer: consumer.to_owned(),
        streams: vec![INPUT],
        batch: 100,
        block: BLOCK,
        claim_after: LONG,
    }
}

/// A reader of [`member`].
async fn join(log: &Arc<dyn EventLog>, consumer: &str) -> Box<dyn GroupReader> {
    log.join(member(consumer)).await.expect("the group can be joined")
}

/// A reader that takes over what was idle for [`SPAN`].
async fn join_claiming(log: &Arc<dyn EventLog>, consumer: &str) -> Box<dyn GroupReader> {
    let membership = Membership { claim_after: SPAN, ..member(consumer) };
    log.join(membership).await.expect("the group can be joined")
}

/// What one read gives. Where there is nothing, log time passes until it gives up.
async fn read(harness: &dyn Harness, reader: &mut dyn GroupReader) -> Vec<Entry> {
    let mut reading = pin!(reader.read());
    let read = async {
        tokio::select! {
            biased;
            read = &mut reading => read,
            () = harness.advance(BLOCK) => reading.await,
        }
    };
    let read = timeout(WAIT_MAX, read).await.expect("a read ends when its wait is over");
    read.expect("the log is there")
}

/// Reads until `count` entries have come, while log time passes.
async fn take(harness: &dyn Harness, reader: &mut dyn GroupReader, count: usize) -> Vec<Entry> {
    let mut taken = Vec::new();
    let rounds = 10 * SPAN.as_millis() / BLOCK.as_millis();
    for _round in 0..rounds {
        if count <= taken.len() {
            break;
        }
        taken.extend(read(harness, reader).await);
    }
    assert_eq!(taken.len(), count, "entries taken: {taken:?}");
    taken
}

/// Reads one entry.
async fn take_one(harness: &dyn Harness, reader: &mut dyn GroupReader) -> Entry {
    take(harness, reader, 1).await.pop().expect("one entry was taken")
}

/// Makes one commit.
async fn commit(log: &Arc<dyn EventLog>, commit: Commit) -> CommitAnswer {
    let mut answers = log.commit(&[commit]).await.expect("the log is there");
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

/// All entries of a stream in the partition of the cases' host.
async fn all(log: &Arc<dyn EventLog>, stream: &StreamName) -> Vec<Entry> {
    let partition = log.partition_of(&events::host());
    log.range(partition, stream, EntryId::ZERO, 10_000).await.expect("the log is there")
}

/// The numbers of all entries in all streams of a partition, sorted.
async fn numbers(log: &Arc<dyn EventLog>, partition: Partition) -> Vec<u64> {
    let mut numbers = Vec::new();
    for stream in log.streams(partition).await.expect("the log is there") {
        let entries = log.range(partition, &stream, EntryId::ZERO, 10_000).await.expect("the log is there");
        numbers.extend(entries.into_iter().filter_map(|entry| entry.seq));
    }
    numbers.sort_unstable();
    numbers
}

/// Where entries stand.
fn places(entries: &[Entry]) -> Vec<EntryRef> {
    entries.iter().map(|entry| entry.at.clone()).collect()
}

/// Whether a commit was made.
fn made(answer: &CommitAnswer) -> bool {
    matches!(answer, CommitAnswer::Committed(_))
}

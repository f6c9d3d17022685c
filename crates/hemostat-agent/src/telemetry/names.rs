//! Names of all metrics, with what they count.

/// 1, labelled with the version.
pub const BUILD_INFO: &str = "hemostat_build_info";
/// Events appended, by role and type.
pub const EVENTS: &str = "hemostat_events_emitted_total";
/// Samples appended.
pub const SAMPLES: &str = "hemostat_samples_total";
/// Samples that were not appended because the log was away or behind.
pub const SAMPLES_SHED: &str = "hemostat_samples_shed_total";
/// Inputs dealt with to the end, by role.
pub const INPUTS: &str = "hemostat_inputs_handled_total";
/// Time from the first decision on an input to its acknowledgement, by role.
pub const INPUT_SECONDS: &str = "hemostat_input_duration_seconds";
/// Failed tries to deal with an input, by role.
pub const INPUT_FAILURES: &str = "hemostat_input_failures_total";
/// Inputs that became dead letters, by role.
pub const DEAD_LETTERS: &str = "hemostat_dead_letters_total";
/// Commits that found another version of the state, by role.
pub const CONFLICTS: &str = "hemostat_commit_conflicts_total";
/// Commits refused because the input was somebody else's, by role.
pub const FENCED: &str = "hemostat_commits_fenced_total";
/// Commits that had to wait for an earlier input about the container; by role.
pub const EARLY: &str = "hemostat_commits_early_total";
/// Failed requests to the log, by role.
pub const LOG_ERRORS: &str = "hemostat_log_errors_total";
/// Failed requests to the container engine, by operation.
pub const ENGINE_ERRORS: &str = "hemostat_engine_errors_total";
/// Engine events that were dropped because too many of one container waited.
pub const ENGINE_EVENTS_DROPPED: &str = "hemostat_engine_events_dropped_total";
/// Containers watched.
pub const CONTAINERS: &str = "hemostat_containers_watched";
/// 1 while this monitor holds the lease of its engine.
pub const MONITOR_ACTIVE: &str = "hemostat_monitor_active";
/// Time of one polling cycle.
pub const CYCLE_SECONDS: &str = "hemostat_poll_duration_seconds";
/// Time from an engine event to the alert in the log.
pub const DETECTION_SECONDS: &str = "hemostat_detection_delay_seconds";
/// Alerts, by severity.
pub const ALERTS: &str = "hemostat_health_alerts_total";
/// Anomalies in alerts, by kind.
pub const ANOMALIES: &str = "hemostat_anomalies_detected_total";
/// Outcomes of plans, by action and outcome.
pub const ACTIONS: &str = "hemostat_actions_total";
/// Time an action took at the engine, by action.
pub const ACTION_SECONDS: &str = "hemostat_action_duration_seconds";
/// Verdicts of verification.
pub const VERIFIED: &str = "hemostat_verifications_total";
/// Notifications, by channel and outcome.
pub const NOTIFICATIONS: &str = "hemostat_notifications_total";
/// Whether the numbers of a group on a stream are exact, by group, stream and partition; so are those that follow.
pub const GROUP_LAG_KNOWN: &str = "hemostat_group_lag_known";
/// Entries never delivered to the group; absent where they were not counted to their end.
pub const GROUP_UNREAD: &str = "hemostat_group_unread_entries";
/// Entries delivered to the group and not acknowledged; absent while the group is lost.
pub const GROUP_PENDING: &str = "hemostat_group_pending_entries";
/// Age of the oldest entry never delivered to the group; 0 where there is none.
pub const GROUP_UNREAD_AGE: &str = "hemostat_group_oldest_unread_age_seconds";
/// Age of the oldest pending entry of the group; 0 where there is none.
pub const GROUP_PENDING_AGE: &str = "hemostat_group_oldest_pending_age_seconds";
/// Log time between the oldest entry of the stream and the oldest one the group needs; absent where it needs none.
pub const GROUP_MARGIN: &str = "hemostat_group_retention_margin_seconds";
/// Entries that vanished before the group had dealt with them.
pub const GROUP_LOST: &str = "hemostat_group_lost_entries";
/// Time since the last sign of life of a member of the group.
pub const GROUP_SILENCE: &str = "hemostat_group_silence_seconds";
/// Entries trimmed away by this process, by stream (plans of all hosts together).
pub const TRIMMED: &str = "hemostat_trimmed_entries_total";
/// Groups taken away by this process because they had no member any more.
pub const GROUPS_REAPED: &str = "hemostat_groups_reaped_total";
/// Segments sealed and published by this process, by partition; so are those that follow.
pub const ARCHIVE_SEGMENTS: &str = "hemostat_archive_segments_total";
/// Events in published segments.
pub const ARCHIVE_EVENTS: &str = "hemostat_archive_events_total";
/// Bytes of published segments.
pub const ARCHIVE_BYTES: &str = "hemostat_archive_bytes_total";
/// Age of the oldest event that was read and is not archived; 0 where there is none.
pub const ARCHIVE_BEHIND: &str = "hemostat_archive_behind_seconds";
/// Numbers that were missing in the log before they were archived.
pub const ARCHIVE_LOST: &str = "hemostat_archive_lost_events_total";
/// Failed requests to the archive.
pub const ARCHIVE_ERRORS: &str = "hemostat_archive_errors_total";
/// Times the agent was started again after it had failed, by role.
pub const AGENT_RESTARTS: &str = "hemostat_agent_restarts_total";

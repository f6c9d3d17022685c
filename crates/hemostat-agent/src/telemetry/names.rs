//! Every metric: its name, and what operators have to know of it. `docs/metrics.md` is made from this table.
//!
//! Names are in base units and end as Prometheus asks for, but for those that the Python HemoStat had, which mean what
//! they say there. Values of labels come from closed lists, from the log's own names, or from what is there now: hosts,
//! replicas and containers; texts are cut.

use super::metric::{By, Kind, Metric};

/// Declares the metrics once.
macro_rules! metrics {
    ($($id:ident = $kind:ident($name:literal, $unit:literal, $labels:tt, $by:ident), $help:literal;)*) => {
        $(#[doc = $help] pub const $id: Metric = Metric {
            name: $name, kind: Kind::$kind, unit: $unit, labels: &$labels, by: By::$by, help: $help,
        };)*

        /// Every metric, in the order of the documentation.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    // About a process: shown by it alone, and gone with it.
    BUILD_INFO = Gauge("hemostat_build_info", "", ["version"], Process),
        "1, labelled with the version of the process.";
    MEMORY = Gauge("hemostat_process_resident_memory_bytes", "bytes", [], Process),
        "Memory that the process has of the machine.";
    EVENTS = Counter("hemostat_events_emitted_total", "", ["role", "type"], Process), "Events appended.";
    SAMPLES = Counter("hemostat_samples_total", "", [], Process), "Samples appended.";
    SAMPLES_SHED = Counter("hemostat_samples_shed_total", "", [], Process),
        "Samples that were not appended because the log was away, behind or nearly full.";
    INPUTS = Counter("hemostat_inputs_handled_total", "", ["role"], Process), "Inputs dealt with to the end.";
    INPUT_SECONDS = Histogram("hemostat_input_duration_seconds", "seconds", ["role"], Process),
        "Time from the first decision on an input to its acknowledgement.";
    INPUT_FAILURES = Counter("hemostat_input_failures_total", "", ["role"], Process),
        "Failed tries to deal with an input.";
    DEAD_LETTERS = Counter("hemostat_dead_letters_total", "", ["role"], Process),
        "Inputs that became dead letters.";
    CONFLICTS = Counter("hemostat_commit_conflicts_total", "", ["role"], Process),
        "Commits that found another version of the state.";
    FENCED = Counter("hemostat_commits_fenced_total", "", ["role"], Process),
        "Commits refused because the input was somebody else's.";
    EARLY = Counter("hemostat_commits_early_total", "", ["role"], Process),
        "Commits that had to wait for an earlier input about the container.";
    LOG_ERRORS = Counter("hemostat_log_errors_total", "", ["role"], Process), "Failed requests to the event log.";
    ENGINE_ERRORS = Counter("hemostat_engine_errors_total", "", ["operation"], Process),
        "Failed requests to the container engine.";
    ENGINE_EVENTS_DROPPED = Counter("hemostat_engine_events_dropped_total", "", [], Process),
        "Engine events that were dropped because too many of one container waited.";
    CONTAINERS = Gauge("hemostat_containers_watched", "", [], Process), "Containers watched by this monitor.";
    MONITOR_ACTIVE = Gauge("hemostat_monitor_active", "", [], Process),
        "1 while this monitor holds the lease of its engine.";
    CYCLE_SECONDS = Histogram("hemostat_poll_duration_seconds", "seconds", [], Process),
        "Time of one polling cycle of the monitor.";
    DETECTION_SECONDS = Histogram("hemostat_detection_delay_seconds", "seconds", [], Process),
        "Time from an engine event to the alert in the log.";
    ALERTS = Counter("hemostat_agent_health_alerts_total", "", ["severity"], Process),
        "Health alerts of this process.";
    ANOMALIES = Counter("hemostat_agent_anomalies_total", "", ["kind"], Process),
        "Anomalies in alerts of this process.";
    ACTIONS = Counter("hemostat_agent_actions_total", "", ["action", "outcome"], Process),
        "Outcomes of plans, by this process.";
    ACTION_SECONDS = Histogram("hemostat_agent_action_duration_seconds", "seconds", ["action"], Process),
        "Time an action of this process took at the engine.";
    VERIFIED = Counter("hemostat_agent_verifications_total", "", ["verdict"], Process),
        "Verdicts of verification, by this process.";
    NOTIFICATIONS = Counter("hemostat_agent_notifications_total", "", ["channel", "outcome"], Process),
        "Notifications of this process.";
    TRIMMED = Counter("hemostat_trimmed_entries_total", "", ["stream"], Process),
        "Entries trimmed away by this process; plans of all hosts together.";
    GROUPS_REAPED = Counter("hemostat_groups_reaped_total", "", [], Process),
        "Groups taken away by this process because they had no member any more.";
    ARCHIVE_SEGMENTS = Counter("hemostat_archive_segments_total", "", ["partition"], Process),
        "Segments sealed and published by this process.";
    ARCHIVE_EVENTS = Counter("hemostat_archive_events_total", "", ["partition"], Process),
        "Events in segments that this process published.";
    ARCHIVE_BYTES = Counter("hemostat_archive_bytes_total", "bytes", ["partition"], Process),
        "Bytes of segments that this process published.";
    ARCHIVE_BEHIND = Gauge("hemostat_archive_behind_seconds", "seconds", ["partition"], Process),
        "Age of the oldest event that was read and is not archived; 0 where there is none.";
    ARCHIVE_LOST = Counter("hemostat_archive_lost_events_total", "", ["partition"], Process),
        "Numbers missing in the log before they were archived.";
    ARCHIVE_ERRORS = Counter("hemostat_archive_errors_total", "", ["partition"], Process),
        "Failed requests to the archive.";
    BRIDGE_SAID = Counter("hemostat_bridge_said_total", "", ["channel"], Process),
        "Messages said to the Python HemoStat.";
    BRIDGE_HEARD = Counter("hemostat_bridge_heard_total", "", ["channel", "outcome"], Process),
        "Messages heard from it, by what became of them: taken, repeated, own, refused, malformed, dropped.";
    BRIDGE_KEYS_FAILED = Counter("hemostat_bridge_keys_failed_total", "", [], Process),
        "Keys of its agents that were not written because they hold something else.";
    BRIDGE_ERRORS = Counter("hemostat_bridge_errors_total", "", [], Process),
        "Failed requests to its Redis.";
    AGENT_RESTARTS = Counter("hemostat_agent_restarts_total", "", ["role"], Process),
        "Times the agent was started again after it had failed.";

    // How far the groups have come: every process shows all of it, so aggregate with `max`, not with `sum`.
    GROUP_LAG_KNOWN = Gauge("hemostat_group_lag_known", "", ["group", "stream", "partition"], Everybody),
        "1 while the numbers of the group are exact; 0 where they are not known, and then those that are not are absent.";
    GROUP_UNREAD = Gauge("hemostat_group_unread_entries", "", ["group", "stream", "partition"], Everybody),
        "Entries never delivered to the group; absent where they were not counted to their end.";
    GROUP_PENDING = Gauge("hemostat_group_pending_entries", "", ["group", "stream", "partition"], Everybody),
        "Entries delivered to the group and not acknowledged; absent while the group is lost.";
    GROUP_UNREAD_AGE = Gauge("hemostat_group_oldest_unread_age_seconds", "seconds", ["group", "stream", "partition"], Everybody),
        "Age of the oldest entry never delivered to the group; 0 where there is none.";
    GROUP_PENDING_AGE = Gauge("hemostat_group_oldest_pending_age_seconds", "seconds", ["group", "stream", "partition"], Everybody),
        "Age of the oldest pending entry of the group; 0 where there is none.";
    GROUP_MARGIN = Gauge("hemostat_group_retention_margin_seconds", "seconds", ["group", "stream", "partition"], Everybody),
        "Log time between the oldest entry of the stream and the oldest one the group needs; absent where it needs none.";
    GROUP_LOST = Gauge("hemostat_group_lost_entries", "", ["group", "stream", "partition"], Everybody),
        "Entries that vanished before the group had dealt with them.";
    GROUP_SILENCE = Gauge("hemostat_group_silence_seconds", "seconds", ["group", "stream", "partition"], Everybody),
        "Time since the last sign of life of a member of the group.";

    // About the log, by the exporter.
    GROUP_DEAD_LETTERS = Counter("hemostat_group_dead_letters_total", "", ["group", "stream", "partition"], Exporter),
        "Inputs of the group that became dead letters.";
    LOG_UP = Gauge("hemostat_log_up", "", [], Exporter),
        "1 while the exporter reads the log; else what it shows is of the last time it did.";
    LOG_READ = Gauge("hemostat_log_read_timestamp_seconds", "seconds", [], Exporter),
        "Log time up to which the log was read.";
    COUNTING_SINCE = Gauge("hemostat_counting_since_timestamp_seconds", "seconds", [], Exporter),
        "Log time since which the counters of the exporter count: the beginning of the day in UTC.";
    LOG_EVENTS = Counter("hemostat_log_events_total", "", ["type"], Exporter),
        "Events in the log; samples are not counted.";
    LOG_UNREADABLE = Counter("hemostat_log_unreadable_entries_total", "", [], Exporter),
        "Entries that hold no event that this version can read.";
    LOG_MEMORY = Gauge("hemostat_log_memory_used_bytes", "bytes", ["partition"], Exporter),
        "Memory of the server that holds the partition, as far as it counts against its limit.";
    LOG_MEMORY_LIMIT = Gauge("hemostat_log_memory_limit_bytes", "bytes", ["partition"], Exporter),
        "The limit, where there is one.";
    REDIS_OPERATIONS = Counter("hemostat_redis_operations_total", "", ["operation", "status"], Exporter),
        "Commands the servers of the log were given by everybody since they started: success or failed.";
    HOPS = Histogram("hemostat_hop_duration_seconds", "seconds", ["role", "type"], Exporter),
        "Time from the append of an event to the append of the agent's answer.";

    // Agents and hosts, by the exporter.
    AGENTS = Gauge("hemostat_agents", "", ["role"], Exporter), "Replicas that are alive.";
    AGENT_INFO = Gauge("hemostat_agent_info", "", ["agent_name", "replica", "host", "version"], Exporter),
        "1 for every replica that is alive.";
    AGENT_UPTIME = Gauge("hemostat_agent_uptime_seconds", "seconds", ["agent_name", "replica"], Exporter),
        "Time since the replica started.";
    HOST_CONTAINERS = Gauge("hemostat_host_containers", "", ["host", "state"], Exporter),
        "Containers that are there, by what they do.";
    HOST_SAMPLED = Gauge("hemostat_host_sampled_timestamp_seconds", "seconds", ["host"], Exporter),
        "When the last sample of the host was appended, in log time.";
    HOST_CYCLE = Gauge("hemostat_host_sample_interval_seconds", "seconds", ["host"], Exporter),
        "Time between the last two samples of a container of the host: the monitor's cycle.";

    // Containers, by the exporter, with the names of the Python HemoStat.
    CPU_PERCENT = Gauge("hemostat_container_cpu_percent", "percent", ["host", "container_id", "container_name"], Exporter),
        "CPU time in percent of what the container may use.";
    MEMORY_PERCENT = Gauge("hemostat_container_memory_percent", "percent", ["host", "container_id", "container_name"], Exporter),
        "Working set in percent of the limit.";
    MEMORY_BYTES = Gauge("hemostat_container_memory_bytes", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Working set: usage without inactive page cache.";
    NETWORK_RX = Counter("hemostat_container_network_rx_bytes_total", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Bytes received since the container started.";
    NETWORK_TX = Counter("hemostat_container_network_tx_bytes_total", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Bytes sent since the container started.";
    BLKIO_READ = Counter("hemostat_container_blkio_read_bytes_total", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Bytes read from block devices since the container started.";
    BLKIO_WRITE = Counter("hemostat_container_blkio_write_bytes_total", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Bytes written to block devices since the container started.";
    RESTART_COUNT = Gauge("hemostat_container_restart_count", "", ["host", "container_id", "container_name"], Exporter),
        "Restarts by the engine's own restart policy.";

    // Containers, by the exporter, with cAdvisor's suffixes and base units.
    INFO = Gauge("hemostat_container_info", "", ["host", "container_id", "container_name", "image", "project", "service"], Exporter),
        "1 for every container that is there.";
    CPU_USAGE = Counter("hemostat_container_cpu_usage_seconds_total", "seconds", ["host", "container_id", "container_name"], Exporter),
        "CPU time used since the container started.";
    CPU_RATIO = Gauge("hemostat_container_cpu_utilization_ratio", "ratio", ["host", "container_id", "container_name"], Exporter),
        "CPU time as a share of what the container may use, 0 to 1.";
    CPU_LIMIT = Gauge("hemostat_container_cpu_limit_cores", "cores", ["host", "container_id", "container_name"], Exporter),
        "Processors the container may use: its quota, or those of the host.";
    CPU_THROTTLED = Gauge("hemostat_container_cpu_throttled_ratio", "ratio", ["host", "container_id", "container_name"], Exporter),
        "Share of scheduler periods in which the quota ran out, 0 to 1.";
    WORKING_SET = Gauge("hemostat_container_memory_working_set_bytes", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Working set: usage without inactive page cache.";
    MEMORY_RATIO = Gauge("hemostat_container_memory_utilization_ratio", "ratio", ["host", "container_id", "container_name"], Exporter),
        "Working set as a share of the limit, 0 to 1.";
    MEMORY_LIMIT = Gauge("hemostat_container_spec_memory_limit_bytes", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Memory limit: the container's, or the host's memory.";
    NETWORK_RECEIVE = Counter("hemostat_container_network_receive_bytes_total", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Bytes received since the container started.";
    NETWORK_TRANSMIT = Counter("hemostat_container_network_transmit_bytes_total", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Bytes sent since the container started.";
    FS_READS = Counter("hemostat_container_fs_reads_bytes_total", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Bytes read from block devices since the container started.";
    FS_WRITES = Counter("hemostat_container_fs_writes_bytes_total", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Bytes written to block devices since the container started.";
    FS_USAGE = Gauge("hemostat_container_fs_usage_bytes", "bytes", ["host", "container_id", "container_name"], Exporter),
        "Size of the writable layer, where it was measured.";
    PROCESSES = Gauge("hemostat_container_processes", "", ["host", "container_id", "container_name"], Exporter),
        "Processes and threads.";
    PROCESSES_LIMIT = Gauge("hemostat_container_processes_limit", "", ["host", "container_id", "container_name"], Exporter),
        "Most processes and threads the container may have, where it is limited.";
    RUNNING = Gauge("hemostat_container_running", "", ["host", "container_id", "container_name"], Exporter),
        "1 while its first process runs.";
    HEALTHY = Gauge("hemostat_container_healthy", "", ["host", "container_id", "container_name"], Exporter),
        "1 while its health check passes, 0 while it fails; absent without one and within its start period.";
    OOM_KILLED = Gauge("hemostat_container_oom_killed", "", ["host", "container_id", "container_name"], Exporter),
        "1 when the kernel ended the last run for memory.";
    START_TIME = Gauge("hemostat_container_start_time_seconds", "seconds", ["host", "container_id", "container_name"], Exporter),
        "Start of the present or last run, by the engine's clock.";
    LAST_SEEN = Gauge("hemostat_container_last_seen", "seconds", ["host", "container_id", "container_name"], Exporter),
        "Last sign of life, in log time.";
    INCIDENT_OPEN = Gauge("hemostat_container_incident_open", "", ["host", "container_id", "container_name"], Exporter),
        "1 while the container has an open incident.";

    ACTED = Gauge("hemostat_container_acted_timestamp_seconds", "seconds", ["host", "container_id", "container_name", "action", "status"], Exporter),
        "When the outcome of the last action on the container was appended, in log time; absent where none was within a day or two.";

    // What was found and done, with zeros where nothing was: for rates and alerts.
    HOST_ALERTS = Counter("hemostat_host_health_alerts_total", "", ["host", "severity"], Exporter),
        "Health alerts about the containers of the host.";
    HOST_ACTIONS = Counter("hemostat_host_remediation_attempts_total", "", ["host", "action", "status"], Exporter),
        "Outcomes of plans about the containers of the host.";

    // What was found and done, by the exporter; about a container, until a while after its last sign of life.
    HEALTH_ALERTS = Counter("hemostat_health_alerts_total", "", ["host", "container_name", "severity"], Exporter),
        "Health alerts.";
    ANOMALIES_DETECTED = Counter("hemostat_anomalies_detected_total", "", ["host", "container_name", "anomaly_type"], Exporter),
        "Anomalies in alerts.";
    ANALYSIS_REQUESTS = Counter("hemostat_analysis_requests_total", "", ["result_type"], Exporter),
        "What the analyzer found: remediation_needed or false_alarm.";
    ANALYSIS_SECONDS = Histogram("hemostat_analysis_duration_seconds", "seconds", [], Exporter),
        "Time from an alert to what the analyzer says of it.";
    ANALYSIS_CONFIDENCE = Histogram("hemostat_analysis_confidence", "ratio", ["result_type"], Exporter),
        "How sure the analyzer was, 0 to 1.";
    FALSE_ALARMS = Counter("hemostat_false_alarms_total", "", ["anomaly_type"], Exporter),
        "Symptoms in false alarms.";
    ATTEMPTS = Counter("hemostat_remediation_attempts_total", "", ["host", "container_name", "action", "status"], Exporter),
        "Outcomes of plans: success, failed, rejected, not_applicable, unknown.";
    REMEDIATION_SECONDS = Histogram("hemostat_remediation_duration_seconds", "seconds", ["action"], Exporter),
        "Time an action took at the engine.";
    REJECTIONS = Counter("hemostat_remediation_rejections_total", "", ["reason"], Exporter),
        "Plans that the policy did not allow.";
    VERIFICATIONS = Counter("hemostat_remediation_verifications_total", "", ["action", "verdict"], Exporter),
        "Verdicts of verification: verified, not_fixed, unknown.";
    COOLDOWN_ACTIVE = Gauge("hemostat_remediation_cooldown_active", "", ["host", "container_id", "container_name"], Exporter),
        "1 while the cooldown forbids an action; for containers that were acted on.";
    BREAKER_OPEN = Gauge("hemostat_remediation_breaker_open", "", ["host", "container_id", "container_name"], Exporter),
        "1 while the circuit breaker forbids an action; for containers that were acted on.";
    ALERTS_SENT = Counter("hemostat_alerts_sent_total", "", ["channel", "status"], Exporter),
        "Notifications that were sent (success) or could not be (failed).";
    ALERTS_DEDUPED = Counter("hemostat_alerts_deduped_total", "", [], Exporter),
        "Notifications left out because the same was told within the window.";
    TOLD = Counter("hemostat_notifications_total", "", ["channel", "kind", "outcome"], Exporter),
        "Notifications: sent, deduplicated, grouped, failed.";
    INCIDENTS_OPEN = Gauge("hemostat_incidents_open", "", ["host"], Exporter), "Containers with an open incident.";
    TIME_TO_DETECTION = Histogram("hemostat_time_to_detection_seconds", "seconds", [], Exporter),
        "Time from the first symptom of an incident to its first alert.";
    TIME_TO_REMEDIATION = Histogram("hemostat_time_to_remediation_seconds", "seconds", [], Exporter),
        "Time from the beginning of an incident to its first repair.";
    INCIDENT_SECONDS = Histogram("hemostat_incident_duration_seconds", "seconds", [], Exporter),
        "How long incidents lasted that are over.";
    CONTAINERS_FULL = Gauge("hemostat_container_limit_reached", "", [], Exporter),
        "1 when there are more containers than the 50,000 that one exporter shows.";
}

//! Whether the agents live, how fast they answer, and what they cost.

use super::{Board, HOST, Kind, panel};

/// The agents.
pub(crate) fn board() -> Board {
    let rate = |metric: &str, by: &str| format!("sum by ({by}) (rate({metric}[$__rate_interval]))");
    Board {
        uid: "hemostat-agents",
        title: "HemoStat Agents",
        description: "Whether the agents live, how fast they answer, and what they ask of Redis and the engine.",
        variables: vec![HOST],
        panels: vec![
            panel(Kind::Stat, "Replicas", "Replicas that are alive, by role. Red at none: that part of the loop stands still.")
                .wide(12)
                .query("hemostat_agents", "{{role}}")
                .from(0.0, "red")
                .from(1.0, "green")
                .alert("AgentDown"),
            panel(Kind::Stat, "Exporter", "Whether the exporter reads the log. If it does not, what is shown is of the last time it did.")
                .query("min(hemostat_log_up)", "")
                .from(0.0, "red")
                .from(1.0, "green")
                .word("0", "away", "red")
                .word("1", "reads the log", "green")
                .alert("MetricsExporterDown"),
            panel(Kind::Stat, "Oldest last sample", "Time since the last sample of the host that was silent for longest. Red above two minutes.")
                .unit("s")
                .query("max(time() - hemostat_host_sampled_timestamp_seconds{host=~\"$host\"})", "")
                .from(60.0, "orange")
                .from(120.0, "red")
                .alert("MonitorSilent"),
            panel(Kind::Table, "Who runs", "Every replica that is alive, its version and since when it runs.")
                .query("max by (agent_name, replica, host, version) (hemostat_agent_info)", "")
                .query("max by (agent_name, replica) (hemostat_agent_uptime_seconds)", "")
                .column("agent_name", "Agent", "")
                .column("replica", "Replica", "")
                .column("host", "Host", "")
                .column("version", "Version", "")
                .column("Value #B", "Up for", "s")
                .sorted("Agent", false),
            panel(Kind::Lines, "Cycle of the monitors", "Time between two samples of a container; longer than the interval that is set: the monitor is behind.")
                .unit("s")
                .query("hemostat_host_sample_interval_seconds{host=~\"$host\"}", "{{host}}"),
            panel(Kind::Lines, "Polls", "Time a monitor took to look at all containers (p95).")
                .unit("s")
                .query("histogram_quantile(0.95, sum by (le, instance) (rate(hemostat_poll_duration_seconds_bucket[$__rate_interval])))", "{{instance}}"),
            panel(Kind::Lines, "Hop latency", "Time from the append of an event to the append of the agent's answer (p50 and p95).")
                .unit("s")
                .query("histogram_quantile(0.5, sum by (le, role) (rate(hemostat_hop_duration_seconds_bucket[$__rate_interval])))", "{{role}} p50")
                .query("histogram_quantile(0.95, sum by (le, role) (rate(hemostat_hop_duration_seconds_bucket[$__rate_interval])))", "{{role}} p95"),
            panel(Kind::Lines, "From an engine event to the alert", "By the monitors themselves (p95).")
                .unit("s")
                .query("histogram_quantile(0.95, sum by (le) (rate(hemostat_detection_delay_seconds_bucket[$__rate_interval])))", "p95"),
            panel(Kind::Lines, "Inputs", "Inputs dealt with to their end, and failed tries, by role.")
                .unit("cps")
                .query(rate("hemostat_inputs_handled_total", "role"), "{{role}}")
                .query(rate("hemostat_input_failures_total", "role"), "{{role}} failed"),
            panel(Kind::Lines, "Conflicts and fences", "Commits that another replica was faster with (conflict), was given (fenced) or has to make first (early).")
                .unit("cps")
                .query(rate("hemostat_commit_conflicts_total", "role"), "{{role}} conflict")
                .query(rate("hemostat_commits_fenced_total", "role"), "{{role}} fenced")
                .query(rate("hemostat_commits_early_total", "role"), "{{role}} early"),
            panel(Kind::Lines, "Redis operations", "Commands that the servers of the log were given, by everybody: the ten most frequent.")
                .unit("cps")
                .query(
                    "topk(10, sum by (operation) (rate(hemostat_redis_operations_total{status=\"success\"}[$__rate_interval])))",
                    "{{operation}}",
                ),
            panel(Kind::Lines, "Failures", "Failed commands of Redis, failed requests to the log and to the engine, agents that had to be started again.")
                .unit("cps")
                .query("sum(rate(hemostat_redis_operations_total{status=\"failed\"}[$__rate_interval]))", "Redis")
                .query(rate("hemostat_log_errors_total", "role"), "log, {{role}}")
                .query(rate("hemostat_engine_errors_total", "operation"), "engine, {{operation}}")
                .query(rate("hemostat_agent_restarts_total", "role"), "restarts, {{role}}"),
            panel(Kind::Lines, "Memory", "Memory of every process, and of the log's servers as far as it counts against their limit.")
                .unit("bytes")
                .query("max by (instance) (hemostat_process_resident_memory_bytes)", "{{instance}}")
                .query("max by (partition) (hemostat_log_memory_used_bytes)", "log, partition {{partition}}"),
            panel(Kind::Bars, "Events in the log (per minute)", "What agents wrote, by type; samples are not counted.")
                .unit("cpm")
                .query("sum by (type) (rate(hemostat_log_events_total[$__rate_interval])) * 60", "{{type}}"),
            panel(Kind::Lines, "Samples", "Samples appended, and those given up because the log was away, behind or nearly full.")
                .unit("cps")
                .query("sum(rate(hemostat_samples_total[$__rate_interval]))", "appended")
                .query("sum(rate(hemostat_samples_shed_total[$__rate_interval]))", "given up"),
            panel(Kind::Lines, "Scrapes", "Time a scrape takes.")
                .unit("s")
                .query("scrape_duration_seconds{job=~\"hemostat.*\"}", "{{instance}}")
                .from(10.0, "red"),
        ],
    }
}

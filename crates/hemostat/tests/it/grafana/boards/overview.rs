//! The panels of the Python HemoStat, by their titles, with true values.

use super::{Board, HOST, Kind, Variable, panel};

/// The overview.
pub(crate) fn board() -> Board {
    Board {
        uid: "hemostat-overview",
        title: "HemoStat Overview",
        description: "What containers do, what HemoStat found and what it did.",
        variables: vec![
            HOST,
            Variable {
                name: "project",
                says: "Compose projects; containers of none are in All.",
                query: "label_values(hemostat_container_info{host=~\"$host\"}, project)",
            },
            Variable {
                name: "container",
                says: "Containers.",
                query: "label_values(hemostat_container_info{host=~\"$host\", project=~\"$project\"}, container_name)",
            },
        ],
        panels: vec![
            panel(Kind::Stat, "Monitored Containers", "Containers that are there and whose monitor speaks. Red at none.")
                .query(
                    "count(hemostat_container_info{host=~\"$host\", project=~\"$project\", container_name=~\"$container\"}) or vector(0)",
                    "",
                )
                .from(0.0, "red")
                .from(1.0, "green"),
            panel(
                Kind::Stat,
                "Health Alerts (per minute)",
                "Alerts about containers of the hosts; the projects and containers chosen above make no difference. An alert is repeated while the container is sick.",
            )
            .unit("cpm")
            .query("sum(rate(hemostat_host_health_alerts_total{host=~\"$host\"}[$__rate_interval])) * 60", "")
            .from(1.0, "orange")
            .from(10.0, "red")
            .alert("NoHealthAlertsDetected"),
            panel(
                Kind::Stat,
                "Analysis Confidence (median)",
                "How sure the analyzer was in the last hour, of all hosts. Below 0.7 plans are not carried out.",
            )
            .unit("percentunit")
            .query("hemostat:analysis_confidence:p50", "")
            .from(0.0, "red")
            .from(0.5, "orange")
            .from(0.7, "green")
            .nothing("nothing analysed")
            .alert("LowAnalysisConfidence"),
            panel(
                Kind::Stat,
                "Remediations (per minute)",
                "Plans about containers of the hosts that came to an end, refused ones included.",
            )
            .unit("cpm")
            .query("sum(rate(hemostat_host_remediation_attempts_total{host=~\"$host\"}[$__rate_interval])) * 60", "")
            .from(1.0, "orange")
            .from(10.0, "red"),
            usage("Container CPU Usage", "hemostat_container_cpu_percent", "The 20 that use most of what they may use: of their quota, or of the host. Red above 90 %.")
                .alert("HighContainerCPU"),
            usage("Container Memory Usage", "hemostat_container_memory_percent", "The 20 whose working set is nearest to their limit, or to the host's memory. Red above 90 %.")
                .alert("HighContainerMemory")
                .alert("ExcessiveContainerRestarts"),
            panel(Kind::Bars, "Health Alerts by Severity (per minute)", "Alerts about containers of the hosts.")
                .unit("cpm")
                .query(
                    "sum by (severity) (rate(hemostat_host_health_alerts_total{host=~\"$host\"}[$__rate_interval])) * 60",
                    "{{severity}}",
                ),
            panel(Kind::Bars, "Analysis Requests (per minute)", "What the analyzer found: plans to repair, or false alarms. Of all hosts.")
                .unit("cpm")
                .query(
                    "sum by (result_type) (rate(hemostat_analysis_requests_total[$__rate_interval])) * 60",
                    "{{result_type}}",
                ),
            panel(
                Kind::Bars,
                "Remediation Attempts (per minute)",
                "How plans about containers of the hosts ended. Failed: the engine did not do it; unknown: nobody knows whether it did.",
            )
            .unit("cpm")
            .query(
                "sum by (action, status) (rate(hemostat_host_remediation_attempts_total{host=~\"$host\"}[$__rate_interval])) * 60 > 0 or sum by (action, status) (rate(hemostat_host_remediation_attempts_total{host=~\"$host\", action=\"restart\"}[$__rate_interval])) * 60",
                "{{action}} {{status}}",
            )
            .alert("HighRemediationFailureRate"),
            super::quantiles(
                "Analysis Duration (percentiles)",
                "Time from an alert to what the analyzer says of it, of all hosts. Red above 10 s.",
                "hemostat_analysis_duration_seconds",
            )
            .from(10.0, "red")
            .alert("SlowAnalysisResponse"),
            super::quantiles(
                "Remediation Duration (percentiles)",
                "Time an action took at the engine, of all hosts. Red above 60 s.",
                "hemostat_remediation_duration_seconds",
            )
            .from(60.0, "red")
            .alert("SlowRemediationExecution"),
        ],
    }
}

/// The 20 containers with most of something.
fn usage(title: &'static str, metric: &str, says: &'static str) -> super::Panel {
    let chosen = "host=~\"$host\", container_name=~\"$container\"";
    panel(Kind::Lines, title, says)
        .unit("percent")
        .query(
            format!(
                "topk(20, {metric}{{{chosen}}} and on (host, container_id) hemostat_container_info{{project=~\"$project\"}})"
            ),
            "{{host}}/{{container_name}}",
        )
        .from(75.0, "orange")
        .from(90.0, "red")
}

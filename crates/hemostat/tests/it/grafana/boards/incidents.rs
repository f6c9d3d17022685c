//! How long incidents take, what was done about them, and what people were told.

use super::{Board, HOST, Kind, panel};

const HOSTS: &str = "{host=~\"$host\"}";
const BY: &str = "by (host, container_id, container_name)";

/// Incidents and remediation.
pub(crate) fn board() -> Board {
    Board {
        uid: "hemostat-incidents",
        title: "HemoStat Incidents and Remediation",
        description: "How long incidents take, what was done about them, and what people were told.",
        variables: vec![HOST],
        panels: vec![
            panel(Kind::Stat, "Open incidents", "Containers that are sick now.")
                .query(format!("sum(hemostat_incidents_open{HOSTS})"), "")
                .from(1.0, "orange")
                .from(5.0, "red"),
            half("Time to detect (median, 1 h)", "From the first symptom of an incident to its first alert.", "hemostat_time_to_detection_seconds"),
            half("Time to repair (median, 1 h)", "From the beginning of an incident to its first repair that the engine has done.", "hemostat_time_to_remediation_seconds"),
            panel(Kind::Stat, "False alarms (1 h)", "Share of the alerts that the analyzer found nothing behind.")
                .unit("percentunit")
                .query("hemostat:false_alarm_ratio:rate1h", "")
                .from(0.2, "orange")
                .from(0.5, "red")
                .nothing("nothing analysed"),
            panel(Kind::Stat, "Breakers open", "Containers that HemoStat has given up on: three actions in a row did not help.")
                .query(format!("sum(hemostat_remediation_breaker_open{HOSTS}) or vector(0)"), "")
                .from(1.0, "red")
                .alert("BreakerOpen"),
            panel(Kind::Stat, "Cooldowns", "Containers on which nothing is done now because something was done a moment ago.")
                .query(format!("sum(hemostat_remediation_cooldown_active{HOSTS}) or vector(0)"), ""),
            panel(Kind::Stat, "Failed actions (1 h)", "Share of the actions that the engine did not do, or of which nobody knows whether it did.")
                .unit("percentunit")
                .query("hemostat:remediation_failure_ratio:rate1h", "")
                .from(0.1, "orange")
                .from(0.3, "red")
                .nothing("nothing done"),
            panel(Kind::Stat, "Failed messages (15 min)", "Share of the messages that a channel did not take, of the worst channel.")
                .unit("percentunit")
                .query("max(hemostat:notification_failure_ratio:rate15m)", "")
                .from(0.01, "orange")
                .from(0.2, "red")
                .nothing("nothing told")
                .alert("HighAlertFailureRate"),
            super::quantiles("Time to detect", "From the first symptom of an incident to its first alert.", "hemostat_time_to_detection_seconds"),
            super::quantiles("Time to repair", "From the beginning of an incident to its first repair.", "hemostat_time_to_remediation_seconds"),
            super::quantiles("Length of incidents", "How long incidents lasted that are over.", "hemostat_incident_duration_seconds"),
            panel(Kind::Lines, "Incidents open by host", "Containers that are sick.")
                .query(format!("hemostat_incidents_open{HOSTS}"), "{{host}}"),
            panel(Kind::Bars, "Outcomes of plans", "How plans ended, in each interval.")
                .query(format!("sum by (status) (increase(hemostat_host_remediation_attempts_total{HOSTS}[$__rate_interval]))"), "{{status}}"),
            panel(Kind::Bars, "Verdicts", "Whether actions helped: looked at when the container has had time to settle. Not fixed more than twice an hour is an alert.")
                .query("sum by (verdict) (increase(hemostat_remediation_verifications_total[$__rate_interval]))", "{{verdict}}")
                .alert("VerificationFailures"),
            panel(Kind::Bars, "Refused plans", "Plans that the policy did not allow, by reason.")
                .query("sum by (reason) (increase(hemostat_remediation_rejections_total[$__rate_interval]))", "{{reason}}"),
            panel(Kind::Bars, "False alarms by symptom", "Symptoms behind which the analyzer found nothing: which threshold is too low.")
                .query("sum by (anomaly_type) (increase(hemostat_false_alarms_total[$__rate_interval]))", "{{anomaly_type}}"),
            panel(Kind::Bars, "Messages", "Notifications by channel, and whether the channel took them.")
                .query("sum by (channel, status) (increase(hemostat_alerts_sent_total[$__rate_interval]))", "{{channel}} {{status}}"),
            panel(Kind::Lines, "Repetitions left out (per second)", "Messages that were not sent because the same was told within the window. Red above one a second: many containers flap.")
                .unit("cps")
                .query("rate(hemostat_alerts_deduped_total[$__rate_interval])", "left out")
                .from(1.0, "red")
                .alert("HighAlertDeduplicationRate"),
            panel(Kind::Table, "Containers that are sick or were acted on", "Incidents that are open, what was done last, and whether anything may be done now.")
                .query(format!("max {BY} (hemostat_container_incident_open{HOSTS}) == 1"), "")
                .query(format!("max {BY} (hemostat_container_acted_timestamp_seconds{HOSTS}) * 1000"), "")
                .query(format!("max {BY} (hemostat_remediation_cooldown_active{HOSTS})"), "")
                .query(format!("max {BY} (hemostat_remediation_breaker_open{HOSTS})"), "")
                .column("host", "Host", "")
                .column("container_name", "Container", "")
                .column("container_id", "Id", "")
                .column("Value #A", "Sick", "bool_yes_no")
                .column("Value #B", "Last action", "dateTimeFromNow")
                .column("Value #C", "Cooldown", "bool_yes_no")
                .column("Value #D", "Breaker open", "bool_yes_no")
                .sorted("Last action", true),
            panel(Kind::Table, "Today by container", "What was found and done since 00:00 UTC.")
                .query(format!("sum by (host, container_name) (hemostat_health_alerts_total{HOSTS})"), "")
                .query(format!("sum by (host, container_name) (hemostat_anomalies_detected_total{HOSTS})"), "")
                .query("sum by (host, container_name) (hemostat_remediation_attempts_total{host=~\"$host\", status=\"success\"})", "")
                .query("sum by (host, container_name) (hemostat_remediation_attempts_total{host=~\"$host\", status!=\"success\"})", "")
                .column("host", "Host", "")
                .column("container_name", "Container", "")
                .column("Value #A", "Alerts", "short")
                .column("Value #B", "Symptoms", "short")
                .column("Value #C", "Repairs", "short")
                .column("Value #D", "Other outcomes", "short")
                .sorted("Alerts", true),
        ],
    }
}

/// The median of the last hour.
fn half(title: &'static str, says: &'static str, metric: &str) -> super::Panel {
    panel(Kind::Stat, title, says)
        .unit("s")
        .query(format!("histogram_quantile(0.5, sum by (le) (rate({metric}_bucket[1h])))"), "")
        .from(60.0, "orange")
        .from(300.0, "red")
        .nothing("none")
}

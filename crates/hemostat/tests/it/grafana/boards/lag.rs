//! Which group is behind, by how much, since when, and what will be lost first.

use super::{Board, Kind, Variable, panel};

const OF: &str = "{group=~\"$group\"}";
const BY: &str = "by (group, stream, partition)";
const LEGEND: &str = "{{group}} {{stream}} {{partition}}";

/// Consumer lag.
pub(crate) fn board() -> Board {
    let behind = format!("hemostat:group_behind_seconds:max{OF}");
    let margin = format!("min {BY} (hemostat_group_retention_margin_seconds{OF})");
    let letters = format!("max {BY} (hemostat_group_dead_letters_total{OF})");
    let lost = format!("max {BY} (hemostat_group_lost_entries{OF})");
    let pending = format!("max {BY} (hemostat_group_pending_entries{OF})");
    Board {
        uid: "hemostat-lag",
        title: "HemoStat Consumer Lag",
        description: "Which group is behind, by how much, since when, and what will be lost first.",
        variables: vec![Variable {
            name: "group",
            says: "Consumer groups: the agents, and the archiver.",
            query: "label_values(hemostat_group_lag_known, group)",
        }],
        panels: vec![
            panel(Kind::Stat, "Groups behind", "Groups that have not dealt with an entry that is older than a minute, by stream.")
                .query(format!("count({behind} > 60) or vector(0)"), "")
                .from(1.0, "red")
                .alert("ConsumerLag"),
            panel(Kind::Stat, "Furthest behind", "Age of the oldest entry that a group has not dealt with.")
                .unit("s")
                .query(format!("max({behind})"), "")
                .from(10.0, "orange")
                .from(60.0, "red"),
            panel(
                Kind::Stat,
                "Smallest retention margin",
                "Log time between the oldest entry there is and the oldest one a group still needs: what is behind by more is lost. No value: nobody needs anything.",
            )
            .unit("s")
            .query(format!("min({margin})"), "")
            .from(0.0, "red")
            .from(600.0, "orange")
            .from(3_600.0, "green")
            .nothing("nothing waits")
            .alert("RetentionMarginLow"),
            panel(Kind::Stat, "Archive behind", "Age of the oldest event that is not archived.")
                .unit("s")
                .query("max(hemostat:archive_behind_seconds:max)", "")
                .from(60.0, "orange")
                .from(300.0, "red")
                .nothing("no archive")
                .alert("ArchiveBehind"),
            panel(Kind::Stat, "Dead letters today", "Inputs that nobody could handle, since 00:00 UTC; `hemostat dlq ls` has them.")
                .wide(8)
                .query(format!("sum({letters})"), "")
                .from(1.0, "red")
                .alert("DeadLetters"),
            panel(Kind::Stat, "Lag not known", "Groups of which it is not known how far they have come: lost, or too far behind to count.")
                .wide(8)
                .query(format!("count(hemostat:group_lag_known:min{OF} == 0) or vector(0)"), "")
                .from(1.0, "orange")
                .alert("LagUnknown"),
            panel(Kind::Stat, "Entries lost", "Entries that vanished before a group had dealt with them, since the group began.")
                .wide(8)
                .query(format!("sum({lost})"), "")
                .from(1.0, "red")
                .alert("EntriesLost"),
            panel(
                Kind::Table,
                "Which group is behind, by how much, since when",
                "One line for each group, stream and partition. `Since`: when the oldest entry was appended that it has not dealt with. `Margin`: what is left before that is the oldest there is; empty where nothing waits.",
            )
            .query(format!("max {BY} ({behind})"), "")
            .query(format!("max {BY} (hemostat:group_unread_entries:max{OF})"), "")
            .query(pending.clone(), "")
            .query(format!("(time() - max {BY} ({behind} > 0)) * 1000"), "")
            .query(margin.clone(), "")
            .query(letters.clone(), "")
            .query(format!("min {BY} (hemostat_group_silence_seconds{OF})"), "")
            .column("group", "Group", "")
            .column("stream", "Stream", "")
            .column("partition", "Partition", "")
            .column("Value #A", "Behind", "s")
            .column("Value #D", "Since", "dateTimeFromNow")
            .column("Value #B", "Unread", "short")
            .column("Value #C", "Pending", "short")
            .column("Value #E", "Margin", "s")
            .column("Value #F", "Dead letters today", "short")
            .column("Value #G", "Silent for", "s")
            .sorted("Behind", true),
            panel(Kind::Lines, "Behind", "Age of the oldest entry that the group has not dealt with. Red above a minute.")
                .unit("s")
                .query(behind, LEGEND)
                .from(60.0, "red"),
            panel(Kind::Lines, "What will be lost first", "Retention margin of the ten groups that have least: at 0 the oldest entry they need goes with the next trimming.")
                .unit("s")
                .query(format!("bottomk(10, {margin})"), LEGEND)
                .from(0.0, "red")
                .from(3_600.0, "transparent")
                .nothing("nothing waits"),
            panel(Kind::Lines, "Unread entries", "Entries that were never handed to the group. A gap: they were not counted to their end.")
                .query(format!("hemostat:group_unread_entries:max{OF}"), LEGEND),
            panel(Kind::Lines, "Pending entries", "Entries that a replica has and has not acknowledged.")
                .query(pending, LEGEND),
            panel(Kind::Bars, "Dead letters (per minute)", "Inputs that nobody could handle.")
                .unit("cpm")
                .query(
                    format!("sum by (group, stream) (rate(hemostat_group_dead_letters_total{OF}[$__rate_interval])) * 60"),
                    "{{group}} {{stream}}",
                ),
            panel(Kind::States, "Lag known", "Whether the figures of the group are exact. Where they are not, those above are absent.")
                .query(format!("hemostat:group_lag_known:min{OF}"), LEGEND)
                .from(0.0, "red")
                .from(1.0, "green")
                .word("0", "not known", "red")
                .word("1", "known", "green"),
            panel(Kind::Lines, "Archive behind by partition", "Age of the oldest event that is not archived, by the log; and of those the archiver has read, by itself. Red above five minutes.")
                .unit("s")
                .query("hemostat:archive_behind_seconds:max", "partition {{partition}}, by the log")
                .query("max by (partition) (hemostat_archive_behind_seconds)", "partition {{partition}}, by the archiver")
                .from(300.0, "red"),
            panel(Kind::Lines, "Memory of the log", "Share of its limit that the server of a partition uses: near 1 samples go before their time. Without a limit there is no line.")
                .unit("percentunit")
                .query(
                    "hemostat_log_memory_used_bytes / hemostat_log_memory_limit_bytes",
                    "partition {{partition}}",
                )
                .from(0.9, "red"),
        ],
    }
}

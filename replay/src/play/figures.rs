//! What was played, and how well it kept time.

use std::time::Duration;

use serde::Serialize;

/// What came of playing.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Figures {
    /// Entries written when they were due, or by steps.
    pub played: u64,
    /// Entries written at once, on the way to a point.
    pub rushed: u64,
    /// Entries that were in the shadow already: handed out twice, or under an id that was written before.
    pub repeated: u64,
    /// Entries that hold no event which this version can read: redacted, or of a later version.
    pub unreadable: u64,
    /// Entries left to the agents, which decide anew.
    pub left_to_agents: u64,
    /// Why it has ended.
    pub ended: Ended,
    /// How well it kept time; absent at `max`, where there is no time to keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// For how long it ran, pauses left out, in milliseconds.
    pub took_ms: f64,
}

/// How well it kept time.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Time {
    /// When the last entry was due, in milliseconds of running from the first.
    pub planned_ms: f64,
    /// When it was written.
    pub took_ms: f64,
    /// By how much that is more, in percent.
    pub off_percent: f64,
    /// How late entries were written on average, in milliseconds.
    pub late_mean_ms: f64,
    /// How late at the most.
    pub late_max_ms: f64,
    #[serde(skip)]
    count: u64,
}

/// Why it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    /// There was no more.
    #[default]
    End,
    /// The point was reached up to which it was to play.
    Until,
    /// Somebody ended it.
    Quit,
}

impl Figures {
    /// Takes in that an entry was written after running for `took`, when it was due after `planned`.
    pub(super) fn written(&mut self, planned: Duration, took: Duration) {
        let (planned, took) = (millis(planned), millis(took));
        let time = self.time.get_or_insert_default();
        let late = (took - planned).max(0.0);
        time.count += 1;
        time.late_mean_ms += (late - time.late_mean_ms) / time.count as f64;
        time.late_max_ms = time.late_max_ms.max(late);
        (time.planned_ms, time.took_ms) = (planned, took);
        time.off_percent = if 0.0 < planned { (took / planned - 1.0) * 100.0 } else { 0.0 };
    }

    /// The figures in words.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} entries played, {} written on the way, {}",
            self.played,
            self.rushed,
            match self.ended {
                Ended::End => "to the end",
                Ended::Until => "up to the point",
                Ended::Quit => "until it was ended",
            }
        )];
        for (count, what) in [
            (self.repeated, "were in the shadow already"),
            (self.unreadable, "hold no event that can be read"),
            (self.left_to_agents, "left to the agents, which decide anew"),
        ] {
            if 0 < count {
                lines.push(format!("{count} entries {what}"));
            }
        }
        lines.push(match &self.time {
            Some(time) => format!(
                "{:.3} s for {:.3} s planned, {:+.3} %; late by {:.1} ms on average, {:.1} ms at most",
                time.took_ms / 1e3,
                time.planned_ms / 1e3,
                time.off_percent,
                time.late_mean_ms,
                time.late_max_ms
            ),
            None => format!("{:.3} s", self.took_ms / 1e3),
        });
        lines
    }
}

/// Milliseconds, with their fractions.
pub(super) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_told_and_the_last_entry_says_whether_time_was_kept() {
        let mut figures = Figures::default();
        for (planned, took) in [(0, 2), (1_000, 1_040), (2_000, 2_000), (4_000, 4_002)] {
            figures.written(Duration::from_millis(planned), Duration::from_millis(took));
        }
        let time = figures.time.as_ref().unwrap();
        assert_eq!((time.late_mean_ms, time.late_max_ms), (11.0, 40.0));
        assert!((time.off_percent - 0.05).abs() < 1e-9, "{}", time.off_percent);
        assert!(figures.lines().last().unwrap().contains("4.002 s for 4.000 s planned, +0.050 %"));
    }
}

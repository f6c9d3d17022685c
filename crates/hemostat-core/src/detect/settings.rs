//! When a figure is an anomaly.

use std::time::Duration;

/// Levels of one figure. The distance between fire and clear keeps an incident from opening and closing all the
/// time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// At or above this it counts against the container.
    pub fire: f64,
    /// Below this it counts for the container.
    pub clear: f64,
    /// At or above this the symptom is critical.
    pub critical: f64,
}

impl Levels {
    /// The same with another fire level, in percent: clears 10 points lower, and is critical no later than it fires.
    #[must_use]
    pub fn firing_at(self, percent: f64) -> Self {
        // The distance between the levels is what keeps an incident from opening and closing all the time.
        Self { fire: percent, clear: (percent - 10.0).max(0.5), critical: self.critical.max(percent) }
    }

    /// The levels of a size: clears a tenth lower, and is critical a half above.
    #[must_use]
    pub fn of_bytes(fire: f64) -> Self {
        Self { fire, clear: fire * 0.9, critical: fire * 1.5 }
    }
}

/// `needed` of the last `of` samples have to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NOfM {
    /// Samples that have to agree.
    pub needed: u32,
    /// Samples that are looked at.
    pub of: u32,
}

/// When a figure is an anomaly.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// CPU in percent of what the container may use.
    pub cpu: Levels,
    /// Working set in percent of the limit.
    pub memory: Levels,
    /// Processes in percent of the PID limit.
    pub pids: Levels,
    /// Writable layer in bytes; not judged when absent, because no limit is known.
    pub disk_bytes: Option<Levels>,
    /// Samples that have to agree before a figure fires.
    pub fire: NOfM,
    /// Samples that have to agree before high CPU is more than a warning: a spike hurts nobody.
    pub sustained: NOfM,
    /// Samples in a row below the clear level that end a symptom.
    pub clear_after: u32,
    /// How long a container that died must run before its symptom ends.
    pub stable_for: Duration,
    /// Deaths within the window that make a restart loop.
    pub loop_deaths: u32,
    /// The window of a restart loop.
    pub loop_window: Duration,
    /// Time before an alert that changed nothing is repeated; doubled each time.
    pub realert_after: Duration,
    /// Longest time between two alerts of an open incident.
    pub realert_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // 85 and 80: the Python HemoStat's thresholds, but of the quota, not of one core.
            cpu: Levels { fire: 85.0, clear: 75.0, critical: 97.0 },
            memory: Levels { fire: 80.0, clear: 70.0, critical: 97.0 },
            pids: Levels { fire: 90.0, clear: 80.0, critical: 97.0 },
            disk_bytes: None,
            // 2 of 3 found all CPU faults of the Nezha set at 0.14 false alerts per pod-day (detection.md 4.6).
            fire: NOfM { needed: 2, of: 3 },
            // Ours: an alert may be wrong once in a week, a restart may not. The same as the analyzer asks for.
            sustained: NOfM { needed: 4, of: 5 },
            // k_off of detection.md 5.3.
            clear_after: 5,
            stable_for: Duration::from_secs(60),
            // Three in ten minutes: detection.md 5.3 and 7.
            loop_deaths: 3,
            loop_window: Duration::from_secs(600),
            realert_after: Duration::from_secs(600),
            realert_max: Duration::from_secs(7_200),
        }
    }
}

/// Deaths that are remembered per container, and so the most that a restart loop may be made of.
pub(super) const DEATHS_MAX: u32 = 16;

impl Settings {
    /// What makes no sense, all of it.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let levels = [
            ("cpu", Some(self.cpu)),
            ("memory", Some(self.memory)),
            ("pids", Some(self.pids)),
            ("disk", self.disk_bytes),
        ];
        for (name, levels) in levels {
            let Some(levels) = levels else { continue };
            if !(levels.clear < levels.fire && levels.fire <= levels.critical) {
                problems.push(format!(
                    "{name}: the clear level must be below the fire level, and that not above critical"
                ));
            }
        }
        for (name, samples) in [("fire", self.fire), ("sustained", self.sustained)] {
            if samples.needed == 0 || samples.of < samples.needed || 32 < samples.of {
                problems.push(format!("{name}: expected 1 ≤ needed ≤ of ≤ 32"));
            }
        }
        if self.clear_after == 0 {
            problems.push("clear_after must be at least 1".to_owned());
        }
        if !(1..=DEATHS_MAX).contains(&self.loop_deaths) {
            problems.push(format!("loop_deaths must be 1 to {DEATHS_MAX}"));
        }
        if self.realert_after.is_zero() || self.realert_max < self.realert_after {
            problems.push("realert_after must not be 0, and realert_max not shorter than it".to_owned());
        }
        problems
    }
}

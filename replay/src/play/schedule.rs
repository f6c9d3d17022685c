//! When what was written is to be written again.
//!
//! Every due time is counted from one common beginning, never from the entry before, so lateness of one entry moves no
//! other: what is late is caught up. Only pause, another speed and a jump set a new beginning. The schedule has no clock;
//! it is told what time it is.
//!
//! Invariant PL-1: while nobody interferes, an entry that stands a span of log time behind the first is due that span
//! divided by the speed behind it.

use std::str::FromStr;
use std::time::Duration;

use hemostat_event::Timestamp;
use tokio::time::Instant;

/// Slowest and fastest speed in figures; beyond the fastest there is only [`Speed::Max`].
const TIMES: (f64, f64) = (0.1, 1_000.0);
/// The speeds that one goes through with a key.
const LADDER: [f64; 13] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

/// How fast log time goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// So many times as fast as it did.
    Times(f64),
    /// As fast as Redis takes it.
    Max,
}

impl Speed {
    /// The next faster one.
    pub(super) fn faster(self) -> Self {
        match self {
            Self::Times(times) => {
                LADDER.into_iter().find(|step| times < *step).map_or(Self::Max, Self::Times)
            }
            Self::Max => Self::Max,
        }
    }

    /// The next slower one.
    pub(super) fn slower(self) -> Self {
        let slower = |step: &f64| match self {
            Self::Times(times) => *step < times,
            Self::Max => true,
        };
        Self::Times(LADDER.into_iter().rfind(slower).unwrap_or(TIMES.0))
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.strip_suffix(['x', '×']).unwrap_or(text).parse().ok();
        let times = times.filter(|times| (TIMES.0..=TIMES.1).contains(times));
        times.map(Self::Times).ok_or_else(|| format!("`{text}` is no speed (0.1 to 1000, or max)"))
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}×"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// What is due when.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    speed: Speed,
    /// The log time at the beginning that is counted from.
    log: Timestamp,
    /// When that was; `None` while it stands still.
    wall: Option<Instant>,
    /// For how long it has run before.
    ran: Duration,
}

impl Schedule {
    /// Stands still at `log`.
    pub(super) fn new(speed: Speed, log: Timestamp) -> Self {
        Self { speed, log, wall: None, ran: Duration::ZERO }
    }

    /// The speed.
    pub(super) fn speed(&self) -> Speed {
        self.speed
    }

    /// Whether it stands still.
    pub(super) fn is_paused(&self) -> bool {
        self.wall.is_none()
    }

    /// The log time that has come. At [`Speed::Max`] only [`Schedule::jump`] moves it.
    pub(super) fn log_time(&self, now: Instant) -> Timestamp {
        match (self.speed, self.wall) {
            (Speed::Times(times), Some(wall)) => {
                self.log + now.saturating_duration_since(wall).mul_f64(times)
            }
            _ => self.log,
        }
    }

    /// When an entry of this log time is due; `None` while it stands still.
    pub(super) fn due(&self, at: Timestamp) -> Option<Instant> {
        let wall = self.wall?;
        Some(match self.speed {
            Speed::Times(times) => wall + at.since(self.log).div_f64(times),
            Speed::Max => wall,
        })
    }

    /// For how long it has run at `now`, pauses left out.
    pub(super) fn ran(&self, now: Instant) -> Duration {
        self.ran + self.wall.map_or(Duration::ZERO, |wall| now.saturating_duration_since(wall))
    }

    /// Stands still from now on.
    pub(super) fn pause(&mut self, now: Instant) {
        self.log = self.log_time(now);
        self.ran = self.ran(now);
        self.wall = None;
    }

    /// Goes on from where it stands.
    pub(super) fn resume(&mut self, now: Instant) {
        self.wall.get_or_insert(now);
    }

    /// Goes on at another speed.
    pub(super) fn set_speed(&mut self, speed: Speed, now: Instant) {
        self.begin_anew(self.log_time(now), now);
        self.speed = speed;
    }

    /// Goes on from another log time.
    pub(super) fn jump(&mut self, log: Timestamp, now: Instant) {
        self.begin_anew(log, now);
    }

    fn begin_anew(&mut self, log: Timestamp, now: Instant) {
        self.ran = self.ran(now);
        self.log = log;
        self.wall = self.wall.map(|_| now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A schedule that begins at second 1000 of the log.
    fn begun(speed: &str) -> (Schedule, Instant) {
        let now = Instant::now();
        let mut schedule = Schedule::new(speed.parse().unwrap(), at(1_000.0));
        assert_eq!(schedule.due(at(1_000.0)), None, "it stands still until it is begun");
        schedule.resume(now);
        (schedule, now)
    }

    fn at(secs: f64) -> Timestamp {
        Timestamp::EPOCH + Duration::from_secs_f64(secs)
    }

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    #[test]
    fn a_minute_at_ten_times_is_ten_minutes_of_the_log_without_any_drift() {
        let (schedule, began) = begun("10");
        for tenth in 0..=6_000u32 {
            let span = Duration::from_millis(u64::from(tenth) * 100);
            assert_eq!(schedule.due(at(1_000.0) + span), Some(began + span / 10));
            // However late it is looked at.
            assert_eq!(schedule.log_time(began + span / 10), at(1_000.0) + span);
        }
    }

    #[test]
    fn every_speed_divides_the_span() {
        for (speed, due) in [("0.1", 600.0), ("1x", 60.0), ("2.5", 24.0), ("1000×", 0.06), ("max", 0.0)] {
            let (schedule, began) = begun(speed);
            assert_eq!(schedule.due(at(1_060.0)), Some(began + secs(due)), "{speed}");
        }
    }

    #[test]
    fn a_pause_moves_what_is_to_come_and_counts_for_nothing() {
        let (mut schedule, began) = begun("10");
        schedule.pause(began + secs(1.0));
        assert!(schedule.is_paused());
        assert_eq!(schedule.due(at(1_020.0)), None);
        assert_eq!(schedule.log_time(began + secs(9.0)), at(1_010.0));
        schedule.resume(began + secs(31.0));
        assert_eq!(schedule.due(at(1_020.0)), Some(began + secs(32.0)));
        assert_eq!(schedule.ran(began + secs(32.0)), secs(2.0));
        // To go on while it goes on changes nothing.
        schedule.resume(began + secs(31.5));
        assert_eq!(schedule.due(at(1_020.0)), Some(began + secs(32.0)));
    }

    #[test]
    fn another_speed_and_a_jump_begin_where_it_stands() {
        let (mut schedule, began) = begun("10");
        schedule.set_speed(Speed::Times(1.0), began + secs(2.0));
        assert_eq!(schedule.due(at(1_021.0)), Some(began + secs(3.0)));
        schedule.jump(at(5_000.0), began + secs(4.0));
        assert_eq!(schedule.due(at(5_001.0)), Some(began + secs(5.0)));
        assert_eq!(schedule.ran(began + secs(5.0)), secs(5.0));
        // What is behind is due at once.
        assert_eq!(schedule.due(at(4_000.0)), Some(began + secs(4.0)));
        // A jump does not end a pause.
        schedule.pause(began + secs(5.0));
        schedule.jump(at(1_000.0), began + secs(6.0));
        assert_eq!((schedule.due(at(1_000.0)), schedule.log_time(began + secs(7.0))), (None, at(1_000.0)));
    }

    #[test]
    fn speeds_are_read_as_they_are_shown_and_have_a_least_and_a_most() {
        for text in ["0.1×", "1×", "2.5×", "1000×", "max"] {
            assert_eq!(text.parse::<Speed>().unwrap().to_string(), text);
        }
        for text in ["0.09", "1001", "0", "-1", "NaN", "inf", "fast", ""] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
        let (slow, fast) = (Speed::Times(0.1), Speed::Times(1_000.0));
        assert_eq!((slow.slower(), fast.faster(), Speed::Max.slower()), (slow, Speed::Max, fast));
        assert_eq!(
            (Speed::Times(3.0).faster(), Speed::Times(3.0).slower()),
            (Speed::Times(5.0), Speed::Times(2.0))
        );
    }
}

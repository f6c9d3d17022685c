//! What people see while it plays: a bar at a terminal, a line now and then elsewhere.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::feed::Entry;
use super::schedule::Schedule;
use crate::screen;

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The display.
pub(super) struct Display {
    bar: ProgressBar,
    is_terminal: bool,
    entries: usize,
    last_line: Cell<Instant>,
}

impl Display {
    /// Shows how many of so many entries are written, on standard error.
    pub(super) fn new(entries: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(entries as u64), ProgressDrawTarget::stderr());
        let style = "{bar:30} {pos}/{len} {prefix} {msg}";
        let style = ProgressStyle::with_template(style).expect("the template is one of indicatif");
        Self {
            bar: bar.with_style(style),
            is_terminal: std::io::stderr().is_terminal(),
            entries,
            last_line: Cell::new(Instant::now()),
        }
    }

    /// Shows where it stands.
    pub(super) fn draw(&self, next: usize, schedule: &Schedule, late_ms: Option<f64>) {
        let now = Instant::now();
        let state = if schedule.is_paused() { ", paused" } else { "" };
        let late = late_ms.map_or(String::new(), |late| format!(", at most {late:.0} ms late"));
        let place =
            format!("{} at {}{state}{late}", screen::date_time(schedule.log_time(now)), schedule.speed());
        if self.is_terminal {
            self.bar.set_position(next as u64);
            self.bar.set_prefix(place);
        } else if LINE_EVERY <= now.saturating_duration_since(self.last_line.get()) {
            self.last_line.set(now);
            eprintln!("{next}/{} {place}", self.entries);
        }
    }

    /// Says that something was not understood, or cannot be done.
    pub(super) fn say(&self, what: &str) {
        if self.is_terminal {
            self.bar.set_message(format!("| {what}"));
        } else {
            eprintln!("{what}");
        }
    }

    /// Shows an entry that was stepped over.
    pub(super) fn stepped(&self, entry: &Entry) {
        let position = entry.position;
        let at = screen::time_of_day(entry.at);
        self.say(&format!("{}/{} {} {at}", position.partition, position.seq, entry.record.stream));
    }

    /// Shows the point that is being typed.
    pub(super) fn ask(&self, point: Option<&str>) {
        self.bar.set_message(point.map_or(String::new(), |point| format!("| to which point? {point}")));
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

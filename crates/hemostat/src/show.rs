//! How things are shown: tables for people, one JSON object per line for programs.

pub(crate) use hemostat_core::project::span;
use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use hemostat_event::{Severity, Timestamp};

use crate::exit::Failure;

/// An empty table with a header; it fits the terminal's width.
#[must_use]
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !colour() {
        table.force_no_tty();
    }
    table.set_header(header.iter().map(|name| Cell::new(name.to_uppercase()).add_attribute(Attribute::Bold)));
    table
}

/// Prints a table; says `empty` where it has no rows.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn print(table: &Table, empty: &str) -> Result<(), Failure> {
    if table.is_empty() { line(empty) } else { line(&table.to_string()) }
}

/// Prints a line.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    match written {
        // The reader (`head`, a pager) has seen enough: that is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written.context("cannot write to standard output")?),
    }
}

/// Prints one JSON object on a line.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    line(&serde_json::to_string(value).context("cannot write JSON")?)
}

/// Whether output may be coloured: on a terminal, unless NO_COLOR is set (no-color.org).
#[must_use]
pub(crate) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A cell whose colour never says more than its word.
#[must_use]
pub(crate) fn coloured(text: impl ToString, colour: Option<Color>) -> Cell {
    let cell = Cell::new(text);
    match colour {
        Some(colour) => cell.fg(colour),
        None => cell,
    }
}

/// The colour of a severity.
#[must_use]
pub(crate) fn severity_colour(severity: Severity) -> Color {
    match severity {
        Severity::Info => Color::Blue,
        Severity::Warning => Color::Yellow,
        Severity::High | Severity::Critical => Color::Red,
    }
}

/// A time of day for tables whose rows are close together: `06:05:36.123`, UTC.
#[must_use]
pub(crate) fn time_of_day(time: Timestamp) -> String {
    time.to_datetime().format("%H:%M:%S%.3f").to_string()
}

/// A date and time: `2026-11-24 06:05:36`, UTC.
#[must_use]
pub(crate) fn date_time(time: Timestamp) -> String {
    time.to_datetime().format("%Y-%m-%d %H:%M:%S").to_string()
}

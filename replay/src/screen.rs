//! How things are shown: lines and tables for people, one JSON object per line for programs.

use std::io::{IsTerminal as _, Write as _};
use std::time::SystemTime;

use anyhow::Context as _;
use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use hemostat_event::Timestamp;
use serde_json::Value;

/// Longest value that is shown whole.
const VALUE_CHARS: usize = 400;

/// An empty table with a header; it fits the terminal's width.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !colour() {
        table.force_no_tty();
    }
    table.set_header(header.iter().map(|name| Cell::new(name.to_uppercase()).add_attribute(Attribute::Bold)));
    table
}

/// Prints a line.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    match written {
        // The reader (`head`, a pager) has seen enough: that is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.context("cannot write to standard output"),
    }
}

/// Prints one JSON object on a line.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string(value).context("cannot write JSON")?)
}

/// A value in a line of text.
pub(crate) fn value(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Whether output may be coloured: on a terminal, unless NO_COLOR is set (no-color.org).
pub(crate) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A time of day: `06:05:36.123`, UTC.
pub(crate) fn time_of_day(time: Timestamp) -> String {
    time.to_datetime().format("%H:%M:%S%.3f").to_string()
}

/// A date and time: `2026-11-24 06:05:36`, UTC.
pub(crate) fn date_time(time: Timestamp) -> String {
    time.to_datetime().format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The snake-case word that an enum has in the log.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "-".to_owned(),
    }
}

/// Reads a time as people write it: `2026-11-24T06:05:36Z` with any offset, or `2026-11-24 06:05:36` and
/// `2026-11-24` in UTC.
///
/// # Errors
/// When it is none.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = Timestamp::parse(text) {
        return Ok(time);
    }
    let whole =
        if text.contains([' ', 'T']) { text.replacen(' ', "T", 1) } else { format!("{text}T00:00:00") };
    Timestamp::parse(&format!("{whole}Z")).map_err(|_malformed| {
        format!("`{text}` is not a time in UTC such as 2026-11-24T06:05:36Z or 2026-11-24")
    })
}

/// Reads a time, or how long ago it was: `30d`, `2026-11-24`.
///
/// # Errors
/// When it is neither.
pub(crate) fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(span) = humantime::parse_duration(text) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        return Ok(now.before(span));
    }
    time(text)
        .map_err(|_malformed| format!("`{text}` is no time span (30d) and no time (2026-11-24T06:05:36Z)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_counted_back_from_now() {
        let (hour, day) = (since("1h").unwrap(), since("1d").unwrap());
        let between = hour.since(day);
        assert!((82_700..=82_900).contains(&between.as_secs()), "{between:?}");
        assert_eq!(since("2026-11-24"), time("2026-11-24"));
        assert!(since("yesterday").unwrap_err().contains("no time span"));
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let whole = time("2026-11-24T06:05:36Z").unwrap();
        assert_eq!(time("2026-11-24 06:05:36"), Ok(whole));
        assert_eq!(time("2026-11-24T06:05:36"), Ok(whole));
        assert_eq!(time("2026-11-24T07:05:36+01:00"), Ok(whole));
        assert_eq!(time("2026-11-24"), time("2026-11-24T00:00:00Z"));
        assert!(time("yesterday").is_err());
        assert!(time("0/17").is_err());
    }
}

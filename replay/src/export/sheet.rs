//! CSV after RFC 4180: a header line, CRLF, quotes where they are needed.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return for a formula, and what a
//! container wrote may stand in a cell. Such a cell gets an apostrophe in front (OWASP, CSV Injection).

use std::borrow::Cow;

use csv::{Terminator, WriterBuilder};
use hemostat_event::Timestamp;

use super::row::{COLUMNS, Row};

/// The header line with its end.
pub(crate) fn header() -> Vec<u8> {
    record(COLUMNS.iter().map(|name| Cow::Borrowed(*name)))
}

/// The line of a row with its end.
pub(crate) fn line(row: &Row) -> Vec<u8> {
    let text = |value: &Option<String>| Cow::Owned(value.clone().unwrap_or_default());
    record(
        [
            Cow::Owned(row.partition.to_string()),
            Cow::Owned(row.seq.to_string()),
            Cow::Borrowed(row.state),
            text(&row.id),
            Cow::Borrowed(row.kind.as_str()),
            Cow::Owned(row.time_us.map(|us| Timestamp::from_micros(us).to_string()).unwrap_or_default()),
            Cow::Owned(Timestamp::from_millis(row.log_ms).to_string()),
            text(&row.source),
            text(&row.host),
            text(&row.container),
            text(&row.incident),
            text(&row.cause),
            text(&row.summary),
            text(&row.data),
        ]
        .into_iter(),
    )
}

fn record<'a>(cells: impl Iterator<Item = Cow<'a, str>>) -> Vec<u8> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    let cells = cells.map(|cell| guarded(&cell).into_owned());
    writer.write_record(cells).expect("writing to memory does not fail");
    writer.into_inner().expect("writing to memory does not fail")
}

/// The cell, so that no spreadsheet runs it.
pub(crate) fn guarded(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

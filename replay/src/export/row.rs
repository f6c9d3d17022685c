//! An entry as a row of a table: the same columns in CSV and in Parquet.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hemostat_core::project::summary;
use serde_json::json;

use super::entry::{Content, Entry};

/// The names of the columns, in order.
pub(crate) const COLUMNS: [&str; 14] = [
    "partition",
    "seq",
    "state",
    "id",
    "type",
    "time",
    "log_time",
    "source",
    "host",
    "container",
    "incident",
    "cause",
    "summary",
    "data",
];

/// One row. What is not known is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The partition.
    pub partition: u16,
    /// The number in its sequence.
    pub seq: u64,
    /// How much of the entry there is.
    pub state: &'static str,
    /// The id of the event.
    pub id: Option<String>,
    /// The word of its type.
    pub kind: String,
    /// When it happened, in microseconds since 1970.
    pub time_us: Option<i64>,
    /// When the log took it, in milliseconds since 1970.
    pub log_ms: u64,
    /// Who wrote it.
    pub source: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The container, as `host/name`.
    pub container: Option<String>,
    /// The incident.
    pub incident: Option<String>,
    /// The event that caused it.
    pub cause: Option<String>,
    /// The event in one line.
    pub summary: Option<String>,
    /// The payload in JSON; of an entry that cannot be decoded its stored bytes and why.
    pub data: Option<String>,
}

/// The row of an entry.
pub(crate) fn row(entry: &Entry) -> Row {
    let envelope = entry.envelope();
    let (summary, data) = match &entry.content {
        Content::Event(event) => {
            let data =
                serde_json::to_string(&event.data).expect("a payload has only values that JSON can write");
            (Some(summary(event)), Some(data))
        }
        Content::Undecodable { bytes, error, .. } => {
            (None, Some(json!({ "base64": BASE64.encode(bytes), "error": error }).to_string()))
        }
        Content::Taken { digest, .. } => {
            (None, Some(json!({ "body_digest": digest.to_string() }).to_string()))
        }
        Content::Leaf(leaf) => (None, Some(json!({ "leaf": leaf.to_string() }).to_string())),
    };
    Row {
        partition: entry.partition,
        seq: entry.seq,
        state: entry.state().as_str(),
        id: envelope.map(|envelope| envelope.id.to_string()),
        kind: entry.type_word().to_owned(),
        time_us: envelope.map(|envelope| envelope.time.micros()),
        log_ms: entry.log_ms,
        source: envelope.map(|envelope| envelope.source.uri()),
        host: envelope.map(|envelope| envelope.host.to_string()),
        container: envelope.and_then(|envelope| envelope.subject.as_ref()).map(ToString::to_string),
        incident: envelope.and_then(|envelope| envelope.incident).map(|incident| incident.to_string()),
        cause: envelope.and_then(|envelope| envelope.cause).map(|cause| cause.to_string()),
        summary,
        data,
    }
}

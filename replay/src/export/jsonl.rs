//! One `CloudEvent` per line, in structured JSON.
//!
//! What is no whole event is a `CloudEvent` too, with the extension attribute `entrystate`: an entry without its body
//! has its attributes and `bodydigest`, one of which only the leaf is left has `leaf`, and one that cannot be decoded has
//! its stored bytes in `data_base64`. Where the id is not known, it is `PARTITION-SEQ`, and the source is `/log/TYPE`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hemostat_event::Timestamp;
use hemostat_event::cloudevents::{self, Position};
use serde_json::{Map, Value, json};

use super::entry::{Content, Entry};

/// The line of an entry, without its end.
pub(crate) fn line(entry: &Entry) -> String {
    let position = Position { partition: entry.partition, seq: entry.seq };
    match &entry.content {
        Content::Event(event) => cloudevents::to_json(event, Some(position)),
        Content::Taken { digest, .. } => remains(entry, [("bodydigest", json!(digest.to_string()))]),
        Content::Leaf(leaf) => remains(entry, [("leaf", json!(leaf.to_string()))]),
        Content::Undecodable { bytes, error, .. } => remains(
            entry,
            [
                ("decodeerror", json!(error)),
                ("datacontenttype", json!("application/vnd.msgpack")),
                ("data_base64", json!(BASE64.encode(bytes))),
            ],
        ),
    }
    .to_string()
}

/// What is known of an entry that is no whole event.
fn remains<const N: usize>(entry: &Entry, more: [(&str, Value); N]) -> Value {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    put("specversion", json!("1.0"));
    put("type", json!(entry.type_word()));
    match entry.envelope() {
        Some(envelope) => {
            put("id", json!(envelope.id));
            put("source", json!(envelope.source.uri()));
            put("time", json!(envelope.time));
            put("host", json!(envelope.host));
            let optional = [
                ("subject", envelope.subject.as_ref().map(|subject| json!(subject))),
                ("correlationid", envelope.incident.map(|incident| json!(incident))),
                ("causationid", envelope.cause.map(|cause| json!(cause))),
                ("traceparent", envelope.traceparent.as_ref().map(|parent| json!(parent))),
            ];
            for (name, value) in optional {
                if let Some(value) = value {
                    put(name, value);
                }
            }
        }
        None => {
            put("id", json!(format!("{}-{}", entry.partition, entry.seq)));
            put("source", json!(format!("/log/{}", entry.kind)));
            put("time", json!(Timestamp::from_millis(entry.log_ms)));
        }
    }
    put("partition", json!(entry.partition));
    put("seq", json!(entry.seq));
    put("entrystate", json!(entry.state().as_str()));
    for (name, value) in more {
        put(name, value);
    }
    Value::Object(map)
}

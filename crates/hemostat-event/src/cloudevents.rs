//! The exported form: `CloudEvents` 1.0 in JSON, structured mode.
//!
//! `type` is the plain event type and `dataschema` a URN that carries the schema version. `partition` and `seq`
//! are extension attributes with the log position; `seq` is a JSON number although it may pass the 32 bits of
//! `CloudEvents`' Integer, because every reader of the log sorts by it (docs/adr/0002).

use serde_json::{Map, Value, json};

use crate::{Envelope, Event, EventType, HostMismatch, Source, Timestamp, UnknownType};

pub(crate) const SPEC_VERSION: &str = "1.0";
pub(crate) const CONTENT_TYPE: &str = "application/json";

/// Where an event stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The partition.
    pub partition: u16,
    /// The sequence number within the partition, from 1, without gaps.
    pub seq: u64,
}

/// JSON that is not one of our events.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// An attribute is missing or has the wrong form.
    #[error("attribute `{0}` is missing or has the wrong form")]
    Attribute(&'static str),
    /// The type is not of this version.
    #[error(transparent)]
    UnknownType(#[from] UnknownType),
    /// The schema is not the one that this version reads.
    #[error("`{kind}` has schema `{found}`; this version reads `{}`", dataschema(*.kind))]
    UnknownSchema {
        /// The type.
        kind: EventType,
        /// The schema found.
        found: String,
    },
    /// The attributes contradict each other.
    #[error(transparent)]
    HostMismatch(#[from] HostMismatch),
    /// The payload is not what its type says.
    #[error("payload of `{kind}` cannot be read")]
    Payload {
        /// The type.
        kind: EventType,
        /// What the reader found.
        #[source]
        source: serde_json::Error,
    },
}

/// The URN in `dataschema`.
#[must_use]
pub fn dataschema(kind: EventType) -> String {
    format!("urn:hemostat:schema:{kind}:v{}", kind.version())
}

/// Writes `event` as a `CloudEvent`, with its log position where it has one.
#[must_use]
pub fn to_json(event: &Event, position: Option<Position>) -> Value {
    let envelope = &event.envelope;
    let kind = event.event_type();
    let mut map = Map::new();
    map.insert("specversion".into(), json!(SPEC_VERSION));
    map.insert("id".into(), json!(envelope.id));
    map.insert("type".into(), json!(kind));
    map.insert("source".into(), json!(envelope.source.uri()));
    let mut optional = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(name.to_owned(), value);
        }
    };
    optional("subject", envelope.subject.as_ref().map(|subject| json!(subject)));
    optional("time", Some(json!(envelope.time)));
    optional("dataschema", Some(json!(dataschema(kind))));
    optional("datacontenttype", Some(json!(CONTENT_TYPE)));
    optional("host", Some(json!(envelope.host)));
    optional("correlationid", envelope.incident.map(|incident| json!(incident)));
    optional("causationid", envelope.cause.map(|cause| json!(cause)));
    optional("traceparent", envelope.traceparent.as_ref().map(|parent| json!(parent)));
    optional("partition", position.map(|position| json!(position.partition)));
    optional("seq", position.map(|position| json!(position.seq)));
    optional(
        "data",
        Some(serde_json::to_value(&event.data).expect("a payload has only values that JSON can write")),
    );
    Value::Object(map)
}

/// Reads what [`to_json`] wrote; the log position is not part of the event.
///
/// # Errors
/// Names the attribute or the payload that cannot be read.
pub fn from_json(json: &Value) -> Result<Event, ImportError> {
    constant(json, "specversion", SPEC_VERSION)?;
    let kind: EventType = text(json, "type")?.parse()?;
    let found = text(json, "dataschema")?;
    if found != dataschema(kind) {
        return Err(ImportError::UnknownSchema { kind, found: found.to_owned() });
    }
    if !json["datacontenttype"].is_null() {
        constant(json, "datacontenttype", CONTENT_TYPE)?;
    }
    let envelope = Envelope {
        id: required(json, "id")?,
        source: Source::from_uri(text(json, "source")?).ok_or(ImportError::Attribute("source"))?,
        time: Timestamp::parse(text(json, "time")?).map_err(|_malformed| ImportError::Attribute("time"))?,
        host: required(json, "host")?,
        subject: optional(json, "subject")?,
        incident: optional(json, "correlationid")?,
        cause: optional(json, "causationid")?,
        traceparent: optional(json, "traceparent")?,
    };
    envelope.check_host()?;
    let data = kind.read(&json["data"]).map_err(|source| ImportError::Payload { kind, source })?;
    Ok(Event { envelope, data })
}

fn constant(json: &Value, name: &'static str, value: &str) -> Result<(), ImportError> {
    if text(json, name)? == value { Ok(()) } else { Err(ImportError::Attribute(name)) }
}

fn text<'a>(json: &'a Value, name: &'static str) -> Result<&'a str, ImportError> {
    json[name].as_str().ok_or(ImportError::Attribute(name))
}

fn required<T: serde::de::DeserializeOwned>(json: &Value, name: &'static str) -> Result<T, ImportError> {
    optional(json, name)?.ok_or(ImportError::Attribute(name))
}

fn optional<T: serde::de::DeserializeOwned>(
    json: &Value,
    name: &'static str,
) -> Result<Option<T>, ImportError> {
    serde_json::from_value(json[name].clone()).map_err(|_unreadable| ImportError::Attribute(name))
}

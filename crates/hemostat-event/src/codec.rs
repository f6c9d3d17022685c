//! The stored form: two `MessagePack` maps in a row, header and payload.
//!
//! The header names the type and its schema version, so a reader knows before the payload whether it can read
//! it. Both maps carry field names; a reader skips the fields it does not know. Payload bytes stand alone so
//! that a digest over them does not depend on the header.
//!
//! Invariants:
//! - C-1: `decode(encode(event)) == event`, and the bytes are a function of the event.
//! - C-2: `decode` never panics and takes no more memory than the bytes justify, whatever they are.

use std::borrow::Cow;

use rmp_serde::decode::Error as ReadError;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::{
    Envelope, Event, EventId, EventType, HostMismatch, HostName, IncidentId, Source, Subject, Timestamp,
    TraceParent,
};

/// Most bytes one stored event may have. Evidence is cut far below this; the limit guards the reader.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting that is read. Ours is 6 deep; the limit keeps the reader's stack bounded.
const DEPTH_MAX: usize = 32;

/// Bytes that are not an event of this version. The entry is kept as it stands; nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not a header.
    #[error("not an event")]
    NotAnEvent(#[source] ReadError),
    /// The bytes are more than an event may have.
    #[error("{0} bytes are more than an event may have ({EVENT_BYTES_MAX})")]
    TooLarge(usize),
    /// The header names a type that this version does not know.
    #[error("unknown event type `{0}`")]
    UnknownType(String),
    /// The header names a schema version that this version does not know.
    #[error("`{kind}` has schema version {version}; this version reads up to {}", kind.version())]
    UnknownVersion {
        /// The type.
        kind: EventType,
        /// The version found.
        version: u32,
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
        source: ReadError,
    },
    /// Something follows the payload.
    #[error("{0} bytes follow the event")]
    TrailingBytes(usize),
}

/// What every version of every event starts with; read alone where the rest of a header cannot be read.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    name: String,
    version: u32,
}

// The attributes stand here once more, and not as a flattened `Envelope`: serde flattens by way of a buffer, which
// costs an allocation per attribute on the hot path of every agent.
#[derive(Serialize)]
struct HeaderOut<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    version: u32,
    id: EventId,
    source: &'a Source,
    time: Timestamp,
    host: &'a HostName,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a Subject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<IncidentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a TraceParent>,
}

#[derive(Deserialize)]
struct HeaderIn<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    version: u32,
    id: EventId,
    source: Source,
    time: Timestamp,
    host: HostName,
    #[serde(default)]
    subject: Option<Subject>,
    #[serde(default)]
    incident: Option<IncidentId>,
    #[serde(default)]
    cause: Option<EventId>,
    #[serde(default)]
    traceparent: Option<TraceParent>,
}

impl HeaderIn<'_> {
    fn envelope(self) -> Result<Envelope, HostMismatch> {
        let envelope = Envelope {
            id: self.id,
            source: self.source,
            time: self.time,
            host: self.host,
            subject: self.subject,
            incident: self.incident,
            cause: self.cause,
            traceparent: self.traceparent,
        };
        envelope.check_host()?;
        Ok(envelope)
    }
}

/// Writes the stored form of `event`.
#[must_use]
pub fn encode(event: &Event) -> Vec<u8> {
    let kind = event.event_type();
    let envelope = &event.envelope;
    let header = HeaderOut {
        kind: kind.as_str(),
        version: kind.version(),
        id: envelope.id,
        source: &envelope.source,
        time: envelope.time,
        host: &envelope.host,
        subject: envelope.subject.as_ref(),
        incident: envelope.incident,
        cause: envelope.cause,
        traceparent: envelope.traceparent.as_ref(),
    };
    let mut bytes =
        rmp_serde::to_vec_named(&header).expect("a header has only values that MessagePack can write");
    rmp_serde::encode::write_named(&mut bytes, &event.data)
        .expect("a payload has only values that MessagePack can write");
    bytes
}

/// Reads the stored form.
///
/// # Errors
/// Says what the bytes are instead; the caller parks the entry with that reason.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    if EVENT_BYTES_MAX < bytes.len() {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    let mut rest = bytes;
    let header = header_in(&mut rest)?;
    payload(header, rest)
}

/// Reads the stored form where header and payload lie apart: [`payload_start`] says where one ends. Faster than
/// [`decode`], which does not know that and has to copy every text twice.
///
/// # Errors
/// As for [`decode`] of the two together.
pub fn decode_parts(header: &[u8], body: &[u8]) -> Result<Event, DecodeError> {
    let parts = || {
        let header = whole(header, |reader| HeaderIn::deserialize(reader))?;
        let kind = known(&header.kind, header.version).ok()?;
        let data = whole(body, |reader| kind.read(reader))?;
        Some(Event { envelope: header.envelope().ok()?, data })
    };
    let is_small = header.len() + body.len() <= EVENT_BYTES_MAX;
    // What is wrong with it is the matter of the other reader.
    is_small.then(parts).flatten().map_or_else(|| decode(&[header, body].concat()), Ok)
}

fn payload(header: HeaderIn<'_>, mut rest: &[u8]) -> Result<Event, DecodeError> {
    let kind = known(&header.kind, header.version)?;
    let data = read_map(&mut rest, |reader| kind.read(reader))
        .map_err(|source| DecodeError::Payload { kind, source })?;
    if !rest.is_empty() {
        return Err(DecodeError::TrailingBytes(rest.len()));
    }
    let envelope = header.envelope()?;
    Ok(Event { envelope, data })
}

/// What a header says, whether this version can read the payload or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The word of the type.
    pub kind: String,
    /// The version of its schema.
    pub version: u32,
    /// The attributes.
    pub envelope: Envelope,
}

/// Reads the header alone, from the front of a stored form.
///
/// # Errors
/// When it has not the attributes of this version, or they contradict each other.
pub fn header(mut bytes: &[u8]) -> Result<Header, DecodeError> {
    let alone = whole(bytes, |reader| HeaderIn::deserialize(reader));
    let mut header = alone.map_or_else(|| header_in(&mut bytes), Ok)?;
    let kind = std::mem::take(&mut header.kind).into_owned();
    Ok(Header { kind, version: header.version, envelope: header.envelope()? })
}

/// By what an index finds an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Terms<'a> {
    /// The text of the container it is about, not looked at.
    #[serde(default, borrow)]
    pub subject: Option<&'a str>,
    /// The incident it belongs to.
    #[serde(default)]
    pub incident: Option<IncidentId>,
}

/// Reads no more of a header than an index has of it: a third of the time of [`header`]. `None` where the bytes are no map,
/// or have something else under these names.
#[must_use]
pub fn terms(header: &[u8]) -> Option<Terms<'_>> {
    whole(header, |reader| Terms::deserialize(reader))
}

fn header_in<'b>(rest: &mut &'b [u8]) -> Result<HeaderIn<'b>, DecodeError> {
    let bytes = *rest;
    read_map(rest, |reader| HeaderIn::deserialize(reader)).map_err(|error| header_error(bytes, error))
}

/// Where the payload begins in a stored form, whatever its version; `None` where the bytes do not begin with a map.
/// What stands before and after it is not looked at.
#[must_use]
pub fn payload_start(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    read_map(&mut rest, |reader| IgnoredAny::deserialize(reader)).ok()?;
    Some(bytes.len() - rest.len())
}

/// The type with this name, if this code reads this version of it. Upcasters of older versions have their place
/// between here and the payload, one arm per (type, version).
fn known(name: &str, version: u32) -> Result<EventType, DecodeError> {
    let kind: EventType = name.parse().map_err(|crate::UnknownType(name)| DecodeError::UnknownType(name))?;
    if version == kind.version() { Ok(kind) } else { Err(DecodeError::UnknownVersion { kind, version }) }
}

/// Why a header cannot be read: a type or version of the future may have other attributes, and then its name says
/// more than the attribute that is missing.
fn header_error(mut bytes: &[u8], error: ReadError) -> DecodeError {
    match read_map(&mut bytes, |reader| Kind::deserialize(reader)) {
        Ok(Kind { name, version }) => known(&name, version).err().unwrap_or(DecodeError::NotAnEvent(error)),
        Err(_not_even_that) => DecodeError::NotAnEvent(error),
    }
}

/// Reads one map that is all of `bytes`, without copying what can be borrowed; `None` where it cannot be read so.
fn whole<'b, T>(
    bytes: &'b [u8],
    read: impl FnOnce(
        &mut rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'b, [u8]>>,
    ) -> Result<T, ReadError>,
) -> Option<T> {
    begins_with_map(bytes).then_some(())?;
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    reader.set_max_depth(DEPTH_MAX);
    let value = read(&mut reader).ok()?;
    // The reader does not tell what is left, but it finds nothing where there is nothing.
    let next = IgnoredAny::deserialize(&mut reader);
    let is_end = |error: &std::io::Error| error.kind() == std::io::ErrorKind::UnexpectedEof;
    matches!(next, Err(ReadError::InvalidMarkerRead(error)) if is_end(&error)).then_some(value)
}

/// Whether a map begins here. A reader would also take a sequence and read its values by position, and so assign them to
/// the wrong fields once a field is added.
fn begins_with_map(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0x80..=0x8f | 0xde | 0xdf))
}

type Reader<'a, 'b> = rmp_serde::Deserializer<rmp_serde::decode::ReadReader<&'a mut &'b [u8]>>;

/// Reads one map from the front of `rest`.
fn read_map<'a, 'b, T>(
    rest: &'a mut &'b [u8],
    read: impl FnOnce(&mut Reader<'a, 'b>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    if !begins_with_map(rest) {
        return Err(ReadError::custom("expected a map with field names"));
    }
    let mut reader = rmp_serde::Deserializer::new(rest);
    reader.set_max_depth(DEPTH_MAX);
    read(&mut reader)
}

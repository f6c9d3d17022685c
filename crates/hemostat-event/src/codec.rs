//! The stored form: two `MessagePack` maps in a row, header and payload.
//!
//! The header names the type and its schema version, so a reader knows before the payload whether it can read
//! it. Both maps carry field names; a reader skips the fields it does not know. Payload bytes stand alone so
//! that a digest over them does not depend on the header.

use serde::{Deserialize, Serialize};

use crate::{Envelope, Event, EventType};

/// Most bytes one stored event may have. Evidence is cut far below this; the limit guards the reader.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// Bytes that are not an event of this version. The entry is kept as it stands; nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not a header.
    #[error("not an event")]
    NotAnEvent(#[source] rmp_serde::decode::Error),
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
    /// The payload is not what its type says.
    #[error("payload of `{kind}` cannot be read")]
    Payload {
        /// The type.
        kind: EventType,
        /// What the reader found.
        #[source]
        source: rmp_serde::decode::Error,
    },
    /// Something follows the payload.
    #[error("{0} bytes follow the event")]
    TrailingBytes(usize),
}

#[derive(Serialize)]
struct HeaderOut<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    version: u32,
    #[serde(flatten)]
    envelope: &'a Envelope,
}

#[derive(Deserialize)]
struct HeaderIn {
    #[serde(rename = "type")]
    kind: String,
    version: u32,
    #[serde(flatten)]
    envelope: Envelope,
}

/// Writes the stored form of `event`.
#[must_use]
pub fn encode(event: &Event) -> Vec<u8> {
    let kind = event.event_type();
    let header = HeaderOut { kind: kind.as_str(), version: kind.version(), envelope: &event.envelope };
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
    let header = HeaderIn::deserialize(&mut rmp_serde::Deserializer::new(&mut rest))
        .map_err(DecodeError::NotAnEvent)?;
    let kind: EventType = header.kind.parse().map_err(|_unknown| DecodeError::UnknownType(header.kind))?;
    // Upcasters of older versions go here, one arm per (type, version), when a second version exists.
    if header.version != kind.version() {
        return Err(DecodeError::UnknownVersion { kind, version: header.version });
    }
    let data = kind
        .read(&mut rmp_serde::Deserializer::new(&mut rest))
        .map_err(|source| DecodeError::Payload { kind, source })?;
    if !rest.is_empty() {
        return Err(DecodeError::TrailingBytes(rest.len()));
    }
    Ok(Event { envelope: header.envelope, data })
}

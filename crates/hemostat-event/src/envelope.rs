//! The attributes every event carries.
//!
//! Invariant V-1: an event about a container is about that container's host, because everything about a host is in
//! one partition of the log. Both codecs refuse an event that breaks it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{Data, EventId, EventType, HostName, IncidentId, Role, Subject, Timestamp, TraceParent};

/// An event: what happened, and the attributes by which it is found, ordered and explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The attributes.
    pub envelope: Envelope,
    /// What happened.
    pub data: Data,
}

/// Attributes after `CloudEvents` 1.0 and its correlation extension. The position in the log (`partition`, `seq`)
/// is not here: the log adds it, and hands it out beside the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Identity: the same event, however often it is written, has the same id.
    pub id: EventId,
    /// Who wrote it.
    pub source: Source,
    /// When it happened, in log time.
    pub time: Timestamp,
    /// The host it is about.
    pub host: HostName,
    /// The container it is about, where it is about one.
    pub subject: Option<Subject>,
    /// The incident it belongs to (`correlationid`).
    pub incident: Option<IncidentId>,
    /// The event that caused it (`causationid`).
    pub cause: Option<EventId>,
    /// W3C trace context, where the input had one.
    pub traceparent: Option<TraceParent>,
}

/// Who wrote an event: a role, and which of its replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The role.
    pub role: Role,
    /// The replica, unique among those that run.
    pub instance: String,
}

impl Source {
    /// The URI reference that `CloudEvents` asks for: `/analyzer/analyzer-1`. What a path segment cannot carry is
    /// percent-encoded (RFC 3986, 2.1).
    #[must_use]
    pub fn uri(&self) -> String {
        let mut uri = format!("/{}/", self.role);
        for byte in self.instance.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                uri.push(char::from(byte));
            } else {
                write!(uri, "%{byte:02X}").expect("writing to a string does not fail");
            }
        }
        uri
    }

    /// Reads what [`Source::uri`] wrote.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        let (role, instance) = uri.strip_prefix('/')?.split_once('/')?;
        Some(Self { role: role.parse().ok()?, instance: percent_decoded(instance)? })
    }
}

impl Event {
    /// The type of the event.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        self.data.event_type()
    }
}

/// An event that names one host and a container of another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{subject}` is not on host `{host}`")]
pub struct HostMismatch {
    /// The host named.
    pub host: HostName,
    /// The container named.
    pub subject: Subject,
}

impl Envelope {
    /// Holds the attributes to V-1.
    pub(crate) fn check_host(&self) -> Result<(), HostMismatch> {
        match &self.subject {
            Some(subject) if !subject.is_on(&self.host) => {
                Err(HostMismatch { host: self.host.clone(), subject: subject.clone() })
            }
            _ => Ok(()),
        }
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}

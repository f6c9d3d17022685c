//! The attributes every event carries.

use serde::{Deserialize, Serialize};

use crate::{Data, EventId, EventType, HostName, IncidentId, Role, Subject, Timestamp};

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The incident it belongs to (`correlationid`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// The event that caused it (`causationid`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<EventId>,
    /// W3C trace context, where the input had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
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
    /// The URI reference that `CloudEvents` asks for: `/analyzer/analyzer-1`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("/{}/{}", self.role, self.instance)
    }
}

impl Event {
    /// The type of the event.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        self.data.event_type()
    }
}

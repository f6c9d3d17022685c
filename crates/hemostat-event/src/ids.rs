//! Names and identities: validated once, then trusted.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// A text that is not the identity it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Container ids are 12 to 64 lower-case hexadecimal digits.
    #[error("`{0}` is not a container id (12 to 64 hexadecimal digits)")]
    Container(String),
    /// Host names become part of keys and subjects.
    #[error("`{0}` is not a host name (1 to 253 letters, digits, `.`, `-`, `_`)")]
    Host(String),
    /// A subject is `host/container`.
    #[error("`{0}` is not a subject (host/container)")]
    Subject(String),
    /// Trace context has a fixed form.
    #[error("`{0}` is not a W3C traceparent")]
    TraceParent(String),
    /// The agents have fixed names.
    #[error("`{0}` is not a role")]
    Role(String),
}

/// UUID namespace of everything HemoStat derives: UUIDv5(DNS, "hemostat.events"), fixed for ever because
/// stored ids depend on it.
const NAMESPACE: Uuid = Uuid::from_u128(0x0c7b_b674_e234_5a4e_9170_43ff_089f_da0e);

/// Identity of one event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// The id of the `index`-th event that `role` emits because of `cause`: `UUIDv5` of the three.
    ///
    /// `step` separates the several commits a role makes for one input (intent, outcome, verification).
    #[must_use]
    pub fn derive(cause: Self, role: Role, step: &str, index: usize) -> Self {
        Self::named(&[
            cause.0.as_bytes(),
            role.as_str().as_bytes(),
            step.as_bytes(),
            &(index as u64).to_be_bytes(),
        ])
    }

    /// The id of the `index`-th event observed of `subject` at `at`: an event without a cause in the log.
    #[must_use]
    pub fn observed(subject: &Subject, role: Role, at: Timestamp, index: usize) -> Self {
        Self::named(&[
            subject.as_str().as_bytes(),
            role.as_str().as_bytes(),
            &at.micros().to_be_bytes(),
            &(index as u64).to_be_bytes(),
        ])
    }

    /// The id of a message that was heard outside of the log: `UUIDv5` of the channel and the bytes, so that whoever
    /// hears it calls it the same.
    #[must_use]
    pub fn heard(channel: &str, body: &[u8]) -> Self {
        Self::named(&[b"heard", channel.as_bytes(), body])
    }

    /// The id with these sixteen bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The sixteen bytes of the id.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The first eight hexadecimal digits, as shown in tables.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }

    fn named(parts: &[&[u8]]) -> Self {
        let mut name = Vec::with_capacity(128);
        for part in parts {
            // A length before each part keeps ("ab", "c") and ("a", "bc") apart.
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part);
        }
        Self(Uuid::new_v5(&NAMESPACE, &name))
    }
}

impl From<Uuid> for EventId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

/// Identity of one incident: everything from the first anomaly of a container to its recovery.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(Uuid);

impl IncidentId {
    /// The incident that opens on `subject` at `at`.
    #[must_use]
    pub fn opened(subject: &Subject, at: Timestamp) -> Self {
        let EventId(uuid) =
            EventId::named(&[b"incident", subject.as_str().as_bytes(), &at.micros().to_be_bytes()]);
        Self(uuid)
    }

    /// The first eight hexadecimal digits, as shown in tables.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

macro_rules! uuid_text {
    ($name:ident, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "format": "uuid",
                    "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
                    "description": $what,
                })
            }
        }
    };
}

uuid_text!(EventId, "UUID of an event; version 5 where the event is derived.");
uuid_text!(IncidentId, "UUID of an incident.");

/// The engine's identity of a container: 12 to 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// Validates and keeps `id`.
    ///
    /// # Errors
    /// [`IdError::Container`] when `id` is not 12 to 64 lower-case hexadecimal digits.
    pub fn new(id: impl Into<String>) -> Result<Self, IdError> {
        let id = id.into();
        let hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex && (12..=64).contains(&id.len()) { Ok(Self(id)) } else { Err(IdError::Container(id)) }
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, as the engine's own tables show it.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// The host of a container engine, as it appears in keys and subjects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

impl HostName {
    /// Validates and keeps `name`.
    ///
    /// # Errors
    /// [`IdError::Host`] when `name` is empty, too long or has a character that keys cannot carry.
    pub fn new(name: impl Into<String>) -> Result<Self, IdError> {
        let name = name.into();
        if is_host_name(&name) { Ok(Self(name)) } else { Err(IdError::Host(name)) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an event is about: `host/container`. The container's name, not its id: names are unique on a host and
/// survive a re-creation, so state and budgets do too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(String);

impl Subject {
    /// The subject for the container `name` on `host`; a leading `/`, as the engine writes it, is dropped.
    ///
    /// # Errors
    /// [`IdError::Subject`] when `name` is empty, longer than 255 bytes, or has characters that are not printed.
    pub fn new(host: &HostName, name: &str) -> Result<Self, IdError> {
        Self::checked(format!("{}/{}", host.as_str(), name.trim_start_matches('/')))
    }

    fn checked(text: String) -> Result<Self, IdError> {
        let is_subject = text.split_once('/').is_some_and(|(host, name)| {
            is_host_name(host) && (1..=255).contains(&name.len()) && name.chars().all(is_printed)
        });
        if is_subject { Ok(Self(text)) } else { Err(IdError::Subject(text)) }
    }

    /// The whole subject.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host part.
    #[must_use]
    pub fn host(&self) -> HostName {
        HostName(self.split().0.to_owned())
    }

    /// Whether it is on this host.
    #[must_use]
    pub fn is_on(&self, host: &HostName) -> bool {
        self.split().0 == host.0
    }

    /// The container's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.split().1
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once('/').expect("the constructor demands a slash")
    }
}

impl FromStr for Subject {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::checked(text.to_owned())
    }
}

/// Finds a subject in a map by its text, which orders and hashes as the subject does.
impl Borrow<str> for Subject {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// W3C trace context, level 1, section 3.2: `version-trace-parent-flags` in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent(String);

impl TraceParent {
    /// Validates and keeps `text`.
    ///
    /// # Errors
    /// [`IdError::TraceParent`] when `text` has another form, version `ff`, or an id that is all zeros.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        let parts: Vec<&str> = text.split('-').collect();
        let lengths = parts.iter().map(|part| part.len()).eq([2, 32, 16, 2]);
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        let named = |part: &str| part.bytes().any(|byte| byte != b'0');
        if lengths && digits && parts[0] != "ff" && named(parts[1]) && named(parts[2]) {
            Ok(Self(text))
        } else {
            Err(IdError::TraceParent(text))
        }
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether keys and subjects can carry a text as the name of a host.
fn is_host_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// Whether a character leaves a mark, and may stand in text that programs exchange: no control character, no white
/// space (the byte order mark is some to JSON Schema), no noncharacter (Unicode 23.7).
fn is_printed(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic();
    }
    let code = u32::from(c);
    let noncharacter = (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe;
    !c.is_control() && !c.is_whitespace() && c != '\u{feff}' && !noncharacter
}

macro_rules! text_id {
    ($name:ident, $parse:expr, $pattern:literal, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                $parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "description": $what })
            }
        }
    };
}

text_id!(ContainerId, ContainerId::new, "^[0-9a-f]{12,64}$", "The engine's identity of a container.");
text_id!(HostName, HostName::new, "^[A-Za-z0-9._-]{1,253}$", "The host of a container engine.");
text_id!(
    Subject,
    Subject::checked,
    r"^[A-Za-z0-9._-]{1,253}/[^\s\x00-\x1f\x7f-\x9f]{1,255}$",
    "The container an event is about: host/name."
);
text_id!(
    TraceParent,
    TraceParent::new,
    "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
    "W3C trace context: version, trace id, parent id, flags."
);

/// A part of HemoStat that writes events, or reads them as a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Watches containers.
    Monitor,
    /// Finds the root cause.
    Analyzer,
    /// Repairs.
    Responder,
    /// Tells people.
    Alert,
    /// A person at the command line or the dashboard.
    Operator,
    /// Seals the log into the archive; writes no events.
    Archiver,
    /// Speaks to the Python HemoStat, and writes what it hears from it.
    Bridge,
}

impl Role {
    /// The roles that keep a state in the log.
    pub const AGENTS: [Self; 4] = [Self::Monitor, Self::Analyzer, Self::Responder, Self::Alert];

    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Monitor,
        Self::Analyzer,
        Self::Responder,
        Self::Alert,
        Self::Operator,
        Self::Archiver,
        Self::Bridge,
    ];

    /// The word used in keys, groups and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Analyzer => "analyzer",
            Self::Responder => "responder",
            Self::Alert => "alert",
            Self::Operator => "operator",
            Self::Archiver => "archiver",
            Self::Bridge => "bridge",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| IdError::Role(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;

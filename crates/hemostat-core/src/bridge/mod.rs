//! What is said to the Python HemoStat, and what it says.
//!
//! It speaks over four pub/sub channels and keeps what it knows under keys that go by themselves. Its messages have no
//! id, no host and no incident; its payloads are followed to the letter, types and optional fields too, because its
//! readers compare and slice what they find. Nothing here knows a socket: [`outbound`] makes messages of events,
//! [`keys`] the keys that its agents would have written, [`inbound`] events of messages.
//!
//! Invariants:
//! - BR-1: a message is a function of the log: whichever replica makes it, it has the same bytes, and so the same id.
//! - BR-2: nothing goes out that came in: events whose source is the bridge are passed over.
//! - BR-3: a request to repair goes out only where the container's mode is `auto` and the plan is still valid: whoever
//!   hears it will carry it out. What comes in is never more than a suggestion, and `exec` is refused.
//! - BR-4: no field that the old readers compare or slice is ever `null`.

pub mod inbound;
pub mod keys;
pub mod outbound;
mod payload;
mod spoken;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use hemostat_event::EventId;

pub use words::isoformat;

/// A channel of the Python HemoStat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OldChannel {
    /// A container is sick; its monitor speaks there.
    HealthAlert,
    /// A request to repair; its analyzer speaks there, and its responder does what it hears.
    RemediationNeeded,
    /// How a request ended; its responder speaks there.
    RemediationComplete,
    /// Nothing has to be done; its analyzer speaks there.
    FalseAlarm,
}

impl OldChannel {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::HealthAlert, Self::RemediationNeeded, Self::RemediationComplete, Self::FalseAlarm];

    /// The word used in settings and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HealthAlert => "health_alert",
            Self::RemediationNeeded => "remediation_needed",
            Self::RemediationComplete => "remediation_complete",
            Self::FalseAlarm => "false_alarm",
        }
    }

    /// The name by which it is subscribed to.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HealthAlert => "hemostat:health_alert",
            Self::RemediationNeeded => "hemostat:remediation_needed",
            Self::RemediationComplete => "hemostat:remediation_complete",
            Self::FalseAlarm => "hemostat:false_alarm",
        }
    }

    /// `event_type` of its messages.
    #[must_use]
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::HealthAlert => "container_unhealthy",
            Self::RemediationNeeded | Self::RemediationComplete | Self::FalseAlarm => self.as_str(),
        }
    }

    /// `agent` of its messages.
    #[must_use]
    pub const fn agent(self) -> &'static str {
        match self {
            Self::HealthAlert => "monitor",
            Self::RemediationNeeded | Self::FalseAlarm => "analyzer",
            Self::RemediationComplete => "responder",
        }
    }

    /// The channel with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }
}

impl fmt::Display for OldChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a channel (health_alert, remediation_needed, remediation_complete, false_alarm)")]
pub struct UnknownChannel(String);

impl FromStr for OldChannel {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Self, UnknownChannel> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.as_str() == text)
            .ok_or_else(|| UnknownChannel(text.to_owned()))
    }
}

/// A message, as it goes over a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The channel.
    pub channel: OldChannel,
    /// JSON.
    pub body: String,
}

impl Message {
    /// The id of the message, whoever has it: a function of channel and bytes.
    #[must_use]
    pub fn id(&self) -> EventId {
        EventId::heard(self.channel.name(), self.body.as_bytes())
    }
}

//! The thirteen event types and what each of them says.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod action;
mod dead_letter;
mod diagnosed;
mod notified;
mod observed;
mod ordered;
mod remediated;

pub use action::{Action, ActionKind};
pub use dead_letter::DeadLetter;
pub use diagnosed::{Basis, Cause, Diagnosis, FalseAlarm, Plan, RemediationNeeded, Verdict};
pub use notified::{Channel, Delivery, Notification, NotificationKind};
pub use observed::{
    Anomaly, ContainerChanged, ContainerSample, Evidence, EvidenceItem, EvidenceKind, Gap, HealthAlert,
    HealthRecovered, Recovery,
};
pub use ordered::{Command, OperatorCommand};
pub use remediated::{
    Outcome, Rejection, RemediationComplete, RemediationStarted, RemediationVerified, Verification,
};

use crate::ContainerRef;

/// Declares the event types once: the wire name, the payload and the schema version that this code writes.
macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident($name:literal, $version:literal);)*) => {
        /// The type of an event, as it appears in stream names and in `CloudEvents`' `type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum EventType {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl EventType {
            /// Every type, in the order of the loop.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The wire name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The schema version that this code writes, and the highest it reads.
            #[must_use]
            pub const fn version(self) -> u32 {
                match self { $(Self::$variant => $version,)* }
            }

            /// Reads a payload of this type.
            pub(crate) fn read<'de, D: serde::Deserializer<'de>>(self, payload: D) -> Result<Data, D::Error> {
                match self { $(Self::$variant => $variant::deserialize(payload).map(Data::$variant),)* }
            }

            /// The JSON Schema of a payload of this type.
            pub(crate) fn payload_schema(self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                match self { $(Self::$variant => generator.subschema_for::<$variant>(),)* }
            }
        }

        /// The payload of an event.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Data {
            $($(#[$doc])* $variant($variant),)*
        }

        impl Data {
            /// The type of the event that carries this payload.
            #[must_use]
            pub const fn event_type(&self) -> EventType {
                match self { $(Self::$variant(_) => EventType::$variant,)* }
            }
        }

        $(impl From<$variant> for Data {
            fn from(payload: $variant) -> Self {
                Self::$variant(payload)
            }
        })*
    };
}

event_types! {
    /// One measurement of one container.
    ContainerSample("container_sample", 1);
    /// Something happened to a container.
    ContainerChanged("container_changed", 1);
    /// A container is sick.
    HealthAlert("health_alert", 1);
    /// An incident's symptoms are gone.
    HealthRecovered("health_recovered", 1);
    /// What a language model answered.
    Diagnosis("diagnosis", 1);
    /// A plan to repair.
    RemediationNeeded("remediation_needed", 1);
    /// No real issue, and why not.
    FalseAlarm("false_alarm", 1);
    /// The intent, before the engine is called.
    RemediationStarted("remediation_started", 1);
    /// The outcome of a plan.
    RemediationComplete("remediation_complete", 1);
    /// Whether the repair worked.
    RemediationVerified("remediation_verified", 1);
    /// What people were told.
    Notification("notification", 1);
    /// What a person ordered.
    OperatorCommand("operator_command", 1);
    /// An event that could not be handled.
    DeadLetter("dead_letter", 1);
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is not an event type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an event type of this version")]
pub struct UnknownType(pub String);

impl FromStr for EventType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| UnknownType(text.to_owned()))
    }
}

impl Data {
    /// The container the payload is about, where it is about one.
    #[must_use]
    pub fn container(&self) -> Option<&ContainerRef> {
        match self {
            Self::ContainerSample(data) => Some(&data.container),
            Self::ContainerChanged(data) => Some(&data.container),
            Self::HealthAlert(data) => Some(&data.container),
            Self::HealthRecovered(data) => Some(&data.container),
            Self::Diagnosis(data) => Some(&data.container),
            Self::RemediationNeeded(data) => Some(&data.container),
            Self::FalseAlarm(data) => Some(&data.container),
            Self::RemediationStarted(data) => Some(&data.container),
            Self::RemediationComplete(data) => Some(&data.container),
            Self::RemediationVerified(data) => Some(&data.container),
            Self::Notification(data) => data.container.as_ref(),
            Self::OperatorCommand(_) | Self::DeadLetter(_) => None,
        }
    }
}

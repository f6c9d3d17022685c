//! Which role writes what, and which reads it as a member of its group.
//!
//! Rights on Redis and the catalogue of the events (`docs/events.md`) come from here. Who reads along (archiver, bridge,
//! exporter, the operator's tools) reads everything and is in no list.

use crate::EventType::{
    self, ContainerChanged, ContainerSample, DeadLetter, Diagnosis, FalseAlarm, HealthAlert, HealthRecovered,
    Notification, OperatorCommand, RemediationComplete, RemediationNeeded, RemediationStarted,
    RemediationVerified,
};
use crate::Role;

impl Role {
    /// The types that this role appends of its own accord.
    #[must_use]
    pub const fn writes(self) -> &'static [EventType] {
        match self {
            Self::Monitor => &[ContainerSample, ContainerChanged, HealthAlert, HealthRecovered],
            Self::Analyzer => &[Diagnosis, RemediationNeeded, FalseAlarm, DeadLetter],
            Self::Responder => &[RemediationStarted, RemediationComplete, RemediationVerified, DeadLetter],
            Self::Alert => &[Notification, DeadLetter],
            Self::Operator => &[OperatorCommand],
            // The bridge appends what it was told to listen to, and only where it was.
            Self::Archiver | Self::Bridge => &[],
        }
    }

    /// The types that this role reads as a member of its group.
    #[must_use]
    pub const fn reads(self) -> &'static [EventType] {
        match self {
            // Archiver and bridge read along, and have nothing pending.
            Self::Monitor | Self::Operator | Self::Archiver | Self::Bridge => &[],
            Self::Analyzer => &[HealthAlert],
            Self::Responder => &[RemediationNeeded],
            Self::Alert => &[RemediationComplete, RemediationVerified, HealthRecovered, DeadLetter],
        }
    }
}

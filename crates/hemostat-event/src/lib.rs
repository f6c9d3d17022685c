//! The vocabulary and the log format of HemoStat.
//!
//! Every fact the agents exchange is an [`Event`]: an [`Envelope`] whose attributes follow `CloudEvents` 1.0
//! and its correlation extension, and [`Data`], one of thirteen types. The crate knows no clock, socket,
//! environment, file or task; it only says what an event is and how it is written down.
//!
//! Two forms exist. [`codec`] writes the stored form, `MessagePack` with field names, so that unknown fields
//! are skipped by an older reader and kept by the log. [`cloudevents`] writes the exported form, JSON.
//!
//! Invariants:
//! - E-1: ids of derived events are a function of their cause ([`EventId::derive`]), so a retry, a zombie and
//!   a replay produce the same id.
//! - E-2: stored events of every released version stay readable; an unknown type or a newer version is an
//!   error value that names it, never a panic.

pub mod cloudevents;
pub mod codec;
mod container;
mod data;
mod envelope;
mod figure;
mod ids;
mod sample;
pub mod schema;
mod time;
mod traffic;

pub use container::{
    Actor, AnomalyKind, Change, ContainerPolicy, ContainerRef, Health, Mode, RunState, Severity,
};
pub use data::{
    Action, ActionKind, Anomaly, Basis, Cause, Channel, Command, ContainerChanged, ContainerSample, Data,
    DeadLetter, Delivery, Diagnosis, EventType, Evidence, EvidenceItem, EvidenceKind, FalseAlarm, Gap,
    HealthAlert, HealthRecovered, Notification, NotificationKind, OperatorCommand, Outcome, Plan, Recovery,
    Rejection, RemediationComplete, RemediationNeeded, RemediationStarted, RemediationVerified, UnknownType,
    Verdict, Verification,
};
pub use envelope::{Envelope, Event, HostMismatch, Source};
pub use ids::{ContainerId, EventId, HostName, IdError, IncidentId, Role, Subject, TraceParent};
pub use sample::{Sample, TrendPoint};
pub use time::Timestamp;

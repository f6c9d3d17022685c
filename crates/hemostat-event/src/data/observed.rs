//! What the monitor sees: measurements, changes, and incidents as they open and close.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Actor, AnomalyKind, Change, ContainerPolicy, ContainerRef, Sample, Severity, Timestamp, TrendPoint,
};

/// One measurement of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerSample {
    /// The container.
    pub container: ContainerRef,
    /// The figures.
    pub sample: Sample,
    /// What is missing before it: samples that were taken and not recorded, because the log was away, behind or nearly
    /// full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// Samples of a container that were not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// How many.
    pub samples: u64,
    /// When the first of them was taken.
    pub since: Timestamp,
}

/// Something happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerChanged {
    /// The container.
    pub container: ContainerRef,
    /// What happened.
    #[serde(flatten)]
    pub change: Change,
    /// Who did it.
    pub by: Actor,
    /// When the engine says it happened.
    pub at: Timestamp,
}

/// A container is sick: all its present symptoms, the measurement that shows them and the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthAlert {
    /// The container.
    pub container: ContainerRef,
    /// The worst severity among the anomalies.
    pub severity: Severity,
    /// Every symptom of the open incident, by kind.
    pub anomalies: Vec<Anomaly>,
    /// The measurement at the time of the alert.
    pub sample: Sample,
    /// When the incident opened.
    pub opened_at: Timestamp,
    /// The engine event that showed it first, where it was one and not a measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_event_at: Option<Timestamp>,
    /// Ends of this container that nobody asked for, within the last ten minutes.
    #[serde(default)]
    pub deaths_recent: u32,
    /// Whether the engine's own restart policy starts the container again without us.
    #[serde(default)]
    pub engine_restarts: bool,
    /// What there is to see.
    #[serde(default)]
    pub evidence: Evidence,
    /// What the container's labels allow.
    pub policy: ContainerPolicy,
}

/// One symptom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Anomaly {
    /// What kind of symptom.
    pub kind: AnomalyKind,
    /// How bad.
    pub severity: Severity,
    /// What was measured; the unit is the kind's.
    #[serde(default, skip_serializing_if = "crate::figure::absent")]
    pub actual: Option<f64>,
    /// The level it had to reach, in the same unit.
    #[serde(default, skip_serializing_if = "crate::figure::absent")]
    pub threshold: Option<f64>,
    /// Since when.
    pub since: Timestamp,
    /// The same in words.
    pub detail: String,
}

/// What there is to see about an incident, with secrets taken out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Evidence {
    /// Pieces of text, each with an id that a verdict can cite.
    pub items: Vec<EvidenceItem>,
    /// The recent past, oldest first.
    pub trend: Vec<TrendPoint>,
    /// Secrets that were taken out of the texts.
    pub redactions: u32,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceItem {
    /// Unique within the alert: `log`, `health`, `change-1`, …
    pub id: String,
    /// Where it comes from.
    pub kind: EvidenceKind,
    /// What it says.
    pub text: String,
}

/// Where a piece of evidence comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// The last lines the container wrote.
    LogTail,
    /// What the last health check printed.
    HealthOutput,
    /// What the engine knows of the container: image, limits, restart policy.
    Inspection,
    /// Something that changed lately.
    RecentChange,
}

/// An incident's symptoms are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthRecovered {
    /// The container.
    pub container: ContainerRef,
    /// The symptoms it had.
    pub kinds: Vec<AnomalyKind>,
    /// Why the incident is over.
    pub reason: Recovery,
    /// When the incident opened.
    pub opened_at: Timestamp,
    /// How long the symptoms lasted, in milliseconds.
    pub lasted_ms: u64,
}

/// Why an incident is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// Every symptom is below its clear level.
    Cleared,
    /// A person stopped the container.
    Stopped,
    /// The container is gone.
    Removed,
}

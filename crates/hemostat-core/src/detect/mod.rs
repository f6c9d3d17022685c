//! Is it sick?
//!
//! Threshold detection with hysteresis, and the hard facts that engine events tell. Three parts: [`Settings`] say
//! when a figure is an anomaly, [`Watch`] keeps the short memory of one container (lost when the monitor restarts,
//! warm again within minutes), and [`State`] is the durable part, a fold of the monitor's own events. [`decide`]
//! holds the rules: what happened (`changes`), what is wrong now (`symptoms`), what to say of it (`decide`). [`Again`]
//! asks them once more of what a log kept.
//!
//! Two clocks meet here. What the engine dates (starts, ends, requests) is compared with other engine times only;
//! how long something lasts is measured in log time.
//!
//! Invariants:
//! - D-1: a container has at most one open incident; it opens with `health_alert` and ends with
//!   `health_recovered`.
//! - D-2: what a person did (a stop, a kill, a pause) is never a symptom, and no alert is raised while it lasts.
//! - D-3: a figure that is missing says nothing: it neither fires nor clears. Nor does a health check that has only
//!   started.
//! - D-4: an end with exit code 0 is never a symptom.

mod again;
mod changes;
mod decide;
mod settings;
mod state;
mod symptoms;
#[cfg(test)]
mod tests;
mod watch;

use hemostat_event::{ContainerPolicy, ContainerRef, Sample, Timestamp};

use crate::engine::{EngineEventKind, Inspection};

pub use again::Again;
pub use decide::decide;
pub use settings::{Levels, NOfM, Settings};
pub use state::{State, fold};
pub use watch::Watch;

/// What was seen of a container.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time exists per container, and nearly all are samples"
)]
pub enum Observed {
    /// A measurement.
    Sample(Sample),
    /// Something the engine told.
    Engine(EngineEventKind),
    /// It was not listed any more.
    Gone,
}

/// One observation with what is known of the container.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The container.
    pub container: &'a ContainerRef,
    /// What the engine knows of it, read after the observation.
    pub inspection: &'a Inspection,
    /// What its labels allow.
    pub policy: &'a ContainerPolicy,
    /// What was seen.
    pub observed: &'a Observed,
    /// When, in log time.
    pub at: Timestamp,
    /// When the engine says it happened, where it was an engine event.
    pub engine_event_at: Option<Timestamp>,
}

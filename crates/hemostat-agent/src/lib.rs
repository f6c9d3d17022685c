//! What every agent of HemoStat is made of: the ports to the outside, the run loop, telemetry.
//!
//! Ports are object-safe traits. Each has a memory implementation in [`memory`] that is good for tests and
//! simulation, and one contract test suite in [`contract`] that runs on every implementation.

pub mod clock;
pub mod containers;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
pub mod diagnostician;
pub mod exporter;
pub mod health;
pub mod identity;
#[cfg(test)]
mod interposed;
pub mod janitor;
pub mod log;
pub mod lookout;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod monitor;
pub mod notifier;
pub mod perform;
pub mod run;
pub mod tail;
pub mod telemetry;
pub mod tenancy;

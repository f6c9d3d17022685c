//! What a HemoStat process shows over HTTP: its health and its metrics.
//!
//! | path | answers |
//! |---|---|
//! | `/-/healthy`, `/livez` | 200 while the loops of all parts turn, else 503 and why not |
//! | `/-/ready`, `/readyz` | 200 while all parts can do their work, else 503 and why not |
//! | `/healthz` | the whole report in JSON; 503 while the process is not live |
//! | `/metrics` | Prometheus text format 0.0.4 |
//! | `/version` | name and version in JSON |
//! | `/` | links to the above |
//!
//! Nothing here changes anything, and nothing is secret; the default address is the loopback one all the same.
//!
//! Invariants:
//! - W-1: after the stop signal [`serve`] ends within half a second, whatever a client does.
//! - W-2: a client can hold a connection, but not more than a bounded number of them, and none for ever without
//!   asking something.
//! - W-3: the metrics of a large log are written one by one as the client takes them, a few answers at a time; what is
//!   in memory at once is bounded by the largest of them.

mod exposition;
mod pages;
mod server;

use std::sync::Arc;

use hemostat_agent::exporter::Exporter;
use hemostat_agent::health::HealthSource;
use serde::Serialize;

pub use server::serve;

/// What is shown.
#[derive(Clone)]
pub struct Surface {
    /// The metrics of the process.
    pub registry: prometheus::Registry,
    /// The metrics of the log, where this process reads it along.
    pub exporter: Option<Arc<Exporter>>,
    /// The health.
    pub health: Arc<dyn HealthSource>,
    /// Who this is.
    pub version: VersionInfo,
}

/// Who this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionInfo {
    name: String,
    version: String,
}

impl VersionInfo {
    /// The program `name` in `version`.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into() }
    }
}

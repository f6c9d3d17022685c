//! The demo's containers: what ails each, and how it should end.

/// One container of the demo.
#[derive(Debug)]
pub(in crate::commands) struct Scenario {
    /// Its name, which is also the workload it runs.
    pub(in crate::commands) name: &'static str,
    /// What ails it, for people.
    pub(super) story: &'static str,
    /// How it should end.
    pub(super) expected: Expected,
    /// Memory limit in bytes.
    pub(super) memory_bytes: u64,
    /// CPU quota in processors.
    pub(super) cpus: f64,
    /// Whether it has a health check.
    pub(super) health_check: bool,
    /// Restarts the engine makes by itself after a failure.
    pub(super) engine_restarts: u32,
}

/// How a container should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Detected, acted on, verified.
    Healed,
    /// No alert, no action.
    Untouched,
}

const MIB: u64 = 1 << 20;

/// A container without special needs.
const PLAIN: Scenario = Scenario {
    name: "",
    story: "",
    expected: Expected::Healed,
    memory_bytes: 64 * MIB,
    cpus: 0.25,
    health_check: false,
    engine_restarts: 0,
};

/// The scenario whose container a person stops.
pub(super) const STOPPED: &str = "stopped";

/// Every container of the demo.
pub(in crate::commands) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "healthy", story: "serves", expected: Expected::Untouched, health_check: true, ..PLAIN },
    Scenario { name: STOPPED, story: "is stopped by hand", expected: Expected::Untouched, ..PLAIN },
    Scenario { name: "crash", story: "exits with 1", ..PLAIN },
    Scenario { name: "crash-loop", story: "crashes until the engine gives up", engine_restarts: 3, ..PLAIN },
    Scenario { name: "unhealthy", story: "fails its health check", health_check: true, ..PLAIN },
    Scenario { name: "oom", story: "is killed for memory", ..PLAIN },
    Scenario { name: "leak", story: "leaks memory", ..PLAIN },
    Scenario { name: "burn", story: "burns CPU", ..PLAIN },
];

//! The demo's containers: what ails each, and how it should end.

/// One container of the demo.
#[derive(Debug)]
pub struct Scenario {
    /// Its name, which is also the workload it runs.
    pub name: &'static str,
    /// What ails it, for people.
    pub story: &'static str,
    /// How it should end.
    pub expected: Expected,
    /// Memory limit in bytes.
    pub memory_bytes: u64,
    /// CPU quota in processors.
    pub cpus: f64,
    /// Whether it has a health check.
    pub health_check: bool,
    /// Restarts the engine makes by itself after a failure.
    pub engine_restarts: u32,
}

/// How a container should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
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

/// Every container of the demo.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "healthy", story: "serves", expected: Expected::Untouched, health_check: true, ..PLAIN },
    Scenario { name: "stopped", story: "is stopped by hand", expected: Expected::Untouched, ..PLAIN },
    Scenario { name: "crash", story: "exits with 1", ..PLAIN },
    Scenario { name: "crash-loop", story: "crashes until the engine gives up", engine_restarts: 3, ..PLAIN },
    Scenario { name: "unhealthy", story: "fails its health check", health_check: true, ..PLAIN },
    Scenario { name: "oom", story: "is killed for memory", ..PLAIN },
    Scenario { name: "leak", story: "leaks memory", ..PLAIN },
    Scenario { name: "burn", story: "burns CPU", ..PLAIN },
];

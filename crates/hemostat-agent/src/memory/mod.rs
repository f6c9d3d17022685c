//! The ports in memory: for tests and seeded simulation.

pub mod containers;
pub mod log;

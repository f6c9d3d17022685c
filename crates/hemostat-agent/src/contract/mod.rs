//! What every implementation of a port must do, as tests that run on each of them.

pub mod containers;
pub mod log;

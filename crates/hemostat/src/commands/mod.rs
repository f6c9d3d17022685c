//! One file per command.

pub mod bench_reaction;
pub mod check_config;
pub mod completion;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod healthcheck;
pub mod incident_show;
pub mod incidents;
pub mod log;
pub mod run_agents;
pub mod status;
pub mod up;
pub mod workload;

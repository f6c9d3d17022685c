//! One file per command.

pub(crate) mod acl;
pub(crate) mod archive;
pub(crate) mod archiver;
pub(crate) mod bench_append;
pub(crate) mod bench_hop;
pub(crate) mod bench_load;
pub(crate) mod bench_metrics;
pub(crate) mod bench_reaction;
pub(crate) mod bridge;
pub(crate) mod check_config;
pub(crate) mod completion;
pub(crate) mod demo;
pub(crate) mod dlq;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod healthcheck;
pub(crate) mod incident_show;
pub(crate) mod incidents;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod run_agents;
mod scratch;
pub(crate) mod status;
pub(crate) mod up;
pub(crate) mod workload;

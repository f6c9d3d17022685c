//! The configuration: read once, checked as a whole, then passed on as values.
//!
//! Flag > environment > file > default. All problems are reported at once, so that an operator corrects them in
//! one go; nothing starts with a wrong configuration.

mod bridge;
mod read;
mod secret;
pub(crate) mod source;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hemostat_agent::janitor;
use hemostat_archive::Place;
use hemostat_core::{detect, diagnose, labels, notify, remediate};
use hemostat_event::HostName;
use hemostat_redis::DurabilitySettings;

pub(crate) use read::duration;
pub(crate) use secret::Secret;
use source::{Given, Values};

/// A checked configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Name of this host in the log, where the operator chose one.
    pub host: Option<HostName>,
    /// Name of this replica, where the operator chose one.
    pub instance: Option<String>,
    /// Folder of the private Redis, where the operator chose one.
    pub data_dir: Option<PathBuf>,
    /// Log lines.
    pub log: Logging,
    /// Health endpoints and metrics.
    pub listen: Listen,
    /// The metrics exporter.
    pub metrics: Metrics,
    /// The event log.
    pub redis: Redis,
    /// What the log keeps.
    pub retention: janitor::Settings,
    /// The archive.
    pub archive: Archive,
    /// The bridge to the Python HemoStat.
    pub bridge: bridge::Bridge,
    /// When writes count.
    pub durability: DurabilitySettings,
    /// Where the engine is, where the operator said it.
    pub docker_host: Option<String>,
    /// The monitor.
    pub monitor: Monitor,
    /// The analyzer's rules.
    pub analyzer: diagnose::Settings,
    /// The responder's policy.
    pub responder: remediate::Policy,
    /// The alert agent.
    pub alert: Alert,
    /// What all roles of the run loop share.
    pub agent: Agent,
    /// Every value with its origin, for `check-config`.
    pub values: Values,
}

/// Log lines.
#[derive(Debug, Clone)]
pub(crate) struct Logging {
    /// A filter in the syntax of `tracing`.
    pub level: String,
    /// Their form.
    pub format: Format,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Where health endpoints listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    /// Nowhere.
    Off,
    /// Here; when it is taken, that is an error.
    At(SocketAddr),
    /// Here, or on any free port when it is taken: nobody asked for this one.
    Preferably(SocketAddr),
}

/// The metrics exporter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metrics {
    /// Where it listens, where the operator said it; `up` exports only then.
    pub listen: Option<SocketAddr>,
    /// Silence after which a container is not shown any more.
    pub silence: Duration,
}

/// The event log.
#[derive(Debug, Clone)]
pub(crate) struct Redis {
    /// Where it is; a private one is started when absent.
    pub url: Option<Secret>,
    /// The user of the log, where the URL names none.
    pub user: Option<String>,
    /// Its password, where the URL has none.
    pub password: Option<Secret>,
    /// Certificates of those who vouch for the server, in PEM.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate, in PEM.
    pub cert_file: Option<PathBuf>,
    /// Its key, in PEM.
    pub key_file: Option<PathBuf>,
    /// First part of every key.
    pub namespace: String,
    /// Partitions of a new log.
    pub partitions: Option<u16>,
}

/// The archive.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    /// Where it is, where the operator said it; `up` archives only then.
    pub url: Option<Place>,
    /// The key that seals, where the operator said it.
    pub key_file: Option<PathBuf>,
    /// When a segment is closed.
    pub settings: hemostat_archive::Settings,
    /// How long its entries are kept.
    pub keep: hemostat_archive::Keep,
}

/// The monitor.
#[derive(Debug, Clone)]
pub(crate) struct Monitor {
    /// Time between two polls.
    pub interval: Duration,
    /// Polls between two measurements of writable layers.
    pub disk_every: u32,
    /// Engine requests at a time.
    pub concurrency: usize,
    /// Names that are not watched.
    pub exclude: Vec<String>,
    /// Only these are watched; all where there are none.
    pub only: Vec<String>,
    /// What containers without labels allow.
    pub labels: labels::PolicyDefaults,
    /// When a figure is an anomaly.
    pub detect: detect::Settings,
}

/// The alert agent.
#[derive(Debug, Clone)]
pub(crate) struct Alert {
    /// Whether people are told at all.
    pub enabled: bool,
    /// Whether notifications go to standard output.
    pub terminal: bool,
    /// Slack incoming webhook.
    pub slack_url: Option<Secret>,
    /// Generic webhook.
    pub webhook_url: Option<Secret>,
    /// Key of its signature.
    pub webhook_secret: Option<Secret>,
    /// Tries before a notification becomes a dead letter.
    pub attempts_max: u32,
    /// What is news, and how often.
    pub notify: notify::Settings,
}

/// What all roles of the run loop share.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    /// Inputs dealt with at a time.
    pub concurrency: usize,
    /// Silence after which inputs are taken over.
    pub claim_after: Duration,
    /// Tries before an input becomes a dead letter.
    pub attempts_max: u32,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} problem{}:\n{}", .0.len(), if .0.len() == 1 { "" } else { "s" }, list(.0))]
pub(crate) struct ConfigError(pub Vec<String>);

fn list(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("  - {problem}")).collect::<Vec<_>>().join("\n")
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// All problems together.
    pub(crate) fn read(given: &Given<'_>) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let values = source::collect(given, &mut problems);
        let config = read::read(values, &mut problems);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
    }
}

//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use hemostat_archive::Place;
use hemostat_redis::acl::User;

use crate::commands::archive::ArchiveCommand;
use crate::config;

mod bench;

pub(crate) use bench::{AppendArgs, BenchCommand, BenchMetricsArgs, HopArgs, LoadArgs, ReactionArgs};

/// Autonomous container health on Redis Streams: watches containers, finds out what is wrong with the sick ones,
/// repairs what it may repair, proves that the repair worked, and tells people once.
#[derive(Debug, Parser)]
#[command(name = "hemostat", version, max_term_width = 110, propagate_version = true)]
#[command(after_help = "Examples:
  hemostat up                        everything in one process, with a private Redis
  hemostat up --set monitor.default_mode=auto
  hemostat demo                      sick containers, healed before your eyes
  hemostat log --follow --type health_alert
  hemostat incident show 3f2a        one incident from its first symptom to its end
  hemostat doctor                    is everything within reach?

Exit codes: 0 ok, 1 finding, 2 usage or configuration, 3 something is out of reach.")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where settings come from.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Where settings come from.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// Configuration file (TOML).
    #[arg(short, long, global = true, env = "HEMOSTAT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, as in the file: `--set responder.dry_run=true`. May be given several times.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Redis of the event log; short for `--set redis.url=…`.
    #[arg(long, global = true, value_name = "URL")]
    pub redis: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run all agents in one process, the archiver where `archive.url` is set, the exporter where `metrics.listen` is, the
    /// bridge where `bridge.enabled` is; starts a private redis-server when no Redis is configured
    Up(UpArgs),
    /// Run the agent that watches containers
    Monitor,
    /// Run the agent that finds root causes
    Analyzer,
    /// Run the agent that repairs
    Responder,
    /// Run the agent that tells people
    Alert,
    /// Run the archiver, which seals the event log into signed segments
    Archiver,
    /// Export the event log as Prometheus metrics: containers, lag, what was found, done and told
    Metrics(MetricsArgs),
    /// Run the bridge to the Python HemoStat: its channels and keys
    #[command(after_help = "Examples:
  hemostat bridge
  hemostat bridge --set bridge.redis_url=redis://python-redis:6379
  hemostat bridge --set bridge.inbound=health_alert,false_alarm

Out of the event log, it says on hemostat:health_alert, hemostat:remediation_needed, hemostat:remediation_complete and
hemostat:false_alarm what the Python agents would have said, and writes their keys. It takes what is said there only
where bridge.inbound names the channel, as a suggestion, and never `exec`.")]
    Bridge,
    /// Work with the archive: redact, let expire, hold, rotate its key, sweep
    Archive {
        /// What to do with it.
        #[command(subcommand)]
        command: ArchiveCommand,
    },
    /// Show the event log
    Log(LogArgs),
    /// Show agents, groups and what waits
    Status(OutputArgs),
    /// List incidents
    Incidents(IncidentsArgs),
    /// Work with one incident
    Incident {
        /// What to do with it.
        #[command(subcommand)]
        command: IncidentCommand,
    },
    /// Say why something was decided: the chain of causes of an event or incident
    Explain(ExplainArgs),
    /// Look at what agents gave up, and hand it out once more
    #[command(visible_alias = "dead-letters")]
    Dlq {
        /// What to do with it.
        #[command(subcommand)]
        command: DlqCommand,
    },
    /// Check that Redis, the engine, the clocks and the channels are within reach
    Doctor(OutputArgs),
    /// Check the configuration and show every value with its origin
    CheckConfig(CheckConfigArgs),
    /// Print the rights each agent needs on Redis, as ACL rules
    Acl(AclArgs),
    /// Ask a running agent for its health; for container health checks
    Healthcheck(HealthcheckArgs),
    /// Start sick containers and show live how each is healed; cleans up after itself
    Demo(DemoArgs),
    /// Measure
    Bench {
        /// What to measure.
        #[command(subcommand)]
        command: BenchCommand,
    },
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  hemostat completion bash > /etc/bash_completion.d/hemostat")]
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Behave like a sick container; the process inside the demo's containers
    #[command(hide = true)]
    Workload {
        /// Which sickness.
        kind: String,
    },
}

/// `hemostat up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Also start the demo's sick containers and show how they are healed.
    #[arg(long)]
    pub demo: bool,
    /// End after this time; without it, run until Ctrl-C or SIGTERM.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub run_for: Option<Duration>,
}

/// `hemostat metrics`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat metrics                                    on port 9090 of all addresses
  hemostat metrics --set metrics.listen=127.0.0.1:9190
  curl -s localhost:9090/metrics | grep hemostat_group_oldest_unread
  hemostat metrics --reference                        every metric, in Markdown

It only reads the log; as many as you like may run, and all show the same.")]
pub(crate) struct MetricsArgs {
    /// Print the reference of all metrics and end.
    #[arg(long)]
    pub reference: bool,
}

/// `hemostat check-config`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat check-config
  hemostat check-config --config hemostat.toml -o json
  hemostat check-config --reference                   every setting, in Markdown")]
pub(crate) struct CheckConfigArgs {
    /// Print the reference of all settings and end.
    #[arg(long)]
    pub reference: bool,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `hemostat demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat demo
  hemostat demo --for 60s
  hemostat demo --only leak,oom")]
pub(crate) struct DemoArgs {
    /// End after this time at the latest; without it, the demo ends when every container has its verdict.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub run_for: Option<Duration>,
    /// Only these scenarios, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Leave the containers and images in place.
    #[arg(long)]
    pub keep: bool,
}

/// `hemostat acl`.
#[derive(Debug, Args)]
#[command(
    after_help = "A user is named after the namespace and the role (hemostat-monitor). Without a password file it cannot
log in until a password is set. A whole aclfile begins with the default user, locked and with all rights: Redis loads
its append-only file as that user, and would start with an empty log where it has fewer.

Examples:
  hemostat acl --role monitor --password-file /run/secrets/monitor | redis-cli
  hemostat acl --form aclfile > /etc/redis/users.acl"
)]
pub(crate) struct AclArgs {
    /// Only this role: monitor, analyzer, responder, alert, operator, archiver, bridge, metrics.
    #[arg(long, value_name = "ROLE")]
    pub role: Option<User>,
    /// File with the password; its SHA-256 is printed.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// What the rules are for.
    #[arg(long, value_enum, default_value_t = AclForm::Commands)]
    pub form: AclForm,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What rules are printed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AclForm {
    /// Commands for redis-cli.
    Commands,
    /// Lines of an aclfile.
    Aclfile,
}

/// How to print.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArgs {
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs: one JSON object per line.
    Json,
}

/// Where events are that the log no longer has.
#[derive(Debug, Args)]
pub(crate) struct PastArgs {
    /// Archive that has what was trimmed from the log; `archive.url` when absent. It is read first, and alone where the
    /// log is out of reach.
    #[arg(long, value_name = "PLACE")]
    pub archive: Option<Place>,
}

/// `hemostat log`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat log --since 1h
  hemostat log --since 90d --container web --archive s3://bucket/hemostat
  hemostat log --follow --container web
  hemostat log -o json --type remediation_complete | jq .data.status")]
pub(crate) struct LogArgs {
    /// Go on with new events as they come; without --since the archive is not read.
    #[arg(short, long)]
    pub follow: bool,
    /// Only these event types, separated by commas.
    #[arg(short = 't', long = "type", value_delimiter = ',', value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only this container: name, id or the beginning of its id.
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// Only events since then: a time span (`1h`) or a time (`2026-11-24T05:00:00Z`).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Show samples too; left out otherwise because of their number.
    #[arg(long)]
    pub samples: bool,
    /// Where older events are.
    #[command(flatten)]
    pub past: PastArgs,
    /// Form of the output: a table, or CloudEvents as JSON lines.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `hemostat incidents`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat incidents --open
  hemostat incidents --archive /var/lib/hemostat/archive")]
pub(crate) struct IncidentsArgs {
    /// Only those that are open.
    #[arg(long)]
    pub open: bool,
    /// Only this container: name, id or the beginning of its id.
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// Where older events are.
    #[command(flatten)]
    pub past: PastArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `hemostat incident …`.
#[derive(Debug, Subcommand)]
pub(crate) enum IncidentCommand {
    /// Show an incident from its first symptom to its end
    Show {
        /// The incident's id or its beginning, or a container's name (its latest incident).
        id: String,
        /// Where older events are.
        #[command(flatten)]
        past: PastArgs,
        /// Form of the output.
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// `hemostat explain`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  hemostat explain 3f2a")]
pub(crate) struct ExplainArgs {
    /// The id of an event or incident, or its beginning.
    pub id: String,
    /// Where older events are.
    #[command(flatten)]
    pub past: PastArgs,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `hemostat dlq …`.
#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// List dead letters, the oldest first
    #[command(after_help = "Examples:
  hemostat dlq ls --since 1d
  hemostat dlq ls --group analyzer --type health_alert -o json")]
    Ls {
        /// Which letters.
        #[command(flatten)]
        filter: LetterFilter,
        /// Form of the output.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show a dead letter: why, after how many tries, and the event as it was
    #[command(after_help = "Example:\n  hemostat dlq show 3f2a")]
    Show {
        /// The letter's id, or the beginning of it.
        id: String,
        /// Form of the output.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Hand dead letters to their group once more; each of them once, the oldest first
    #[command(after_help = "Examples:
  hemostat dlq redrive 3f2a
  hemostat dlq redrive --group alert --since 1h --dry-run
  hemostat dlq redrive --type health_alert --limit 10 --yes

The event keeps its id and is decided by that group only. What dies again has a letter of its own.")]
    Redrive(RedriveArgs),
}

/// `hemostat dlq redrive`.
#[derive(Debug, Args)]
pub(crate) struct RedriveArgs {
    /// Letters: their ids, or the beginnings of them. Without any, those that the filters choose.
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Which letters.
    #[command(flatten)]
    pub filter: LetterFilter,
    /// Only show what would be handed out.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct LetterFilter {
    /// Only about this container: name, id or the beginning of its id.
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// Only about events of these types, separated by commas.
    #[arg(short = 't', long = "type", value_delimiter = ',', value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only those of this group: analyzer, responder or alert.
    #[arg(long, value_name = "ROLE")]
    pub group: Option<String>,
    /// Only those written since then: a time span (`1h`) or a time (`2026-11-24T05:00:00Z`).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// At most so many, the oldest first.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// `hemostat healthcheck`.
#[derive(Debug, Args)]
pub(crate) struct HealthcheckArgs {
    /// Address of the agent; `http.listen` when absent.
    #[arg(long)]
    pub address: Option<SocketAddr>,
    /// Ask whether it is ready, not only whether it is alive.
    #[arg(long)]
    pub ready: bool,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    config::duration(text)
}

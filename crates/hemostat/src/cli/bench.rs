//! `hemostat bench`: what can be measured, and how much of it.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{OutputArgs, parse_duration};

/// `hemostat bench …`.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Time from the death of a real container to its alert and to its verified restart
    Reaction(ReactionArgs),
    /// Hops per second through read, decide and commit, beside what the same Redis does with no agent
    Hop(HopArgs),
    /// The monitor's append path beside plain XADD
    Append(AppendArgs),
    /// Scrapes of an exporter with the series of many containers, and its memory
    Metrics(BenchMetricsArgs),
    /// Alerts into the configured log, and how fast the analyzers that run there answer them
    Load(LoadArgs),
    /// Run one analyzer that ends with the process that started it
    #[command(hide = true)]
    Replica,
}

/// `hemostat bench hop`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat bench hop
  hemostat bench hop --replicas 2 --aof on -o json
  hemostat bench hop --set agent.concurrency=128

Starts its own redis-server, and analyzers as processes; a configured Redis is not touched.")]
pub(crate) struct HopArgs {
    /// Replicas of the analyzer, separated by commas: one run each.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4")]
    pub replicas: Vec<usize>,
    /// Whether the server keeps an append-only file.
    #[arg(long, value_enum, default_value_t = Aof::Both)]
    pub aof: Aof,
    /// Alerts in each run.
    #[arg(long, default_value_t = 100_000)]
    pub events: usize,
    /// Containers they are about.
    #[arg(long, default_value_t = 10_000)]
    pub containers: usize,
    /// Alerts per second while latencies are measured.
    #[arg(long, default_value_t = 10_000)]
    pub rate: u32,
    /// How long latencies are measured.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, default_value = "5s")]
    pub run_for: Duration,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Whether the server keeps an append-only file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Aof {
    /// Synced once a second, as the private Redis does.
    On,
    /// Nothing is kept.
    Off,
    /// One run each.
    Both,
}

/// `hemostat bench append`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  hemostat bench append -o json

Starts its own redis-server; a configured Redis is not touched.")]
pub(crate) struct AppendArgs {
    /// Events in each run.
    #[arg(long, default_value_t = 100_000)]
    pub events: usize,
    /// Whether the server keeps an append-only file.
    #[arg(long, value_enum, default_value_t = Aof::Both)]
    pub aof: Aof,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `hemostat bench metrics`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  hemostat bench metrics -o json

Starts its own redis-server and an exporter as a process; a configured Redis is not touched.")]
pub(crate) struct BenchMetricsArgs {
    /// Containers.
    #[arg(long, default_value_t = 10_000)]
    pub containers: usize,
    /// Samples of each container.
    #[arg(long, default_value_t = 4)]
    pub samples: usize,
    /// Scrapes.
    #[arg(long, default_value_t = 20)]
    pub scrapes: usize,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `hemostat bench load`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  docker compose run --rm monitor bench load
  hemostat bench load --replicas 4 --events 100000 -o json

Needs a log without events of others and the rights of a monitor. The alerts are about containers of hosts that there are
not (bench-…), so nobody repairs them; what is written stays in the log. An answer's time is that of the log. To measure more
than the writing allows, hold the analyzers (docker compose pause analyzer) until standard error says that all is written.")]
pub(crate) struct LoadArgs {
    /// Alerts.
    #[arg(long, default_value_t = 50_000)]
    pub events: usize,
    /// Containers they are about, spread over all partitions of the log.
    #[arg(long, default_value_t = 10_000)]
    pub containers: usize,
    /// Waits until so many analyzers run, no more and no fewer; for one at least without it.
    #[arg(long, value_name = "N")]
    pub replicas: Option<usize>,
    /// How long analyzers are waited for.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60s")]
    pub wait: Duration,
    /// Go on where the log has events of others, or a monitor or an alerter runs.
    #[arg(long)]
    pub anyway: bool,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl Aof {
    /// The runs it stands for.
    pub(crate) fn runs(self) -> &'static [bool] {
        match self {
            Self::On => &[true],
            Self::Off => &[false],
            Self::Both => &[false, true],
        }
    }
}

/// `hemostat bench reaction`.
#[derive(Debug, Args)]
pub(crate) struct ReactionArgs {
    /// Containers to let die, one after the other.
    #[arg(long, default_value_t = 20)]
    pub runs: usize,
    /// Form of the output.
    #[command(flatten)]
    pub output: OutputArgs,
}

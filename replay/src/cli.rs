//! The command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use hemostat_event::Timestamp;

use crate::export::{CheckExportArgs, ExportArgs};

/// Reconstructs incidents, verifies the archive and exports the log of HemoStat.
#[derive(Debug, Parser)]
#[command(name = "hemostat-replay", version, max_term_width = 110, propagate_version = true)]
#[command(after_help = "Exit codes: 0 ok, 1 finding, 2 usage, 3 something cannot be read.")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where the events come from.
    #[command(flatten)]
    pub from: FromArgs,
}

/// Where the events come from: an archive, a live log, or both, the log going on where the archive ends.
#[derive(Debug, Args)]
pub(crate) struct FromArgs {
    /// The archive: a folder, or a bucket as s3://…, gs://… or az://….
    #[arg(long, global = true, env = "HEMOSTAT_ARCHIVE_URL", value_name = "PLACE")]
    pub archive: Option<String>,
    /// Redis of a live log.
    #[arg(long, global = true, env = "HEMOSTAT_REDIS_URL", value_name = "URL")]
    pub redis: Option<String>,
    /// Beginning of the log's keys.
    #[arg(
        long,
        global = true,
        env = "HEMOSTAT_REDIS_NAMESPACE",
        default_value = "hemostat",
        value_name = "NAME"
    )]
    pub namespace: String,
    /// A recording, in place of archive and log: their variables may stay set.
    #[arg(long, global = true, value_name = "FILE")]
    pub file: Vec<PathBuf>,
}

impl FromArgs {
    /// Refuses a recording where the log itself is meant.
    ///
    /// # Errors
    /// When there is one.
    pub(crate) fn refuse_recording(&self, verb: &str) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.file.is_empty(),
            "`{verb}` works on the log and its archive, not on a recording: leave --file out"
        );
        Ok(())
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Decide every decision again by today's rules; exit 1 when one comes out otherwise
    #[command(after_help = "Examples:
  hemostat-replay test --archive /var/lib/hemostat/archive
  hemostat-replay test --redis redis://127.0.0.1:6379 --set responder.cooldown=10m
  hemostat-replay test --file replay/recordings -o json
  hemostat-replay test --file loop.hsrec --file killed.hsrec
  hemostat-replay test --file replay/recordings --provider 'python3 my_model.py'
  hemostat-replay test --file replay/recordings --accept
  hemostat-replay test --file replay/recordings --accept --reason 'plans live twice as long, issue 12'

Of a folder every recording in it is read (.hsrec). Beside a recording NAME.hsrec may stand NAME.golden.json: what the \
rules came to when somebody looked. A decision that is not the recorded one and is accepted there is no finding; \
everything else that is not as it says is one.")]
    Test(TestArgs),
    /// Show which alerts, actions and notifications other settings or rules would have come to
    #[command(after_help = "Examples:
  hemostat-replay what-if --archive /var/lib/hemostat/archive --set responder.cooldown=10m
  hemostat-replay what-if --archive /var/lib/hemostat/archive --since 30d --set responder.budget=1
  hemostat-replay what-if --archive /var/lib/hemostat/archive --since 30d --set monitor.cpu_percent=95
  hemostat-replay what-if --archive /var/lib/hemostat/archive --since 30d

With a setting of the monitor, or with none at all, the samples are looked at again. An incident that would not have been \
takes with it what was recorded of it; a new one is followed in a world that does what it is asked for, without a model, and \
only as far as the labels of its container are known from another alert.")]
    WhatIf(WhatIfArgs),
    /// Say what there is to be read: partitions, times, types
    Info(OutputArgs),
    /// Write a slice of the log into a file that --file reads
    Record(crate::record::RecordArgs),
    /// Show an incident as a tree of causes and a time line, or list the incidents
    Timeline(crate::timeline::TimelineArgs),
    /// Show what every role knew of containers at some point
    State(crate::state::StateArgs),
    /// Show what changed of that between two points
    Diff(crate::state::DiffArgs),
    /// Play it once more, at any speed, into a namespace of its own
    Play(Box<crate::play::PlayArgs>),
    /// Make an empty Redis what the log was, from the archive alone
    Restore(crate::rebuild::RestoreArgs),
    /// Work out the states of all roles from the log and compare them with those that are there, or put them right
    Rebuild(crate::rebuild::RebuildArgs),
    /// Prove that the archive is what was sealed, or say what was done to it
    Verify(crate::verify::VerifyArgs),
    /// Export for an audit, with a manifest
    Export(Box<ExportArgs>),
    /// Check an export against its manifest
    CheckExport(CheckExportArgs),
    /// Measure reading, deciding again and verifying beside `zstd` and `sha256sum`
    Bench(crate::bench::BenchArgs),
    /// Print a completion script for a shell
    Completion {
        /// The shell.
        shell: Shell,
    },
}

/// `hemostat-replay test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// A setting that was another than today's default when the log was written: `responder.cooldown=10m`. May be
    /// given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// A program that is asked about every alert instead of taking the recorded answer: it reads one alert a line and writes
    /// one diagnosis a line, both as in schemas/v1, or {"error": "why not"}. Golden files are not looked at
    #[arg(long, value_name = "COMMAND", conflicts_with = "accept")]
    pub provider: Option<String>,
    /// Show what the golden files of the recordings would have to say; with --reason, write them
    #[arg(long)]
    pub accept: bool,
    /// Why what is decided now is right; stands in the golden file beside what is accepted
    #[arg(long, value_name = "TEXT", requires = "accept", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: Option<String>,
    /// How it is shown.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `hemostat-replay what-if`.
#[derive(Debug, Args)]
pub(crate) struct WhatIfArgs {
    /// Only decisions of this last time (30d), or since then (2026-11-24T06:10:03Z); those before are read all the same
    #[arg(long, value_name = "SPAN|TIME", value_parser = crate::screen::since)]
    pub since: Option<Timestamp>,
    /// A setting to try: `responder.cooldown=10m`, `monitor.cpu_percent=95`. May be given several times. With none, the
    /// rules of this version are tried as they are
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How it is shown.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How a result is shown.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArgs {
    /// For people, or one JSON object.
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Output,
}

impl OutputArgs {
    /// Whether it is read by a program.
    pub(crate) fn is_json(self) -> bool {
        self.output == Output::Json
    }
}

/// How a result is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// One JSON object.
    Json,
}

/// The command line as clap sees it.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

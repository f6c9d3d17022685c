//! The command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

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
    /// Folder of the archive.
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
    /// A recording.
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["archive", "redis"])]
    pub file: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what there is to be read
    Info,
    /// Print a completion script for a shell
    Completion {
        /// The shell.
        shell: Shell,
    },
}

/// The command line as clap sees it.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

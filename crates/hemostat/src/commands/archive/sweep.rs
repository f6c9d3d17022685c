//! `hemostat archive sweep`.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use hemostat_archive::Needless;
use serde_json::json;

use crate::cli::{Output, OutputArgs};
use crate::config::Config;
use crate::exit::{Failure, OrFailure as _};
use crate::show;

/// `hemostat archive sweep`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat archive sweep --dry-run
  hemostat archive sweep

Removed are objects without a head that are older than an hour, and those that a later revision took the place of.
What the valid head of a segment names is never removed.")]
pub(crate) struct SweepArgs {
    /// Only show what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Form of the output.
    #[command(flatten)]
    output: OutputArgs,
}

/// Removes what nothing needs.
///
/// # Errors
/// Exit 3 when the archive is out of reach.
pub(super) async fn run(config: &Config, args: &SweepArgs) -> Result<(), Failure> {
    let archive = super::open(config).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(0);
    let (mut count, mut bytes) = (0_u64, 0);
    for partition in archive.partitions().await.or_unreachable()? {
        for swept in archive.sweep(partition, now_ms, args.dry_run).await.or_unreachable()? {
            let why = match swept.why {
                Needless::Orphan => "no head names it",
                Needless::Superseded => "a later revision took its place",
            };
            count += 1;
            bytes += swept.bytes;
            match args.output.output {
                Output::Json => show::json(&json!({
                    "file": swept.path, "bytes": swept.bytes, "why": why, "removed": !args.dry_run,
                }))?,
                Output::Table => show::line(&format!("{}  {} bytes  {why}", swept.path, swept.bytes))?,
            }
        }
    }
    if args.output.output == Output::Table {
        let what = if args.dry_run { "would be removed" } else { "removed" };
        show::line(&format!("{count} objects {what}, {bytes} bytes."))?;
    }
    Ok(())
}

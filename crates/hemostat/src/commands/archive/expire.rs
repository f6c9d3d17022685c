//! `hemostat archive expire`.

use clap::Args;
use hemostat_agent::log::EventLog as _;
use hemostat_archive::{Revision, due, expire};
use serde_json::json;

use crate::cli::{Output, OutputArgs};
use crate::config::Config;
use crate::connect;
use crate::exit::{Failure, OrFailure as _};
use crate::show;

/// `hemostat archive expire`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat archive expire --dry-run --set archive.keep.samples=30d
  hemostat archive expire

How long is kept: archive.keep.samples, archive.keep.observations, archive.keep.decisions; for ever where nothing is set.
Of what expired only the digest stays, so that the archive can be verified as before. A segment is written anew when its
last entry is old enough. What is held stays.")]
pub(crate) struct ExpireArgs {
    /// Only show what would expire.
    #[arg(long)]
    dry_run: bool,
    /// Form of the output.
    #[command(flatten)]
    output: OutputArgs,
}

/// Lets go what is not kept any more.
///
/// # Errors
/// Exit 2 for a key that is not the archive's, 3 when log or archive is out of reach.
pub(super) async fn run(config: &Config, args: &ExpireArgs) -> Result<(), Failure> {
    let keep = &config.archive.keep;
    if keep.is_for_ever() {
        return show::line(
            "Nothing expires: none of archive.keep.samples, .observations and .decisions is set.",
        );
    }
    let archive = super::open(config).await?;
    let (key, _path) = super::key(config, &archive).await?;
    let log = connect::log(config).await?;
    let by = connect::operator();
    let (mut events, mut held, mut freed) = (0, 0, 0);
    for partition in archive.partitions().await.or_unreachable()? {
        let now_ms = log.now().await.or_unreachable()?.millis();
        let holds = archive.holds().await.or_unreachable()?;
        for due in due(&archive, partition, keep, &holds, now_ms).await.or_unreachable()? {
            let now_ms = log.now().await.or_unreachable()?.millis();
            // Anew for each segment: a hold may have been placed since.
            let holds = archive.holds().await.or_unreachable()?;
            let with = (!args.dry_run).then_some(Revision { key: &key, by: &by, now_ms });
            let expired = expire(&archive, &due, keep, &holds, now_ms, with).await.or_unreachable()?;
            let (number, revised) = (due.head.statement.number, expired.revised);
            if !revised.is_change() && expired.held == 0 {
                continue;
            }
            let less = if revised.is_change() {
                revised.bytes_before.saturating_sub(revised.bytes_after)
            } else {
                0
            };
            events += revised.expired;
            held += expired.held;
            freed += less;
            match args.output.output {
                Output::Json => show::json(&json!({
                    "partition": partition, "segment": number, "expired": revised.expired, "held": expired.held,
                    "bytes_freed": less, "done": !args.dry_run,
                }))?,
                Output::Table => show::line(&format!(
                    "partition {partition}, segment {number}: {} events, {} held, {less} bytes",
                    revised.expired, expired.held
                ))?,
            }
        }
    }
    if args.output.output == Output::Table {
        let what = if args.dry_run { "would expire" } else { "expired" };
        show::line(&format!("{events} events {what}, {held} are kept by holds, {freed} bytes less."))?;
    }
    Ok(())
}

//! `hemostat-replay bench`: how fast an archive is read, decided again and verified, beside `zstd` and `sha256sum` on the
//! same bytes in the same run.
//!
//! The program is measured as its users run it: each figure is that of a process of its own, and its memory the most that
//! the kernel saw of it.

mod decisions;
mod measure;
mod samples;
mod sealed;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::cli::OutputArgs;
use crate::screen;
use measure::{Measured, of_archive, of_shell};
use sealed::Made;

/// How much to measure with.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat-replay bench
  hemostat-replay bench --samples 1000000 --incidents 50000 -o json

Makes two archives in the temporary folder (0.8 GB by default) and removes them. Wants `zstd` for the baselines; without it
their columns are empty.")]
pub(crate) struct BenchArgs {
    /// Samples in the one archive.
    #[arg(long, default_value_t = 4_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    samples: u64,
    /// Incidents in the other; each has seven events and six decisions.
    #[arg(long, default_value_t = 150_000, value_parser = clap::value_parser!(u64).range(1..))]
    incidents: u64,
    /// How it is shown.
    #[command(flatten)]
    output: OutputArgs,
}

/// One figure.
#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    /// What was counted.
    of: &'static str,
    count: u64,
    seconds: f64,
    per_second: f64,
    /// How many a core does in a second.
    per_cpu_second: f64,
    /// Processor time, all threads together.
    cpu_seconds: f64,
    /// Most memory at a time.
    peak_mib: Option<f64>,
    /// Its time as a multiple of `zstd -dc | wc -l` of the same entries.
    to_zstd: Option<f64>,
    /// Its time as a multiple of `zstd -dc | sha256sum` of the same entries.
    to_sha256: Option<f64>,
}

/// Measures.
///
/// # Errors
/// When there is no room for the archives, or something that is measured fails.
pub(crate) async fn run(args: &BenchArgs) -> anyhow::Result<bool> {
    let scratch = Scratch::new()?;
    let samples = samples::make(&scratch.0.join("samples"), args.samples).await?;
    let decisions = decisions::make(&scratch.0.join("decisions"), args.incidents).await?;
    let mut rows = Vec::new();
    for (of, made) in [("samples", &samples), ("decisions", &decisions)] {
        let zstd = of_shell(&format!("zstd -dcq '{}' | wc -l", made.frames.display()));
        let sha256 = of_shell(&format!("zstd -dcq '{}' | sha256sum", made.frames.display()));
        let key = made.key.to_str().context("the temporary folder has a name that is no text")?;
        let mut all: Vec<(&str, &str, u64, Vec<&str>)> = vec![
            ("read", of, made.entries, vec!["info"]),
            (
                "read and fold",
                of,
                made.entries,
                vec!["state", "--samples", "--at", "9999-01-01T00:00:00Z", "-o", "json"],
            ),
            ("verify", of, made.entries, vec!["verify", "--key", key]),
        ];
        if 0 < made.decisions {
            all.push(("test", of, made.decisions, vec!["test"]));
        }
        for (what, of, count, verb) in all {
            let measured = of_archive(&made.archive, &verb).with_context(|| format!("failed to {what}"))?;
            rows.push(row(what, of, count, measured, [zstd, sha256]));
        }
        for (what, measured) in [("zstd -dc | wc -l", zstd), ("zstd -dc | sha256sum", sha256)] {
            rows.extend(measured.map(|measured| row(what, of, made.entries, measured, [zstd, sha256])));
        }
        bytes(of, made);
    }
    if args.output.is_json() { screen::json(&rows) } else { print(&rows) }?;
    Ok(true)
}

fn row(
    what: &'static str,
    of: &'static str,
    count: u64,
    measured: Measured,
    [zstd, sha256]: [Option<Measured>; 2],
) -> Row {
    let Measured { seconds, cpu_seconds, peak_kib } = measured;
    Row {
        what,
        of,
        count,
        seconds,
        per_second: count as f64 / seconds,
        per_cpu_second: count as f64 / cpu_seconds,
        cpu_seconds,
        peak_mib: peak_kib.map(|kib| kib as f64 / 1024.0),
        to_zstd: zstd.map(|zstd| seconds / zstd.seconds),
        to_sha256: sha256.map(|sha256| seconds / sha256.seconds),
    }
}

/// Says on standard error what was made.
fn bytes(of: &str, made: &Made) {
    let Made { entries, raw_bytes, frame_bytes, .. } = made;
    let mib = |bytes: u64| bytes >> 20;
    eprintln!("{of}: {entries} entries, {} MiB in {} MiB of frames", mib(*raw_bytes), mib(*frame_bytes));
}

fn print(rows: &[Row]) -> anyhow::Result<()> {
    let mut table = screen::table(&[
        "what",
        "of",
        "count",
        "seconds",
        "per second",
        "per core s",
        "peak MiB",
        "÷ zstd",
        "÷ sha256sum",
    ]);
    let times = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.1}"));
    for row in rows {
        table.add_row([
            row.what.to_owned(),
            row.of.to_owned(),
            row.count.to_string(),
            format!("{:.2}", row.seconds),
            format!("{:.0}", row.per_second),
            format!("{:.0}", row.per_cpu_second),
            row.peak_mib.map_or("-".to_owned(), |mib| format!("{mib:.0}")),
            times(row.to_zstd),
            times(row.to_sha256),
        ]);
    }
    screen::line(&table.to_string())
}

/// A folder that is gone when the measurement ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("hemostat-replay-bench-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("hemostat-replay: cannot remove `{}`: {error}", self.0.display());
        }
    }
}

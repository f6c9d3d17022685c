//! `hemostat-replay bench`: how fast an archive is read, decided again and verified, beside `zstd` and `sha256sum` on the
//! same bytes in the same run.
//!
//! The program is measured as its users run it: each figure is that of a process of its own, and its memory the most that
//! the kernel saw of it.

mod decisions;
mod measure;
mod samples;
mod sealed;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use hemostat_archive::Selection;
use hemostat_event::cloudevents::Position;
use hemostat_event::{Event, EventType, Subject, Timestamp};
use serde::Serialize;

use crate::cli::{FromArgs, OutputArgs};
use crate::screen;
use crate::source::Source;
use crate::state::{Fold, Point};
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
    /// Fold every event of --archive, samples too, and nothing else: one of the things that are measured.
    #[arg(long, hide = true)]
    fold: bool,
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
pub(crate) async fn run(from: &FromArgs, args: &BenchArgs) -> anyhow::Result<bool> {
    if args.fold {
        return fold(from).await;
    }
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
            ("read and fold", of, made.entries, vec!["bench", "--fold"]),
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
        "cpu s",
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
            format!("{:.2}", row.cpu_seconds),
            row.peak_mib.map_or("-".to_owned(), |mib| format!("{mib:.0}")),
            times(row.to_zstd),
            times(row.to_sha256),
        ]);
    }
    screen::line(&table.to_string())
}

/// Reads everything and folds it, as `state` does with what is no sample: every event is decoded, and each container has
/// its states and its last sample.
async fn fold(from: &FromArgs) -> anyhow::Result<bool> {
    let mut source = Source::open(from, Selection::default()).await?;
    let mut fold = Fold::new(&Point::Time(Timestamp::from_micros(i64::MAX)));
    let mut samples: BTreeMap<Subject, Event> = BTreeMap::new();
    while let Some(records) = source.next().await? {
        for (partition, record) in records {
            let event = record.event().and_then(Result::ok);
            fold.take_in(Position { partition, seq: record.seq }, record.id.time(), event.as_ref());
            let Some(event) = event.filter(|event| event.event_type() == EventType::ContainerSample) else {
                continue;
            };
            if let Some(subject) = &event.envelope.subject {
                match samples.get_mut(subject) {
                    Some(last) => *last = event,
                    None => drop(samples.insert(subject.clone(), event)),
                }
            }
        }
    }
    screen::line(&format!("{} states, {} containers with samples", fold.finish()?.len(), samples.len()))?;
    Ok(true)
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

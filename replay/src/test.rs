//! `hemostat-replay test`: every decision of a log, decided again.
//!
//! Of recordings the result is held against their golden files, where there are any ([`golden`]). Everything else has to
//! come out as it was recorded.

mod golden;
mod print;
mod provider;
mod run;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use hemostat_core::replay::{Coverage, Exercised};
use serde::Serialize;

use crate::cli::{self, FromArgs, TestArgs};
use crate::screen;
use crate::source::{self, Source};
use golden::{Golden, Held};
use provider::{Asked, Program};
use run::{Counts, Found, Run};

/// How a recording is named.
const EXTENSION: &str = "hsrec";
/// Differences that are shown; the rest is counted.
const SHOWN_MAX: usize = 20;

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// All logs together.
    #[serde(flatten)]
    counts: Counts,
    /// Decisions that came out otherwise and are accepted.
    accepted: u64,
    /// The first of those that came out otherwise and are not.
    differences: Vec<Found>,
    /// How often each rule has decided.
    rules: Vec<Exercised>,
    /// What came of asking --provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Asked>,
    /// Each recording.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recordings: Vec<Recorded>,
}

/// What came of one recording.
#[derive(Debug, Serialize)]
struct Recorded {
    file: PathBuf,
    #[serde(flatten)]
    counts: Counts,
    /// Decisions that came out otherwise and are accepted.
    accepted: u64,
    /// What its golden file has to say to that.
    golden: Held,
}

impl Report {
    fn add(&mut self, run: &Run, file: Option<&Path>, found: Vec<Found>, accepted: u64) {
        self.counts.add(&run.counts);
        // What is accepted is no finding.
        self.counts.different -= accepted;
        self.accepted += accepted;
        let room = SHOWN_MAX.saturating_sub(self.differences.len());
        self.differences.extend(found.into_iter().take(room).map(|found| found.within(file)));
    }

    /// Whether nothing was found.
    fn is_clean(&self) -> bool {
        self.counts.different == 0
            && self.provider.as_ref().is_none_or(|asked| asked.failed == 0)
            && self.recordings.iter().all(|recorded| recorded.golden.is_fine())
    }
}

/// Decides again, and says whether everything came out as it should.
///
/// # Errors
/// When there is nothing to read, a setting does not exist, or a golden file cannot be read or written.
pub(crate) async fn run(from: &FromArgs, args: &TestArgs) -> anyhow::Result<bool> {
    let files = recordings(&from.file)?;
    if args.accept && files.is_empty() {
        let missing = clap::error::ErrorKind::MissingRequiredArgument;
        let says = "golden files stand beside recordings: name one, or a folder of them, with --file";
        cli::command().error(missing, says).exit();
    }
    let mut report = Report::default();
    let mut coverage = Coverage::default();
    let program = args.provider.as_deref().map(Program::start).transpose()?;
    let provider = || program.as_ref().map(Program::provider);
    if files.is_empty() {
        let run = Run::of(Source::open(from, source::decisions()).await?, &args.set, provider()).await?;
        coverage.add(&run.coverage);
        let found = run.differences.iter().cloned().map(Found::from).collect();
        report.add(&run, None, found, 0);
    }
    for file in &files {
        let golden = Golden::beside(file)?;
        let set = golden::settings(golden.as_ref(), &args.set);
        // It tells what the rules come to.
        let golden = golden.filter(|_| program.is_none());
        let run = Run::of(Source::recording(file, source::decisions())?, &set, provider()).await?;
        coverage.add(&run.coverage);
        let now = Golden::of(&run, set, file, golden.as_ref())?;
        let (accepted, found) = now.judged(&run);
        let held = if args.accept {
            golden::accept(file, golden.as_ref(), now.accepting(&run)?, args.reason.as_deref())?
        } else {
            golden::held(golden.as_ref(), &now)
        };
        // What is accepted now is shown and no finding.
        let (accepted, left) =
            if held.is_written() { (run.counts.different, Vec::new()) } else { (accepted, found) };
        report.add(&run, Some(file), left, accepted);
        report.recordings.push(Recorded { file: file.clone(), counts: run.counts, accepted, golden: held });
    }
    report.rules = coverage.rules();
    report.provider = program.as_ref().map(Program::asked);
    if args.output.is_json() { screen::json(&report) } else { print::report(&report) }?;
    Ok(report.is_clean())
}

/// The recordings that are named, those of a folder in the order of their names.
fn recordings(named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let cannot = || format!("failed to list `{}`", path.display());
        let mut within = Vec::new();
        for entry in std::fs::read_dir(path).with_context(cannot)? {
            let file = entry.with_context(cannot)?.path();
            if file.extension().is_some_and(|extension| extension == EXTENSION) {
                within.push(file);
            }
        }
        if within.is_empty() {
            bail!("there is no recording (.{EXTENSION}) in `{}`", path.display());
        }
        within.sort();
        files.extend(within);
    }
    files.dedup();
    Ok(files)
}

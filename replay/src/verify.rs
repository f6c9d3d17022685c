//! `verify`: proves that an archive is what was sealed, or says what was done to it.
//!
//! The tips that were seen go to a witness: a file kept where whoever holds the archive cannot write. It is written only
//! when nothing was found, and only added to.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use hemostat_archive::{KeyRing, Loss, PartitionReport, Progress, PublicKey, Report, Witness, verify};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::cli::{self, FromArgs};
use crate::source::open_archive;

/// What to verify with.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat-replay verify --archive /var/lib/hemostat/archive --key archive.pub
  hemostat-replay verify --archive … --key archive.pub --witness /mnt/elsewhere/hemostat.witness
  hemostat-replay verify --archive … --key archive.pub -o json > report.json

Exit codes: 0 nothing found, 1 findings, 2 usage, 3 something cannot be read.")]
pub(crate) struct VerifyArgs {
    /// PEM file with the first public key of the archive; those that follow it are believed as they are signed
    #[arg(long, env = "HEMOSTAT_ARCHIVE_PUBLIC_KEY_FILE", value_name = "FILE")]
    key: PathBuf,
    /// What was seen of the archive before; what is seen now is added when nothing is found. Keep it elsewhere
    #[arg(long, value_name = "FILE")]
    witness: Option<PathBuf>,
    /// How to print the report
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// How to print the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For files.
    Json,
}

/// A report as it is filed.
#[derive(Serialize)]
struct Filed<'a> {
    /// The version of the program.
    program: &'static str,
    archive: String,
    /// When it was verified.
    verified: String,
    clean: bool,
    #[serde(flatten)]
    report: &'a Report,
}

/// Verifies; says whether nothing was found.
///
/// # Errors
/// When key, archive or witness cannot be read, or the witness cannot be written.
pub(crate) async fn run(args: &VerifyArgs, from: &FromArgs) -> anyhow::Result<bool> {
    let Some(place) = &from.archive else {
        let missing = clap::error::ErrorKind::MissingRequiredArgument;
        cli::command().error(missing, "name the archive to verify: --archive PLACE").exit();
    };
    from.refuse_recording("verify")?;
    let archive = open_archive(place)?;
    let key = read(&args.key)?.with_context(|| format!("there is no key in `{}`", args.key.display()))?;
    let key = PublicKey::from_pem(&key)
        .with_context(|| format!("failed to read the key in `{}`", args.key.display()))?;
    let seen = args.witness.as_deref().map(read).transpose()?.flatten();
    let witness = args.witness.as_ref().map(|_| Witness::read(seen.as_deref().unwrap_or_default()));

    let bar = progress_bar();
    let report = verify(&archive, KeyRing::of(key), witness.as_ref(), &mut |progress| {
        show_progress(&bar, progress);
    })
    .await
    .context("failed to read the archive")?;
    bar.finish_and_clear();
    if report.partitions.is_empty() && report.is_clean() {
        bail!("there is no archive in `{place}`: no partition has a segment");
    }

    let text = match args.output {
        Output::Table => table(&report),
        Output::Json => {
            let filed = Filed {
                program: concat!("hemostat-replay ", env!("CARGO_PKG_VERSION")),
                archive: place.clone(),
                verified: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
                clean: report.is_clean(),
                report: &report,
            };
            serde_json::to_string_pretty(&filed)? + "\n"
        }
    };
    std::io::stdout().write_all(text.as_bytes()).context("failed to print the report")?;
    if let (Some(path), Some(witness), true) = (&args.witness, &witness, report.is_clean()) {
        let unseen = witness.unseen(&report.tips);
        add(path, seen.as_deref(), &unseen)
            .with_context(|| format!("failed to add to the witness `{}`", path.display()))?;
    }
    Ok(report.is_clean())
}

/// The text of a file; `None` where there is none.
fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read `{}`", path.display())),
    }
}

fn add(path: &Path, seen: Option<&str>, lines: &str) -> std::io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    if seen.is_some_and(|seen| !seen.is_empty() && !seen.ends_with('\n')) {
        file.write_all(b"\n")?;
    }
    file.write_all(lines.as_bytes())?;
    file.sync_all()
}

/// On standard error; none where that is no terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left {msg}";
    bar.with_style(ProgressStyle::with_template(style).expect("the template is one of indicatif"))
}

fn show_progress(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.bytes);
    bar.set_position(progress.bytes_done);
    if 0 < progress.findings {
        bar.set_message(format!("{} findings", progress.findings));
    }
}

/// The report for people.
fn table(report: &Report) -> String {
    let mut lines = Vec::new();
    if !report.is_clean() {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["FINDING", "WHERE", "HOW IT IS KNOWN"]);
        for finding in &report.findings {
            table.add_row([words(&finding.kind), finding.at.to_string(), finding.detail.clone()]);
        }
        lines.push(table.to_string());
        if 0 < report.findings_unlisted {
            lines.push(format!("and {} more", report.findings_unlisted));
        }
        lines.push(String::new());
    }
    lines.extend(report.notes.iter().map(|note| format!("note: {}: {}", words(&note.kind), note.at)));
    for partition in &report.partitions {
        lines.push(described(partition));
        lines.extend(
            partition.losses.iter().map(|loss| format!("  lost before it was sealed: {}", lost(loss))),
        );
    }
    let sum = |of: fn(&PartitionReport) -> u64| report.partitions.iter().map(of).sum::<u64>();
    let verdict = match report.findings.len() as u64 + report.findings_unlisted {
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    lines.push(format!(
        "{verdict}: {} events in {} segments, {} bytes, {} losses, {} redactions; held against {} lines of a witness",
        sum(|partition| partition.events),
        sum(|partition| partition.segments),
        sum(|partition| partition.bytes),
        sum(|partition| partition.losses.len() as u64),
        sum(|partition| partition.redactions),
        report.witnessed,
    ));
    lines.join("\n") + "\n"
}

fn described(partition: &PartitionReport) -> String {
    let PartitionReport { partition: number, segments, first_seq, last_seq, epoch, chain, .. } = partition;
    let (first, last) = (time(partition.first_ms), time(partition.last_ms));
    format!(
        "partition {number}: {segments} segments, entries {first_seq} to {last_seq} of life {epoch}, {first} to {last}, chain {chain}"
    )
}

fn lost(loss: &Loss) -> String {
    match loss {
        Loss::Missing { first_seq, last_seq } => format!("entries {first_seq} to {last_seq}"),
        Loss::Restarted { expected_seq, found_seq } => {
            format!("the log itself, before entry {expected_seq}; it began anew with {found_seq}")
        }
    }
}

/// Log time for people.
fn time(ms: u64) -> String {
    // What a date can have at the most, the year 9999, is in milliseconds.
    const MS_MAX: u64 = 253_402_300_799_000;
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.min(MS_MAX))).to_string()
}

/// The kind of a finding in words: those of the JSON.
fn words(kind: &impl Serialize) -> String {
    let kind = serde_json::to_value(kind).unwrap_or_default();
    kind.as_str().unwrap_or_default().replace('_', " ")
}

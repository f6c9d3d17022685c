//! The log for people and programs outside: lines, tables, columns or security events, and a manifest to check them by.
//!
//! Entries come in the order of their partition and go into the files at once, so memory is bounded by one segment of
//! the archive and one row group. At a checkpoint the files are made durable first, then the state that names their
//! length; what is behind it is written anew.
//!
//! Invariant X-3: an export that was interrupted and resumed has each entry once.

mod check;
mod columns;
mod entry;
mod jsonl;
mod manifest;
mod ocsf;
mod output;
mod progress;
mod row;
mod sheet;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use hemostat_archive::{PrivateKey, Selection};
use hemostat_event::{EventType, HostName, Subject, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cli::FromArgs;
use crate::source::Source;
use entry::Entry;
use manifest::{FileStatement, LeftOut, Manifest, Request};
use output::Output;
use progress::Progress;

pub(crate) use check::{CheckExportArgs, check};

/// A few seconds of work that a crash may cost.
const CHECKPOINT_ENTRIES: u64 = 100_000;

/// What to export, and where to.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Folder for the files; it has to be empty.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Form of the files.
    #[arg(long, value_enum)]
    format: Format,
    /// Log time from which on, as in `2026-03-14T00:00:00Z`, or how long ago (90d).
    #[arg(long, value_name = "SPAN|TIME", value_parser = crate::screen::since)]
    since: Option<Timestamp>,
    /// Log time until which.
    #[arg(long, value_name = "TIME", value_parser = crate::screen::time)]
    until: Option<Timestamp>,
    /// Only this type; may be given more than once.
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<EventType>,
    /// Only about this container.
    #[arg(long, value_name = "HOST/NAME")]
    container: Option<Subject>,
    /// Only about this host.
    #[arg(long, value_name = "HOST", value_parser = |text: &str| HostName::new(text))]
    host: Option<HostName>,
    /// Samples too.
    #[arg(long)]
    samples: bool,
    /// File of the private key that signs the manifest.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Go on with an export that was interrupted.
    #[arg(long)]
    resume: bool,
    /// Entries after which the files are made durable; a Parquet file holds at most so many.
    #[arg(long, value_name = "ENTRIES", default_value_t = CHECKPOINT_ENTRIES, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    checkpoint: u64,
}

/// Form of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// CloudEvents, one in a line
    Jsonl,
    /// A table for spreadsheets
    Csv,
    /// Typed columns
    Parquet,
    /// Security events (OCSF), one in a line
    Ocsf,
}

impl Format {
    const fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Ocsf => "ocsf.jsonl",
        }
    }
}

/// Exports. Says whether the export reconciles with the archive.
///
/// # Errors
/// Those of the source and of the folder, and a folder that holds something else.
pub(crate) async fn run(from: &FromArgs, args: &ExportArgs) -> anyhow::Result<bool> {
    let key = args.key.as_deref().map(private_key).transpose()?;
    let request = args.request(from);
    let Some(mut progress) = begin(&args.to, &request, args.resume)? else {
        println!("{} is complete", args.to.display());
        return Ok(true);
    };
    let resumed = !progress.position.is_empty();
    let mut output = Output::open(&args.to, args.format, progress.durable.clone())?;
    let mut source = Source::open(from, args.selection()).await?;
    let mut archived: BTreeMap<u16, u64> = BTreeMap::new();
    let mut live: BTreeMap<u16, u64> = BTreeMap::new();
    let mut pending = 0;
    let is_terminal = std::io::stderr().is_terminal();
    while let Some(read) = source.next().await? {
        let counts = if source.is_live() { &mut live } else { &mut archived };
        for (partition, record) in read {
            *counts.entry(partition).or_default() += 1;
            if resumed {
                let began_anew = source.sealed().get(&partition).is_some_and(|sealed| 1 < sealed.epoch);
                ensure!(!began_anew, "the log began anew within partition {partition}: export it anew");
                if progress.position.get(&partition).is_some_and(|last| record.seq <= *last) {
                    continue;
                }
            }
            let entry = Entry::read(partition, &record);
            let left_out = match args.left_out(&entry) {
                None if !output.push(&entry)? => Some(no_place(&entry)),
                left_out => left_out,
            };
            progress.count(&entry, left_out);
            pending += 1;
            if args.checkpoint <= pending {
                pending = 0;
                progress.durable = output.checkpoint()?;
                progress.save(&args.to)?;
            }
        }
        if is_terminal {
            eprint!("\r{} entries", progress.exported());
        }
    }
    if is_terminal {
        eprintln!();
    }
    progress.durable = output.checkpoint()?;
    progress.save(&args.to)?;
    finish(args, request, progress, &source, &archived, &live, key.as_ref())
}

/// Makes the folder, or reads how far an export in it has come; `None` when it is complete.
fn begin(folder: &Path, request: &Request, resume: bool) -> anyhow::Result<Option<Progress>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let mut there =
        std::fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    if there.next().is_none() {
        let progress = Progress::new(request.clone());
        progress.save(folder)?;
        return Ok(Some(progress));
    }
    if !resume {
        bail!("`{}` is not empty; --resume goes on with an export that was interrupted", folder.display());
    }
    if folder.join(manifest::NAME).exists() {
        let bytes = std::fs::read(folder.join(manifest::NAME)).context("cannot read the manifest")?;
        let there = manifest::read(&bytes)?.map_or_else(|unsigned| unsigned, |signed| signed.statement);
        ensure!(there.request == *request, "`{}` holds an export of something else", folder.display());
        // The process may have ended between the manifest and this.
        match std::fs::remove_file(folder.join(progress::NAME)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context("cannot remove the state");
            }
            _ => {}
        }
        return Ok(None);
    }
    let progress = Progress::load(folder)?;
    ensure!(progress.request == *request, "`{}` holds an export of something else", folder.display());
    Ok(Some(progress))
}

/// Writes the manifest: last, and at once.
fn finish(
    args: &ExportArgs,
    request: Request,
    progress: Progress,
    source: &Source,
    archived: &BTreeMap<u16, u64>,
    live: &BTreeMap<u16, u64>,
    key: Option<&PrivateKey>,
) -> anyhow::Result<bool> {
    let exported = progress.exported();
    let Progress { mut partitions, listed, durable, .. } = progress;
    for (partition, sealed) in source.sealed() {
        let of = partitions.entry(*partition).or_default();
        of.not_read = sealed.entries.saturating_sub(archived.get(partition).copied().unwrap_or(0));
        of.archive = Some(sealed.clone());
    }
    for (partition, count) in live {
        partitions.entry(*partition).or_default().live = *count;
    }
    let mut files = Vec::with_capacity(durable.files.len());
    for (name, entries) in durable.files {
        let (sha256, bytes) = manifest::digest(&args.to.join(&name))?;
        files.push(FileStatement { name, bytes, sha256, entries });
    }
    let manifest = Manifest {
        version: 1,
        made_by: concat!("hemostat-replay ", env!("CARGO_PKG_VERSION")).to_owned(),
        ocsf: (args.format == Format::Ocsf).then(|| ocsf::VERSION.to_owned()),
        request,
        files,
        exported,
        partitions,
        listed,
        key: None,
    };
    let odd = manifest.partitions.iter().filter(|(_number, partition)| !partition.reconciles());
    let odd: Vec<_> = odd.map(|(number, of)| format!("partition {number} {}", of.what_is_odd())).collect();
    let bytes = manifest::bytes(manifest, key);
    write_durably(&args.to, manifest::NAME, &bytes)?;
    std::fs::remove_file(args.to.join(progress::NAME)).context("cannot remove the state")?;
    println!("{exported} entries in {}", args.to.display());
    for odd in &odd {
        eprintln!("hemostat-replay: {odd}");
    }
    Ok(odd.is_empty())
}

impl ExportArgs {
    /// What of the source can hold something of it.
    fn selection(&self) -> Selection {
        Selection {
            since: self.since,
            until: self.until,
            types: self.types.iter().copied().collect(),
            container: self.container.clone(),
            ..Selection::default()
        }
    }

    fn request(&self, from: &FromArgs) -> Request {
        Request {
            format: self.format,
            since: self.since.map(|since| since.to_string()),
            until: self.until.map(|until| until.to_string()),
            types: self.types.iter().map(ToString::to_string).collect(),
            container: self.container.as_ref().map(ToString::to_string),
            host: self.host.as_ref().map(ToString::to_string),
            samples: self.samples,
            checkpoint: self.checkpoint,
            archive: from.archive.is_some(),
            live: from.redis.is_some(),
        }
    }

    /// Why an entry is left out; `None` when it was asked for.
    fn left_out(&self, entry: &Entry) -> Option<LeftOut> {
        let wants_sample = self.samples || self.types.contains(&EventType::ContainerSample);
        if entry.kind == EventType::ContainerSample && !wants_sample {
            return Some(LeftOut::Sample);
        }
        if !self.types.is_empty() && !self.types.contains(&entry.kind) {
            return Some(LeftOut::Type);
        }
        let is_before = self.since.is_some_and(|since| entry.log_ms < since.millis());
        let is_after = self.until.is_some_and(|until| until.millis() < entry.log_ms);
        if is_before || is_after {
            return Some(LeftOut::Time);
        }
        if self.host.is_none() && self.container.is_none() {
            return None;
        }
        let Some(envelope) = entry.envelope() else { return Some(LeftOut::SubjectUnknown) };
        let is_host = self.host.as_ref().is_none_or(|host| *host == envelope.host);
        let is_container = self.container.is_none() || self.container == envelope.subject;
        (!is_host || !is_container).then_some(LeftOut::Subject)
    }
}

/// Why the form has no place for an entry.
fn no_place(entry: &Entry) -> LeftOut {
    if entry.state() == entry::State::Whole { LeftOut::NoClass } else { LeftOut::NotWhole }
}

fn private_key(path: &Path) -> anyhow::Result<PrivateKey> {
    let pem = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    PrivateKey::from_pem(&pem).with_context(|| format!("`{}` is no key to sign with", path.display()))
}

/// Puts a file in its place as a whole.
pub(crate) fn write_durably(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let part = folder.join(format!("{name}.part"));
    let write = || {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, folder.join(name))?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("cannot write `{name}` in `{}`", folder.display()))
}

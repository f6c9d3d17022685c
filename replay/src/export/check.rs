//! Holds an export to its manifest: lengths, digests, counts, and the signature where a key is given.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use hemostat_archive::{KeyRing, PublicKey};
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::Format;
use super::manifest::{self, Manifest};

/// Which export to check.
#[derive(Debug, Args)]
pub(crate) struct CheckExportArgs {
    /// Folder of the export.
    folder: PathBuf,
    /// File of the public key that the manifest has to be signed with.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Checks. Says whether the export is what its manifest says.
///
/// # Errors
/// When the folder has no manifest that can be read, or a key or a file cannot be read.
pub(crate) fn check(args: &CheckExportArgs) -> anyhow::Result<bool> {
    let mut findings = Vec::new();
    let bytes = std::fs::read(args.folder.join(manifest::NAME))
        .context("no manifest: the export is unfinished, or this is none")?;
    let read = manifest::read(&bytes)?;
    let key = match &args.key {
        Some(path) => {
            let pem =
                std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            Some(PublicKey::from_pem(&pem).with_context(|| format!("`{}` is no key", path.display()))?)
        }
        None => None,
    };
    let signature = match (&read, key) {
        (Err(_unsigned), None) => "not signed",
        (Err(_unsigned), Some(_)) => {
            findings.push("the manifest is not signed".to_owned());
            "not signed"
        }
        (Ok(_signed), None) => "signed; no key to check the signature with",
        (Ok(signed), Some(key)) => {
            let named = signed.statement.key.clone();
            if named.is_some_and(|id| signed.is_signed_by(&id, &KeyRing::of(key))) {
                "signed with the key"
            } else {
                findings.push("the manifest is not signed with the key".to_owned());
                "not signed with the key"
            }
        }
    };
    let manifest = read.map_or_else(|unsigned| unsigned, |signed| signed.statement);
    findings.extend(differences(&args.folder, &manifest)?);
    for finding in &findings {
        println!("{finding}");
    }
    println!("{} files, {} entries, manifest {signature}", manifest.files.len(), manifest.exported);
    Ok(findings.is_empty())
}

/// What is not as the manifest says.
fn differences(folder: &Path, manifest: &Manifest) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in &manifest.files {
        let path = folder.join(&file.name);
        if Path::new(&file.name).components().count() != 1 || !path.is_file() {
            findings.push(format!("{}: not there", file.name));
            continue;
        }
        let (sha256, bytes) = manifest::digest(&path)?;
        if bytes != file.bytes {
            findings.push(format!("{}: {bytes} bytes, not {}", file.name, file.bytes));
        }
        if sha256 != file.sha256 {
            findings.push(format!("{}: SHA-256 is {sha256}, not {}", file.name, file.sha256));
        }
        match entries(&path, manifest.request.format) {
            Ok(entries) if entries == file.entries => {}
            Ok(entries) => findings.push(format!("{}: {entries} entries, not {}", file.name, file.entries)),
            Err(error) => findings.push(format!("{}: {error:#}", file.name)),
        }
    }
    for there in std::fs::read_dir(folder).context("cannot list the folder")? {
        let name = there.context("cannot list the folder")?.file_name();
        let is_known = name == manifest::NAME || manifest.files.iter().any(|file| *file.name == name);
        if !is_known {
            findings.push(format!("{}: not in the manifest", name.display()));
        }
    }
    let in_files: u64 = manifest.files.iter().map(|file| file.entries).sum();
    let in_partitions: u64 = manifest.partitions.values().map(|partition| partition.exported).sum();
    if in_files != manifest.exported || in_partitions != manifest.exported {
        findings.push(format!(
            "{} entries exported, {in_files} in files, {in_partitions} in partitions",
            manifest.exported
        ));
    }
    for (number, partition) in &manifest.partitions {
        if !partition.reconciles() {
            findings.push(format!("partition {number} {}", partition.what_is_odd()));
        }
    }
    Ok(findings)
}

/// Entries in a file, counted.
fn entries(path: &Path, format: Format) -> anyhow::Result<u64> {
    let file = std::fs::File::open(path).context("cannot open the file")?;
    Ok(match format {
        Format::Jsonl | Format::Ocsf => {
            let mut reader = BufReader::with_capacity(1 << 16, file);
            let mut lines = 0;
            loop {
                let piece = reader.fill_buf().context("cannot read the file")?;
                if piece.is_empty() {
                    break lines;
                }
                lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
                let read = piece.len();
                reader.consume(read);
            }
        }
        Format::Csv => {
            let mut reader = csv::Reader::from_reader(file);
            let mut record = csv::ByteRecord::new();
            let mut records = 0;
            while reader.read_byte_record(&mut record).context("not CSV")? {
                records += 1;
            }
            records
        }
        Format::Parquet => {
            let reader = SerializedFileReader::new(file).context("not Parquet")?;
            u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0)
        }
    })
}

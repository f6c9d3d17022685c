//! The files of an export, and what is durable of them.
//!
//! Lines go to one file, which is cut back to its last checkpoint when an export is resumed. Parquet cannot be cut, so
//! every checkpoint ends a file, and one that has no checkpoint is written anew.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::entry::Entry;
use super::{Format, jsonl, ocsf, row, sheet};

/// How far the files are durable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Durable {
    /// Every file and its entries, in order.
    pub files: Vec<(String, u64)>,
    /// The length of the last one.
    pub bytes: u64,
}

/// The files.
pub(crate) struct Output {
    folder: PathBuf,
    format: Format,
    durable: Durable,
    lines: Option<BufWriter<File>>,
    columns: Option<Columns>,
    /// Entries since the last checkpoint.
    pending: u64,
    /// Bytes of lines since the last checkpoint.
    pending_bytes: u64,
}

impl Output {
    /// Goes on behind what is durable; cuts off what is not.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open(folder: &Path, format: Format, durable: Durable) -> anyhow::Result<Self> {
        let mut output = Self {
            folder: folder.to_owned(),
            format,
            durable,
            lines: None,
            columns: None,
            pending: 0,
            pending_bytes: 0,
        };
        if format == Format::Parquet {
            return Ok(output);
        }
        let name = format!("events.{}", format.extension());
        let path = folder.join(&name);
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        let length = file.metadata().context("cannot see how long the file is")?.len();
        anyhow::ensure!(
            output.durable.bytes <= length,
            "`{}` is shorter than it was at the last checkpoint",
            path.display()
        );
        file.set_len(output.durable.bytes).context("cannot cut off what is half-written")?;
        file.seek(SeekFrom::End(0)).context("cannot go to the end of the file")?;
        let mut lines = BufWriter::with_capacity(1 << 18, file);
        if output.durable.files.is_empty() {
            output.durable.files.push((name, 0));
            if format == Format::Csv {
                let header = sheet::header();
                lines.write_all(&header).context("cannot write the file")?;
                output.pending_bytes = header.len() as u64;
            }
        }
        output.lines = Some(lines);
        Ok(output)
    }

    /// Adds an entry; says whether the form has a place for it.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn push(&mut self, entry: &Entry) -> anyhow::Result<bool> {
        let line = match self.format {
            Format::Jsonl => ended(jsonl::line(entry)),
            Format::Csv => sheet::line(&row::row(entry)),
            Format::Ocsf => match ocsf::line(entry) {
                Some(line) => ended(line),
                None => return Ok(false),
            },
            Format::Parquet => {
                self.push_columns(entry)?;
                self.pending += 1;
                return Ok(true);
            }
        };
        let lines = self.lines.as_mut().expect("a form of lines has its file");
        lines.write_all(&line).context("cannot write the file")?;
        self.pending += 1;
        self.pending_bytes += line.len() as u64;
        Ok(true)
    }

    /// Makes everything durable that was added, and says how far that is.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn checkpoint(&mut self) -> anyhow::Result<Durable> {
        if let Some(lines) = &mut self.lines {
            lines.flush().context("cannot write the file")?;
            lines.get_ref().sync_data().context("cannot make the file durable")?;
            self.durable.bytes += std::mem::take(&mut self.pending_bytes);
            if let Some((_name, entries)) = self.durable.files.last_mut() {
                *entries += self.pending;
            }
        } else if let Some(columns) = self.columns.take() {
            let file = columns.finish().context("cannot write the Parquet file")?;
            file.sync_data().context("cannot make the file durable")?;
            let name = self.columns_name();
            self.durable.bytes = file.metadata().context("cannot see how long the file is")?.len();
            self.durable.files.push((name, self.pending));
        }
        self.pending = 0;
        Ok(self.durable.clone())
    }

    fn push_columns(&mut self, entry: &Entry) -> anyhow::Result<()> {
        if self.columns.is_none() {
            let path = self.folder.join(self.columns_name());
            let file = File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
            self.columns = Some(Columns::new(file).context("cannot begin the Parquet file")?);
        }
        let columns = self.columns.as_mut().expect("it was begun");
        columns.push(row::row(entry)).context("cannot write the Parquet file")
    }

    fn columns_name(&self) -> String {
        format!("events-{:05}.parquet", self.durable.files.len() + 1)
    }
}

fn ended(mut line: String) -> Vec<u8> {
    line.push('\n');
    line.into_bytes()
}

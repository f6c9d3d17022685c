//! How far an export has come: what is counted, and the state file by which it can be resumed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, State};
use super::manifest::{LeftOut, Partition, Request, Run};
use super::output::Durable;

/// The name of the state file.
pub(crate) const NAME: &str = "unfinished.json";

/// The counts, and up to where they hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// What was asked for.
    pub request: Request,
    /// The last number that was exported or left out, by partition.
    pub position: BTreeMap<u16, u64>,
    /// What was counted.
    pub partitions: BTreeMap<u16, Partition>,
    /// Entries that are no whole events.
    pub listed: Vec<Run>,
    /// How far the files are durable.
    pub durable: Durable,
}

impl Progress {
    /// Nothing yet.
    pub(crate) fn new(request: Request) -> Self {
        Self {
            request,
            position: BTreeMap::new(),
            partitions: BTreeMap::new(),
            listed: Vec::new(),
            durable: Durable::default(),
        }
    }

    /// Reads the state file.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub(crate) fn load(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(NAME);
        let bytes = std::fs::read(&path)
            .with_context(|| format!("`{}` holds no export that can be resumed", folder.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("`{}` cannot be read", path.display()))
    }

    /// Writes the state file.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec(self).expect("counts have only values that JSON can write");
        super::write_durably(folder, NAME, &bytes)
    }

    /// Entries in the files.
    pub(crate) fn exported(&self) -> u64 {
        self.partitions.values().map(|partition| partition.exported).sum()
    }

    /// Counts an entry that was written, or left out.
    pub(crate) fn count(&mut self, entry: &Entry, left_out: Option<LeftOut>) {
        self.position.insert(entry.partition, entry.seq);
        let partition = self.partitions.entry(entry.partition).or_default();
        match left_out {
            Some(why) => {
                *partition.left_out.entry(why).or_default() += 1;
                if why == LeftOut::NoClass {
                    *partition.no_class.entry(entry.type_word().to_owned()).or_default() += 1;
                }
            }
            None => {
                partition.exported += 1;
                partition.first_seq.get_or_insert(entry.seq);
                partition.last_seq = Some(entry.seq);
                *partition.types.entry(entry.type_word().to_owned()).or_default() += 1;
                *partition.states.entry(entry.state()).or_default() += 1;
            }
        }
        // Of what was not asked for, only what nobody can know to be asked for is worth a line.
        let is_listed = matches!(left_out, None | Some(LeftOut::NotWhole | LeftOut::SubjectUnknown));
        if entry.state() != State::Whole && is_listed {
            self.list(entry, left_out.is_none());
        }
    }

    fn list(&mut self, entry: &Entry, exported: bool) {
        let run = Run {
            partition: entry.partition,
            first_seq: entry.seq,
            last_seq: entry.seq,
            state: entry.state(),
            kind: entry.type_word().to_owned(),
            exported,
        };
        match self.listed.last_mut() {
            Some(last)
                if Run { first_seq: 0, last_seq: 0, ..last.clone() }
                    == (Run { first_seq: 0, last_seq: 0, ..run.clone() })
                    && last.last_seq + 1 == run.first_seq =>
            {
                last.last_seq = run.last_seq;
            }
            _ => self.listed.push(run),
        }
    }
}

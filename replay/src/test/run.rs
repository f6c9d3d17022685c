//! One log, decided again from its beginning to its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hemostat_archive::Digest;
use hemostat_core::replay::{Coverage, Difference, Provider, Replay, Told};
use hemostat_event::EventType;
use hemostat_event::cloudevents::Position;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::rules;
use crate::source::Source;

/// Differences that are kept of one log; a rule that decides otherwise everywhere would fill the memory.
const DIFFERENCES_MAX: usize = 10_000;

/// What was counted.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Events read.
    pub events: u64,
    /// Entries that hold no event that this version can read.
    pub unreadable: u64,
    /// Decisions that were made again.
    pub decisions: u64,
    /// Those that came out the same.
    pub same: u64,
    /// Those that could not be made again, by reason.
    pub untold: BTreeMap<String, u64>,
    /// Those that came out otherwise.
    pub different: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.unreadable += other.unreadable;
        self.decisions += other.decisions;
        self.same += other.same;
        self.different += other.different;
        for (reason, count) in &other.untold {
            *self.untold.entry(reason.clone()).or_default() += count;
        }
    }
}

/// A difference, and the recording it was found in.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    #[serde(flatten)]
    pub difference: Difference,
}

impl From<Difference> for Found {
    fn from(difference: Difference) -> Self {
        Self { file: None, difference }
    }
}

impl Found {
    pub(super) fn within(self, file: Option<&Path>) -> Self {
        Self { file: file.map(Path::to_owned), ..self }
    }
}

/// What came of one log.
#[derive(Debug)]
pub(super) struct Run {
    pub counts: Counts,
    /// The first of those that came out otherwise.
    pub differences: Vec<Difference>,
    pub coverage: Coverage,
    /// SHA-256 over what came of each decision; two runs that agree in it decided alike.
    pub decided: Digest,
}

impl Run {
    /// Decides everything again by today's rules with these settings, and by what the provider says where one is given.
    ///
    /// # Errors
    /// Those of the source, and a setting that does not exist.
    pub(super) async fn of(
        mut source: Source,
        set: &[String],
        provider: Option<Provider>,
    ) -> anyhow::Result<Self> {
        let mut replay = Replay::new(rules::rules_of_decisions(set)?);
        if let Some(provider) = provider {
            replay = replay.asking(provider);
        }
        let mut tally = Tally::new();
        while let Some(records) = source.next().await? {
            for (partition, record) in records {
                if record.stream.event_type() == EventType::ContainerSample {
                    // Nothing is decided on it.
                    tally.counts.events += 1;
                    continue;
                }
                match record.event() {
                    Some(Ok(event)) => {
                        tally.counts.events += 1;
                        let position = Position { partition, seq: record.seq };
                        if let Some(told) = replay.take(position, event) {
                            tally.add(told);
                        }
                    }
                    _ => tally.counts.unreadable += 1,
                }
            }
        }
        replay.finish().into_iter().for_each(|told| tally.add(told));
        let Tally { counts, differences, decided } = tally;
        let mut digest = [0; 32];
        digest.copy_from_slice(decided.finish().as_ref());
        let decided = Digest::from_bytes(digest);
        Ok(Self { counts, differences, coverage: replay.coverage().clone(), decided })
    }

    /// Whether more came out otherwise than is kept.
    pub(super) fn is_cut_short(&self) -> bool {
        (self.differences.len() as u64) < self.counts.different
    }
}

/// What is counted on the way.
struct Tally {
    counts: Counts,
    differences: Vec<Difference>,
    decided: Context,
}

impl Tally {
    fn new() -> Self {
        Self { counts: Counts::default(), differences: Vec::new(), decided: Context::new(&SHA256) }
    }

    fn add(&mut self, (Position { partition, seq }, told): (Position, Told)) {
        self.counts.decisions += 1;
        self.decided.update(&partition.to_le_bytes());
        self.decided.update(&seq.to_le_bytes());
        match told {
            Told::Same => {
                self.counts.same += 1;
                self.decided.update(b"same");
            }
            Told::Untold(reason) => {
                *self.counts.untold.entry(reason.as_str().to_owned()).or_default() += 1;
                self.decided.update(reason.as_str().as_bytes());
            }
            Told::Different(difference) => {
                self.counts.different += 1;
                self.decided.update(decided(&difference).as_bytes());
                if self.differences.len() < DIFFERENCES_MAX {
                    self.differences.push(*difference);
                }
            }
        }
    }
}

/// What is decided now, as it is shown.
pub(super) fn decided(difference: &Difference) -> Digest {
    let shown = serde_json::to_value(difference).expect("a difference has only values that JSON can write");
    Digest::of(shown["decided"].to_string().as_bytes())
}

//! Defects that a log can be given on purpose, to show that a check finds them: tests of the tests.

use std::time::Duration;

use tokio::time::sleep;

use super::MemoryLog;
use crate::log::{Commit, LogError, Partition};

/// A promise of the log that it does not keep. Only for tests of what finds such a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// A commit acknowledges its input first and writes what follows from it a moment later: whoever dies in between
    /// takes the outputs along.
    AcknowledgesFirst,
    /// A commit is made whoever has its entry, its timer or its lease.
    FencesNobody,
    /// A commit is made on whatever version the state has.
    ChecksNoVersion,
    /// A commit is made whatever earlier entries about its container are pending.
    KeepsNoOrder,
    /// Keys of commits are forgotten at once: nothing is a duplicate.
    KnowsNoKeys,
}

/// The moment between acknowledgement and outputs: a round trip to a server that is busy.
const MOMENT: Duration = Duration::from_millis(200);

impl MemoryLog {
    /// The same log with a defect.
    #[must_use]
    pub fn with(self, defect: Defect) -> Self {
        self.lock().parts.values_mut().for_each(|part| part.set_defect(defect));
        Self { defect: Some(defect), ..self }
    }

    /// The first half of commits that are not atomic.
    pub(super) async fn acknowledge_first(
        &self,
        commits: &[Commit],
        partitions: &[Partition],
    ) -> Result<(), LogError> {
        if self.defect != Some(Defect::AcknowledgesFirst) {
            return Ok(());
        }
        self.write(|state, now| {
            for (commit, partition) in commits.iter().zip(partitions) {
                state.part(*partition).acknowledge_first(commit, now);
            }
            Ok(())
        })?;
        sleep(MOMENT).await;
        Ok(())
    }
}

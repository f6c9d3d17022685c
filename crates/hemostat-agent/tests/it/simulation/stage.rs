//! What all of a run share.

use std::sync::atomic::{AtomicBool, Ordering};

use hemostat_agent::memory::log::MemoryLog;
use tokio::sync::mpsc;

use super::referee::Referee;
use super::scenario::{Scenario, Weather};
use super::tally::Tally;
use super::world::World;

/// The log, the world, and what was seen of both.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) scenario: Scenario,
    pub(super) log: MemoryLog,
    pub(super) world: World,
    pub(super) tally: Tally,
    pub(super) referee: Referee,
    /// The numbers of the replicas that are about to die: nothing that they do takes effect any more.
    pub(super) doomed: mpsc::Sender<u32>,
    /// Whether all faults are over.
    pub(super) calm: AtomicBool,
}

impl Stage {
    /// How often requests meet faults at this moment.
    pub(super) fn weather(&self) -> Weather {
        if self.calm.load(Ordering::Relaxed) { Weather::calm() } else { self.scenario.weather }
    }
}

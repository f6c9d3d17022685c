//! Signs of life: what the health endpoints answer.
//!
//! Every part of a process (an agent, the monitor) holds a [`Tick`] and says through it that its loop turns and
//! whether it can do its work. Live and ready are two questions: a part that waits for a log that is away is live
//! and not ready; starting the process again would not help it.
//!
//! Invariants:
//! - H-1: a part is live while it ticked within three of its intervals; the process is live while all parts are.
//! - H-2: the process is ready while all parts are, and never before the first part has come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// What the health endpoints ask.
pub trait HealthSource: Send + Sync {
    /// How the process and its parts are at this moment.
    fn report(&self) -> Report;
}

/// How a process and its parts are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether every part's loop turns.
    pub live: bool,
    /// Whether every part can do its work.
    pub ready: bool,
    /// The parts, by name.
    pub parts: Vec<PartReport>,
}

/// How one part of a process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReport {
    /// Its name, unique within the process.
    pub name: String,
    /// Whether its loop turns.
    pub live: bool,
    /// Whether it can do its work.
    pub ready: bool,
    /// What it does, or what keeps it from its work.
    pub detail: String,
    /// Time since its last sign of life.
    pub ticked_ms_ago: u64,
}

/// The parts of one process.
#[derive(Debug, Default)]
pub struct HealthBoard {
    parts: Mutex<BTreeMap<String, Arc<Part>>>,
}

impl HealthBoard {
    /// A board without parts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part that ticks at least once per `interval`. A part that is started again takes the place of the
    /// earlier one of its name, whose ticks count no more.
    #[must_use]
    pub fn part(&self, name: impl Into<String>, interval: Duration) -> Tick {
        let condition = Condition { ticked: Instant::now(), ready: false, detail: "starting".to_owned() };
        let part = Arc::new(Part { interval, condition: Mutex::new(condition) });
        self.lock().insert(name.into(), Arc::clone(&part));
        Tick(Arc::new(Held(part)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Part>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HealthSource for HealthBoard {
    fn report(&self) -> Report {
        let parts: Vec<_> = self.lock().iter().map(|(name, part)| part.report(name)).collect();
        Report {
            live: parts.iter().all(|part| part.live),
            ready: !parts.is_empty() && parts.iter().all(|part| part.ready),
            parts,
        }
    }
}

/// One part's hand on the board. When the last clone is dropped, the part has stopped and is not ready.
#[derive(Debug, Clone)]
pub struct Tick(Arc<Held>);

impl Tick {
    /// Says that the loop turns.
    pub fn tick(&self) {
        self.0.0.lock().ticked = Instant::now();
    }

    /// Says whether the part can do its work, and why not.
    pub fn ready(&self, ready: bool, detail: impl Into<String>) {
        let mut condition = self.0.0.lock();
        condition.ready = ready;
        condition.detail = detail.into();
    }
}

/// What the clones of a [`Tick`] share.
#[derive(Debug)]
struct Held(Arc<Part>);

impl Drop for Held {
    fn drop(&mut self) {
        let mut condition = self.0.lock();
        // Why it was not ready explains the end better than the end does.
        if condition.ready {
            condition.ready = false;
            condition.detail = "stopped".to_owned();
        }
    }
}

#[derive(Debug)]
struct Part {
    interval: Duration,
    condition: Mutex<Condition>,
}

#[derive(Debug)]
struct Condition {
    ticked: Instant,
    ready: bool,
    detail: String,
}

impl Part {
    fn lock(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, name: &str) -> PartReport {
        let condition = self.lock();
        let ago = condition.ticked.elapsed();
        PartReport {
            name: name.to_owned(),
            live: ago <= self.interval.saturating_mul(TICKS_MISSED_MAX),
            ready: condition.ready,
            detail: condition.detail.clone(),
            ticked_ms_ago: u64::try_from(ago.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Intervals without a tick after which a part counts as dead: one may fall to a slow request, two to a busy host.
const TICKS_MISSED_MAX: u32 = 3;

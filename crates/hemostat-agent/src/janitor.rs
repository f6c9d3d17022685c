//! The janitor: forgets what nobody needs any more, so that the log does not grow for ever.
//!
//! One janitor works at a time, under a lease; every process brings one, so there is one as long as anything runs.
//! It decides nothing that matters: how far a stream may be trimmed is worked out by the log itself, in the step that
//! trims it, so two janitors at once, or one that was away for a while, do no harm.
//!
//! Invariants:
//! - J-1: samples go by age, and where an archiver reads along, when the archive has them. Everything else goes when it
//!   is old and every registered group, the archiver's among them, has dealt with it (L-4).
//! - J-2: a group keeps entries as long as somebody has been a member of it within [`Settings::group_ttl`]. One that is
//!   taken away for that reason is told, and its cursor stays.
//! - J-3: samples are the ballast: while the log is nearly full, ever younger ones go, down to [`SAMPLES_LEAST`], whether
//!   the archive has them or not.
//! - J-4: no step takes the log longer than some hundred microseconds, and between two steps others have their turn.
//!
//! What else is kept, and why it needs no janitor: ids of events and commits end after a day by themselves; agents
//! are forgotten by the announcement of others; a timer goes with the commit that deals with it. What stays are small
//! things that are bounded by names: leases, cursors and streams by the number of hosts, states by the number of
//! container names that were ever decided on. A state must not go before the events it was folded from (L-3).

use std::sync::Arc;
use std::time::Duration;

use hemostat_event::{EventType, HostName};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::log::{EventLog, Lease, LogError, Partition, Pressure, Shelter, StreamName, Trim};
use crate::telemetry::Telemetry;

#[cfg(test)]
mod tests;

/// What is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Age at which samples go.
    pub samples: Duration,
    /// Age at which everything else may go.
    pub events: Duration,
    /// Silence after which a group keeps nothing any more.
    pub group_ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        // A day of figures shows a daily rhythm. A month of decisions answers most questions of "since when", and a
        // week is longer than any holiday during which a replica is forgotten.
        Self { samples: day, events: 30 * day, group_ttl: 7 * day }
    }
}

/// One janitor.
pub struct Janitor {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// What is kept.
    pub settings: Settings,
    /// The name of this process, unique among those that run.
    pub instance: String,
    /// What operators see of it.
    pub telemetry: Arc<Telemetry>,
}

/// Why a round ended early.
enum Ended {
    /// Somebody else has the lease.
    Standby,
    /// The log did not do what it was asked.
    Log(LogError),
}

impl From<LogError> for Ended {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl Janitor {
    /// Works until `stop` is cancelled, whenever it has the lease.
    pub async fn run(self, stop: CancellationToken) {
        let mut held = None;
        self.telemetry.begin_cleaning();
        // A request that hangs must not keep a stop waiting.
        while let Some(ended) = stop.run_until_cancelled(self.round(&mut held)).await {
            match ended {
                Ok(()) | Err(Ended::Standby) => {}
                Err(Ended::Log(error)) => self.telemetry.janitor_failed(&error),
            }
            let _stopped = timeout(EVERY, stop.cancelled()).await;
        }
        if let Some(held) = held {
            // Others need not wait for its end; if this fails they do.
            let _hangs = timeout(RELEASE, self.log.release(&held.lease, &self.instance)).await;
        }
    }

    /// Takes abandoned groups away, then trims every stream as far as it can be.
    async fn round(&self, held: &mut Option<Held>) -> Result<(), Ended> {
        self.hold(held).await?;
        for partition in self.log.partitions() {
            for group in self.log.reap(partition, self.settings.group_ttl).await? {
                self.telemetry.group_reaped(&group, self.settings.group_ttl);
            }
            for stream in self.log.streams(partition).await? {
                self.trim(partition, stream, held).await?;
            }
        }
        Ok(())
    }

    async fn trim(
        &self,
        partition: Partition,
        stream: StreamName,
        held: &mut Option<Held>,
    ) -> Result<(), Ended> {
        let (keep, shelter) = match stream.event_type() {
            EventType::ContainerSample => (self.settings.samples, Shelter::Archive),
            // The archiver's group is one of them.
            _ => (self.settings.events, Shelter::Groups { archived: None }),
        };
        let mut step = Trim { partition, stream, keep, shelter, most: STEP };
        self.trim_all(&step, held).await?;
        if step.shelter != Shelter::Archive {
            return Ok(());
        }
        loop {
            let pressure = self.log.pressure(partition).await?;
            if pressure.share() < Pressure::NORMAL {
                return Ok(());
            }
            // First what is old, then ever younger ones; the archive keeps neither.
            if step.shelter == Shelter::None {
                if step.keep <= SAMPLES_LEAST {
                    return Ok(());
                }
                step.keep = (step.keep / 2).max(SAMPLES_LEAST);
                self.telemetry.samples_thrown_off(pressure, step.keep);
            }
            step.shelter = Shelter::None;
            self.trim_all(&step, held).await?;
        }
    }

    /// Makes the same step until it removes nothing.
    async fn trim_all(&self, step: &Trim, held: &mut Option<Held>) -> Result<(), Ended> {
        loop {
            self.hold(held).await?;
            let trimmed = self.log.trim(step).await?;
            self.telemetry.trimmed(&step.stream, &trimmed);
            if trimmed.removed == 0 {
                return Ok(());
            }
        }
    }

    /// Takes the lease, or renews it when it is time.
    async fn hold(&self, held: &mut Option<Held>) -> Result<(), Ended> {
        if held.as_ref().is_some_and(|held| held.asked.elapsed() < LEASE / 3) {
            return Ok(());
        }
        let asked = Instant::now();
        let lease = self.log.lease(NAME, &place(), &self.instance, LEASE).await?;
        *held = lease.map(|lease| Held { lease, asked });
        if held.is_some() { Ok(()) } else { Err(Ended::Standby) }
    }
}

struct Held {
    lease: Lease,
    asked: Instant,
}

/// The lease has to be in the same partition for everybody, whatever host they run on.
fn place() -> HostName {
    HostName::new(NAME).expect("a plain word is a host name")
}

/// The name of the lease.
const NAME: &str = "janitor";
/// Time between two rounds. A round that finds nothing costs a few requests per stream.
const EVERY: Duration = Duration::from_secs(60);
/// How long the lease lasts: more than a round apart, so that it stays with one janitor.
const LEASE: Duration = Duration::from_secs(180);
/// Samples younger than this stay however full the log is: what a person looks at first.
const SAMPLES_LEAST: Duration = Duration::from_secs(600);
/// Entries trimmed in one step: ten nodes of a stream.
const STEP: u64 = 1_000;
/// Time to give the lease back at a shutdown.
const RELEASE: Duration = Duration::from_millis(300);

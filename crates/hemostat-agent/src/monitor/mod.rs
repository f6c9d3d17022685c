//! The monitor: watches one container engine and writes what it sees to the log.
//!
//! One monitor per engine is active; the others wait for the lease (`tenure`). The active one follows the engine's
//! events (`follow`), lists the containers on an interval (`fleet`) and gives every container its own task
//! (`actor`), so that a slow container delays only itself and what happens to one container is handled in order.
//! Nothing between an engine event and its alert waits for a poll.
//!
//! Invariants:
//! - M-1: whatever the event stream misses (a broken connection, a restart of the monitor) the next listing
//!   finds: every poll reconciles the containers known with those that exist, and once per term, when all their
//!   names are known, also with those the log knows.
//! - M-2: decision events (changes, alerts, recoveries) are written under the lease and the state's version;
//!   samples are written apart and dropped first when the log is behind or nearly full. The next sample of the
//!   container says what is missing before it.
//! - M-3: the event stream begins before the first listing, and before this monitor: events from `HANDOVER` ago on
//!   are decided on (what the monitor before this one wrote is known by its ids), those from `WARM_UP` ago on are
//!   remembered, so that a stop that was asked for before is not taken for a death.
//! - M-4: a container whose handling fails costs nobody else its watch.

mod actor;
mod evidence;
mod fleet;
mod follow;
mod gaps;
mod record;
mod samples;
mod tenure;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hemostat_core::detect;
use hemostat_core::engine::EngineInfo;
use hemostat_core::labels::PolicyDefaults;
use hemostat_event::{ContainerId, HostName, Role, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::clock::LogClock;
use crate::containers::Containers;
use crate::health::Tick;
use crate::log::{EventLog, LogError};
use crate::telemetry::Telemetry;
use fleet::Fleet;
use tenure::{NoTenure, Tenure};

/// How a monitor runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The replica's name, unique among those that run.
    pub instance: String,
    /// The name of the engine's host in the log.
    pub host: HostName,
    /// Time between two polls.
    pub interval: Duration,
    /// Polls between two measurements of the writable layers, which cost the engine a walk over them.
    pub disk_every: u32,
    /// Engine requests of a poll at a time.
    pub concurrency: usize,
    /// When a figure is an anomaly.
    pub detect: detect::Settings,
    /// What containers without labels allow.
    pub labels: PolicyDefaults,
    /// Containers that are not watched, by name; `*` stands for any text.
    pub exclude: Vec<String>,
    /// Only these are watched, by name in the same way; all where there are none.
    pub only: Vec<String>,
    /// The container this process runs in, which is never watched.
    pub own_container: Option<ContainerId>,
    /// How long the lease of the engine lasts without renewal.
    pub lease: Duration,
}

/// One monitor.
pub struct Monitor {
    /// The engine.
    pub engine: Arc<dyn Containers>,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The log's clock.
    pub clock: Arc<LogClock>,
    /// How it runs.
    pub settings: Settings,
    /// What operators see of it.
    pub telemetry: Arc<Telemetry>,
    /// Its sign of life.
    pub tick: Tick,
}

/// What all tasks of one term share: the time from getting the lease to losing it.
struct Term {
    engine: Arc<dyn Containers>,
    log: Arc<dyn EventLog>,
    clock: Arc<LogClock>,
    settings: Settings,
    telemetry: Arc<Telemetry>,
    info: EngineInfo,
    tenure: Arc<Tenure>,
    /// Engine events before this are remembered, not decided on.
    decided_from: Timestamp,
    /// Limits the engine requests of a poll.
    permits: Semaphore,
    samples: samples::Samples,
    /// The names of the containers, as far as they are known.
    names: Mutex<BTreeMap<ContainerId, String>>,
    /// Cancelled when the monitor stops or loses its lease.
    over: CancellationToken,
}

impl Monitor {
    /// Watches until `stop` is cancelled. When it is dropped, all its tasks end where they are.
    ///
    /// # Errors
    /// When the log refuses; whatever can pass is waited for.
    pub async fn run(self, stop: CancellationToken) -> Result<(), LogError> {
        let mut wait = RETRY_FIRST;
        // A request that hangs must not keep a stop waiting; what it asked for ends by itself.
        while let Some(begun) = stop.run_until_cancelled(self.begin(&stop)).await {
            self.tick.tick();
            wait = match begun? {
                Begun::Term(term) => {
                    self.telemetry.monitor_active(true, self.settings.host.as_str());
                    self.watch(&Arc::new(*term)).await;
                    RETRY_FIRST
                }
                Begun::Standby => {
                    self.tick.ready(true, "standby: another monitor holds the lease of this engine");
                    pause(self.settings.lease / 3, &stop).await;
                    RETRY_FIRST
                }
                Begun::Away(what) => {
                    self.tick.ready(false, what);
                    pause(wait, &stop).await;
                    (wait * 2).min(RETRY_MAX)
                }
            };
            self.telemetry.monitor_active(false, self.settings.host.as_str());
        }
        Ok(())
    }

    /// Takes the lease, once the engine answers: a monitor that cannot watch must not keep others from it.
    async fn begin(&self, stop: &CancellationToken) -> Result<Begun, LogError> {
        let info = match self.engine.info().await {
            Ok(info) => info,
            Err(error) => {
                self.telemetry.engine_failed("info", &error);
                return Ok(Begun::Away(ENGINE_AWAY));
            }
        };
        let over = stop.child_token();
        let begun = async {
            let now = self.clock.now().await.map_err(NoTenure::Log)?;
            let tenure = Tenure::begin(&self.log, &self.telemetry, &self.settings, over.clone()).await?;
            Ok((now, Arc::new(tenure)))
        };
        let (now, tenure) = match begun.await {
            Ok(begun) => begun,
            Err(NoTenure::Taken) => return Ok(Begun::Standby),
            Err(NoTenure::Log(error @ LogError::Refused { .. })) => return Err(error),
            Err(NoTenure::Log(error)) => {
                self.telemetry.log_failed(Role::Monitor, &error, 1);
                return Ok(Begun::Away(LOG_AWAY));
            }
        };
        Ok(Begun::Term(Box::new(Term {
            engine: Arc::clone(&self.engine),
            log: Arc::clone(&self.log),
            clock: Arc::clone(&self.clock),
            permits: Semaphore::new(self.settings.concurrency.max(1)),
            samples: samples::spawn(
                Arc::clone(&self.log),
                Arc::clone(&self.telemetry),
                Arc::clone(&tenure),
                self.log.partition_of(&self.settings.host),
            ),
            settings: self.settings.clone(),
            telemetry: Arc::clone(&self.telemetry),
            info,
            tenure,
            decided_from: now - HANDOVER,
            names: Mutex::default(),
            over,
        })))
    }

    /// Watches as long as the term lasts.
    async fn watch(&self, term: &Arc<Term>) {
        let _renewing = tenure::keep(Arc::clone(&term.tenure));
        let since = term.decided_from + HANDOVER - WARM_UP;
        let (mut events, _following) =
            follow::spawn(Arc::clone(&self.engine), Arc::clone(&self.telemetry), since);
        let mut reachable = term.tenure.reachable();
        let mut poll = interval(self.settings.interval);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beat = interval(self.settings.lease / 3);
        let mut fleet = Fleet::new(Arc::clone(term));
        loop {
            tokio::select! {
                biased;
                () = term.over.cancelled() => break,
                event = events.recv() => match event {
                    Some(follow::Followed::Event(event)) => fleet.tell(event),
                    Some(follow::Followed::Reconnected) => poll.reset_immediately(),
                    None => break,
                },
                _ = beat.tick() => self.tick.tick(),
                () = fleet.goes_on() => {}
                Ok(()) = reachable.changed() => {}
                _ = poll.tick(), if !fleet.is_listing() => fleet.list(),
            }
            let log = *reachable.borrow_and_update();
            match fleet.watched() {
                Err(starting_or_away) => self.tick.ready(false, starting_or_away),
                Ok(_) if !log => self.tick.ready(false, LOG_AWAY),
                Ok(containers) => self.tick.ready(true, format!("{containers} containers")),
            }
        }
        term.over.cancel();
        let end = Instant::now() + DRAIN;
        fleet.shutdown(end).await;
        let _hangs = timeout_at(end + RELEASE, term.tenure.release()).await;
    }
}

/// What came of the wish to watch.
enum Begun {
    /// The lease is ours.
    Term(Box<Term>),
    /// Another monitor has it.
    Standby,
    /// The engine or the log does not answer.
    Away(&'static str),
}

impl Term {
    fn names(&self) -> MutexGuard<'_, BTreeMap<ContainerId, String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the log until it answers; `None` when the term is over before it does.
    async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, LogError>>,
    {
        let (mut failures, mut wait) = (0, RETRY_FIRST);
        while !self.over.is_cancelled() {
            match ask().await {
                Ok(answer) => return Some(answer),
                Err(error) => {
                    // That the log is away says whoever renews the lease; that it refuses is said here only.
                    failures += if matches!(error, LogError::Refused { .. }) { 1 } else { 2 };
                    self.telemetry.log_failed(Role::Monitor, &error, failures);
                    pause(wait, &self.over).await;
                    wait = (wait * 2).min(RETRY_MAX);
                }
            }
        }
        None
    }
}

async fn pause(span: Duration, stop: &CancellationToken) {
    let _stopped = timeout(span, stop.cancelled()).await;
}

/// Engine events from so long before a term on are decided on: longer than it takes from the death of one monitor to
/// the term of the next one, and than clocks of two hosts differ.
const HANDOVER: Duration = Duration::from_secs(20);
/// Engine events from so long before a term on are remembered: what a person stopped while no monitor watched must not
/// be taken for a death. An engine keeps its last few hundred events only, so more costs nothing.
const WARM_UP: Duration = Duration::from_secs(24 * 60 * 60);
/// Time for the container tasks to end at a shutdown.
const DRAIN: Duration = Duration::from_millis(1_200);
/// Time to give the lease back after that.
const RELEASE: Duration = Duration::from_millis(300);
/// First wait before the log or the engine is tried again; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// Longest wait before the log or the engine is tried again.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Why a monitor is not ready.
const ENGINE_AWAY: &str = "the container engine is away";
const LOG_AWAY: &str = "the event log is away";

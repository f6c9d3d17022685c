//! The monitor: watches one container engine and writes what it sees to the log.
//!
//! One monitor per engine is active; the others wait for the lease. The active one follows the engine's events,
//! polls on an interval and gives every container its own task ([`actor`]), so that a slow container delays only
//! itself and what happens to one container is handled in order.
//!
//! Invariants:
//! - M-1: whatever the event stream misses (a broken connection, a restart of the monitor) the next listing
//!   finds: every poll reconciles the containers known with those that exist.
//! - M-2: decision events (changes, alerts, recoveries) are written under the lease and the state's version;
//!   samples are written apart and dropped first when the log is behind.

mod actor;
mod evidence;
mod follow;
mod samples;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hemostat_core::detect;
use hemostat_core::engine::{EngineEvent, EngineEventKind, EngineInfo};
use hemostat_core::labels::PolicyDefaults;
use hemostat_event::{ContainerId, HostName, Role};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::LogClock;
use crate::containers::{Containers, EngineError};
use crate::health::Tick;
use crate::log::{EventLog, Lease, LogError};
use crate::telemetry::Telemetry;
use actor::{Actor, Told};

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
    /// Engine requests at a time.
    pub concurrency: usize,
    /// When a figure is an anomaly.
    pub detect: detect::Settings,
    /// What containers without labels allow.
    pub labels: PolicyDefaults,
    /// Containers that are not watched, by name; `*` stands for any text.
    pub exclude: Vec<String>,
    /// The container this process runs in, which is never watched.
    pub own_container: Option<ContainerId>,
    /// How long the lease of the engine lasts without renewal.
    pub lease: Duration,
}

/// Why a monitor ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The engine did not answer at the start.
    #[error("failed to reach the container engine")]
    Engine(#[from] EngineError),
    /// The log refuses the monitor for good.
    #[error("failed to write to the event log")]
    Log(#[from] LogError),
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

/// What all container tasks of one term share.
struct Term {
    engine: Arc<dyn Containers>,
    log: Arc<dyn EventLog>,
    clock: Arc<LogClock>,
    settings: Settings,
    telemetry: Arc<Telemetry>,
    info: EngineInfo,
    lease: Lease,
    /// Limits the engine requests of a poll.
    permits: Semaphore,
    samples: samples::Samples,
    /// Cancelled when the lease is lost.
    over: CancellationToken,
}

impl Monitor {
    /// Watches until `stop` is cancelled.
    ///
    /// # Errors
    /// When the engine does not answer at the start or the log refuses; the caller starts it again.
    pub async fn run(self, stop: CancellationToken) -> Result<(), MonitorError> {
        let info = self.engine.info().await?;
        let name = format!("engine:{}", self.settings.host);
        while !stop.is_cancelled() {
            self.tick.tick();
            match self.log.lease(&name, &self.settings.host, &self.settings.instance, self.settings.lease).await {
                Ok(Some(lease)) => {
                    self.telemetry.monitor_active(true, self.settings.host.as_str());
                    let ended = self.term(info.clone(), lease, &stop).await;
                    self.telemetry.monitor_active(false, self.settings.host.as_str());
                    ended?;
                }
                Ok(None) => {
                    self.tick.ready(true, "standby: another monitor holds the lease of this engine");
                    self.telemetry.monitor_active(false, self.settings.host.as_str());
                    pause(self.settings.lease / 3, &stop).await;
                }
                Err(error @ LogError::Refused { .. }) => return Err(error.into()),
                Err(error) => {
                    self.tick.ready(false, "the event log is away");
                    self.telemetry.log_failed(Role::Monitor, &error, 1);
                    pause(RETRY, &stop).await;
                }
            }
        }
        Ok(())
    }

    /// Watches as long as the lease lasts.
    async fn term(&self, info: EngineInfo, lease: Lease, stop: &CancellationToken) -> Result<(), MonitorError> {
        let over = stop.child_token();
        let (samples, batcher) =
            samples::spawn(Arc::clone(&self.log), Arc::clone(&self.telemetry), over.clone());
        let term = Arc::new(Term {
            engine: Arc::clone(&self.engine),
            log: Arc::clone(&self.log),
            clock: Arc::clone(&self.clock),
            permits: Semaphore::new(self.settings.concurrency),
            settings: self.settings.clone(),
            telemetry: Arc::clone(&self.telemetry),
            info,
            lease: lease.clone(),
            samples,
            over: over.clone(),
        });
        let mut events = follow::spawn(Arc::clone(&self.engine), Arc::clone(&self.telemetry), over.clone());
        let mut poll = interval(self.settings.interval);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewal = interval(self.settings.lease / 3);
        let mut fleet = Fleet { term: Arc::clone(&term), actors: BTreeMap::new(), tasks: JoinSet::new(), polls: 0 };
        loop {
            tokio::select! {
                biased;
                () = over.cancelled() => break,
                _ = renewal.tick() => self.renew(&lease, &over).await,
                event = events.recv() => match event {
                    Some(follow::Followed::Event(event)) => fleet.tell(event).await,
                    Some(follow::Followed::Reconnected) => poll.reset_immediately(),
                    None => break,
                },
                _ = poll.tick() => {
                    self.tick.tick();
                    match fleet.poll().await {
                        Ok(()) => self.tick.ready(true, format!("{} containers", fleet.actors.len())),
                        Err(error) => {
                            self.tick.ready(false, "the container engine is away");
                            self.telemetry.engine_failed("list", &error);
                        }
                    }
                },
                Some(ended) = fleet.tasks.join_next() => fleet.ended(ended),
            }
        }
        over.cancel();
        fleet.shutdown().await;
        batcher.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        // The next monitor need not wait for the end of the lease; if this fails it waits.
        if let Err(error) = self.log.release(&lease, &self.settings.instance).await {
            self.telemetry.log_failed(Role::Monitor, &error, 1);
        }
        Ok(())
    }

    async fn renew(&self, lease: &Lease, over: &CancellationToken) {
        let settings = &self.settings;
        self.tick.tick();
        match self.log.lease(&lease.name, &lease.host, &settings.instance, settings.lease).await {
            Ok(Some(renewed)) if renewed.epoch == lease.epoch => {}
            Ok(_) => over.cancel(),
            // While the log is away nobody else can take the lease; commits under it are checked anyway.
            Err(error) => self.telemetry.log_failed(Role::Monitor, &error, 1),
        }
    }
}

/// The containers of one term, each with its task.
struct Fleet {
    term: Arc<Term>,
    actors: BTreeMap<ContainerId, mpsc::Sender<Told>>,
    tasks: JoinSet<ContainerId>,
    polls: u32,
}

impl Fleet {
    /// Hands an engine event to its container's task.
    async fn tell(&mut self, event: EngineEvent) {
        if event.kind == EngineEventKind::Create {
            // Nothing runs yet; the start event follows, and the next poll finds what never starts.
            return;
        }
        let actor = self.actor(&event.id);
        // An actor that has ended (its container is gone) needs no more news.
        let _gone = actor.send(Told::Engine(event)).await;
    }

    /// Lists the containers, starts and ends tasks, asks each for a sample.
    async fn poll(&mut self) -> Result<(), EngineError> {
        let began = Instant::now();
        let listed = self.term.engine.list().await?;
        let disk = if self.polls.is_multiple_of(self.term.settings.disk_every.max(1)) {
            self.disk_usage().await
        } else {
            BTreeMap::new()
        };
        self.polls = self.polls.wrapping_add(1);
        let gone: Vec<_> = self.actors.keys().filter(|id| !listed.contains(id)).cloned().collect();
        for id in gone {
            if let Some(actor) = self.actors.get(&id) {
                let _ended = actor.send(Told::Gone).await;
            }
        }
        for id in &listed {
            let sample = Told::Sample { disk: disk.get(id).copied() };
            // A container that is still busy with the last poll skips this one.
            let _busy = self.actor(id).try_send(sample);
        }
        self.term.telemetry.cycle(listed.len(), began.elapsed());
        Ok(())
    }

    async fn disk_usage(&self) -> BTreeMap<ContainerId, u64> {
        match self.term.engine.disk_usage().await {
            Ok(sizes) => sizes.into_iter().collect(),
            Err(error) => {
                self.term.telemetry.engine_failed("disk usage", &error);
                BTreeMap::new()
            }
        }
    }

    fn actor(&mut self, id: &ContainerId) -> mpsc::Sender<Told> {
        if let Some(actor) = self.actors.get(id)
            && !actor.is_closed()
        {
            return actor.clone();
        }
        let (sender, receiver) = mpsc::channel(MAILBOX);
        self.actors.insert(id.clone(), sender.clone());
        let actor = Actor::new(Arc::clone(&self.term), id.clone());
        let name = id.clone();
        self.tasks.spawn(async move {
            actor.run(receiver).await;
            name
        });
        sender
    }

    fn ended(&mut self, ended: Result<ContainerId, tokio::task::JoinError>) {
        let id = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        if self.actors.get(&id).is_some_and(mpsc::Sender::is_closed) {
            self.actors.remove(&id);
        }
    }

    /// Ends all tasks; each finishes what it is writing.
    async fn shutdown(mut self) {
        self.actors.clear();
        let ended = tokio::time::timeout(DRAIN, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            self.term.telemetry.drain_cut(Role::Monitor, self.tasks.len());
            self.tasks.shutdown().await;
        }
    }
}

async fn pause(span: Duration, stop: &CancellationToken) {
    let _stopped = tokio::time::timeout(span, stop.cancelled()).await;
}

/// Messages a container's task may have waiting: an engine tells a handful per restart.
const MAILBOX: usize = 64;
/// Time for the container tasks to end at a shutdown.
const DRAIN: Duration = Duration::from_millis(1_200);
/// Wait before the log is tried again.
const RETRY: Duration = Duration::from_millis(500);

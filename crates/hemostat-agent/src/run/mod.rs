//! The run loop: drives a role's `decide` and `fold` over the log.
//!
//! One replica of a role is four tasks. The *reader* takes entries from the group, never more than the replica
//! has room for, and renews those that take long. The *timekeeper* takes due timers. The *lanes* deal with the
//! inputs: those of one container one after the other, different containers side by side. The *committer* sends
//! the commits of all lanes together, up to 64 in a call.
//!
//! Invariants:
//! - RL-1: an input is acknowledged by the commit of its last decision or by its dead letter, by nothing else.
//! - RL-2: an effect is performed only after the commit of the decision that asked for it.
//! - RL-3: on a shutdown nothing new is begun, what runs has [`Settings::drain`] to end, and what has not ended
//!   stays pending for another replica.

mod committer;
mod lanes;
mod reader;
mod step;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hemostat_core::role::Decide;
use hemostat_event::{HostName, Source, Subject};
use tokio_util::sync::CancellationToken;

use crate::clock::LogClock;
use crate::health::Tick;
use crate::log::{EventLog, LogError, Membership, StreamName};
use crate::telemetry::Telemetry;

/// Carries out the effects of a role.
#[async_trait]
pub trait Perform<D: Decide>: Send + Sync {
    /// Carries out one effect and says what came of it. Keeps its own time limit.
    async fn perform(&self, subject: &Subject, effect: D::Effect) -> D::Outcome;
}

/// How a replica runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The replica's name, unique among those that run.
    pub instance: String,
    /// The host it runs on; letters about inputs without a subject are filed there.
    pub host: HostName,
    /// The streams it reads.
    pub streams: Vec<StreamName>,
    /// Inputs dealt with at a time.
    pub concurrency: usize,
    /// Inputs taken from the log and not finished.
    pub in_flight_max: usize,
    /// Tries before an input becomes a dead letter.
    pub attempts_max: u32,
    /// Inputs of a replica that has not said anything for this long are taken over by others.
    pub claim_after: Duration,
    /// How often due timers are looked for.
    pub timer_interval: Duration,
    /// Time for running work to end at a shutdown.
    pub drain: Duration,
}

impl Settings {
    /// Settings that suit most roles.
    #[must_use]
    pub fn new(instance: impl Into<String>, host: HostName, streams: Vec<StreamName>) -> Self {
        Self {
            instance: instance.into(),
            host,
            streams,
            // A restart waits for the engine most of its time, so this is not bound to the processors.
            concurrency: 16,
            in_flight_max: 256,
            // With the back-off below, ten tries span about a quarter of an hour.
            attempts_max: 10,
            claim_after: Duration::from_secs(30),
            timer_interval: Duration::from_millis(250),
            // The promise to operators is two seconds, the rest is for the connections.
            drain: Duration::from_millis(1_500),
        }
    }
}

/// Longest wait of the reader for a new entry: bounds the time a shutdown waits for it.
const BLOCK: Duration = Duration::from_millis(400);
/// First wait after a failed try; doubled each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// Longest wait after a failed try.
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Wait before try number `attempt + 1`. Without jitter: inputs of one replica are spread by their own arrival.
fn backoff(attempt: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(BACKOFF_MAX)
}

/// One replica of a role.
pub struct Agent<D: Decide, P> {
    /// The rules.
    pub role: D,
    /// What carries out the effects.
    pub performer: P,
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

impl<D, P> Agent<D, P>
where
    D: Decide + Send + Sync + 'static,
    P: Perform<D> + 'static,
{
    /// Runs until `stop` is cancelled, then drains.
    ///
    /// # Errors
    /// When the log refuses the role for good; everything that can pass is waited for.
    pub async fn run(self, stop: CancellationToken) -> Result<(), LogError> {
        let membership = Membership {
            role: D::ROLE,
            consumer: self.settings.instance.clone(),
            streams: self.settings.streams.clone(),
            batch: 64,
            block: BLOCK,
            claim_after: self.settings.claim_after,
        };
        let room = reader::Room::new(self.settings.in_flight_max);
        let (work_tx, work_rx) = tokio::sync::mpsc::channel(self.settings.in_flight_max);
        // Commits outlive the stop signal: the drain still needs them.
        let (commits, committer) = committer::spawn(Arc::clone(&self.log), Arc::clone(&self.telemetry), D::ROLE);

        let reader = reader::Reader {
            log: Arc::clone(&self.log),
            membership,
            room: room.clone(),
            work: work_tx.clone(),
            telemetry: Arc::clone(&self.telemetry),
            tick: self.tick.clone(),
        };
        let timekeeper = reader::Timekeeper {
            log: Arc::clone(&self.log),
            role: D::ROLE,
            consumer: self.settings.instance.clone(),
            interval: self.settings.timer_interval,
            lease: self.settings.claim_after,
            room,
            work: work_tx,
            telemetry: Arc::clone(&self.telemetry),
        };
        let drain = self.settings.drain;
        let concurrency = self.settings.concurrency;
        let stepper = Arc::new(step::Stepper {
            source: Source { role: D::ROLE, instance: self.settings.instance.clone() },
            role: self.role,
            performer: self.performer,
            log: self.log,
            clock: self.clock,
            settings: self.settings,
            telemetry: self.telemetry,
            commits,
            stop: stop.clone(),
        });

        let mut reading = tokio::spawn(reader.run(stop.clone()));
        let timing = tokio::spawn(timekeeper.run(stop.clone()));
        let lanes = tokio::spawn(lanes::run(stepper, work_rx, concurrency, drain, stop.clone()));

        let answer = tokio::select! {
            answer = &mut reading => answer,
            () = stop.cancelled() => reading.await,
        };
        // The reader ends by itself only when the log refuses; the rest of the replica ends with it.
        stop.cancel();
        let timed = timing.await;
        let drained = lanes.await;
        committer.abort();
        for task in [timed, drained] {
            task.unwrap_or_else(|error| resume(error));
        }
        answer.unwrap_or_else(|error| resume(error))
    }
}

/// Hands a panic of a task on to its parent; tasks here are not cancelled from elsewhere.
fn resume(error: tokio::task::JoinError) -> ! {
    std::panic::resume_unwind(error.into_panic())
}

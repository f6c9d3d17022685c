//! The run loop: drives a role's `decide` and `fold` over the log.
//!
//! One replica of a role is five tasks. The *reader* takes entries from the group, never more than the replica
//! has room for, and renews those that take long. The *timekeeper* takes due timers. The *lanes* deal with the
//! inputs: those of one container one after the other, different containers side by side. The *loader* fetches the
//! states that all lanes need together, and the *committer* sends their commits together, up to 64 in a call.
//!
//! Invariants:
//! - RL-1: an input is acknowledged by the commit of its last decision or by its dead letter, by nothing else.
//! - RL-2: an effect is performed only after the commit of the decision that asked for it.
//! - RL-3: on a shutdown nothing new is begun, what runs has [`Settings::drain`] to end, and what has not ended
//!   is handed over: another replica takes it at once, and it counts as no try. While the log is away it stays pending
//!   and is taken over later.
//! - RL-4: a log that is away is waited for and counts as no try: an outage makes no dead letters.
//! - RL-5: an input that cannot be dealt with (its decision panics, its state cannot be read) costs its container
//!   the tries it is allowed and then becomes a dead letter; other containers go on meanwhile.
//! - RL-6: an input is committed under the name of the membership under which it was taken ([`slot`]). That name has
//!   nothing to do with the replica's: what people see is host and process, what fences is slot and epoch.

mod committer;
mod lanes;
mod letter;
mod loader;
mod reader;
mod record;
mod room;
mod slot;
mod states;
mod step;
#[cfg(test)]
mod tests;
mod timekeeper;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hemostat_core::role::Decide;
use hemostat_event::{HostName, Source, Subject};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::LogClock;
use crate::health::Tick;
use crate::identity;
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
    /// The replica's name as people see it: in events, announcements and letters.
    pub instance: String,
    /// The host it runs on; letters about entries that cannot be read are filed there.
    pub host: HostName,
    /// The streams it reads. One that reads the plans for a host deals with deadlines of that host only.
    pub streams: Vec<StreamName>,
    /// Inputs dealt with at a time.
    pub concurrency: usize,
    /// Entries taken from the log and not finished.
    pub in_flight_max: usize,
    /// Entries that wait for an earlier one about their container, besides those.
    pub waiting_max: usize,
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
            // Some megabytes: minutes of events of a container that is stuck.
            waiting_max: 4_096,
            // With the back-off below, ten tries span about four minutes.
            attempts_max: 10,
            claim_after: Duration::from_secs(30),
            timer_interval: Duration::from_millis(250),
            // The promise to operators is two seconds, the rest is for the connections.
            drain: Duration::from_millis(1_300),
        }
    }
}

/// Most entries handed out by one read.
const BATCH: usize = 64;
/// Longest wait of the reader for a new entry: bounds the time a shutdown waits for it.
const BLOCK: Duration = Duration::from_millis(400);
/// First wait after a failed try; doubled each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// Longest wait after a failed try.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// First wait before the log is tried again; doubled each time.
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
/// Longest wait before the log is tried again: a restarted server is found within this time.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// First wait of an input whose predecessor is with another replica, which mostly has a commit under way; doubled each
/// time.
const TURN_FIRST: Duration = Duration::from_millis(2);
/// Longest wait of such an input: what a container loses when its predecessor was stuck.
const TURN_MAX: Duration = Duration::from_millis(500);
/// Most states remembered by one replica: those of a large host's containers, some kilobytes each.
const STATES_MAX: usize = 2_048;
/// Time for the lanes to tell what they cut off, after the drain.
const CUT: Duration = Duration::from_millis(100);
/// Time to hand over what is left, after that.
const HAND_OVER: Duration = Duration::from_millis(300);

/// Wait before try number `attempt + 1`. Without jitter: inputs of one replica are spread by their own arrival.
fn backoff(attempt: u32) -> Duration {
    doubled(BACKOFF_FIRST, attempt).min(BACKOFF_MAX)
}

/// Wait before the log is tried again after so many failures.
fn wait_for_log(failures: u32) -> Duration {
    doubled(RECONNECT_FIRST, failures).min(RECONNECT_MAX)
}

/// Wait before an input that was early so many times is tried again.
fn wait_for_turn(times: u32) -> Duration {
    doubled(TURN_FIRST, times).min(TURN_MAX)
}

/// `first`, doubled for every time after the first.
fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.saturating_sub(1).min(20))
}

/// Waits for `span` or the stop signal.
async fn pause(span: Duration, stop: &CancellationToken) {
    let _stopped = timeout(span, stop.cancelled()).await;
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
    /// Runs until `stop` is cancelled, then drains. When it is dropped, all its tasks end where they are.
    ///
    /// # Errors
    /// When the log refuses the role for good; everything that can pass is waited for.
    ///
    /// # Panics
    /// When one of its tasks does: the caller starts it again.
    pub async fn run(self, stop: CancellationToken) -> Result<(), LogError> {
        let drain = self.settings.drain;
        // Commits outlive the stop signal: the drain still needs them.
        let (commits, _committer) =
            committer::spawn(Arc::clone(&self.log), Arc::clone(&self.telemetry), D::ROLE);
        let (loads, _loader) = loader::spawn(Arc::clone(&self.log), D::ROLE);
        let (work_tx, work_rx) = mpsc::channel(self.settings.in_flight_max + timekeeper::TIMERS_MAX);

        let mut parts = JoinSet::new();
        let drained = CancellationToken::new();
        let (name_tx, name) = watch::channel(None);
        parts.spawn(self.reader(work_tx.clone(), name_tx).run(stop.clone(), drained.clone()));
        let timekeeper = self.timekeeper(work_tx, name).run(stop.clone(), drained.clone());
        parts.spawn(async move {
            timekeeper.await;
            Ok(())
        });
        let stepper = Arc::new(step::Stepper {
            source: Source { role: D::ROLE, instance: self.settings.instance.clone() },
            states: states::States::new(STATES_MAX),
            turns: Semaphore::new(self.settings.concurrency),
            role: self.role,
            performer: self.performer,
            log: self.log,
            clock: self.clock,
            settings: self.settings,
            telemetry: self.telemetry,
            commits,
            loads,
            stop: stop.clone(),
        });
        let lanes = lanes::run(stepper, work_rx, drain, stop.clone());
        parts.spawn(async move {
            lanes.await;
            drained.cancel();
            Ok(())
        });
        until_ended(parts, stop, drain).await
    }

    fn reader(&self, work: mpsc::Sender<lanes::Work>, name: watch::Sender<slot::Name>) -> reader::Reader {
        let settings = &self.settings;
        let places = settings.in_flight_max.max(1);
        reader::Reader {
            log: Arc::clone(&self.log),
            membership: Membership {
                role: D::ROLE,
                consumer: String::new(),
                streams: settings.streams.clone(),
                batch: BATCH.min(places),
                block: BLOCK,
                claim_after: settings.claim_after,
            },
            // Also where two processes were given the same name.
            owner: identity::unique(&settings.instance),
            places,
            waiting: settings.waiting_max,
            work,
            name,
            telemetry: Arc::clone(&self.telemetry),
            tick: self.tick.clone(),
        }
    }

    fn timekeeper(
        &self,
        work: mpsc::Sender<lanes::Work>,
        name: watch::Receiver<slot::Name>,
    ) -> timekeeper::Timekeeper {
        timekeeper::Timekeeper {
            log: Arc::clone(&self.log),
            role: D::ROLE,
            host: self.settings.streams.iter().find_map(StreamName::host).cloned(),
            name,
            interval: self.settings.timer_interval,
            lease: self.settings.claim_after,
            room: room::Room::new(timekeeper::TIMERS_MAX, 0),
            work,
            telemetry: Arc::clone(&self.telemetry),
        }
    }
}

/// Waits for the parts of a replica, after `stop` for as long as the drain; what has not ended then is cut off.
async fn until_ended(
    mut parts: JoinSet<Result<(), LogError>>,
    stop: CancellationToken,
    drain: Duration,
) -> Result<(), LogError> {
    let mut answer = Ok(());
    let mut cut = pin!(async {
        stop.cancelled().await;
        sleep(drain + CUT + HAND_OVER).await;
    });
    loop {
        tokio::select! {
            biased;
            ended = parts.join_next() => match ended {
                None => return answer,
                Some(Ok(end)) => {
                    // A part ends by itself only when the log refuses; the rest of the replica ends with it.
                    stop.cancel();
                    answer = answer.and(end);
                }
                Some(Err(error)) => resume(error),
            },
            // A request to a log that does not answer.
            () = &mut cut => return answer,
        }
    }
}

/// Hands a panic of a task on to its parent; tasks here are not cancelled from elsewhere.
fn resume(error: JoinError) -> ! {
    std::panic::resume_unwind(error.into_panic())
}

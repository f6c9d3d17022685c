//! What stands for engine and channels where agents decide in a shadow: nothing is done, everything is answered from
//! what was recorded.
//!
//! Invariants:
//! - PL-3: nothing here reaches out of the process: there is no engine, no channel and no model to be asked.
//! - PL-4: a look shows what the played part of the log shows, and nothing later.
//!
//! An action is answered with what came of the recorded action on that container at about that time. Where none was
//! recorded it has failed, and says why: what a restart would have come to, nobody knows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hemostat_agent::run::Perform;
use hemostat_core::engine::Inspection;
use hemostat_core::notify::{self, Alerter};
use hemostat_core::remediate::{self, Responder, Seen};
use hemostat_event::{
    Change, Channel, ContainerId, Data, Event, Health, Outcome as Ending, RemediationComplete, RunState,
    Sample, Subject, Timestamp,
};
use tokio::time::Instant;

use super::player::Shared;

/// What is said of an action that nobody took then.
pub(super) const UNRECORDED: &str = "nothing is done in a shadow, and no such action was recorded";
/// A recorded action counts for one in the shadow that is asked for so much later in log time.
const LATER: Duration = Duration::from_secs(10);
/// Or so much earlier: a recorded outcome is written when the action is done.
const EARLIER: Duration = Duration::from_secs(120);

/// The world as it was recorded.
pub(super) struct Hands {
    schedule: Shared,
    seen: Mutex<BTreeMap<ContainerId, Look>>,
    /// Recorded actions that have not been asked for, with the log time of their outcomes.
    actions: Mutex<Vec<(Timestamp, RemediationComplete)>>,
    counts: Counts,
}

/// What was asked of the world.
#[derive(Debug, Default)]
struct Counts {
    looks: AtomicU64,
    actions: AtomicU64,
    messages: AtomicU64,
}

/// What the log shows of a container so far.
#[derive(Debug, Clone)]
enum Look {
    Seen(Box<Seen>),
    Gone,
}

impl Hands {
    /// Answers by `schedule` with what `recorded` says was done.
    pub(super) fn new(schedule: Shared, recorded: &[(Timestamp, Event)]) -> Self {
        let done = |(at, event): &(Timestamp, Event)| match &event.data {
            // Others were refused before anything was asked of the engine.
            Data::RemediationComplete(complete)
                if !complete.dry_run
                    && matches!(
                        complete.outcome,
                        Ending::Success | Ending::Failed { .. } | Ending::Unknown { .. }
                    ) =>
            {
                Some((*at, complete.clone()))
            }
            _ => None,
        };
        Self {
            schedule,
            seen: Mutex::default(),
            actions: Mutex::new(recorded.iter().filter_map(done).collect()),
            counts: Counts::default(),
        }
    }

    /// Takes in what the log shows of a container.
    pub(super) fn see(&self, event: &Event) {
        let Some(container) = event.data.container() else { return };
        let mut seen = lock(&self.seen);
        let look = match (&event.data, seen.remove(&container.id)) {
            (Data::ContainerSample(data), _) => measured(&container.name, &data.sample),
            (Data::HealthAlert(data), _) => measured(&container.name, &data.sample),
            (Data::ContainerChanged(data), before) => changed(before, &container.name, &data.change, data.at),
            (_, Some(before)) => before,
            (_, None) => return,
        };
        seen.insert(container.id.clone(), look);
    }

    /// Looks, actions and messages that were asked for.
    pub(super) fn counts(&self) -> [(&'static str, u64); 3] {
        let Counts { looks, actions, messages } = &self.counts;
        [("looks", looks), ("actions", actions), ("messages", messages)]
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    fn look(&self, target: &ContainerId) -> remediate::Outcome {
        match lock(&self.seen).get(target) {
            Some(Look::Seen(seen)) => remediate::Outcome::Seen(seen.clone()),
            Some(Look::Gone) => remediate::Outcome::Gone,
            None => {
                let error = "the log shows nothing of this container so far".to_owned();
                remediate::Outcome::Unreachable { error }
            }
        }
    }

    fn act(&self, target: &ContainerId) -> remediate::Outcome {
        let now = lock(&self.schedule).log_time(Instant::now());
        let mut actions = lock(&self.actions);
        let is_it = |(at, complete): &(Timestamp, RemediationComplete)| {
            complete.container.id == *target && now <= *at + LATER && *at <= now + EARLIER
        };
        let Some(place) = actions.iter().position(is_it) else {
            return remediate::Outcome::Failed { error: UNRECORDED.to_owned() };
        };
        let (_, complete) = actions.remove(place);
        match complete.outcome {
            Ending::Failed { error } => remediate::Outcome::Failed { error },
            Ending::Unknown { detail } => remediate::Outcome::Unclear { error: detail },
            _ => remediate::Outcome::Done {
                took: Duration::from_millis(complete.duration_ms.unwrap_or_default()),
                run_started_at: complete.run_started_at,
            },
        }
    }
}

/// What a measurement shows.
fn measured(name: &str, sample: &Sample) -> Look {
    let inspection = Inspection { name: name.to_owned(), ..Inspection::from(sample) };
    Look::Seen(Box::new(Seen { inspection, sample: Some(sample.clone()) }))
}

/// What is known after a change.
fn changed(before: Option<Look>, name: &str, change: &Change, at: Timestamp) -> Look {
    let mut seen = match before {
        Some(Look::Seen(seen)) => seen,
        _ => Box::new(Seen {
            inspection: Inspection { name: name.to_owned(), ..Inspection::default() },
            sample: None,
        }),
    };
    let inspection = &mut seen.inspection;
    let mut ended = |exit_code: i64| {
        inspection.state = RunState::Exited;
        inspection.exit_code = Some(exit_code);
        inspection.finished_at = Some(at);
    };
    match change {
        Change::Removed => return Look::Gone,
        Change::Discovered { state } => inspection.state = *state,
        Change::Started => {
            // The next measurement tells when by the engine itself; the event comes a little later.
            inspection.state = RunState::Running;
            inspection.started_at = None;
            inspection.oom_killed = false;
            inspection.exit_code = None;
            if inspection.health != Health::None {
                inspection.health = Health::Starting;
            }
            // Figures of the run before are no figures of this one.
            seen.sample = None;
        }
        Change::Stopped { exit_code } | Change::Died { exit_code } => ended(*exit_code),
        Change::OomKilled => inspection.oom_killed = true,
        Change::HealthChanged { health } => inspection.health = *health,
        Change::Paused { paused } => {
            inspection.state = if *paused { RunState::Paused } else { RunState::Running };
        }
    }
    Look::Seen(seen)
}

/// The hands of the responder.
pub(super) struct Acting(pub Arc<Hands>);

#[async_trait]
impl Perform<Responder> for Acting {
    async fn perform(&self, _: &Subject, effect: remediate::Effect) -> remediate::Outcome {
        match effect {
            remediate::Effect::Inspect { target, figures } => {
                self.0.counts.looks.fetch_add(1, Ordering::Relaxed);
                match self.0.look(&target) {
                    remediate::Outcome::Seen(seen) if !figures => {
                        remediate::Outcome::Seen(Box::new(Seen { sample: None, ..*seen }))
                    }
                    outcome => outcome,
                }
            }
            remediate::Effect::Act { target, .. } => {
                self.0.counts.actions.fetch_add(1, Ordering::Relaxed);
                self.0.act(&target)
            }
        }
    }
}

/// The voice of the alert agent: every channel takes every message, and nobody hears it.
pub(super) struct Telling(pub Arc<Hands>);

#[async_trait]
impl Perform<Alerter> for Telling {
    async fn perform(&self, _: &Subject, effect: notify::Effect) -> notify::Outcome {
        match effect {
            notify::Effect::Deliver { channels, .. } => {
                self.0.counts.messages.fetch_add(channels.len() as u64, Ordering::Relaxed);
                let taken = |channel: Channel| (channel, notify::Answer::Delivered);
                notify::Outcome::Answered(channels.into_iter().map(taken).collect())
            }
            notify::Effect::Wait { after } => notify::Outcome::Waited { after },
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

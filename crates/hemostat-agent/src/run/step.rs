//! One input from its first decision to its acknowledgement.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hemostat_core::role::{Decide, Decision, First, Input, Then, Timer};
use hemostat_event::{HostName, Role, Source, Subject};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::committer::Commits;
use super::lanes::Work;
use super::loader::Loads;
use super::record::Case;
use super::states::{Known, States};
use super::{Perform, Settings, backoff, letter, pause, wait_for_log, wait_for_turn};
use crate::clock::LogClock;
use crate::log::{CommitAnswer, Entry, EventLog, LogError};
use crate::telemetry::{Telemetry, panic_text};

/// What every lane shares.
pub(super) struct Stepper<D: Decide, P> {
    pub(super) role: D,
    pub(super) performer: P,
    pub(super) source: Source,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) clock: Arc<LogClock>,
    pub(super) settings: Settings,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) commits: Commits,
    pub(super) loads: Loads,
    pub(super) states: States<D::State>,
    /// One for every input that is dealt with at a time; an input that waits for its next try has none.
    pub(super) turns: Semaphore,
    pub(super) stop: CancellationToken,
}

/// Why a try did not come to its end.
#[derive(Debug, thiserror::Error)]
enum StepError {
    /// The log failed in a way that waiting does not mend.
    #[error("failed to record a decision")]
    Log(#[source] Arc<LogError>),
    /// The stored state cannot be read by this version.
    #[error("the stored state of {role} for `{subject}` cannot be read")]
    State {
        role: Role,
        subject: Subject,
        #[source]
        source: rmp_serde::decode::Error,
    },
    /// There was no end to conflicts or effects.
    #[error("`{0}` was decided on {TURNS_MAX} times without an end")]
    Endless(Subject),
    /// The role asks for a step that the log has, on a state that includes it: the input was dealt with before, and
    /// has come again because the group was lost, or the role has forgotten it.
    #[error("a step that was recorded for `{0}` before is asked for again")]
    Repeated(Subject),
    /// The role's rules or its performer panicked: a defect.
    #[error("dealing with an input about `{subject}` panicked: {text}")]
    Panicked { subject: Subject, text: String },
}

/// How a try ended.
enum End {
    /// The input is acknowledged.
    Done,
    /// It is somebody else's now.
    Fenced,
    /// An earlier input about the container is not dealt with yet, by another replica.
    Early,
    /// The role wants another try, not before this time, because of this.
    Retry(Option<Duration>, Option<String>),
    /// The replica stops; the input stays pending.
    Stopped,
}

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dealt {
    /// This replica has nothing more to do with it.
    Ended,
    /// It is not its turn; this was no try.
    Early,
}

/// An input that was tried as often as it may be.
pub(super) struct InVain {
    pub(super) attempts: u32,
    /// From the outermost to the root.
    pub(super) errors: Vec<String>,
    /// Whether it may have been dealt with before.
    pub(super) maybe_done: bool,
}

/// Decisions on one input in a row, conflicts included, before it is put back.
const TURNS_MAX: usize = 16;

/// The subject under which inputs about no container are handled: one lane for all of a host.
const NO_CONTAINER: &str = "_hemostat";

impl<D, P> Stepper<D, P>
where
    D: Decide + Send + Sync + 'static,
    P: Perform<D> + 'static,
{
    /// The container an input is about; its lane.
    pub(super) fn subject(&self, work: &Work) -> Subject {
        match work {
            Work::Timer(timer, ..) => timer.subject.clone(),
            Work::Entry(entry, ..) => match &entry.event {
                Ok(event) => {
                    let envelope = &event.envelope;
                    envelope.subject.clone().unwrap_or_else(|| host_subject(&envelope.host))
                }
                Err(_unreadable) => host_subject(&self.settings.host),
            },
        }
    }

    /// Deals with an input until it is acknowledged, buried, somebody else's, or the replica stops. Hands it back when
    /// an earlier one about the container is not dealt with yet, after a wait that grows with every time.
    pub(super) async fn deal_with(&self, subject: &Subject, mut work: Work) -> Option<Work> {
        let dealt = match &work {
            Work::Entry(entry, _place, _early, consumer) => self.entry(subject, entry, consumer).await,
            Work::Timer(timer, _place, consumer) => self.timer(timer, consumer).await,
        };
        if let (Dealt::Early, Work::Entry(_, _, early, _)) = (dealt, &mut work)
            && !self.stop.is_cancelled()
        {
            *early += 1;
            pause(wait_for_turn(*early), &self.stop).await;
            return Some(work);
        }
        None
    }

    async fn entry(&self, subject: &Subject, entry: &Entry, consumer: &str) -> Dealt {
        let event = match &entry.event {
            Ok(event) => event,
            Err(error) => {
                let (attempts, errors) = (entry.attempts, letter::texts(error));
                return self.bury(entry, consumer, InVain { attempts, errors, maybe_done: false }).await;
            }
        };
        let (first, attempt) = (First::Event(event), entry.attempts);
        let case = Case { subject, first, entry: Some(entry), consumer, attempt };
        match self.tries(&case).await {
            Ok(dealt) => dealt,
            Err(in_vain) if in_vain.maybe_done => self.park(&case, in_vain).await,
            Err(in_vain) => self.bury(entry, consumer, in_vain).await,
        }
    }

    async fn timer(&self, timer: &Timer, consumer: &str) -> Dealt {
        let first = First::Timer(timer);
        let case = Case { subject: &timer.subject, first, entry: None, consumer, attempt: 1 };
        match self.tries(&case).await {
            Ok(dealt) => dealt,
            Err(in_vain) => self.park(&case, in_vain).await,
        }
    }

    /// Tries until the input is dealt with, as often as it may be. The case says how often it was delivered.
    async fn tries(&self, case: &Case<'_>) -> Result<Dealt, InVain> {
        let mut attempt = case.attempt.max(1);
        if self.settings.attempts_max < attempt {
            let errors = vec!["the replicas that tried before did not come back".to_owned()];
            return Err(InVain { attempts: attempt - 1, errors, maybe_done: false });
        }
        loop {
            let (wait, errors) = match self.one_try(&Case { attempt, ..*case }).await {
                Ok(End::Done | End::Fenced | End::Stopped) => return Ok(Dealt::Ended),
                Ok(End::Early) => return Ok(Dealt::Early),
                Ok(End::Retry(after, complaint)) => {
                    let mut errors = vec![format!("{} asked for another try each time", D::ROLE)];
                    errors.extend(complaint);
                    (after.unwrap_or_default().max(backoff(attempt)), errors)
                }
                Err(error @ StepError::Repeated(_)) => {
                    let errors = letter::texts(&error);
                    return Err(InVain { attempts: attempt, errors, maybe_done: true });
                }
                Err(error) => {
                    self.telemetry.input_failed(D::ROLE, case.subject, &error, attempt);
                    (backoff(attempt), letter::texts(&error))
                }
            };
            if self.settings.attempts_max <= attempt {
                return Err(InVain { attempts: attempt, errors, maybe_done: false });
            }
            pause(wait, &self.stop).await;
            attempt += 1;
        }
    }

    /// One try, when it is its turn. A panic is an error of this input and nobody else's.
    async fn one_try(&self, case: &Case<'_>) -> Result<End, StepError> {
        let _turn = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(End::Stopped),
            turn = self.turns.acquire() => turn.expect("the semaphore is never closed"),
        };
        let chain = AssertUnwindSafe(self.chain_of_decisions(case));
        chain.catch_unwind().await.unwrap_or_else(|panic| {
            Err(StepError::Panicked { subject: case.subject.clone(), text: panic_text(panic.as_ref()) })
        })
    }

    /// Decides, commits and performs until nothing is left to do.
    async fn chain_of_decisions(&self, case: &Case<'_>) -> Result<End, StepError> {
        let (subject, began) = (case.subject, Instant::now());
        let (mut outcome, mut duplicate, mut complaint) = (None, None, None);
        let mut remembered = self.states.take(subject);
        for _turn in 0..TURNS_MAX {
            let is_remembered = remembered.is_some();
            let known = match remembered.take() {
                Some(known) => known,
                None => match self.load(subject).await? {
                    Some(known) => known,
                    None => return Ok(End::Stopped),
                },
            };
            let Some(now) = self.patiently(|| self.clock.now()).await? else { return Ok(End::Stopped) };
            let input = match (outcome.clone(), case.first) {
                (Some(outcome), first) => Input::Outcome { first, attempt: case.attempt, outcome },
                (None, First::Event(event)) => Input::Event(event),
                (None, First::Timer(timer)) => Input::Timer(timer),
            };
            let Decision { emit, timers, then } = self.role.decide(subject, &known.state, input, now);
            let is_committed = match &then {
                Then::Acknowledge => true,
                Then::Perform(_) => !(emit.is_empty() && timers.is_empty()),
                Then::Retry(_) => false,
            };
            if is_remembered && !is_committed {
                // No commit would check that the state is what the log has (S-1).
                continue;
            }
            let effect = match then {
                Then::Retry(after) => return Ok(End::Retry(after, complaint)),
                Then::Acknowledge => None,
                Then::Perform(effect) => Some(effect),
            };
            let next = if is_committed {
                let decision = Decision { emit, timers, then: Then::Acknowledge };
                let (commit, next) = case.commit::<D>(&self.source, &known, decision, now, effect.is_none());
                let (commit, answer) = self.commits.commit(commit).await;
                let key = commit.key;
                match answer.map_err(StepError::Log)? {
                    CommitAnswer::Committed(_) => self.telemetry.committed(D::ROLE, subject, &commit.emit),
                    // What was done stays done, what follows from it is decided anew.
                    CommitAnswer::Conflict => {
                        self.telemetry.conflict(D::ROLE, subject);
                        continue;
                    }
                    // An earlier try got further than this one knows: the state tells how far.
                    CommitAnswer::Duplicate if effect.is_some() => {
                        if duplicate.replace(key) == Some(key) {
                            return Err(StepError::Repeated(subject.clone()));
                        }
                        outcome = None;
                        continue;
                    }
                    CommitAnswer::Duplicate => return Ok(self.done(began)),
                    CommitAnswer::Fenced => {
                        self.telemetry.fenced(D::ROLE, subject);
                        return Ok(End::Fenced);
                    }
                    CommitAnswer::Early => {
                        self.telemetry.early(D::ROLE, subject);
                        return Ok(End::Early);
                    }
                }
                next
            } else {
                known
            };
            match effect {
                Some(effect) => {
                    let answer = self.performer.perform(subject, effect).await;
                    complaint = D::complaint(&answer).or(complaint);
                    outcome = Some(answer);
                    remembered = Some(next);
                }
                None => {
                    self.states.put(subject, next);
                    return Ok(self.done(began));
                }
            }
        }
        Err(StepError::Endless(subject.clone()))
    }

    fn done(&self, began: Instant) -> End {
        self.telemetry.handled(D::ROLE, began.elapsed());
        End::Done
    }

    /// The state as the log has it; `None` when the replica stops before the log answers.
    async fn load(&self, subject: &Subject) -> Result<Option<Known<D::State>>, StepError> {
        let versioned = match self.loads.load(subject).await {
            Some(versioned) => versioned,
            None => {
                // What failed for many is asked for alone: the failure is this input's own then.
                let subjects = std::slice::from_ref(subject);
                let states = self.patiently(|| self.log.load(D::ROLE, subjects)).await?;
                let Some(mut states) = states else { return Ok(None) };
                states.pop().unwrap_or_default()
            }
        };
        let state = if versioned.bytes.is_empty() {
            D::State::default()
        } else {
            rmp_serde::from_slice(&versioned.bytes).map_err(|source| StepError::State {
                role: D::ROLE,
                subject: subject.clone(),
                source,
            })?
        };
        Ok(Some(Known { version: versioned.version, bytes: versioned.bytes, state }))
    }

    /// Asks the log until it answers; `None` when the replica stops before it does. A log that is away is no fault
    /// of the input and counts as no try.
    async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<Option<T>, StepError>
    where
        F: Future<Output = Result<T, LogError>>,
    {
        let mut failures = 0;
        while !self.stop.is_cancelled() || failures == 0 {
            match ask().await {
                Ok(answer) => return Ok(Some(answer)),
                Err(error @ LogError::Refused { .. }) => return Err(StepError::Log(Arc::new(error))),
                Err(error) => {
                    failures += 1;
                    // The reader says it first.
                    self.telemetry.log_failed(D::ROLE, &error, failures + 1);
                    pause(wait_for_log(failures), &self.stop).await;
                }
            }
        }
        Ok(None)
    }
}

/// The subject of what is about a host and no container.
fn host_subject(host: &HostName) -> Subject {
    Subject::new(host, NO_CONTAINER).expect("a host name and a fixed word make a subject")
}

//! What the world had answered, as far as the events that followed tell of it.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::{
    AnomalyKind, Data, Delivery, Event, EventId, Health, Outcome as Ending, RemediationVerified, RunState,
    Sample, Subject, Timestamp, Verification,
};

use crate::diagnose::Analyzer;
use crate::engine::Inspection;
use crate::notify::{self, Alerter};
use crate::remediate::{self, Responder, Seen};
use crate::role::{Decide, Timer};

/// A role whose effects can be answered from what was recorded.
pub(super) trait Answer: Decide {
    /// The timer that the recorded events answer to, where it is one.
    fn timer(subject: &Subject, cause: EventId, now: Timestamp, recorded: &[&Event]) -> Option<Timer>;

    /// The try, and what the world had answered; `None` where the events do not tell.
    fn answer(
        &self,
        state: &Self::State,
        effect: &Self::Effect,
        recorded: &[&Event],
    ) -> Option<(u32, Self::Outcome)>;
}

impl Answer for Analyzer {
    fn timer(_: &Subject, _: EventId, _: Timestamp, _: &[&Event]) -> Option<Timer> {
        None
    }

    fn answer(&self, _: &Self::State, _: &Self::Effect, recorded: &[&Event]) -> Option<(u32, Self::Outcome)> {
        let diagnosis = recorded.iter().find_map(|event| match &event.data {
            Data::Diagnosis(diagnosis) => Some(diagnosis.clone()),
            _ => None,
        });
        // A model that gave no answer leaves no event.
        Some((1, diagnosis.ok_or_else(|| "no answer was recorded".to_owned())))
    }
}

/// More tries than the responder makes before it says that it has no answer.
const LAST_TRY: u32 = u32::MAX;

impl Answer for Responder {
    fn timer(subject: &Subject, cause: EventId, now: Timestamp, recorded: &[&Event]) -> Option<Timer> {
        let is_verdict = |event: &&Event| matches!(&event.data, Data::RemediationVerified(verified) if verified.plan == cause);
        // A verdict alone is that of the timer; one beside an intent ends what was forgotten.
        let [event] = recorded else { return None };
        is_verdict(event).then(|| Timer {
            subject: subject.clone(),
            name: remediate::VERIFY.to_owned(),
            cause,
            due: now,
        })
    }

    fn answer(
        &self,
        state: &Self::State,
        _: &Self::Effect,
        recorded: &[&Event],
    ) -> Option<(u32, Self::Outcome)> {
        use remediate::Outcome;
        // What belongs to this plan is written last.
        let outcome = match &recorded.last()?.data {
            Data::RemediationStarted(started) => {
                Outcome::Seen(Box::new(sick(&started.kinds, started.run_started_at)))
            }
            Data::RemediationComplete(complete) if complete.dry_run => {
                let started = recorded.iter().find_map(|event| match &event.data {
                    Data::RemediationStarted(started) => Some(started),
                    _ => None,
                })?;
                Outcome::Seen(Box::new(sick(&started.kinds, started.run_started_at)))
            }
            Data::RemediationComplete(complete) => match &complete.outcome {
                Ending::Success => match complete.duration_ms {
                    Some(millis) => Outcome::Done {
                        took: Duration::from_millis(millis),
                        run_started_at: complete.run_started_at,
                    },
                    None => Outcome::Seen(Box::new(running(complete.run_started_at))),
                },
                Ending::Failed { error } if state.is_under_way(complete.plan) => {
                    Outcome::Failed { error: error.clone() }
                }
                // The look before the action had no answer.
                Ending::Failed { error } => Outcome::Unreachable { error: error.clone() },
                Ending::NotApplicable { detail } if *detail == remediate::GONE => Outcome::Gone,
                Ending::Unknown { detail } => {
                    let error = detail.strip_prefix(remediate::NO_WORD)?;
                    Outcome::Unreachable { error: error.to_owned() }
                }
                // The refusal is the policy's, after a look that showed a sick container.
                Ending::Rejected { .. } => Outcome::Seen(Box::new(sick(&[], None))),
                Ending::NotApplicable { .. } => return None,
            },
            Data::RemediationVerified(verified) => looked(verified)?,
            _ => return None,
        };
        Some((LAST_TRY, outcome))
    }
}

/// A container that a plan for these symptoms may still act on.
pub(super) fn sick(kinds: &[AnomalyKind], started_at: Option<Timestamp>) -> Seen {
    let ended = kinds.iter().any(|kind| {
        matches!(kind, AnomalyKind::NonZeroExit | AnomalyKind::RestartLoop | AnomalyKind::OomKilled)
    });
    let inspection = Inspection {
        state: if ended { RunState::Exited } else { RunState::Running },
        exit_code: ended.then_some(1),
        health: if ended { Health::None } else { Health::Unhealthy },
        started_at,
        ..Inspection::default()
    };
    Seen { inspection, sample: None }
}

/// The look that led to a verdict, where the verdict tells what it showed.
fn looked(verified: &RemediationVerified) -> Option<remediate::Outcome> {
    if verified.verdict == Verification::Unknown && verified.detail == remediate::GONE {
        return Some(remediate::Outcome::Gone);
    }
    let inspection = Inspection { state: verified.state?, health: verified.health?, ..Inspection::default() };
    // What figures a sick one had is not told.
    let is_well = verified.verdict == Verification::Verified;
    let health_says_all = inspection.state == RunState::Running && inspection.health == Health::Unhealthy;
    (is_well || health_says_all).then(|| remediate::Outcome::Seen(Box::new(Seen { inspection, ..well() })))
}

/// A container that runs and is well: its figures are below every level.
pub(super) fn well() -> Seen {
    let sample = Sample {
        cpu_percent: Some(0.0),
        memory_percent: Some(0.0),
        pids: Some(0),
        pids_limit: Some(1),
        ..Sample::default()
    };
    Seen { sample: Some(sample), ..running(None) }
}

/// A container whose run began at this time.
pub(super) fn running(started_at: Option<Timestamp>) -> Seen {
    Seen {
        inspection: Inspection { state: RunState::Running, started_at, ..Inspection::default() },
        sample: None,
    }
}

impl Answer for Alerter {
    fn timer(_: &Subject, _: EventId, _: Timestamp, _: &[&Event]) -> Option<Timer> {
        None
    }

    fn answer(
        &self,
        _: &Self::State,
        effect: &Self::Effect,
        recorded: &[&Event],
    ) -> Option<(u32, Self::Outcome)> {
        let notify::Effect::Deliver { channels, .. } = effect else { return None };
        let mut attempt_made = 1;
        let mut answers = BTreeMap::new();
        for event in recorded {
            let Data::Notification(notification) = &event.data else { continue };
            let answer = match &notification.delivery {
                Delivery::Sent { attempt } => {
                    attempt_made = *attempt;
                    notify::Answer::Delivered
                }
                Delivery::Failed { attempt, error } => {
                    attempt_made = *attempt;
                    notify::Answer::Refused { error: error.clone() }
                }
                // Nobody asked the channel then; most take what they are given.
                Delivery::Deduplicated | Delivery::Grouped { .. } => notify::Answer::Delivered,
            };
            answers.insert(notification.channel, answer);
        }
        // A channel that took it in another step would take it later.
        for channel in channels {
            let later = || notify::Answer::Retry { after: None, error: String::new() };
            answers.entry(*channel).or_insert_with(later);
        }
        Some((attempt_made, notify::Outcome::Answered(answers)))
    }
}

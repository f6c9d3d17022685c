//! Did it help? The second look, and what is said of actions that nobody looked after.

use hemostat_event::{
    Envelope, Event, EventId, Outcome as Ending, RemediationComplete, RemediationVerified, Role, Source,
    Timestamp, Verification,
};

use super::judge::{Look, Seen, verify};
use super::state::{State, Unverified};
use super::{Case, Effect, GONE, LOOK_AGAIN, Outcome, Responder, VERIFY, VERIFY_GRACE, millis};
use crate::role::{Decision, Emit, Then, Timer};

impl Responder {
    /// The look at the end of the stabilisation window.
    pub(super) fn conclude(
        &self,
        timer: &Timer,
        done: &Unverified,
        outcome: Outcome,
        now: Timestamp,
    ) -> Decision<Effect> {
        let late = done.done_at + self.policy.stabilise + VERIFY_GRACE <= now;
        // Later than it was due, also where the clock was set back: a deadline that comes twice is known already, and
        // the commit that sets it again would be taken for a repetition.
        let again = || Decision {
            emit: Vec::new(),
            timers: vec![Timer { due: now.max(timer.due) + LOOK_AGAIN, ..timer.clone() }],
            then: Then::Acknowledge,
        };
        let unknown = |detail: &str| verified(done, Verification::Unknown, detail.to_owned(), None, now);
        match outcome {
            Outcome::Seen(seen) => {
                let look = verify(&seen, &done.intent.kinds, done.run_started_at, &self.policy.still_sick);
                match look {
                    Look::Verdict(verdict, detail) => verified(done, verdict, detail, Some(&seen), now),
                    Look::TooEarly if late => unknown("its health check gives no answer"),
                    Look::TooEarly => again(),
                }
            }
            Outcome::Gone => unknown(GONE),
            _ if late => unknown("the container engine could not be asked"),
            _ => again(),
        }
    }
}

/// Ends a plan that was neither begun nor ended as far as a restored log tells: whether it was begun in the moments that are
/// lost is not known, and what is not known is not done. Nothing where the event is no plan, or one that is over anyway.
///
/// The sickness, where it goes on, is seen again and planned for again.
#[must_use]
pub fn end_unsure(plan: &Event, source: &Source, now: Timestamp) -> Option<Event> {
    let subject = plan.envelope.subject.as_ref()?;
    let case = Case::of(subject, plan, now).filter(|case| now < case.needed.plan.expires_at)?;
    let detail = "the log was restored, and does not tell whether this was begun".to_owned();
    let complete = case.ended(Ending::NotApplicable { detail });
    let emit = Emit { data: complete.into(), incident: case.incident() };
    let cause = plan.envelope.id;
    let envelope = Envelope {
        id: EventId::derive(cause, Role::Responder, &emit.step(), 0),
        source: source.clone(),
        time: now,
        cause: Some(cause),
        ..plan.envelope.clone()
    };
    Some(Event { envelope, data: emit.data })
}

/// The action that the timer is to verify.
pub(super) fn due<'a>(state: &'a State, timer: &Timer) -> Option<&'a Unverified> {
    state.unverified.as_ref().filter(|done| timer.name == VERIFY && done.intent.plan == timer.cause)
}

/// Ends what an earlier plan left open: its responder did not come back, and nobody took it over.
pub(super) fn forgotten(state: &State, now: Timestamp) -> Vec<Emit> {
    let mut emit = Vec::new();
    if let Some(intent) = &state.intent {
        let complete = RemediationComplete {
            container: intent.container.clone(),
            plan: intent.plan,
            action: intent.action.clone(),
            outcome: Ending::Unknown { detail: "the responder that began it did not come back".to_owned() },
            dry_run: false,
            duration_ms: None,
            run_started_at: None,
            reason: "an intent without an outcome".to_owned(),
            confidence: 0.0,
        };
        emit.push(Emit { data: complete.into(), incident: intent.incident });
    }
    if let Some(done) = &state.unverified {
        let detail = "nobody looked in time".to_owned();
        emit.extend(verified(done, Verification::Unknown, detail, None, now).emit);
    }
    emit
}

fn verified(
    done: &Unverified,
    verdict: Verification,
    detail: String,
    seen: Option<&Seen>,
    now: Timestamp,
) -> Decision<Effect> {
    let intent = &done.intent;
    let data = RemediationVerified {
        container: intent.container.clone(),
        plan: intent.plan,
        action: intent.action.kind(),
        verdict,
        detail,
        state: seen.map(|seen| seen.inspection.state),
        health: seen.map(|seen| seen.inspection.health),
        elapsed_ms: millis(now.since(intent.at)),
    };
    Decision::emit(data, intent.incident)
}

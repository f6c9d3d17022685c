//! The run loop as these tests play it, and what they make events and answers of.

use std::collections::BTreeMap;

use hemostat_event::{
    AnomalyKind, Basis, Cause, ContainerPolicy, ContainerRef, Envelope, EventId, HostName, Plan, RunState,
    Severity, Source, Verdict, Verification,
};

use super::super::*;
use crate::engine::Inspection;

/// Plays the run loop: decides, folds what is emitted, hands over the answers in order.
pub(super) struct World {
    pub(super) responder: Responder,
    pub(super) state: State,
    pub(super) event: Event,
    pub(super) now: Timestamp,
    pub(super) attempt: u32,
    pub(super) told: Vec<String>,
    pub(super) timers: Vec<(EventId, Timestamp)>,
    pub(super) probe: bool,
    pub(super) starts_ever: usize,
}

impl Default for World {
    fn default() -> Self {
        Self {
            responder: Responder { policy: Policy::default() },
            state: State::default(),
            event: event(1, at(0)),
            now: at(0),
            attempt: 1,
            told: Vec::new(),
            timers: Vec::new(),
            probe: false,
            starts_ever: 0,
        }
    }
}

impl World {
    pub(super) fn plan(&mut self, number: u32) {
        self.event = event(number, self.now);
    }

    pub(super) fn plan_at(&mut self, number: u32, seconds: i64) {
        self.at(seconds);
        self.plan(number);
    }

    pub(super) fn at(&mut self, seconds: i64) {
        self.now = at(seconds);
    }

    /// Deals with the plan to its end; the names of what was asked of the world.
    pub(super) fn deal(&mut self, answers: Vec<Outcome>) -> Vec<&'static str> {
        self.run(answers, false)
    }

    /// The same, but the responder dies when it is about to act.
    pub(super) fn deal_until_act(&mut self, answers: Vec<Outcome>) -> Vec<&'static str> {
        self.run(answers, true)
    }

    /// The answer to an action that was asked for by [`Self::deal_until_act`].
    pub(super) fn answer(&mut self, outcome: Outcome) {
        let event = self.event.clone();
        let input = Input::Outcome { first: First::Event(&event), attempt: self.attempt, outcome };
        let decision = self.responder.decide(&subject(), &self.state, input, self.now);
        self.take_in(&decision, event.envelope.id);
    }

    pub(super) fn run(&mut self, answers: Vec<Outcome>, dies: bool) -> Vec<&'static str> {
        let event = self.event.clone();
        let mut answers = answers.into_iter();
        let mut asked = Vec::new();
        let mut decision = self.responder.decide(&subject(), &self.state, Input::Event(&event), self.now);
        loop {
            self.take_in(&decision, event.envelope.id);
            match decision.then {
                Then::Acknowledge => return asked,
                Then::Retry(_) => {
                    asked.push("retry");
                    return asked;
                }
                Then::Perform(Effect::Inspect { .. }) => asked.push("inspect"),
                Then::Perform(Effect::Act { .. }) => {
                    // R-1 of `role.rs`.
                    let intent = self.state.intent.as_ref().expect("an intent before the action");
                    assert_eq!(intent.plan, event.envelope.id);
                    asked.push("act");
                    if dies {
                        return asked;
                    }
                }
            }
            let outcome = answers.next().expect("an answer to every question");
            let input = Input::Outcome { first: First::Event(&event), attempt: self.attempt, outcome };
            decision = self.responder.decide(&subject(), &self.state, input, self.now);
        }
    }

    pub(super) fn take_in(&mut self, decision: &Decision<Effect>, cause: EventId) {
        for (index, emit) in decision.emit.iter().enumerate() {
            let envelope = Envelope {
                id: EventId::derive(cause, Role::Responder, &emit.step(), index),
                source: Source { role: Role::Responder, instance: "r".to_owned() },
                time: self.now,
                incident: emit.incident,
                cause: Some(cause),
                ..self.event.envelope.clone()
            };
            let event = Event { envelope, data: emit.data.clone() };
            Responder::fold(&mut self.state, &event);
            self.told.push(words(&event.data));
            if let Data::RemediationStarted(started) = &event.data {
                self.probe = started.probe;
                self.starts_ever += 1;
            }
        }
        let waited_for = self.responder.deadlines(&subject(), &self.state);
        for timer in &decision.timers {
            let known =
                waited_for.iter().find(|known| known.cause == timer.cause).expect("the state tells of it");
            assert_eq!((&known.name, &known.subject), (&timer.name, &timer.subject));
            assert!(
                known.due == timer.due || decision.emit.is_empty(),
                "only a look that is repeated is later"
            );
        }
        self.timers.extend(decision.timers.iter().map(|timer| (timer.cause, timer.due)));
    }

    pub(super) fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Fires the timer; the verdict, or `again`.
    pub(super) fn verify(&mut self, look: Outcome) -> String {
        let cause = self.state.unverified.as_ref().expect("an action to verify").intent.plan;
        let due = self.timers.last().map_or(self.now, |(_, due)| *due);
        let timer = Timer { subject: subject(), name: VERIFY.to_owned(), cause, due };
        let first = self.responder.decide(&subject(), &self.state, Input::Timer(&timer), self.now);
        assert!(matches!(first.then, Then::Perform(Effect::Inspect { .. })));
        let input = Input::Outcome { first: First::Timer(&timer), attempt: 1, outcome: look };
        let decision = self.responder.decide(&subject(), &self.state, input, self.now);
        self.take_in(&decision, cause);
        if decision.emit.is_empty() {
            assert_eq!(decision.timers.len(), 1);
            return "again".to_owned();
        }
        self.told.pop().expect("a verdict was told")
    }

    /// A plan that is carried out and helps.
    pub(super) fn heal(&mut self, number: u32, seconds: i64) {
        self.act(number, seconds, seen(running(2)));
    }

    /// A plan that is carried out and does not help.
    pub(super) fn fail(&mut self, number: u32, seconds: i64) {
        self.act(number, seconds, seen(exited(1)));
    }

    pub(super) fn act(&mut self, number: u32, seconds: i64, look: Outcome) {
        self.now = at(seconds);
        self.plan(number);
        assert_eq!(self.deal(vec![seen(exited(1)), done()]), ["inspect", "act"], "{:?}", self.told);
        self.now = at(seconds + 60);
        self.verify(look);
        self.told.clear();
        self.now = at(seconds + 61);
    }
}

pub(super) fn words(data: &Data) -> String {
    match data {
        Data::RemediationStarted(started) => {
            let dry = if started.dry_run { " dry" } else { "" };
            format!("started {}/{}{dry}", started.attempt, started.budget)
        }
        Data::RemediationComplete(complete) => {
            let dry = if complete.dry_run { " dry" } else { "" };
            match &complete.outcome {
                Ending::Success => format!("success{dry}"),
                Ending::Failed { .. } => "failed".to_owned(),
                Ending::Rejected { rejection, remaining_ms } => {
                    let remaining = remaining_ms.map(|millis| format!(" {millis}")).unwrap_or_default();
                    format!("rejected {}{remaining}", rejection.as_str())
                }
                Ending::NotApplicable { .. } => "not_applicable".to_owned(),
                Ending::Unknown { .. } => "unknown".to_owned(),
            }
        }
        Data::RemediationVerified(verified) => match verified.verdict {
            Verification::Verified => "verified".to_owned(),
            Verification::NotFixed => "not_fixed".to_owned(),
            Verification::Unknown => "unknown".to_owned(),
        },
        other => panic!("the responder does not write {}", other.event_type()),
    }
}

pub(super) fn needed(event: &mut Event) -> &mut RemediationNeeded {
    let Data::RemediationNeeded(needed) = &mut event.data else { panic!("a plan") };
    needed
}

pub(super) fn subject() -> Subject {
    "host/web".parse().expect("a subject")
}

pub(super) fn target() -> ContainerId {
    ContainerId::new("0123456789ab").expect("an id")
}

/// Log time: seconds after an arbitrary moment.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

/// Engine time of the start of run `number`; far from log time, because the two clocks need not agree.
pub(super) fn engine(number: i64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000_000_000 + number * 1_000_000)
}

pub(super) fn plan_id(number: u32) -> EventId {
    EventId::observed(&subject(), Role::Monitor, at(0), number as usize)
}

pub(super) fn event(number: u32, now: Timestamp) -> Event {
    let container = ContainerRef {
        id: target(),
        name: "web".to_owned(),
        image: "web:1".to_owned(),
        project: None,
        service: None,
    };
    let data = RemediationNeeded {
        container,
        plan: Plan {
            action: Action::Restart { stop_timeout_secs: None },
            target: target(),
            policy: ContainerPolicy { mode: Mode::Auto, ..ContainerPolicy::default() },
            expires_at: now + Duration::from_secs(300),
        },
        severity: Severity::High,
        kinds: vec![AnomalyKind::NonZeroExit],
        verdict: Verdict {
            cause: Cause::ApplicationError,
            confidence: 0.9,
            basis: Basis::Rule { rule: "application_exit".to_owned() },
            cited: Vec::new(),
            reason: "exit code 1".to_owned(),
        },
    };
    let envelope = Envelope {
        id: EventId::derive(plan_id(number), Role::Analyzer, "", 0),
        source: Source { role: Role::Analyzer, instance: "a".to_owned() },
        time: now,
        host: HostName::new("host").expect("a host name"),
        subject: Some(subject()),
        incident: Some(IncidentId::opened(&subject(), at(0))),
        cause: Some(plan_id(number)),
        traceparent: None,
    };
    Event { envelope, data: data.into() }
}

pub(super) fn running(run: i64) -> Inspection {
    Inspection {
        id: Some(target()),
        name: "web".to_owned(),
        labels: BTreeMap::new(),
        state: RunState::Running,
        started_at: Some(engine(run)),
        ..Inspection::default()
    }
}

pub(super) fn exited(code: i64) -> Inspection {
    Inspection { state: RunState::Exited, exit_code: Some(code), ..running(1) }
}

pub(super) fn exited_run(run: i64) -> Inspection {
    Inspection { started_at: Some(engine(run)), ..exited(1) }
}

pub(super) fn seen(inspection: Inspection) -> Outcome {
    Outcome::Seen(Box::new(Seen { inspection, sample: None }))
}

pub(super) fn done() -> Outcome {
    Outcome::Done { took: Duration::from_millis(300), run_started_at: Some(engine(2)) }
}

pub(super) fn unreachable() -> Outcome {
    Outcome::Unreachable { error: "connection refused".to_owned() }
}

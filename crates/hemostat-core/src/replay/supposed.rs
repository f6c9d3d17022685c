//! What would have followed from an incident that there was not: the analyzer, the responder and the alert agent decide on
//! it, no model is asked, and the world is supposed to do what it is asked for and to be well afterwards.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hemostat_event::{
    Channel, Data, Envelope, Event, EventId, Notification, RemediationNeeded, Role, Source, Subject,
    Timestamp,
};

use super::answer::{running, sick, well};
use super::{Rules, States, TURNS_MAX};
use crate::diagnose::Analyzer;
use crate::notify::{self, Alerter};
use crate::remediate::{self, Responder};
use crate::role::{Decide, Decision, Emit, First, Input, Then, Timer};

/// Events that may follow from one, before the rules are said to have no end.
const FOLLOW_MAX: usize = 64;

/// The roles behind the monitor, in a world that does as it is told.
pub(super) struct Supposed {
    analyzer: Supposing<Analyzer>,
    responder: Supposing<Responder>,
    alerter: Supposing<Alerter>,
}

/// A role, and what it remembers: what was recorded, and what is supposed.
struct Supposing<D: Decide> {
    role: D,
    states: States<D>,
}

impl Supposed {
    pub(super) fn new(rules: Rules) -> Self {
        let mut analyzer = rules.analyzer;
        analyzer.settings.consult = false;
        Self {
            analyzer: Supposing { role: analyzer, states: BTreeMap::new() },
            responder: Supposing { role: rules.responder, states: BTreeMap::new() },
            alerter: Supposing { role: rules.alerter, states: BTreeMap::new() },
        }
    }

    /// Takes in what was recorded.
    pub(super) fn recorded(&mut self, event: &Event) {
        match event.envelope.source.role {
            Role::Analyzer => self.analyzer.fold(event),
            Role::Responder => self.responder.fold(event),
            Role::Alert => {
                if let Data::Notification(Notification { channel, .. }) = &event.data {
                    self.tells_through(*channel);
                }
                self.alerter.fold(event);
            }
            _ => {}
        }
    }

    /// The channels are those that the log tells of.
    fn tells_through(&mut self, channel: Channel) {
        let channels = &mut self.alerter.role.settings.channels;
        if let Err(place) = channels.binary_search(&channel) {
            channels.insert(place, channel);
        }
    }

    /// What follows from an event of the monitor, down to the last notification.
    pub(super) fn follow(&mut self, first: Event) -> Vec<Data> {
        let mut ahead = VecDeque::from([first]);
        let mut followed = Vec::new();
        while let Some(event) = ahead.pop_front() {
            if FOLLOW_MAX < followed.len() {
                break;
            }
            let answers = [self.analyzer.on(&event), self.responder.on(&event), self.alerter.on(&event)];
            for answer in answers.into_iter().flatten() {
                followed.push(answer.data.clone());
                ahead.push_back(answer);
            }
        }
        followed
    }
}

/// A role whose effects have an answer in a world that does as it is told.
trait Suppose: Decide {
    fn suppose(input: First<'_>, effect: &Self::Effect, now: Timestamp) -> Self::Outcome;
}

impl Suppose for Analyzer {
    fn suppose(_: First<'_>, _: &Self::Effect, _: Timestamp) -> Self::Outcome {
        Err("no model is asked".to_owned())
    }
}

impl Suppose for Responder {
    fn suppose(input: First<'_>, effect: &Self::Effect, now: Timestamp) -> Self::Outcome {
        use remediate::{Effect, Outcome};
        match (effect, input) {
            (Effect::Act { .. }, _) => Outcome::Done { took: Duration::ZERO, run_started_at: Some(now) },
            (Effect::Inspect { .. }, First::Timer(_)) => Outcome::Seen(Box::new(well())),
            (Effect::Inspect { .. }, First::Event(event)) => Outcome::Seen(Box::new(match &event.data {
                Data::RemediationNeeded(RemediationNeeded { kinds, .. }) => sick(kinds, None),
                _ => running(None),
            })),
        }
    }
}

impl Suppose for Alerter {
    fn suppose(_: First<'_>, effect: &Self::Effect, _: Timestamp) -> Self::Outcome {
        match effect {
            notify::Effect::Deliver { channels, .. } => {
                let answers = channels.iter().map(|channel| (*channel, notify::Answer::Delivered));
                notify::Outcome::Answered(answers.collect())
            }
            notify::Effect::Wait { after } => notify::Outcome::Waited { after: *after },
        }
    }
}

impl<D: Suppose> Supposing<D> {
    fn fold(&mut self, event: &Event) {
        if let Some(subject) = &event.envelope.subject {
            D::fold(self.states.entry(subject.clone()).or_default(), event);
        }
    }

    /// What the role says of an event, and of the deadlines that it sets because of it.
    fn on(&mut self, event: &Event) -> Vec<Event> {
        let Some(subject) = &event.envelope.subject else { return Vec::new() };
        let mut due = Vec::new();
        let mut said = self.deal(subject, event, First::Event(event), event.envelope.time, &mut due);
        for timer in due {
            said.extend(self.deal(subject, event, First::Timer(&timer), timer.due, &mut Vec::new()));
        }
        said
    }

    fn deal(
        &mut self,
        subject: &Subject,
        cause: &Event,
        first: First<'_>,
        now: Timestamp,
        due: &mut Vec<Timer>,
    ) -> Vec<Event> {
        let state = self.states.entry(subject.clone()).or_default();
        let mut said = Vec::new();
        let mut next = match first {
            First::Event(event) => Input::Event(event),
            First::Timer(timer) => Input::Timer(timer),
        };
        for _turn in 0..TURNS_MAX {
            let Decision { emit, timers, then } = self.role.decide(subject, state, next, now);
            due.extend(timers);
            for emit in emit {
                let event = written::<D>(cause, emit, now);
                D::fold(state, &event);
                said.push(event);
            }
            let Then::Perform(effect) = then else { break };
            next = Input::Outcome { first, attempt: 1, outcome: D::suppose(first, &effect, now) };
        }
        said
    }
}

/// The event as the run loop would have completed it.
fn written<D: Decide>(cause: &Event, emit: Emit, now: Timestamp) -> Event {
    let envelope = Envelope {
        id: EventId::derive(cause.envelope.id, D::ROLE, &emit.step(), 0),
        source: Source { role: D::ROLE, instance: cause.envelope.source.instance.clone() },
        time: now,
        incident: emit.incident,
        cause: Some(cause.envelope.id),
        ..cause.envelope.clone()
    };
    Event { envelope, data: emit.data }
}

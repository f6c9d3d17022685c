//! The run loop in small, and what it is fed with.

use hemostat_event::{
    Action, ActionKind, AnomalyKind, Basis, Cause, ContainerId, ContainerRef, Data, DeadLetter, Envelope,
    EventId, FalseAlarm, HealthRecovered, HostName, IncidentId, Outcome as Ending, Recovery, Rejection,
    RemediationComplete, RemediationVerified, Source, Verdict, Verification,
};

use super::super::*;
use super::{SLACK, WINDOW};

/// How one try to deal with an input ended.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    Acknowledged,
    Retry(Option<Duration>),
    Died,
}

pub(super) fn told_by(channels: &[Channel]) -> (Vec<Channel>, End) {
    let channels: BTreeSet<_> = channels.iter().copied().collect();
    (channels.into_iter().collect(), End::Acknowledged)
}

pub(super) fn silent() -> (Vec<Channel>, End) {
    (Vec::new(), End::Acknowledged)
}

/// The run loop in small: decides, commits, performs, as `run/step.rs` in `hemostat-agent` does.
pub(super) struct World {
    pub(super) role: Alerter,
    states: BTreeMap<Subject, State>,
    tries: BTreeMap<EventId, u32>,
    pub(super) events: Vec<Event>,
    pub(super) messages: Vec<Message>,
    /// Time between an event and the decisions on it.
    pub(super) late: Duration,
    pub(super) dies_before_commit: bool,
}

impl World {
    pub(super) fn new(channels: &[Channel]) -> Self {
        Self {
            role: Alerter { settings: Settings { channels: channels.to_vec(), dedup_window: WINDOW } },
            states: BTreeMap::new(),
            tries: BTreeMap::new(),
            events: Vec::new(),
            messages: Vec::new(),
            late: Duration::from_millis(20),
            dies_before_commit: false,
        }
    }

    /// The message about one event.
    pub(super) fn message(event: &Event) -> Message {
        let mut world = Self::new(&[SLACK]);
        world.deal(event, |_| Answer::Delivered);
        let message = world.messages.pop().expect("a message");
        assert!(message.fields.len() <= 10);
        message
    }

    /// One try to deal with `event`; which channels were asked, and how it ended.
    pub(super) fn deal(&mut self, event: &Event, answer: impl Fn(Channel) -> Answer) -> (Vec<Channel>, End) {
        let subject = event.envelope.subject.clone().expect("the tests file everything under a subject");
        let tries = self.tries.entry(event.envelope.id).or_default();
        *tries += 1;
        let attempt = *tries;
        let (mut asked, mut outcome) = (Vec::new(), None);
        for _step in 0..4 {
            let performed = outcome.is_some();
            let input = match outcome.take() {
                None => Input::Event(event),
                Some(outcome) => Input::Outcome { first: First::Event(event), attempt, outcome },
            };
            let now = event.envelope.time + self.late;
            let state = self.states.entry(subject.clone()).or_default();
            let decision = self.role.decide(&subject, state, input, now);
            assert!(decision.timers.is_empty());
            if performed && self.dies_before_commit {
                return (asked, End::Died);
            }
            if let Then::Retry(after) = decision.then {
                assert!(decision.emit.is_empty(), "the run loop would drop these");
                return (asked, End::Retry(after));
            }
            for (index, emit) in decision.emit.into_iter().enumerate() {
                let id = EventId::derive(event.envelope.id, Role::Alert, &emit.step(), index);
                let source = Source { role: Role::Alert, instance: "a1".into() };
                let envelope = Envelope {
                    id,
                    source,
                    time: now,
                    cause: Some(event.envelope.id),
                    ..event.envelope.clone()
                };
                let emitted = Event { envelope, data: emit.data };
                Alerter::fold(state, &emitted);
                self.events.push(emitted);
            }
            match decision.then {
                Then::Acknowledge => return (asked, End::Acknowledged),
                Then::Retry(_) => unreachable!("handled above"),
                Then::Perform(Effect::Wait { after }) => outcome = Some(Outcome::Waited { after }),
                Then::Perform(Effect::Deliver { channels, message }) => {
                    assert!(!channels.is_empty());
                    self.messages.push(*message);
                    asked.extend(&channels);
                    outcome = Some(Outcome::Answered(channels.into_iter().map(|c| (c, answer(c))).collect()));
                }
            }
        }
        panic!("an input without an end");
    }

    pub(super) fn state(&self, name: &str) -> &State {
        &self.states[&subject(name)]
    }

    fn notifications(&self) -> impl Iterator<Item = (&Event, &Notification)> {
        self.events.iter().map(|event| match &event.data {
            Data::Notification(notification) => (event, notification),
            data => panic!("emitted {data:?}"),
        })
    }

    pub(super) fn deliveries(&self, cause: EventId, channel: Channel) -> impl Iterator<Item = &Delivery> {
        self.notifications()
            .filter(move |(event, told)| event.envelope.cause == Some(cause) && told.channel == channel)
            .map(|(_, told)| &told.delivery)
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.notifications().map(|(_, told)| line(told)).collect()
    }

    pub(super) fn log_of(&self, cause: EventId) -> Vec<String> {
        self.notifications()
            .filter(|(event, _)| event.envelope.cause == Some(cause))
            .map(|(_, told)| line(told))
            .collect()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.notifications().map(|(_, told)| told.dedup_key.clone()).collect()
    }

    pub(super) fn key_of(&self, cause: EventId) -> String {
        let mut of = self.notifications().filter(|(event, _)| event.envelope.cause == Some(cause));
        of.next().expect("a notification").1.dedup_key.clone()
    }
}

pub(super) fn line(told: &Notification) -> String {
    let delivery = match &told.delivery {
        Delivery::Sent { attempt } => format!("sent {attempt}"),
        Delivery::Deduplicated => "deduplicated".to_owned(),
        Delivery::Grouped { .. } => "grouped".to_owned(),
        Delivery::Failed { attempt, error } => format!("failed {attempt}: {error}"),
    };
    format!("{} {} {delivery}", told.channel.as_str(), told.kind.as_str())
}

pub(super) fn busy(seconds: Option<u64>) -> Answer {
    Answer::Retry { after: seconds.map(Duration::from_secs), error: "503".into() }
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
}

pub(super) fn subject(name: &str) -> Subject {
    Subject::new(&HostName::new("h1").unwrap(), name).unwrap()
}

pub(super) fn id(n: u64) -> EventId {
    EventId::observed(&subject("test"), Role::Responder, at(n), 0)
}

pub(super) fn event(n: u64, name: &str, seconds: u64, mut data: Data) -> Event {
    match &mut data {
        Data::RemediationComplete(data) => name.clone_into(&mut data.container.name),
        Data::RemediationVerified(data) => name.clone_into(&mut data.container.name),
        Data::HealthRecovered(data) => name.clone_into(&mut data.container.name),
        _ => {}
    }
    let envelope = Envelope {
        id: id(n),
        source: Source { role: Role::Responder, instance: "r1".into() },
        time: at(seconds),
        host: HostName::new("h1").unwrap(),
        subject: Some(subject(name)),
        incident: Some(IncidentId::opened(&subject(name), at(0))),
        cause: None,
        traceparent: None,
    };
    Event { envelope, data }
}

pub(super) fn container() -> ContainerRef {
    ContainerRef {
        id: ContainerId::new("ab".repeat(32)).unwrap(),
        name: "web".into(),
        image: "nginx".into(),
        project: None,
        service: None,
    }
}

pub(super) fn completion(outcome: Ending) -> RemediationComplete {
    RemediationComplete {
        container: container(),
        plan: id(1_000),
        action: Action::Restart { stop_timeout_secs: None },
        outcome,
        dry_run: false,
        duration_ms: None,
        run_started_at: None,
        reason: "exit code 1: the application failed".into(),
        confidence: 0.88,
    }
}

pub(super) fn complete(outcome: Ending) -> Data {
    completion(outcome).into()
}

pub(super) fn escalated() -> Data {
    let outcome = Ending::NotApplicable { detail: "the analyzer leaves this to a person".into() };
    RemediationComplete { action: Action::Escalate, ..completion(outcome) }.into()
}

pub(super) fn failed() -> Ending {
    Ending::Failed { error: "no such image".into() }
}

pub(super) fn rejected(rejection: Rejection) -> Ending {
    Ending::Rejected { rejection, remaining_ms: Some(2_525_000) }
}

pub(super) fn verified(verdict: Verification) -> Data {
    RemediationVerified {
        container: container(),
        plan: id(1_000),
        action: ActionKind::Restart,
        verdict,
        detail: "it runs, and has not ended since".into(),
        state: None,
        health: None,
        elapsed_ms: 61_000,
    }
    .into()
}

pub(super) fn recovered(reason: Recovery) -> Data {
    HealthRecovered {
        container: container(),
        kinds: vec![AnomalyKind::HighCpu, AnomalyKind::OomKilled],
        reason,
        opened_at: at(0),
        lasted_ms: 3_725_000,
    }
    .into()
}

pub(super) fn false_alarm() -> Data {
    let verdict = Verdict {
        cause: Cause::TransientSpike,
        confidence: 0.9,
        basis: Basis::Rule { rule: "transient_spike".into() },
        cited: Vec::new(),
        reason: "it passed".into(),
    };
    FalseAlarm { container: container(), kinds: Vec::new(), verdict }.into()
}

pub(super) fn letter(group: Role, event: Option<EventId>) -> Data {
    DeadLetter {
        stream: "health_alert".into(),
        entry: "1-0".into(),
        group,
        event,
        incident: None,
        errors: vec!["failed to decide".into(), "no memory".into()],
        attempts: 5,
        original: BTreeMap::new(),
    }
    .into()
}

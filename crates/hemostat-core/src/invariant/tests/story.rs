//! A short correct log, written out, whose events can be named, changed, left out and repeated.

use hemostat_event::cloudevents::Position;
use hemostat_event::{
    Action, ActionKind, Actor, AnomalyKind, Basis, Cause, Change, Channel, Command, ContainerChanged,
    ContainerId, ContainerPolicy, ContainerRef, ContainerSample, Data, DeadLetter, Delivery, Diagnosis,
    Envelope, Event, EventId, Evidence, FalseAlarm, HealthAlert, HealthRecovered, HostName, IncidentId,
    Notification, NotificationKind, OperatorCommand, Outcome, Plan, Recovery, RemediationComplete,
    RemediationNeeded, RemediationStarted, RemediationVerified, Role, Sample, Severity, Source, Subject,
    Timestamp, Verdict, Verification,
};

use crate::invariant::{Scope, Violation, check};
use crate::role::Emit;

/// A log whose events have names.
#[derive(Debug, Default)]
pub(super) struct Story {
    events: Vec<(String, Position, Event)>,
    now: u64,
}

impl Story {
    /// Three incidents of one container: repaired and verified; a false alarm; repaired under a second action.
    pub(super) fn told() -> Self {
        let mut story = Self::default();
        story.sample("sample");
        story.observe("changed", changed(), None);
        let first = IncidentId::opened(&subject(), at(story.now));
        story.alert_in("alert", first);
        story.derive("diagnosis", "alert", Role::Analyzer, diagnosis(), 0);
        story.plan("needed", "alert");
        story.start("started", "needed", 1);
        story.finish("done", "needed");
        story.notify("told slack", story.id("done"));
        story.derive("told terminal", "done", Role::Alert, told(Channel::Terminal), 1);
        story.sample("sample 2");
        story.verify("verified", "needed");
        story.recover("recovered", "alert", Recovery::Cleared);
        story.alert_in("alert 2", IncidentId::opened(&subject(), at(story.now)));
        story.alarm("alarm", "alert 2");
        story.recover("recovered 2", "alert 2", Recovery::Cleared);
        story.alert_in("alert 3", IncidentId::opened(&subject(), at(story.now)));
        story.plan("needed 2", "alert 3");
        story.start("started 2", "needed 2", 2);
        story.finish("done 2", "needed 2");
        story.recover("recovered 3", "alert 3", Recovery::Cleared);
        story
    }

    pub(super) fn log(&self) -> impl Iterator<Item = (Position, &Event)> {
        self.events.iter().map(|(_, position, event)| (*position, event))
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn broken(&self) -> Vec<Violation> {
        self.broken_with(&Scope::default())
    }

    pub(super) fn broken_with(&self, scope: &Scope) -> Vec<Violation> {
        check(scope, self.log(), [])
    }

    fn place(&self, name: &str) -> usize {
        self.events
            .iter()
            .position(|(known, ..)| known == name)
            .unwrap_or_else(|| panic!("no event `{name}`"))
    }

    fn get(&self, name: &str) -> &Event {
        &self.events[self.place(name)].2
    }

    pub(super) fn id(&self, name: &str) -> EventId {
        self.get(name).envelope.id
    }

    pub(super) fn time(&self, name: &str) -> Timestamp {
        self.get(name).envelope.time
    }

    pub(super) fn incident(&self, name: &str) -> IncidentId {
        self.get(name).envelope.incident.expect("the event is of an incident")
    }

    pub(super) fn position(&self, name: &str) -> Position {
        self.events[self.place(name)].1
    }

    // --- Damage ---

    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Event)) {
        let place = self.place(name);
        change(&mut self.events[place].2);
    }

    /// Changes an event and gives it the id that follows from what it says now.
    pub(super) fn change_derived(&mut self, name: &str, change: impl FnOnce(&mut Event)) {
        let place = self.place(name);
        let event = &mut self.events[place].2;
        change(event);
        event.envelope.id = derived(event, 0);
    }

    /// Takes an event out, and the numbers close up behind it.
    pub(super) fn remove(&mut self, name: &str) {
        let place = self.place(name);
        self.events.remove(place);
        self.close_up();
    }

    pub(super) fn cut_before(&mut self, name: &str) {
        let place = self.place(name);
        self.events.truncate(place);
    }

    /// Exchanges two events; the numbers stay in order.
    pub(super) fn swap(&mut self, one: &str, other: &str) {
        let (one, other) = (self.place(one), self.place(other));
        self.events.swap(one, other);
        self.close_up();
    }

    pub(super) fn renumber(&mut self, name: &str, seq: u64) {
        let place = self.place(name);
        self.events[place].1.seq = seq;
        // What stands behind follows the number before, so that only this one is wrong.
        let before = self.events[place - 1].1.seq;
        for (behind, (_, position, _)) in self.events[place + 1..].iter_mut().enumerate() {
            position.seq = before + 1 + behind as u64;
        }
    }

    /// Appends the event as it stands once more.
    pub(super) fn repeat(&mut self, name: &str) {
        let event = self.get(name).clone();
        self.append(&format!("{name} once more"), event);
    }

    /// Appends what the event says once more, as a second output of the same input.
    pub(super) fn repeat_under_next_index(&mut self, name: &str) {
        let mut event = self.get(name).clone();
        event.envelope.id = derived(&event, 5);
        self.append(&format!("{name} once more"), event);
    }

    /// A person has a letter about an event redriven.
    pub(super) fn redrive(&mut self, name: &str, letter: &str, dead: &str) {
        let command = Command::Redrive { event: self.id(dead) };
        let mut order = self.event(Role::Operator, OperatorCommand { command, by: "ada".to_owned() }.into());
        order.envelope.cause = Some(self.id(letter));
        self.append(name, order);
    }

    fn close_up(&mut self) {
        for (index, (_, position, _)) in self.events.iter_mut().enumerate() {
            position.seq = index as u64 + 1;
        }
    }

    // --- Events ---

    fn append(&mut self, name: &str, event: Event) {
        let seq = self.events.last().map_or(0, |(_, position, _)| position.seq) + 1;
        self.events.push((name.to_owned(), Position { partition: 0, seq }, event));
        self.now += 10;
    }

    fn event(&self, role: Role, data: Data) -> Event {
        Event {
            envelope: Envelope {
                id: EventId::observed(&subject(), role, at(self.now), 0),
                source: Source { role, instance: format!("{role}-1") },
                time: at(self.now),
                host: HostName::new("h1").unwrap(),
                subject: Some(subject()),
                incident: None,
                cause: None,
                traceparent: None,
            },
            data,
        }
    }

    fn observe(&mut self, name: &str, data: impl Into<Data>, incident: Option<IncidentId>) {
        let mut event = self.event(Role::Monitor, data.into());
        event.envelope.incident = incident;
        self.append(name, event);
    }

    pub(super) fn sample(&mut self, name: &str) {
        let sample = ContainerSample { container: container(), sample: Sample::default(), gap: None };
        self.observe(name, sample, None);
    }

    fn derive(&mut self, name: &str, cause: &str, role: Role, data: impl Into<Data>, index: usize) {
        let incident = self.get(cause).envelope.incident;
        let mut event = self.event(role, data.into());
        event.envelope.cause = Some(self.id(cause));
        event.envelope.incident = incident;
        event.envelope.id = derived(&event, index);
        self.append(name, event);
    }

    pub(super) fn alert_in(&mut self, name: &str, incident: IncidentId) {
        let alert = HealthAlert {
            container: container(),
            severity: Severity::High,
            anomalies: Vec::new(),
            sample: Sample::default(),
            opened_at: at(self.now),
            engine_event_at: None,
            deaths_recent: 1,
            engine_restarts: false,
            evidence: Evidence::default(),
            policy: ContainerPolicy::default(),
        };
        self.observe(name, alert, Some(incident));
    }

    pub(super) fn recover(&mut self, name: &str, alert: &str, reason: Recovery) {
        let recovered = HealthRecovered {
            container: container(),
            kinds: vec![AnomalyKind::NonZeroExit],
            reason,
            opened_at: self.time(alert),
            lasted_ms: 1,
        };
        let incident = self.incident(alert);
        self.observe(name, recovered, Some(incident));
    }

    fn plan(&mut self, name: &str, alert: &str) {
        let needed = RemediationNeeded {
            container: container(),
            plan: Plan {
                action: RESTART,
                target: container().id,
                policy: ContainerPolicy::default(),
                expires_at: at(self.now + 300),
            },
            severity: Severity::High,
            kinds: vec![AnomalyKind::NonZeroExit],
            verdict: verdict(),
        };
        self.derive(name, alert, Role::Analyzer, needed, 1);
    }

    pub(super) fn alarm(&mut self, name: &str, alert: &str) {
        let alarm = FalseAlarm { container: container(), kinds: Vec::new(), verdict: verdict() };
        self.derive(name, alert, Role::Analyzer, alarm, 0);
    }

    fn start(&mut self, name: &str, plan: &str, attempt: u32) {
        let started = RemediationStarted {
            container: container(),
            plan: self.id(plan),
            action: RESTART,
            target: container().id,
            kinds: Vec::new(),
            run_started_at: None,
            attempt,
            budget: 3,
            probe: false,
            dry_run: false,
        };
        self.derive(name, plan, Role::Responder, started, 0);
    }

    fn finish(&mut self, name: &str, plan: &str) {
        let done = RemediationComplete {
            container: container(),
            plan: self.id(plan),
            action: RESTART,
            outcome: Outcome::Success,
            dry_run: false,
            duration_ms: Some(400),
            run_started_at: None,
            reason: String::new(),
            confidence: 0.9,
        };
        self.derive(name, plan, Role::Responder, done, 0);
    }

    fn verify(&mut self, name: &str, plan: &str) {
        let verified = RemediationVerified {
            container: container(),
            plan: self.id(plan),
            action: ActionKind::Restart,
            verdict: Verification::Verified,
            detail: String::new(),
            state: None,
            health: None,
            elapsed_ms: 1,
        };
        self.derive(name, plan, Role::Responder, verified, 0);
    }

    pub(super) fn notify(&mut self, name: &str, cause: EventId) {
        let mut event = self.event(Role::Alert, told(Channel::Slack).into());
        event.envelope.cause = Some(cause);
        event.envelope.id = derived(&event, 0);
        self.append(name, event);
    }

    pub(super) fn bury(&mut self, name: &str, group: Role, dead: EventId) {
        let letter = DeadLetter {
            stream: "remediation_needed:h1".into(),
            entry: "1-0".into(),
            group,
            event: Some(dead),
            incident: None,
            errors: vec!["no".into()],
            attempts: 5,
            original: std::collections::BTreeMap::new(),
        };
        let event = self.event(group, letter.into());
        self.append(name, event);
    }
}

const RESTART: Action = Action::Restart { stop_timeout_secs: None };

/// The id that follows from the cause of an event and what it says.
fn derived(event: &Event, index: usize) -> EventId {
    let step = Emit { data: event.data.clone(), incident: None }.step();
    let cause = event.envelope.cause.expect("a derived event names its cause");
    EventId::derive(cause, event.envelope.source.role, &step, index)
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
}

pub(super) fn subject() -> Subject {
    "h1/web".parse().unwrap()
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

fn changed() -> ContainerChanged {
    ContainerChanged {
        container: container(),
        change: Change::Died { exit_code: 1 },
        by: Actor::Engine,
        at: at(0),
    }
}

fn verdict() -> Verdict {
    Verdict {
        cause: Cause::ApplicationError,
        confidence: 0.9,
        basis: Basis::Rule { rule: "r".into() },
        cited: Vec::new(),
        reason: String::new(),
    }
}

fn diagnosis() -> Diagnosis {
    Diagnosis {
        container: container(),
        provider: "p".into(),
        model: "m".into(),
        cause: Cause::ApplicationError,
        real_issue: true,
        action: Some(ActionKind::Restart),
        stated_confidence: 0.5,
        cited: Vec::new(),
        explanation: String::new(),
        prompt_digest: String::new(),
        latency_ms: 1,
    }
}

fn told(channel: Channel) -> Notification {
    Notification {
        container: Some(container()),
        kind: NotificationKind::Remediated,
        channel,
        delivery: Delivery::Sent { attempt: 1 },
        dedup_key: String::new(),
    }
}

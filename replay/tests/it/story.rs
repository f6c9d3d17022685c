//! An archive with one incident of one container, whose texts are hostile.

use std::collections::BTreeMap;
use std::path::Path;

use hemostat_agent::log::{EntryId, FIELD_EVENT, FIELD_SEQ, StreamName};
use hemostat_archive::{Archive, Place, PrivateKey, Record, Sealer};
use hemostat_event::{
    Action, ActionKind, Actor, Anomaly, AnomalyKind, Basis, Cause, Change, Channel, ContainerChanged,
    ContainerId, ContainerPolicy, ContainerRef, ContainerSample, Data, Delivery, Envelope, Event, EventId,
    EventType, Evidence, EvidenceItem, EvidenceKind, HealthAlert, HealthRecovered, HostName, IncidentId,
    Notification, NotificationKind, Outcome, Plan, Recovery, RemediationComplete, RemediationNeeded,
    RemediationStarted, RemediationVerified, Role, Sample, Severity, Source, Subject, Timestamp, Verdict,
    Verification, codec,
};

/// Log time of second 0.
pub(super) const START: &str = "2026-11-24T06:00:00Z";
/// What a container writes that wants to be more than text.
pub(super) const HOSTILE: &str = "</pre><script>alert(1)</script>\u{1b}[2J| [x](http://evil.example) ```";

/// The group whose place the heads tell: it has dealt with the outcome of the plan.
pub(super) const DEALT_WITH: &str = "alert remediation_complete";

/// The log in the making.
pub(super) struct Story {
    events: Vec<Event>,
    /// The number of the entry whose body was taken out of the archive.
    taken: Option<u64>,
    /// How many samples stand in a second life of the log.
    anew: u64,
}

impl Story {
    /// Twenty minutes of samples; dies at second 600, is alerted at 602, restarted, verified, and well at 620.
    pub(super) fn told() -> Self {
        let mut story = Self { events: Vec::new(), taken: None, anew: 0 };
        for second in (0..600).step_by(30) {
            story.sample("h1/web", second);
        }
        story.sample("h1/db", 590);
        let incident = IncidentId::opened(&web(), at(600));
        let died = Change::Died { exit_code: 1 };
        let changed =
            ContainerChanged { container: container(), change: died, by: Actor::Engine, at: at(600) };
        story.say(601, Role::Monitor, Some(incident), None, changed);
        let alert = story.say(602, Role::Monitor, Some(incident), None, alert());
        let plan = story.say(603, Role::Analyzer, Some(incident), Some(alert), needed());
        let begun = story.say(604, Role::Responder, Some(incident), Some(plan), started(plan));
        let done = story.say(605, Role::Responder, Some(incident), Some(plan), complete(plan));
        story.say(606, Role::Alert, Some(incident), Some(done), told());
        story.say(615, Role::Responder, Some(incident), Some(begun), verified(plan));
        story.say(620, Role::Monitor, Some(incident), None, recovered());
        for second in (630..1_400).step_by(30) {
            story.sample("h1/web", second);
        }
        story
    }

    /// The same, archived without the body of entry `seq`.
    pub(super) fn without_body_of(self, seq: u64) -> Self {
        Self { taken: Some(seq), ..self }
    }

    /// The same as far as the plan, which is still to be carried out.
    pub(super) fn up_to_the_plan(self) -> Self {
        self.up_to(EventType::RemediationNeeded)
    }

    /// The same as far as the intent.
    pub(super) fn up_to_the_intent(self) -> Self {
        self.up_to(EventType::RemediationStarted)
    }

    /// The same as far as the outcome of the action.
    pub(super) fn up_to_the_action(self) -> Self {
        self.up_to(EventType::RemediationComplete)
    }

    fn up_to(mut self, kind: EventType) -> Self {
        let last = self.events.iter().position(|event| event.event_type() == kind).expect("the story has it");
        self.events.truncate(last + 1);
        for event in &mut self.events {
            if let Data::RemediationNeeded(needed) = &mut event.data {
                needed.plan.expires_at = Timestamp::MAX;
            }
        }
        self
    }

    /// The events of the log.
    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    /// The same, after which the log was lost and began anew, with so many samples.
    pub(super) fn begun_anew(self, samples: u64) -> Self {
        Self { anew: samples, ..self }
    }

    /// Where the entry about an event stands in its stream.
    pub(super) fn place_of(&self, kind: EventType) -> EntryId {
        let seq = self.events.iter().position(|event| event.event_type() == kind).expect("the story has it");
        entry_id(seq as u64 + 1, &self.events[seq])
    }

    /// The id of the incident.
    pub(super) fn incident() -> String {
        IncidentId::opened(&web(), at(600)).to_string()
    }

    /// The id of the plan's event.
    pub(super) fn plan(&self) -> String {
        let plan = self.events.iter().find(|event| matches!(event.data, Data::RemediationNeeded(_)));
        plan.expect("the story has a plan").envelope.id.to_string()
    }

    /// Entries of the log.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Archives the log in three segments, and its second life in another.
    pub(super) fn archive(&self, folder: &Path) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let archive = Archive::open(&Place::Folder(folder.to_owned())).unwrap();
            let key = PrivateKey::generate();
            let mut sealer = Sealer::new(0, None);
            let mut cursors = BTreeMap::new();
            let told = EventType::Notification;
            if self.events.iter().any(|event| event.event_type() == told) {
                cursors
                    .insert(DEALT_WITH.to_owned(), self.place_of(EventType::RemediationComplete).to_string());
            }
            let anew: Vec<_> = (0..self.anew).map(|n| self.sample_anew(n)).collect();
            for (place, event) in self.events.iter().chain(&anew).enumerate() {
                let seq = if place < self.len() { place } else { place - self.len() } as u64 + 1;
                let whole = record(seq, event);
                let is_taken = place < self.len() && self.taken == Some(whole.seq);
                sealer.push(&if is_taken { whole.without_body() } else { whole });
                if [10, 22].contains(&place) || [self.len(), self.len() + anew.len()].contains(&(place + 1)) {
                    let sealed = sealer.seal(&key, cursors.clone(), 0, "test").unwrap();
                    assert!(archive.publish(sealed.object, &sealed.head, &key).await.unwrap());
                    sealer.published(sealed.head);
                }
            }
        });
    }

    /// A sample of the second life, the day after.
    fn sample_anew(&self, n: u64) -> Event {
        let mut event = self.events[0].clone();
        event.envelope.time = at(86_400 + n);
        event
    }

    fn sample(&mut self, subject: &str, second: u64) {
        let sample = Sample {
            cpu_percent: Some(20.0 + (second % 70) as f64),
            memory_bytes: Some((100 + second) << 20),
            memory_limit_bytes: Some(2_048 << 20),
            ..Sample::default()
        };
        let data = ContainerSample { container: container(), sample, gap: None };
        self.say_about(subject.parse().unwrap(), second, Role::Monitor, None, None, data.into());
    }

    fn say(
        &mut self,
        second: u64,
        role: Role,
        incident: Option<IncidentId>,
        cause: Option<EventId>,
        data: impl Into<Data>,
    ) -> EventId {
        self.say_about(web(), second, role, incident, cause, data.into())
    }

    fn say_about(
        &mut self,
        subject: Subject,
        second: u64,
        role: Role,
        incident: Option<IncidentId>,
        cause: Option<EventId>,
        data: Data,
    ) -> EventId {
        let id = EventId::observed(&subject, role, at(second), self.events.len());
        let envelope = Envelope {
            id,
            source: Source { role, instance: "one".into() },
            time: at(second),
            host: HostName::new("h1").unwrap(),
            subject: Some(subject),
            incident,
            cause,
            traceparent: None,
        };
        self.events.push(Event { envelope, data });
        id
    }
}

fn record(seq: u64, event: &Event) -> Record {
    let fields = [(FIELD_SEQ, seq.to_string().into_bytes()), (FIELD_EVENT, codec::encode(event))];
    Record::read(StreamName::of(event), entry_id(seq, event), &fields, [7; 16]).expect("it has a number")
}

fn entry_id(seq: u64, event: &Event) -> EntryId {
    EntryId { ms: event.envelope.time.millis(), n: seq }
}

fn at(second: u64) -> Timestamp {
    Timestamp::parse(START).unwrap() + std::time::Duration::from_secs(second)
}

fn web() -> Subject {
    "h1/web".parse().unwrap()
}

fn container() -> ContainerRef {
    let id = ContainerId::new("ab".repeat(32)).unwrap();
    ContainerRef { id, name: "web".into(), image: "<img src=x>".into(), project: None, service: None }
}

fn alert() -> HealthAlert {
    let anomaly = Anomaly {
        kind: AnomalyKind::NonZeroExit,
        severity: Severity::High,
        actual: Some(1.0),
        threshold: None,
        since: at(600),
        detail: "ended with exit code 1".into(),
    };
    let text = format!("starting\n{HOSTILE}\nfatal: no database");
    let items = vec![EvidenceItem { id: "log".into(), kind: EvidenceKind::LogTail, text }];
    HealthAlert {
        container: container(),
        severity: Severity::High,
        anomalies: vec![anomaly],
        sample: Sample::default(),
        opened_at: at(600),
        engine_event_at: Some(at(600)),
        deaths_recent: 1,
        engine_restarts: false,
        evidence: Evidence { items, ..Evidence::default() },
        policy: ContainerPolicy::default(),
    }
}

fn needed() -> RemediationNeeded {
    let policy = ContainerPolicy::default();
    RemediationNeeded {
        container: container(),
        plan: Plan { action: restart(), target: container().id, policy, expires_at: at(900) },
        severity: Severity::High,
        kinds: vec![AnomalyKind::NonZeroExit],
        verdict: Verdict {
            cause: Cause::ApplicationError,
            confidence: 0.85,
            basis: Basis::Rule { rule: "exit_code".into() },
            cited: vec!["log".into()],
            reason: format!("it said {HOSTILE}"),
        },
    }
}

fn restart() -> Action {
    Action::Restart { stop_timeout_secs: None }
}

fn started(plan: EventId) -> RemediationStarted {
    RemediationStarted {
        container: container(),
        plan,
        action: restart(),
        target: container().id,
        kinds: vec![AnomalyKind::NonZeroExit],
        run_started_at: None,
        attempt: 1,
        budget: 3,
        probe: false,
        dry_run: false,
    }
}

fn complete(plan: EventId) -> RemediationComplete {
    RemediationComplete {
        container: container(),
        plan,
        action: restart(),
        outcome: Outcome::Success,
        dry_run: false,
        duration_ms: Some(412),
        run_started_at: Some(at(605)),
        reason: "because".into(),
        confidence: 0.85,
    }
}

fn told() -> Notification {
    Notification {
        container: Some(container()),
        kind: NotificationKind::Remediated,
        channel: Channel::Slack,
        delivery: Delivery::Sent { attempt: 1 },
        dedup_key: "h1/web/remediated@605".into(),
    }
}

fn verified(plan: EventId) -> RemediationVerified {
    RemediationVerified {
        container: container(),
        plan,
        action: ActionKind::Restart,
        verdict: Verification::Verified,
        detail: "it runs".into(),
        state: None,
        health: None,
        elapsed_ms: 11_000,
    }
}

fn recovered() -> HealthRecovered {
    HealthRecovered {
        container: container(),
        kinds: vec![AnomalyKind::NonZeroExit],
        reason: Recovery::Cleared,
        opened_at: at(600),
        lasted_ms: 20_000,
    }
}

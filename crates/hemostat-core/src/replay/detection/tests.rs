use std::time::Duration;

use hemostat_event::{
    Change, Channel, Command, ContainerChanged, ContainerPolicy, ContainerSample, HealthAlert,
    HealthRecovered, Mode, Recovery, RunState, cloudevents,
};

use super::*;

/// A log about one container that is measured every 30 s, beside what the monitor of the default settings says of it.
struct Log {
    envelope: Envelope,
    measured: ContainerSample,
    now: Timestamp,
    recorded: Again,
    events: Vec<Event>,
}

impl Log {
    fn new() -> Self {
        let example = include_str!("../../../../../schemas/v1/examples/container_sample.json");
        let example = cloudevents::from_json(&serde_json::from_str(example).unwrap()).unwrap();
        let Data::ContainerSample(measured) = example.data else { panic!("it is a sample") };
        let now = Timestamp::from_millis(1_700_000_000_000);
        let recorded = Again::new(Rules::default().monitor);
        let mut log = Self { envelope: example.envelope, measured, now, recorded, events: Vec::new() };
        let change = |change| ContainerChanged {
            container: log.measured.container.clone(),
            change,
            by: hemostat_event::Actor::Engine,
            at: now,
        };
        let discovered = change(Change::Discovered { state: RunState::Running });
        log.push(discovered.into(), None);
        log
    }

    fn push(&mut self, data: Data, incident: Option<IncidentId>) -> Event {
        let subject = self.envelope.subject.clone().unwrap();
        let id = EventId::observed(&subject, Role::Monitor, self.now, self.events.len());
        let envelope = Envelope { id, time: self.now, incident, ..self.envelope.clone() };
        let event = Event { envelope, data };
        self.events.push(event.clone());
        for emit in self.recorded.event(&event) {
            self.push(emit.data, emit.incident);
        }
        event
    }

    /// So many measurements of this CPU share.
    fn cpu(mut self, percent: f64, samples: usize) -> Self {
        for _sample in 0..samples {
            self.now = self.now + Duration::from_secs(30);
            let mut measured = self.measured.clone();
            measured.sample.state = RunState::Running;
            measured.sample.health = hemostat_event::Health::None;
            measured.sample.cpu_percent = Some(percent);
            measured.sample.started_at = None;
            measured.sample.memory_percent = Some(10.0);
            self.push(ContainerSample { gap: None, ..measured }.into(), None);
        }
        self
    }

    /// An alert of an incident that is over at once, from which the labels of the container are known.
    fn once_alerted(mut self, mode: Mode) -> Self {
        let example = include_str!("../../../../../schemas/v1/examples/health_alert.json");
        let alert = cloudevents::from_json(&serde_json::from_str(example).unwrap()).unwrap();
        let Data::HealthAlert(alert) = alert.data else { panic!("it is an alert") };
        let id = Some(IncidentId::opened(self.envelope.subject.as_ref().unwrap(), self.now));
        let policy = ContainerPolicy { mode, ..Default::default() };
        let (container, opened_at) = (self.measured.container.clone(), self.now);
        self.push(HealthAlert { container: container.clone(), opened_at, policy, ..alert }.into(), id);
        let recovered = HealthRecovered {
            container,
            kinds: vec![AnomalyKind::NonZeroExit],
            reason: Recovery::Cleared,
            opened_at,
            lasted_ms: 0,
        };
        self.push(recovered.into(), id);
        self
    }

    fn under(&self, change: impl FnOnce(&mut Rules)) -> Found {
        let mut rules = Rules::default();
        rules.alerter.settings.channels = vec![Channel::Terminal];
        change(&mut rules);
        let mut detection = Detection::new(rules);
        for (seq, event) in (1..).zip(&self.events) {
            detection.event(Position { partition: 0, seq }, event);
        }
        detection.finish()
    }
}

fn cpu_at(percent: f64) -> impl Fn(&mut Rules) {
    move |rules| rules.monitor.cpu = rules.monitor.cpu.firing_at(percent)
}

fn followed(found: &Found) -> Vec<String> {
    followed_of(found.detected.iter().find(|incident| found.new.contains(&incident.incident)).unwrap())
}

fn followed_of(incident: &Incident) -> Vec<String> {
    incident.followed.iter().map(|data| data.event_type().to_string()).collect()
}

#[test]
fn the_same_settings_detect_the_same() {
    let log = Log::new().cpu(40.0, 10).cpu(99.0, 10).cpu(40.0, 10);
    let found = log.under(|_| {});
    assert_eq!(found.recorded.len(), 1);
    let mut detected = found.detected.clone();
    detected[0].is_policy_known = true;
    assert_eq!(found.recorded, detected);
    assert!(followed_of(&found.detected[0]).is_empty(), "what followed is in the log");
    assert_eq!((found.gone.len(), found.new.len()), (0, 0));
}

#[test]
fn a_higher_level_detects_less() {
    let log = Log::new().cpu(40.0, 10).cpu(90.0, 10).cpu(40.0, 10);
    let found = log.under(cpu_at(95.0));
    assert_eq!(found.gone, [found.recorded[0].incident]);
    assert_eq!((found.detected.len(), found.new.len()), (0, 0));
}

#[test]
fn a_lower_level_finds_the_same_incident_earlier() {
    let log = Log::new().cpu(60.0, 10).cpu(99.0, 10).cpu(10.0, 10);
    let found = log.under(cpu_at(50.0));
    assert!(found.detected[0].opened_at < found.recorded[0].opened_at);
    assert_eq!((found.gone.len(), found.new.len()), (0, 0));
}

#[test]
fn what_is_new_is_followed_as_far_as_the_labels_allow() {
    let auto = Log::new().once_alerted(Mode::Auto).cpu(10.0, 10).cpu(84.0, 10).cpu(10.0, 10);
    let acted = auto.under(cpu_at(70.0));
    let steps = followed(&acted);
    for step in ["remediation_needed", "remediation_started", "remediation_complete", "remediation_verified"]
    {
        assert_eq!(steps.iter().filter(|name| *name == step).count(), 1, "{step} in {steps:?}");
    }
    assert!(steps.contains(&"notification".to_owned()), "{steps:?}");

    let observed = Log::new().once_alerted(Mode::Observe).cpu(10.0, 10).cpu(84.0, 10).cpu(10.0, 10);
    let refused = observed.under(cpu_at(70.0));
    assert!(!followed(&refused).contains(&"remediation_started".to_owned()), "{:?}", followed(&refused));
    assert!(refused.detected.iter().all(|incident| incident.is_policy_known));
}

#[test]
fn where_the_labels_are_not_known_nothing_is_done() {
    let log = Log::new().cpu(10.0, 10).cpu(84.0, 10).cpu(10.0, 10);
    let found = log.under(cpu_at(70.0));
    assert!(!found.detected[0].is_policy_known);
    assert!(followed(&found).contains(&"remediation_needed".to_owned()));
    assert!(!followed(&found).contains(&"remediation_started".to_owned()));
}

#[test]
fn budgets_are_spent_by_what_was_and_by_what_would_have_been() {
    let mut log = Log::new().once_alerted(Mode::Auto);
    for _burst in 0..3 {
        log = log.cpu(10.0, 10).cpu(84.0, 10);
    }
    let found = log.under(|rules| {
        cpu_at(70.0)(rules);
        rules.responder.policy.cooldown = Duration::from_secs(1);
        rules.responder.policy.budget = 2;
    });
    let started = found.detected.iter().flat_map(|incident| &incident.followed);
    let started = started.filter(|data| matches!(data, Data::RemediationStarted(_))).count();
    assert_eq!((found.new.len(), started), (3, 2));
}

#[test]
fn an_alert_that_was_redriven_is_the_same_alert() {
    let mut log = Log::new().cpu(40.0, 10).cpu(99.0, 3);
    let is_alert = |event: &&Event| matches!(event.data, Data::HealthAlert(_));
    let alert = log.events.iter().find(is_alert).unwrap().clone();
    let example = include_str!("../../../../../schemas/v1/examples/operator_command.json");
    let mut order = cloudevents::from_json(&serde_json::from_str(example).unwrap()).unwrap();
    let Data::OperatorCommand(command) = &mut order.data else { panic!("it is an order") };
    command.command = Command::Redrive { event: alert.envelope.id };
    log.events.extend([order, alert]);
    assert_eq!(log.under(|_| {}).recorded[0].alerts, 1);
}

//! Logs that the real roles write, whatever the world does: not one of them breaks a promise.

use std::time::Duration;

use hemostat_event::cloudevents::Position;
use hemostat_event::{
    Data, Envelope, Event, EventId, Health, HostName, Mode, Role, RunState, Sample, Source, Subject,
    Timestamp,
};
use proptest::prelude::*;

use super::story::{at, container, subject};
use crate::detect::{self, Observation, Observed, Watch};
use crate::diagnose::{Analyzer, Settings};
use crate::engine::{EngineEventKind, Inspection};
use crate::invariant::{Folds, Invariant, Scope, Violation, check};
use crate::remediate::{self, Effect, Policy, Responder, Seen};
use crate::role::{Decide, Emit, First, Input, Then, Timer};

/// What happens next in the world.
#[derive(Debug, Clone)]
enum Step {
    /// So many seconds pass, and this is seen.
    See(u64, Box<Observed>),
    /// How the engine answers from now on.
    Engine(Answer),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Obeys,
    Refuses,
    IsAway,
    SaysNothing,
}

/// Monitor, analyzer and responder on one container, each with its state, over a log in memory.
struct World {
    now: Timestamp,
    answer: Answer,
    inspection: Inspection,
    watch: Watch,
    monitor: detect::State,
    analyzer: (Analyzer, <Analyzer as Decide>::State),
    responder: (Responder, <Responder as Decide>::State),
    log: Vec<(Position, Event)>,
    timers: Vec<Timer>,
    acknowledged: Vec<(Role, EventId)>,
}

impl World {
    fn new() -> Self {
        let policy = Policy { cooldown: Duration::from_secs(60), budget: 2, ..Policy::default() };
        Self {
            now: at(0),
            answer: Answer::Obeys,
            inspection: Inspection {
                name: "web".into(),
                state: RunState::Running,
                started_at: Some(at(0)),
                ..Inspection::default()
            },
            watch: Watch::new(),
            monitor: detect::State::default(),
            analyzer: (Analyzer { settings: Settings::default() }, Default::default()),
            responder: (Responder { policy }, Default::default()),
            log: Vec::new(),
            timers: Vec::new(),
            acknowledged: Vec::new(),
        }
    }

    fn run(mut self, steps: Vec<Step>) -> Self {
        for step in steps {
            match step {
                Step::Engine(answer) => self.answer = answer,
                Step::See(seconds, observed) => {
                    self.now = self.now + Duration::from_secs(seconds);
                    self.timers_due();
                    self.see(&observed);
                }
            }
        }
        self
    }

    fn append(&mut self, event: Event) {
        let seq = self.log.len() as u64 + 1;
        self.log.push((Position { partition: 0, seq }, event));
    }

    fn see(&mut self, observed: &Observed) {
        match observed {
            Observed::Engine(EngineEventKind::Start) => {
                self.inspection.state = RunState::Running;
                self.inspection.started_at = Some(self.now);
                self.inspection.health = Health::Starting;
            }
            Observed::Engine(EngineEventKind::Die { exit_code }) => {
                self.inspection.state = RunState::Exited;
                self.inspection.exit_code = Some(*exit_code);
            }
            Observed::Engine(EngineEventKind::Health(health)) => self.inspection.health = *health,
            _ => {}
        }
        let settings = detect::Settings::default();
        self.watch.take_in(&settings, observed, self.now);
        let observation = Observation {
            container: &container(),
            inspection: &self.inspection,
            policy: &hemostat_event::ContainerPolicy { mode: Mode::Auto, ..Default::default() },
            observed,
            at: self.now,
            engine_event_at: None,
        };
        let emits = detect::decide(&settings, &subject(), &self.monitor, &self.watch, &observation);
        for (index, emit) in emits.into_iter().enumerate() {
            let place = self.log.len() * 16 + index;
            let id = EventId::observed(&subject(), Role::Monitor, self.now, place);
            let event = event(Role::Monitor, self.now, id, None, emit);
            detect::fold(&mut self.monitor, &event);
            self.append(event.clone());
            if matches!(event.data, Data::HealthAlert(_)) {
                self.analyze(&event);
            }
        }
    }

    fn analyze(&mut self, alert: &Event) {
        let (role, state) = &mut self.analyzer;
        let decision = role.decide(&subject(), state, Input::Event(alert), self.now);
        assert!(matches!(decision.then, Then::Acknowledge));
        let cause = alert.envelope.id;
        self.acknowledged.push((Role::Analyzer, cause));
        for event in derived::<Analyzer>(cause, decision.emit, self.now) {
            Analyzer::fold(&mut self.analyzer.1, &event);
            self.append(event.clone());
            if matches!(event.data, Data::RemediationNeeded(_)) {
                self.respond(First::Event(&event));
            }
        }
    }

    fn timers_due(&mut self) {
        while let Some(place) = self.timers.iter().position(|timer| timer.due <= self.now) {
            let timer = self.timers.remove(place);
            self.respond(First::Timer(&timer));
        }
    }

    /// What the run loop does with an input, up to its acknowledgement.
    fn respond(&mut self, first: First<'_>) {
        let mut outcome = None;
        let mut attempt = 1;
        for _decision in 0..40 {
            let input = match (outcome.take(), first) {
                (Some(outcome), first) => Input::Outcome { first, attempt, outcome },
                (None, First::Event(event)) => Input::Event(event),
                (None, First::Timer(timer)) => Input::Timer(timer),
            };
            let decision = self.responder.0.decide(&subject(), &self.responder.1, input, self.now);
            self.timers.extend(decision.timers);
            for event in derived::<Responder>(first.cause(), decision.emit, self.now) {
                Responder::fold(&mut self.responder.1, &event);
                self.append(event);
            }
            match decision.then {
                Then::Acknowledge => {
                    if let First::Event(event) = first {
                        self.acknowledged.push((Role::Responder, event.envelope.id));
                    }
                    return;
                }
                Then::Perform(effect) => outcome = Some(self.perform(&effect)),
                Then::Retry(after) => {
                    self.now = self.now + after.unwrap_or_default();
                    attempt += 1;
                }
            }
        }
        panic!("the responder comes to no end");
    }

    fn perform(&mut self, effect: &Effect) -> remediate::Outcome {
        let error = || "no answer".to_owned();
        match (effect, self.answer) {
            (Effect::Inspect { .. }, Answer::IsAway) => remediate::Outcome::Unreachable { error: error() },
            (Effect::Inspect { .. }, _) => remediate::Outcome::Seen(Box::new(Seen {
                inspection: self.inspection.clone(),
                sample: Some(sample(self.inspection.state, Some(1.0))),
            })),
            (Effect::Act { .. }, Answer::Refuses) => remediate::Outcome::Failed { error: error() },
            (Effect::Act { .. }, Answer::IsAway | Answer::SaysNothing) => {
                if self.answer == Answer::SaysNothing {
                    self.restart();
                }
                remediate::Outcome::Unclear { error: error() }
            }
            (Effect::Act { .. }, Answer::Obeys) => {
                self.restart();
                let run_started_at = self.inspection.started_at;
                remediate::Outcome::Done { took: Duration::from_millis(300), run_started_at }
            }
        }
    }

    fn restart(&mut self) {
        self.inspection.state = RunState::Running;
        self.inspection.started_at = Some(self.now);
    }

    fn broken(&self) -> Vec<Violation> {
        let scope = Scope { budget: Some(2), ..Scope::default() };
        let log = self.log.iter().map(|(position, event)| (*position, event));
        check(&scope, log, self.acknowledged.iter().copied())
    }
}

/// The events of a decision, as the run loop completes them.
fn derived<D: Decide>(cause: EventId, emit: Vec<Emit>, now: Timestamp) -> Vec<Event> {
    let complete = |(index, emit): (usize, Emit)| {
        let id = EventId::derive(cause, D::ROLE, &emit.step(), index);
        event(D::ROLE, now, id, Some(cause), emit)
    };
    emit.into_iter().enumerate().map(complete).collect()
}

fn event(role: Role, time: Timestamp, id: EventId, cause: Option<EventId>, emit: Emit) -> Event {
    Event {
        envelope: Envelope {
            id,
            source: Source { role, instance: format!("{role}-1") },
            time,
            host: HostName::new("h1").unwrap(),
            subject: Some(subject()),
            incident: emit.incident,
            cause,
            traceparent: None,
        },
        data: emit.data,
    }
}

fn sample(state: RunState, cpu_percent: Option<f64>) -> Sample {
    Sample { state, cpu_percent, ..Sample::default() }
}

fn any_step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        3 => prop_oneof![Just(0), Just(1), Just(127), Just(137), Just(139)]
            .prop_map(|exit_code| EngineEventKind::Die { exit_code }),
        3 => Just(EngineEventKind::Start),
        1 => Just(EngineEventKind::Kill { signal: 15 }),
        1 => Just(EngineEventKind::Oom),
        1 => Just(EngineEventKind::Health(Health::Unhealthy)),
        1 => Just(EngineEventKind::Health(Health::Healthy)),
        1 => Just(EngineEventKind::Pause),
        1 => Just(EngineEventKind::Unpause),
        1 => Just(EngineEventKind::Destroy),
    ];
    let state = prop_oneof![3 => Just(RunState::Running), 1 => Just(RunState::Exited)];
    let measured = (state, proptest::option::of(0.0..120.0f64))
        .prop_map(|(state, cpu)| Observed::Sample(sample(state, cpu)));
    let observed =
        prop_oneof![3 => kind.prop_map(Observed::Engine), 4 => measured, 1 => Just(Observed::Gone)];
    let answer = prop_oneof![
        2 => Just(Answer::Obeys),
        1 => Just(Answer::Refuses),
        1 => Just(Answer::IsAway),
        1 => Just(Answer::SaysNothing),
    ];
    prop_oneof![9 => (0u64..900, observed).prop_map(|(wait, seen)| Step::See(wait, Box::new(seen))), 1 => answer.prop_map(Step::Engine)]
}

/// It dies, is started again and shows that it runs.
fn died(wait: u64) -> [Step; 3] {
    let see = |wait, observed| Step::See(wait, Box::new(observed));
    [
        see(wait, Observed::Engine(EngineEventKind::Die { exit_code: 1 })),
        see(1, Observed::Engine(EngineEventKind::Start)),
        see(70, Observed::Sample(sample(RunState::Running, Some(1.0)))),
    ]
}

/// A container that dies again and again, three times within ten minutes included.
fn busy() -> World {
    let waits = [30, 1_000, 700, 20, 20, 20, 4_000, 90];
    World::new().run(waits.into_iter().flat_map(died).collect())
}

#[test]
fn the_roles_act_and_verify_in_these_logs() {
    let world = busy();
    let count =
        |name: &str| world.log.iter().filter(|(_, event)| event.event_type().as_str() == name).count();
    assert!(2 <= count("remediation_started"), "the property below would hold of an empty log too");
    assert!(2 <= count("remediation_verified"));
    assert!(1 <= count("health_recovered"));
    assert_eq!(world.broken(), []);
}

#[test]
fn stored_states_are_the_folds_of_the_log() {
    let world = busy();
    assert_eq!(folds_of(&world, |_, _| {}), []);
}

#[test]
fn a_state_that_is_no_fold_is_found() {
    // A lost event, a version too high, a state of somewhere else: each is found for each role.
    let world = busy();
    for role in [Role::Monitor, Role::Analyzer, Role::Responder] {
        let lost = world.log.iter().rposition(|(_, event)| event.envelope.source.role == role);
        let lost = lost.expect("every role has spoken");
        let mut damaged = busy();
        damaged.log.remove(lost);
        let found = folds_of(&damaged, |_, _| {});
        assert!(
            found.iter().any(|violation| violation.invariant == Invariant::StateIsFold),
            "an event of the {role} is lost"
        );
        let found = folds_of(&world, |of, version| *version += u64::from(of == role));
        assert_eq!(found.len(), 1, "the version of the {role} is too high: {found:?}");
    }
    let mut folds = Folds::of::<Responder>();
    folds.expect(subject(), 0, world.responder.1.clone());
    assert_eq!(folds.finish().len(), 1, "a state that no event has made");
    let mut folds = Folds::of::<Analyzer>();
    folds.expect(subject(), 1, Default::default());
    for (position, event) in &world.log {
        folds.event(*position, event);
    }
    assert_eq!(folds.finish().len(), 1, "the state at version 1 is another");
}

#[test]
fn a_fold_passes_over_events_of_other_roles_and_containers() {
    let world = busy();
    let mut folds = Folds::of::<Responder>();
    for (position, event) in &world.log {
        folds.event(*position, event);
    }
    let (version, state) = folds.state(&subject()).expect("the responder has acted");
    assert_eq!(*state, world.responder.1);
    assert_eq!(version, written_by(&world, Role::Responder));
    let other: Subject = "h1/other".parse().unwrap();
    assert!(folds.state(&other).is_none());
}

/// Expects the states of the end at the number of events of each role, changed by `change`.
fn folds_of(world: &World, change: impl Fn(Role, &mut u64)) -> Vec<Violation> {
    let whole = busy();
    let version = |role| {
        let mut version = written_by(&whole, role);
        change(role, &mut version);
        version
    };
    let mut monitor = Folds::of_monitor();
    let mut analyzer = Folds::of::<Analyzer>();
    let mut responder = Folds::of::<Responder>();
    monitor.expect(subject(), version(Role::Monitor), whole.monitor.clone());
    analyzer.expect(subject(), version(Role::Analyzer), whole.analyzer.1.clone());
    responder.expect(subject(), version(Role::Responder), whole.responder.1.clone());
    for (position, event) in &world.log {
        monitor.event(*position, event);
        analyzer.event(*position, event);
        responder.event(*position, event);
    }
    [monitor.finish(), analyzer.finish(), responder.finish()].concat()
}

fn written_by(world: &World, role: Role) -> u64 {
    world.log.iter().filter(|(_, event)| event.envelope.source.role == role).count() as u64
}

proptest! {
    #[test]
    fn whatever_the_world_does_no_promise_is_broken(
        steps in proptest::collection::vec(any_step(), 1..80)
    ) {
        let world = World::new().run(steps);
        prop_assert_eq!(world.broken(), vec![]);
        let mut folds = Folds::of_monitor();
        for (position, event) in &world.log {
            folds.event(*position, event);
        }
        if let Some((_, state)) = folds.state(&subject()) {
            prop_assert_eq!(state, &world.monitor);
        }
    }
}

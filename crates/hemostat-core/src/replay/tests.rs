use std::collections::VecDeque;
use std::time::Duration;

use hemostat_event::cloudevents;
use hemostat_event::{
    Anomaly, AnomalyKind, Envelope, Health, HealthAlert, IncidentId, Rejection, RunState, Severity,
    Verification,
};

use super::*;
use crate::engine::Inspection;
use crate::notify::Answer as Delivered;
use crate::remediate::{Outcome, Seen};
use crate::role::Timer;

/// The loop in one place: what the roles decide under these rules, with the world's answers given.
struct Play {
    rules: Rules,
    analyzer: States<Analyzer>,
    responder: States<Responder>,
    alerter: States<Alerter>,
    log: Vec<(Position, Event)>,
    now: Timestamp,
}

impl Play {
    fn new() -> Self {
        let mut rules = Rules::default();
        rules.alerter.settings.channels = vec![Channel::Terminal];
        Self {
            rules,
            analyzer: BTreeMap::new(),
            responder: BTreeMap::new(),
            alerter: BTreeMap::new(),
            log: Vec::new(),
            now: Timestamp::from_millis(1_700_000_000_000),
        }
    }

    fn later(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now + Duration::from_secs(seconds);
        self
    }

    fn push(&mut self, event: Event) -> Event {
        let seq = self.log.len() as u64 + 1;
        self.log.push((Position { partition: 0, seq }, event.clone()));
        event
    }

    /// An alert with these symptoms, in an incident of its own.
    fn alert(&mut self, kinds: &[AnomalyKind], change: impl FnOnce(&mut HealthAlert)) -> Event {
        let example = include_str!("../../../../schemas/v1/examples/health_alert.json");
        let example: serde_json::Value = serde_json::from_str(example).unwrap();
        let mut event = cloudevents::from_json(&example).unwrap();
        let Data::HealthAlert(alert) = &mut event.data else { panic!("it is an alert") };
        alert.anomalies = kinds.iter().map(|kind| anomaly(*kind, self.now)).collect();
        alert.engine_restarts = false;
        alert.sample.oom_killed = false;
        alert.sample.exit_code = Some(1);
        (alert.sample.state, alert.sample.health) = match kinds {
            [AnomalyKind::NonZeroExit] => (RunState::Exited, Health::None),
            _ => (RunState::Running, Health::Unhealthy),
        };
        change(alert);
        let subject = event.envelope.subject.clone().unwrap();
        event.envelope = Envelope {
            id: EventId::observed(&subject, Role::Monitor, self.now, 0),
            incident: Some(IncidentId::opened(&subject, self.now)),
            time: self.now,
            ..event.envelope
        };
        self.push(event)
    }

    fn analyze(&mut self, alert: &Event) -> Event {
        let rules = self.rules.analyzer.clone();
        let mut states = std::mem::take(&mut self.analyzer);
        let written = self.deal(&rules, &mut states, First::Event(alert), vec![]);
        self.analyzer = states;
        written.into_iter().next_back().unwrap()
    }

    fn respond(&mut self, first: First<'_>, answers: Vec<Outcome>) -> Vec<Event> {
        let rules = self.rules.responder.clone();
        let mut states = std::mem::take(&mut self.responder);
        let written = self.deal(&rules, &mut states, first, answers);
        self.responder = states;
        written
    }

    fn tell(&mut self, event: &Event, answers: Vec<Delivered>) -> Vec<Event> {
        let rules = self.rules.alerter.clone();
        let answers =
            answers.into_iter().map(|answer| notify::Outcome::Answered([(Channel::Terminal, answer)].into()));
        let mut states = std::mem::take(&mut self.alerter);
        let written = self.deal(&rules, &mut states, First::Event(event), answers.collect());
        self.alerter = states;
        written
    }

    fn deal<D: Decide>(
        &mut self,
        role: &D,
        states: &mut BTreeMap<Subject, D::State>,
        first: First<'_>,
        answers: Vec<D::Outcome>,
    ) -> Vec<Event> {
        let (mut written, mut answers) = (Vec::new(), VecDeque::from(answers));
        let input = match first {
            First::Event(event) => event.clone(),
            First::Timer(timer) => {
                self.log.iter().find(|(_, event)| event.envelope.id == timer.cause).unwrap().1.clone()
            }
        };
        let subject = input.envelope.subject.clone().unwrap();
        let mut next = match first {
            First::Event(event) => Input::Event(event),
            First::Timer(timer) => Input::Timer(timer),
        };
        loop {
            let state = states.entry(subject.clone()).or_default();
            let decision = role.decide(&subject, state, next, self.now);
            for (index, emit) in decision.emit.into_iter().enumerate() {
                let envelope = Envelope {
                    id: EventId::derive(input.envelope.id, D::ROLE, &emit.step(), index),
                    source: Source { role: D::ROLE, instance: "one".to_owned() },
                    time: self.now,
                    incident: emit.incident,
                    cause: Some(input.envelope.id),
                    ..input.envelope.clone()
                };
                let event = self.push(Event { envelope, data: emit.data });
                D::fold(states.get_mut(&subject).unwrap(), &event);
                written.push(event);
            }
            let Then::Perform(_) = decision.then else { return written };
            let Some(outcome) = answers.pop_front() else { return written };
            self.later(1);
            next = Input::Outcome { first, attempt: 1, outcome };
        }
    }

    /// What comes of deciding again by other rules.
    fn again(&self, rules: Rules) -> (Vec<(Position, Told)>, Replay) {
        let mut replay = Replay::new(rules);
        let mut told: Vec<_> =
            self.log.iter().filter_map(|(position, event)| replay.event(*position, event)).collect();
        told.extend(replay.finish());
        (told, replay)
    }

    fn differences(&self, rules: Rules) -> Vec<Difference> {
        let different = |(_, told)| match told {
            Told::Different(difference) => Some(*difference),
            Told::Same | Told::Untold(_) => None,
        };
        self.again(rules).0.into_iter().filter_map(different).collect()
    }

    /// A container that crashed, was restarted, runs, and everybody was told of it.
    fn healed() -> Self {
        let mut play = Self::new();
        let alert = play.alert(&[AnomalyKind::NonZeroExit], |_| {});
        let plan = play.analyze(&alert);
        let answers = vec![seen(RunState::Exited, Health::None), done()];
        let ended = play.respond(First::Event(&plan), answers);
        assert_eq!(ended.len(), 2, "an intent and an outcome: {ended:#?}");
        play.tell(&ended[1], vec![Delivered::Delivered]);
        let timer = verify(&play.later(60).now, &plan);
        let verdict = play.respond(First::Timer(&timer), vec![seen(RunState::Running, Health::None)]);
        assert!(
            matches!(&verdict[0].data, Data::RemediationVerified(verified) if verified.verdict == Verification::Verified)
        );
        play.tell(&verdict[0], vec![Delivered::Delivered]);
        play
    }
}

fn anomaly(kind: AnomalyKind, since: Timestamp) -> Anomaly {
    Anomaly {
        kind,
        severity: Severity::High,
        detail: "as it was".to_owned(),
        since,
        actual: None,
        threshold: None,
    }
}

fn seen(state: RunState, health: Health) -> Outcome {
    let exit_code = (state == RunState::Exited).then_some(1);
    Outcome::Seen(Box::new(Seen {
        inspection: Inspection { state, health, exit_code, ..Inspection::default() },
        sample: None,
    }))
}

fn done() -> Outcome {
    Outcome::Done { took: Duration::from_millis(150), run_started_at: None }
}

fn verify(due: &Timestamp, plan: &Event) -> Timer {
    Timer {
        subject: plan.envelope.subject.clone().unwrap(),
        name: crate::remediate::VERIFY.to_owned(),
        cause: plan.envelope.id,
        due: *due,
    }
}

#[test]
fn the_same_rules_decide_the_same() {
    let play = Play::healed();
    let (told, replay) = play.again(Rules::default());
    assert_eq!(told.len(), 6, "{told:#?}");
    assert!(told.iter().all(|(_, told)| *told == Told::Same), "{told:#?}");
    let exercised: Vec<_> = replay.coverage().rules().into_iter().filter(|rule| 0 < rule.times).collect();
    let rules: Vec<_> = exercised.iter().map(|rule| rule.rule.as_str()).collect();
    assert_eq!(rules, ["application_error", "started", "success", "verified", "sent"]);
    assert!(replay.coverage().rules().iter().any(|rule| rule.rule == "memory_leak" && rule.times == 0));
}

#[test]
fn refusals_failures_and_repetitions_are_decided_again() {
    let mut play = Play::healed();
    // Within the cooldown.
    let alert = play.later(30).alert(&[AnomalyKind::NonZeroExit], |_| {});
    let plan = play.analyze(&alert);
    let refused = play.respond(First::Event(&plan), vec![]);
    assert!(matches!(
        &refused[0].data,
        Data::RemediationComplete(complete) if matches!(complete.outcome, hemostat_event::Outcome::Rejected { rejection: Rejection::CooldownActive, .. })
    ));
    play.tell(&refused[0], vec![Delivered::Refused { error: "no".to_owned() }]);
    // The engine refuses.
    let alert = play.later(4_000).alert(&[AnomalyKind::UnhealthyStatus], |_| {});
    let plan = play.analyze(&alert);
    let failed = Outcome::Failed { error: "no such thing".to_owned() };
    let ended = play.respond(First::Event(&plan), vec![seen(RunState::Running, Health::Unhealthy), failed]);
    assert_eq!(ended.len(), 2);
    // It is gone.
    let alert = play.later(8_000).alert(&[AnomalyKind::UnhealthyStatus], |_| {});
    let plan = play.analyze(&alert);
    assert_eq!(play.respond(First::Event(&plan), vec![Outcome::Gone]).len(), 1);
    let (told, _) = play.again(Rules::default());
    assert!(told.iter().all(|(_, told)| *told == Told::Same), "{told:#?}");
}

#[test]
fn what_the_engine_showed_and_nobody_wrote_down_is_not_judged() {
    let mut play = Play::new();
    let alert = play.alert(&[AnomalyKind::NonZeroExit], |_| {});
    let plan = play.analyze(&alert);
    play.respond(First::Event(&plan), vec![seen(RunState::Paused, Health::None)]);
    let (told, _) = play.again(Rules::default());
    assert_eq!(told.last().unwrap().1, Told::Untold(Untold::Look));
    // Without the alert nobody can say whether the plan was right.
    play.log.remove(0);
    assert_eq!(play.again(Rules::default()).0[0].1, Told::Untold(Untold::Input));
}

#[test]
fn another_rule_of_the_analyzer_is_found_where_it_decided() {
    let play = Play::healed();
    let mut rules = Rules::default();
    rules.analyzer.settings.plan_ttl = Duration::from_secs(60);
    let differences = play.differences(rules);
    let [difference] = &differences[..] else { panic!("{differences:#?}") };
    assert_eq!((difference.role, difference.at), (Role::Analyzer, (0, 2)));
    assert_eq!(difference.first.path, "[0].remediation_needed.plan.expires_at");
}

#[test]
fn another_limit_of_the_responder_is_found_where_it_decided() {
    let play = Play::healed();
    let mut rules = Rules::default();
    rules.responder.policy.confidence_min = 0.999;
    let differences = play.differences(rules);
    let [difference] = &differences[..] else { panic!("{differences:#?}") };
    assert_eq!((difference.role, difference.at), (Role::Responder, (0, 3)));
    assert_eq!(difference.first.path, "[0].remediation_complete");
    assert!(difference.first.recorded.is_none());
}

#[test]
fn another_window_of_the_alert_agent_is_found_where_it_decided() {
    let mut play = Play::healed();
    let told = play
        .log
        .iter()
        .find(|(_, event)| event.event_type() == EventType::RemediationComplete)
        .unwrap()
        .1
        .clone();
    let mut again = told;
    again.envelope.id = EventId::derive(again.envelope.id, Role::Responder, "again", 0);
    again.envelope.time = play.later(1).now;
    let again = play.push(again);
    play.tell(&again, vec![]);
    assert!(play.differences(Rules::default()).iter().all(|difference| difference.role != Role::Alert));
    let mut rules = Rules::default();
    rules.alerter.settings.dedup_window = Duration::ZERO;
    let differences = play.differences(rules);
    let found = differences.iter().find(|difference| difference.role == Role::Alert).unwrap();
    // How it was delivered stands beside the other fields.
    assert_eq!(found.first.path, "[0].notification.attempt");
    assert!(found.first.recorded.is_none() && found.first.decided.is_some());
}

#[test]
fn another_budget_or_breaker_is_found_where_it_refused() {
    let budget = |policy: &mut Policy| {
        policy.cooldown = Duration::from_secs(1);
        policy.budget = 2;
    };
    let breaker = |policy: &mut Policy| {
        policy.cooldown = Duration::from_secs(1);
        policy.budget = 64;
        policy.breaker.failures = 2;
        policy.breaker.open_for = Duration::from_secs(3_600);
    };
    type Set = fn(&mut Policy);
    let cases: [(Set, Outcome, Rejection, &[Set]); 2] = [
        (
            budget,
            done(),
            Rejection::BudgetSpent,
            &[|policy| policy.budget = 3, |policy| policy.window = Duration::from_secs(30)],
        ),
        (
            breaker,
            Outcome::Failed { error: "no such thing".to_owned() },
            Rejection::CircuitBreakerOpen,
            &[|policy| policy.breaker.failures = 3, |policy| policy.breaker.open_for = Duration::ZERO],
        ),
    ];
    for (set, ending, rejection, seeds) in cases {
        let mut play = Play::new();
        set(&mut play.rules.responder.policy);
        for _turn in 0..2 {
            let alert = play
                .later(30)
                .alert(&[AnomalyKind::UnhealthyStatus], |alert| alert.policy.cooldown_secs = None);
            let plan = play.analyze(&alert);
            let answers = vec![seen(RunState::Running, Health::Unhealthy), ending.clone()];
            let ended = play.respond(First::Event(&plan), answers);
            assert_eq!(ended.len(), 2, "{ended:#?}");
            if ending == done() {
                let timer = verify(&play.later(60).now, &plan);
                play.respond(First::Timer(&timer), vec![seen(RunState::Running, Health::None)]);
            }
        }
        let alert =
            play.later(30).alert(&[AnomalyKind::UnhealthyStatus], |alert| alert.policy.cooldown_secs = None);
        let plan = play.analyze(&alert);
        let refused = play.respond(First::Event(&plan), vec![]).remove(0);
        let at = play.log.last().map(|(position, _)| (position.partition, position.seq)).unwrap();
        assert_eq!(coverage::rule(&refused.data).as_deref(), Some(rejection.as_str()));
        assert!(play.differences(play.rules.clone()).is_empty());
        for seed in seeds {
            let mut rules = play.rules.clone();
            seed(&mut rules.responder.policy);
            let differences = play.differences(rules);
            let found = differences.iter().find(|difference| difference.at == at);
            let found = found.unwrap_or_else(|| panic!("{rejection:?}: {differences:#?}"));
            assert_eq!(found.rules_recorded, [rejection.as_str()]);
            assert_eq!(found.rules_decided, ["started"]);
        }
    }
}

#[test]
fn what_lies_too_far_back_is_not_kept_and_not_judged() {
    let mut play = Play::new();
    let alert = play.alert(&[AnomalyKind::NonZeroExit], |_| {});
    play.analyze(&alert);
    let plan = play.log.pop().unwrap().1;
    // The plan is kept too: others read it.
    for (between, told) in [(INPUTS_KEPT - 2, Told::Same), (INPUTS_KEPT - 1, Told::Untold(Untold::Input))] {
        let mut replay = Replay::new(Rules::default());
        let mut positions = (1..).map(|seq| Position { partition: 0, seq });
        assert_eq!(replay.event(positions.next().unwrap(), &alert), None);
        for number in 0..between {
            let id = EventId::derive(alert.envelope.id, Role::Monitor, "other", number);
            let envelope = Envelope { id, ..alert.envelope.clone() };
            let other = Event { envelope, data: alert.data.clone() };
            assert_eq!(replay.take(positions.next().unwrap(), other), None);
        }
        assert_eq!(replay.event(positions.next().unwrap(), &plan), None);
        assert_eq!(replay.finish()[0].1, told, "{between} between");
        assert!(replay.inputs.by_id.len() <= INPUTS_KEPT);
    }
}

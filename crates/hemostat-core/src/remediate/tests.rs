use std::collections::BTreeMap;

use hemostat_event::{
    AnomalyKind, Basis, Cause, ContainerPolicy, ContainerRef, Envelope, EventId, Health, HostName,
    IncidentId, Plan, RunState, Sample, Severity, Source, Verdict,
};
use proptest::prelude::*;

use super::*;
use crate::engine::Inspection;

/// Makes a plan one that may not be carried out.
type Change = fn(&mut RemediationNeeded);

#[test]
fn a_plan_is_looked_at_then_begun_then_done_then_verified() {
    let mut world = World::default();
    world.plan_at(1, 0);
    assert_eq!(world.deal(vec![seen(exited(1)), done()]), ["inspect", "act"]);
    assert_eq!(world.told(), ["started 1/3", "success"]);
    assert_eq!(world.timers, [(EventId::derive(plan_id(1), Role::Analyzer, "", 0), at(60))]);
    world.at(60);
    assert_eq!(world.verify(seen(running(2))), "verified");
    assert_eq!(world.state.failures, 0);
}

#[test]
fn nothing_is_asked_of_the_world_for_a_plan_that_may_not_be_carried_out() {
    let cases: [(&str, Change); 7] = [
        ("rejected plan_expired", |needed| needed.plan.expires_at = at(0)),
        ("rejected mode_forbids", |needed| needed.plan.policy.mode = Mode::Observe),
        ("rejected mode_forbids", |needed| needed.plan.policy.mode = Mode::Suggest),
        ("rejected mode_forbids", |needed| needed.plan.policy.mode = Mode::Approve),
        ("rejected confidence_too_low", |needed| needed.verdict.confidence = 0.69),
        ("rejected confidence_too_low", |needed| needed.verdict.confidence = f64::NAN),
        ("not_applicable", |needed| needed.plan.action = Action::Escalate),
    ];
    for (expected, change) in cases {
        let mut world = World::default();
        world.plan(1);
        change(needed(&mut world.event));
        assert_eq!(world.deal(vec![]), Vec::<&str>::new(), "{expected}");
        assert_eq!(world.told(), [expected]);
        assert!(world.timers.is_empty());
    }
}

#[test]
fn actions_that_this_version_cannot_carry_out_are_said_to_be_so() {
    for action in [Action::Cleanup, Action::Exec { command: vec!["ps".into()] }] {
        let mut world = World::default();
        world.plan(1);
        needed(&mut world.event).plan.action = action;
        assert_eq!(world.deal(vec![]), Vec::<&str>::new());
        assert_eq!(world.told(), ["not_applicable"]);
    }
}

#[test]
fn a_container_that_needs_nothing_any_more_is_left_alone() {
    use AnomalyKind::{HighCpu, NonZeroExit, OomKilled, RestartLoop, UnhealthyStatus};
    let healthy = Inspection { health: Health::Healthy, ..running(1) };
    let unhealthy = Inspection { health: Health::Unhealthy, ..running(1) };
    let state = |state| Inspection { state, ..running(1) };
    for (kinds, inspection, acts) in [
        (&[NonZeroExit][..], exited(1), true),
        (&[NonZeroExit], running(1), false),
        (&[NonZeroExit], exited(0), false),
        (&[NonZeroExit, OomKilled], exited(137), true),
        (&[NonZeroExit, OomKilled], running(1), false),
        (&[NonZeroExit, RestartLoop], exited(1), true),
        (&[NonZeroExit, UnhealthyStatus], unhealthy.clone(), true),
        // A child was killed while the first process lives.
        (&[OomKilled], running(1), true),
        (&[UnhealthyStatus], unhealthy, true),
        (&[UnhealthyStatus], healthy, false),
        // It ran at the time of the alert: a person stopped it, or its death is the next alert's.
        (&[UnhealthyStatus], exited(143), false),
        (&[HighCpu], running(1), true),
        (&[HighCpu], exited(137), false),
        (&[HighCpu], state(RunState::Paused), false),
        (&[NonZeroExit], state(RunState::Restarting), false),
        (&[NonZeroExit], state(RunState::Removing), false),
        (&[HighCpu], state(RunState::Created), false),
        (&[HighCpu], state(RunState::Unknown), false),
    ] {
        let mut world = World::default();
        world.plan(1);
        needed(&mut world.event).kinds = kinds.to_vec();
        let asked = world.deal(vec![seen(inspection.clone()), done()]);
        let expected: &[_] = if acts { &["inspect", "act"] } else { &["inspect"] };
        assert_eq!(asked, expected, "{kinds:?} {inspection:?}");
        let told: &[_] = if acts { &["started 1/3", "success"] } else { &["not_applicable"] };
        assert_eq!(world.told(), told, "{kinds:?} {inspection:?}");
    }
}

#[test]
fn a_gone_container_is_no_failure() {
    let mut world = World::default();
    world.plan(1);
    assert_eq!(world.deal(vec![Outcome::Gone]), ["inspect"]);
    assert_eq!(world.told(), ["not_applicable"]);
    assert_eq!(world.state.failures, 0);
}

#[test]
fn without_an_answer_of_the_engine_nothing_is_done() {
    let mut world = World::default();
    world.plan(1);
    for attempt in 1..TRIES_MAX {
        world.attempt = attempt;
        assert_eq!(world.deal(vec![unreachable()]), ["inspect", "retry"]);
    }
    world.attempt = TRIES_MAX;
    assert_eq!(world.deal(vec![unreachable()]), ["inspect"]);
    assert_eq!(world.told(), ["failed"]);
    assert_eq!(world.state.failures, 0, "nothing was begun, so nothing failed to help");
}

#[test]
fn a_second_action_waits_for_the_cooldown() {
    let mut world = World::default();
    world.heal(1, 0);
    world.plan_at(2, 3_599);
    assert_eq!(world.deal(vec![]), Vec::<&str>::new());
    assert_eq!(world.told(), ["rejected cooldown_active 1000"]);
    world.plan_at(3, 3_600);
    assert_eq!(world.deal(vec![seen(exited(1)), done()]), ["inspect", "act"]);
}

#[test]
fn a_container_may_ask_for_a_longer_cooldown_but_not_for_a_shorter_one() {
    for (asked, remaining) in [(7_200, 7_100_000), (10, 3_500_000)] {
        let mut world = World::default();
        world.heal(1, 0);
        world.plan_at(2, 100);
        needed(&mut world.event).plan.policy.cooldown_secs = Some(asked);
        world.deal(vec![]);
        assert_eq!(world.told(), [format!("rejected cooldown_active {remaining}")]);
    }
}

#[test]
fn a_fourth_action_waits_until_the_first_has_left_the_window() {
    let mut world = World::default();
    world.responder.policy.cooldown = Duration::from_secs(100);
    for (number, time) in [(1, 0), (2, 200), (3, 400)] {
        world.heal(number, time);
    }
    world.plan_at(4, 600);
    world.deal(vec![]);
    assert_eq!(world.told(), ["rejected budget_spent 3000000"]);
    world.plan_at(5, 3_600);
    world.deal(vec![seen(exited(1)), done()]);
    assert_eq!(world.told(), ["started 3/3", "success"]);
}

#[test]
fn the_breaker_opens_after_three_actions_that_did_not_help_and_then_lets_one_probe_through() {
    let mut world = World::default();
    world.responder.policy.cooldown = Duration::from_secs(60);
    world.responder.policy.budget = 64;
    for number in 1..=3 {
        world.fail(number, i64::from(number) * 1_000);
    }
    assert_eq!(world.state.failures, 3);
    // The last verdict came at 3 060 s; the breaker is open for two hours from then.
    world.plan_at(4, 10_259);
    world.deal(vec![]);
    assert_eq!(world.told(), ["rejected circuit_breaker_open 1000"]);
    world.fail(5, 10_260);
    assert!(world.probe, "the action of a half-open breaker is a probe");
    // The probe did not help either: twice as long.
    world.plan_at(6, 10_320 + 14_399);
    world.deal(vec![]);
    assert_eq!(world.told(), ["rejected circuit_breaker_open 1000"]);
    world.heal(7, 10_320 + 14_400);
    assert_eq!(world.state.failures, 0, "a verified probe closes it");
    world.heal(8, 30_000);
    assert!(!world.probe);
}

#[test]
fn the_breaker_is_open_for_longer_than_the_cooldown_and_no_longer_than_its_maximum() {
    let policy = Policy::default();
    let hour = Duration::from_secs(3_600);
    assert_eq!(policy.open_for(2, hour), None);
    assert_eq!(policy.open_for(3, hour), Some(2 * hour));
    assert_eq!(policy.open_for(4, hour), Some(4 * hour));
    assert_eq!(policy.open_for(5, hour), Some(6 * hour));
    assert_eq!(policy.open_for(u32::MAX, hour), Some(6 * hour));
    assert_eq!(policy.open_for(3, 5 * hour), Some(10 * hour));
}

#[test]
fn an_action_the_engine_refuses_counts_as_one_that_did_not_help() {
    let mut world = World::default();
    world.plan(1);
    let failed = Outcome::Failed { error: "no space left on device".to_owned() };
    assert_eq!(world.deal(vec![seen(exited(1)), failed]), ["inspect", "act"]);
    assert_eq!(world.told(), ["started 1/3", "failed"]);
    assert_eq!((world.state.failures, world.timers.len()), (1, 0));
}

#[test]
fn a_dry_run_decides_the_same_and_touches_nothing() {
    let mut world = World::default();
    world.responder.policy.dry_run = true;
    world.plan(1);
    assert_eq!(world.deal(vec![seen(exited(1))]), ["inspect"]);
    assert_eq!(world.told(), ["started 1/3 dry", "success dry"]);
    assert!(world.timers.is_empty() && world.state.unverified.is_none() && world.state.intent.is_none());
    world.plan_at(2, 60);
    world.deal(vec![]);
    assert_eq!(world.told(), ["rejected cooldown_active 3540000"]);
    // What was only said counts for nothing once it is meant.
    world.responder.policy.dry_run = false;
    world.plan_at(3, 61);
    assert_eq!(world.deal(vec![seen(exited(1)), done()]), ["inspect", "act"]);
}

#[test]
fn a_second_plan_waits_while_the_first_is_carried_out_and_while_it_is_verified() {
    let mut world = World::default();
    world.responder.policy.cooldown = Duration::ZERO;
    world.responder.policy.budget = 64;
    world.plan(1);
    world.deal_until_act(vec![seen(exited(1))]);
    world.plan_at(2, 10);
    world.deal(vec![]);
    assert_eq!(world.told().last().map(String::as_str), Some("rejected action_in_progress"));
    world.heal(3, 2_000);
    let mut world = World { state: world.state, ..World::default() };
    world.responder.policy.cooldown = Duration::ZERO;
    world.plan_at(4, 2_000);
    world.deal_until_act(vec![seen(exited(1))]);
    world.deal(vec![done()]);
    world.plan_at(5, 2_030);
    world.deal(vec![]);
    assert_eq!(world.told().last().map(String::as_str), Some("rejected action_in_progress"));
}

#[test]
fn whoever_takes_an_intent_over_looks_first() {
    for (case, inspection, time, asked, told) in [
        ("the restart had been made", running(2), 5, &["inspect"][..], &["success"][..]),
        ("it may still be under way", exited(1), 19, &["inspect", "retry"], &[]),
        ("it was not made", exited(1), 20, &["inspect", "act"], &["success"]),
        ("nothing is left to do", exited(0), 20, &["inspect"], &["not_applicable"]),
        ("too late", exited(1), 1_000, &["inspect"], &["not_applicable"]),
    ] {
        let mut world = World::default();
        world.plan(1);
        world.deal_until_act(vec![seen(exited(1))]);
        world.told();
        world.at(time);
        assert_eq!(world.deal(vec![seen(inspection), done()]), asked, "{case}");
        assert_eq!(world.told(), told, "{case}");
    }
}

#[test]
fn an_intent_of_which_the_engine_says_nothing_ends_as_unknown() {
    let mut world = World::default();
    world.plan(1);
    world.deal_until_act(vec![seen(exited(1))]);
    world.told();
    world.attempt = 2;
    assert_eq!(world.deal(vec![unreachable()]), ["inspect", "retry"]);
    world.attempt = TRIES_MAX;
    assert_eq!(world.deal(vec![unreachable()]), ["inspect"]);
    assert_eq!(world.told(), ["unknown"]);
    assert_eq!(world.state.failures, 1);
}

#[test]
fn an_unclear_answer_is_followed_by_a_look() {
    let mut world = World::default();
    world.plan(1);
    let unclear = Outcome::Unclear { error: "timeout".to_owned() };
    let asked = world.deal(vec![seen(exited(1)), unclear, seen(running(2))]);
    assert_eq!(asked, ["inspect", "act", "inspect"]);
    assert_eq!(world.told(), ["started 1/3", "success"]);
}

#[test]
fn a_forgotten_intent_is_ended_by_the_next_plan() {
    let mut world = World::default();
    world.responder.policy.cooldown = Duration::ZERO;
    world.plan(1);
    world.deal_until_act(vec![seen(exited(1))]);
    world.told();
    world.plan_at(2, 900);
    assert_eq!(world.deal(vec![seen(exited(1)), done()]), ["inspect", "act"]);
    assert_eq!(world.told(), ["unknown", "started 2/3", "success"]);
}

#[test]
fn the_verdict_is_what_the_second_look_shows() {
    use AnomalyKind::{HighCpu, HighMemory, HighPids, NonZeroExit};
    let sample = Sample {
        cpu_percent: Some(90.0),
        memory_percent: Some(10.0),
        pids: Some(50),
        pids_limit: Some(100),
        ..Sample::default()
    };
    let oom = Inspection { oom_killed: true, ..exited(137) };
    let with = |health| Inspection { health, ..running(2) };
    let measured = |sample: &Sample| {
        Outcome::Seen(Box::new(Seen { inspection: running(2), sample: Some(sample.clone()) }))
    };
    for (kinds, look, verdict) in [
        (&[NonZeroExit][..], seen(running(2)), "verified"),
        (&[NonZeroExit], seen(with(Health::Healthy)), "verified"),
        (&[NonZeroExit], seen(with(Health::Unhealthy)), "not_fixed"),
        (&[NonZeroExit], seen(with(Health::Starting)), "again"),
        (&[NonZeroExit], seen(running(3)), "not_fixed"),
        (&[NonZeroExit], seen(exited(1)), "not_fixed"),
        (&[NonZeroExit], seen(oom), "not_fixed"),
        (&[NonZeroExit], seen(exited(143)), "unknown"),
        (&[NonZeroExit], seen(Inspection { state: RunState::Restarting, ..running(2) }), "not_fixed"),
        (&[NonZeroExit], seen(Inspection { state: RunState::Paused, ..running(2) }), "unknown"),
        (&[NonZeroExit], Outcome::Gone, "unknown"),
        (&[NonZeroExit], unreachable(), "again"),
        (&[HighCpu], measured(&sample), "not_fixed"),
        (&[HighMemory], measured(&sample), "verified"),
        (&[HighPids], measured(&sample), "verified"),
        (&[HighMemory, HighCpu], measured(&sample), "not_fixed"),
        (&[HighCpu], seen(running(2)), "unknown"),
        (&[HighPids], measured(&Sample { pids: Some(95), ..sample.clone() }), "not_fixed"),
    ] {
        let mut world = World::default();
        world.plan(1);
        needed(&mut world.event).kinds = kinds.to_vec();
        let first = if kinds == [NonZeroExit] { exited(1) } else { running(1) };
        world.deal(vec![seen(first), done()]);
        world.at(60);
        assert_eq!(world.verify(look.clone()), verdict, "{kinds:?} {look:?}");
    }
}

#[test]
fn a_verdict_comes_at_the_latest_five_minutes_after_the_window() {
    for look in [unreachable(), seen(Inspection { health: Health::Starting, ..running(2) })] {
        let mut world = World::default();
        world.plan(1);
        world.deal(vec![seen(exited(1)), done()]);
        world.at(359);
        assert_eq!(world.verify(look.clone()), "again");
        world.at(360);
        assert_eq!(world.verify(look), "unknown");
    }
}

#[test]
fn figures_are_measured_only_where_the_symptoms_were_figures() {
    let mut world = World::default();
    world.plan(1);
    world.deal_until_act(vec![seen(exited(1))]);
    let intent = world.state.intent.as_ref().expect("begun");
    assert!(matches!(look_at(intent), Effect::Inspect { figures: false, .. }));
    let intent = Intent { kinds: vec![AnomalyKind::HighCpu], ..intent.clone() };
    assert!(matches!(look_at(&intent), Effect::Inspect { figures: true, .. }));
}

#[test]
fn what_makes_no_sense_is_said() {
    assert_eq!(Policy::default().validate(), Vec::<String>::new());
    let breaker = Breaker { failures: 0, ..Policy::default().breaker };
    let policy =
        Policy { budget: 0, window: Duration::ZERO, confidence_min: 1.5, breaker, ..Policy::default() };
    assert_eq!(policy.validate().len(), 4);
}

/// A step of a random history.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes.
    Wait(i64),
    /// A plan comes; the engine answers the action so, or the responder dies before or after acting.
    Plan(Fate),
    /// The plan that was begun last is taken over.
    TakeOver,
    /// The timer fires, and the container is well or not.
    Verify(bool),
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Done,
    Failed,
    DiesBeforeActing,
    DiesAfterActing,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![
        Just(Fate::Done),
        Just(Fate::Failed),
        Just(Fate::DiesBeforeActing),
        Just(Fate::DiesAfterActing)
    ];
    let step = prop_oneof![
        (1i64..2_000).prop_map(Step::Wait),
        fate.prop_map(Step::Plan),
        Just(Step::TakeOver),
        any::<bool>().prop_map(Step::Verify),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    /// B-1, and: an intent stands before every action.
    #[test]
    fn no_history_brings_more_actions_than_the_budget(
        steps in steps(), budget in 1u32..5, cooldown in 0u64..1_000, window in 60u64..4_000,
    ) {
        let mut world = World::default();
        world.responder.policy.budget = budget;
        world.responder.policy.cooldown = Duration::from_secs(cooldown);
        world.responder.policy.window = Duration::from_secs(window);
        let mut runs = 1;
        let mut acted = 0;
        let mut number = 0;
        let mut begun = world.event.clone();
        for step in steps {
            match step {
                Step::Wait(seconds) => world.now = world.now + Duration::from_secs(seconds.unsigned_abs()),
                Step::Plan(fate) => {
                    number += 1;
                    world.plan(number);
                    world.deal_until_act(vec![seen(exited_run(runs))]);
                    if world.state.intent.as_ref().is_none_or(|intent| intent.plan != world.event.envelope.id) {
                        continue;
                    }
                    begun = world.event.clone();
                    if !matches!(fate, Fate::DiesBeforeActing) {
                        acted += 1;
                        runs += 1;
                    }
                    match fate {
                        Fate::Done => world.answer(Outcome::Done { took: Duration::ZERO, run_started_at: Some(engine(runs)) }),
                        Fate::Failed => world.answer(Outcome::Failed { error: String::new() }),
                        Fate::DiesBeforeActing | Fate::DiesAfterActing => {}
                    }
                }
                Step::TakeOver => {
                    if world.state.intent.is_none() {
                        continue;
                    }
                    world.event = begun.clone();
                    let asked = world.deal_until_act(vec![seen(running(runs))]);
                    if asked.contains(&"act") {
                        acted += 1;
                        runs += 1;
                        world.answer(Outcome::Done { took: Duration::ZERO, run_started_at: Some(engine(runs)) });
                    }
                }
                Step::Verify(well) => {
                    if world.state.unverified.is_some() {
                        world.verify(if well { seen(running(runs)) } else { seen(exited_run(runs)) });
                    }
                }
            }
        }
        let window = Duration::from_secs(window);
        let starts = world.state.starts(false);
        for start in &starts {
            let within = starts.iter().filter(|other| *start <= **other && **other < *start + window).count();
            prop_assert!(within <= budget as usize, "{starts:?}");
        }
        // Under one intent the engine is asked once, whoever dies in between.
        prop_assert!(acted <= world.starts_ever);
    }
}

// ---------------------------------------------------------------------------------------------------------------

/// Plays the run loop: decides, folds what is emitted, hands over the answers in order.
struct World {
    responder: Responder,
    state: State,
    event: Event,
    now: Timestamp,
    attempt: u32,
    told: Vec<String>,
    timers: Vec<(EventId, Timestamp)>,
    probe: bool,
    starts_ever: usize,
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
    fn plan(&mut self, number: u32) {
        self.event = event(number, self.now);
    }

    fn plan_at(&mut self, number: u32, seconds: i64) {
        self.at(seconds);
        self.plan(number);
    }

    fn at(&mut self, seconds: i64) {
        self.now = at(seconds);
    }

    /// Deals with the plan to its end; the names of what was asked of the world.
    fn deal(&mut self, answers: Vec<Outcome>) -> Vec<&'static str> {
        self.run(answers, false)
    }

    /// The same, but the responder dies when it is about to act.
    fn deal_until_act(&mut self, answers: Vec<Outcome>) -> Vec<&'static str> {
        self.run(answers, true)
    }

    /// The answer to an action that was asked for by [`Self::deal_until_act`].
    fn answer(&mut self, outcome: Outcome) {
        let event = self.event.clone();
        let input = Input::Outcome { first: First::Event(&event), attempt: self.attempt, outcome };
        let decision = self.responder.decide(&subject(), &self.state, input, self.now);
        self.take_in(&decision, event.envelope.id);
    }

    fn run(&mut self, answers: Vec<Outcome>, dies: bool) -> Vec<&'static str> {
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

    fn take_in(&mut self, decision: &Decision<Effect>, cause: EventId) {
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
        self.timers.extend(decision.timers.iter().map(|timer| (timer.cause, timer.due)));
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Fires the timer; the verdict, or `again`.
    fn verify(&mut self, look: Outcome) -> String {
        let cause = self.state.unverified.as_ref().expect("an action to verify").intent.plan;
        let timer = Timer { subject: subject(), name: VERIFY.to_owned(), cause, due: self.now };
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
    fn heal(&mut self, number: u32, seconds: i64) {
        self.act(number, seconds, seen(running(2)));
    }

    /// A plan that is carried out and does not help.
    fn fail(&mut self, number: u32, seconds: i64) {
        self.act(number, seconds, seen(exited(1)));
    }

    fn act(&mut self, number: u32, seconds: i64, look: Outcome) {
        self.now = at(seconds);
        self.plan(number);
        assert_eq!(self.deal(vec![seen(exited(1)), done()]), ["inspect", "act"], "{:?}", self.told);
        self.now = at(seconds + 60);
        self.verify(look);
        self.told.clear();
        self.now = at(seconds + 61);
    }
}

fn words(data: &Data) -> String {
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

fn needed(event: &mut Event) -> &mut RemediationNeeded {
    let Data::RemediationNeeded(needed) = &mut event.data else { panic!("a plan") };
    needed
}

fn subject() -> Subject {
    "host/web".parse().expect("a subject")
}

fn target() -> ContainerId {
    ContainerId::new("0123456789ab").expect("an id")
}

/// Log time: seconds after an arbitrary moment.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

/// Engine time of the start of run `number`; far from log time, because the two clocks need not agree.
fn engine(number: i64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000_000_000 + number * 1_000_000)
}

fn plan_id(number: u32) -> EventId {
    EventId::observed(&subject(), Role::Monitor, at(0), number as usize)
}

fn event(number: u32, now: Timestamp) -> Event {
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

fn running(run: i64) -> Inspection {
    Inspection {
        id: Some(target()),
        name: "web".to_owned(),
        labels: BTreeMap::new(),
        state: RunState::Running,
        started_at: Some(engine(run)),
        ..Inspection::default()
    }
}

fn exited(code: i64) -> Inspection {
    Inspection { state: RunState::Exited, exit_code: Some(code), ..running(1) }
}

fn exited_run(run: i64) -> Inspection {
    Inspection { started_at: Some(engine(run)), ..exited(1) }
}

fn seen(inspection: Inspection) -> Outcome {
    Outcome::Seen(Box::new(Seen { inspection, sample: None }))
}

fn done() -> Outcome {
    Outcome::Done { took: Duration::from_millis(300), run_started_at: Some(engine(2)) }
}

fn unreachable() -> Outcome {
    Outcome::Unreachable { error: "connection refused".to_owned() }
}

//! From a plan to its outcome.

use hemostat_event::{AnomalyKind, EventId, Health, RunState};

use super::super::*;
use super::world::*;
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

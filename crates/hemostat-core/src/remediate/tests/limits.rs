//! Cooldown, budget, breaker, dry run.

use super::super::*;
use super::world::*;

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
fn what_makes_no_sense_is_said() {
    assert_eq!(Policy::default().validate(), Vec::<String>::new());
    let breaker = Breaker { failures: 0, ..Policy::default().breaker };
    let policy =
        Policy { budget: 0, window: Duration::ZERO, confidence_min: 1.5, breaker, ..Policy::default() };
    assert_eq!(policy.validate().len(), 4);
}

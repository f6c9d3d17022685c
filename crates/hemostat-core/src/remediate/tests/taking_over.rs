//! What becomes of an intent whose responder does not come back.

use super::super::*;
use super::world::*;

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
fn a_plan_that_has_its_outcome_is_not_begun_when_it_comes_again() {
    let mut world = World::default();
    world.plan(1);
    world.deal(vec![seen(exited(1)), done()]);
    world.plan_at(2, 10);
    world.deal(vec![]);
    assert_eq!(world.told(), ["started 1/3", "success", "rejected action_in_progress"]);
    // By now the second plan would be allowed, were it new.
    world.responder.policy.cooldown = Duration::ZERO;
    world.at(70);
    assert_eq!(world.verify(seen(running(2))), "verified");
    world.told();
    assert_eq!(world.deal(vec![seen(exited(1)), done()]), [""; 0]);
    world.answer(seen(exited(1)));
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn a_plan_that_a_later_one_has_ended_is_not_begun_when_it_comes_again() {
    let mut world = World::default();
    world.responder.policy.cooldown = Duration::ZERO;
    world.plan(1);
    world.deal_until_act(vec![seen(exited(1))]);
    let first = world.event.clone();
    world.plan_at(2, 900);
    world.deal(vec![seen(exited(1)), done()]);
    world.told();
    world.event = first;
    assert_eq!(world.deal(vec![]), [""; 0]);
    world.answer(done());
    assert_eq!(world.told(), [""; 0]);
}

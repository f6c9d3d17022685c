//! Did it help?

use hemostat_event::{AnomalyKind, Health, RunState, Sample};

use super::super::*;
use super::world::*;
use crate::engine::Inspection;

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
fn a_look_that_is_repeated_is_due_later_also_under_a_clock_that_was_set_back() {
    let mut world = World::default();
    world.deal(vec![seen(exited(1)), done()]);
    let due = world.timers.last().expect("a look is due").1;
    // The clock shows the very moment from which the next look would be due when this one was.
    world.now = due - LOOK_AGAIN;
    world.verify(unreachable());
    assert!(due < world.timers.last().expect("another look is due").1);
}

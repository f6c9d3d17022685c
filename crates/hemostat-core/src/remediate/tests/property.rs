//! The limits hold for every history.

use proptest::prelude::*;

use super::super::*;
use super::world::*;

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

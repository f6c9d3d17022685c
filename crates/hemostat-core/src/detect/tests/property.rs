//! Whatever is seen, in whatever order.

use proptest::prelude::*;

use super::*;

fn any_observation() -> impl Strategy<Value = (u64, Observed)> {
    let engine = prop_oneof![
        Just(EngineEventKind::Start),
        prop_oneof![Just(-1), Just(0), Just(1), Just(137), Just(143)]
            .prop_map(|exit_code| EngineEventKind::Die { exit_code }),
        prop_oneof![Just(0), Just(1), Just(9), Just(15)].prop_map(|signal| EngineEventKind::Kill { signal }),
        Just(EngineEventKind::Stop),
        Just(EngineEventKind::Restart),
        Just(EngineEventKind::Oom),
        Just(EngineEventKind::Health(Health::Healthy)),
        Just(EngineEventKind::Health(Health::Unhealthy)),
        Just(EngineEventKind::Pause),
        Just(EngineEventKind::Unpause),
        Just(EngineEventKind::Destroy),
    ];
    let state = prop_oneof![
        4 => Just(RunState::Running),
        2 => Just(RunState::Exited),
        1 => Just(RunState::Paused),
        1 => Just(RunState::Restarting),
    ];
    let code = prop_oneof![Just(None), Just(Some(0)), Just(Some(1)), Just(Some(137))];
    let sample = (state, proptest::option::of(0.0..120.0f64), code, 0u64..3, 0u64..4).prop_map(
        |(state, cpu_percent, exit_code, restart_count, started)| {
            Observed::Sample(Sample {
                state,
                cpu_percent,
                exit_code,
                restart_count,
                started_at: Some(at(1 + started * 600)),
                ..Sample::default()
            })
        },
    );
    (0u64..200, prop_oneof![3 => engine.prop_map(Observed::Engine), 5 => sample, 1 => Just(Observed::Gone)])
}

proptest! {
    #[test]
    fn incidents_open_and_close_in_turn_and_every_alert_is_whole(
        seen in proptest::collection::vec(any_observation(), 1..60)
    ) {
        let mut bench = Bench::running();
        let mut open = None;
        for (seconds, observed) in seen {
            bench.pass(seconds + 1);
            if let Observed::Engine(EngineEventKind::Health(health)) = &observed {
                bench.inspection.health = *health;
            }
            bench.watch.take_in(&bench.settings, &observed, bench.now);
            let emits = bench.decide(&observed);
            let asked = bench.state.is_as_a_person_wants();
            for emit in &emits {
                match &emit.data {
                    Data::HealthAlert(alert) => {
                        prop_assert!(open.is_none() || open == emit.incident, "two incidents at a time");
                        prop_assert!(!alert.anomalies.is_empty());
                        let worst = alert.anomalies.iter().map(|anomaly| anomaly.severity).max();
                        prop_assert_eq!(Some(alert.severity), worst);
                        for item in &alert.evidence.items {
                            prop_assert!(item.id.starts_with("change-"));
                        }
                        prop_assert!(
                            !alert.anomalies.iter().any(|anomaly| anomaly.actual == Some(0.0)
                                && anomaly.kind == AnomalyKind::NonZeroExit
                                && Some(alert.opened_at) == Some(bench.now)),
                            "an end with 0 opens no incident"
                        );
                        open = emit.incident;
                    }
                    Data::HealthRecovered(_) => {
                        prop_assert!(open.is_some() && open == emit.incident, "a recovery without an incident");
                        open = None;
                    }
                    _ => {}
                }
                fold(&mut bench.state, &event(emit, bench.now));
            }
            prop_assert_eq!(bench.state.open_incident(), open);
            if asked && bench.state.is_as_a_person_wants() {
                let said: Vec<_> = emits.iter().map(|emit| emit.data.clone()).collect();
                prop_assert!(alert(&said).is_none(), "an alert while a person wants it so");
            }
        }
    }

    /// Person's stops, restarts and finished jobs in any number: nothing to see.
    #[test]
    fn what_people_do_to_a_well_container_is_never_an_incident(
        deeds in proptest::collection::vec((0usize..6, 1u64..2_000), 1..30)
    ) {
        let mut bench = Bench::running();
        for (deed, wait) in deeds {
            bench.pass(wait);
            if bench.inspection.state == RunState::Exited {
                bench.start();
                continue;
            }
            match deed {
                0 => { bench.restart(); }
                1 => {
                    bench.kill(15);
                    bench.pass(wait % 30).die(143);
                    bench.engine(EngineEventKind::Stop);
                }
                2 => {
                    bench.kill(9);
                    bench.die(137);
                }
                3 => { bench.die(0); }
                4 => {
                    bench.engine(EngineEventKind::Pause);
                    bench.polls(3);
                    bench.engine(EngineEventKind::Unpause);
                }
                _ => { bench.polls(5); }
            }
            prop_assert!(!bench.is_open());
        }
    }

    #[test]
    fn what_is_remembered_has_its_limits(
        seen in proptest::collection::vec(any_observation(), 0..150)
    ) {
        let mut bench = Bench::running();
        for (seconds, observed) in seen {
            bench.pass(seconds + 1).see(&observed);
        }
        prop_assert!(bench.state.changes.len() <= 8);
        prop_assert!(bench.state.deaths.len() <= 16);
        prop_assert!(bench.watch.trend().len() <= 60);
        prop_assert!(bench.watch.requests().count() <= 8);
    }
}

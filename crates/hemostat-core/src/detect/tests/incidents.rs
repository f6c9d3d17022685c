//! Incidents: when they open, what is news in them, when they end; and the health check.

use super::*;

#[test]
fn the_first_look_discovers_and_says_nothing_bad() {
    let mut bench = Bench::new();
    let said = bench.look(|_| {});
    assert_eq!(changes(&said), [Change::Discovered { state: RunState::Running }]);
    assert_eq!(said.len(), 1);
    assert_eq!(bench.polls(10), vec![]);
}

#[test]
fn what_an_observation_told_belongs_to_the_incident_that_it_opens() {
    let mut bench = Bench::running();
    let observed = Observed::Engine(EngineEventKind::Die { exit_code: 1 });
    bench.watch.take_in(&bench.settings, &observed, bench.now);
    let emits = bench.decide(&observed);
    assert_eq!(emits.len(), 2);
    assert!(emits[0].incident.is_some());
    assert_eq!(emits[0].incident, emits[1].incident);
}

#[test]
fn a_second_symptom_joins_the_open_incident() {
    let mut bench = Bench::running();
    bench.cpus(&[90.0, 90.0]);
    let first = bench.state.open_incident();
    let said = bench.health(Health::Unhealthy);
    assert_eq!(kinds(&said), [AnomalyKind::HighCpu, AnomalyKind::UnhealthyStatus]);
    assert_eq!(bench.state.open_incident(), first);
    // It began with the first symptom.
    assert_eq!(alert(&said).unwrap().opened_at, at(21));
    assert_eq!(alert(&said).unwrap().anomalies[0].since, at(21));
}

#[test]
fn every_death_is_an_alert_until_they_are_a_loop() {
    let mut bench = Bench::running();
    bench.die(1);
    bench.pass(1).start();
    bench.pass(10);
    assert_eq!(kinds(&bench.die(1)), [AnomalyKind::NonZeroExit]);
}

#[test]
fn a_dead_container_stays_an_incident_and_is_repeated_after_the_cool_down_doubling() {
    let mut bench = Bench::running();
    bench.die(1);
    let mut repeated_at = Vec::new();
    for poll in 1..=3_000u64 {
        if alert(&bench.poll(|_| {})).is_some() {
            repeated_at.push(poll * POLL);
        }
    }
    // 10, 20, 40, 80 minutes, then every two hours.
    assert_eq!(repeated_at, [600, 1_800, 4_200, 9_000, 16_200, 23_400]);
}

#[test]
fn a_repeated_alert_of_a_death_still_says_how_it_died() {
    let mut bench = Bench::running();
    bench.die(3);
    let said = bench.polls(60);
    let repeated = alert(&said).expect("due after ten minutes");
    assert_eq!(repeated.anomalies[0].actual, Some(3.0));
    assert_eq!(repeated.anomalies[0].detail, "ended with exit code 3");
    assert_eq!(repeated.anomalies[0].since, at(1));
}

#[test]
fn a_recovery_says_what_it_had_and_how_long() {
    let mut bench = Bench::running();
    bench.cpus(&[90.0, 90.0]);
    let said = bench.cpus(&[1.0; 5]);
    let Some(Data::HealthRecovered(recovered)) = said.last() else { panic!("{said:?}") };
    assert_eq!((recovered.kinds.as_slice(), recovered.lasted_ms), (&[AnomalyKind::HighCpu][..], 50_000));
}

#[test]
fn a_new_incident_has_a_new_identity() {
    let mut bench = Bench::running();
    bench.cpus(&[90.0, 90.0]);
    let first = bench.state.open_incident();
    bench.cpus(&[1.0; 5]);
    bench.cpus(&[90.0, 90.0]);
    assert!(bench.is_open());
    assert_ne!(bench.state.open_incident(), first);
}

#[test]
fn a_removal_ends_the_incident_and_the_next_of_that_name_begins_anew() {
    let mut bench = Bench::running();
    bench.die(1);
    let said = bench.engine(EngineEventKind::Destroy);
    assert_eq!(recoveries(&said), [Recovery::Removed]);
    assert_eq!(changes(&said), [Change::Removed]);
    assert_eq!(bench.see(&Observed::Gone), vec![], "it is told once");
    assert_eq!(bench.engine(EngineEventKind::Destroy), vec![]);
    bench.inspection.state = RunState::Running;
    assert_eq!(changes(&bench.poll(|_| {})), [Change::Discovered { state: RunState::Running }]);
    assert!(!bench.is_open());
}

#[test]
fn deaths_under_the_same_name_count_across_a_re_creation() {
    let mut bench = Bench::running();
    for _ in 0..2 {
        bench.die(1);
        bench.engine(EngineEventKind::Destroy);
        bench.pass(5).start();
    }
    assert_eq!(kinds(&bench.pass(1).die(1)), [AnomalyKind::NonZeroExit, AnomalyKind::RestartLoop]);
}

#[test]
fn a_container_that_is_not_listed_any_more_is_gone() {
    let mut bench = Bench::running();
    bench.die(1);
    let said = bench.see(&Observed::Gone);
    assert_eq!((recoveries(&said), changes(&said)), (vec![Recovery::Removed], vec![Change::Removed]));
}

// --- Health checks ---

#[test]
fn unhealthy_is_an_alert_and_healthy_ends_it() {
    let mut bench = Bench::running();
    assert_eq!(kinds(&bench.health(Health::Starting)), []);
    assert_eq!(kinds(&bench.health(Health::Unhealthy)), [AnomalyKind::UnhealthyStatus]);
    assert_eq!(bench.poll(|_| {}), vec![]);
    assert_eq!(recoveries(&bench.health(Health::Healthy)), [Recovery::Cleared]);
}

#[test]
fn starting_neither_opens_nor_ends_an_incident() {
    let mut bench = Bench::running();
    bench.health(Health::Starting);
    assert_eq!(bench.polls(30), vec![]);
    bench.health(Health::Unhealthy);
    let before = bench.state.open_incident();
    let mut said = bench.restart();
    said.extend(bench.polls(6));
    assert_eq!((recoveries(&said), kinds(&said)), (vec![], vec![]));
    assert_eq!(bench.state.open_incident(), before);
}

#[test]
fn unhealthy_is_found_by_a_sample_when_the_event_was_missed() {
    let mut bench = Bench::running();
    bench.inspection.health = Health::Unhealthy;
    assert_eq!(kinds(&bench.poll(|_| {})), [AnomalyKind::UnhealthyStatus]);
    bench.inspection.health = Health::Healthy;
    assert_eq!(recoveries(&bench.poll(|_| {})), [Recovery::Cleared]);
}

#[test]
fn an_answer_of_the_past_is_not_one_of_now() {
    let mut bench = Bench::running();
    bench.inspection.health = Health::Healthy;
    bench.poll(|_| {});
    // The engine told it while the log was away; since then the check has passed.
    assert_eq!(bench.tell(EngineEventKind::Health(Health::Unhealthy)), vec![]);
    bench.inspection.health = Health::Unhealthy;
    assert_eq!(
        kinds(&bench.tell(EngineEventKind::Health(Health::Unhealthy))),
        [AnomalyKind::UnhealthyStatus]
    );
}

#[test]
fn a_new_run_is_not_unhealthy_because_the_one_before_was() {
    let mut bench = Bench::running();
    bench.health(Health::Unhealthy);
    bench.kill(15);
    bench.pass(1).die(143);
    assert_eq!(recoveries(&bench.poll(|_| {})), [Recovery::Stopped]);
    assert_eq!(kinds(&bench.pass(60).start()), []);
    assert_eq!(bench.polls(3), vec![]);
    assert_eq!(kinds(&bench.health(Health::Unhealthy)), [AnomalyKind::UnhealthyStatus]);
}

#[test]
fn a_container_that_is_sick_again_after_a_restart_is_news() {
    let mut bench = Bench::running();
    bench.health(Health::Unhealthy);
    bench.restart();
    let said = bench.pass(60).health(Health::Unhealthy);
    assert_eq!(kinds(&said), [AnomalyKind::UnhealthyStatus]);
    assert_eq!(bench.polls(20), vec![], "once per run");
    let mut bench = Bench::running();
    bench.cpus(&[90.0; 4]);
    bench.restart();
    assert_eq!(bench.cpu(90.0), vec![]);
    assert_eq!(kinds(&bench.cpu(90.0)), [AnomalyKind::HighCpu]);
    assert_eq!(bench.cpus(&[90.0; 20]), vec![]);
}

// --- Pauses ---

#[test]
fn a_paused_container_raises_no_alert() {
    let mut bench = Bench::running();
    bench.health(Health::Unhealthy);
    assert_eq!(changes(&bench.engine(EngineEventKind::Pause)), [Change::Paused { paused: true }]);
    assert_eq!(bench.polls(400), vec![], "not even one that is due");
    assert_eq!(changes(&bench.engine(EngineEventKind::Unpause)), [Change::Paused { paused: false }]);
    assert_eq!(kinds(&bench.poll(|_| {})), [AnomalyKind::UnhealthyStatus]);
}

#[test]
fn a_pause_is_found_by_a_sample_and_told_once() {
    let mut bench = Bench::running();
    bench.inspection.state = RunState::Paused;
    assert_eq!(changes(&bench.poll(|_| {})), [Change::Paused { paused: true }]);
    assert_eq!(bench.engine(EngineEventKind::Pause), vec![]);
    bench.inspection.state = RunState::Running;
    assert_eq!(changes(&bench.poll(|_| {})), [Change::Paused { paused: false }]);
    assert_eq!(bench.engine(EngineEventKind::Unpause), vec![]);
}

#[test]
fn a_check_that_fails_while_it_is_paused_is_no_symptom() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Pause);
    assert_eq!(kinds(&bench.health(Health::Unhealthy)), []);
    assert_eq!(kinds(&bench.polls(3)), []);
}

#[test]
fn two_incidents_within_one_moment_are_two() {
    let mut bench = Bench::running();
    bench.die(1);
    let first = bench.state.open_incident();
    bench.see(&Observed::Gone);
    assert!(!bench.is_open());
    bench.die(1);
    assert!(first.is_some() && bench.is_open());
    assert_ne!(bench.state.open_incident(), first);
}

//! Ends of a run: by itself, on request, by a restart.

use super::*;

#[test]
fn a_death_nobody_asked_for_is_an_alert_at_once() {
    let mut bench = Bench::running();
    let said = bench.die(1);
    assert_eq!(changes(&said), [DIED(1)]);
    assert_eq!((kinds(&said), severity(&said)), (vec![AnomalyKind::NonZeroExit], Some(Severity::High)));
    assert_eq!(alert(&said).unwrap().sample.exit_code, Some(1));
    assert!(bench.is_open());
}

#[test]
fn what_a_person_stopped_is_no_symptom() {
    for (signal, exit_code) in
        [(15, 143), (15, 1), (9, 137), (2, 130), (3, 131), (3, 1), (15, 0), (0, 143), (0, 2)]
    {
        let mut bench = Bench::running();
        bench.kill(signal);
        let said = bench.pass(9).die(exit_code);
        assert_eq!(changes(&said), [STOPPED(exit_code)], "signal {signal}");
        assert_eq!(said.len(), 1);
        assert_eq!(bench.engine(EngineEventKind::Stop), vec![]);
        assert_eq!(bench.polls(100), vec![], "signal {signal}, exit code {exit_code}");
    }
}

#[test]
fn a_signal_that_asks_for_no_end_excuses_none() {
    for signal in [1, 10, 12, 28] {
        let mut bench = Bench::running();
        bench.kill(signal);
        assert_eq!(kinds(&bench.die(1)), [AnomalyKind::NonZeroExit], "signal {signal}");
    }
}

#[test]
fn a_containers_own_stop_signal_asks_for_its_end() {
    // httpd stops on SIGWINCH, systemd on SIGRTMIN+3.
    for signal in [28, 37] {
        let mut bench = Bench::running();
        bench.inspection.stop_signal = Some(signal);
        bench.kill(signal);
        assert_eq!(changes(&bench.pass(2).die(130)), [STOPPED(130)], "signal {signal}");
    }
}

#[test]
fn a_stop_request_excuses_only_the_end_that_follows_it() {
    for (seconds, excused) in [(0, true), (40, true), (41, false), (120, false)] {
        let mut bench = Bench::running();
        bench.kill(15);
        assert_eq!(kinds(&bench.pass(seconds).die(1)).is_empty(), excused, "{seconds} s");
    }
}

#[test]
fn a_stop_may_take_as_long_as_the_container_asks_for() {
    for (own, label, seconds, stopped) in [
        (Some(300), None, 310, true),
        (None, Some(300), 310, true),
        (Some(300), None, 331, false),
        (Some(5), None, 39, true),
        (Some(u64::MAX), None, 86_400, true),
    ] {
        let mut bench = Bench::running();
        bench.inspection.stop_timeout_secs = own;
        bench.policy.stop_timeout_secs = label;
        bench.kill(15);
        let said = bench.pass(seconds).die(1);
        assert_eq!(changes(&said) == [STOPPED(1)], stopped, "{own:?} {label:?} after {seconds} s");
    }
}

#[test]
fn an_end_by_the_very_signal_was_asked_for_however_long_it_took() {
    for (signal, exit_code, change) in [
        (15, 143, STOPPED(143)),
        (2, 130, STOPPED(130)),
        (15, 137, DIED(137)),
        (15, 1, DIED(1)),
        (0, 128, DIED(128)),
    ] {
        let mut bench = Bench::running();
        bench.kill(signal);
        assert_eq!(changes(&bench.pass(3_000).die(exit_code)), [change]);
    }
}

#[test]
fn a_request_excuses_no_later_run() {
    let mut bench = Bench::running();
    bench.restart();
    assert_eq!(kinds(&bench.pass(1).die(143)), [AnomalyKind::NonZeroExit]);
}

#[test]
fn a_clock_that_steps_back_does_not_turn_a_stop_into_a_death() {
    let mut bench = Bench::running();
    bench.pass(100).kill(15);
    bench.engine_behind = Duration::from_secs(30);
    assert_eq!(changes(&bench.pass(2).die(1)), [STOPPED(1)]);
}

#[test]
fn a_stop_that_is_told_after_the_end_corrects_the_death() {
    let mut bench = Bench::running();
    assert_eq!(kinds(&bench.die(143)), [AnomalyKind::NonZeroExit]);
    assert_eq!(bench.pass(1).engine(EngineEventKind::Stop).len(), 1);
    assert_eq!(bench.look(|_| {}), vec![], "it may be half of a restart");
    assert_eq!(recoveries(&bench.poll(|_| {})), [Recovery::Stopped]);
    bench.start();
    assert_eq!(alert(&bench.pass(60).die(1)).unwrap().deaths_recent, 1, "the stop was no death");
}

#[test]
fn a_stop_that_is_told_long_after_an_end_is_of_something_else() {
    for (seconds, corrects) in [(5, true), (6, false), (60, false)] {
        let mut bench = Bench::running();
        bench.die(1);
        let said = bench.pass(seconds).engine(EngineEventKind::Stop);
        assert_eq!(changes(&said) == [STOPPED(1)], corrects, "{seconds} s");
        assert!(bench.is_open());
    }
}

#[test]
fn a_job_that_ends_with_0_is_done() {
    let mut bench = Bench::running();
    assert_eq!(changes(&bench.die(0)), [DIED(0)]);
    assert_eq!(bench.polls(100), vec![]);
}

#[test]
fn a_job_that_fails_and_then_ends_with_0_is_done_too() {
    let mut bench = Bench::running().with_policy(RestartPolicy::OnFailure { max: 0 });
    assert_eq!(kinds(&bench.die(1)), [AnomalyKind::NonZeroExit]);
    bench.pass(1).start();
    assert_eq!(recoveries(&bench.pass(5).die(0)), [Recovery::Cleared]);
    assert_eq!(bench.polls(200), vec![]);
}

#[test]
fn a_busy_job_that_ends_with_0_is_no_incident_any_more() {
    let mut bench = Bench::running();
    bench.cpus(&[90.0, 90.0]);
    bench.die(0);
    assert_eq!(recoveries(&bench.poll(|sample| sample.cpu_percent = None)), [Recovery::Cleared]);
}

#[test]
fn an_engine_that_gives_no_exit_code_is_asked_for_it() {
    for (inspected, change) in [(Some(3), DIED(3)), (Some(0), DIED(0)), (None, DIED(-1))] {
        let mut bench = Bench::running();
        bench.inspection.state = RunState::Exited;
        bench.inspection.exit_code = inspected;
        assert_eq!(changes(&bench.tell(EngineEventKind::Die { exit_code: -1 })), [change]);
    }
    // The code of a run that goes on belongs to the run before.
    let mut bench = Bench::running();
    bench.inspection.exit_code = Some(0);
    assert_eq!(changes(&bench.tell(EngineEventKind::Die { exit_code: -1 })), [DIED(-1)]);
}

// --- Restarts through the engine, HemoStat's own among them ---

#[test]
fn a_restart_through_the_engine_is_no_death() {
    let mut bench = Bench::running();
    for _ in 0..5 {
        let said = bench.restart();
        assert_eq!(changes(&said), [STOPPED(143), Change::Started]);
        assert_eq!(kinds(&said), []);
        bench.pass(20);
    }
    assert_eq!(alert(&bench.die(1)).unwrap().deaths_recent, 1);
}

#[test]
fn a_stop_takes_back_no_earlier_death() {
    let mut bench = Bench::running();
    bench.die(1);
    bench.pass(1).start();
    bench.restart();
    assert_eq!(alert(&bench.pass(1).die(1)).unwrap().deaths_recent, 2);
}

#[test]
fn a_restart_of_a_dead_container_is_no_death_either() {
    let mut bench = Bench::running();
    bench.die(1);
    let mut said = bench.pass(1).start();
    said.extend(bench.engine(EngineEventKind::Restart));
    assert_eq!(changes(&said), [Change::Started]);
    assert!(bench.is_open(), "it has not yet run long enough");
    assert_eq!(recoveries(&bench.polls(6)), [Recovery::Cleared]);
}

#[test]
fn a_restart_does_not_end_the_incident_even_where_a_poll_falls_between_stop_and_start() {
    let mut bench = Bench::running();
    bench.health(Health::Unhealthy);
    let before = bench.state.open_incident();
    bench.kill(15);
    bench.pass(1).die(143);
    bench.engine(EngineEventKind::Stop);
    for _ in 0..4 {
        assert_eq!(bench.pass(1).look(|_| {}), vec![], "stopped for a moment is not stopped by a person");
    }
    assert_eq!(recoveries(&bench.start()), [], "a new run is not yet a recovery");
    bench.engine(EngineEventKind::Restart);
    assert_eq!(recoveries(&bench.poll(|_| {})), [], "nor is a health check that has only started");
    assert_eq!(bench.state.open_incident(), before);
    assert_eq!(recoveries(&bench.health(Health::Healthy)), [Recovery::Cleared]);
}

#[test]
fn a_sample_ahead_of_the_events_of_a_restart_does_not_end_the_incident() {
    for sick in
        [|bench: &mut Bench| bench.health(Health::Unhealthy), |bench: &mut Bench| bench.cpus(&[99.0, 99.0])]
    {
        let mut bench = Bench::running();
        sick(&mut bench);
        bench.kill(15);
        bench.inspection.state = RunState::Exited;
        bench.inspection.exit_code = Some(143);
        assert_eq!(bench.pass(1).look(|sample| sample.cpu_percent = None), vec![]);
        assert_eq!(recoveries(&bench.die(143)), []);
        assert_eq!(recoveries(&bench.start()), []);
        assert!(bench.is_open());
    }
}

#[test]
fn a_stop_by_hand_ends_the_incident_with_the_next_sample() {
    let mut bench = Bench::running();
    bench.cpus(&[90.0, 90.0]);
    bench.kill(15);
    bench.pass(1).die(143);
    assert_eq!(recoveries(&bench.poll(|sample| sample.cpu_percent = None)), [Recovery::Stopped]);
    assert_eq!(bench.polls(100), vec![]);
}

#[test]
fn what_a_person_stopped_raises_no_alert_while_its_incident_is_still_open() {
    let mut bench = Bench::running();
    bench.health(Health::Unhealthy);
    bench.pass(599).kill(15);
    bench.pass(1).die(143);
    // The alert would be due again now.
    assert_eq!(bench.pass(1).look(|_| {}), vec![]);
}

// --- Loops ---

#[test]
fn three_deaths_in_ten_minutes_are_a_restart_loop() {
    let mut bench = Bench::running().with_policy(RestartPolicy::Always);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(kinds(&bench.die(1)));
        bench.pass(1).start();
        bench.pass(1);
    }
    assert_eq!(seen[0], [AnomalyKind::NonZeroExit]);
    assert_eq!(seen[1], [AnomalyKind::NonZeroExit]);
    assert_eq!(seen[2], [AnomalyKind::NonZeroExit, AnomalyKind::RestartLoop]);
    assert_eq!(seen[3], [], "the loop is known; only the cool-down repeats it");
    assert_eq!(seen[4], []);
}

#[test]
fn a_loop_is_over_once_the_container_runs_on() {
    let mut bench = Bench::running().with_policy(RestartPolicy::Always);
    for _ in 0..4 {
        bench.die(1);
        bench.pass(1).start();
        bench.pass(1);
    }
    assert_eq!(recoveries(&bench.polls(7)), [Recovery::Cleared]);
}

#[test]
fn a_loop_that_ends_with_0_is_over() {
    let mut bench = Bench::running().with_policy(RestartPolicy::Always);
    for _ in 0..3 {
        bench.die(1);
        bench.pass(1).start();
        bench.pass(1);
    }
    assert_eq!(recoveries(&bench.die(0)), [Recovery::Cleared]);
}

#[test]
fn a_loop_stays_a_symptom_between_its_deaths() {
    let mut bench = Bench::running().with_policy(RestartPolicy::Always);
    for _ in 0..3 {
        bench.die(1);
        bench.pass(1).start();
        bench.pass(1);
    }
    let said = bench.health(Health::Unhealthy);
    assert_eq!(
        kinds(&said),
        [AnomalyKind::UnhealthyStatus, AnomalyKind::NonZeroExit, AnomalyKind::RestartLoop]
    );
    assert_eq!(severity(&said), Some(Severity::Critical));
}

#[test]
fn deaths_far_apart_are_no_loop() {
    let mut bench = Bench::running();
    for _ in 0..6 {
        bench.pass(400).die(1);
        bench.pass(1).start();
    }
    let open = bench.state.incident.as_ref().expect("an incident");
    assert!(!open.symptoms.contains_key(&AnomalyKind::RestartLoop));
}

#[test]
fn jobs_that_end_with_0_again_and_again_are_no_loop() {
    let mut bench = Bench::running().with_policy(RestartPolicy::Always);
    for _ in 0..20 {
        assert_eq!(kinds(&bench.pass(5).die(0)), []);
        assert_eq!(kinds(&bench.pass(1).start()), []);
    }
}

#[test]
fn the_moment_the_engine_gives_up_is_news() {
    let mut bench = Bench::running().with_policy(RestartPolicy::OnFailure { max: 3 });
    let mut restarts = Vec::new();
    for count in 0..=3 {
        bench.inspection.restart_count = count;
        let said = bench.die(1);
        restarts.push(alert(&said).map(|alert| alert.engine_restarts));
        if count < 3 {
            bench.pass(1).start();
        }
        bench.pass(1);
    }
    assert_eq!(restarts, [Some(true), Some(true), Some(true), Some(false)]);
}

#[test]
fn whether_the_engine_restarts_it_follows_from_its_policy() {
    for (policy, count, restarts) in [
        (RestartPolicy::No, 0, false),
        (RestartPolicy::Always, 99, true),
        (RestartPolicy::UnlessStopped, 99, true),
        (RestartPolicy::OnFailure { max: 0 }, 99, true),
        (RestartPolicy::OnFailure { max: 3 }, 2, true),
        (RestartPolicy::OnFailure { max: 3 }, 3, false),
    ] {
        let mut bench = Bench::running().with_policy(policy);
        bench.inspection.restart_count = count;
        assert_eq!(alert(&bench.die(1)).unwrap().engine_restarts, restarts, "{policy:?} {count}");
    }
}

#[test]
fn a_symptom_of_death_ends_when_it_has_run_long_enough() {
    let mut bench = Bench::running();
    bench.die(1);
    bench.pass(1).start();
    assert_eq!(bench.polls(5), vec![]);
    assert_eq!(recoveries(&bench.poll(|_| {})), [Recovery::Cleared]);
}

#[test]
fn two_clocks_that_differ_by_an_hour_change_nothing() {
    for (ahead, behind) in [(3_600, 0), (0, 3_600)] {
        let mut bench = Bench::running();
        bench.engine_ahead = Duration::from_secs(ahead);
        bench.engine_behind = Duration::from_secs(behind);
        bench.die(1);
        bench.pass(1).start();
        assert_eq!(bench.polls(5), vec![], "{ahead} s ahead");
        assert_eq!(recoveries(&bench.poll(|_| {})), [Recovery::Cleared], "{ahead} s ahead");
        bench.kill(15);
        assert_eq!(changes(&bench.pass(2).die(143)), [STOPPED(143)]);
        assert_eq!(bench.polls(3), vec![]);
    }
}

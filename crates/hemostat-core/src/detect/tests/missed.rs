//! What is found without its event: the monitor was away, the stream was broken, the engine forgot. And samples that
//! are ahead of events which still wait.

use super::*;

#[test]
fn a_container_found_ended_is_left_alone_whatever_its_code() {
    for exit_code in [0, 1, 137] {
        let mut bench = Bench::new();
        bench.inspection.state = RunState::Exited;
        bench.inspection.exit_code = Some(exit_code);
        let said = bench.polls(50);
        assert_eq!(changes(&said), [Change::Discovered { state: RunState::Exited }]);
        assert_eq!(said.len(), 1);
    }
}

#[test]
fn a_container_seen_first_by_its_death_was_running_before() {
    let mut bench = Bench::new();
    let said = bench.die(1);
    assert_eq!(changes(&said), [Change::Discovered { state: RunState::Running }, DIED(1)]);
    assert_eq!(kinds(&said), [AnomalyKind::NonZeroExit]);
}

#[test]
fn a_crash_loop_in_back_off_is_seen_although_it_never_shows_as_running() {
    let mut bench = Bench::new().with_policy(RestartPolicy::Always);
    bench.inspection.state = RunState::Restarting;
    bench.inspection.restart_count = 500;
    assert_eq!(kinds(&bench.look(|_| {})), []);
    let mut seen = Vec::new();
    for _ in 0..3 {
        bench.pass(60).start();
        seen = kinds(&bench.pass(1).die(1));
        bench.inspection.state = RunState::Restarting;
    }
    assert_eq!(seen, [AnomalyKind::NonZeroExit, AnomalyKind::RestartLoop]);
}

#[test]
fn a_death_during_the_monitors_absence_is_found_by_the_second_sample() {
    for (exit_code, oom, kind, change) in [
        (1, false, Some(AnomalyKind::NonZeroExit), DIED(1)),
        (137, true, Some(AnomalyKind::OomKilled), DIED(137)),
        (139, true, Some(AnomalyKind::NonZeroExit), DIED(139)),
        // Nobody saw whether these were asked for: the benefit of the doubt.
        (143, false, None, STOPPED(143)),
        (137, false, None, STOPPED(137)),
        (130, false, None, STOPPED(130)),
        (143, true, None, STOPPED(143)),
        (0, false, None, DIED(0)),
    ] {
        let mut bench = Bench::running();
        bench.watch = Watch::new();
        bench.inspection.state = RunState::Exited;
        bench.inspection.exit_code = Some(exit_code);
        bench.inspection.oom_killed = oom;
        bench.inspection.finished_at = Some(at(4));
        assert_eq!(bench.poll(|_| {}), vec![], "the event may still come");
        let said = bench.poll(|_| {});
        assert_eq!(changes(&said), [change], "exit code {exit_code}");
        assert_eq!(kinds(&said).first().copied(), kind, "exit code {exit_code}");
        let Data::ContainerChanged(changed) = &said[0] else { panic!("{said:?}") };
        assert_eq!(changed.at, at(4), "the engine knows when");
    }
}

#[test]
fn an_end_without_a_code_is_taken_for_a_stop() {
    let mut bench = Bench::running();
    bench.inspection.state = RunState::Exited;
    bench.poll(|_| {});
    assert_eq!(changes(&bench.poll(|_| {})), [STOPPED(-1)]);
}

#[test]
fn an_end_whose_request_was_seen_is_a_stop_whatever_its_code() {
    let mut bench = Bench::running();
    bench.kill(15);
    bench.inspection.state = RunState::Exited;
    bench.inspection.exit_code = Some(1);
    bench.inspection.finished_at = Some(at(2));
    bench.poll(|_| {});
    assert_eq!(changes(&bench.poll(|_| {})), [STOPPED(1)]);
}

#[test]
fn an_end_long_ago_is_explained_by_a_request_of_then_and_not_by_one_of_now() {
    for (asked_first, change) in [(true, STOPPED(1)), (false, DIED(1))] {
        let mut bench = Bench::running();
        let asked_at = bench.engine_now();
        // Remembered from before the monitor came; a second one asks for what has ended already.
        let ended_at =
            if asked_first { asked_at + Duration::from_secs(2) } else { asked_at - Duration::from_secs(600) };
        bench.kill(15);
        bench.inspection.state = RunState::Exited;
        bench.inspection.exit_code = Some(1);
        bench.inspection.finished_at = Some(ended_at);
        bench.pass(3_600);
        bench.poll(|_| {});
        assert_eq!(changes(&bench.poll(|_| {})), [change], "asked first: {asked_first}");
    }
}

#[test]
fn what_the_engine_is_about_to_restart_was_not_stopped_by_a_person() {
    for exit_code in [1, 137, 143] {
        let mut bench = Bench::running().with_policy(RestartPolicy::Always);
        bench.inspection.state = RunState::Restarting;
        bench.inspection.exit_code = Some(exit_code);
        bench.poll(|_| {});
        let said = bench.poll(|_| {});
        assert_eq!(changes(&said), [DIED(exit_code)]);
        assert_eq!(kinds(&said), [AnomalyKind::NonZeroExit]);
    }
}

#[test]
fn a_sample_ahead_of_the_events_of_a_stop_does_not_make_it_a_death() {
    let mut bench = Bench::running();
    bench.kill(15);
    bench.inspection.state = RunState::Exited;
    bench.inspection.exit_code = Some(1);
    assert_eq!(bench.pass(1).look(|_| {}), vec![]);
    assert_eq!(changes(&bench.die(1)), [STOPPED(1)]);
}

#[test]
fn a_start_that_a_sample_has_shown_is_not_told_again() {
    for (seconds, told) in [(0, false), (1, false), (5, false), (6, true)] {
        let mut bench = Bench::running();
        bench.die(1);
        bench.pass(5);
        bench.inspection.state = RunState::Running;
        bench.inspection.started_at = Some(bench.now);
        assert_eq!(changes(&bench.look(|_| {})), [Change::Started]);
        assert_eq!(!bench.pass(seconds).tell(EngineEventKind::Start).is_empty(), told, "{seconds} s");
    }
}

#[test]
fn a_start_that_an_event_has_told_is_not_found_again_by_a_sample() {
    // The engine notes a start a moment before it tells of it, and a clock may have stepped since.
    for (noted, found) in [(5i64, false), (-3, false), (-500, false), (6, true)] {
        let mut bench = Bench::running();
        bench.pass(1_000).restart();
        let told = bench.now;
        bench.watch = Watch::new();
        bench.inspection.started_at = Some(Timestamp::from_micros(told.micros() + noted * 1_000_000));
        assert_eq!(!bench.poll(|_| {}).is_empty(), found, "noted {noted} s after it was told");
    }
    let mut bench = Bench::running();
    bench.restart();
    bench.watch = Watch::new();
    bench.inspection.started_at = None;
    assert_eq!(bench.polls(3), vec![], "an engine that does not say when");
}

#[test]
fn a_run_that_the_policy_began_without_an_event_tells_of_a_death() {
    let mut bench = Bench::running().with_policy(RestartPolicy::Always);
    bench.poll(|_| {});
    bench.inspection.started_at = Some(at(15));
    bench.inspection.restart_count = 1;
    assert_eq!(bench.poll(|_| {}), vec![], "the events may still come");
    let said = bench.poll(|_| {});
    assert_eq!(changes(&said), [DIED(-1), Change::Started]);
    assert_eq!(kinds(&said), [AnomalyKind::NonZeroExit]);
    let recovered = bench.polls(10);
    assert_eq!((changes(&recovered), recoveries(&recovered)), (vec![], vec![Recovery::Cleared]));
}

#[test]
fn a_run_that_somebody_began_without_an_event_is_only_a_start() {
    let mut bench = Bench::running();
    bench.inspection.started_at = Some(at(15));
    bench.poll(|_| {});
    let said = bench.poll(|_| {});
    assert_eq!((changes(&said), kinds(&said)), (vec![Change::Started], vec![]));
    assert_eq!(bench.polls(10), vec![]);
}

#[test]
fn a_sample_ahead_of_the_events_of_a_restart_does_not_count_the_death_twice() {
    let mut bench = Bench::running().with_policy(RestartPolicy::Always);
    bench.poll(|_| {});
    bench.pass(5);
    bench.inspection.started_at = Some(bench.now);
    bench.inspection.restart_count = 1;
    assert_eq!(bench.pass(1).look(|_| {}), vec![]);
    assert_eq!(alert(&bench.die(1)).unwrap().deaths_recent, 1);
    bench.start();
    bench.inspection.restart_count = 1;
    let said = bench.polls(3);
    assert_eq!((changes(&said), kinds(&said)), (vec![], vec![]));
}

#[test]
fn a_run_that_began_while_no_monitor_watched_is_noticed_at_once() {
    let mut bench = Bench::running();
    bench.restart();
    bench.polls(2);
    bench.watch = Watch::new();
    assert_eq!(bench.poll(|_| {}), vec![], "the same run");
    bench.watch = Watch::new();
    bench.inspection.started_at = Some(bench.now);
    assert_eq!(changes(&bench.poll(|_| {})), [Change::Started]);
    assert_eq!(bench.polls(3), vec![]);
}

#[test]
fn figures_of_a_run_that_is_over_do_not_count_although_no_event_told_of_its_end() {
    let mut bench = Bench::running();
    bench.cpu(99.0);
    bench.inspection.started_at = Some(at(15));
    assert_eq!(kinds(&bench.cpu(99.0)), [], "one of each run");
}

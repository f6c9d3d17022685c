//! The kernel's out-of-memory killer: told by an event, by a flag, or both, in any order.

use super::*;

#[test]
fn an_oom_kill_is_one_alert_although_the_engine_tells_it_twice() {
    let mut bench = Bench::running();
    assert_eq!(kinds(&bench.engine(EngineEventKind::Oom)), []);
    bench.inspection.oom_killed = true;
    let said = bench.die(137);
    assert_eq!((kinds(&said), severity(&said)), (vec![AnomalyKind::OomKilled], Some(Severity::Critical)));
    assert!(alert(&said).unwrap().sample.oom_killed);
    assert_eq!(bench.polls(20), vec![]);
}

#[test]
fn the_flag_alone_is_enough_where_the_event_was_missed() {
    let mut bench = Bench::running();
    bench.inspection.oom_killed = true;
    assert_eq!(kinds(&bench.die(137)), [AnomalyKind::OomKilled]);
    // The flag stays for the whole run: with another exit code it tells of an earlier kill.
    let mut bench = Bench::running();
    bench.inspection.oom_killed = true;
    assert_eq!(kinds(&bench.die(1)), [AnomalyKind::NonZeroExit]);
}

#[test]
fn a_kill_that_is_told_only_after_the_death_explains_it() {
    let mut bench = Bench::running();
    assert_eq!(kinds(&bench.die(137)), [AnomalyKind::NonZeroExit]);
    let said = bench.pass(1).engine(EngineEventKind::Oom);
    assert_eq!(kinds(&said), [AnomalyKind::NonZeroExit, AnomalyKind::OomKilled]);
    assert_eq!(alert(&said).unwrap().anomalies[1].actual, Some(137.0));
    // One that comes much later is not about that death, and one in a new run is about that run.
    for (seconds, explains) in [(10, true), (11, false), (60, false)] {
        let mut bench = Bench::running();
        bench.die(137);
        assert_eq!(
            !kinds(&bench.pass(seconds).engine(EngineEventKind::Oom)).is_empty(),
            explains,
            "{seconds} s"
        );
    }
    let mut bench = Bench::running();
    bench.die(137);
    bench.start();
    assert_eq!(kinds(&bench.pass(1).engine(EngineEventKind::Oom)), []);
    let mut bench = Bench::running();
    bench.die(0);
    assert_eq!(kinds(&bench.pass(1).engine(EngineEventKind::Oom)), [], "what ended with 0 was not killed");
}

#[test]
fn a_parent_that_gives_up_after_its_child_was_killed_died_of_memory() {
    for (seconds, kind) in
        [(1, AnomalyKind::OomKilled), (10, AnomalyKind::OomKilled), (11, AnomalyKind::NonZeroExit)]
    {
        let mut bench = Bench::running();
        bench.engine(EngineEventKind::Oom);
        assert_eq!(kinds(&bench.pass(seconds).die(1)), [kind], "{seconds} s");
    }
}

#[test]
fn an_oom_kill_counts_although_somebody_had_asked_for_the_end() {
    let mut bench = Bench::running();
    bench.kill(15);
    bench.engine(EngineEventKind::Oom);
    assert_eq!(kinds(&bench.die(137)), [AnomalyKind::OomKilled]);
}

#[test]
fn an_old_kill_of_a_child_does_not_turn_a_stop_into_a_failure() {
    for exit_code in [137, 143, 0, 1] {
        let mut bench = Bench::running();
        bench.engine(EngineEventKind::Oom);
        bench.inspection.oom_killed = true;
        bench.polls(10);
        assert!(!bench.is_open());
        bench.kill(15);
        bench.kill(9);
        let said = bench.die(exit_code);
        assert_eq!((changes(&said), kinds(&said)), (vec![STOPPED(exit_code)], vec![]));
    }
}

#[test]
fn an_old_kill_of_a_child_does_not_explain_a_later_crash() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Oom);
    bench.inspection.oom_killed = true;
    bench.polls(3);
    assert_eq!(kinds(&bench.die(139)), [AnomalyKind::NonZeroExit, AnomalyKind::OomKilled]);
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Oom);
    bench.polls(20);
    assert_eq!(kinds(&bench.die(139)), [AnomalyKind::NonZeroExit]);
}

#[test]
fn a_child_killed_for_memory_is_an_alert_with_the_next_sample() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Oom);
    assert_eq!(bench.pass(1).look(|_| {}), vec![], "the death that it may cause is not told yet");
    let said = bench.pass(1).look(|_| {});
    assert_eq!((kinds(&said), severity(&said)), (vec![AnomalyKind::OomKilled], Some(Severity::High)));
    assert_eq!(
        alert(&said).unwrap().anomalies[0].actual,
        None,
        "nothing has ended, so there is no exit code"
    );
    assert_eq!(bench.polls(5), vec![]);
    assert_eq!(recoveries(&bench.poll(|_| {})), [Recovery::Cleared]);
    assert_eq!(bench.polls(100), vec![]);
}

#[test]
fn a_child_killed_for_memory_is_told_however_rarely_the_container_is_looked_at() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Oom);
    assert_eq!(kinds(&bench.pass(300).look(|_| {})), [AnomalyKind::OomKilled]);
    assert_eq!(recoveries(&bench.pass(300).look(|_| {})), [Recovery::Cleared]);
    assert_eq!(bench.pass(300).look(|_| {}), vec![]);
}

#[test]
fn a_second_child_prolongs_the_incident_and_raises_no_second_alert() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Oom);
    assert_eq!(kinds(&bench.poll(|_| {})), [AnomalyKind::OomKilled]);
    bench.pass(30).engine(EngineEventKind::Oom);
    let said = bench.polls(5);
    assert!(kinds(&said).is_empty() && recoveries(&said).is_empty(), "{said:?}");
    assert_eq!(recoveries(&bench.poll(|_| {})), [Recovery::Cleared]);
}

//! What an alert brings along: what changed recently, the trend, the sample.

use hemostat_event::{EvidenceItem, EvidenceKind};

use super::*;

fn items(said: &[Data]) -> Vec<EvidenceItem> {
    alert(said).expect("an alert").evidence.items.clone()
}

/// What the evidence says, without the times before it.
fn words(said: &[Data]) -> Vec<String> {
    items(said).iter().map(|item| item.text.split_once(' ').expect("a time and words").1.to_owned()).collect()
}

#[test]
fn an_alert_tells_what_changed_recently_with_times_and_ids() {
    let mut bench = Bench::running();
    bench.pass(10).restart();
    bench.inspection.health = Health::Healthy;
    bench.poll(|_| {});
    let said = bench.pass(1).die(1);
    let ids: Vec<_> = items(&said).iter().map(|item| item.id.clone()).collect();
    assert_eq!(
        ids,
        ["change-1", "change-2", "change-3", "change-4", "change-5", "change-6", "change-7", "change-8"]
    );
    assert!(items(&said).iter().all(|item| item.kind == EvidenceKind::RecentChange));
    assert_eq!(
        words(&said),
        [
            "first seen, running, image nginx:1.27",
            "was sent signal 15 through the engine",
            "stopped on request, exit code 143",
            "started",
            "was stopped through the engine",
            "was restarted through the engine",
            "health check: healthy",
            "ended by itself, exit code 1",
        ]
    );
    assert_eq!(items(&said)[1].text.split_once(' ').unwrap().0, at(11).to_string());
}

#[test]
fn only_the_last_changes_are_told() {
    let mut bench = Bench::running();
    for _ in 0..20 {
        bench.pass(1).restart();
    }
    let said = bench.pass(1).die(1);
    assert_eq!(items(&said).len(), 8);
    assert_eq!(words(&said).last().map(String::as_str), Some("ended by itself, exit code 1"));
}

#[test]
fn a_monitor_that_has_just_begun_knows_the_changes_of_before() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Pause);
    bench.pass(5).engine(EngineEventKind::Unpause);
    bench.watch = Watch::new();
    let said = bench.die(1);
    assert_eq!(
        words(&said),
        ["first seen, running, image nginx:1.27", "paused", "resumed", "ended by itself, exit code 1"]
    );
}

#[test]
fn as_many_changes_are_remembered_as_are_told() {
    let mut bench = Bench::running();
    for _ in 0..20 {
        bench.pass(1).engine(EngineEventKind::Pause);
        bench.pass(1).engine(EngineEventKind::Unpause);
    }
    bench.watch = Watch::new();
    assert_eq!(items(&bench.pass(1).die(1)).len(), 8);
}

#[test]
fn a_sample_without_figures_is_no_point_of_the_trend() {
    let mut bench = Bench::running();
    bench.poll(|sample| (sample.cpu_percent, sample.memory_bytes) = (None, None));
    bench.poll(|sample| (sample.cpu_percent, sample.memory_bytes) = (None, Some(7)));
    let trend = alert(&bench.die(1)).unwrap().evidence.trend.clone();
    let figures: Vec<_> = trend.iter().map(|point| (point.cpu_percent, point.memory_bytes)).collect();
    assert_eq!(figures, [(Some(1.0), None), (None, Some(7))]);
}

#[test]
fn a_new_container_of_the_same_name_is_a_change() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Destroy);
    bench.pass(3).start();
    let said = bench.pass(1).die(1);
    assert_eq!(
        words(&said),
        [
            "first seen, running, image nginx:1.27",
            "removed",
            "first seen, created, image nginx:1.27",
            "started",
            "ended by itself, exit code 1",
        ]
    );
}

#[test]
fn an_alert_brings_the_trend_of_the_run() {
    let mut bench = Bench::running();
    bench.cpu(40.0);
    bench.restart();
    let said = bench.cpus(&[50.0, 90.0, 95.0]);
    let cpu: Vec<_> = alert(&said).unwrap().evidence.trend.iter().map(|point| point.cpu_percent).collect();
    assert_eq!(cpu, [Some(50.0), Some(90.0), Some(95.0)]);
    let mut bench = Bench::running();
    bench.cpus(&[50.0; 100]);
    let said = bench.die(1);
    let trend = &alert(&said).unwrap().evidence.trend;
    assert_eq!(trend.len(), 60);
    assert!(trend.windows(2).all(|pair| pair[0].at < pair[1].at));
}

#[test]
fn an_alert_brings_the_measurement_or_what_the_engine_knows() {
    let mut bench = Bench::running();
    let said = bench.cpus(&[90.0, 91.0]);
    assert_eq!(alert(&said).unwrap().sample.cpu_percent, Some(91.0));
    let mut bench = Bench::running();
    bench.inspection.restart_count = 4;
    bench.inspection.memory_limit_bytes = Some(1 << 26);
    let said = bench.die(9);
    let sample = &alert(&said).unwrap().sample;
    assert_eq!((sample.state, sample.exit_code, sample.cpu_percent), (RunState::Exited, Some(9), None));
    assert_eq!((sample.restart_count, sample.memory_limit_bytes), (4, Some(1 << 26)));
    assert_eq!(alert(&said).unwrap().engine_event_at, Some(at(1)));
}
